//! Built-in privileges that were revoked: `revoke execute from=public`. The name of a revocation is the role that lost the privilege.

use crate::catalog::{Book, Row, Version};
use crate::kdl::{Node, Problem};
use crate::kinds::scope::{Scope, article};
use crate::kinds::{Context, Disturbance, Folded, Need, Reaction, Room, Statement};
use crate::model::{
    Address, Attr, Attrs, Form, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Shape, Text, Within, attr,
};

use super::acl::{self, On, PRIVILEGES, Verb};

static ATTRS: [Attr; 1] =
    [attr(PRIVILEGES, Shape::Texts, Form::Arguments, OnChange::Alter, "The built-in privileges, or `all`.")];

pub static KIND: Kind = Kind {
    word: "revoke",
    sql: "REVOKE",
    address: Address::Facet,
    within: Within::Any,
    namespace: Namespace::Own,
    attrs: &ATTRS,
    folds: false,
    doc: "Privileges that PUBLIC or the owner has unless they are revoked.",
};

pub struct Revoke;
pub static ROOM: Revoke = Revoke;

impl Room for Revoke {
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
        let Some((parent, on, grantee)) = acl::parse_address(node, "from", &[], scope) else { return };
        let rights = acl::parse_rights(node, on, scope);
        // Before 15, everyone could create in schema public.
        let built_in = on.built_in(acl::is_initial(&parent), Version::major_release(13));
        let surplus =
            acl::expanded(&rights, on, Version::major_release(13)).into_iter().find(|r| !built_in.contains(&&**r));
        if let Some(right) = surplus.filter(|_| grantee.as_str() == "public" && !rights.iter().any(|r| &**r == "all")) {
            let kind = parent.kind().word;
            let message = format!(
                "PUBLIC has no built-in privilege `{right}` on {} {kind}, so there is nothing to revoke",
                article(kind)
            );
            scope.problem(
                Problem::new(node.name_span, message)
                    .help("leave it out: privileges that no `grant` declares are revoked anyway"),
            );
        }
        let id = ObjectId::new(&KIND, Some(parent), grantee);
        if !rights.is_empty() {
            scope.put(id, Object::new(Attrs::new().with(PRIVILEGES, rights)), node.span);
        }
    }

    fn write(&self, id: &ObjectId, object: &Object, _: Vec<Node>) -> Option<Node> {
        let node = list(object).iter().fold(Node::new(KIND.word), |node, right| node.arg(right.clone()));
        Some(node.prop("from", id.name().text()))
    }

    fn query(&self, server: Version) -> Option<String> {
        Some(acl::query(server, true))
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (object, grantee, _) = acl::address(row, book)?;
        Some(ObjectId::new(&KIND, Some(object), grantee))
    }

    fn read(&self, row: &mut Row, id: &ObjectId, book: &Book) -> Option<Object> {
        let rights = acl::rights(row, On::of(id.parent()?)?, book.server);
        Some(Object::new(Attrs::new().with(PRIVILEGES, rights)))
    }

    fn depends_on_facet(&self) -> Option<&'static str> {
        Some("owner")
    }

    fn reaction(&self, _: &ObjectId, _: &Object, disturbance: &Disturbance) -> Reaction {
        disturbance.unless_retyped()
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], cx: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(between(id, &[], &list(object), cx))
    }

    fn alter(
        &self,
        id: &ObjectId,
        old: &Object,
        new: &Object,
        _: &[&'static str],
        cx: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        Ok(between(id, &list(old), &list(new), cx))
    }

    fn drop(&self, id: &ObjectId, object: &Object, cx: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(between(id, &list(object), &[], cx))
    }
}

fn list(object: &Object) -> Vec<Text> {
    object.get(PRIVILEGES).unwrap_or_default().into_iter().cloned().collect()
}

/// The revocation as a server of that version understands it; `None` if that version gives none of these privileges by itself.
pub fn settled(id: &ObjectId, revoke: &Object, server: Version) -> Option<Object> {
    let parent = id.parent()?;
    let on = On::of(parent)?;
    let mut rights = acl::expanded(&list(revoke), on, server);
    if id.name().as_str() == "public" {
        let built_in = on.built_in(acl::is_initial(parent), server);
        rights.retain(|r| built_in.contains(&&**r));
    }
    let attrs = Attrs::new().with(PRIVILEGES, acl::normal(rights, on, server));
    (attrs.get(PRIVILEGES).is_some_and(|l| !l.is_empty())).then(|| Object {
        attrs,
        place: revoke.place,
        was: revoke.was.clone(),
        ..Object::default()
    })
}

fn between(id: &ObjectId, old: &[Text], new: &[Text], cx: &Context<'_>) -> Vec<Statement> {
    let server = cx.server;
    let Some((parent, on)) = id.parent().and_then(|p| Some((p, On::of(p)?))) else { return vec![] };
    let steps = [(Verb::Grant, acl::without(old, new, on, server)), (Verb::Revoke, acl::without(new, old, on, server))];
    steps.iter().filter_map(|(verb, rights)| acl::statement(parent, verb, rights, id.name(), cx)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::scope::schema_id;

    #[test]
    fn what_is_built_in_depends_on_the_version() {
        let id = ObjectId::new(&KIND, Some(schema_id("public")), "public");
        let revoke = Object::new(Attrs::new().with(PRIVILEGES, vec![Text::from("create")]));
        assert_eq!(settled(&id, &revoke, Version(140_000)), Some(revoke.clone()));
        assert_eq!(settled(&id, &revoke, Version(150_000)), None);
        let state = crate::model::State::default();
        let cx = Context::new(Version(140_000), &state);
        let sql: Vec<String> = between(&id, &[], &list(&revoke), &cx).into_iter().map(|s| s.sql).collect();
        assert_eq!(sql, ["REVOKE CREATE ON SCHEMA public FROM PUBLIC"]);
    }
}
