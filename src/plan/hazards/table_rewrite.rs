//! `table-rewrite`: the whole table is rewritten, under the strongest lock.

use super::{Finding, Hazard, Subject, data_loss, finding, volatile};
use crate::kinds::{self, domains, inheritance};
use crate::model::{Object, ObjectId, SqlType, State, Value};
use crate::plan::Action;
use crate::sql::types;

pub fn check(subject: &Subject<'_>) -> Option<Finding> {
    let (_, reason) = rewritten(subject)?;
    finding(Hazard::TableRewrite, reason)
}

/// The table whose rows the step writes again, and why it does.
pub(super) fn rewritten<'a>(subject: &Subject<'a>) -> Option<(&'a ObjectId, String)> {
    if !subject.on_existing || data_loss::foreign(subject.id) {
        return None;
    }
    let (id, table) = (subject.id, subject.id.root());
    let is = |name: &str| subject.new.is_some_and(|object| object.value(name).is_some());
    match (subject.action, id.kind().word) {
        (Action::Alter, "column") if subject.changed.contains(&"type") => {
            let (old, new) = changed_type(subject)?;
            let said = kinds::column::convert::said(subject.old?, subject.new?).is_some();
            let kept = !said && keeps_rows((subject.before, &old), (subject.after, &new));
            (!kept).then(|| (table, format!("{table} is rewritten for the type {}", new.as_str())))
        }
        (Action::Alter, "attribute") if subject.changed.contains(&"type") => {
            let first = inheritance::tables_of(subject.before, table).next()?;
            let (old, new) = changed_type(subject)?;
            let kept = keeps_rows((subject.before, &old), (subject.after, &new));
            (!kept).then(|| (first, format!("every table of {table} is rewritten for the type {}", new.as_str())))
        }
        (Action::Create, "column") if is("generated") && !is("virtual") => {
            Some((table, format!("{table} is rewritten to fill {id}")))
        }
        (Action::Create, "column") => of_domain(subject).map(|why| (table, format!("{table} is rewritten: {why}"))),
        // On a column that is there, it is for rows to come.
        (Action::Create, "identity") if !subject.before.has(id.parent()?) => {
            Some((table, format!("{table} is rewritten to number its rows")))
        }
        (Action::Create, "default") if !subject.before.has(id.parent()?) => {
            let default = subject.new?.value("value")?;
            let Value::Expr(text) = default else { return None };
            let why = || {
                format!(
                    "{table} is rewritten, since each row gets a value of its own for {}",
                    id.parent().unwrap_or(id)
                )
            };
            volatile::is(text, subject.after).then(|| (table, why()))
        }
        (Action::Alter, "table") if subject.changed.iter().any(|c| matches!(*c, "unlogged" | "tablespace")) => {
            let partitioned = subject.new?.value("partition-by").is_some();
            (!partitioned).then(|| (table, format!("{table} is rewritten")))
        }
        (Action::Alter, "materialized-view") if subject.changed.contains(&"tablespace") => {
            Some((table, format!("{table} is rewritten")))
        }
        _ => None,
    }
}

/// Why PostgreSQL writes a table again for a new column of a domain, if it does: each row is looked at, or gets a value of its own.
fn of_domain(subject: &Subject<'_>) -> Option<String> {
    let Some(Value::Type(sql_type)) = subject.new?.value("type") else { return None };
    let domains = domains::of_type(subject.after, sql_type);
    if let Some((domain, _)) =
        domains.iter().find(|(domain, object)| domains::is_constrained(subject.after, domain, object))
    {
        return Some(format!("{domain} has constraints"));
    }
    let own = kinds::find("default").map(|room| ObjectId::facet(room.kind(), subject.id.clone()));
    if own.is_some_and(|own| subject.after.has(&own)) {
        return None;
    }
    let default = |(domain, object): &(ObjectId, &Object)| match object.value("default") {
        Some(Value::Expr(text)) if volatile::is(text, subject.after) => {
            Some(format!("the default of {domain} is another one for each row"))
        }
        _ => None,
    };
    domains.iter().find(|(_, object)| object.value("default").is_some()).and_then(default)
}

/// True where PostgreSQL changes only the catalog, through domains as well: those that have constraints look at each value.
fn keeps_rows((before, old): (&State, &SqlType), (after, new): (&State, &SqlType)) -> bool {
    let (from, into) = (domains::of_type(before, old), domains::of_type(after, new));
    if into.iter().any(|(domain, object)| domains::is_constrained(after, domain, object)) {
        return false;
    }
    let base =
        |found: &[(ObjectId, &Object)], own: &SqlType| match found.last().and_then(|(_, last)| last.value("type")) {
            Some(Value::Type(base)) => base.clone(),
            _ => own.clone(),
        };
    binary_compatible(&base(&from, old), &base(&into, new))
}

/// The type before and after.
pub(super) fn changed_type(subject: &Subject<'_>) -> Option<(SqlType, SqlType)> {
    let text = |v: Option<&Value>| match v {
        Some(Value::Type(t)) => Some(t.clone()),
        _ => None,
    };
    Some((text(subject.old?.value("type"))?, text(subject.new?.value("type"))?))
}

/// True where PostgreSQL changes only the catalog (src/backend/commands/tablecmds.c, ATColumnChangeRequiresRewrite, and the support functions
/// of the casts between lengths of a type; measured for each pair in `tests/all/claims.rs`).
pub(in crate::plan) fn binary_compatible(old: &SqlType, new: &SqlType) -> bool {
    let (Ok(old), Ok(new)) = (types::parse(old.as_str()), types::parse(new.as_str())) else { return false };
    let number = |t: &types::Parsed, n: usize| {
        t.modifier.as_deref().and_then(|m| m.split(',').nth(n)).and_then(|n| n.trim().parse::<i32>().ok())
    };
    let text = |t: &types::Parsed| t.schema.is_none() && matches!(t.name.as_str(), "text" | "character varying");
    if old.array != new.array {
        return false;
    }
    let same = old.name == new.name && old.suffix == new.suffix && old.schema == new.schema;
    if old.array {
        // Elements are converted one by one, even where nothing changes.
        return same && (new.modifier.is_none() || new.modifier == old.modifier);
    }
    if text(&old) && text(&new) {
        return match (number(&old, 0), number(&new, 0)) {
            (_, None) => true,
            (Some(a), Some(b)) => b >= a,
            (None, Some(_)) => false,
        };
    }
    if old.schema.is_none() && new.schema.is_none() {
        match (old.name.as_str(), new.name.as_str()) {
            ("cidr", "inet") => return true,
            ("character", "bpchar") => return new.modifier.is_none(),
            _ => {}
        }
    }
    if let (Some(from), Some(to)) = (least_field(&old), least_field(&new)) {
        let digits = |t: &types::Parsed| number(t, 0).unwrap_or(6);
        return to <= from && (from > 0 || digits(&new) >= digits(&old));
    }
    if !same {
        return false;
    }
    match (old.name.as_str(), &new.modifier) {
        (_, None) => true,
        ("numeric", Some(_)) => {
            number(&old, 1) == number(&new, 1) && number(&old, 0) <= number(&new, 0) && old.modifier.is_some()
        }
        // There are six digits behind the point at most.
        ("timestamp" | "time", Some(_)) => number(&old, 0).unwrap_or(6) <= number(&new, 0).unwrap_or(0),
        ("bit varying", Some(_)) => old.modifier.is_some() && number(&old, 0) <= number(&new, 0),
        _ => old.modifier == new.modifier,
    }
}

/// The least field that an interval keeps, by its place from seconds on; `None` for other types.
fn least_field(sql_type: &types::Parsed) -> Option<usize> {
    let mut words = sql_type.name.split(' ');
    if sql_type.schema.is_some() || words.next() != Some("interval") {
        return None;
    }
    let fields = ["second", "minute", "hour", "day", "month", "year"];
    match words.next_back() {
        None => Some(0),
        Some(last) => fields.iter().position(|field| *field == last),
    }
}
