//! What a step does to rows and indexes that are there, beyond the catalog. The rules about rewrites, scans and those who have to wait ask
//! here; which lock it holds meanwhile says who waits.

use super::{Subject, data_loss, may_fail_on_data, table_rewrite};
use crate::kinds::{LockMode, domains, filling, inheritance, numbering, room};
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
            out.push(Task { work: Work::Rewrite, table, meanwhile: "it is rewritten".into() });
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
        // What a partitioned table has of an index is a name.
        Action::Alter if is_index(word) && subject.changed.contains(&"tablespace") && !is_partitioned(subject) => {
            vec![task(format!("{id} is moved"))]
        }
        Action::Alter if word == "column" => {
            // What partitions have of an index has no storage that could be kept (`TryReuseIndex`, tablecmds.c).
            let always = subject.changed.contains(&"collation") || is_partitioned(subject);
            let rebuilt = |(index, object): &(&ObjectId, &Object)| {
                is_index(index.kind().word) && (always || room(index.kind()).computes(object))
            };
            follow(subject).filter(rebuilt).map(|(index, _)| task(format!("{index} is rebuilt"))).collect()
        }
        _ => Vec::new(),
    }
}

fn is_partitioned(subject: &Subject<'_>) -> bool {
    subject.before.get(subject.id.root()).is_some_and(|table| table.value("partition-by").is_some())
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
        // What is generated when it is read is computed for each row to see whether it is NULL; what nothing says is filled in.
        (Action::Create, "column") => {
            let filled = |column: &Object| filling::lacks_value(id, column, &[], subject.after);
            let looks = match is("type") {
                true => is("virtual") && is("not-null") || subject.new.is_some_and(filled),
                false => is("not-null") && !gets_not_null(subject),
            };
            looks && subject.on_existing && !data_loss::foreign(id)
        }
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
        (Action::Alter, "column") if gets_not_null(subject) => None,
        (Action::Alter | Action::Drop, "table") if leaves(subject).is_some() => {
            return leaves(subject).into_iter().flatten().map(task).collect();
        }
        (_, word) if is_index(word) || is("not-enforced") => None,
        _ => may_fail_on_data::looks_at_rows(subject),
    };
    let looks = looks.into_iter().flat_map(|look| look.tables);
    let numbered = numbered(subject).and_then(|column| Some(subject.there.find(column.root())?.0));
    own.then_some(id.root()).into_iter().chain(looks).chain(numbered).map(task).collect()
}

/// True for a column that is inherited already, and gets NOT NULL together with a parent's.
pub(super) fn gets_not_null(subject: &Subject<'_>) -> bool {
    let not_null = |id: &ObjectId| subject.after.get(id).is_some_and(|column| column.value("not-null").is_some());
    let (before, after) = [subject.before, subject.after].map(|state| inheritance::origins(state, subject.id)).into();
    // A parent's column that was not a separate object before is there as what that table inherits, or it comes with this plan.
    let inherited = |id: &ObjectId| !subject.before.has(id) && !inheritance::origins(subject.before, id).is_empty();
    after.iter().any(|origin| not_null(origin) && (before.contains(origin) || inherited(origin)))
}

/// The column whose rows are looked through for the last number, so that a sequence goes on behind it.
pub(super) fn numbered(subject: &Subject<'_>) -> Option<ObjectId> {
    let old = match subject.action {
        Action::Create if !subject.replaced => None,
        Action::Alter => Some(subject.old?),
        _ => return None,
    };
    numbering::looks_at(subject.id, old, subject.after, subject.there)
}

/// The tables that have columns of a domain which gets a new rule.
fn of_domain<'a>(subject: &Subject<'a>) -> Vec<&'a ObjectId> {
    let validates = subject.action == Action::Alter && subject.id.kind().word == "check";
    let valid = subject.new.is_some_and(|check| check.value("not-valid").is_none());
    match validates {
        true if subject.on_existing && valid && subject.changed.contains(&"not-valid") => {
            domains::tables(subject.before, subject.id.root())
        }
        true => Vec::new(),
        false => may_fail_on_data::looks_at_rows(subject).map_or_else(Vec::new, |look| look.tables),
    }
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
