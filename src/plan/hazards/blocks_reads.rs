//! `blocks-reads`: a lock that blocks readers for more than a moment.

use super::{Finding, Hazard, Subject, finding, work};
use crate::kinds::LockMode;

pub fn check(subject: &Subject<'_>) -> Option<Finding> {
    let (lock, task) = work::under_lock(subject)?;
    let waits = lock == LockMode::AccessExclusive;
    waits.then(|| finding(Hazard::BlocksReads, format!("{} cannot be read while {}", task.table, task.meanwhile)))?
}
