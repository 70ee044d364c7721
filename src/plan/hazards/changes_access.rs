//! `changes-access`: who may see or do what changes.

use super::{Finding, Hazard, Subject, finding};
use crate::model::{Ident, ObjectId};
use crate::sql;

pub fn check(subject: &Subject<'_>) -> Option<Finding> {
    let id = subject.id;
    let on_table = id.kind().word == "table" && subject.changed.iter().any(|c| c.contains("row-security"));
    let facet = matches!(id.kind().word, "policy" | "grant" | "revoke" | "owner" | "default-privileges");
    // Creating or dropping an object as a whole changes nobody's access.
    let stays = id.parent().is_none_or(|p| subject.before.has(p) && subject.after.has(p) || is_apart(id, subject));
    // What a role granted is revoked and granted again if the privileges that it depends on change too.
    let put_back = subject.replaced && (id.signature().is_none() || subject.before.get(id) == subject.after.get(id));
    ((facet || on_table) && stays && !put_back).then_some(())?;
    finding(Hazard::ChangesAccess, format!("{id} decides who may do what"))
}

/// A new object does not keep what default privileges give: people may rely on them without knowing the files.
pub fn unasked(id: &ObjectId, creator: &Ident) -> Finding {
    let reason = format!(
        "default privileges of {} give rights on {id} that no file says, and they are revoked: say `grant …` there to keep them",
        sql::role(creator)
    );
    Finding { hazard: Hazard::ChangesAccess, reason }
}

/// True for a right on an object of an extension, which no state has.
fn is_apart(id: &ObjectId, subject: &Subject<'_>) -> bool {
    subject.before.is_apart(id) && subject.after.is_apart(id)
}
