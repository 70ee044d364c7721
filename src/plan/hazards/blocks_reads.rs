//! `blocks-reads`: a lock that blocks readers for more than a moment.

use super::{Finding, Hazard, Subject, finding};
use crate::kinds::LockMode;
use crate::plan::Action;

pub fn check(subject: &Subject<'_>) -> Option<Finding> {
    if !subject.on_existing || subject.lock? < LockMode::Share {
        return None;
    }
    let table = subject.id.root();
    match (subject.action, subject.id.kind().word) {
        (Action::Create, "primary-key" | "unique" | "exclude") => {
            finding(Hazard::BlocksReads, format!("{table} cannot be read while {} is built", subject.id))
        }
        _ if super::table_rewrite::check(subject).is_some() => {
            finding(Hazard::BlocksReads, format!("{table} cannot be read while it is rewritten"))
        }
        _ => None,
    }
}
