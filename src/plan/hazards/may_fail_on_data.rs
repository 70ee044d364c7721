//! `may-fail-on-data`: rows that are already there have to pass a new rule.

use super::{Finding, Hazard, Subject, data_loss, finding, table_rewrite};
use crate::model::SqlType;
use crate::plan::Action;

/// True if the step makes PostgreSQL look at every row that is already there.
pub(super) fn looks_at_rows(subject: &Subject<'_>) -> Option<String> {
    if !subject.on_existing || data_loss::foreign(subject.id) {
        return None;
    }
    let id = subject.id;
    match (subject.action, id.kind().word) {
        (Action::Create, "primary-key" | "unique" | "exclude" | "check" | "foreign-key")
            if subject.new?.value("not-valid").is_none() =>
        {
            Some(format!("every row of {} must satisfy {id}", id.root()))
        }
        (Action::Create, "index") if subject.new?.value("unique").is_some() => {
            Some(format!("every row of {} must be unique in {id}", id.root()))
        }
        (Action::Alter, "column")
            if subject.changed.contains(&"not-null") && subject.new?.value("not-null").is_some() =>
        {
            Some(format!("no row of {} may have NULL in {id}", id.root()))
        }
        (Action::Create, "column")
            if subject.new?.value("not-null").is_some() && subject.new?.value("generated").is_none() =>
        {
            Some(format!("rows of {} need a value for {id}", id.root()))
        }
        _ => None,
    }
}

pub fn check(subject: &Subject<'_>) -> Option<Finding> {
    if let Some(reason) = looks_at_rows(subject) {
        return finding(Hazard::MayFailOnData, reason);
    }
    if subject.on_existing
        && subject.action == Action::Alter
        && subject.changed.contains(&"type")
        && subject.id.kind().word == "column"
        && !data_loss::foreign(subject.id)
        && !table_rewrite::changed_type(subject).is_some_and(|(old, new)| wider(&old, &new))
    {
        return finding(Hazard::MayFailOnData, format!("every value of {} must fit the new type", subject.id));
    }
    None
}

/// True if every value of the old type is one of the new type.
fn wider(old: &SqlType, new: &SqlType) -> bool {
    let whole = |t: &SqlType| ["smallint", "integer", "bigint"].iter().position(|word| *word == t.as_str());
    whole(old).zip(whole(new)).is_some_and(|(old, new)| old <= new) || table_rewrite::binary_compatible(old, new)
}
