//! `blocks-writes`: a lock that blocks writers for more than a moment.

use super::{Finding, Hazard, Subject, finding};
use crate::kinds::LockMode;
use crate::plan::Action;

pub fn check(subject: &Subject<'_>) -> Option<Finding> {
    if !subject.on_existing || subject.lock? < LockMode::Share {
        return None;
    }
    match (subject.action, subject.id.kind().word) {
        (Action::Create, "index") => finding(
            Hazard::BlocksWrites,
            format!("{} cannot be written to while {} is built", subject.id.root(), subject.id),
        ),
        _ => None,
    }
}
