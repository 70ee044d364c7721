//! `irreversible`: something that rolling the step back does not restore.

use super::{Finding, Hazard, Subject, finding};
use crate::kinds::filling;
use crate::model::ObjectId;
use crate::plan::Action;

pub fn check(subject: &Subject<'_>) -> Option<Finding> {
    let id = subject.id;
    if subject.action == Action::Alter && id.kind().word == "extension" && subject.changed.contains(&"version") {
        return finding(Hazard::Irreversible, format!("{id} may have no way back to its present version"));
    }
    if subject.action == Action::Alter && super::data_loss::is_unlogged(subject) {
        super::data_loss::check(subject)?;
        return finding(
            Hazard::Irreversible,
            format!("rolling back does not restore rows of {id} that a crash removed"),
        );
    }
    super::data_loss::check(subject).filter(|_| !super::data_loss::comes_back(subject))?;
    let column = subject.old.filter(|_| id.kind().word == "column" && subject.action == Action::Drop);
    let asks =
        column.is_some_and(|old| filling::lacks_value(id, old, &[], subject.before) && subject.after.has(id.root()));
    let asks = match asks {
        true => format!(", and needs `--fill` with a value for the rows of {}", id.root()),
        false => String::new(),
    };
    finding(Hazard::Irreversible, format!("rolling back recreates {id}, but not its contents{asks}"))
}

/// For an object that becomes a placeholder before it is dropped with others: on the way back it is one while they are created.
pub fn emptied(id: &ObjectId, others: &[ObjectId]) -> Option<Finding> {
    let filled = others.iter().find(|other| other.kind().word == "materialized-view")?;
    finding(
        Hazard::Irreversible,
        format!("rolling back fails if it fills {filled} with values from {id}: they depend on each other"),
    )
}
