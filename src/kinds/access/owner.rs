//! Owners of any object that has one: `owner app_owner`. The catalog gives every object an owner; `manage` decides which ones are managed.

use crate::catalog::{Book, Row, Version};
use crate::kinds::{Context, Disturbance, Folded, LockMode, Need, Reaction, Room, Statement};
use crate::model::{
    Address, Attr, Attrs, Form, Ident, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Shape,
    Within, attr,
};
use crate::sql;

use super::held::{self, Held};
use super::rights::{self, Demand};

const ROLE: Key<Ident> = Key::new("role");

static ATTRS: [Attr; 1] = [attr(ROLE, Shape::Name, Form::Argument, OnChange::Alter, "The role that owns the object.")];

pub static KIND: Kind = Kind {
    word: "owner",
    sql: "OWNER",
    address: Address::Facet,
    within: Within::Any,
    namespace: Namespace::Own,
    attrs: &ATTRS,
    folds: false,
    doc: "The role that may alter and drop the object.",
};

pub struct Owner;
pub static ROOM: Owner = Owner;

/// The owner facet of `parent` with that role.
pub fn owned(parent: &ObjectId, role: &Ident) -> (ObjectId, Object) {
    (ObjectId::facet(&KIND, parent.clone()), Object::new(Attrs::new().with(ROLE, role.clone())))
}

/// The role that an owner facet names.
pub fn role(object: &Object) -> Option<Ident> {
    object.get(ROLE)
}

impl Room for Owner {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn need(&self) -> Need {
        Need::Given
    }

    fn rights(&self, _: &ObjectId, object: &Object, _: Option<&[&'static str]>) -> Vec<Demand> {
        object.get(ROLE).iter().map(rights::role).collect()
    }

    fn query(&self, _: Version) -> Option<String> {
        let parts = held::of_kinds().into_iter().filter_map(|Held { class, catalog, prefix, owners, .. }| {
            Some(format!("SELECT {class}::oid, o.oid, o.{prefix}owner FROM {catalog} o WHERE {}", (*owners)?))
        });
        Some(parts.collect::<Vec<_>>().join(" UNION ALL "))
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (class, oid) = (row.oid(), row.oid());
        Some(ObjectId::facet(&KIND, book.get(class, oid)?.clone()))
    }

    fn read(&self, row: &mut Row, _: &ObjectId, book: &Book) -> Option<Object> {
        Some(Object::new(Attrs::new().with(ROLE, book.role(row.oid()))))
    }

    fn reaction(&self, _: &ObjectId, _: &Object, disturbance: &Disturbance) -> Reaction {
        disturbance.unless_retyped()
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        let (Some(parent), Some(role)) = (id.parent(), object.get(ROLE)) else { return Ok(vec![]) };
        let statement = Statement::new(format!("ALTER {} OWNER TO {}", sql::target(parent), sql::name(&role)));
        Ok(vec![statement.locks(LockMode::AccessExclusive, parent.root())])
    }

    fn alter(
        &self,
        id: &ObjectId,
        _: &Object,
        new: &Object,
        _: &[&'static str],
        cx: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        self.create(id, new, &[], cx)
    }

    /// An object always has an owner: without the facet it keeps the one that it has.
    fn drop(&self, _: &ObjectId, _: &Object, _: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(vec![])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::scope::schema_id;
    use crate::model::State;

    #[test]
    fn a_role_is_quoted() {
        let (id, object) = owned(&schema_id("app"), &Ident::from("App Owner"));
        let state = State::default();
        let cx = Context::new(Version(150_000), &state);
        let sql = ROOM.create(&id, &object, &[], &cx).unwrap().remove(0).sql;
        assert_eq!(sql, "ALTER SCHEMA app OWNER TO \"App Owner\"");
    }
}
