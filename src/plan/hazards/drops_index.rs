//! `drops-index`: an index is dropped that queries may rely on.

use super::{Finding, Hazard, Subject, finding};
use crate::plan::Action;

pub fn check(subject: &Subject<'_>) -> Option<Finding> {
    let index = matches!(subject.id.kind().word, "index" | "unique" | "primary-key" | "exclude");
    if subject.action != Action::Drop || !index || subject.replaced {
        return None;
    }
    finding(Hazard::DropsIndex, format!("queries that use {} become slow", subject.id))
}
