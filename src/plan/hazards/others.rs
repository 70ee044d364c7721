//! The short rules: `irreversible`, `breaks-clients`, `recreates-dependents`, `drops-index`, `changes-access`.

use super::{Finding, Hazard, Subject, finding};
use crate::plan::Action;

/// What the inverse cannot bring back.
pub fn irreversible(subject: &Subject<'_>) -> Option<Finding> {
    super::data_loss::check(subject)?;
    finding(Hazard::Irreversible, format!("rolling back brings back {}, not what it held", subject.id))
}

/// Names that people and programs use, gone or changed.
pub fn breaks_clients(subject: &Subject<'_>) -> Option<Finding> {
    if subject.replaced {
        return None;
    }
    match (subject.action, subject.id.kind().word) {
        (
            Action::Rename,
            "table" | "foreign-table" | "column" | "view" | "materialized-view" | "function" | "procedure" | "schema"
            | "enum" | "type" | "domain",
        )
        | (
            Action::Drop,
            "table" | "foreign-table" | "column" | "view" | "materialized-view" | "function" | "procedure",
        ) => finding(Hazard::BreaksClients, format!("whoever still uses {} fails", subject.id)),
        _ => None,
    }
}

/// Objects that are taken down only because of what they depend on.
pub fn recreates_dependents(subject: &Subject<'_>) -> Option<Finding> {
    if subject.action != Action::Drop || !subject.replaced {
        return None;
    }
    matches!(
        subject.id.kind().word,
        "view"
            | "materialized-view"
            | "function"
            | "procedure"
            | "trigger"
            | "policy"
            | "foreign-key"
            | "foreign-table"
            | "user-mapping"
    )
    .then_some(())?;
    finding(Hazard::RecreatesDependents, format!("{} is taken down and put back", subject.id))
}

/// Indexes that queries may rely on.
pub fn drops_index(subject: &Subject<'_>) -> Option<Finding> {
    let index = matches!(subject.id.kind().word, "index" | "unique" | "primary-key" | "exclude");
    if subject.action != Action::Drop || !index || subject.replaced {
        return None;
    }
    finding(Hazard::DropsIndex, format!("queries that use {} become slow", subject.id))
}

/// Who may see or do what.
pub fn changes_access(subject: &Subject<'_>) -> Option<Finding> {
    let id = subject.id;
    let on_table = id.kind().word == "table" && subject.changed.iter().any(|c| c.contains("row-security"));
    let facet = matches!(id.kind().word, "policy" | "grant" | "revoke" | "owner" | "default-privileges");
    let existing = id.parent().is_none_or(|p| subject.before.has(p));
    ((facet || on_table) && existing && !subject.replaced).then_some(())?;
    finding(Hazard::ChangesAccess, format!("{id} decides who may do what"))
}
