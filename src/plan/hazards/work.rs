//! What a step does to rows and indexes that are there, beyond the catalog. The rules about rewrites, scans and those who have to wait ask
//! here; which lock it holds meanwhile says who waits.

use super::{Subject, data_loss, may_fail_on_data, table_rewrite};
use crate::kinds::{LockMode, domains, inheritance, room};
use crate::model::{Object, ObjectId};
use crate::plan::Action;

/// What takes as long as a table is large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// All rows are written again, and all indexes built.
    Rewrite,
    /// An index is built, or written to another place.
    Build,
    /// All rows are looked at.
    Scan,
}

/// One thing that a step does to a table that is there.
pub(super) struct Task<'a> {
    pub work: Work,
    pub table: &'a ObjectId,
    /// What it does, to stand behind "while".
    pub meanwhile: String,
}

/// All that the step does to rows and indexes that are there, the hardest first.
pub(super) fn tasks<'a>(subject: &Subject<'a>) -> Vec<Task<'a>> {
    let mut out = Vec::new();
    if subject.on_existing && !data_loss::foreign(subject.id) {
        if let Some((table, _)) = table_rewrite::rewritten(subject) {
            out.push(Task { work: Work::Rewrite, table, meanwhile: "it is written again".into() });
        }
        out.extend(builds(subject));
    }
    out.extend(scans(subject));
    out
}

/// The hardest thing that it does under the lock that it holds, and the lock.
pub(super) fn under_lock<'a>(subject: &Subject<'a>) -> Option<(LockMode, Task<'a>)> {
    let lock = subject.lock.filter(|lock| *lock >= LockMode::Share)?;
    tasks(subject).into_iter().next().map(|task| (lock, task))
}

/// Constraints and indexes that are built as indexes.
pub(super) fn is_index(word: &str) -> bool {
    matches!(word, "index" | "primary-key" | "unique" | "exclude")
}

fn builds<'a>(subject: &Subject<'a>) -> Vec<Task<'a>> {
    let (id, word) = (subject.id, subject.id.kind().word);
    let task = |meanwhile: String| Task { work: Work::Build, table: id.root(), meanwhile };
    match subject.action {
        // `ONLY` leaves partitions as they are, and the table itself has no rows.
        Action::Create if is_index(word) && subject.new.is_some_and(|index| index.value("only").is_none()) => {
            vec![task(format!("{id} is built"))]
        }
        Action::Alter if is_index(word) && subject.changed.contains(&"tablespace") => {
            vec![task(format!("{id} is moved"))]
        }
        Action::Alter if word == "column" => {
            let collated = subject.changed.contains(&"collation");
            let rebuilt = |(index, object): &(&ObjectId, &Object)| {
                is_index(index.kind().word) && (collated || room(index.kind()).computes(object))
            };
            follow(subject).filter(rebuilt).map(|(index, _)| task(format!("{index} is built again"))).collect()
        }
        _ => Vec::new(),
    }
}

/// What is on a column whose type or collation changes, and is made again with it.
fn follow<'a>(subject: &Subject<'a>) -> impl Iterator<Item = (&'a ObjectId, &'a Object)> {
    let (column, before, after) = (subject.id, subject.before, subject.after);
    let changes = subject.changed.iter().any(|name| ["type", "collation"].contains(name));
    let edges = subject.edges.iter().filter(move |(_, needs)| changes && needs.contains(column));
    edges.filter_map(move |(id, _)| Some((id, before.get(id).filter(|_| after.has(id))?)))
}

fn scans<'a>(subject: &Subject<'a>) -> Vec<Task<'a>> {
    let task = |table| Task { work: Work::Scan, table, meanwhile: "all its rows are read".into() };
    let (id, word) = (subject.id, subject.id.kind().word);
    let is = |name: &str| subject.new.is_some_and(|object| object.value(name).is_some());
    let own = match (subject.action, word) {
        // What is generated when it is read is computed for each row to see whether it is NULL.
        (Action::Create, "column") => subject.on_existing && is("virtual") && is("not-null"),
        (Action::Alter, "column") => {
            let checked = |(other, object): (&ObjectId, &Object)| {
                let checks = ["not-valid", "not-enforced"].iter().all(|name| object.value(name).is_none());
                other.kind().word == "check" && checks
            };
            // Where rows are written again, they are looked at on the way.
            let kept = table_rewrite::rewritten(subject).is_none();
            subject.on_existing && !data_loss::foreign(id) && kept && follow(subject).any(checked)
        }
        _ => false,
    };
    let looks = match (subject.action, word) {
        _ if id.root().kind().word == "domain" => return of_domain(subject).into_iter().map(task).collect(),
        (Action::Create, "column") => None,
        (Action::Alter, "column") if !subject.changed.contains(&"not-null") => None,
        (Action::Alter | Action::Drop, "table") if leaves(subject).is_some() => {
            return leaves(subject).into_iter().flatten().map(task).collect();
        }
        (_, word) if is_index(word) || is("not-enforced") => None,
        _ => may_fail_on_data::looks_at_rows(subject),
    };
    let looks = looks.into_iter().flat_map(|look| look.tables);
    own.then_some(id.root()).into_iter().chain(looks).map(task).collect()
}

/// The tables that have columns of a domain which gets a new rule.
fn of_domain<'a>(subject: &Subject<'a>) -> Vec<&'a ObjectId> {
    let off = |name: &str| subject.new.is_some_and(|object| object.value(name).is_none());
    let looks = match (subject.action, subject.id.kind().word) {
        (Action::Create, "check") => off("not-valid") && off("not-enforced"),
        (Action::Alter, "check") => subject.changed.contains(&"not-valid") && off("not-valid"),
        (Action::Alter, "domain") => subject.changed.contains(&"not-null") && !off("not-null"),
        _ => false,
    };
    if looks && subject.on_existing { domains::tables(subject.before, subject.id.root()) } else { Vec::new() }
}

/// The tables that refer to the one that a partition leaves: none of their rows may refer to a row of the partition.
fn leaves<'a>(subject: &Subject<'a>) -> Option<Vec<&'a ObjectId>> {
    let (parent, _) = inheritance::partition_of(subject.old?)?;
    if subject.action == Action::Alter && !subject.changed.contains(&"partition-of") {
        return None;
    }
    let (mut referring, _) = inheritance::keys(subject.before, parent);
    referring.retain(|table| subject.after.has(table) && subject.after.has(parent));
    (!referring.is_empty()).then_some(referring)
}
