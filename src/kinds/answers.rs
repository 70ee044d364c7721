//! What rooms are given, and what they answer with.

use crate::catalog::Version;
use crate::model::{Ident, Object, ObjectId, SqlType, State, Text};

/// What DDL may use besides the object itself.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The server that the statements are for.
    pub server: Version,
    /// The state that contains the object (the old one for drops, the new one for creates).
    pub state: &'a State,
    /// The state on the other side of the plan: before what is created, after what is dropped; the same one if it is not known.
    pub other: &'a State,
    /// Who runs the statements, and so owns everything for which the state names no owner; `None` if that may not be known.
    pub creator: Option<&'a Ident>,
}

impl<'a> Context<'a> {
    /// For statements that any role may run.
    pub const fn new(server: Version, state: &'a State) -> Self {
        Self { server, state, other: state, creator: None }
    }

    /// The state on the other side of the plan, if it is known.
    pub fn across(&self) -> Option<&'a State> {
        (!std::ptr::eq(self.other, self.state)).then_some(self.other)
    }
}

/// What the values of a type consist of.
pub enum Holds {
    /// Values of another type: a domain's.
    As(SqlType),
    /// These words: an enum's.
    Words(Vec<Text>),
    /// Two values of another type, or several pairs of them: a range's.
    Bounds(SqlType),
    /// Attributes, by name.
    Fields(Vec<(Text, SqlType)>),
}

/// Which names without a schema mean an object in `pg_catalog`.
#[derive(Clone, Copy)]
pub enum BuiltIns {
    /// None of them.
    None,
    /// Whatever no file declares: collations, which differ between systems.
    Undeclared,
    /// These, even if something of the same name is declared. What else no file declares may be an extension's.
    These(fn(&str) -> bool),
}

impl BuiltIns {
    /// True if the name, which no file declares in schemas near by, means one of them.
    pub fn have(self, name: &str) -> bool {
        match self {
            Self::None => false,
            Self::Undeclared => true,
            Self::These(known) => known(name),
        }
    }

    /// True if the name means one of them regardless of what is declared.
    pub fn hide(self, name: &str) -> bool {
        matches!(self, Self::These(known) if known(name))
    }
}

/// A child that became a clause of its parent's CREATE.
pub struct Folded {
    pub id: ObjectId,
    pub object: Object,
    pub clause: String,
}

/// What a role needs to create, alter or drop an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// CREATE in its schema, or its owner's privileges; for parts, those of the owner of the whole.
    Owner,
    /// TRIGGER on the table, to create the object; its owner's privileges for the rest.
    Trigger,
    /// CREATE on the database, to create the object; its owner's privileges for the rest.
    Database,
    /// To be a superuser, to create or alter it; the privileges of its owner, or of its schema's, to drop it.
    Superuser,
    /// To be a superuser, to create it; its owner's privileges for the rest.
    SuperuserToMake,
    /// The privileges of its owner, to give it away. A new object needs nothing to have its owner.
    Given,
    /// The privileges of the owner of one of its types.
    OneType,
    /// CREATE on the database to create a trusted one, else to be a superuser; its owner's privileges for the rest.
    Trusted,
    /// USAGE on the server for the role's own mapping, else the owner's privileges.
    Own,
    /// The permission to grant privileges: the owner's privileges, or a grant option.
    Grantor,
    /// The privileges of the role that it is named after.
    Its,
}

/// Those of a table's heirs that a statement goes on to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Heirs {
    /// None of them.
    None,
    /// Its partitions: an index, a key, a trigger.
    Partitions,
    /// Whatever inherits from it: a column, a check.
    All,
}

/// What happens to something that others depend on.
pub enum Disturbance {
    /// It is dropped and created again (or, for types, rebuilt under the same name).
    Replaced(ObjectId),
    /// A column gets another type.
    Retyped(ObjectId),
}

impl Disturbance {
    /// What most do: they are recreated with what is replaced, and PostgreSQL updates them if only a type changes. For a
    /// column whose type changes, it rebuilds keys, checks and indexes by itself.
    pub fn unless_retyped(&self) -> Reaction {
        match self {
            Self::Replaced(_) => Reaction::Replace,
            Self::Retyped(_) => Reaction::Survives,
        }
    }
}

/// Whether an object must change before or after the object it depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Wherever its needs put it: it grants something, or depends on nothing.
    Any,
    /// Before it, while it may still be revoked; the object's own parts come after.
    Takes,
    /// After it, and after the object's own parts.
    Gives,
    /// Both: it has to be done in two parts.
    Both,
}

/// What a dependent does about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reaction {
    /// Dropped before, recreated after.
    Replace,
    /// PostgreSQL updates it.
    Survives,
    /// A column whose type is rebuilt: `ALTER COLUMN … TYPE` through text.
    Retype,
    /// Impossible; the reason.
    Impossible(String),
}

/// What code of others a statement runs, with the privileges of the role that sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evaluates {
    /// Nothing.
    Nothing,
    /// Checks of domains: it only parses expressions, but parsing a literal of an array, a range or a row runs the checks of the
    /// domains in it.
    Parses,
    /// The same, and expressions over the rows of the relation, which run as its owner regardless of who sends the statement (an index).
    AsOwner,
    /// Calls with constant arguments, in expressions that the relation has: a partition key, a check, an index's predicate.
    Constants,
    /// Expressions over the rows of the relation, those that it has and those that it gets.
    Rows,
    /// Options, which the validator of a foreign-data wrapper checks.
    Options,
    /// An extension's script, which looks names up in the extension's schema and in those of the extensions that it needs.
    Script,
    /// A query, with the views and functions that it uses.
    Query,
}
