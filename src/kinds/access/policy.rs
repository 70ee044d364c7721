//! Row-level security policies: `policy own_rows for=select to=app { using "…" }`.

use crate::catalog::{Book, Row, Version, class};
use crate::kdl::{Node, Prop};
use crate::kinds::scope::Scope;
use crate::kinds::{Context, Folded, LockMode, Room, Statement, generic};
use crate::model::{
    Address, Attr, Attrs, Expr, Form, Ident, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Shape,
    Text, Within, attr,
};
use crate::sql;

const FOR: Key<Text> = Key::new("for");
const AS: Key<Text> = Key::new("as");
/// The roles that it is for.
pub const TO: Key<Vec<Ident>> = Key::new("to");
const USING: Key<Expr> = Key::new("using");
const WITH_CHECK: Key<Expr> = Key::new("with-check");

const COMMANDS: &[&str] = &["all", "select", "insert", "update", "delete"];
const WAYS: &[&str] = &["permissive", "restrictive"];

static ATTRS: [Attr; 5] = [
    attr(FOR, Shape::Word(COMMANDS), Form::Property, OnChange::Replace, "The command that it applies to.")
        .default("all"),
    attr(
        AS,
        Shape::Word(WAYS),
        Form::Property,
        OnChange::Replace,
        "Permissive policies are combined with OR, restrictive ones with AND.",
    )
    .default("permissive"),
    attr(
        TO,
        Shape::Names,
        Form::Child,
        OnChange::Alter,
        "The roles that it applies to; `public` if none. A property for a single role.",
    ),
    attr(USING, Shape::Expr, Form::Child, OnChange::Alter, "Which existing rows are visible."),
    attr(WITH_CHECK, Shape::Expr, Form::Child, OnChange::Alter, "Which new rows are allowed."),
];

pub static KIND: Kind = Kind {
    word: "policy",
    sql: "POLICY",
    address: Address::NamedOn,
    within: Within::Of(&["table"]),
    namespace: Namespace::Own,
    attrs: &ATTRS,
    folds: false,
    doc: "Which rows of a table with `row-security` users may see and write.",
};

pub struct Policy;
pub static ROOM: Policy = Policy;

impl Room for Policy {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn guards(&self) -> bool {
        true
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        let mut node = node.clone();
        // `to=app` is `{ to app }`.
        if let Some(at) = node.props.iter().position(|p| &*p.name == TO.name) {
            let Prop { name, value, name_span } = node.props.remove(at);
            node.children.push(Node { span: value.span, name, args: vec![value], name_span, ..Node::default() });
        }
        let Some(name) = generic::take_name(&node, scope) else { return };
        let id = scope.id(&ROOM, name);
        if let Some(object) = generic::parse_as(id, &node, 1, scope) {
            let roles = object.get(TO).unwrap_or_default();
            object.attrs.set(TO, settled(roles));
        }
    }

    fn write(&self, id: &ObjectId, object: &Object, inner: Vec<Node>) -> Option<Node> {
        let mut object = object.clone();
        let one = match object.get(TO).unwrap_or_default().as_slice() {
            [role] => Some(role.clone()),
            _ => None,
        };
        if one.is_some() {
            object.attrs.remove(TO.name);
        }
        let mut node = generic::write(id, &object, inner);
        if let Some(role) = one {
            let value = crate::kdl::Arg::text(role.text());
            node.props.push(Prop::new(TO.name, value));
        }
        Some(node)
    }

    fn query(&self, _: Version) -> Option<String> {
        Some(
            "SELECT p.oid, p.polrelid, p.polname, p.polcmd, p.polpermissive, p.polroles::oid[], \
             pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid) \
             FROM pg_policy p ORDER BY p.polrelid, p.polname"
                .into(),
        )
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (oid, relation, name) = (row.oid(), row.oid(), row.text());
        let id = ObjectId::new(&KIND, Some(book.relation(relation)?.clone()), name);
        book.add(class::PG_POLICY, oid, id.clone());
        Some(id)
    }

    fn read(&self, row: &mut Row, _: &ObjectId, book: &Book) -> Option<Object> {
        let command = match row.char() {
            'r' => Some("select"),
            'a' => Some("insert"),
            'w' => Some("update"),
            'd' => Some("delete"),
            _ => None,
        };
        let permissive: bool = row.next();
        let roles = row.next::<Vec<u32>>().into_iter().map(|oid| book.role(oid)).collect();
        let mut attrs = Attrs::new();
        attrs.set(FOR, command.map(Text::from));
        attrs.set(AS, (!permissive).then(|| "restrictive".into()));
        attrs.set(TO, settled(roles));
        attrs.set(USING, row.text_opt().map(Expr::new));
        attrs.set(WITH_CHECK, row.text_opt().map(Expr::new));
        Some(Object::new(attrs))
    }

    /// `ALTER POLICY` can change an expression, but not take it away.
    fn on_change(&self, attr: &'static Attr, _: &Object, new: &Object) -> OnChange {
        let gone = attr.name != TO.name && new.value(attr.name).is_none();
        if gone { OnChange::Replace } else { attr.on_change }
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        let Some(table) = id.parent() else { return Ok(vec![]) };
        let mut text = format!("CREATE {}", sql::target(id));
        for (key, word) in [(AS, "AS"), (FOR, "FOR")] {
            if let Some(value) = object.get(key) {
                text.push_str(&format!(" {word} {}", value.to_uppercase()));
            }
        }
        if let Some(roles) = object.get(TO) {
            text.push_str(&format!(" TO {}", role_list(&roles)));
        }
        text.push_str(&expressions(object, &[USING.name, WITH_CHECK.name]));
        Ok(vec![Statement::new(text).locks(LockMode::AccessExclusive, table)])
    }

    fn alter(
        &self,
        id: &ObjectId,
        _: &Object,
        new: &Object,
        changed: &[&'static str],
        _: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        let Some(table) = id.parent() else { return Ok(vec![]) };
        let mut text = format!("ALTER {}", sql::target(id));
        if changed.contains(&TO.name) {
            text.push_str(&format!(" TO {}", new.get(TO).map_or_else(|| "PUBLIC".into(), |r| role_list(&r))));
        }
        text.push_str(&expressions(new, changed));
        Ok(vec![Statement::new(text).locks(LockMode::AccessExclusive, table)])
    }

    fn rename(&self, from: &ObjectId, to: &ObjectId, _: &Object, _: &Context<'_>) -> Result<Vec<Statement>> {
        let statement = Statement::new(format!("ALTER {} RENAME TO {}", sql::target(from), sql::name(to.name())));
        Ok(vec![statement.locks(LockMode::AccessExclusive, from.parent().unwrap_or(from))])
    }

    fn drop(&self, id: &ObjectId, _: &Object, _: &Context<'_>) -> Result<Vec<Statement>> {
        let statement = Statement::new(format!("DROP {}", sql::target(id)));
        Ok(vec![statement.locks(LockMode::AccessExclusive, id.parent().unwrap_or(id))])
    }
}

/// Roles without order; everybody is the default.
pub fn settled(mut roles: Vec<Ident>) -> Option<Vec<Ident>> {
    roles.sort();
    roles.dedup();
    (!roles.is_empty() && !roles.iter().any(|r| r.as_str() == "public")).then_some(roles)
}

fn role_list(roles: &[Ident]) -> String {
    roles.iter().map(sql::role).collect::<Vec<_>>().join(", ")
}

fn expressions(object: &Object, which: &[&str]) -> String {
    let mut out = String::new();
    for (key, words) in [(USING, "USING"), (WITH_CHECK, "WITH CHECK")] {
        if let Some(expression) = object.get(key).filter(|_| which.contains(&key.name)) {
            out.push_str(&format!(" {words} ({})", expression.as_str()));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{create, round_trip};

    #[test]
    fn policies_are_created_and_altered() {
        let state = round_trip(
            "table t {\n    column a integer\n    policy p for=select to=app {\n        using \"a > 0\"\n    }\n    policy q as=restrictive {\n        to a b\n        with-check \"a > 1\"\n    }\n    policy r\n}\n",
        );
        assert_eq!(
            create(&state, "policy"),
            [
                "CREATE POLICY p ON public.t FOR SELECT TO app USING (a > 0)",
                "CREATE POLICY q ON public.t AS RESTRICTIVE TO a, b WITH CHECK (a > 1)",
                "CREATE POLICY r ON public.t",
            ]
        );
    }
}
