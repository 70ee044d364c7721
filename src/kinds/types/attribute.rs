//! Attributes of composite types: `attribute street text`.

use crate::catalog::{Book, Row, Version};
use crate::kinds::{Context, Disturbance, Evaluates, Folded, Heirs, LockMode, Reaction, Room, Statement, inheritance};
use crate::model::{
    Address, Attr, Form, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Shape, SqlType, State,
    Within, attr,
};
use crate::sql;

use super::collated::{self, COLLATION, collation_attr};
use super::values;

const TYPE: Key<SqlType> = Key::new("type");

static ATTRS: [Attr; 2] =
    [attr(TYPE, Shape::Type, Form::Argument, OnChange::Alter, "The type."), collation_attr(OnChange::Alter)];

pub static KIND: Kind = Kind {
    word: "attribute",
    sql: "COLUMN",
    address: Address::MemberOf,
    within: Within::Of(&["type"]),
    namespace: Namespace::Own,
    attrs: &ATTRS,
    folds: true,
    doc: "An attribute of a composite type.",
};

pub struct Attribute;
pub static ROOM: Attribute = Attribute;

impl Room for Attribute {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn heirs(&self, _: bool) -> Heirs {
        Heirs::All
    }

    fn query(&self, _: Version) -> Option<String> {
        Some(format!(
            "SELECT a.attrelid, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), {} \
             FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid \
             WHERE c.relkind = 'c' AND c.oid >= 16384 AND a.attnum > 0 AND NOT a.attisdropped \
             ORDER BY a.attrelid, a.attnum",
            collated::columns("a.attcollation", "t.typcollation")
        ))
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (relation, number, name) = (row.oid(), row.next::<i16>(), row.text());
        let id = ObjectId::new(&KIND, Some(book.relation(relation)?.clone()), name);
        book.add_column(relation, number, id.clone());
        Some(id)
    }

    fn read(&self, row: &mut Row, _: &ObjectId, _: &Book) -> Option<Object> {
        let mut object = Object::default();
        object.attrs.set(TYPE, SqlType::new(row.text()));
        object.attrs.set(COLLATION, collated::read(row));
        Some(object)
    }

    /// PostgreSQL changes the rows of typed tables along, and no values in columns (src/backend/catalog/pg_type.c and
    /// src/backend/commands/tablecmds.c, find_composite_type_dependencies).
    fn is_held(&self, id: &ObjectId, changed: &[&'static str], state: &State) -> bool {
        let columns = id.parent().map(|of| values::columns_of(state, of)).unwrap_or_default();
        changed.iter().any(|name| [TYPE.name, COLLATION.name].contains(name))
            && columns.into_iter().any(|column| column.kind().word == "column")
    }

    fn reaction(&self, _: &ObjectId, _: &Object, disturbance: &Disturbance) -> Reaction {
        match disturbance {
            Disturbance::Replaced(_) => Reaction::Retype,
            Disturbance::Retyped(_) => Reaction::Survives,
        }
    }

    fn clause(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Option<String> {
        Some(format!("{} {}", sql::name(id.name()), what(object)?))
    }

    fn evaluates(&self, _: bool) -> Evaluates {
        Evaluates::Rows
    }

    fn create(&self, id: &ObjectId, object: &Object, folded: &[Folded], cx: &Context<'_>) -> Result<Vec<Statement>> {
        let clause = self.clause(id, object, folded, cx).unwrap_or_default();
        Ok(vec![alter_type(id, &format!("ADD ATTRIBUTE {clause}"), cx)])
    }

    fn alter(
        &self,
        id: &ObjectId,
        _: &Object,
        new: &Object,
        _: &[&'static str],
        cx: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        let (name, what) = (sql::name(id.name()), what(new).unwrap_or_default());
        Ok(vec![alter_type(id, &format!("ALTER ATTRIBUTE {name} TYPE {what}"), cx)])
    }

    fn rename(&self, from: &ObjectId, to: &ObjectId, _: &Object, cx: &Context<'_>) -> Result<Vec<Statement>> {
        let (old, new) = (sql::name(from.name()), sql::name(to.name()));
        Ok(vec![alter_type(from, &format!("RENAME ATTRIBUTE {old} TO {new}"), cx)])
    }

    fn retype(
        &self,
        id: &ObjectId,
        object: &Object,
        _: (&ObjectId, &ObjectId),
        cx: &Context<'_>,
    ) -> Option<Result<Statement>> {
        let (name, what) = (sql::name(id.name()), what(object)?);
        Some(Ok(alter_type(id, &format!("ALTER ATTRIBUTE {name} TYPE {what}"), cx)))
    }

    fn drop(&self, id: &ObjectId, _: &Object, cx: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(vec![alter_type(id, &format!("DROP ATTRIBUTE {}", sql::name(id.name())), cx)])
    }
}

fn what(object: &Object) -> Option<String> {
    Some(format!("{}{}", object.get(TYPE)?.as_str(), collated::clause(object.get(COLLATION))))
}

/// Tables of the type change with it, which requires CASCADE.
fn alter_type(id: &ObjectId, what: &str, cx: &Context<'_>) -> Statement {
    let sql = format!("ALTER TYPE {} {what}", id.parent().map_or_else(String::new, sql::path));
    // Those that leave the type in the same plan may be with it still, and those that come already.
    let other =
        |table: &&ObjectId| cx.state.get(table).is_none_or(|object| inheritance::type_of(object) != id.parent());
    let mut tables = id
        .parent()
        .into_iter()
        .flat_map(|of| inheritance::tables_of(cx.state, of).chain(inheritance::tables_of(cx.other, of).filter(other)));
    match tables.next() {
        Some(table) => {
            let first = Statement::new(format!("{sql} CASCADE")).locks(LockMode::AccessExclusive, table);
            tables.fold(first, |statement, table| statement.also_locks(LockMode::AccessExclusive, table))
        }
        None => Statement::new(sql),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Attrs, State};

    #[test]
    fn ddl() {
        let state = State::default();
        let cx = Context::new(Version::major_release(15), &state);
        let parent = ObjectId::new(crate::kinds::find("type").unwrap().kind(), None, "c");
        let id = ObjectId::new(&KIND, Some(parent.clone()), "zip");
        let attrs = Attrs::new()
            .with(TYPE, SqlType::new("character varying(10)"))
            .with(COLLATION, collated::id("pg_catalog", "C"));
        let object = Object::new(attrs);
        let first = |list: Result<Vec<Statement>>| list.unwrap().remove(0).sql;
        let clause = ROOM.clause(&id, &object, &[], &cx).unwrap();
        assert_eq!(clause, "zip character varying(10) COLLATE \"C\"");
        let folded = Folded { id: id.clone(), object: object.clone(), clause };
        let create = crate::kinds::find("type").unwrap().create(&parent, &Object::default(), &[folded], &cx);
        assert_eq!(first(create), "CREATE TYPE c AS (\n    zip character varying(10) COLLATE \"C\"\n)");
        assert_eq!(
            first(ROOM.create(&id, &object, &[], &cx)),
            "ALTER TYPE c ADD ATTRIBUTE zip character varying(10) COLLATE \"C\""
        );
        assert_eq!(
            first(ROOM.alter(&id, &object, &object, &["type"], &cx)),
            "ALTER TYPE c ALTER ATTRIBUTE zip TYPE character varying(10) COLLATE \"C\""
        );
        assert_eq!(
            first(ROOM.rename(&id, &id.renamed("postcode"), &object, &cx)),
            "ALTER TYPE c RENAME ATTRIBUTE zip TO postcode"
        );
        assert_eq!(first(ROOM.drop(&id, &object, &cx)), "ALTER TYPE c DROP ATTRIBUTE zip");
        assert_eq!(sql::target(&id), "COLUMN c.zip");
        let mut state = State::default();
        let table = ObjectId::new(crate::kinds::find("table").unwrap().kind(), None, "people");
        state.put(table.clone(), Object::new(Attrs::new().with(Key::<ObjectId>::new("of"), parent)));
        let drop = ROOM.drop(&id, &object, &Context::new(Version::major_release(15), &state)).unwrap().remove(0);
        assert_eq!(drop.sql, "ALTER TYPE c DROP ATTRIBUTE zip CASCADE");
        assert_eq!(drop.lock, Some((LockMode::AccessExclusive, table)));
    }
}
