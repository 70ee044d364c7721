//! Domains: `domain email citext not-null { check … }`.

use crate::catalog::{Book, Row, Version, class};
use crate::kinds::held::{self, Held};
use crate::kinds::{Context, Disturbance, Evaluates, Folded, Heirs, Holds, Reaction, Room, Statement};
use crate::model::{
    Address, Attr, Expr, Form, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Shape, SqlType,
    State, Within, attr,
};
use crate::sql;

use super::collated::{self, COLLATION, collation_attr};
use super::domains;

const TYPE: Key<SqlType> = Key::new("type");
const NOT_NULL: Key<bool> = Key::new("not-null");
const DEFAULT: Key<Expr> = Key::new("default");

static ATTRS: [Attr; 4] = [
    attr(TYPE, Shape::Type, Form::Argument, OnChange::Replace, "The underlying type."),
    attr(NOT_NULL, Shape::Flag, Form::Flag, OnChange::Alter, "NULL is not allowed."),
    collation_attr(OnChange::Replace),
    attr(DEFAULT, Shape::Expr, Form::Property, OnChange::Alter, "The default for columns of this type that have none."),
];

pub static KIND: Kind = Kind {
    word: "domain",
    sql: "DOMAIN",
    address: Address::Qualified,
    within: Within::Schema,
    namespace: Namespace::Type,
    attrs: &ATTRS,
    folds: false,
    doc: "A type with constraints and a default of its own.",
};

pub struct Domain;
pub static ROOM: Domain = Domain;

impl Room for Domain {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn held(&self) -> Option<&'static Held> {
        Some(&held::PG_TYPE)
    }

    fn heirs(&self, _: bool) -> Heirs {
        Heirs::All
    }

    fn lacks(&self, _: &ObjectId, object: &Object, _: &State) -> Option<String> {
        object.get(TYPE).is_none().then(|| "it has no type: `domain NAME TYPE`".to_string())
    }

    fn query(&self, _: Version) -> Option<String> {
        Some(format!(
            "SELECT t.oid, t.typarray, t.typnamespace, t.typname, format_type(t.typbasetype, t.typtypmod), t.typnotnull, {}, \
             CASE WHEN t.typdefaultbin IS NOT NULL THEN pg_get_expr(t.typdefaultbin, 'pg_catalog.pg_type'::regclass) END \
             FROM pg_type t JOIN pg_type b ON b.oid = t.typbasetype WHERE t.typtype = 'd' AND t.oid >= 16384 ORDER BY t.oid",
            collated::columns("t.typcollation", "b.typcollation")
        ))
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (oid, array, schema, name) = (row.oid(), row.oid(), row.oid(), row.text());
        if book.is_member(class::PG_TYPE, oid) {
            return None;
        }
        let id = ObjectId::new(&KIND, Some(book.schema(schema)?.clone()), name);
        book.add(class::PG_TYPE, oid, id.clone());
        book.add(class::PG_TYPE, array, id.clone());
        Some(id)
    }

    fn read(&self, row: &mut Row, _: &ObjectId, _: &Book) -> Option<Object> {
        let mut object = Object::default();
        object.attrs.set(TYPE, SqlType::new(row.text()));
        object.attrs.set(NOT_NULL, row.next::<bool>());
        object.attrs.set(COLLATION, collated::read(row));
        object.attrs.set(DEFAULT, row.text_opt().map(Expr::new));
        Some(object)
    }

    fn is_held(&self, id: &ObjectId, changed: &[&'static str], state: &State) -> bool {
        changed.contains(&NOT_NULL.name) && domains::is_within_others(state, id)
    }

    fn reaction(&self, _: &ObjectId, _: &Object, disturbance: &Disturbance) -> Reaction {
        disturbance.unless_retyped()
    }

    fn holds(&self, _: &ObjectId, object: &Object, _: &State) -> Option<Holds> {
        object.get(TYPE).cloned().map(Holds::As)
    }

    fn evaluates(&self, _: bool) -> Evaluates {
        Evaluates::Rows
    }

    fn create(&self, id: &ObjectId, object: &Object, folded: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        let base = object.get(TYPE).map_or("", |t| t.as_str());
        let mut text = format!("CREATE DOMAIN {} AS {base}{}", sql::path(id), collated::clause(object.get(COLLATION)));
        if let Some(default) = object.get(DEFAULT) {
            text.push_str(&format!(" DEFAULT {}", default.as_str()));
        }
        if object.is(NOT_NULL) {
            text.push_str(" NOT NULL");
        }
        for child in folded {
            text.push_str(&format!("\n    {}", child.clause));
        }
        Ok(vec![Statement::new(text)])
    }

    fn alter(
        &self,
        id: &ObjectId,
        _: &Object,
        new: &Object,
        changed: &[&'static str],
        cx: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        let mut out = Vec::new();
        for name in changed {
            let what = if *name == DEFAULT.name {
                new.get(DEFAULT).map_or_else(|| "DROP DEFAULT".into(), |d| format!("SET DEFAULT {}", d.as_str()))
            } else if *name == NOT_NULL.name {
                format!("{} NOT NULL", if new.is(NOT_NULL) { "SET" } else { "DROP" })
            } else {
                continue;
            };
            let statement = Statement::new(format!("ALTER DOMAIN {} {what}", sql::path(id)));
            let looks = *name == NOT_NULL.name && new.is(NOT_NULL);
            out.push(if looks { domains::looks_at_values(statement, cx.state, id) } else { statement });
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Attrs;

    #[test]
    fn ddl() {
        let state = State::default();
        let cx = Context::new(Version::major_release(15), &state);
        let id = ObjectId::new(&KIND, None, "d");
        let full = Object::new(
            Attrs::new()
                .with(TYPE, SqlType::new("text"))
                .with(COLLATION, collated::id("pg_catalog", "C"))
                .with(DEFAULT, Expr::new("'q'::text"))
                .with(NOT_NULL, true),
        );
        let bare = Object::new(Attrs::new().with(TYPE, SqlType::new("text")));
        let folded = [Folded {
            id: ObjectId::new(&KIND, None, "c"),
            object: Object::default(),
            clause: "CONSTRAINT c CHECK (VALUE <> '')".into(),
        }];
        let text = |list: Vec<Statement>| list.into_iter().map(|s| s.sql).collect::<Vec<_>>().join("; ");
        assert_eq!(
            text(ROOM.create(&id, &full, &folded, &cx).unwrap()),
            "CREATE DOMAIN d AS text COLLATE \"C\" DEFAULT 'q'::text NOT NULL\n    CONSTRAINT c CHECK (VALUE <> '')"
        );
        assert_eq!(
            text(ROOM.alter(&id, &full, &bare, &["default", "not-null"], &cx).unwrap()),
            "ALTER DOMAIN d DROP DEFAULT; ALTER DOMAIN d DROP NOT NULL"
        );
        assert_eq!(
            text(ROOM.alter(&id, &bare, &full, &["default", "not-null"], &cx).unwrap()),
            "ALTER DOMAIN d SET DEFAULT 'q'::text; ALTER DOMAIN d SET NOT NULL"
        );
        assert_eq!(text(ROOM.drop(&id, &full, &cx).unwrap()), "DROP DOMAIN d");
    }
}
