//! Schemas: `schema NAME { … }`. Everything inside the braces belongs to it.

use crate::catalog::{Book, Row, Version, class};
use crate::kdl::{Node, Problem};
use crate::kinds::held::Held;
use crate::kinds::scope::Scope;
use crate::kinds::{Context, Folded, Room, Statement, generic};
use crate::model::{Address, Kind, KindRef, Namespace, Object, ObjectId, Result, Text, Within};
use crate::sql;

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

static HELD: Held = Held {
    owners: Some("(o.oid >= 16384 OR o.nspname = 'public')"),
    acl: "o.nspacl",
    ..Held::global(class::PG_NAMESPACE, "pg_namespace", "nsp")
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

    fn held(&self) -> Option<&'static Held> {
        Some(&HELD)
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        let Some(name) = generic::take_name(node, scope) else { return };
        let id = id(name.text());
        let (inside, own): (Vec<&Node>, Vec<&Node>) =
            node.children.iter().partition(|child| crate::kinds::scope::in_schema(&child.name).is_some());
        declare(&id, node, scope);
        for child in own {
            scope.child(child, &id);
        }
        let mut scope = Scope { schema: id, parent: None, load: &mut *scope.load };
        for child in inside {
            if let Some(room) = crate::kinds::scope::in_schema(&child.name) {
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

/// Enters the schema. Many files may open the same one; attributes beside its name are given once, in any of them.
fn declare(id: &ObjectId, node: &Node, scope: &mut Scope<'_>) {
    let objects = scope.load.state.objects_mut();
    let known =
        objects.get_full(id).map(|(at, _, object)| (at, object.place, object.attrs.is_empty() && object.was.is_none()));
    let says_nothing = node.args.len() == 1 && node.props.is_empty();
    let head = Node { children: Vec::new(), ..node.clone() };
    match known {
        Some(_) if says_nothing => {}
        Some((_, place, false)) => {
            let mut problem =
                Problem::new(node.name_span, format!("{id} is described twice")).label("second description");
            problem.related = place.map(|place| (place, "the first one"));
            scope.problem(problem.help("keep one; elsewhere write only the name and the block"));
        }
        Some((at, _, true)) => {
            objects.shift_remove(id);
            generic::parse_as(id.clone(), &head, 1, scope);
            let objects = scope.load.state.objects_mut();
            if let Some(now) = objects.get_index_of(id) {
                objects.move_index(now, at);
            }
        }
        None => {
            generic::parse_as(id.clone(), &head, 1, scope);
        }
    }
}
