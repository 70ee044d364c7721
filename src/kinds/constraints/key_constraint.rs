//! What primary keys and unique constraints share: everything but the keyword and the treatment of NULL.

use crate::catalog::{Book, Row, Version, class};
use crate::kdl::{Node, Problem};
use crate::kinds::scope::{Scope, Turn};
use crate::kinds::{Context, Disturbance, LockMode, Reaction, Room, Statement};
use crate::model::{Attr, Attrs, Form, Ident, Key, KindRef, Object, ObjectId, OnChange, Options, Shape, attr};
use crate::sql;

use super::constraint::{
    self, COLUMNS, DEFERRABLE, INCLUDE, INITIALLY_DEFERRED, Naming, TABLESPACE, WITH, column_list, deferrable_sql,
    include_sql, with_sql,
};

/// NULLs count as equal (since 15).
pub const NULLS_NOT_DISTINCT: Key<bool> = Key::new("nulls-not-distinct");
/// The last column is a range, and ranges may not overlap (from 18 on).
pub const WITHOUT_OVERLAPS: Key<bool> = Key::new("without-overlaps");

/// A key of the same columns: in one CREATE TABLE, PostgreSQL would merge the two (transformIndexConstraints).
const SAME_AS: Key<ObjectId> = Key::new("same-as");

/// The row of a table of attributes for `SAME_AS`.
pub const fn same_as_attr() -> Attr {
    let doc = "A key on the same columns; derived.";
    attr(SAME_AS, Shape::Ref(&["primary-key", "unique"]), Form::Custom, OnChange::CreationOnly, doc)
}

/// The row for `NULLS_NOT_DISTINCT`.
pub const fn nulls_not_distinct_attr() -> Attr {
    let doc = "NULLs count as equal (since 15).";
    attr(NULLS_NOT_DISTINCT, Shape::Flag, Form::Property, OnChange::Replace, doc).since(15)
}

/// The row for `WITHOUT_OVERLAPS`.
pub const fn without_overlaps_attr() -> Attr {
    let doc = "The last column is a range; rows that are equal in the others must not overlap in it (since 18).";
    attr(WITHOUT_OVERLAPS, Shape::Flag, Form::Property, OnChange::Replace, doc).since(18)
}

/// Reads `primary-key a b` or `unique a b`. `None`: read later, or wrong.
pub fn parse(room: &'static dyn Room, label: &'static str, node: &Node, scope: &mut Scope<'_>) -> Option<ObjectId> {
    let turn = if node.get_prop("name").is_some() { Turn::Named } else { Turn::Unnamed };
    if scope.put_off(turn, room, node) {
        return None;
    }
    let table = constraint::table_of(scope)?;
    let own = scope.parent.clone().filter(|parent| *parent != table);
    if let (Some(column), Some(arg)) = (&own, node.args.first()) {
        let message = format!("in a column, `{}` is about that column alone", room.kind().word);
        let problem = Problem::new(arg.span, message).label("one too many");
        scope.problem(problem.help(format!(
            "leave it out, or write it in the table: `{} {} …`",
            room.kind().word,
            column.name().as_str()
        )));
        return None;
    }
    if own.is_none() && node.args.is_empty() {
        let word = room.kind().word;
        let problem = Problem::new(node.name_span, format!("this {word} has no columns"));
        scope.problem(problem.label(format!("write `{word} COLUMN …`")));
        return None;
    }
    let columns = match own {
        Some(column) => vec![column],
        None => constraint::columns(&node.args, &table, scope),
    };
    let include = constraint::columns_of_child(node, INCLUDE.name, &table, scope);
    let said = constraint::said_name(node, scope);
    let mut read = Attrs::new();
    read.set(SAME_AS, same_as(&table, &columns, scope));
    read.set(COLUMNS, columns).set(INCLUDE, include);
    let naming = naming(&read, label);
    let id = constraint::name(room.kind(), &table, said, &naming, node.span, scope);
    constraint::put(&id, node, &[INCLUDE.name], read, scope);
    Some(id)
}

/// An earlier key of the table with these columns.
fn same_as(table: &ObjectId, columns: &[ObjectId], scope: &Scope<'_>) -> Option<ObjectId> {
    let same = |id: &&ObjectId| {
        let other = scope.load.state.get(id).and_then(|o| o.get(COLUMNS));
        other.is_some_and(|other| other.into_iter().eq(columns))
    };
    scope.load.keys.get(table)?.iter().find(same).cloned()
}

/// True if the key may appear in the CREATE of its table.
pub fn folds(object: &Object, cx: &Context<'_>) -> bool {
    !object.get(SAME_AS).is_some_and(|other| cx.state.has(other))
}

/// A key of the same columns means nothing to this one once both are there.
pub fn reaction(object: &Object, disturbance: &Disturbance) -> Reaction {
    match disturbance {
        Disturbance::Replaced(id) if object.get(SAME_AS) == Some(id) => Reaction::Survives,
        _ => disturbance.unless_retyped(),
    }
}

/// PostgreSQL names a unique constraint after its key and included columns, a primary key after the table alone.
pub fn naming<'a>(attrs: &Attrs, label: &'a str) -> Naming<'a> {
    let columns = attrs.get(COLUMNS).unwrap_or_default().into_iter().chain(attrs.get(INCLUDE).unwrap_or_default());
    let columns: Vec<ObjectId> = columns.cloned().collect();
    Naming { addition: (label != "pkey").then(|| constraint::joined(&columns)), label }
}

/// The rows of one type of `pg_constraint`. What a partition or child gets from its parent is not a separate object.
pub fn query(contype: char, server: Version) -> String {
    let nulls = if server.at_least(15) { "i.indnullsnotdistinct" } else { "false" };
    let period = if server.at_least(18) { "c.conperiod" } else { "false" };
    // Of keys of the same columns, the first one and a primary key before that is what the others are the same as.
    format!(
        "SELECT c.oid, c.conrelid, c.conname, c.conindid, c.conrelid, i.indkey::int2[], i.indnkeyatts, c.condeferrable, \
         c.condeferred, {nulls}, {period}, x.reloptions, s.spcname, c.first \
         FROM (SELECT c.*, nullif(first_value(c.oid) OVER (PARTITION BY c.conrelid, c.conkey ORDER BY c.contype, c.oid), \
                c.oid) AS first FROM pg_constraint c \
            WHERE c.contype IN ('p', 'u') AND c.conrelid >= 16384 AND c.conislocal AND c.conparentid = 0) c \
         JOIN pg_index i ON i.indexrelid = c.conindid JOIN pg_class x ON x.oid = c.conindid \
         LEFT JOIN pg_tablespace s ON s.oid = x.reltablespace \
         WHERE c.contype = '{contype}' ORDER BY c.conrelid, c.conname"
    )
}

/// First pass: the constraint and its index are one object.
pub fn name(kind: KindRef, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
    let (oid, relation, name, index) = (row.oid(), row.oid(), row.text(), row.oid());
    let id = ObjectId::new(kind, Some(book.relation(relation)?.clone()), name);
    book.add(class::PG_CONSTRAINT, oid, id.clone());
    book.add(class::PG_CLASS, index, id.clone());
    Some(id)
}

/// Second pass.
pub fn read(row: &mut Row, book: &Book) -> Option<Object> {
    let relation = row.oid();
    let mut columns = constraint::columns_by_number(book, relation, &row.next::<Vec<i16>>())?;
    let keys = usize::try_from(row.next::<i16>()).unwrap_or_default().min(columns.len());
    let include = columns.split_off(keys);
    let mut attrs = Attrs::new();
    attrs.set(COLUMNS, columns);
    attrs.set(INCLUDE, (!include.is_empty()).then_some(include));
    attrs.set(DEFERRABLE, row.next::<bool>());
    attrs.set(INITIALLY_DEFERRED, row.next::<bool>());
    attrs.set(NULLS_NOT_DISTINCT, row.next::<bool>());
    attrs.set(WITHOUT_OVERLAPS, row.next::<bool>());
    attrs.set(WITH, Options::some(row.next::<Vec<String>>()));
    attrs.set(TABLESPACE, row.text_opt().map(Ident::new));
    attrs.set(SAME_AS, book.get(class::PG_CONSTRAINT, row.oid()).cloned());
    Some(Object::new(attrs))
}

/// `PRIMARY KEY (…)`, `UNIQUE (…)` with all that follows.
pub fn definition(object: &Object, words: &str) -> String {
    let nulls = if object.is(NULLS_NOT_DISTINCT) { " NULLS NOT DISTINCT" } else { "" };
    let overlaps = if object.is(WITHOUT_OVERLAPS) { " WITHOUT OVERLAPS" } else { "" };
    let columns = column_list(object.get(COLUMNS).unwrap_or_default());
    let tablespace =
        object.get(TABLESPACE).map_or_else(String::new, |s| format!(" USING INDEX TABLESPACE {}", sql::name(&s)));
    let (include, with, deferrable) = (include_sql(object), with_sql(object), deferrable_sql(object));
    format!("{words}{nulls} ({columns}{overlaps}){include}{with}{tablespace}{deferrable}")
}

/// `ALTER TABLE … ADD CONSTRAINT …`.
pub fn create(id: &ObjectId, object: &Object, words: &str) -> Vec<Statement> {
    constraint::add(id, LockMode::AccessExclusive, &definition(object, words))
}
