//! Foreign-data wrappers: `foreign-data-wrapper files handler=files_handler`.

use crate::catalog::{Book, Row, Version, class};
use crate::kdl::{Arg, Node, Prop};
use crate::kinds::held::Held;
use crate::kinds::scope::{Scope, schema_id};
use crate::kinds::{Context, Evaluates, Folded, Need, Room, Statement, generic, support_function};
use crate::model::{
    Address, Attr, Form, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Shape, Within, attr,
};
use crate::sql;

use super::foreign_options::{self as options, SECRET};

const HANDLER: Key<ObjectId> = Key::new("handler");
const VALIDATOR: Key<ObjectId> = Key::new("validator");

/// The functions, their words in SQL and their input types.
const FUNCTIONS: [(Key<ObjectId>, &str, &str); 2] = [(HANDLER, "HANDLER", ""), (VALIDATOR, "VALIDATOR", "text[], oid")];

/// A validator that every database has.
const BUILT_IN: &[&str] = &["postgresql_fdw_validator"];

static ATTRS: [Attr; 4] = [
    attr(
        HANDLER,
        Shape::Ref(&["function"]),
        Form::Custom,
        OnChange::Alter,
        "The function that accesses foreign data, as a property; without one, foreign tables cannot be read.",
    ),
    attr(
        VALIDATOR,
        Shape::Ref(&["function"]),
        Form::Custom,
        OnChange::Alter,
        "The function that checks options, as a property; without one, any option is accepted.",
    ),
    options::options_attr(OnChange::Alter, "Options of the wrapper."),
    options::SECRET_ATTR,
];

pub static KIND: Kind = Kind {
    word: "foreign-data-wrapper",
    sql: "FOREIGN DATA WRAPPER",
    address: Address::Global,
    within: Within::Top,
    namespace: Namespace::Own,
    attrs: &ATTRS,
    folds: false,
    doc: "A way to access data on foreign servers. Wrappers that belong to extensions are not declared.",
};

static HELD: Held =
    Held { acl: "o.fdwacl", ..Held::global(class::PG_FOREIGN_DATA_WRAPPER, "pg_foreign_data_wrapper", "fdw") };

pub struct Wrapper;
pub static ROOM: Wrapper = Wrapper;

impl Room for Wrapper {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn held(&self) -> Option<&'static Held> {
        Some(&HELD)
    }

    fn need(&self) -> Need {
        Need::Superuser
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        let Some(name) = node.args.first().and_then(Arg::as_text).cloned() else {
            generic::parse(&KIND, node, scope);
            return;
        };
        let mut found = Vec::new();
        for (key, _, signature) in FUNCTIONS {
            if let Some((arg, text)) = node.get_prop(key.name).and_then(|arg| Some((arg, arg.as_text()?.clone()))) {
                found.push((key, support_function::resolve(&text, signature, BUILT_IN, arg.span, scope)));
            }
        }
        let mut rest = node.clone();
        rest.props.retain(|prop| !found.iter().any(|(key, _)| key.name == &*prop.name));
        let id = scope.id(self, name);
        if let Some(object) = generic::parse(&KIND, &rest, scope) {
            for (key, function) in found {
                object.attrs.set(key, function);
            }
        }
        options::check(&id, false, node.span, scope);
    }

    fn write(&self, id: &ObjectId, object: &Object, inner: Vec<Node>) -> Option<Node> {
        let mut node = generic::write(id, object, inner);
        for (at, (key, function)) in FUNCTIONS.iter().filter_map(|(key, ..)| Some((key, object.get(*key)?))).enumerate()
        {
            let value = Arg::text(support_function::text(function, None));
            node.props.insert(at, Prop::new(key.name, value));
        }
        Some(node)
    }

    fn query(&self, _: Version) -> Option<String> {
        Some(
            "SELECT w.oid, w.fdwname, hn.nspname::text, h.proname::text, vn.nspname::text, v.proname::text, w.fdwoptions \
             FROM pg_foreign_data_wrapper w \
             LEFT JOIN pg_proc h ON h.oid = w.fdwhandler LEFT JOIN pg_namespace hn ON hn.oid = h.pronamespace \
             LEFT JOIN pg_proc v ON v.oid = w.fdwvalidator LEFT JOIN pg_namespace vn ON vn.oid = v.pronamespace \
             WHERE w.oid >= 16384 ORDER BY w.oid"
                .into(),
        )
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (oid, name) = (row.oid(), row.text());
        if book.is_member(class::PG_FOREIGN_DATA_WRAPPER, oid) {
            return None;
        }
        let id = ObjectId::new(&KIND, None, name);
        book.add(class::PG_FOREIGN_DATA_WRAPPER, oid, id.clone());
        Some(id)
    }

    fn read(&self, row: &mut Row, _: &ObjectId, _: &Book) -> Option<Object> {
        let mut object = Object::default();
        for (key, _, signature) in FUNCTIONS {
            let (home, name) = (row.text_opt(), row.text_opt());
            let function =
                home.zip(name).and_then(|(home, name)| support_function::id(schema_id(home), name, signature));
            object.attrs.set(key, function);
        }
        options::read(row.next(), false, &mut object.attrs);
        Some(object)
    }

    fn same(&self, attr: &'static Attr, old: &Object, new: &Object) -> bool {
        attr.name == SECRET.name && options::same_secrets(old, new)
    }

    fn evaluates(&self, _: bool) -> Evaluates {
        Evaluates::Options
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        let mut head = format!("CREATE {}", sql::target(id));
        for (key, word, _) in FUNCTIONS {
            if let Some(function) = object.get(key) {
                head.push_str(&format!(" {word} {}", support_function::path(function)));
            }
        }
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
        let head = format!("ALTER {}", sql::target(id));
        let mut out = Vec::new();
        for (key, word, _) in FUNCTIONS.iter().filter(|(key, ..)| changed.contains(&key.name)) {
            let what = new.get(*key).map_or_else(
                || format!("NO {word}"),
                |function| format!("{word} {}", support_function::path(function)),
            );
            out.push(Statement::new(format!("{head} {what}")));
        }
        out.extend(options::alter(&head, old, new, changed));
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{alter, create, load, round_trip};

    #[test]
    fn every_form_is_written_created_and_altered() {
        let full = "foreign-data-wrapper w validator=postgresql_fdw_validator {\n    options a=x\n    secret password env=SETPOINT_SECRET_W\n}\n";
        let state = round_trip(&full.replace("validator=postgresql", "validator=pg_catalog.postgresql"));
        let sql = create(&state, "foreign-data-wrapper").remove(0);
        let made = "CREATE FOREIGN DATA WRAPPER w VALIDATOR pg_catalog.postgresql_fdw_validator OPTIONS (a ''x'', password %L)";
        assert!(sql.contains(made), "{sql}");
        assert_eq!(
            alter(full, "foreign-data-wrapper w {\n    options a=y\n}\n", "foreign-data-wrapper"),
            [
                "ALTER FOREIGN DATA WRAPPER w NO VALIDATOR",
                "ALTER FOREIGN DATA WRAPPER w OPTIONS (SET a 'y', DROP password)"
            ]
        );
    }

    #[test]
    fn files_hold_no_secrets() {
        let (_, problems) =
            load("foreign-data-wrapper w {\n    options password=x\n    secret token env=HOME\n    secret token\n}\n");
        assert_eq!(
            problems,
            [
                "option `password` may be a secret, and files must not contain secrets",
                "option `token` is given twice",
                "`HOME` is not a variable that a secret may come from"
            ]
        );
    }
}
