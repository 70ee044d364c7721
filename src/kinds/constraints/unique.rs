//! Unique constraints: `unique email`.

use crate::catalog::{Book, Row, Version};
use crate::kdl::Node;
use crate::kinds::scope::Scope;
use crate::kinds::{Context, Disturbance, Folded, Heirs, Reaction, Room, Statement};
use crate::model::{Address, Attr, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, State, Within};

use super::constraint;
use super::key_constraint::{self as key, definition};

static ATTRS: [Attr; 9] = [
    constraint::columns_attr(),
    key::nulls_not_distinct_attr(),
    key::without_overlaps_attr(),
    constraint::deferrable_attr(OnChange::Replace),
    constraint::initially_deferred_attr(OnChange::Replace),
    constraint::tablespace_attr(),
    constraint::include_attr(),
    constraint::with_attr(),
    key::same_as_attr(),
];

pub static KIND: Kind = Kind {
    word: "unique",
    sql: "CONSTRAINT",
    address: Address::NamedOn,
    within: Within::Of(&["table", "column"]),
    namespace: Namespace::IndexConstraint,
    attrs: &ATTRS,
    folds: true,
    doc: "Columns whose combined values must be unique.",
};

const LABEL: &str = "key";
const WORDS: &str = "UNIQUE";

pub struct Unique;
pub static ROOM: Unique = Unique;

impl Room for Unique {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn heirs(&self, _: bool) -> Heirs {
        Heirs::Partitions
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        key::parse(&ROOM, LABEL, node, scope);
    }

    fn write(&self, id: &ObjectId, object: &Object, inner: Vec<Node>) -> Option<Node> {
        Some(constraint::write(id, object, inner, &key::naming(&object.attrs, LABEL)))
    }

    fn named_after(&self, _: &ObjectId, object: &Object, _: &State) -> Option<constraint::Naming<'static>> {
        Some(key::naming(&object.attrs, LABEL))
    }

    fn query(&self, server: Version) -> Option<String> {
        Some(key::query('u', server))
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        key::name(&KIND, row, book)
    }

    fn read(&self, row: &mut Row, _: &ObjectId, book: &Book) -> Option<Object> {
        key::read(row, book)
    }

    fn reaction(&self, _: &ObjectId, object: &Object, disturbance: &Disturbance) -> Reaction {
        key::reaction(object, disturbance)
    }

    fn clause(&self, id: &ObjectId, object: &Object, _: &[Folded], cx: &Context<'_>) -> Option<String> {
        key::folds(object, cx).then(|| constraint::clause(id, &definition(object, WORDS)))
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(key::create(id, object, WORDS))
    }

    fn alter(
        &self,
        id: &ObjectId,
        old: &Object,
        new: &Object,
        changed: &[&'static str],
        _: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        Ok(constraint::alter_index(id, old, new, changed))
    }

    fn rename(&self, from: &ObjectId, to: &ObjectId, _: &Object, _: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(constraint::rename(from, to))
    }

    fn drop(&self, id: &ObjectId, _: &Object, _: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(constraint::drop(id))
    }
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{alter, create, load, round_trip};

    #[test]
    fn every_form_is_written_and_created() {
        let state = round_trip(
            "table t {\n    column a integer\n    column b integer\n    unique a {\n        include b\n    }\n    unique b name=odd nulls-not-distinct=#true deferrable=#true tablespace=fast {\n        with fillfactor=70\n    }\n}\n",
        );
        assert_eq!(
            create(&state, "unique"),
            [
                "ALTER TABLE public.t ADD CONSTRAINT t_a_b_key UNIQUE (a) INCLUDE (b)",
                "ALTER TABLE public.t ADD CONSTRAINT odd UNIQUE NULLS NOT DISTINCT (b) WITH (fillfactor='70') USING INDEX TABLESPACE fast DEFERRABLE",
            ]
        );
    }

    #[test]
    fn storage_is_altered_and_all_else_replaced() {
        let file = |unique: &str| format!("table t {{\n    column a integer\n    {unique}\n}}\n");
        let (old, new) = (file("unique a"), file("unique a { with fillfactor=70; deferrable }"));
        assert_eq!(
            alter(&old, &new, "unique"),
            ["replace because of deferrable", "ALTER INDEX public.t_a_key SET (fillfactor='70')"]
        );
    }

    #[test]
    fn names_do_not_collide() {
        let (state, problems) =
            load("table t {\n    column a integer\n    unique a\n    unique a\n    unique a name=t_a_key1\n}\n");
        assert_eq!(problems, Vec::<String>::new());
        let names: Vec<&str> =
            state.iter().filter(|(id, _)| id.kind().word == "unique").map(|(id, _)| id.name().as_str()).collect();
        assert_eq!(names, ["t_a_key", "t_a_key2", "t_a_key1"]);
    }
}
