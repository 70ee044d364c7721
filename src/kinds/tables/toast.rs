//! Storage parameters of TOAST tables: a table has one only if its rows may be too long for a page, and else forgets what is said about it.

use crate::kinds::{find, room, values};
use crate::model::{Key, ObjectId, Options, SqlType, State, Text, Value};
use crate::sql::conversion::Stands;

use super::{column, inheritance, table};

const WITH: Key<Options> = Key::new("with");

/// The length of a row from which PostgreSQL moves values elsewhere (TOAST_TUPLE_THRESHOLD with pages of 8 kB).
const THRESHOLD: usize = 2032;
/// The bytes that a character may have, in any encoding.
const CHARACTER: usize = 4;

/// What types of a fixed length need at most, alignment included.
const FIXED: &[(&str, usize)] = &[
    ("boolean", 1),
    ("\"char\"", 1),
    ("smallint", 2),
    ("integer", 4),
    ("oid", 4),
    ("date", 4),
    ("real", 4),
    ("bigint", 8),
    ("double precision", 8),
    ("money", 8),
    ("time", 8),
    ("timestamp", 8),
    ("macaddr8", 8),
    ("macaddr", 8),
    ("interval", 16),
    ("uuid", 16),
    ("point", 16),
    ("name", 64),
];

/// True for an option of a TOAST table.
pub fn is_toasts(option: &Text) -> bool {
    option.starts_with("toast.")
}

/// The tables whose files have options for a TOAST table that they cannot have.
pub fn in_vain(state: &State) -> Vec<&ObjectId> {
    let says = |options: Vec<&Text>| options.into_iter().any(is_toasts);
    let tables = state.iter().filter(|(id, object)| id.kind().word == "table" && object.get(WITH).is_some_and(says));
    tables
        .filter(|(id, object)| object.get(table::PARTITION_BY).is_none() && !may_have(state, id))
        .map(|(id, _)| id)
        .collect()
}

/// Takes such options out of the desired state, unless the database has them: a table keeps its TOAST table when the columns go that
/// needed it.
pub fn settle(live: &State, desired: &mut State) {
    let kept = |id: &&ObjectId| {
        let options = live.get(id).and_then(|theirs| theirs.get(WITH)).unwrap_or_default();
        !options.into_iter().any(is_toasts)
    };
    let vain: Vec<ObjectId> = in_vain(desired).into_iter().filter(kept).cloned().collect();
    for id in vain {
        desired.objects_mut().entry(id).and_modify(|object| {
            let options: Vec<Text> =
                object.get(WITH).unwrap_or_default().into_iter().filter(|o| !is_toasts(o)).cloned().collect();
            object.attrs.set(WITH, (!options.is_empty()).then_some(Options(options)));
        });
    }
}

/// True unless it is certain that a row of the table always fits.
fn may_have(state: &State, table: &ObjectId) -> bool {
    let Some(kind) = find("column").map(|room| room.kind()) else { return true };
    let columns: Vec<ObjectId> = inheritance::parts(state, table).into_iter().filter(|id| id.is(kind)).collect();
    // The header of a row, with a bit for each column.
    let mut length = 32 + columns.len() / 8;
    for id in &columns {
        let Some(longest) = longest(state, id) else { return true };
        // As much as alignment may add.
        length += longest.next_multiple_of(8);
    }
    length > THRESHOLD
}

/// The bytes that the values of a column have at most; `None` if nothing limits them.
fn longest(state: &State, column: &ObjectId) -> Option<usize> {
    let origins = room(column.kind()).inherited_from(column, state);
    let own = state.get(column).filter(|object| object.value(column::TYPE.name).is_some());
    let object = own.or_else(|| state.get(origins.first()?))?;
    let Value::Type(sql_type) = object.value(column::TYPE.name)? else { return None };
    length_of(state, sql_type)
}

fn length_of(state: &State, sql_type: &SqlType) -> Option<usize> {
    let parsed = match values::stands(state, sql_type) {
        Stands::Words(..) => return Some(4),
        Stands::Scalar(parsed) => parsed,
        _ => return None,
    };
    let number = |text: &str| text.parse::<usize>().ok();
    let modifier = parsed.modifier.as_deref();
    match parsed.name.as_str() {
        "character varying" | "character" => {
            let characters = match (modifier, parsed.name.as_str()) {
                (Some(text), _) => number(text)?,
                (None, "character") => 1,
                (None, _) => return None,
            };
            characters.checked_mul(CHARACTER)?.checked_add(4)
        }
        "numeric" => Some(number(modifier?.split(',').next()?)? / 2 + 16),
        "bit" | "bit varying" => Some(number(modifier.or((parsed.name == "bit").then_some("1"))?)? / 8 + 16),
        // As PostgreSQL prints them, and as people write the names of columns.
        name => FIXED
            .iter()
            .find(|(fixed, _)| *fixed == name)
            .map(|(_, length)| length + if parsed.suffix.is_empty() { 0 } else { 8 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::load;

    #[test]
    fn only_rows_that_always_fit_have_no_toast_table() {
        let vain = |columns: &str| {
            let file = format!(
                "enum e x\ndomain d integer\ntype c {{ attribute a integer }}\ntable p {{ column k text }}\n\
                 table t {{\n    {columns}\n    with toast.autovacuum_enabled=off\n}}\n"
            );
            let (state, problems) = load(&file);
            assert_eq!(problems, Vec::<String>::new(), "{columns}");
            in_vain(&state).len() == 1
        };
        for columns in [
            "column a integer",
            "column a e; column b d",
            "column a \"varchar(100)\"; column b \"numeric(10,2)\"",
            "column a timestamptz",
        ] {
            assert!(vain(columns), "{columns}");
        }
        for columns in [
            "column a text",
            "column a c",
            "column a \"integer[]\"",
            "column a \"varchar(1000)\"",
            "inherits p",
            "column a numeric",
        ] {
            assert!(!vain(columns), "{columns}");
        }
    }
}
