//! `recreates-dependents`: objects that are dropped and recreated only because of what they depend on.

use super::{Finding, Hazard, Subject, finding};
use crate::plan::Action;

pub fn check(subject: &Subject<'_>) -> Option<Finding> {
    if subject.action != Action::Drop || !subject.replaced {
        return None;
    }
    matches!(
        subject.id.kind().word,
        "view"
            | "materialized-view"
            | "function"
            | "procedure"
            | "aggregate"
            | "trigger"
            | "event-trigger"
            | "rule"
            | "policy"
            | "foreign-key"
    )
    .then_some(())?;
    finding(Hazard::RecreatesDependents, format!("{} is dropped and recreated", subject.id))
}
