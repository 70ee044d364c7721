//! The index that CLUSTER sorts a table by: `cluster orders_placed`.

use crate::catalog::{Book, Row, Version};
use crate::kdl::{Arg, Node, Problem};
use crate::kinds::scope::Scope;
use crate::kinds::{Context, Folded, LockMode, Room, Statement, constraint, generic};
use crate::model::{
    Address, Attr, Attrs, Form, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Shape, Within, attr,
};
use crate::sql;

use super::index_of::{self, INDEX};

static ATTRS: [Attr; 1] = [attr(
    INDEX,
    Shape::Ref(&["index"]),
    Form::Custom,
    OnChange::Alter,
    "The index or key, as an argument. Only CLUSTER itself moves rows.",
)];

pub static KIND: Kind = Kind {
    word: "cluster",
    sql: "CLUSTER",
    address: Address::Facet,
    within: Within::Of(&["table", "materialized-view"]),
    namespace: Namespace::Own,
    attrs: &ATTRS,
    folds: false,
    doc: "The index that CLUSTER sorts the rows by.",
};

pub struct Cluster;
pub static ROOM: Cluster = Cluster;

impl Room for Cluster {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        index_of::parse(&ROOM, node, scope, |node| match std::mem::take(&mut node.args).as_slice() {
            [index] => Ok(Some(index.clone())),
            _ => {
                let problem = Problem::new(node.name_span, "a table is clustered by one index");
                Err(problem.label("write `cluster INDEX`"))
            }
        });
    }

    fn write(&self, id: &ObjectId, object: &Object, inner: Vec<Node>) -> Option<Node> {
        let mut node = generic::write(id, object, inner);
        node.args.push(Arg::text(object.get(INDEX)?.name().text()));
        Some(node)
    }

    fn query(&self, _: Version) -> Option<String> {
        Some(
            "SELECT i.indrelid, i.indrelid, i.indexrelid, c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
             WHERE i.indisclustered AND i.indrelid >= 16384 AND c.relpersistence <> 't' ORDER BY i.indrelid"
                .into(),
        )
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        Some(ObjectId::facet(&KIND, book.relation(row.oid())?.clone()))
    }

    fn read(&self, row: &mut Row, _: &ObjectId, book: &Book) -> Option<Object> {
        let (table, index, name) = (row.oid(), row.oid(), row.text());
        Some(Object::new(Attrs::new().with(INDEX, index_of::stored(index, name, book.relation(table)?, book))))
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        let what = object.get(INDEX).map(|index| format!("CLUSTER ON {}", sql::name(index.name())));
        Ok(what.map(|what| statement(id, &what)).into_iter().collect())
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
        Ok(vec![statement(id, "SET WITHOUT CLUSTER")])
    }
}

fn statement(id: &ObjectId, what: &str) -> Statement {
    constraint::alter_parent(id, LockMode::ShareUpdateExclusive, what)
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{alter, create, load, round_trip};

    #[test]
    fn every_form_is_written_and_created() {
        let state = round_trip(
            "table t {\n    column a integer not-null\n    primary-key a\n    cluster t_pkey\n}\n\nmaterialized-view v {\n    sql \"SELECT 1 AS a\"\n    index i a\n    cluster i\n}\n",
        );
        assert_eq!(
            create(&state, "cluster"),
            ["ALTER TABLE public.t CLUSTER ON t_pkey", "ALTER MATERIALIZED VIEW public.v CLUSTER ON i"]
        );
    }

    #[test]
    fn another_index_takes_its_place() {
        let file = |by: &str| {
            format!("table t {{\n    column a integer\n    index i a\n    index j a\n    cluster {by}\n}}\n")
        };
        assert_eq!(alter(&file("i"), &file("j"), "cluster"), ["ALTER TABLE public.t CLUSTER ON j"]);
        assert_eq!(load(&file("k")).1, ["table public.t has no index `k`"]);
    }
}
