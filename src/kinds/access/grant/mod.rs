//! Granted privileges: `grant select insert to=app`. The name of a grant is its grantee, `public` for everyone; if somebody other than the
//! owner granted it (`by=app_admin`), that role is its signature.

mod grantor;

use crate::catalog::{Book, Row, Version};
use crate::kdl::{Arg, Node, Problem, Prop, Scalar};
use crate::kinds::refs::Refs;
use crate::kinds::scope::Scope;
use crate::kinds::{Context, Direction, Disturbance, Folded, Need, Reaction, Room, Statement, find};
use crate::model::{
    Address, Attr, Attrs, Form, Ident, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Shape, State,
    Text, Within, attr,
};
use crate::sql;

use super::acl::{self, On, PRIVILEGES, Verb};

pub const GRANT_OPTION: Key<Vec<Text>> = Key::new("grant-option");

static ATTRS: [Attr; 2] = [
    attr(PRIVILEGES, Shape::Texts, Form::Arguments, OnChange::Alter, "The privileges, or `all`."),
    attr(
        GRANT_OPTION,
        Shape::Texts,
        Form::Custom,
        OnChange::Alter,
        "`grant-option=#true`: the grantee may grant the privileges to others; a child `grant-option` lists the privileges for which that holds.",
    ),
];

pub static KIND: Kind = Kind {
    word: "grant",
    sql: "GRANT",
    address: Address::Facet,
    within: Within::Any,
    namespace: Namespace::Own,
    attrs: &ATTRS,
    folds: false,
    doc: "Privileges on the object that the role `to` has beyond the built-in ones, granted by the owner or by the role `by`.",
};

pub struct Grant;
pub static ROOM: Grant = Grant;

impl Room for Grant {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn since(&self, object: &Object) -> Option<(u32, String)> {
        acl::since(object)
    }

    fn need(&self) -> Need {
        Need::Grantor
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        let Some((parent, on, grantee)) = acl::parse_address(node, "to", &["by", GRANT_OPTION.name], scope) else {
            return;
        };
        let Some(grantor) = grantor::parse(node, &parent, scope) else { return };
        let mut rights = acl::parse_rights(node, on, scope);
        let mut option = match node.get_prop("grant-option") {
            Some(arg) if arg.value == Scalar::Bool(true) => rights.clone(),
            Some(arg) if arg.value != Scalar::Bool(false) => {
                scope.problem(Problem::new(arg.span, "`grant-option` must be #true or #false"));
                vec![]
            }
            _ => vec![],
        };
        for child in &node.children {
            if &*child.name == GRANT_OPTION.name {
                option.extend(acl::parse_rights(child, on, scope));
            } else {
                scope.problem(
                    Problem::new(child.name_span, format!("`{}` is not allowed in a grant", child.name))
                        .label("unknown here"),
                );
            }
        }
        let id = ObjectId::new(&KIND, Some(parent), grantee).with_signature(grantor);
        // Privileges for one role may appear in several nodes: those with and those without the option to give them away.
        if let Some(before) = scope.load.state.get(&id) {
            rights.extend(list(before, PRIVILEGES));
            option.extend(list(before, GRANT_OPTION));
        }
        rights.extend(option.iter().cloned());
        let object = Object { place: Some(node.span), ..object(rights, option, on, Version(u32::MAX)) };
        scope.load.state.put(id, object);
    }

    fn write(&self, id: &ObjectId, object: &Object, _: Vec<Node>) -> Option<Node> {
        let (rights, option) = (list(object, PRIVILEGES), list(object, GRANT_OPTION));
        let mut node = rights
            .iter()
            .fold(Node::new(KIND.word), |node, right| node.arg(right.clone()))
            .prop("to", id.name().text());
        if let Some(grantor) = id.signature() {
            node = node.prop("by", grantor.clone());
        }
        if rights == option {
            node.props.push(Prop::new(GRANT_OPTION.name, Arg::new(Scalar::Bool(true))));
        } else if !option.is_empty() {
            node = node.child(option.iter().fold(Node::new(GRANT_OPTION.name), |node, right| node.arg(right.clone())));
        }
        Some(node)
    }

    fn query(&self, server: Version) -> Option<String> {
        Some(acl::query(server, false))
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (object, grantee, grantor) = acl::address(row, book)?;
        Some(ObjectId::new(&KIND, Some(object), grantee).with_signature(grantor))
    }

    fn read(&self, row: &mut Row, id: &ObjectId, book: &Book) -> Option<Object> {
        let on = On::of(id.parent()?)?;
        let rights = acl::rights(row, on, book.server);
        let option = acl::rights(row, on, book.server);
        Some(object(rights, option, on, book.server))
    }

    /// The grantor can give nothing in a schema that it may not look into.
    fn refers(&self, id: &ObjectId, _: &Object, refs: &mut Refs) {
        let Some((grantor, schema)) = id.signature().zip(id.schema()) else { return };
        for role in [grantor.clone(), "public".into()] {
            refs.object(ObjectId::new(&KIND, Some(schema.clone()), Ident::new(role)));
        }
    }

    fn rests_on(&self, id: &ObjectId, object: &Object, state: &State) -> Vec<ObjectId> {
        grantor::givers(id, object, state)
    }

    fn change(&self, id: &ObjectId, old: &Object, new: &Object) -> Direction {
        if id.signature().is_none() { Direction::Any } else { grantor::direction(id, old, new) }
    }

    fn depends_on_facet(&self) -> Option<&'static str> {
        Some("owner")
    }

    fn reaction(&self, _: &ObjectId, _: &Object, disturbance: &Disturbance) -> Reaction {
        disturbance.unless_retyped()
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], cx: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(grantor::in_the_name_of(id, between(id, &Object::default(), object, cx)))
    }

    fn alter(
        &self,
        id: &ObjectId,
        old: &Object,
        new: &Object,
        _: &[&'static str],
        cx: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        let mut out = between(id, old, new, cx);
        out.extend(again(id, old, new, cx));
        Ok(grantor::in_the_name_of(id, out))
    }

    fn drop(&self, id: &ObjectId, object: &Object, cx: &Context<'_>) -> Result<Vec<Statement>> {
        self.alter(id, object, &Object::default(), &[], cx)
    }
}

fn list(object: &Object, key: Key<Vec<Text>>) -> Vec<Text> {
    object.get(key).unwrap_or_default().into_iter().cloned().collect()
}

/// A grant of `rights`, of which those in `option` may be given away.
fn object(rights: Vec<Text>, option: Vec<Text>, on: On, server: Version) -> Object {
    let option = if option.is_empty() { None } else { Some(acl::normal(option, on, server)) };
    Object::new(Attrs::new().with(PRIVILEGES, acl::normal(rights, on, server)).with(GRANT_OPTION, option))
}

/// True if it declares more than that a role has privileges: an owner has those anyway.
pub fn is_more_than_rights(grant: &Object) -> bool {
    grant.get(GRANT_OPTION).is_some()
}

/// Two lists of privileges for the same role as one.
pub fn together(one: &Object, other: &Object) -> Object {
    let both = |key| [list(one, key), list(other, key)].concat();
    let option = Some(both(GRANT_OPTION)).filter(|list| !list.is_empty());
    let attrs = Attrs::new().with(PRIVILEGES, both(PRIVILEGES)).with(GRANT_OPTION, option);
    Object { place: one.place, ..Object::new(attrs) }
}

/// What has the owner of something that privileges are on: the table of a column.
pub fn whole(object: &ObjectId) -> &ObjectId {
    object.parent().filter(|_| On::of(object) == Some(On::Column)).unwrap_or(object)
}

/// The grant as a server of that version understands it: which lists are `all` depends on the version.
pub fn settled(id: &ObjectId, grant: &Object, server: Version) -> Option<Object> {
    let on = On::of(id.parent()?)?;
    let settled = object(list(grant, PRIVILEGES), list(grant, GRANT_OPTION), on, server);
    Some(Object { place: grant.place, was: grant.was.clone(), ..settled })
}

/// Grants again what REVOKE on a table also revokes from its columns (src/backend/catalog/aclchk.c, ExecGrant_Relation).
fn again(id: &ObjectId, old: &Object, new: &Object, cx: &Context<'_>) -> Vec<Statement> {
    let Some((table, on)) = id.parent().and_then(|p| Some((p, On::of(p)?))) else { return vec![] };
    let mut gone = acl::without(&list(old, PRIVILEGES), &list(new, PRIVILEGES), on, cx.server);
    gone.extend(acl::without(&list(old, GRANT_OPTION), &list(new, GRANT_OPTION), on, cx.server));
    if gone.is_empty() {
        return vec![];
    }
    let columns = find("column").into_iter().flat_map(|room| cx.state.parts(table, room.kind().word)).map(|(id, _)| id);
    let kept = columns.filter_map(|column| cx.state.find(&id.moved(Some(column.clone()))));
    let kept = kept
        .filter(|(_, object)| list(object, PRIVILEGES).iter().any(|right| gone.contains(right) || &**right == "all"));
    kept.flat_map(|(grant, object)| between(grant, &Object::default(), object, cx)).collect()
}

/// The statements that lead from one grant to another.
fn between(id: &ObjectId, old: &Object, new: &Object, cx: &Context<'_>) -> Vec<Statement> {
    let server = cx.server;
    let Some((parent, on)) = id.parent().and_then(|p| Some((p, On::of(p)?))) else { return vec![] };
    let (old_rights, new_rights) = (list(old, PRIVILEGES), list(new, PRIVILEGES));
    let (old_option, new_option) = (list(old, GRANT_OPTION), list(new, GRANT_OPTION));
    // The owner keeps the privileges themselves.
    let owner = id.signature().is_none() && acl::is_owner(parent, id.name(), cx);
    let gone = if owner { Vec::new() } else { acl::without(&old_rights, &new_rights, on, server) };
    let gone_option = acl::without(&acl::without(&old_option, &new_option, on, server), &gone, on, server);
    let with_option = acl::without(&new_option, &old_option, on, server);
    let plain = acl::without(&acl::without(&new_rights, &old_rights, on, server), &with_option, on, server);
    let steps = [
        (Verb::Revoke, gone),
        (Verb::RevokeOption, gone_option),
        (Verb::Grant, plain),
        (Verb::GrantWithOption, with_option),
    ];
    steps.iter().filter_map(|(verb, rights)| acl::statement(parent, verb, rights, id.name(), cx)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::scope::schema_id;

    const PG15: Version = Version(150_000);

    fn id() -> ObjectId {
        let table = ObjectId::new(find("table").unwrap().kind(), Some(schema_id("public")), "orders");
        ObjectId::new(&KIND, Some(table), "app")
    }

    fn of(rights: &[&str], option: &[&str]) -> Object {
        let texts = |l: &[&str]| l.iter().map(|t| Text::from(*t)).collect::<Vec<_>>();
        object(texts(rights), texts(option), On::Relation, PG15)
    }

    fn sql(old: &Object, new: &Object) -> Vec<String> {
        between(&id(), old, new, &Context::new(PG15, &State::default())).into_iter().map(|s| s.sql).collect()
    }

    #[test]
    fn a_change_gives_and_takes_only_what_differs() {
        assert_eq!(
            sql(&Object::default(), &of(&["insert", "select"], &[])),
            ["GRANT SELECT, INSERT ON TABLE public.orders TO app"]
        );
        assert_eq!(
            sql(&of(&["select", "insert"], &["insert"]), &of(&["select", "delete"], &["select"])),
            [
                "REVOKE INSERT ON TABLE public.orders FROM app",
                "GRANT DELETE ON TABLE public.orders TO app",
                "GRANT SELECT ON TABLE public.orders TO app WITH GRANT OPTION"
            ]
        );
        assert_eq!(
            sql(&of(&["select"], &["select"]), &of(&["select"], &[])),
            ["REVOKE GRANT OPTION FOR SELECT ON TABLE public.orders FROM app"]
        );
        assert_eq!(sql(&of(&["all"], &[]), &Object::default()), ["REVOKE ALL ON TABLE public.orders FROM app"]);
    }

    #[test]
    fn what_all_means_depends_on_the_version() {
        let seven = of(&["select", "insert", "update", "delete", "truncate", "references", "trigger"], &[]);
        assert_eq!(list(&seven, PRIVILEGES), [Text::from("all")]);
        let written = object(
            acl::expanded(&list(&seven, PRIVILEGES), On::Relation, PG15),
            vec![],
            On::Relation,
            Version(u32::MAX),
        );
        assert_eq!(list(&written, PRIVILEGES).len(), 7);
        assert_eq!(settled(&id(), &written, PG15), Some(seven));
    }

    #[test]
    fn columns_stand_behind_each_right() {
        let table = ObjectId::new(find("table").unwrap().kind(), Some(schema_id("public")), "orders");
        let column = ObjectId::new(find("column").unwrap().kind(), Some(table), "Total");
        let id = ObjectId::new(&KIND, Some(column), Ident::from("public"));
        let state = State::default();
        let cx = Context::new(PG15, &state);
        let new = Object::new(Attrs::new().with(PRIVILEGES, vec![Text::from("select"), Text::from("update")]));
        let sql = ROOM.create(&id, &new, &[], &cx).unwrap().remove(0).sql;
        assert_eq!(sql, "GRANT SELECT (\"Total\"), UPDATE (\"Total\") ON TABLE public.orders TO PUBLIC");
    }

    #[test]
    fn what_somebody_else_gave_is_given_in_that_name() {
        let id = id().with_signature(Some("App Admin".into()));
        assert_eq!(id.to_string(), "grant app by \"App Admin\" on table public.orders");
        assert_eq!(crate::model::grantor(&id.to_string()), Some("App Admin".into()));
        let state = State::default();
        let cx = Context::new(PG15, &state);
        let sql: Vec<String> =
            ROOM.create(&id, &of(&["select"], &[]), &[], &cx).unwrap().into_iter().map(|s| s.sql).collect();
        assert_eq!(sql, ["SET LOCAL ROLE \"App Admin\"", "GRANT SELECT ON TABLE public.orders TO app", "RESET ROLE"]);
    }

    #[test]
    fn a_given_right_rests_on_the_grant_with_the_option() {
        let parent = id().parent().cloned();
        let by =
            |to: &str, by: Option<&str>| ObjectId::new(&KIND, parent.clone(), to).with_signature(by.map(Text::from));
        let mut state = State::default();
        for (to, giver, rights, option) in [
            ("admin", None, vec!["select", "insert"], vec!["select"]),
            ("admin", Some("other"), vec!["insert"], vec!["insert"]),
            ("admin", Some("third"), vec!["update"], vec!["update"]),
        ] {
            state.put(by(to, giver), of(&rights, &option));
        }
        let rests = |rights: &[&str]| ROOM.rests_on(&by("app", Some("admin")), &of(rights, &[]), &state);
        assert_eq!(rests(&["select"]), [by("admin", None)]);
        assert_eq!(rests(&["select", "insert"]), [by("admin", None), by("admin", Some("other"))]);
        assert!(ROOM.rests_on(&by("app", None), &of(&["select"], &[]), &state).is_empty());
        let change = |old: &[&str], new: &[&str]| ROOM.change(&by("app", Some("admin")), &of(old, &[]), &of(new, &[]));
        assert_eq!(change(&["select"], &["select", "insert"]), Direction::Any);
        assert_eq!(change(&["select", "insert"], &["select"]), Direction::Takes);
        assert_eq!(change(&["insert"], &["select"]), Direction::Both);
    }
}
