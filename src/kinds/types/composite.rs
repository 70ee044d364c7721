//! Composite types: `type address { attribute street text; … }`.

use crate::catalog::{Book, Row, Version, class};
use crate::kinds::held::{self, Held};
use crate::kinds::{Context, Disturbance, Evaluates, Folded, Heirs, Holds, Reaction, Room, Statement};
use crate::model::{Address, Kind, KindRef, Namespace, Object, ObjectId, Result, State, Value, Within};
use crate::sql;

pub static KIND: Kind = Kind {
    word: "type",
    sql: "TYPE",
    address: Address::Qualified,
    within: Within::Schema,
    namespace: Namespace::Relation,
    attrs: &[],
    folds: false,
    doc: "A composite type: a row of attributes.",
};

pub struct Composite;
pub static ROOM: Composite = Composite;

impl Room for Composite {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn held(&self) -> Option<&'static Held> {
        Some(&held::PG_CLASS)
    }

    fn heirs(&self, _: bool) -> Heirs {
        Heirs::All
    }

    fn query(&self, _: Version) -> Option<String> {
        Some(
            "SELECT c.oid, t.oid, t.typarray, c.relnamespace, c.relname FROM pg_class c JOIN pg_type t ON t.oid = c.reltype \
             WHERE c.relkind = 'c' AND c.oid >= 16384 ORDER BY c.oid"
                .into(),
        )
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (relation, own, array, schema, name) = (row.oid(), row.oid(), row.oid(), row.oid(), row.text());
        // An extension owns the type; its relation is only an internal part of it.
        if book.is_member(class::PG_TYPE, own) || book.is_member(class::PG_CLASS, relation) {
            return None;
        }
        let id = ObjectId::new(&KIND, Some(book.schema(schema)?.clone()), name);
        book.add(class::PG_CLASS, relation, id.clone());
        book.add(class::PG_TYPE, own, id.clone());
        book.add(class::PG_TYPE, array, id.clone());
        Some(id)
    }

    fn read(&self, _: &mut Row, _: &ObjectId, _: &Book) -> Option<Object> {
        Some(Object::default())
    }

    /// Its attributes react, not the type.
    fn reaction(&self, _: &ObjectId, _: &Object, disturbance: &Disturbance) -> Reaction {
        disturbance.unless_retyped()
    }

    fn holds(&self, id: &ObjectId, _: &Object, state: &State) -> Option<Holds> {
        let fields = state.inside(id).filter_map(|(child, object)| match object.value("type") {
            Some(Value::Type(sql_type)) => Some((child.name().text(), sql_type.clone())),
            _ => None,
        });
        Some(Holds::Fields(fields.collect()))
    }

    fn evaluates(&self, _: bool) -> Evaluates {
        Evaluates::Rows
    }

    fn create(&self, id: &ObjectId, _: &Object, folded: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        let list: Vec<String> = folded.iter().map(|f| format!("\n    {}", f.clause)).collect();
        let end = if list.is_empty() { "" } else { "\n" };
        Ok(vec![Statement::new(format!("CREATE TYPE {} AS ({}{end})", sql::path(id), list.join(",")))])
    }

    fn alter(
        &self,
        _: &ObjectId,
        _: &Object,
        _: &Object,
        _: &[&'static str],
        _: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        Ok(vec![])
    }
}
