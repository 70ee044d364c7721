//! `removes-unrecorded`: the object came from no revision, so somebody made it by hand, for reasons that setpoint does not know.

use super::{Finding, Hazard, Subject, finding};
use crate::model::Address;
use crate::plan::Action;

pub fn check(subject: &Subject<'_>) -> Option<Finding> {
    if subject.action != Action::Drop || subject.replaced {
        return None;
    }
    let recorded = subject.recorded?;
    // For parts dropped with their table, the table reports it.
    let own = subject.id.parent().is_none_or(|parent| recorded.has(parent) || parent.kind().address == Address::Schema);
    (own && !recorded.has(subject.id)).then_some(())?;
    finding(Hazard::RemovesUnrecorded, format!("no revision created {}", subject.id))
}
