//! `breaks-clients`: names that people and programs use, gone or changed.

use super::{Finding, Hazard, Subject, finding};
use crate::plan::Action;

pub fn check(subject: &Subject<'_>) -> Option<Finding> {
    if subject.replaced {
        return None;
    }
    match (subject.action, subject.id.kind().word) {
        (
            Action::Rename,
            "table" | "column" | "view" | "materialized-view" | "foreign-table" | "function" | "procedure"
            | "aggregate" | "schema" | "enum" | "value" | "type" | "domain" | "range" | "sequence",
        )
        | (
            Action::Drop,
            "table" | "column" | "view" | "materialized-view" | "foreign-table" | "function" | "procedure"
            | "aggregate",
        ) => finding(Hazard::BreaksClients, format!("whoever still uses {} fails", subject.id)),
        _ => None,
    }
}
