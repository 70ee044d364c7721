//! `irreversible`: what taking the step back does not bring back.

use super::{Finding, Hazard, Subject, finding};
use crate::plan::Action;

pub fn check(subject: &Subject<'_>) -> Option<Finding> {
    let id = subject.id;
    if subject.action == Action::Alter && id.kind().word == "extension" && subject.changed.contains(&"version") {
        return finding(Hazard::Irreversible, format!("{id} may have no way back to its version"));
    }
    super::data_loss::check(subject).filter(|_| !super::data_loss::comes_back(subject))?;
    finding(Hazard::Irreversible, format!("rolling back brings back {id}, not what it held"))
}
