//! `full-scan-under-lock`: all existing rows are read while the table is locked.

use super::{Finding, Hazard, Subject, finding};
use crate::kinds::numbering;
use crate::plan::Action;

pub fn check(subject: &Subject<'_>) -> Option<Finding> {
    if subject.action == Action::Create
        && !subject.replaced
        && let Some(column) = numbering::looks_at(subject.id, subject.after, subject.before)
    {
        let table = column.root();
        return finding(
            Hazard::FullScanUnderLock,
            format!("{table} is read completely to find the last number in {column} while it is locked"),
        );
    }
    if subject.id.kind().word == "column" && subject.action == Action::Create {
        return None;
    }
    let read = super::may_fail_on_data::looks_at_rows(subject)?.tables;
    let reason = match read.as_slice() {
        [one] => format!("{one} is read completely while it is locked"),
        more => {
            let names: Vec<String> = more.iter().map(ToString::to_string).collect();
            format!("{} are read completely while they are locked", names.join(" and "))
        }
    };
    finding(Hazard::FullScanUnderLock, reason)
}
