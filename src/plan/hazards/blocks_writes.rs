//! `blocks-writes`: a lock that writers wait for, for longer than a moment, and readers do not.

use super::{Finding, Hazard, Subject, finding, work};
use crate::kinds::LockMode;

const NOBODY: &str = "nobody writes to ";

pub fn check(subject: &Subject<'_>) -> Option<Finding> {
    let (lock, task) = work::under_lock(subject)?;
    let waits = lock < LockMode::AccessExclusive;
    waits.then(|| finding(Hazard::BlocksWrites, format!("{NOBODY}{} while {}", task.table, task.meanwhile)))?
}

/// The same where another step of the transaction has locked readers out, too.
pub fn with_readers(finding: &Finding) -> Option<Finding> {
    let rest = finding.reason.strip_prefix(NOBODY).filter(|_| finding.hazard == Hazard::BlocksWrites)?;
    Some(Finding { hazard: Hazard::BlocksReads, reason: format!("nobody reads {rest}") })
}
