//! The interface of a room: the knowledge about one kind of object, in the form that the stages need.

use crate::catalog::{Book, Row, Version};
use crate::kdl::Node;
use crate::kinds::constraint::Naming;
use crate::kinds::held::Held;
use crate::kinds::rights::{self, Demand};
use crate::kinds::scope::Scope;
use crate::kinds::{
    BuiltIns, Context, Direction, Disturbance, Evaluates, Folded, Heirs, Holds, LockMode, Need, Reaction, Statement,
    generic, refs::Refs,
};
use crate::model::{Attr, Ident, KindRef, Namespace, Object, ObjectId, OnChange, Result, State, Text};
use crate::sql;

/// One kind of object: how it is read, written, created, altered and dropped.
pub trait Room: Sync {
    /// The kind's description of itself.
    fn kind(&self) -> KindRef;

    // ---- KDL ------------------------------------------------------------------------------------------------------

    /// Other words whose nodes the room reads: short forms (`references`).
    fn words(&self) -> &'static [&'static str] {
        &[]
    }

    /// Reads a node into one or more objects. By default the kind's table of attributes says how.
    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        generic::parse(self.kind(), node, scope);
    }

    /// Completes an object of the files with what it lacks, once all of them are read.
    fn lacks(&self, _id: &ObjectId, _object: &Object, _state: &State) -> Option<String> {
        None
    }

    /// Writes an object; its children (`inner`, already written) go into its node. `None`: it is written by its parent.
    fn write(&self, id: &ObjectId, object: &Object, inner: Vec<Node>) -> Option<Node> {
        Some(generic::write(id, object, inner))
    }

    /// Another name that a node declares, as a reference: that of a range's multirange.
    fn also_declares(&self, _node: &Node) -> Option<Text> {
        None
    }

    // ---- catalog --------------------------------------------------------------------------------------------------

    /// The one query that reads all objects of the kind. It may leave out what has an OID below 16384.
    fn query(&self, _server: Version) -> Option<String> {
        None
    }

    /// First pass: reads the columns that address the row, enters it into the book, and returns its id.
    /// `None` if its schema or parent is not in the book, or it belongs to an extension. Rooms are asked in the order of `ROOMS`.
    fn name(&self, _row: &mut Row, _book: &mut Book) -> Option<ObjectId> {
        None
    }

    /// Second pass, all names known: reads the remaining columns. `None`: the row turns out not to be a separate object.
    fn read(&self, _row: &mut Row, _id: &ObjectId, _book: &Book) -> Option<Object> {
        None
    }

    // ---- dependencies and changes ---------------------------------------------------------------------------------

    /// What of the object older servers do not know beyond what the table of attributes says, and the first major version that does.
    fn since(&self, _object: &Object) -> Option<(u32, String)> {
        None
    }

    /// What the object needs beyond its parent, its references, and the types and names in its attributes (all found without it).
    fn refers(&self, _id: &ObjectId, _object: &Object, _refs: &mut Refs) {}

    /// Objects that this one requires although it does not name them: the grant that lets a role grant
    /// privileges to others.
    fn rests_on(&self, _id: &ObjectId, _object: &Object, _state: &State) -> Vec<ObjectId> {
        Vec::new()
    }

    /// Whether a change to an object that depends on another one grants or revokes something.
    fn change(&self, _id: &ObjectId, _old: &Object, _new: &Object) -> Direction {
        Direction::Any
    }

    /// The object, besides its parent, whose DROP also drops this one (an owned sequence and its column).
    fn vanishes_with(&self, _id: &ObjectId, _state: &State) -> Option<ObjectId> {
        None
    }

    /// What this change of an attribute means; the default is what the table says.
    fn on_change(&self, attr: &'static Attr, _old: &Object, _new: &Object) -> OnChange {
        attr.on_change
    }

    /// True if two unequal values of the attribute mean the same: a value that may not be read does not differ.
    fn same(&self, _attr: &'static Attr, _old: &Object, _new: &Object) -> bool {
        false
    }

    /// Where the catalog keeps the owner and the privileges of the objects; `None` if they have no owner of their own.
    fn held(&self) -> Option<&'static Held> {
        None
    }

    /// The privileges that are needed to create, alter or drop an object.
    fn need(&self) -> Need {
        Need::Owner
    }

    /// The privileges that a role needs on other things than the object, to create it or to alter the attributes `changed` of it.
    fn rights(&self, _id: &ObjectId, object: &Object, changed: Option<&[&'static str]>) -> Vec<Demand> {
        // A superuser has them all.
        match self.need() {
            Need::Superuser | Need::SuperuserToMake => Vec::new(),
            _ => rights::of_attrs(self.kind(), object, changed),
        }
    }

    /// The privileges that a role needs to drop an object, beyond those on the object.
    fn rights_to_drop(&self, _id: &ObjectId, _object: &Object, _cx: &Context<'_>) -> Vec<Demand> {
        Vec::new()
    }

    /// The other table that is locked when the object is created or (`drops`) dropped, even if that happens along with its parent.
    fn reaches(&self, _object: &Object, _drops: bool) -> Option<(LockMode, ObjectId)> {
        None
    }

    /// Which heirs of a table a change to the object on it applies to, and locks; `drops`: if it is dropped.
    fn heirs(&self, _drops: bool) -> Heirs {
        Heirs::None
    }

    /// True if changing the object on a table requires ownership of the table's heirs, too; `drops`: if it is dropped.
    fn needs_heirs(&self, drops: bool, _server: Version) -> bool {
        self.heirs(drops) == Heirs::All && self.need() == Need::Owner
    }

    /// True for a part that decides who sees which part of its parent: it is created and dropped together with everything else that decides that.
    fn guards(&self) -> bool {
        false
    }

    /// Puts the new address of an object in place of the old one where a text of this one names it: an index's operator class.
    fn follow(&self, _object: &mut Object, _from: &ObjectId, _to: &ObjectId) {}

    /// Sorts again what is kept sorted by name, after names changed.
    fn sort(&self, _object: &mut Object) {}

    /// The address of an object that is named after another one, which may have a new name.
    fn called_after(&self, _id: &ObjectId, _object: &Object) -> Option<ObjectId> {
        None
    }

    /// What PostgreSQL makes the object's name of, if nobody gives it one. A text in it has the columns' names as they are in `state`.
    fn named_after(&self, _id: &ObjectId, _object: &Object, _state: &State) -> Option<Naming<'static>> {
        None
    }

    /// Says the name that an object was given as a part of `_before`, which is called otherwise now. True if that is news.
    fn keeps_name(&self, _before: &ObjectId, _object: &mut Object) -> bool {
        false
    }

    /// True for a part that keeps its parent from being dropped instead of vanishing with it: a server's user mapping.
    fn goes_first(&self) -> bool {
        false
    }

    /// The object whose parts this one has implicitly, under names of their own: a partition's parent.
    fn shares_parts_of(&self, _object: &Object) -> Option<ObjectId> {
        None
    }

    /// The parent parts that this one corresponds to in an inheriting table: what the table keeps when it stops inheriting.
    fn inherited_from(&self, _id: &ObjectId, _state: &State) -> Vec<ObjectId> {
        Vec::new()
    }

    /// Objects that must change before this object's attributes do.
    fn changes_after(&self, _id: &ObjectId, _new: &Object, _changed: &[&'static str], _state: &State) -> Vec<ObjectId> {
        Vec::new()
    }

    /// The facet of the same parent that decides what this one means, by its word: an owner has privileges that were never granted.
    fn depends_on_facet(&self) -> Option<&'static str> {
        None
    }

    /// The relation whose columns its expressions use: its parent, unless it is declared elsewhere (statistics).
    fn relation(&self, id: &ObjectId, _object: &Object) -> Option<ObjectId> {
        id.parent().cloned()
    }

    /// The column that the object supplies with values: it never lacks a source while one such object replaces another.
    fn fills(&self, _id: &ObjectId, _state: &State) -> Option<ObjectId> {
        None
    }

    /// True for a type whose attributes `changed` cannot change because of what has values of it, or for a part that cannot come, go or
    /// change: the whole has to be made again.
    fn is_held(&self, _id: &ObjectId, _changed: &[&'static str], _state: &State) -> bool {
        false
    }

    /// The object on the other side of a plan that this one replaces, and that must exist while it is created.
    fn goes_on_from(&self, _id: &ObjectId, _state: &State, _other: &State) -> Option<ObjectId> {
        None
    }

    /// The name of a relation that is created and dropped with the object without being a separate object: an identity's sequence.
    fn takes(&self, _id: &ObjectId, _object: &Object) -> Option<Ident> {
        None
    }

    /// The address of another type that is created and dropped with the object: a range's multirange.
    fn other_type(&self, _id: &ObjectId, _object: &Object) -> Option<ObjectId> {
        None
    }

    /// For parts that are not objects: true if the whole has one of that name.
    fn is_in(&self, _name: &Ident, _whole: &Object) -> bool {
        false
    }

    /// For parts that are not objects: renames the one of that name in the whole.
    fn rename_in(&self, _from: &Ident, _to: &Ident, _whole: &mut Object) {}

    /// For parts that are values: the constant, as PostgreSQL prints it in stored SQL.
    fn constant(&self, _id: &ObjectId) -> Option<String> {
        None
    }

    /// Built-in objects of the kind, if people name them without a schema.
    fn built_ins(&self) -> BuiltIns {
        BuiltIns::None
    }

    /// For types: what their values consist of.
    fn holds(&self, _id: &ObjectId, _object: &Object, _state: &State) -> Option<Holds> {
        None
    }

    /// True for what provides other objects that the model does not know: an extension.
    fn provides_unknown(&self) -> bool {
        false
    }

    /// True if queries that never name the object fail without it: those that sort by a type's default operator class.
    fn serves_queries(&self, _object: &Object) -> bool {
        false
    }

    /// True for what others use without naming it, in ways that PostgreSQL does not record: a cast.
    fn serves_unnamed(&self) -> bool {
        false
    }

    /// What becomes of an object of this kind when something it depends on is dropped and recreated, or gets another type.
    fn reaction(&self, _id: &ObjectId, _object: &Object, _disturbance: &Disturbance) -> Reaction {
        Reaction::Replace
    }

    /// A placeholder for the object while others are created or dropped that need it and that it needs: the same for those that
    /// name it, but it needs nothing that its body or query names. It can be altered into the object, and the object into it.
    fn placeholder(&self, _object: &Object) -> Option<Object> {
        None
    }

    /// True if the object holds an expression over columns. When one of them gets a type that its values have to be converted to,
    /// PostgreSQL keeps the expression with the casts that it had, so going there and back would accumulate them.
    fn computes(&self, _object: &Object) -> bool {
        false
    }

    // ---- DDL ------------------------------------------------------------------------------------------------------

    /// The folded form: a clause of the parent's CREATE. `None`: it cannot be one.
    /// `folded` are the object's own children that become part of the clause (a column's default).
    fn clause(&self, _id: &ObjectId, _object: &Object, _folded: &[Folded], _cx: &Context<'_>) -> Option<String> {
        None
    }

    /// What the folded form cannot express, to be done after the parent's CREATE.
    fn rest(&self, _id: &ObjectId, _object: &Object, _cx: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(Vec::new())
    }

    /// Creates the object with the children that could be folded into it.
    fn create(&self, id: &ObjectId, object: &Object, folded: &[Folded], cx: &Context<'_>) -> Result<Vec<Statement>>;

    /// Alters the attributes `changed` from `old` to `new` in place.
    fn alter(
        &self,
        id: &ObjectId,
        old: &Object,
        new: &Object,
        changed: &[&'static str],
        cx: &Context<'_>,
    ) -> Result<Vec<Statement>>;

    /// Renames; by default `ALTER kind target RENAME TO name`.
    fn rename(&self, from: &ObjectId, to: &ObjectId, _object: &Object, _cx: &Context<'_>) -> Result<Vec<Statement>> {
        let sql = format!("ALTER {} RENAME TO {}", sql::target(from), sql::name(to.name()));
        let statement = Statement::new(sql);
        // The state before has it under its new name already.
        let relation = self.kind().namespace == Namespace::Relation;
        Ok(vec![if relation { statement.locks(LockMode::AccessExclusive, to) } else { statement }])
    }

    /// Renames the object to make room for another one of its name; by default like any rename.
    fn set_aside(&self, from: &ObjectId, to: &ObjectId, object: &Object, cx: &Context<'_>) -> Result<Vec<Statement>> {
        self.rename(from, to, object, cx)
    }

    /// Gives a column the rebuilt type of the same name; the old type, which `cx` has, is called `aside`. `None`: the kind has no
    /// type to give.
    fn retype(
        &self,
        _id: &ObjectId,
        _object: &Object,
        _aside: (&ObjectId, &ObjectId),
        _cx: &Context<'_>,
    ) -> Option<Result<Statement>> {
        None
    }

    /// What code of others its statements may run; by default, whether there is SQL in them. Renames and placeholders run nothing.
    fn evaluates(&self, _creates: bool) -> Evaluates {
        if self.kind().has_sql() { Evaluates::Parses } else { Evaluates::Nothing }
    }

    /// Drops; by default `DROP kind target`.
    fn drop(&self, id: &ObjectId, _object: &Object, _cx: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(vec![Statement::new(format!("DROP {}", sql::target(id)))])
    }
}
