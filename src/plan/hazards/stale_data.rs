//! `stale-data`: an immutable function, or the way texts are searched, changes under an index, a generated column or a materialized view,
//! which keep the old results.

use super::{Finding, Hazard, Subject, finding};
use crate::model::ObjectId;
use crate::plan::Action;

/// The attributes of a kind that decide what it gives.
fn meaning(word: &str) -> &'static [&'static str] {
    match word {
        "function" => &["body", "sql-body", "link-symbol", "language"],
        "text-search-configuration" => &["mapping"],
        "text-search-dictionary" => &["options"],
        _ => &[],
    }
}

pub fn check(subject: &Subject<'_>) -> Option<Finding> {
    let id = subject.id;
    let meaning = meaning(id.kind().word);
    if subject.action != Action::Alter || !subject.changed.iter().any(|name| meaning.contains(name)) {
        return None;
    }
    // A dictionary is used through configurations.
    let through: Vec<&ObjectId> = subject
        .edges
        .iter()
        .filter(|(other, needed)| other.kind().word == "text-search-configuration" && needed.contains(id))
        .map(|(other, _)| other)
        .collect();
    let keeps = |other: &&ObjectId| {
        let kept = match other.kind().word {
            "index" | "exclude" | "materialized-view" => true,
            "column" => subject.after.get(other).is_some_and(|column| column.value("generated").is_some()),
            _ => false,
        };
        kept && subject.after.has(other)
    };
    let needs =
        |(other, needed): (_, &Vec<ObjectId>)| needed.iter().any(|n| n == id || through.contains(&n)).then_some(other);
    let mut keepers: Vec<&ObjectId> = subject.edges.iter().filter_map(needs).filter(keeps).collect();
    keepers.sort_by_key(|other| other.to_string());
    let more = keepers.len().saturating_sub(1);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    finding(Hazard::StaleData, format!("{}{more} keeps what the old {id} gave", keepers.first()?))
}
