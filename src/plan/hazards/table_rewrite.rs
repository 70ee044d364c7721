//! `table-rewrite`: the whole table is rewritten, under the strongest lock.

use super::{Finding, Hazard, Subject, data_loss, finding};
use crate::kinds::inheritance;
use crate::model::{SqlType, Value};
use crate::plan::Action;
use crate::sql::types;

pub fn check(subject: &Subject<'_>) -> Option<Finding> {
    if !subject.on_existing || data_loss::foreign(subject.id) {
        return None;
    }
    let table = subject.id.root();
    match (subject.action, subject.id.kind().word) {
        (Action::Alter, "column") if subject.changed.contains(&"type") => {
            let (old, new) = changed_type(subject)?;
            if binary_compatible(&old, &new) {
                return None;
            }
            finding(Hazard::TableRewrite, format!("{table} is rewritten for the type {}", new.as_str()))
        }
        (Action::Alter, "attribute") if has_tables(subject) && subject.changed.contains(&"type") => {
            let (old, new) = changed_type(subject)?;
            if binary_compatible(&old, &new) {
                return None;
            }
            finding(Hazard::TableRewrite, format!("every table of {table} is rewritten for the type {}", new.as_str()))
        }
        (Action::Create, "column")
            if subject.new?.value("generated").is_some() && subject.new?.value("virtual").is_none() =>
        {
            finding(Hazard::TableRewrite, format!("{table} is rewritten to fill {}", subject.id))
        }
        (Action::Create, "identity") => {
            finding(Hazard::TableRewrite, format!("{table} is rewritten to number its rows"))
        }
        (Action::Alter, "table") if subject.changed.iter().any(|c| matches!(*c, "unlogged" | "tablespace")) => {
            finding(Hazard::TableRewrite, format!("{table} is rewritten"))
        }
        _ => None,
    }
}

/// True if tables get their columns from the attribute's type.
fn has_tables(subject: &Subject<'_>) -> bool {
    inheritance::tables_of(subject.before, subject.id.root()).next().is_some()
}

/// The type before and after.
pub(super) fn changed_type(subject: &Subject<'_>) -> Option<(SqlType, SqlType)> {
    let text = |v: Option<&Value>| match v {
        Some(Value::Type(t)) => Some(t.clone()),
        _ => None,
    };
    Some((text(subject.old?.value("type"))?, text(subject.new?.value("type"))?))
}

/// True where PostgreSQL changes only the catalog (src/backend/commands/tablecmds.c, ATColumnChangeRequiresRewrite).
pub(in crate::plan) fn binary_compatible(old: &SqlType, new: &SqlType) -> bool {
    let (Ok(old), Ok(new)) = (types::parse(old.as_str()), types::parse(new.as_str())) else { return false };
    let number = |t: &types::Parsed, n: usize| {
        t.modifier.as_deref().and_then(|m| m.split(',').nth(n)).and_then(|n| n.parse::<i32>().ok())
    };
    let text = |t: &types::Parsed| t.schema.is_none() && matches!(t.name.as_str(), "text" | "character varying");
    if old.array != new.array {
        return false;
    }
    if text(&old) && text(&new) {
        return match (number(&old, 0), number(&new, 0)) {
            (_, None) => true,
            (Some(a), Some(b)) => b >= a,
            (None, Some(_)) => false,
        };
    }
    if old.name != new.name || old.suffix != new.suffix || old.schema != new.schema {
        return false;
    }
    match (old.name.as_str(), &new.modifier) {
        (_, None) => true,
        ("numeric", Some(_)) => {
            number(&old, 1) == number(&new, 1) && number(&old, 0) <= number(&new, 0) && old.modifier.is_some()
        }
        ("timestamp" | "time" | "interval", Some(_)) => old.modifier.is_some() && number(&old, 0) <= number(&new, 0),
        ("bit varying", Some(_)) => old.modifier.is_some() && number(&old, 0) <= number(&new, 0),
        _ => old.modifier == new.modifier,
    }
}
