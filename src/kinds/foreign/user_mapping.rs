//! User mappings, declared inside their server: `user-mapping app { options user=reader; secret password env=… }`.

use crate::catalog::{Book, Row, Version, class};
use crate::kdl::{Node, Problem};
use crate::kinds::scope::Scope;
use crate::kinds::{Context, Evaluates, Folded, Need, Room, Statement, generic};
use crate::model::{
    Address, Attr, Form, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Shape, Within, attr,
};
use crate::sql;

use super::foreign_options::{self as options, SECRET};

/// The connected role may not read the options.
const UNREADABLE: Key<bool> = Key::new("unreadable");

static ATTRS: [Attr; 3] = [
    options::options_attr(OnChange::Alter, "Options that are known to be harmless, such as `user`."),
    options::SECRET_ATTR,
    attr(
        UNREADABLE,
        Shape::Flag,
        Form::Flag,
        OnChange::CreationOnly,
        "The options could not be read when this was written; they are left alone.",
    ),
];

pub static KIND: Kind = Kind {
    word: "user-mapping",
    sql: "USER MAPPING",
    address: Address::NamedOn,
    within: Within::Of(&["server"]),
    namespace: Namespace::Own,
    attrs: &ATTRS,
    folds: false,
    doc: "Which user a role, or `public`, is on a foreign server. Secret options are listed without their values.",
};

pub struct UserMapping;
pub static ROOM: UserMapping = UserMapping;

impl Room for UserMapping {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn need(&self) -> Need {
        Need::Own
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        if let Some(was) = node.props.iter().find(|prop| &*prop.name == "was") {
            let problem = Problem::new(was.name_span, "a user mapping cannot be renamed");
            return scope.problem(problem.help("it belongs to its role: PostgreSQL drops it and creates another one"));
        }
        let Some(name) = generic::take_name(node, scope) else { return };
        generic::parse(&KIND, node, scope);
        options::check(&scope.id(self, name), true, node.span, scope);
    }

    fn query(&self, _: Version) -> Option<String> {
        // The condition under which the view shows the options (src/backend/catalog/system_views.sql); else it has NULL.
        Some(
            "SELECT u.umid, u.srvid, u.usename, NOT ((SELECT rolsuper FROM pg_roles WHERE rolname = current_user) \
                 OR u.umuser <> 0 AND u.usename = current_user \
                    AND (pg_has_role(s.srvowner, 'USAGE') OR has_server_privilege(s.oid, 'USAGE')) \
                 OR u.umuser = 0 AND pg_has_role(s.srvowner, 'USAGE')), u.umoptions \
             FROM pg_user_mappings u JOIN pg_foreign_server s ON s.oid = u.srvid WHERE u.umid >= 16384 ORDER BY u.srvid, u.usename"
                .into(),
        )
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (oid, server, role) = (row.oid(), row.oid(), row.text());
        let id = ObjectId::new(&KIND, Some(book.get(class::PG_FOREIGN_SERVER, server)?.clone()), role);
        book.add(class::PG_USER_MAPPING, oid, id.clone());
        Some(id)
    }

    fn read(&self, row: &mut Row, _: &ObjectId, _: &Book) -> Option<Object> {
        let mut object = Object::default();
        object.attrs.set(UNREADABLE, row.next::<bool>());
        options::read(row.next(), true, &mut object.attrs);
        Some(object)
    }

    fn same(&self, attr: &'static Attr, old: &Object, new: &Object) -> bool {
        old.is(UNREADABLE) || new.is(UNREADABLE) || attr.name == SECRET.name && options::same_secrets(old, new)
    }

    fn goes_first(&self) -> bool {
        true
    }

    fn evaluates(&self, _: bool) -> Evaluates {
        Evaluates::Options
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(vec![options::create(&head("CREATE", id), object)])
    }

    fn alter(
        &self,
        id: &ObjectId,
        old: &Object,
        new: &Object,
        changed: &[&'static str],
        _: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        Ok(options::alter(&head("ALTER", id), old, new, changed).into_iter().collect())
    }

    fn drop(&self, id: &ObjectId, _: &Object, _: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(vec![Statement::new(head("DROP", id))])
    }
}

fn head(verb: &str, id: &ObjectId) -> String {
    let server = id.parent().map_or_else(String::new, sql::target);
    format!("{verb} USER MAPPING FOR {} {server}", sql::role(id.name()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::foreign_options::OPTIONS;
    use crate::kinds::testing::{alter, create, load, round_trip};

    const FULL: &str = "server s wrapper=w {\n    user-mapping app {\n        options user=reader\n        \
                        secret password env=SETPOINT_SECRET_S\n    }\n    user-mapping public\n    user-mapping role unreadable\n}\n";

    #[test]
    fn every_form_is_written_created_and_altered() {
        let sql = create(&round_trip(FULL), "user-mapping");
        assert!(sql[0].contains("'CREATE USER MAPPING FOR app SERVER s OPTIONS (\"user\" ''reader'', password %L)'"));
        assert_eq!(sql[1], "CREATE USER MAPPING FOR PUBLIC SERVER s");
        let other = FULL.replace("reader", "writer").replace("        secret password env=SETPOINT_SECRET_S\n", "");
        assert_eq!(
            alter(FULL, &other, "user-mapping"),
            ["ALTER USER MAPPING FOR app SERVER s OPTIONS (SET \"user\" 'writer', DROP password)"]
        );
        let back = alter(&other, FULL, "user-mapping").remove(0);
        assert!(back.contains("OPTIONS (SET \"user\" ''reader'', ADD password %L)"), "{back}");
    }

    #[test]
    fn what_is_not_known_as_harmless_is_a_secret() {
        let (_, problems) = load("server s wrapper=w {\n    user-mapping app {\n        options pin=1234\n    }\n}\n");
        assert_eq!(problems, ["option `pin` may be a secret, and files must not contain secrets"]);
    }

    #[test]
    fn what_nobody_may_read_does_not_differ() {
        let mut hidden = Object::default();
        hidden.attrs.set(UNREADABLE, true);
        let mut said = Object::default();
        said.attrs.set(OPTIONS, crate::model::Options::some(["user=reader"]));
        assert!(KIND.attrs.iter().all(|attr| ROOM.same(attr, &hidden, &said)));
        assert!(!ROOM.same(&KIND.attrs[0], &Object::default(), &said));
    }
}
