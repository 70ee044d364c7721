//! `changes-access`: who may see or do what changes.

use super::{Finding, Hazard, Subject, finding};

pub fn check(subject: &Subject<'_>) -> Option<Finding> {
    let id = subject.id;
    let on_table = id.kind().word == "table" && subject.changed.iter().any(|c| c.contains("row-security"));
    let facet = matches!(id.kind().word, "policy" | "grant" | "revoke" | "owner" | "default-privileges");
    // Creating or dropping an object as a whole changes nobody's access.
    let stays = id.parent().is_none_or(|p| subject.before.has(p) && subject.after.has(p));
    // What a role granted is revoked and granted again if the privileges that it depends on change too.
    let put_back = subject.replaced && (id.signature().is_none() || subject.before.get(id) == subject.after.get(id));
    ((facet || on_table) && stays && !put_back).then_some(())?;
    finding(Hazard::ChangesAccess, format!("{id} decides who may do what"))
}
