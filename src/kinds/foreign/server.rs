//! Foreign servers: `server archive wrapper=postgres_fdw { options host=archive.example.org }`.

use crate::catalog::{Book, Row, Version, class};
use crate::kdl::{Arg, Node};
use crate::kinds::held::Held;
use crate::kinds::refs::Refs;
use crate::kinds::rights::{self, Demand};
use crate::kinds::scope::Scope;
use crate::kinds::{Context, Evaluates, Folded, Room, Statement, find, generic};
use crate::model::{
    Address, Attr, Form, Ident, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Shape, State, Text,
    Within, attr,
};
use crate::sql;

use super::foreign_options::{self as options, SECRET};

const WRAPPER: Key<Ident> = Key::new("wrapper");
const TYPE: Key<Text> = Key::new("type");
const VERSION: Key<Text> = Key::new("version");

static ATTRS: [Attr; 5] = [
    attr(
        WRAPPER,
        Shape::Name,
        Form::Property,
        OnChange::Replace,
        "The foreign-data wrapper, from the project or an extension.",
    ),
    attr(TYPE, Shape::Text, Form::Property, OnChange::Replace, "The server's type, if the wrapper uses one."),
    attr(VERSION, Shape::Text, Form::Property, OnChange::Alter, "The server's version, if the wrapper uses one."),
    options::options_attr(OnChange::Alter, "How to reach the server: `host=…`, `dbname=…`."),
    options::SECRET_ATTR,
];

pub static KIND: Kind = Kind {
    word: "server",
    sql: "SERVER",
    address: Address::Global,
    within: Within::Top,
    namespace: Namespace::Own,
    attrs: &ATTRS,
    folds: false,
    doc: "A foreign server, which holds the data of foreign tables.",
};

static HELD: Held = Held { acl: "o.srvacl", ..Held::global(class::PG_FOREIGN_SERVER, "pg_foreign_server", "srv") };

pub struct Server;
pub static ROOM: Server = Server;

impl Room for Server {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn held(&self) -> Option<&'static Held> {
        Some(&HELD)
    }

    fn rights(&self, _: &ObjectId, object: &Object, changed: Option<&[&'static str]>) -> Vec<Demand> {
        object.get(WRAPPER).filter(|_| changed.is_none()).as_ref().map(rights::wrapper).into_iter().collect()
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        generic::parse(&KIND, node, scope);
        if let Some(name) = node.args.first().and_then(Arg::as_text).cloned() {
            options::check(&scope.id(self, name), false, node.span, scope);
        }
    }

    fn lacks(&self, _: &ObjectId, object: &Object, _: &State) -> Option<String> {
        object.get(WRAPPER).is_none().then(|| "it has no wrapper: `server NAME wrapper=…`".to_string())
    }

    fn query(&self, _: Version) -> Option<String> {
        Some(
            "SELECT s.oid, s.srvname, w.fdwname::text, s.srvtype, s.srvversion, s.srvoptions FROM pg_foreign_server s \
             JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw WHERE s.oid >= 16384 ORDER BY s.oid"
                .into(),
        )
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (oid, name) = (row.oid(), row.text());
        if book.is_member(class::PG_FOREIGN_SERVER, oid) {
            return None;
        }
        let id = ObjectId::new(&KIND, None, name);
        book.add(class::PG_FOREIGN_SERVER, oid, id.clone());
        Some(id)
    }

    fn read(&self, row: &mut Row, _: &ObjectId, _: &Book) -> Option<Object> {
        let mut object = Object::default();
        object.attrs.set(WRAPPER, Ident::new(row.text())).set(TYPE, row.text_opt()).set(VERSION, row.text_opt());
        options::read(row.next(), false, &mut object.attrs);
        Some(object)
    }

    fn refers(&self, _: &ObjectId, object: &Object, refs: &mut Refs) {
        if let (Some(wrapper), Some(room)) = (object.get(WRAPPER), find("foreign-data-wrapper")) {
            refs.object(ObjectId::new(room.kind(), None, wrapper));
        }
    }

    fn same(&self, attr: &'static Attr, old: &Object, new: &Object) -> bool {
        attr.name == SECRET.name && options::same_secrets(old, new)
    }

    fn evaluates(&self, _: bool) -> Evaluates {
        Evaluates::Options
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        let mut head = format!("CREATE {}", sql::target(id));
        for (key, word) in [(TYPE, "TYPE"), (VERSION, "VERSION")] {
            if let Some(text) = object.get(key) {
                head.push_str(&format!(" {word} {}", sql::literal(text)));
            }
        }
        let wrapper = object.get(WRAPPER).unwrap_or_else(|| Ident::from(""));
        head.push_str(&format!(" FOREIGN DATA WRAPPER {}", sql::name(&wrapper)));
        Ok(vec![options::create(&head, object)])
    }

    fn alter(
        &self,
        id: &ObjectId,
        old: &Object,
        new: &Object,
        changed: &[&'static str],
        _: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        let mut head = format!("ALTER {}", sql::target(id));
        if changed.contains(&VERSION.name) {
            let version = new.get(VERSION).map_or_else(|| "NULL".to_string(), |v| sql::literal(v));
            head.push_str(&format!(" VERSION {version}"));
        }
        let with_options = options::alter(&head, old, new, changed);
        let statement = with_options.or_else(|| changed.contains(&VERSION.name).then(|| Statement::new(head)));
        Ok(statement.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{alter, create, round_trip};

    #[test]
    fn every_form_is_written_created_and_altered() {
        let full =
            "server s wrapper=w type=odd version=\"1.0\" {\n    options host=h port=5432\n    secret password\n}\n";
        let state = round_trip(full);
        assert_eq!(
            create(&state, "server"),
            ["CREATE SERVER s TYPE 'odd' VERSION '1.0' FOREIGN DATA WRAPPER w OPTIONS (host 'h', port '5432')"]
        );
        assert_eq!(
            alter(full, "server s wrapper=w type=odd {\n    options host=h\n}\n", "server"),
            ["ALTER SERVER s VERSION NULL OPTIONS (DROP port)"]
        );
        assert_eq!(alter(full, &full.replace("1.0", "2"), "server"), ["ALTER SERVER s VERSION '2'"]);
        assert_eq!(alter(full, &full.replace("odd", "even"), "server"), ["replace because of type"]);
    }
}
