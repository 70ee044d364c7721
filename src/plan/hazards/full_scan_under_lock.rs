//! `full-scan-under-lock`: all existing rows are read while the table is locked.

use super::work::{self, Work};
use super::{Finding, Hazard, Subject, finding, may_fail_on_data};
use crate::model::ObjectId;
use crate::plan::Action;

pub fn check(subject: &Subject<'_>) -> Option<Finding> {
    if let Some(column) = work::numbered(subject) {
        let table = column.root();
        return finding(
            Hazard::FullScanUnderLock,
            format!("{table} is read completely to find the last number in {column} while it is locked"),
        );
    }
    let tasks = work::tasks(subject);
    let mut read: Vec<&ObjectId> = tasks.iter().filter(|task| task.work == Work::Scan).map(|task| task.table).collect();
    read.dedup();
    if work::is_index(subject.id.kind().word) && subject.action == Action::Create {
        read = may_fail_on_data::looks_at_rows(subject)?.tables;
    }
    let reason = match read.as_slice() {
        [] => return None,
        [one] => format!("{one} is read completely while it is locked"),
        more => {
            let names: Vec<String> = more.iter().map(ToString::to_string).collect();
            format!("{} are read completely while they are locked", names.join(" and "))
        }
    };
    finding(Hazard::FullScanUnderLock, reason)
}
