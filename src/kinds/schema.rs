//! Schemas: `schema NAME { … }`. Everything in the braces lives in it.

use crate::catalog::{Book, Row, Version, class};
use crate::kdl::Node;
use crate::model::{Address, Kind, KindRef, Namespace, Object, ObjectId, Result, Text, Within};
use crate::sql;

use super::scope::Scope;
use super::{Context, Folded, Room, Statement, generic};

pub static KIND: Kind = Kind {
    word: "schema",
    sql: "SCHEMA",
    address: Address::Schema,
    within: Within::Top,
    namespace: Namespace::Own,
    attrs: &[],
    folds: false,
    doc: "A namespace for tables, types and routines.",
};

pub struct Schema;
pub static ROOM: Schema = Schema;

/// The id of a schema.
pub fn id(name: impl Into<Text>) -> ObjectId {
    ObjectId::new(&KIND, None, name.into())
}

impl Room for Schema {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        let Some(name) = generic::take_name(node, scope) else { return };
        let id = id(name.text());
        let (inside, own): (Vec<&Node>, Vec<&Node>) = node.children.iter().partition(|child| super::scope::in_schema(&child.name).is_some());
        let facets = Node { children: own.into_iter().cloned().collect(), ..node.clone() };
        generic::parse_as(id.clone(), &facets, 1, scope);
        let mut scope = Scope { schema: id, parent: None, load: &mut *scope.load };
        for child in inside {
            if let Some(room) = super::scope::in_schema(&child.name) {
                room.parse(child, &mut scope);
            }
        }
    }

    fn query(&self, _: Version) -> Option<String> {
        Some(
            "SELECT oid, nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'setpoint') ORDER BY nspname"
                .into(),
        )
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (oid, name) = (row.oid(), row.text());
        let id = id(name);
        if book.is_member(class::PG_NAMESPACE, oid) {
            return None;
        }
        book.add(class::PG_NAMESPACE, oid, id.clone());
        Some(id)
    }

    fn read(&self, _: &mut Row, _: &ObjectId, _: &Book) -> Option<Object> {
        Some(Object::default())
    }

    fn create(&self, id: &ObjectId, _: &Object, _: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(vec![Statement::new(format!("CREATE SCHEMA {}", sql::path(id)))])
    }

    fn alter(&self, _: &ObjectId, _: &Object, _: &Object, _: &[&'static str], _: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(vec![])
    }
}
