//! Privileges on objects that a role will create: `default-privileges tables for=app_owner in=app { grant select to=reporting }`. It consists
//! of ordinary grants and revocations, which create and remove it.

use crate::catalog::{Book, Row, Version, class};
use crate::kdl::{Node, Problem};
use crate::kinds::scope::{Scope, schema_id};
use crate::kinds::{Context, Folded, Need, Room, Statement, generic, room};
use crate::model::{
    Address, Attr, Attrs, Form, Ident, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Shape,
    Within, attr,
};

use super::acl::{self, PLURALS};

const IN: Key<ObjectId> = Key::new("in");

static ATTRS: [Attr; 1] =
    [attr(IN, Shape::Ref(&["schema"]), Form::Custom, OnChange::CreationOnly, "Only for objects in that schema.")];

pub static KIND: Kind = Kind {
    word: "default-privileges",
    sql: "DEFAULT PRIVILEGES",
    address: Address::Global,
    within: Within::Top,
    namespace: Namespace::Own,
    attrs: &ATTRS,
    folds: false,
    doc: "Privileges on objects that the role `for` creates in the future: tables, sequences, functions, types, schemas.",
};

pub struct DefaultPrivileges;
pub static ROOM: DefaultPrivileges = DefaultPrivileges;

/// The id for what `role` creates: the word of its kind, and the schema if it is one schema's.
pub fn id(role: &Ident, word: &str, schema: Option<&str>) -> ObjectId {
    let scope = schema.map_or_else(|| word.to_string(), |s| format!("{word} in {s}"));
    ObjectId::routine(&KIND, None, role.clone(), scope)
}

impl Room for DefaultPrivileges {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn need(&self) -> Need {
        Need::Its
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        let words: Vec<&str> = PLURALS.iter().map(|(_, word, _)| *word).collect();
        let word = match node.args.as_slice() {
            [arg] => words.iter().copied().find(|w| arg.as_text().is_some_and(|t| **t == **w)),
            _ => None,
        };
        let Some(word) = word else {
            let problem = Problem::new(node.name_span, "default privileges are for one kind of object");
            return scope.problem(problem.help(format!("write one of {} behind it", words.join(", "))));
        };
        let Some(role) = node.get_prop("for") else {
            let problem =
                Problem::new(node.name_span, "these default privileges do not say whose objects they apply to");
            return scope.problem(problem.help("write `for=ROLE`: the role that will create the objects"));
        };
        let Some(role) = generic::name_of(role, scope) else { return };
        let schema = match node.get_prop("in") {
            Some(arg) => match generic::name_of(arg, scope) {
                Some(name) => Some(schema_id(name.text())),
                None => return,
            },
            None => None,
        };
        for prop in node.props.iter().filter(|p| !matches!(&*p.name, "for" | "in")) {
            scope.problem(
                Problem::new(prop.name_span, format!("default privileges have no property `{}`", prop.name))
                    .label("unknown"),
            );
        }
        let id = id(&role, word, schema.as_ref().map(|s| s.name().as_str()));
        scope.put(id.clone(), Object::new(Attrs::new().with(IN, schema)), node.span);
        scope.children(&node.children, &id, &[]);
    }

    fn write(&self, id: &ObjectId, _: &Object, inner: Vec<Node>) -> Option<Node> {
        let (word, schema) = acl::default_scope(id)?;
        let mut node = Node::new(KIND.word).arg(word).prop("for", id.name().text());
        if let Some(schema) = schema {
            node = node.prop("in", schema);
        }
        node.children = inner;
        Some(node)
    }

    fn query(&self, _: Version) -> Option<String> {
        Some("SELECT oid, defaclnamespace, pg_get_userbyid(defaclrole)::text, defaclobjtype FROM pg_default_acl ORDER BY oid".into())
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (oid, schema, role, letter) = (row.oid(), row.oid(), row.text(), row.char());
        let (_, word, _) = PLURALS.iter().find(|(_, _, l)| *l == letter)?;
        let schema = if schema == 0 { None } else { Some(book.schema(schema)?.name().clone()) };
        let id = id(&Ident::new(role), word, schema.as_ref().map(Ident::as_str));
        book.add(class::PG_DEFAULT_ACL, oid, id.clone());
        Some(id)
    }

    fn read(&self, _: &mut Row, id: &ObjectId, _: &Book) -> Option<Object> {
        let schema = acl::default_scope(id).and_then(|(_, schema)| schema).map(schema_id);
        Some(Object::new(Attrs::new().with(IN, schema)))
    }

    /// Exists as soon as one of its grants does.
    fn create(&self, _: &ObjectId, _: &Object, _: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(vec![])
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

    /// Goes with the last of its grants, so all of them go.
    fn drop(&self, id: &ObjectId, _: &Object, cx: &Context<'_>) -> Result<Vec<Statement>> {
        let mut out = Vec::new();
        for (child, object) in cx.state.inside(id) {
            out.extend(room(child.kind()).drop(child, object, cx)?);
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{acl::PRIVILEGES, find};
    use crate::model::{State, Text};

    #[test]
    fn grants_name_role_and_schema() {
        let id = id(&Ident::from("app_owner"), "tables", Some("App"));
        let grant = find("grant").unwrap();
        let grant_id = ObjectId::new(grant.kind(), Some(id.clone()), "reporting");
        let grant_object = Object::new(Attrs::new().with(PRIVILEGES, vec![Text::from("select")]));
        let mut state = State::default();
        state.put(id.clone(), Object::default());
        state.put(grant_id.clone(), grant_object.clone());
        let cx = Context::new(Version(150_000), &state);
        let sql = grant.create(&grant_id, &grant_object, &[], &cx).unwrap().remove(0).sql;
        assert_eq!(
            sql,
            "ALTER DEFAULT PRIVILEGES FOR ROLE app_owner IN SCHEMA \"App\" GRANT SELECT ON TABLES TO reporting"
        );
        let sql = ROOM.drop(&id, &Object::default(), &cx).unwrap().remove(0).sql;
        assert_eq!(
            sql,
            "ALTER DEFAULT PRIVILEGES FOR ROLE app_owner IN SCHEMA \"App\" REVOKE SELECT ON TABLES FROM reporting"
        );
    }
}
