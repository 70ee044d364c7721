//! `data-loss`: rows, columns or precision that cannot be recovered.

use super::{Finding, Hazard, Subject, finding, values};
use crate::kinds::{self, numbering};
use crate::model::ObjectId;
use crate::plan::Action;
use crate::sql::conversion::Verdict;

pub fn check(subject: &Subject<'_>) -> Option<Finding> {
    let (id, word) = (subject.id, subject.id.kind().word);
    let secrets = |old: &crate::model::Object| old.value("secret").is_some() || old.value("unreadable").is_some();
    match (subject.action, word) {
        (Action::Drop, _) if subject.old.is_some_and(secrets) => {
            finding(Hazard::DataLoss, format!("secret options of {id}, which are stored nowhere else, are lost"))
        }
        (Action::Drop | Action::Alter, "column") if foreign(id) => None, // others hold the rows
        (Action::Drop, "table") => finding(Hazard::DataLoss, format!("the rows of {id} are lost")),
        (Action::Drop, "column") => {
            let old = subject.old?;
            old.value("type")?;
            // What is generated is generated again, if it is.
            let stays = |new: &crate::model::Object| new.value("generated").is_some();
            if old.value("generated").is_some() && (!subject.replaced || subject.after.get(id).is_some_and(stays)) {
                return None;
            }
            finding(Hazard::DataLoss, format!("the values of {id} are lost"))
        }
        (Action::Drop, "attribute") => {
            let of = id.parent().filter(|of| subject.after.has(of))?;
            let held = !kinds::values::columns_of(subject.before, of).is_empty();
            held.then(|| finding(Hazard::DataLoss, format!("the values of {id} are lost")))?
        }
        // Where it numbers a column, the column knows how far it came.
        (Action::Drop, "sequence") if numbering::columns(id, subject.before).is_empty() => {
            finding(Hazard::DataLoss, format!("the position of {id} is lost"))
        }
        (Action::Drop, "extension" | "schema") => finding(Hazard::DataLoss, format!("what only {id} holds is lost")),
        (Action::Drop, "materialized-view") if subject.old?.value("unpopulated").is_none() => {
            finding(Hazard::DataLoss, format!("the rows of {id}, those of its last REFRESH, are lost"))
        }
        (Action::Alter, "table") if subject.changed.contains(&"unlogged") && is_unlogged(subject) => {
            finding(Hazard::DataLoss, format!("a server crash empties {id}"))
        }
        (Action::Alter, "column" | "attribute") => finding(Hazard::DataLoss, values::fate(subject)?.loss?),
        _ => None,
    }
}

/// True if values come back when the step is rolled back: only their time zone was a guess, or a person says how.
pub(super) fn comes_back(subject: &Subject<'_>) -> bool {
    values::comes_back_by_hand(subject) || values::fate(subject).is_some_and(|fate| fate.verdict == Verdict::NeedsZone)
}

/// True if the table is unlogged once the step is done.
pub(super) fn is_unlogged(subject: &Subject<'_>) -> bool {
    subject.id.kind().word == "table" && subject.new.is_some_and(|table| table.value("unlogged").is_some())
}

/// True if the object is, or belongs to, a foreign table.
pub(super) fn foreign(id: &ObjectId) -> bool {
    id.root().kind().word == "foreign-table"
}
