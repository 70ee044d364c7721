//! Domains and the tables that have columns of them.

use crate::kinds::scope::schema_id;
use crate::kinds::{LockMode, Statement, find};
use crate::model::{Object, ObjectId, SqlType, State, Value};
use crate::sql::types;

use super::values;

/// The domains that values of a type pass on the way into a column, the outermost first. What an array, a range or a row holds is looked at
/// when the value is made.
pub fn of_type<'a>(state: &'a State, sql_type: &SqlType) -> Vec<(ObjectId, &'a Object)> {
    let mut found: Vec<(ObjectId, &Object)> = Vec::new();
    let mut next = Some(sql_type.clone());
    while let Some(parsed) = next.take().and_then(|sql_type| types::parse(sql_type.as_str()).ok()) {
        let (Some(schema), false, Some(room)) = (&parsed.schema, parsed.array, find("domain")) else { break };
        let id = ObjectId::new(room.kind(), Some(schema_id(schema.as_str())), parsed.name.as_str());
        let Some(object) = state.get(&id).filter(|_| !found.iter().any(|(seen, _)| *seen == id)) else { break };
        if let Some(Value::Type(base)) = object.value("type") {
            next = Some(base.clone());
        }
        found.push((id, object));
    }
    found
}

/// True if the domain refuses values.
pub fn is_constrained(state: &State, domain: &ObjectId, object: &Object) -> bool {
    object.value("not-null").is_some() || state.parts(domain, "check").next().is_some()
}

/// True if arrays, ranges or rows in columns have values of the domain: PostgreSQL gives it no new rule then, as it does not look into them
/// (src/backend/commands/typecmds.c, get_rels_with_domain).
pub fn is_within_others(state: &State, domain: &ObjectId) -> bool {
    let direct = |sql_type: &SqlType| of_type(state, sql_type).iter().any(|(own, _)| own == domain);
    values::columns_of(state, domain).into_iter().any(|column| match state.get(column).and_then(|c| c.value("type")) {
        Some(Value::Type(sql_type)) => !direct(sql_type),
        _ => true,
    })
}

/// The tables that have a column of the domain, or of one over it: all their rows are looked at when it gets a new
/// rule (src/backend/commands/typecmds.c, get_rels_with_domain).
pub fn tables<'a>(state: &'a State, domain: &ObjectId) -> Vec<&'a ObjectId> {
    let mut found: Vec<&ObjectId> = state
        .iter()
        .filter_map(|(id, object)| {
            let table = id.parent().filter(|of| of.kind().word == "table")?;
            let Some(Value::Type(sql_type)) = object.value("type") else { return None };
            of_type(state, sql_type).iter().any(|(own, _)| own == domain).then_some(table)
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

/// A statement that makes PostgreSQL look at all values of the domain.
pub fn looks_at_values(statement: Statement, state: &State, domain: &ObjectId) -> Statement {
    let mut tables = tables(state, domain).into_iter();
    match tables.next() {
        Some(first) => tables.fold(statement.locks(LockMode::Share, first), |statement, table| {
            statement.also_locks(LockMode::Share, table)
        }),
        None => statement,
    }
}
