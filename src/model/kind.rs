//! How a kind of object describes itself, once, for the reader, writer, diff, hash, snapshot, completion and reference pages.

use std::marker::PhantomData;

/// A kind's static description; kinds are equal if they are the same static.
pub type KindRef = &'static Kind;

/// One kind of object.
#[derive(Debug)]
pub struct Kind {
    /// The node's name in KDL: PostgreSQL's own word, `-` for spaces.
    pub word: &'static str,
    /// The words in DDL: `MATERIALIZED VIEW`.
    pub sql: &'static str,
    /// How objects of the kind are addressed.
    pub address: Address,
    /// Where its node may appear.
    pub within: Within,
    /// Which names it may not share.
    pub namespace: Namespace,
    /// Its attributes, in the order of the canonical layout.
    pub attrs: &'static [Attr],
    /// True if it may be a clause of its parent's CREATE.
    pub folds: bool,
    /// What the kind is, in one sentence (reference pages, completion).
    pub doc: &'static str,
}

impl Kind {
    /// The attribute of that name.
    pub fn attr(&self, name: &str) -> Option<&'static Attr> {
        self.attrs.iter().find(|a| a.name == name)
    }

    /// True if one of its attributes, or an attribute of a record in them, is SQL that PostgreSQL parses when a statement has it.
    pub fn has_sql(&self) -> bool {
        fn any(attrs: &[Attr]) -> bool {
            attrs.iter().any(|attr| match attr.shape {
                Shape::Expr | Shape::Query => true,
                Shape::Record(parts) | Shape::Records(parts) => any(parts),
                _ => false,
            })
        }
        any(self.attrs)
    }
}

impl PartialEq for Kind {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Kind {}

/// How an object is addressed in SQL and in KDL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// A schema itself.
    Schema,
    /// A name of the database, outside every schema: extension, event trigger.
    Global,
    /// `schema.name`.
    Qualified,
    /// `schema.name(types)`.
    Routine,
    /// `schema.name USING method`: operator class, operator family. The access method is what tells those of one name apart.
    PerMethod,
    /// Belongs to a table, but is named in that table's schema: index.
    Beside,
    /// A part that cannot live alone: column of a table.
    MemberOf,
    /// Has a name, but only on its parent: trigger, policy, rule, constraint.
    NamedOn,
    /// Has a name in its parent, but is not an object: states hold it in an attribute of the parent. A value of an enum.
    Part,
    /// No name of its own in SQL: comment, owner, default; any object as parent. A grant's name is its grantee.
    Facet,
}

/// Where a kind's node may appear in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Within {
    /// At the top of a file only.
    Top,
    /// At the top (schema `public`) or in a `schema` block.
    Schema,
    /// In nodes of these kinds.
    Of(&'static [&'static str]),
    /// In any object's node.
    Any,
}

/// Objects of one namespace and one parent may not share a name; a drop comes before the create that takes its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Namespace {
    /// pg_class: tables, views, indexes, sequences, composite types.
    Relation,
    /// pg_type: enums, domains, ranges (tables and composites too, see `Relation`).
    Type,
    /// pg_proc: functions, procedures, aggregates.
    Routine,
    /// pg_constraint of one table.
    Constraint,
    /// A constraint with an index of its name: primary key, unique, exclusion.
    IndexConstraint,
    /// As `IndexConstraint`, and only one per table.
    PrimaryKey,
    /// What a column gets by itself: a default or an identity, never both.
    ColumnValue,
    /// Only its own kind.
    Own,
}

/// One attribute of a kind.
#[derive(Debug)]
pub struct Attr {
    /// The word in KDL, and the key in the model.
    pub name: &'static str,
    /// What it holds.
    pub shape: Shape,
    /// Where it is in the node.
    pub form: Form,
    /// What a change means for the object.
    pub on_change: OnChange,
    /// The value that is never stored, as it would be written; `None`: absence itself.
    pub default: Option<&'static str>,
    /// One sentence for the reference page.
    pub doc: &'static str,
    /// The first major version of PostgreSQL that knows it; 0: every version that is supported.
    pub since: u32,
}

/// What an attribute holds.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// A bare word that is there or not.
    Flag,
    /// A whole number.
    Int,
    /// Any number; its digits are kept as text.
    Number,
    /// Any text.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A name, verbatim (a role, a tablespace, a column).
    Name,
    /// A list of names, verbatim.
    Names,
    /// A list of texts.
    Texts,
    /// A type.
    Type,
    /// An expression over the columns of the relation that it belongs to.
    Expr,
    /// A whole query.
    Query,
    /// A body that PostgreSQL keeps verbatim.
    Body,
    /// A reference to an object of one of these kinds.
    Ref(&'static [&'static str]),
    /// References, in order.
    Refs(&'static [&'static str]),
    /// Storage parameters and the like: `name=value`, order without meaning; stored as a sorted list of `name=value` texts.
    Options,
    /// One record with these attributes.
    Record(&'static [Attr]),
    /// A list of records.
    Records(&'static [Attr]),
}

/// Where an attribute is written in its object's node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The next argument after the name.
    Argument,
    /// All remaining arguments.
    Arguments,
    /// `name=value`.
    Property,
    /// A bare word among the arguments.
    Flag,
    /// A child node of its name; its arguments are the value (one child), its properties too for options.
    Child,
    /// One child node of its name per element of the list.
    Repeated,
    /// Not in files: the room writes it by hand, or it is derived.
    Custom,
}

/// What a changed attribute means for the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnChange {
    /// `ALTER` does it in place.
    Alter,
    /// The object is dropped and recreated, and so is what depends on it.
    Replace,
    /// Like `Alter`; if the files leave it out, the database's value stays.
    AlterIfSaid,
    /// Written at creation, never compared.
    CreationOnly,
}

/// A typed name of an attribute; access through it is checked by the compiler.
pub struct Key<T> {
    /// The attribute's name.
    pub name: &'static str,
    marker: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    /// The key of the attribute `name`.
    pub const fn new(name: &'static str) -> Self {
        Self { name, marker: PhantomData }
    }
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Key<T> {}

/// A row of a kind's table: `attr(NOT_NULL, Shape::Flag, Form::Flag, OnChange::Alter, "…")`.
pub const fn attr<T>(key: Key<T>, shape: Shape, form: Form, on_change: OnChange, doc: &'static str) -> Attr {
    Attr { name: key.name, shape, form, on_change, default: None, doc, since: 0 }
}

impl Attr {
    /// Says which written value is the default, and so is never stored.
    #[must_use]
    pub const fn default(self, value: &'static str) -> Attr {
        Attr { default: Some(value), ..self }
    }

    /// Says since which major version PostgreSQL knows it.
    #[must_use]
    pub const fn since(self, major: u32) -> Attr {
        Attr { since: major, ..self }
    }
}
