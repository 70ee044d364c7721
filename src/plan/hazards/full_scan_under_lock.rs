//! `full-scan-under-lock`: rows that are already there are all read while the table is locked.

use super::work::{self, Work};
use super::{Finding, Hazard, Subject, finding, may_fail_on_data};
use crate::model::ObjectId;
use crate::plan::Action;

pub fn check(subject: &Subject<'_>) -> Option<Finding> {
    let tasks = work::tasks(subject);
    let mut read: Vec<&ObjectId> = tasks.iter().filter(|task| task.work == Work::Scan).map(|task| task.table).collect();
    read.dedup();
    if work::is_index(subject.id.kind().word) && subject.action == Action::Create {
        read = may_fail_on_data::looks_at_rows(subject)?.tables;
    }
    let reason = match read.as_slice() {
        [] => return None,
        [one] => format!("{one} is read whole while it is locked"),
        more => {
            let names: Vec<String> = more.iter().map(ToString::to_string).collect();
            format!("{} are read whole while they are locked", names.join(" and "))
        }
    };
    finding(Hazard::FullScanUnderLock, reason)
}
