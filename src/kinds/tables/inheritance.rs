//! Columns that a table does not declare itself: from the table that it is a partition of, from its parents, or from its type.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::catalog::{Book, Row, Version, class};
use crate::kinds::{Context, Folded, LockMode, Statement, find};
use crate::model::{
    Address, Attr, Attrs, Expr, Form, Key, Namespace, Object, ObjectId, OnChange, Shape, State, Value, attr,
};
use crate::sql;

const PARTITION_OF: Key<Attrs> = Key::new("partition-of");
const PARENT: Key<ObjectId> = Key::new("parent");
const BOUND: Key<Expr> = Key::new("bound");
const INHERITS: Key<Vec<ObjectId>> = Key::new("inherits");
const OF: Key<ObjectId> = Key::new("of");

/// The row for being a partition.
pub const PARTITION_OF_ATTR: Attr = attr(
    PARTITION_OF,
    Shape::Record(&[
        attr(PARENT, Shape::Ref(&["table"]), Form::Argument, OnChange::Alter, "The partitioned table."),
        attr(BOUND, Shape::Expr, Form::Argument, OnChange::Alter, "`FOR VALUES …` or `DEFAULT`."),
    ]),
    Form::Child,
    OnChange::Alter,
    "The table that this is a partition of, and its bounds.",
);

/// The row for inheriting from any of these kinds.
pub const fn inherits_attr(kinds: &'static [&'static str]) -> Attr {
    attr(INHERITS, Shape::Refs(kinds), Form::Child, OnChange::Alter, "The tables whose columns it inherits.")
}

/// The row for having the columns of a type.
pub const OF_ATTR: Attr =
    attr(OF, Shape::Ref(&["type"]), Form::Property, OnChange::Alter, "The composite type that defines the columns.");

/// The columns of a query on `pg_class c` that `read` takes.
pub const COLUMNS: &str = "CASE WHEN c.relispartition THEN pg_get_expr(c.relpartbound, c.oid) END, \
    CASE WHEN c.relhassubclass OR c.relispartition OR EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid) \
         THEN ARRAY(SELECT i.inhparent FROM pg_inherits i WHERE i.inhrelid = c.oid ORDER BY i.inhseqno) END";

/// Reads `COLUMNS`.
pub fn read(row: &mut Row, book: &Book, attrs: &mut Attrs) {
    let bound = row.text_opt();
    let parents: Vec<u32> = row.next();
    let mut parents = parents.iter().filter_map(|oid| book.relation(*oid).cloned());
    match bound {
        Some(bound) => {
            attrs.set(PARTITION_OF, Attrs::new().with(PARENT, parents.next()).with(BOUND, Expr::new(bound)));
        }
        None => {
            let parents: Vec<ObjectId> = parents.collect();
            attrs.set(INHERITS, (!parents.is_empty()).then_some(parents));
        }
    }
}

/// Reads `reloftype`.
pub fn read_type(row: &mut Row, book: &Book, attrs: &mut Attrs) {
    attrs.set(OF, row.next_opt::<u32>().and_then(|oid| book.get(class::PG_TYPE, oid)).cloned());
}

/// The type that its columns come from.
pub fn type_of(object: &Object) -> Option<&ObjectId> {
    object.get(OF)
}

/// The tables of a type.
pub fn tables_of<'a>(state: &'a State, of: &ObjectId) -> impl Iterator<Item = &'a ObjectId> + use<'a> {
    state.referring(of, &[OF.name]).map(|(id, _)| id)
}

/// The attribute of a type that a column of its tables is.
pub fn attribute(of: &ObjectId, column: &ObjectId) -> Option<ObjectId> {
    Some(ObjectId::new(find("attribute")?.kind(), Some(of.clone()), column.name().clone()))
}

/// True where a table leaves what it has columns from.
pub fn leaves(old: &Object, new: &Object) -> bool {
    let after = parents(new);
    parents(old).iter().any(|parent| !after.contains(parent))
}

/// The addresses of all columns and constraints that a table has, or may have from elsewhere.
pub fn parts(state: &State, table: &ObjectId) -> Vec<ObjectId> {
    let mut found = Vec::new();
    let mut holders = vec![table.clone()];
    let mut at = 0;
    while let Some(holder) = holders.get(at).cloned() {
        at += 1;
        found.extend(state.inside(&holder).filter_map(|(id, _)| match id.kind().address {
            Address::MemberOf => Some(ObjectId::new(find("column")?.kind(), Some(table.clone()), id.name().clone())),
            Address::NamedOn => Some(id.moved(Some(table.clone()))),
            _ => None,
        }));
        let above = state.get(&holder).map(parents).unwrap_or_default().into_iter().cloned();
        above.for_each(|parent| {
            if !holders.contains(&parent) {
                holders.push(parent)
            }
        });
    }
    found
}

/// What it has columns from.
pub fn parents(object: &Object) -> Vec<&ObjectId> {
    let one = partition_of(object).map(|(parent, _)| parent).or(type_of(object));
    one.into_iter().chain(object.get(INHERITS).unwrap_or_default()).collect()
}

/// The partitioned table that it belongs to, with the bounds.
pub fn partition_of(object: &Object) -> Option<(&ObjectId, &str)> {
    let partition = object.get(PARTITION_OF)?;
    Some((partition.get(PARENT)?, partition.get(BOUND)?.as_str()))
}

/// The partitions of a table, without theirs.
pub fn own_partitions<'a>(state: &'a State, of: &ObjectId) -> impl Iterator<Item = &'a ObjectId> + use<'a> {
    state.referring(of, &[PARTITION_OF.name]).map(|(id, _)| id)
}

/// The tables that have something directly from this one.
pub fn children<'a>(state: &'a State, of: &ObjectId) -> impl Iterator<Item = &'a ObjectId> + use<'a> {
    state.referring(of, &[PARTITION_OF.name, OF.name, INHERITS.name]).map(|(id, _)| id)
}

/// Tables, each with all that have something from it, directly or not.
pub fn heirs(state: &State) -> FxHashMap<ObjectId, Vec<ObjectId>> {
    let mut out: FxHashMap<ObjectId, Vec<ObjectId>> = FxHashMap::default();
    for (id, object) in state.iter() {
        let mut open = parents(object);
        let mut above: FxHashSet<&ObjectId> = FxHashSet::default();
        while let Some(parent) = open.pop() {
            if above.insert(parent) {
                out.entry(parent.clone()).or_default().push(id.clone());
                open.extend(state.get(parent).map(parents).unwrap_or_default());
            }
        }
    }
    out
}

/// The partition of a table for all that no other one has.
pub fn default_partition<'a>(state: &'a State, of: &ObjectId) -> Option<&'a ObjectId> {
    let defaults = state.once(|state| {
        let mut defaults = Defaults::default();
        for (id, object) in state.iter().filter(|(id, _)| id.kind().namespace == Namespace::Relation) {
            if let Some((parent, bound)) = partition_of(object)
                && bound.trim().eq_ignore_ascii_case("default")
            {
                defaults.0.entry(parent.clone()).or_insert_with(|| id.clone());
            }
        }
        defaults
    });
    state.find(defaults.0.get(of)?).map(|(id, _)| id)
}

/// The default partitions of all tables that have one.
#[derive(Default)]
struct Defaults(FxHashMap<ObjectId, ObjectId>);

/// The nearest columns (or constraints) of parents, or attributes of its type, that a table has a column from: objects of the
/// state, one in each line of descent.
pub fn origins(state: &State, part: &ObjectId) -> Vec<ObjectId> {
    let (mut found, mut seen) = (Vec::new(), FxHashSet::default());
    let mut open = vec![part.clone()];
    while let Some(id) = open.pop() {
        if id != *part && state.has(&id) {
            found.extend((!found.contains(&id)).then_some(id));
            continue;
        }
        let inherits = matches!(id.kind().address, Address::MemberOf | Address::NamedOn);
        let Some(table) = id.parent().filter(|table| inherits && seen.insert((*table).clone())) else { continue };
        let Some(object) = state.get(table) else { continue };
        if id.kind().address == Address::MemberOf {
            found.extend(type_of(object).and_then(|of| attribute(of, &id)).filter(|id| state.has(id)));
        }
        let whole = partition_of(object).map(|(whole, _)| whole);
        let above: Vec<&ObjectId> = whole.into_iter().chain(object.get(INHERITS).unwrap_or_default()).collect();
        open.extend(above.into_iter().rev().map(|parent| id.moved(Some(parent.clone()))));
    }
    found
}

/// The constraint of a partitioned table that one of a partition is a part of.
pub fn shared(state: &State, part: &ObjectId) -> Option<ObjectId> {
    let whole = |part: &ObjectId| {
        let (whole, _) = partition_of(state.get(part.parent()?)?)?;
        Some(part.moved(Some(whole.clone())))
    };
    std::iter::successors(whole(part), whole).find(|id| state.has(id))
}

/// Where a column gets another name: the old and the new address of what other tables have from it.
pub fn inherited_as(state: &State, from: &ObjectId, to: &ObjectId) -> Vec<(ObjectId, ObjectId)> {
    let (Some(holder), Some(room), Address::MemberOf) = (from.parent(), find("column"), from.kind().address) else {
        return Vec::new();
    };
    let mut holders = vec![holder.clone()];
    let mut seen: FxHashSet<ObjectId> = holders.iter().cloned().collect();
    let mut at = 0;
    while let Some(holder) = holders.get(at).cloned() {
        at += 1;
        let heirs = state.referring(&holder, &[PARTITION_OF.name, OF.name, INHERITS.name]).map(|(id, _)| id);
        holders.extend(heirs.filter(|heir| seen.insert((*heir).clone())).cloned());
    }
    let column = |table: &ObjectId, of: &ObjectId| ObjectId::new(room.kind(), Some(table.clone()), of.name().clone());
    holders.iter().skip(1).map(|table| (column(table, from), column(table, to))).collect()
}

/// What follows the name in CREATE: columns and constraints, and where they come from.
pub fn create(object: &Object, folded: &[Folded]) -> String {
    let clauses: Vec<String> = folded.iter().map(|f| format!("\n    {}", f.clause)).collect();
    let list = format!(" ({}{})", clauses.join(","), if clauses.is_empty() { "" } else { "\n" });
    let mut text = match partition_of(object) {
        Some((parent, bound)) => {
            let list = if clauses.is_empty() { String::new() } else { list };
            format!(" PARTITION OF {}{list} {bound}", sql::path(parent))
        }
        None => match type_of(object) {
            Some(of) => format!(" OF {}{}", sql::path(of), if clauses.is_empty() { "" } else { &list }),
            None => list,
        },
    };
    if let Some(parents) = object.get(INHERITS) {
        text.push_str(&format!(" INHERITS ({})", parents.iter().map(|p| sql::path(p)).collect::<Vec<_>>().join(", ")));
    }
    text
}

/// CREATE with the locks that it takes on a partitioned table and its default partition, or on what the table inherits from.
pub fn locked(create: Statement, object: &Object, cx: &Context<'_>) -> Statement {
    match partition_of(object) {
        Some((parent, _)) => {
            let create = also_siblings(create.locks(LockMode::AccessExclusive, parent), parent, cx.state);
            // Before 15, tables that refer to the whole get no triggers for the new part.
            let from = cx.server.at_least(15).then_some(LockMode::ShareRowExclusive);
            also_keys(create, parent, cx.state, from, LockMode::ShareRowExclusive)
        }
        None => {
            let parents = object.get(INHERITS).unwrap_or_default().into_iter();
            parents.fold(create, |create, parent| create.also_locks(LockMode::ShareUpdateExclusive, parent))
        }
    }
}

/// A statement with the lock on the default partition of a table that gets or loses another one: that is for other rows from then on.
pub fn also_siblings(statement: Statement, parent: &ObjectId, state: &State) -> Statement {
    let own = |default: &&ObjectId| statement.lock.as_ref().is_none_or(|(_, on)| on != *default);
    match default_partition(state, parent).filter(own) {
        Some(default) => statement.also_locks(LockMode::AccessExclusive, default),
        None => statement,
    }
}

/// A statement that makes or unmakes a partition, with the locks on tables that refer to the whole, and on those that it refers to.
fn also_keys(
    statement: Statement,
    parent: &ObjectId,
    state: &State,
    from: Option<LockMode>,
    to: LockMode,
) -> Statement {
    let (referring, referred) = keys(state, parent);
    let locked = from.into_iter().flat_map(|mode| referring.iter().map(move |table| (mode, *table)));
    let statement = locked.fold(statement, |statement, (mode, table)| statement.also_locks(mode, table));
    referred.into_iter().fold(statement, |statement, table| statement.also_locks(to, table))
}

/// The partitions of a partitioned table, and theirs.
pub fn partitions<'a>(state: &'a State, whole: &ObjectId) -> Vec<&'a ObjectId> {
    let is_partitioned =
        |table: &ObjectId| state.get(table).is_some_and(|object| object.value("partition-by").is_some());
    if !is_partitioned(whole) {
        return Vec::new();
    }
    let mut out: Vec<&ObjectId> = own_partitions(state, whole).collect();
    let mut at = 0;
    while let Some(part) = out.get(at).copied() {
        at += 1;
        if is_partitioned(part) {
            out.extend(own_partitions(state, part));
        }
    }
    out
}

/// The tables that have foreign keys to a partitioned table, or to one that it is a part of, and those that its own keys point to.
pub fn keys<'a>(state: &'a State, table: &'a ObjectId) -> (Vec<&'a ObjectId>, Vec<&'a ObjectId>) {
    let above = |table: &&'a ObjectId| state.get(table).and_then(partition_of).map(|(parent, _)| parent);
    let wholes: Vec<&ObjectId> = std::iter::successors(Some(table), above).take(64).collect();
    let end = |(key, object): (&'a ObjectId, &'a Object)| match object.value("references") {
        Some(Value::Ref(to)) => Some((key, key.parent()?, to)),
        _ => None,
    };
    let to = wholes.iter().flat_map(|whole| state.referring(whole, &["references"])).filter_map(end);
    let from = wholes.iter().flat_map(|whole| state.parts(whole, "foreign-key")).filter_map(end);
    let mut referring: Vec<_> =
        to.filter(|(_, from, _)| !wholes.contains(from)).map(|(key, from, _)| (key, from)).collect();
    let mut referred: Vec<_> = from.filter(|(_, _, to)| !wholes.contains(to)).map(|(key, _, to)| (key, to)).collect();
    let in_order = |mut ends: Vec<(&ObjectId, &'a ObjectId)>| {
        ends.sort_by_key(|(key, _)| state.position(key));
        ends.into_iter().map(|(_, table)| table).collect()
    };
    (in_order(std::mem::take(&mut referring)), in_order(std::mem::take(&mut referred)))
}

/// `ALTER TABLE … DETACH PARTITION …`, where `before` has the partition still. Before 14, rows of a partition without indexes,
/// foreign keys and triggers can be read and written under its own name meanwhile.
pub fn detach(id: &ObjectId, parent: &ObjectId, before: &State, server: Version) -> Statement {
    let sql = format!("ALTER TABLE {} DETACH PARTITION {}", sql::path(parent), sql::path(id));
    let fires = |part: &ObjectId| matches!(part.kind().word, "trigger" | "foreign-key");
    let index = |part: &ObjectId| {
        part.kind().address == Address::Beside
            || matches!(part.kind().namespace, Namespace::IndexConstraint | Namespace::PrimaryKey)
    };
    let has = || {
        before.inside(id).any(|(part, _)| index(part) || fires(part))
            || before.inside(parent).any(|(part, _)| fires(part))
    };
    let own = match server.at_least(14) || has() {
        true => LockMode::AccessExclusive,
        false => LockMode::ShareUpdateExclusive,
    };
    let statement = Statement::new(sql).locks(LockMode::AccessExclusive, parent).also_locks(own, id);
    let statement = match default_partition(before, parent).filter(|default| *default != id) {
        Some(default) => statement.also_locks(LockMode::AccessExclusive, default),
        None => statement,
    };
    also_keys(statement, parent, before, Some(LockMode::AccessExclusive), LockMode::ShareRowExclusive)
}

/// Leaves one parent and joins another, if the attribute `name` is about that.
pub fn alter(id: &ObjectId, old: &Object, new: &Object, name: &str, cx: &Context<'_>) -> Vec<Statement> {
    let table = sql::path(id);
    let mut out = Vec::new();
    if name == PARTITION_OF.name {
        if let Some((parent, _)) = partition_of(old) {
            out.push(detach(id, parent, cx.other, cx.server));
        }
        if let Some((parent, bound)) = partition_of(new) {
            let sql = format!("ALTER TABLE {} ATTACH PARTITION {table} {bound}", sql::path(parent));
            // The parent's lock is weaker than that of the new partition, whose rows are checked.
            let attach = Statement::new(sql).locks(LockMode::AccessExclusive, id);
            let attach = also_siblings(attach.also_locks(LockMode::ShareUpdateExclusive, parent), parent, cx.state);
            // Keys that the table has already become parts of the whole's, which unmakes their triggers.
            let from = Some(LockMode::ShareRowExclusive);
            out.push(also_keys(attach, parent, cx.state, from, LockMode::AccessExclusive));
        }
    } else if name == OF.name {
        let what = type_of(new).map_or_else(|| "NOT OF".into(), |of| format!("OF {}", sql::path(of)));
        out.push(Statement::new(format!("ALTER TABLE {table} {what}")).locks(LockMode::AccessExclusive, id));
    } else if name == INHERITS.name {
        let alter = |what: String| {
            Statement::new(format!("ALTER {} {what}", sql::target(id))).locks(LockMode::AccessExclusive, id)
        };
        let (old, new) = (old.get(INHERITS).unwrap_or_default(), new.get(INHERITS).unwrap_or_default());
        out.extend(old.iter().filter(|p| !new.contains(p)).map(|p| alter(format!("NO INHERIT {}", sql::path(p)))));
        let joined = new.iter().filter(|p| !old.contains(p));
        out.extend(joined.map(|parent| {
            alter(format!("INHERIT {}", sql::path(parent))).also_locks(LockMode::ShareUpdateExclusive, parent)
        }));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::scope::schema_id;

    #[test]
    fn a_table_is_locked_wholly_when_it_becomes_a_partition() {
        let table = |name| ObjectId::new(find("table").unwrap().kind(), Some(schema_id("public")), name);
        let (whole, part) = (table("whole"), table("part"));
        let partition = Attrs::new().with(PARENT, Some(whole.clone())).with(BOUND, Expr::new("DEFAULT"));
        let joined = Object::new(Attrs::new().with(PARTITION_OF, partition));
        let empty = State::default();
        let cx = Context::new(Version::major_release(15), &empty);
        let [attach] = &alter(&part, &Object::default(), &joined, PARTITION_OF.name, &cx)[..] else { panic!() };
        assert_eq!(attach.sql, "ALTER TABLE public.whole ATTACH PARTITION public.part DEFAULT");
        assert_eq!(attach.lock, Some((LockMode::AccessExclusive, part.clone())));
        assert_eq!(attach.also, [(LockMode::ShareUpdateExclusive, whole)]);
        let mut state = State::default();
        state.put(part.clone(), joined);
        assert_eq!(default_partition(&state, &table("whole")), Some(&part));
        assert_eq!(default_partition(&state, &part), None);
    }
}
