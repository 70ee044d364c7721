//! Primary keys: `primary-key id`.

use crate::catalog::{Book, Row, Version};
use crate::kdl::{Node, Problem};
use crate::kinds::scope::Scope;
use crate::kinds::{Context, Disturbance, Evaluates, Folded, Heirs, Reaction, Room, Statement};
use crate::model::{Address, Attr, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, State, Value, Within};

use super::constraint::{self, COLUMNS};
use super::key_constraint::{self as key, definition};

static ATTRS: [Attr; 8] = [
    constraint::columns_attr(),
    key::without_overlaps_attr(),
    constraint::deferrable_attr(OnChange::Replace),
    constraint::initially_deferred_attr(OnChange::Replace),
    constraint::tablespace_attr(),
    constraint::include_attr(),
    constraint::with_attr(),
    key::same_as_attr(),
];

pub static KIND: Kind = Kind {
    word: "primary-key",
    sql: "CONSTRAINT",
    address: Address::NamedOn,
    within: Within::Of(&["table", "column"]),
    namespace: Namespace::PrimaryKey,
    attrs: &ATTRS,
    folds: true,
    doc: "The columns that identify a row; they are never NULL.",
};

const LABEL: &str = "pkey";
const WORDS: &str = "PRIMARY KEY";

pub struct PrimaryKey;
pub static ROOM: PrimaryKey = PrimaryKey;

impl Room for PrimaryKey {
    fn kind(&self) -> KindRef {
        &KIND
    }

    /// Heirs have no such key, but its columns become NOT NULL there as well (`ATPrepAddPrimaryKey`, tablecmds.c).
    fn heirs(&self, drops: bool) -> Heirs {
        if drops { Heirs::Partitions } else { Heirs::All }
    }

    /// Since 18, a column that is NOT NULL already is left alone, there as here.
    fn needs_heirs(&self, drops: bool, server: Version) -> bool {
        !drops && !server.at_least(18)
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        if let Some(id) = key::parse(&ROOM, LABEL, node, scope) {
            one_per_table(&id, scope);
            make_not_null(&id, scope);
        }
    }

    fn write(&self, id: &ObjectId, object: &Object, inner: Vec<Node>) -> Option<Node> {
        Some(constraint::write(id, object, inner, &key::naming(&object.attrs, LABEL)))
    }

    fn named_after(&self, _: &ObjectId, object: &Object, _: &State) -> Option<constraint::Naming<'static>> {
        Some(key::naming(&object.attrs, LABEL))
    }

    fn query(&self, server: Version) -> Option<String> {
        Some(key::query('p', server))
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

    fn evaluates(&self, creates: bool) -> Evaluates {
        if creates { Evaluates::Constants } else { Evaluates::Nothing }
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

fn one_per_table(id: &ObjectId, scope: &mut Scope<'_>) {
    let keys = id.parent().and_then(|table| scope.load.keys.get(table));
    let other = keys.into_iter().flatten().find(|key| key.is(&KIND) && *key != id).cloned();
    let place = |id: &ObjectId| scope.load.state.get(id).and_then(|key| key.place).unwrap_or_default();
    let Some(other) = other else { return };
    // Keys with a name of their own are read before those without.
    let (first, second) = (place(id).min(place(&other)), place(id).max(place(&other)));
    let table = id.parent().map_or_else(String::new, ToString::to_string);
    let mut problem = Problem::new(second, format!("{table} has two primary keys")).label("second one");
    problem.related = Some((first, "the first one"));
    scope.problem(problem.help("make one of them `unique`"));
}

/// A primary key makes its columns NOT NULL, which stays when it is dropped: the columns have it, here as in the catalog.
fn make_not_null(id: &ObjectId, scope: &mut Scope<'_>) {
    let state = &mut scope.load.state;
    let place = state.get(id).and_then(|o| o.place);
    let columns: Vec<ObjectId> =
        state.get(id).and_then(|o| o.get(COLUMNS)).unwrap_or_default().into_iter().cloned().collect();
    for column in columns {
        if state.has(&column) || !constraint::inherits_not_null(state, &column) {
            let object = state.objects_mut().entry(column).or_default();
            object.attrs.put("not-null", Value::Bool(true));
            object.place = object.place.or(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::{create, load, round_trip};

    #[test]
    fn every_form_is_written_and_created() {
        let state = round_trip(
            "table t {\n    column a integer not-null\n    column b integer\n    primary-key a {\n        include b\n    }\n}\n\ntable u {\n    column a integer not-null\n    primary-key a name=odd\n}\n",
        );
        assert_eq!(
            create(&state, "primary-key"),
            [
                "ALTER TABLE public.t ADD CONSTRAINT t_pkey PRIMARY KEY (a) INCLUDE (b)",
                "ALTER TABLE public.u ADD CONSTRAINT odd PRIMARY KEY (a)",
            ]
        );
    }

    #[test]
    fn its_columns_are_not_null() {
        let (state, problems) = load("table t {\n    column a integer\n    primary-key a\n}\n");
        assert_eq!(problems, Vec::<String>::new());
        let (_, column) = state.iter().find(|(id, _)| id.kind().word == "column").unwrap();
        assert_eq!(column.value("not-null"), Some(&Value::Bool(true)));
    }

    #[test]
    fn a_table_has_one() {
        let (_, problems) = load("table t {\n    column a integer\n    primary-key a\n    primary-key a name=x\n}\n");
        assert_eq!(problems, ["table public.t has two primary keys"]);
    }
}
