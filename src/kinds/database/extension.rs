//! Extensions: `extension citext`.

use crate::catalog::{Book, Row, Version, class};
use crate::kdl::Node;
use crate::kinds::held::Held;
use crate::kinds::refs::Refs;
use crate::kinds::rights::{self, Demand};
use crate::kinds::scope::schema_id;
use crate::kinds::{Context, Disturbance, Evaluates, Folded, Need, Reaction, Room, Statement, find, generic};
use crate::model::{
    Address, Attr, Form, Ident, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Shape, Text, Within,
    attr,
};
use crate::sql;

const SCHEMA: Key<Ident> = Key::new("schema");
const VERSION: Key<Text> = Key::new("version");

static ATTRS: [Attr; 2] = [
    attr(SCHEMA, Shape::Name, Form::Property, OnChange::Alter, "The schema of its objects.").default("public"),
    attr(
        VERSION,
        Shape::Text,
        Form::Property,
        OnChange::AlterIfSaid,
        "The version; if omitted, any installed version is accepted, and a new extension gets the server's default version.",
    ),
];

pub static KIND: Kind = Kind {
    word: "extension",
    sql: "EXTENSION",
    address: Address::Global,
    within: Within::Top,
    namespace: Namespace::Own,
    attrs: &ATTRS,
    folds: false,
    doc: "An extension. The objects that it provides are not declared.",
};

static HELD: Held = Held { owners: None, ..Held::global(class::PG_EXTENSION, "pg_extension", "ext") };

pub struct Extension;
pub static ROOM: Extension = Extension;

impl Room for Extension {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn held(&self) -> Option<&'static Held> {
        Some(&HELD)
    }

    fn rights(&self, _: &ObjectId, object: &Object, changed: Option<&[&'static str]>) -> Vec<Demand> {
        let moves = changed.is_some_and(|changed| changed.contains(&SCHEMA.name));
        let home = object.get(SCHEMA).unwrap_or_else(|| Ident::from("public"));
        moves.then(|| rights::create_in(&schema_id(home.text()))).into_iter().collect()
    }

    fn need(&self) -> Need {
        Need::Trusted
    }

    /// The version is left out: files that name one pin it, and that is for people to decide.
    fn write(&self, id: &ObjectId, object: &Object, inner: Vec<Node>) -> Option<Node> {
        let mut shown = object.clone();
        shown.attrs.remove(VERSION.name);
        Some(generic::write(id, &shown, inner))
    }

    fn query(&self, _: Version) -> Option<String> {
        Some(
            "SELECT e.oid, e.extname, n.nspname, e.extversion FROM pg_extension e \
             JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname <> 'plpgsql' ORDER BY e.oid"
                .into(),
        )
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (oid, name) = (row.oid(), row.text());
        let id = ObjectId::new(&KIND, None, name);
        book.add(class::PG_EXTENSION, oid, id.clone());
        Some(id)
    }

    fn read(&self, row: &mut Row, _: &ObjectId, _: &Book) -> Option<Object> {
        let mut object = Object::default();
        object.attrs.set(SCHEMA, Ident::new(row.text()));
        object.attrs.set(VERSION, row.text());
        generic::drop_defaults(&KIND, &mut object.attrs);
        Some(object)
    }

    fn refers(&self, _: &ObjectId, object: &Object, refs: &mut Refs) {
        if let (Some(schema), Some(room)) = (object.get(SCHEMA), find("schema")) {
            refs.object(ObjectId::new(room.kind(), None, schema));
        }
    }

    fn provides_unknown(&self) -> bool {
        true
    }

    fn evaluates(&self, _: bool) -> Evaluates {
        Evaluates::Script
    }

    fn reaction(&self, id: &ObjectId, _: &Object, disturbance: &Disturbance) -> Reaction {
        match disturbance {
            Disturbance::Replaced(on) => Reaction::Impossible(format!(
                "{id} would be dropped with all its objects, because {on} has to be replaced"
            )),
            Disturbance::Retyped(_) => Reaction::Survives,
        }
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        let schema = object.get(SCHEMA).unwrap_or_else(|| Ident::from("public"));
        let mut text = format!("CREATE EXTENSION {} SCHEMA {}", sql::path(id), sql::name(&schema));
        if let Some(version) = object.get(VERSION) {
            text.push_str(&format!(" VERSION {}", sql::literal(version)));
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
        let mut out = Vec::new();
        for name in changed {
            if *name == SCHEMA.name {
                let schema = new.get(SCHEMA).unwrap_or_else(|| Ident::from("public"));
                out.push(Statement::new(format!(
                    "ALTER EXTENSION {} SET SCHEMA {}",
                    sql::path(id),
                    sql::name(&schema)
                )));
            } else if *name == VERSION.name {
                let to = new.get(VERSION).map_or_else(String::new, |v| format!(" TO {}", sql::literal(v)));
                out.push(Statement::new(format!("ALTER EXTENSION {} UPDATE{to}", sql::path(id))));
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::State;

    #[test]
    fn ddl() {
        let state = State::default();
        let cx = Context::new(Version::major_release(15), &state);
        let id = ObjectId::new(&KIND, None, "uuid-ossp");
        let old = Object::default();
        let mut new = Object::default();
        new.attrs.set(SCHEMA, Ident::from("app")).set(VERSION, Text::from("1.2"));
        let text = |list: Vec<Statement>| list.into_iter().map(|s| s.sql).collect::<Vec<_>>().join("; ");
        assert_eq!(text(ROOM.create(&id, &old, &[], &cx).unwrap()), "CREATE EXTENSION \"uuid-ossp\" SCHEMA public");
        assert_eq!(
            text(ROOM.create(&id, &new, &[], &cx).unwrap()),
            "CREATE EXTENSION \"uuid-ossp\" SCHEMA app VERSION '1.2'"
        );
        assert_eq!(
            text(ROOM.alter(&id, &old, &new, &["schema", "version"], &cx).unwrap()),
            "ALTER EXTENSION \"uuid-ossp\" SET SCHEMA app; ALTER EXTENSION \"uuid-ossp\" UPDATE TO '1.2'"
        );
        assert_eq!(text(ROOM.drop(&id, &new, &cx).unwrap()), "DROP EXTENSION \"uuid-ossp\"");
    }
}
