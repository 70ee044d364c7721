//! What numbers the rows of a column, an identity or a sequence called by its default, and where a new one continues when it replaces another
//! or is added to existing rows.

use crate::kinds::scope::schema_id;
use crate::kinds::{Context, LockMode, Statement, filling, find, inheritance, room};
use crate::model::{Expr, Ident, Key, Object, ObjectId, SqlType, State, Value};
use crate::sql::{self, names};

use super::sequence_options;
use super::sequence_options::Range;

const VALUE: Key<Expr> = Key::new("value");
const OWNER: Key<ObjectId> = Key::new("column");
const TYPE: Key<SqlType> = Key::new("type");
const FORCE_ROW_SECURITY: Key<bool> = Key::new("force-row-security");

/// The types whose greatest value can be asked for without running what others wrote.
const WHOLE: &[&str] = &["smallint", "integer", "bigint"];

/// The identity or the sequence that gives a column its values.
pub fn of(column: &ObjectId, state: &State) -> Option<ObjectId> {
    let identity = ObjectId::facet(find("identity")?.kind(), column.clone());
    if state.has(&identity) {
        return Some(identity);
    }
    let default = state.get(&ObjectId::facet(find("default")?.kind(), column.clone()))?;
    let names = called(default.get(VALUE)?)?;
    let sequence = find("sequence")?.kind();
    let own = column.schema().map_or("public", |schema| schema.name().as_str());
    let (schemas, name) = match names.as_slice() {
        [name] => (vec![own, "public"], name),
        [schema, name] => (vec![schema.as_str()], name),
        _ => return None,
    };
    let id = |schema: &str| ObjectId::new(sequence, Some(schema_id(schema)), name.as_str());
    schemas.into_iter().map(id).find(|id| state.has(id))
}

/// The parts of the name of the sequence whose next value the expression is, if it is nothing else.
fn called(expression: &Expr) -> Option<Vec<String>> {
    let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_lowercase();
    let (before, rest) = expression.as_str().split_once('\'')?;
    let (name, after) = rest.rsplit_once('\'')?;
    let call = matches!(bare(before).as_str(), "nextval(" | "pg_catalog.nextval(");
    let cast = matches!(
        bare(after).as_str(),
        ")" | "::regclass)" | "::pg_catalog.regclass)" | "::text)" | "::text::regclass)"
    );
    let found = names::find(&name.replace("''", "'"));
    match found.as_slice() {
        [one] if call && cast => Some(one.parts.clone()),
        _ => None,
    }
}

/// The columns that a sequence numbers: the one that it belongs to, or those whose defaults call it.
pub fn columns(sequence: &ObjectId, state: &State) -> Vec<ObjectId> {
    let numbers = |column: &ObjectId| of(column, state).as_ref() == Some(sequence);
    let owned = find("owned-by").map(|room| ObjectId::facet(room.kind(), sequence.clone()));
    let owner = owned.and_then(|facet| state.get(&facet)?.get(OWNER));
    if let Some(column) = owner.filter(|column| numbers(column)) {
        return vec![column.clone()];
    }
    let name = sequence.name().as_str().to_lowercase();
    let named = |object: &Object| object.get(VALUE).is_some_and(|value| value.as_str().to_lowercase().contains(&name));
    let defaults = state.of_kind("default").filter(|(_, object)| named(object));
    defaults.filter_map(|(id, _)| id.parent()).filter(|column| numbers(column)).cloned().collect()
}

/// The identity or sequence that numbers a column on the other side of the plan: what this one continues from.
pub fn predecessor(id: &ObjectId, column: &ObjectId, other: &State) -> Option<ObjectId> {
    of(column, other).filter(|source| source != id)
}

/// The current name of an identity's sequence: different from its own as long as a sequence exists that it replaces
/// or that replaces it, and that has the same name.
pub fn name_for_now(identity: &ObjectId, cx: &Context<'_>) -> Option<Ident> {
    let name = room(identity.kind()).takes(identity, cx.state.get(identity)?)?;
    let twin = cx.across().and_then(|other| Some((predecessor(identity, identity.parent()?, other)?, other)));
    Some(match twin {
        Some((twin, _)) if twin.schema() == identity.schema() && *twin.name() == name => aside(&twin, cx),
        _ => name,
    })
}

/// The identity that has the name of a sequence on the other side of the plan, while it numbers the same column, and the name that
/// its sequence has as long as both are there.
pub fn set_aside(sequence: &ObjectId, cx: &Context<'_>) -> Option<Ident> {
    let other = cx.across()?;
    let twin = |column: ObjectId| {
        let identity = predecessor(sequence, &column, other)?;
        let name = room(identity.kind()).takes(&identity, other.get(&identity)?)?;
        (identity.schema() == sequence.schema() && *sequence.name() == name).then(|| aside(sequence, cx))
    };
    columns(sequence, cx.state).into_iter().find_map(twin)
}

/// A name that is free on both sides of the plan.
fn aside(sequence: &ObjectId, cx: &Context<'_>) -> Ident {
    let name = sequence.name().as_str();
    let base = &name[..name.floor_char_boundary(50)];
    let taken = |id: &ObjectId| cx.state.has(id) || cx.across().is_some_and(|other| other.has(id));
    let free = (1..).map(|n| format!("{base}__aside{}", if n > 1 { n.to_string() } else { String::new() }));
    let mut free = free.filter(|name| !taken(&sequence.renamed(name.as_str())));
    Ident::new(free.next().unwrap_or_default())
}

/// The statements after which a sequence that was just made (`id`, called `path`, with these numbers) gives a column numbers that no row
/// has. It was made in the same transaction, so that a rollback rolls back its position, too.
pub fn go_on(id: &ObjectId, path: &str, numbers: &Range, column: &ObjectId, cx: &Context<'_>) -> Vec<Statement> {
    let Some(before) = cx.across().filter(|before| has_values(id, column, cx.state, before)) else { return Vec::new() };
    let Some(table) = column.parent().filter(|table| table.kind().word == "table") else { return Vec::new() };
    let mut out = Vec::new();
    let source = predecessor(id, column, before).and_then(|source| place(&source, before, cx));
    let source = source.filter(|(_, range)| range.ascends == numbers.ascends);
    let whole = source.as_ref().is_some_and(|(_, range)| numbers.goes_on(range));
    if !whole {
        out.extend(behind(path, numbers, column, cx));
    }
    if let Some((from, range)) = source {
        let mut conditions = Vec::new();
        if !whole {
            conditions.push("is_called".to_string());
        }
        if !numbers.holds(&range) {
            conditions.push(format!("last_value BETWEEN {} AND {}", numbers.min, numbers.max));
        }
        let only = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
        let called = if whole { "is_called" } else { "true" };
        let sql = format!("SELECT pg_catalog.setval({}, last_value, {called}) FROM {from}{only}", sql::literal(path));
        out.push(Statement::new(sql).locks(LockMode::ShareRowExclusive, table));
    }
    out
}

/// True if rows may have values in the column before `id` numbers it: it is there on the other side of the plan, or it is filled first.
fn has_values(id: &ObjectId, column: &ObjectId, state: &State, other: &State) -> bool {
    let there = || column.parent().is_some_and(|table| other.has(table));
    other.has(column) || id.kind().word == "identity" && there() && filling::above_heirs(column, state)
}

/// The column whose rows must be searched for the last number when an identity or sequence is added to it, or starts again (`old`): none
/// that is the first one of a key, and none that continues with every number that another sequence may have given.
pub fn looks_at(id: &ObjectId, old: Option<&Object>, state: &State, other: &State) -> Option<ObjectId> {
    let column = room(id.kind()).fills(id, state).filter(|column| has_values(id, column, state, other))?;
    let own = state.get(id).filter(|_| matches!(id.kind().word, "identity" | "sequence"))?;
    let looks = match old {
        Some(old) => sequence_options::moves(&old.attrs, &own.attrs),
        None => {
            let source = predecessor(id, &column, other).and_then(|source| range(&source, other));
            let numbers = range(id, state)?;
            !source.is_some_and(|source| source.ascends == numbers.ascends && numbers.goes_on(&source))
        }
    };
    let table = column.parent().filter(|table| looks && table.kind().word == "table")?;
    let first = |key: &Object| matches!(key.value("columns"), Some(Value::List(list)) if list.first() == Some(&Value::Ref(column.clone())));
    let has_key = other.inside(table).any(|(_, object)| first(object));
    (!has_key && type_of(&column, state).is_some()).then_some(column)
}

/// The numbers that a sequence or an identity gives.
fn range(id: &ObjectId, state: &State) -> Option<Range> {
    let object = state.get(id)?;
    let sql_type = match id.kind().word {
        "sequence" => object.get(TYPE).map_or("bigint".into(), |t| t.as_str().to_string()),
        _ => type_of(id.parent()?, state)?,
    };
    Some(Range::new(&object.attrs, &sql_type))
}

/// The position of the sequence that numbers a column on the other side of the plan: its name while both exist, and its numbers.
fn place(source: &ObjectId, other: &State, cx: &Context<'_>) -> Option<(String, Range)> {
    let numbers = range(source, other)?;
    if source.kind().word == "sequence" {
        return Some((sql::path(source), numbers));
    }
    let there = Context { state: other, other: cx.state, ..*cx };
    let name = name_for_now(source, &there)?;
    Some((sql::schema_path(source, &name), numbers))
}

/// Puts a sequence behind the greatest value of a column, or the least where it descends. Nothing where nobody numbers such a column.
pub fn behind(path: &str, numbers: &Range, column: &ObjectId, cx: &Context<'_>) -> Vec<Statement> {
    let (Some(before), Some(table)) = (cx.across(), column.parent().filter(|table| table.kind().word == "table"))
    else {
        return Vec::new();
    };
    let held = [if before.has(column) { before } else { cx.state }, cx.state].map(|state| type_of(column, state));
    let [Some(held), Some(_)] = held else { return Vec::new() };
    let name = sql::name(column.name());
    let (extreme, reaches, end) = if numbers.ascends { ("max", ">=", numbers.max) } else { ("min", "<=", numbers.min) };
    let all = Range::all(&held);
    // Values beyond the last number are never reached.
    let only = match numbers.ascends {
        true if end < all.max => format!(" WHERE {name} <= {end}"),
        false if end > all.min => format!(" WHERE {name} >= {end}"),
        _ => String::new(),
    };
    let sql = format!(
        "SELECT pg_catalog.setval({}, {extreme}({name})) FROM {}{only} HAVING {extreme}({name}) {reaches} {}",
        sql::literal(path),
        sql::path(table),
        numbers.start
    );
    let look = Statement::new(sql).locks(LockMode::ShareRowExclusive, table);
    // Policies that hold for the owner, too, would hide rows from it. They are out of force for this transaction alone, which keeps
    // everybody else out of the table.
    let [was_forced, is_forced] =
        [before, cx.state].map(|state| state.get(table).is_some_and(|object| object.is(FORCE_ROW_SECURITY)));
    let force = |word: &str| {
        let sql = format!("ALTER TABLE {} {word} ROW LEVEL SECURITY", sql::path(table));
        Statement::new(sql).locks(LockMode::AccessExclusive, table)
    };
    let first = (was_forced || is_forced).then(|| force("NO FORCE"));
    let last = is_forced.then(|| force("FORCE"));
    first.into_iter().chain([look]).chain(last).collect()
}

/// The type of a column of whole numbers, its own or an inherited one.
pub fn type_of(column: &ObjectId, state: &State) -> Option<String> {
    let own = |column: &ObjectId| state.get(column).and_then(|object| object.get(TYPE));
    let sql_type = own(column).or_else(|| inheritance::origins(state, column).iter().find_map(own))?;
    WHOLE.contains(&sql_type.as_str()).then(|| sql_type.as_str().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_that_is_a_sequences_next_value() {
        let of = |text: &str| called(&Expr::new(text)).map(|parts| parts.join("|"));
        assert_eq!(of("nextval('public.t_id_seq'::regclass)").as_deref(), Some("public|t_id_seq"));
        assert_eq!(of("nextval('Numbers')").as_deref(), Some("numbers"));
        assert_eq!(of("pg_catalog.nextval('\"It''s\"'::regclass)").as_deref(), Some("It's"));
        for other in
            ["5", "nextval('s') + 1", "'x' || nextval('s')", "lastval()", "nextval('a' || 'b')", "currval('s')"]
        {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
