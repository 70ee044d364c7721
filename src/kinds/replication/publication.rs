//! Publications: `publication orders { table orders }`. What they publish are separate objects inside them.

use crate::catalog::{Book, Row, Version, class};
use crate::kdl::{Node, Problem};
use crate::kinds::held::Held;
use crate::kinds::rights::{self, Demand};
use crate::kinds::scope::Scope;
use crate::kinds::{Context, Folded, Need, Room, Statement, generic};
use crate::model::{
    Address, Attr, Attrs, Form, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Shape, Text, Within,
    attr,
};
use crate::sql;

/// Every table, including future ones.
pub const ALL_TABLES: Key<bool> = Key::new("all-tables");
const VIA_ROOT: Key<bool> = Key::new("publish-via-partition-root");
const GENERATED_COLUMNS: Key<Text> = Key::new("publish-generated-columns");
const PUBLISH: Key<Vec<Text>> = Key::new("publish");

/// In the order of the catalog's columns.
const CHANGES: [&str; 4] = ["insert", "update", "delete", "truncate"];
/// For a publication that publishes no change at all.
const NOTHING: &str = "nothing";

static ATTRS: [Attr; 4] = [
    attr(ALL_TABLES, Shape::Flag, Form::Flag, OnChange::Replace, "Every table, including future ones."),
    attr(
        VIA_ROOT,
        Shape::Flag,
        Form::Property,
        OnChange::Alter,
        "Changes to partitions are published as changes to the root table.",
    ),
    attr(
        GENERATED_COLUMNS,
        Shape::Word(&["none", "stored"]),
        Form::Property,
        OnChange::Alter,
        "Whether generated columns are published if no columns are listed (since 18).",
    )
    .since(18)
    .default("none"),
    attr(
        PUBLISH,
        Shape::Texts,
        Form::Child,
        OnChange::Alter,
        "The operations to publish: insert, update, delete, truncate, or none; all if not given.",
    ),
];

pub static KIND: Kind = Kind {
    word: "publication",
    sql: "PUBLICATION",
    address: Address::Global,
    within: Within::Top,
    namespace: Namespace::Own,
    attrs: &ATTRS,
    folds: false,
    doc: "A set of tables whose changes can be replicated to subscribers.",
};

static HELD: Held = Held::global(class::PG_PUBLICATION, "pg_publication", "pub");

pub struct Publication;
pub static ROOM: Publication = Publication;

impl Room for Publication {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn held(&self) -> Option<&'static Held> {
        Some(&HELD)
    }

    fn need(&self) -> Need {
        Need::Database
    }

    fn rights(&self, _: &ObjectId, object: &Object, changed: Option<&[&'static str]>) -> Vec<Demand> {
        let all = object.is(ALL_TABLES) && changed.is_none();
        all.then(rights::superuser).into_iter().collect()
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        let Some(name) = generic::take_name(node, scope) else { return };
        let id = scope.id(&ROOM, name);
        let Some(object) = generic::parse_as(id, node, 1, scope) else { return };
        let said: Vec<Text> = object.get(PUBLISH).unwrap_or_default().into_iter().cloned().collect();
        if !said.is_empty() {
            object.attrs.set(PUBLISH, publish(CHANGES.map(|change| said.iter().any(|s| &**s == change))));
        }
        if let Some(wrong) = said.iter().find(|said| &***said != NOTHING && !CHANGES.contains(&&***said)) {
            let problem = Problem::new(node.span, format!("`{wrong}` is not an operation that a publication can have"));
            scope.problem(problem.help("operations are insert, update, delete and truncate"));
        }
    }

    fn query(&self, server: Version) -> Option<String> {
        let generated = if server.at_least(18) { "p.pubgencols" } else { "'n'::\"char\"" };
        Some(format!(
            "SELECT p.oid, p.pubname, p.puballtables, p.pubviaroot, {generated}, p.pubinsert, p.pubupdate, p.pubdelete, p.pubtruncate \
             FROM pg_publication p ORDER BY p.pubname"
        ))
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (oid, name) = (row.oid(), row.text());
        if book.is_member(class::PG_PUBLICATION, oid) {
            return None;
        }
        let id = ObjectId::new(&KIND, None, name);
        book.add(class::PG_PUBLICATION, oid, id.clone());
        Some(id)
    }

    fn read(&self, row: &mut Row, _: &ObjectId, _: &Book) -> Option<Object> {
        let mut attrs = Attrs::new();
        attrs.set(ALL_TABLES, row.next::<bool>());
        attrs.set(VIA_ROOT, row.next::<bool>());
        attrs.set(GENERATED_COLUMNS, (row.char() == 's').then(|| "stored".into()));
        attrs.set(PUBLISH, publish(CHANGES.map(|_| row.next::<bool>())));
        Some(Object::new(attrs))
    }

    fn create(&self, id: &ObjectId, object: &Object, folded: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        let list = |word: &str| {
            let clauses = folded.iter().filter(|f| f.id.kind().word == word);
            clauses.map(|f| f.clause.as_str()).collect::<Vec<_>>().join(", ")
        };
        let parts = [("TABLE", list("publication-table")), ("TABLES IN SCHEMA", list("publication-schema"))];
        let parts: Vec<String> =
            parts.iter().filter(|(_, list)| !list.is_empty()).map(|(words, list)| format!("{words} {list}")).collect();
        let mut text = format!("CREATE {}", sql::target(id));
        if object.is(ALL_TABLES) {
            text.push_str(" FOR ALL TABLES");
        } else if !parts.is_empty() {
            text.push_str(&format!(" FOR {}", parts.join(", ")));
        }
        let options: Vec<String> = OPTIONS
            .iter()
            .filter(|name| object.value(name).is_some())
            .filter_map(|name| option(name, object))
            .collect();
        if !options.is_empty() {
            text.push_str(&format!(" WITH ({})", options.join(", ")));
        }
        Ok(vec![Statement::new(text)])
    }

    fn alter(
        &self,
        id: &ObjectId,
        _: &Object,
        new: &Object,
        changed: &[&'static str],
        _: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        let options: Vec<String> = changed.iter().filter_map(|name| option(name, new)).collect();
        if options.is_empty() {
            return Ok(vec![]);
        }
        Ok(vec![Statement::new(format!("ALTER {} SET ({})", sql::target(id), options.join(", ")))])
    }
}

const OPTIONS: [&str; 3] = [PUBLISH.name, VIA_ROOT.name, GENERATED_COLUMNS.name];

/// An option as `WITH` and `SET` have it.
fn option(name: &str, object: &Object) -> Option<String> {
    if name == PUBLISH.name {
        let said = object.get(PUBLISH).map(|list| list.into_iter().map(|change| &**change).collect::<Vec<_>>());
        let changes = said.unwrap_or_else(|| CHANGES.to_vec());
        let changes: Vec<&str> = changes.into_iter().filter(|change| *change != NOTHING).collect();
        Some(format!("publish = {}", sql::literal(&changes.join(", "))))
    } else if name == VIA_ROOT.name {
        Some(format!("publish_via_partition_root = {}", object.is(VIA_ROOT)))
    } else if name == GENERATED_COLUMNS.name {
        let which = object.get(GENERATED_COLUMNS).map_or("none", |which| which);
        Some(format!("publish_generated_columns = {which}"))
    } else {
        None
    }
}

/// The changes that are published; all of them are the default.
fn publish(which: [bool; 4]) -> Option<Vec<Text>> {
    let some: Vec<Text> =
        CHANGES.iter().zip(which).filter(|(_, is)| *is).map(|(change, _)| Text::from(*change)).collect();
    match some.len() {
        0 => Some(vec![NOTHING.into()]),
        4 => None,
        _ => Some(some),
    }
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{alter, create, load, round_trip};

    #[test]
    fn every_form_is_written_and_created() {
        let state = round_trip(
            "table t {\n    column a integer\n    column b integer\n}\n\npublication p1 all-tables publish-generated-columns=stored\n\npublication p2 publish-via-partition-root=#true {\n    publish insert delete\n    table t a b {\n        where \"a > 0\"\n    }\n    tables-in-schema public\n}\n\npublication p3 {\n    publish nothing\n}\n",
        );
        assert_eq!(
            create(&state, "publication"),
            [
                "CREATE PUBLICATION p1 FOR ALL TABLES WITH (publish_generated_columns = stored)",
                "CREATE PUBLICATION p2 WITH (publish = 'insert, delete', publish_via_partition_root = true)",
                "CREATE PUBLICATION p3 WITH (publish = '')",
            ]
        );
        assert_eq!(
            create(&state, "publication-table"),
            ["ALTER PUBLICATION p2 ADD TABLE ONLY public.t (a, b) WHERE (a > 0)"]
        );
        assert_eq!(create(&state, "publication-schema"), ["ALTER PUBLICATION p2 ADD TABLES IN SCHEMA public"]);
    }

    #[test]
    fn options_are_altered_in_place() {
        assert_eq!(
            alter("publication p", "publication p { publish insert }", "publication"),
            ["ALTER PUBLICATION p SET (publish = 'insert')"]
        );
        assert_eq!(
            alter("publication p { publish insert }", "publication p", "publication"),
            ["ALTER PUBLICATION p SET (publish = 'insert, update, delete, truncate')"]
        );
        assert_eq!(
            alter("publication p", "publication p all-tables", "publication"),
            ["replace because of all-tables"]
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(
            load("publication p { publish upsert }").1,
            ["`upsert` is not an operation that a publication can have"]
        );
        assert_eq!(load("publication p { table t }").1, ["there is no table `t`"]);
    }
}
