//! `may-fail-on-data`: rows that are already there have to pass a new rule.

use super::{Finding, Hazard, Subject, data_loss, finding, table_rewrite};
use crate::kinds::inheritance;
use crate::model::{ObjectId, SqlType};
use crate::plan::Action;

/// What makes PostgreSQL look at every row that is already there.
pub(super) struct Look<'a> {
    /// The tables whose rows it looks at.
    pub tables: Vec<&'a ObjectId>,
    /// What has to be true of them.
    pub reason: String,
}

/// What makes the step look at every row that is already there.
pub(super) fn looks_at_rows<'a>(subject: &Subject<'a>) -> Option<Look<'a>> {
    joins(subject).or_else(|| Some(Look { tables: vec![subject.id.root()], reason: new_rule(subject)? }))
}

/// A partition that comes to a table, or gets other bounds: its own rows have to be within them, and those of the default
/// partition without.
fn joins<'a>(subject: &Subject<'a>) -> Option<Look<'a>> {
    let (id, after) = (subject.id, subject.after);
    let (parent, _) = inheritance::partition_of(subject.new?)?;
    let moves = subject.action == Action::Alter && subject.changed.contains(&"partition-of");
    if !moves && subject.action != Action::Create {
        return None;
    }
    let own = (moves && subject.on_existing && !data_loss::foreign(id)).then_some(id);
    let default = inheritance::default_partition(after, parent).filter(|default| *default != id);
    let default = default.filter(|default| subject.before.has(default) && !data_loss::foreign(default));
    let reason = match (own, default) {
        (Some(own), None) => format!("every row of {own} must be within its bounds"),
        (None, Some(default)) => format!("no row of {default} may be within the bounds of {id}"),
        (Some(own), Some(default)) => {
            format!("every row of {own} must be within its bounds, and no row of {default} may be")
        }
        (None, None) => return None,
    };
    Some(Look { tables: own.into_iter().chain(default).collect(), reason })
}

/// What has to be true of every row from now on.
fn new_rule(subject: &Subject<'_>) -> Option<String> {
    if !subject.on_existing || data_loss::foreign(subject.id) {
        return None;
    }
    let id = subject.id;
    match (subject.action, id.kind().word) {
        (Action::Create, "primary-key" | "unique" | "exclude" | "check" | "foreign-key")
            if subject.new?.value("not-valid").is_none() =>
        {
            Some(format!("every row of {} must satisfy {id}", id.root()))
        }
        (Action::Create, "index") if subject.new?.value("unique").is_some() => {
            Some(format!("every row of {} must be unique in {id}", id.root()))
        }
        (Action::Alter, "column")
            if subject.changed.contains(&"not-null") && subject.new?.value("not-null").is_some() =>
        {
            Some(format!("no row of {} may have NULL in {id}", id.root()))
        }
        (Action::Create, "column")
            if subject.new?.value("not-null").is_some() && subject.new?.value("generated").is_none() =>
        {
            Some(format!("rows of {} need a value for {id}", id.root()))
        }
        _ => None,
    }
}

pub fn check(subject: &Subject<'_>) -> Option<Finding> {
    if let Some(look) = looks_at_rows(subject) {
        return finding(Hazard::MayFailOnData, look.reason);
    }
    if subject.on_existing
        && subject.action == Action::Alter
        && subject.changed.contains(&"type")
        && subject.id.kind().word == "column"
        && !data_loss::foreign(subject.id)
        && !table_rewrite::changed_type(subject).is_some_and(|(old, new)| wider(&old, &new))
    {
        return finding(Hazard::MayFailOnData, format!("every value of {} must fit the new type", subject.id));
    }
    None
}

/// True if every value of the old type is one of the new type.
fn wider(old: &SqlType, new: &SqlType) -> bool {
    let whole = |t: &SqlType| ["smallint", "integer", "bigint"].iter().position(|word| *word == t.as_str());
    whole(old).zip(whole(new)).is_some_and(|(old, new)| old <= new) || table_rewrite::binary_compatible(old, new)
}
