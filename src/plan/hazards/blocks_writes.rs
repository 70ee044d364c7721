//! `blocks-writes`: a lock that blocks writers, but not readers, for more than a moment.

use super::{Finding, Hazard, Subject, finding, work};
use crate::kinds::LockMode;

const WRITTEN: &str = " cannot be written to while ";

pub fn check(subject: &Subject<'_>) -> Option<Finding> {
    let (lock, task) = work::under_lock(subject)?;
    let waits = lock < LockMode::AccessExclusive;
    waits.then(|| finding(Hazard::BlocksWrites, format!("{}{WRITTEN}{}", task.table, task.meanwhile)))?
}

/// The same if another step of the transaction locks readers out, too.
pub fn with_readers(finding: &Finding) -> Option<Finding> {
    let (table, rest) = finding.reason.split_once(WRITTEN).filter(|_| finding.hazard == Hazard::BlocksWrites)?;
    Some(Finding { hazard: Hazard::BlocksReads, reason: format!("{table} cannot be read while {rest}") })
}
