//! What other hazards need to know about values whose type changes.

use super::{Finding, Hazard, Subject, data_loss, table_rewrite};
use crate::kinds::{column, values};
use crate::model::{Edges, ObjectId, SqlType, State, Value};
use crate::plan::Action;
use crate::sql::conversion::{self, Stands, Verdict};

/// What becomes of the values of one column or attribute.
pub(super) struct Fate {
    pub verdict: Verdict,
    /// Why `data-loss` is named, if it is.
    pub loss: Option<String>,
}

/// What becomes of the values of a column, or of an attribute that tables have columns from, whose type changes.
pub(super) fn fate(subject: &Subject<'_>) -> Option<Fate> {
    if subject.action != Action::Alter || !subject.changed.contains(&"type") || data_loss::foreign(subject.id) {
        return None;
    }
    let (old, new) = table_rewrite::changed_type(subject)?;
    if let Some(fate) = said(subject) {
        return Some(fate);
    }
    let nobody_has_it = || subject.id.parent().is_none_or(|of| values::columns_of(subject.before, of).is_empty());
    if is_attribute(subject.id) && nobody_has_it() {
        return None;
    }
    Some(between(subject.id, (subject.before, &old), (subject.after, &new)))
}

/// The same where a person says it: nobody knows what an expression makes of the values.
fn said(subject: &Subject<'_>) -> Option<Fate> {
    let said = column::convert::said(subject.old?, subject.new?)?;
    let why = format!("the values of {} become what this makes of them: {}", subject.id, said.as_str());
    Some(Fate { verdict: Verdict::Loses(why.clone()), loss: Some(why) })
}

/// True if a person says how the old values come back.
pub(super) fn comes_back_by_hand(subject: &Subject<'_>) -> bool {
    let by = subject.new.and_then(|new| new.by.as_ref());
    subject.changed.contains(&"type") && by.is_some_and(|by| by.there.is_some() && by.back.is_some())
}

/// What becomes of the values of a column or attribute whose type is rebuilt under it.
pub(super) fn rebuilt(id: &ObjectId, before: &State, after: &State) -> Option<Fate> {
    let sql_type = |state: &State| match state.get(id)?.value("type")? {
        Value::Type(sql_type) => Some(sql_type.clone()),
        _ => None,
    };
    let old = sql_type(before)?;
    let new = sql_type(after).unwrap_or_else(|| old.clone());
    (!data_loss::foreign(id)).then(|| between(id, (before, &old), (after, &new)))
}

fn between(id: &ObjectId, (before, old): (&State, &SqlType), (after, new): (&State, &SqlType)) -> Fate {
    let (old, new) = (values::stands(before, old), values::stands(after, new));
    // No step of ours can check what an attribute's new type makes of a value.
    let judge = if is_attribute(id) { conversion::by_assignment } else { conversion::verdict };
    let verdict = judge(&old, &new);
    Fate { loss: loss(id, &verdict, &old, &new), verdict }
}

fn loss(id: &ObjectId, verdict: &Verdict, old: &Stands, new: &Stands) -> Option<String> {
    let zone = || {
        format!("times in {id} are assumed to be in UTC: for another zone, edit the step in the saved plan and seal it")
    };
    match verdict {
        Verdict::Loses(why) if conversion::needs_zone(old, new) => Some(format!("{why} ({id}); {}", zone())),
        Verdict::Loses(why) => Some(format!("values of {id} change: {why}")),
        Verdict::NeedsZone => Some(zone()),
        _ => None,
    }
}

fn is_attribute(id: &ObjectId) -> bool {
    id.kind().word == "attribute"
}

/// The hazards of a column or attribute under which its type is rebuilt, or its collation.
pub(in crate::plan) fn hazards_of_rebuilt(
    what: &ObjectId,
    id: &ObjectId,
    (before, after): (&State, &State),
    edges: &Edges,
) -> Vec<Finding> {
    let table = id.root();
    if data_loss::foreign(id) {
        return Vec::new(); // others hold the rows
    }
    if what.kind().word == "collation" {
        return hazards_of_collated(what, id, after, edges);
    }
    let mut found = vec![
        (Hazard::TableRewrite, format!("{table} is rewritten for the new type of {id}")),
        (Hazard::BlocksReads, format!("{table} cannot be read while it is rewritten")),
        (Hazard::MayFailOnData, format!("every value of {id} must exist in the new type")),
    ];
    if let Some(Fate { verdict, loss: Some(why) }) = rebuilt(id, before, after) {
        if verdict != Verdict::NeedsZone {
            found.push((Hazard::Irreversible, format!("rolling back recreates {id}, but not its contents")));
        }
        found.insert(0, (Hazard::DataLoss, why));
    }
    found.into_iter().map(|(hazard, reason)| Finding { hazard, reason }).collect()
}

/// Rows stay as they are where only their order changes. Indexes need the collation, and are dropped and made again by steps of their own.
fn hazards_of_collated(what: &ObjectId, id: &ObjectId, after: &State, edges: &Edges) -> Vec<Finding> {
    let table = id.root();
    let stays = |user: &ObjectId, needs: &[ObjectId]| needs.contains(id) && !needs.contains(what) && after.has(user);
    let check = edges.iter().find(|(user, needs)| user.kind().word == "check" && stays(user, needs));
    let mut found = vec![(Hazard::MayFailOnData, format!("every value of {id} must exist in the new type"))];
    if let Some((check, _)) = check {
        found.push((Hazard::FullScanUnderLock, format!("{table} is read completely for {check} while it is locked")));
        found.push((Hazard::BlocksReads, format!("{table} cannot be read while all its rows are read")));
    }
    found.into_iter().map(|(hazard, reason)| Finding { hazard, reason }).collect()
}
