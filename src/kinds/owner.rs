//! Owners of any object that has one: `owner app_owner`. The catalog gives every object an owner; `manage` decides which ones are managed.

use crate::catalog::{Book, Row, Version};
use crate::model::{
    Address, Attr, Attrs, Form, Ident, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Shape,
    Within, attr,
};
use crate::sql;

use super::rights::{self, Demand};
use super::{Context, Disturbance, Folded, LockMode, Need, Reaction, Room, Statement};

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

/// Catalogs whose rows have an owner: OID of the catalog, its name, the owner's column, which rows.
/// Sequences of columns follow their table, row types their relation.
const OWNED: [(u32, &str, &str, &str); 16] = [
    (2615, "pg_namespace", "nspowner", "(o.oid >= 16384 OR o.nspname = 'public')"),
    (
        1259,
        "pg_class",
        "relowner",
        "o.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND o.relpersistence <> 't' AND NOT (o.relkind = 'S' AND EXISTS (SELECT FROM pg_depend d \
         WHERE d.classid = 1259 AND d.objid = o.oid AND d.refclassid = 1259 AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')))",
    ),
    (1255, "pg_proc", "proowner", "true"),
    (
        1247,
        "pg_type",
        "typowner",
        "o.typtype IN ('b', 'c', 'd', 'e', 'r') AND (o.typtype <> 'b' OR o.typcategory <> 'A') \
         AND (o.typrelid = 0 OR EXISTS (SELECT FROM pg_class c WHERE c.oid = o.typrelid AND c.relkind = 'c'))",
    ),
    (3456, "pg_collation", "collowner", "true"),
    (2607, "pg_conversion", "conowner", "true"),
    (2617, "pg_operator", "oprowner", "true"),
    (2616, "pg_opclass", "opcowner", "true"),
    (2753, "pg_opfamily", "opfowner", "true"),
    (3600, "pg_ts_dict", "dictowner", "true"),
    (3602, "pg_ts_config", "cfgowner", "true"),
    (3381, "pg_statistic_ext", "stxowner", "true"),
    (2328, "pg_foreign_data_wrapper", "fdwowner", "true"),
    (1417, "pg_foreign_server", "srvowner", "true"),
    (3466, "pg_event_trigger", "evtowner", "true"),
    (6104, "pg_publication", "pubowner", "true"),
];

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
        let parts: Vec<String> = OWNED
            .iter()
            .map(|(class, catalog, owner, which)| {
                let user = if *catalog == "pg_namespace" { "true" } else { "o.oid >= 16384" };
                format!("SELECT {class}::oid, o.oid, o.{owner} FROM {catalog} o WHERE {user} AND {which}")
            })
            .collect();
        Some(parts.join(" UNION ALL "))
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
