//! `extension-update`: another version of an extension may behave differently.

use super::{Finding, Hazard, Subject, finding};
use crate::plan::Action;

pub fn check(subject: &Subject<'_>) -> Option<Finding> {
    let update = subject.action == Action::Alter && subject.changed.contains(&"version");
    (update && subject.id.kind().word == "extension").then_some(())?;
    finding(Hazard::ExtensionUpdate, format!("what {} provides may work differently", subject.id))
}
