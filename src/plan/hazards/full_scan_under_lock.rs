//! `full-scan-under-lock`: rows that are already there are all read while the table is locked.

use super::{Finding, Hazard, Subject, finding};
use crate::plan::Action;

pub fn check(subject: &Subject<'_>) -> Option<Finding> {
    if subject.id.kind().word == "column" && subject.action == Action::Create {
        return None;
    }
    super::may_fail_on_data::looks_at_rows(subject)?;
    finding(Hazard::FullScanUnderLock, format!("{} is read whole while it is locked", subject.id.root()))
}
