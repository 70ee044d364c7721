//! Schemas in publications: `tables-in-schema app` in a `publication` (since PostgreSQL 15).

use crate::catalog::{Book, Row, Version, class};
use crate::kdl::{Arg, Node, Problem};
use crate::kinds::scope::{Scope, schema_id};
use crate::kinds::{Context, Folded, Need, Room, Statement, generic};
use crate::model::{
    Address, Attr, Attrs, Form, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Shape, Within, attr,
};
use crate::sql;

const SCHEMA: Key<ObjectId> = Key::new("schema");

/// The node's name, in PostgreSQL's words.
const WORDS: &[&str] = &["tables-in-schema"];

static ATTRS: [Attr; 1] = [attr(SCHEMA, Shape::Ref(&["schema"]), Form::Custom, OnChange::CreationOnly, "The schema.")];

pub static KIND: Kind = Kind {
    word: "publication-schema",
    sql: "TABLES IN SCHEMA",
    address: Address::NamedOn,
    within: Within::Of(&["publication"]),
    namespace: Namespace::Own,
    attrs: &ATTRS,
    folds: true,
    doc: "A schema in a publication, which publishes all its tables; its node is called `tables-in-schema`.",
};

pub struct PublicationSchema;
pub static ROOM: PublicationSchema = PublicationSchema;

impl Room for PublicationSchema {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn since(&self, _: &Object) -> Option<(u32, String)> {
        Some((15, "publishing a schema".to_string()))
    }

    fn need(&self) -> Need {
        Need::Superuser
    }

    fn words(&self) -> &'static [&'static str] {
        WORDS
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        let ([arg], Some(publication)) = (node.args.as_slice(), scope.parent.clone()) else {
            let problem = Problem::new(node.name_span, "one schema is expected here");
            scope.problem(problem.label("write `tables-in-schema NAME`"));
            return;
        };
        let Some(name) = generic::name_of(arg, scope) else { return };
        // Schema public is there without a word.
        let schema = match name.as_str() {
            "public" => Some(schema_id("public")),
            name => scope.resolve(&["schema"], &sql::reference::join(&[name]), arg.span),
        };
        let Some(schema) = schema else { return };
        let id = ObjectId::new(&KIND, Some(publication), schema.name().clone());
        let rest = Node { args: Vec::new(), ..node.clone() };
        if let Some(object) = generic::parse_as(id, &rest, 0, scope) {
            object.attrs.set(SCHEMA, schema);
        }
    }

    fn write(&self, id: &ObjectId, object: &Object, inner: Vec<Node>) -> Option<Node> {
        let mut node = generic::write(id, object, inner);
        node.name = WORDS.first().copied()?.into();
        node.args = vec![Arg::text(id.name().text())];
        Some(node)
    }

    fn called_after(&self, id: &ObjectId, object: &Object) -> Option<ObjectId> {
        Some(id.renamed(object.get(SCHEMA)?.name().clone()))
    }

    fn query(&self, server: Version) -> Option<String> {
        let query = "SELECT s.oid, s.pnpubid, s.pnnspid, s.pnnspid FROM pg_publication_namespace s ORDER BY s.oid";
        server.at_least(15).then(|| query.into())
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (oid, publication, schema) = (row.oid(), row.oid(), row.oid());
        let publication = book.get(class::PG_PUBLICATION, publication)?.clone();
        let id = ObjectId::new(&KIND, Some(publication), book.schema(schema)?.name().clone());
        book.add(class::PG_PUBLICATION_NAMESPACE, oid, id.clone());
        Some(id)
    }

    fn read(&self, row: &mut Row, _: &ObjectId, book: &Book) -> Option<Object> {
        Some(Object::new(Attrs::new().with(SCHEMA, book.schema(row.oid())?.clone())))
    }

    fn clause(&self, id: &ObjectId, _: &Object, _: &[Folded], _: &Context<'_>) -> Option<String> {
        Some(sql::name(id.name()).to_string())
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(alter(id, object, "ADD").into_iter().collect())
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

    fn drop(&self, id: &ObjectId, object: &Object, _: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(alter(id, object, "DROP").into_iter().collect())
    }
}

fn alter(id: &ObjectId, object: &Object, how: &str) -> Option<Statement> {
    let schema = sql::name(object.get(SCHEMA)?.name()).to_string();
    Some(Statement::new(format!("ALTER {} {how} TABLES IN SCHEMA {schema}", sql::target(id.parent()?))))
}
