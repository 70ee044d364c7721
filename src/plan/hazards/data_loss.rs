//! `data-loss`: rows, columns or precision that cannot be had back.

use super::{Finding, Hazard, Subject, finding, table_rewrite};
use crate::model::{ObjectId, SqlType};
use crate::plan::Action;
use crate::sql::types;

pub fn check(subject: &Subject<'_>) -> Option<Finding> {
    let (id, word) = (subject.id, subject.id.kind().word);
    let secrets = |old: &crate::model::Object| old.value("secret").is_some() || old.value("unreadable").is_some();
    match (subject.action, word) {
        (Action::Drop, _) if subject.old.is_some_and(secrets) => {
            finding(Hazard::DataLoss, format!("secret options of {id}, which are kept nowhere else, are lost"))
        }
        (Action::Drop | Action::Alter, "column") if foreign(id) => None, // others hold the rows
        (Action::Drop, "table") => finding(Hazard::DataLoss, format!("the rows of {id} are lost")),
        (Action::Drop, "column") => {
            let old = subject.old?;
            if old.value("generated").is_some() || old.value("type").is_none() {
                return None;
            }
            finding(Hazard::DataLoss, format!("the values of {id} are lost"))
        }
        (Action::Drop, "attribute") => {
            let of = id.parent().filter(|of| subject.after.has(of))?;
            let holds = |(user, needs): (&ObjectId, &Vec<ObjectId>)| user.parent() != Some(of) && needs.contains(of);
            subject
                .edges
                .iter()
                .any(holds)
                .then(|| finding(Hazard::DataLoss, format!("the values of {id} are lost")))?
        }
        (Action::Drop, "sequence") => finding(Hazard::DataLoss, format!("the position of {id} is lost")),
        (Action::Drop, "extension" | "schema") => finding(Hazard::DataLoss, format!("what only {id} holds is lost")),
        (Action::Alter, "column" | "attribute") if subject.changed.contains(&"type") => {
            let (old, new) = table_rewrite::changed_type(subject)?;
            let less = narrower(&old, &new).then(|| format!("{} holds less than {}", new.as_str(), old.as_str()));
            let zone = needs_zone(&old, &new).then(|| {
                format!(
                    "times in {id} are taken for UTC: for another zone, edit the step in the saved plan and seal it"
                )
            });
            let reasons: Vec<String> = less.into_iter().chain(zone).collect();
            (!reasons.is_empty()).then(|| finding(Hazard::DataLoss, reasons.join("; ")))?
        }
        _ => None,
    }
}

/// True where values come back as they were, once the step is taken back the way it went: only their zone was a guess.
pub(super) fn comes_back(subject: &Subject<'_>) -> bool {
    let changed = subject.action == Action::Alter && subject.changed.contains(&"type");
    changed && table_rewrite::changed_type(subject).is_some_and(|(old, new)| !narrower(&old, &new))
}

/// True if the object is, or belongs to, a foreign table.
pub(super) fn foreign(id: &ObjectId) -> bool {
    id.root().kind().word == "foreign-table"
}

/// True where a time without a zone becomes one with a zone or the other way around: what it means is nobody's to guess. Only
/// `timetz` → `time` needs no zone, since it just drops what it has.
fn needs_zone(old: &SqlType, new: &SqlType) -> bool {
    let (Ok(old), Ok(new)) = (types::parse(old.as_str()), types::parse(new.as_str())) else { return false };
    let time = |t: &types::Parsed| t.schema.is_none() && matches!(t.name.as_str(), "date" | "time" | "timestamp");
    let drops = old.name == "time" && has_zone(&old);
    time(&old) && time(&new) && has_zone(&old) != has_zone(&new) && !drops
}

fn has_zone(sql_type: &types::Parsed) -> bool {
    sql_type.suffix == " with time zone"
}

/// True unless every value of the old type surely survives the way to the new one.
fn narrower(old: &SqlType, new: &SqlType) -> bool {
    let (Ok(old), Ok(new)) = (types::parse(old.as_str()), types::parse(new.as_str())) else { return true };
    let length = |t: &types::Parsed| {
        t.modifier.as_deref().and_then(|m| m.split(',').next()).and_then(|n| n.trim().parse::<u32>().ok())
    };
    let text = |t: &types::Parsed| t.schema.is_none() && matches!(t.name.as_str(), "text" | "character varying");
    if old.array != new.array {
        return true;
    }
    if text(&old) && text(&new) {
        return false; // what is too long is an error, never cut short
    }
    if new.schema.is_none() && new.name == "text" {
        return false;
    }
    let whole = |name: &str| ["smallint", "integer", "bigint"].iter().position(|w| *w == name);
    match (old.name.as_str(), new.name.as_str()) {
        ("time", "time") if has_zone(&old) && !has_zone(&new) => true,
        ("date", "timestamp") => false, // out of range is an error
        (a, b) if a == b && (a == "timestamp" || a == "time") => match (length(&old), length(&new)) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(a), Some(b)) => b < a,
        },
        ("numeric", "numeric") => {
            let scale = |t: &types::Parsed| {
                t.modifier.as_deref().and_then(|m| m.split(',').nth(1)).and_then(|n| n.parse::<i32>().ok())
            };
            match (scale(&old), scale(&new)) {
                (_, None) => false,
                (None, Some(_)) => true,
                (Some(a), Some(b)) => b < a, // digits before the point: too many is an error
            }
        }
        (a, b) if a == b => length(&old) != length(&new) && new.modifier.is_some(),
        (a, b) => match (whole(a), whole(b)) {
            (Some(_), Some(_)) => false, // out of range is an error
            (Some(_), None) => b != "numeric",
            _ => !(a == "json" && b == "jsonb" || a == "real" && b == "double precision"),
        },
    }
}
