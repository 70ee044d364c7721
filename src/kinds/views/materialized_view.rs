//! Materialized views: `materialized-view daily { sql "SELECT …" }`.

use crate::catalog::{Book, Row, Version};
use crate::kinds::held::{self, Held};
use crate::kinds::{Context, Evaluates, Folded, LockMode, Room, Statement};
use crate::model::{
    Address, Attr, Attrs, Expr, Form, Ident, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Options,
    Result, Shape, State, Within, attr,
};
use crate::sql;

use super::query::{stored, trimmed};

const UNPOPULATED: Key<bool> = Key::new("unpopulated");
const USING: Key<Ident> = Key::new("using");
const TABLESPACE: Key<Ident> = Key::new("tablespace");
const WITH: Key<Options> = Key::new("with");
const SQL: Key<Expr> = Key::new("sql");

static ATTRS: [Attr; 5] = [
    attr(
        UNPOPULATED,
        Shape::Flag,
        Form::Flag,
        OnChange::CreationOnly,
        "Created without rows: it cannot be read before the first REFRESH.",
    ),
    attr(USING, Shape::Name, Form::Property, OnChange::Replace, "The table access method.").default("heap"),
    attr(TABLESPACE, Shape::Name, Form::Property, OnChange::Alter, "The tablespace of its files."),
    attr(
        WITH,
        Shape::Options,
        Form::Child,
        OnChange::Alter,
        "Storage parameters; those of the TOAST table begin with `toast.`.",
    ),
    attr(SQL, Shape::Query, Form::Child, OnChange::Replace, "The query."),
];

pub static KIND: Kind = Kind {
    word: "materialized-view",
    sql: "MATERIALIZED VIEW",
    address: Address::Qualified,
    within: Within::Schema,
    namespace: Namespace::Relation,
    attrs: &ATTRS,
    folds: false,
    doc: "A query whose result is stored until the next REFRESH.",
};

pub struct MaterializedView;
pub static ROOM: MaterializedView = MaterializedView;

impl Room for MaterializedView {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn held(&self) -> Option<&'static Held> {
        Some(&held::PG_CLASS)
    }

    fn lacks(&self, _: &ObjectId, object: &Object, _: &State) -> Option<String> {
        object.get(SQL).is_none().then(|| "it has no query: `materialized-view NAME { sql \"SELECT …\" }`".to_string())
    }

    fn query(&self, _: Version) -> Option<String> {
        Some(
            "SELECT c.oid, r.oid, c.reltype, t.typarray, c.relnamespace, c.relname, NOT c.relispopulated, am.amname::text, s.spcname::text, \
             c.reloptions, toast.reloptions, pg_get_viewdef(c.oid) \
             FROM pg_class c JOIN pg_type t ON t.oid = c.reltype JOIN pg_rewrite r ON r.ev_class = c.oid AND r.rulename = '_RETURN' \
             LEFT JOIN pg_am am ON am.oid = c.relam LEFT JOIN pg_tablespace s ON s.oid = c.reltablespace \
             LEFT JOIN pg_class toast ON toast.oid = c.reltoastrelid \
             WHERE c.relkind = 'm' AND c.oid >= 16384 ORDER BY c.oid"
                .into(),
        )
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        super::query::name(&KIND, row, book)
    }

    fn read(&self, row: &mut Row, _: &ObjectId, _: &Book) -> Option<Object> {
        let mut attrs = Attrs::new();
        attrs.set(UNPOPULATED, row.next::<bool>());
        attrs.set(USING, row.text_opt().filter(|am| &**am != "heap").map(Ident::new));
        attrs.set(TABLESPACE, row.text_opt().map(Ident::new));
        let mut options: Vec<String> = row.next();
        options.extend(row.next::<Vec<String>>().into_iter().map(|o| format!("toast.{o}")));
        attrs.set(WITH, Options::some(options));
        attrs.set(SQL, stored(&row.text()));
        Some(Object::new(attrs))
    }

    fn evaluates(&self, creates: bool) -> Evaluates {
        if creates { Evaluates::Query } else { Evaluates::Parses }
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        let mut text = format!("CREATE MATERIALIZED VIEW {}", sql::path(id));
        if let Some(method) = object.get(USING) {
            text.push_str(&format!(" USING {}", sql::name(&method)));
        }
        if let Some(options) = object.get(WITH) {
            text.push_str(&format!(" WITH ({})", sql::options(options.into_iter())));
        }
        if let Some(space) = object.get(TABLESPACE) {
            text.push_str(&format!(" TABLESPACE {}", sql::name(&space)));
        }
        text.push_str(&format!(" AS\n{}", object.get(SQL).map_or("", trimmed)));
        if object.is(UNPOPULATED) {
            text.push_str("\nWITH NO DATA");
        }
        let statement = Statement::new(text);
        Ok(vec![if object.is(UNPOPULATED) { statement } else { statement.scans() }])
    }

    fn alter(
        &self,
        id: &ObjectId,
        old: &Object,
        new: &Object,
        changed: &[&'static str],
        _: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        let alter = |what: &str, lock| {
            Statement::new(format!("ALTER MATERIALIZED VIEW {} {what}", sql::path(id))).locks(lock, id)
        };
        let mut out = Vec::new();
        if changed.contains(&TABLESPACE.name) {
            let space = new.get(TABLESPACE).map_or_else(|| "pg_default".to_string(), |s| sql::name(&s).to_string());
            out.push(alter(&format!("SET TABLESPACE {space}"), LockMode::AccessExclusive));
        }
        if changed.contains(&WITH.name) {
            let (old, new) = (old.get(WITH).unwrap_or_default(), new.get(WITH).unwrap_or_default());
            out.extend(sql::option_changes(&old, &new).iter().map(|what| alter(what, LockMode::ShareUpdateExclusive)));
        }
        Ok(out)
    }

    fn drop(&self, id: &ObjectId, _: &Object, _: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(vec![Statement::new(format!("DROP {}", sql::target(id))).locks(LockMode::AccessExclusive, id)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::scope::schema_id;
    use crate::model::State;

    #[test]
    fn everything_has_its_place_in_create() {
        let id = ObjectId::new(&KIND, Some(schema_id("app")), "daily");
        let attrs = Attrs::new()
            .with(UNPOPULATED, true)
            .with(WITH, Options::some(["fillfactor=60"]))
            .with(SQL, Expr::new("SELECT 1 AS n;"));
        let state = State::default();
        let cx = Context::new(Version(150_000), &state);
        let sql = ROOM.create(&id, &Object::new(attrs), &[], &cx).unwrap().remove(0).sql;
        assert_eq!(sql, "CREATE MATERIALIZED VIEW app.daily WITH (fillfactor='60') AS\nSELECT 1 AS n\nWITH NO DATA");
    }
}
