//! `stale-data`: an immutable function changes under an index, a generated column or a materialized view, which keep what it gave before.

use super::{Finding, Hazard, Subject, finding};
use crate::model::ObjectId;
use crate::plan::Action;

pub fn check(subject: &Subject<'_>) -> Option<Finding> {
    let id = subject.id;
    if subject.action != Action::Alter || id.kind().word != "function" {
        return None;
    }
    const MEANING: [&str; 4] = ["body", "sql-body", "link-symbol", "language"];
    subject.changed.iter().any(|name| MEANING.contains(name)).then_some(())?;
    let keeps = |other: &&ObjectId| {
        let kept = match other.kind().word {
            "index" | "exclude" | "materialized-view" => true,
            "column" => subject.after.get(other).is_some_and(|column| column.value("generated").is_some()),
            _ => false,
        };
        kept && subject.after.has(other)
    };
    let needs = |(other, needed): (_, &Vec<ObjectId>)| needed.contains(id).then_some(other);
    let mut keepers: Vec<&ObjectId> = subject.edges.iter().filter_map(needs).filter(keeps).collect();
    keepers.sort_by_key(|other| other.to_string());
    let more = keepers.len().saturating_sub(1);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    finding(Hazard::StaleData, format!("{}{more} keeps what the old {id} gave", keepers.first()?))
}
