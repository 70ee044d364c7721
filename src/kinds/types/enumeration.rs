//! Enum types: `enum order_status pending paid shipped`.

use crate::catalog::{Book, Row, Version, class};
use crate::kdl::{Node, Problem};
use crate::kinds::held::{self, Held};
use crate::kinds::scope::Scope;
use crate::kinds::{Context, Evaluates, Folded, Heirs, Holds, Mode, Room, Statement, generic};
use crate::model::{
    Address, Attr, Form, Key, Kind, KindRef, MAX_NAME_BYTES, Namespace, Object, ObjectId, OnChange, Result, Shape,
    State, Text, Within, attr,
};
use crate::sql;

const VALUES: Key<Vec<Text>> = Key::new("values");

static ATTRS: [Attr; 1] = [attr(
    VALUES,
    Shape::Texts,
    Form::Arguments,
    OnChange::Alter,
    "The values, in their order. New ones are added in place; removing or reordering values rebuilds the type.",
)];

pub static KIND: Kind = Kind {
    word: "enum",
    sql: "TYPE",
    address: Address::Qualified,
    within: Within::Schema,
    namespace: Namespace::Type,
    attrs: &ATTRS,
    folds: false,
    doc: "A type with a fixed, ordered list of values.",
};

pub struct Enumeration;
pub static ROOM: Enumeration = Enumeration;

impl Room for Enumeration {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn held(&self) -> Option<&'static Held> {
        Some(&held::PG_TYPE)
    }

    fn heirs(&self, _: bool) -> Heirs {
        Heirs::All
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        for (at, value) in node.args.iter().enumerate().skip(1) {
            let Some(text) = value.as_text() else { continue };
            if text.len() > MAX_NAME_BYTES {
                let message = format!("a value of an enum can have at most {MAX_NAME_BYTES} bytes");
                scope.problem(Problem::new(value.span, message).label(format!("{} bytes", text.len())));
            }
            if node.args.iter().take(at).skip(1).any(|other| other.as_text() == Some(text)) {
                scope.problem(Problem::new(value.span, format!("`{text}` is given twice")).label("second time"));
            }
        }
        generic::parse(&KIND, node, scope);
    }

    fn query(&self, _: Version) -> Option<String> {
        Some(
            "SELECT t.oid, t.typarray, t.typnamespace, t.typname, v.labels FROM pg_type t LEFT JOIN \
             (SELECT enumtypid, array_agg(enumlabel::text ORDER BY enumsortorder) AS labels FROM pg_enum GROUP BY 1) v \
             ON v.enumtypid = t.oid WHERE t.typtype = 'e' AND t.oid >= 16384 ORDER BY t.oid"
                .into(),
        )
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
        let values: Vec<String> = row.next();
        let mut object = Object::default();
        if !values.is_empty() {
            object.attrs.set(VALUES, values.into_iter().map(Text::from).collect::<Vec<_>>());
        }
        Some(object)
    }

    /// PostgreSQL only adds values; everything else is a new type.
    fn on_change(&self, _: &'static Attr, old: &Object, new: &Object) -> OnChange {
        let (old, new) = (old.get(VALUES).unwrap_or_default(), new.get(VALUES).unwrap_or_default());
        let mut kept = new.iter().filter(|value| old.contains(value));
        let same_order = old.iter().all(|value| kept.next() == Some(value));
        if same_order { OnChange::Alter } else { OnChange::Replace }
    }

    fn holds(&self, _: &ObjectId, object: &Object, _: &State) -> Option<Holds> {
        Some(Holds::Words(object.get(VALUES).unwrap_or_default().into_iter().cloned().collect()))
    }

    fn evaluates(&self, _: bool) -> Evaluates {
        Evaluates::Rows
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        let values: Vec<String> = object.get(VALUES).unwrap_or_default().iter().map(|v| sql::literal(v)).collect();
        let one_line = format!("CREATE TYPE {} AS ENUM ({})", sql::path(id), values.join(", "));
        Ok(vec![Statement::new(match one_line.len() > 120 {
            true => format!("CREATE TYPE {} AS ENUM (\n    {}\n)", sql::path(id), values.join(",\n    ")),
            false => one_line,
        })])
    }

    fn alter(
        &self,
        id: &ObjectId,
        old: &Object,
        new: &Object,
        _: &[&'static str],
        _: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        let (old, new) = (old.get(VALUES).unwrap_or_default(), new.get(VALUES).unwrap_or_default());
        let mut last = old.last().copied();
        let mut previous: Option<&Text> = None;
        let mut out = Vec::new();
        for value in new {
            if !old.contains(&value) {
                let place = match previous {
                    _ if last == previous => String::new(),
                    Some(previous) => format!(" AFTER {}", sql::literal(previous)),
                    None => old.first().map_or_else(String::new, |first| format!(" BEFORE {}", sql::literal(first))),
                };
                let text = format!("ALTER TYPE {} ADD VALUE {}{place}", sql::path(id), sql::literal(value));
                out.push(Statement::new(text).mode(Mode::CommitAfter));
                if place.is_empty() {
                    last = Some(value);
                }
            }
            previous = Some(value);
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Attrs, State};

    fn values(list: &[&str]) -> Object {
        Object::new(Attrs::new().with(VALUES, list.iter().map(|v| Text::from(*v)).collect::<Vec<_>>()))
    }

    #[test]
    fn ddl() {
        let state = State::default();
        let cx = Context::new(Version::major_release(15), &state);
        let id = ObjectId::new(&KIND, None, "e");
        let create = ROOM.create(&id, &values(&["a", "it's"]), &[], &cx).unwrap();
        assert_eq!(create[0].sql, "CREATE TYPE e AS ENUM ('a', 'it''s')");
        let added = ROOM.alter(&id, &values(&["b", "d"]), &values(&["a", "b", "c", "c2", "d", "e", "f"]), &[], &cx);
        let added: Vec<String> = added.unwrap().into_iter().map(|s| s.sql).collect();
        assert_eq!(
            added,
            [
                "ALTER TYPE e ADD VALUE 'a' BEFORE 'b'",
                "ALTER TYPE e ADD VALUE 'c' AFTER 'b'",
                "ALTER TYPE e ADD VALUE 'c2' AFTER 'c'",
                "ALTER TYPE e ADD VALUE 'e'",
                "ALTER TYPE e ADD VALUE 'f'"
            ]
        );
        let first = ROOM.alter(&id, &values(&[]), &values(&["a", "b"]), &[], &cx).unwrap();
        assert_eq!(first[1].sql, "ALTER TYPE e ADD VALUE 'b'");
    }

    #[test]
    fn only_additions_are_done_in_place() {
        let change = |old: &[&str], new: &[&str]| ROOM.on_change(&ATTRS[0], &values(old), &values(new));
        assert_eq!(change(&["a", "b"], &["x", "a", "y", "b"]), OnChange::Alter);
        assert_eq!(change(&["a", "b"], &["b", "a"]), OnChange::Replace);
        assert_eq!(change(&["a", "b"], &["a"]), OnChange::Replace);
        assert_eq!(change(&["a", "b"], &["a", "c"]), OnChange::Replace);
    }
}
