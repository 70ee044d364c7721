//! Replica identities of tables: `replica-identity full`, `replica-identity index=orders_number_key`.

use crate::catalog::{Book, Row, Version};
use crate::kdl::{Arg, Node, Problem, Prop};
use crate::kinds::scope::Scope;
use crate::kinds::{Context, Folded, LockMode, Room, Statement, constraint, generic};
use crate::model::{
    Address, Attr, Attrs, Form, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Shape, Text, Within,
    attr,
};
use crate::sql;

use super::index_of::{self, INDEX};

const WHAT: Key<Text> = Key::new("what");

const WAYS: &[&str] = &["full", "nothing"];

static ATTRS: [Attr; 2] = [
    attr(WHAT, Shape::Word(WAYS), Form::Argument, OnChange::Alter, "The whole row, or nothing."),
    attr(INDEX, Shape::Ref(&["index"]), Form::Custom, OnChange::Alter, "A unique index or key: `index=NAME`."),
];

pub static KIND: Kind = Kind {
    word: "replica-identity",
    sql: "REPLICA IDENTITY",
    address: Address::Facet,
    within: Within::Of(&["table"]),
    namespace: Namespace::Own,
    attrs: &ATTRS,
    folds: false,
    doc: "How logical replication identifies an old row, if not by the primary key.",
};

pub struct ReplicaIdentity;
pub static ROOM: ReplicaIdentity = ReplicaIdentity;

impl Room for ReplicaIdentity {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        index_of::parse(&ROOM, node, scope, |node| {
            let at = node.props.iter().position(|prop| &*prop.name == INDEX.name);
            match (at, node.args.is_empty()) {
                (None, true) => {
                    let problem = Problem::new(node.name_span, "a replica identity is `full`, `nothing` or an index");
                    Err(problem.label("write `replica-identity index=NAME`"))
                }
                (Some(_), false) => {
                    let problem = Problem::new(node.name_span, "a replica identity is an index or a word, not both");
                    Err(problem.label("leave one of them out"))
                }
                (at, _) => Ok(at.map(|at| node.props.remove(at).value)),
            }
        });
    }

    fn write(&self, id: &ObjectId, object: &Object, inner: Vec<Node>) -> Option<Node> {
        let mut node = generic::write(id, object, inner);
        if let Some(index) = object.get(INDEX) {
            let value = Arg::text(index.name().text());
            node.props.push(Prop::new(INDEX.name, value));
        }
        Some(node)
    }

    fn query(&self, _: Version) -> Option<String> {
        Some(
            "SELECT c.oid, c.oid, c.relreplident, i.indexrelid, x.relname::text FROM pg_class c \
             LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisreplident AND c.relreplident = 'i' \
             LEFT JOIN pg_class x ON x.oid = i.indexrelid \
             WHERE c.relkind IN ('r', 'p') AND c.relreplident <> 'd' AND c.oid >= 16384 AND c.relpersistence <> 't' ORDER BY c.oid"
                .into(),
        )
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        Some(ObjectId::facet(&KIND, book.relation(row.oid())?.clone()))
    }

    fn read(&self, row: &mut Row, _: &ObjectId, book: &Book) -> Option<Object> {
        let (table, way, index, name) = (row.oid(), row.char(), row.oid(), row.text_opt());
        let mut attrs = Attrs::new();
        match (way, name) {
            ('f', _) => attrs.set(WHAT, Text::from("full")),
            ('i', Some(name)) => attrs.set(INDEX, index_of::stored(index, name, book.relation(table)?, book)),
            // Also where the index is gone (src/backend/utils/cache/relcache.c, RelationGetReplicaIndex).
            _ => attrs.set(WHAT, Text::from("nothing")),
        };
        Some(Object::new(attrs))
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        let identity = match (object.get(INDEX), object.get(WHAT)) {
            (Some(index), _) => format!("USING INDEX {}", sql::name(index.name())),
            (None, what) => what.map_or_else(|| "DEFAULT".into(), |what| what.to_uppercase()),
        };
        Ok(vec![statement(id, &identity)])
    }

    fn alter(
        &self,
        id: &ObjectId,
        _: &Object,
        new: &Object,
        _: &[&'static str],
        cx: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        self.create(id, new, &[], cx)
    }

    fn drop(&self, id: &ObjectId, _: &Object, _: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(vec![statement(id, "DEFAULT")])
    }
}

fn statement(id: &ObjectId, identity: &str) -> Statement {
    constraint::alter_parent(id, LockMode::AccessExclusive, &format!("REPLICA IDENTITY {identity}"))
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{alter, create, load, round_trip};

    #[test]
    fn every_form_is_written_and_created() {
        let state = round_trip(
            "table t {\n    column a integer not-null\n    unique a\n    replica-identity index=t_a_key\n}\n\ntable u {\n    replica-identity full\n}\n",
        );
        assert_eq!(
            create(&state, "replica-identity"),
            ["ALTER TABLE public.t REPLICA IDENTITY USING INDEX t_a_key", "ALTER TABLE public.u REPLICA IDENTITY FULL"]
        );
    }

    #[test]
    fn it_is_altered_in_place() {
        let file = |identity: &str| format!("table t {{\n    column a integer\n    {identity}\n}}\n");
        assert_eq!(
            alter(&file("replica-identity full"), &file("replica-identity nothing"), "replica-identity"),
            ["ALTER TABLE public.t REPLICA IDENTITY NOTHING"]
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        let problems = |identity: &str| load(&format!("table t {{\n    column a integer\n    {identity}\n}}\n")).1;
        assert_eq!(problems("replica-identity"), ["a replica identity is `full`, `nothing` or an index"]);
        assert_eq!(problems("replica-identity index=i"), ["table public.t has no index `i`"]);
        assert_eq!(problems("index i a; replica-identity full index=i").len(), 1);
    }
}
