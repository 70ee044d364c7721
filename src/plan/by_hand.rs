//! Steps that people write: one statement each, with the locks and hazards that follow from its text, and those that were observed.

use std::collections::BTreeSet;

use crate::catalog::Session;
use crate::kinds::{self, LockMode, Mode, scope};
use crate::model::{Error, Ident, ObjectId, Result};
use crate::sql::names::Name;
use crate::sql::places;
use crate::sql::reference;
use crate::sql::statement::{self, Calls, Effect, Reading, Run, Statement, What};
use crate::sql::steady;

use super::{Action, Finding, Hazard, Plan, Step};

/// Built-in functions that give another value each time and change nothing that anybody else sees.
const ONLY_VALUES: &[&str] =
    &["clock_timestamp", "gen_random_uuid", "nextval", "random", "timeofday", "uuidv4", "uuidv7"];

/// What a server says of the names that steps call.
pub enum Known {
    /// No server was asked.
    Nothing,
    /// The functions and operators of these names that are not PostgreSQL's own, or have side effects.
    /// Views of these names use such functions, or may.
    Strange { functions: BTreeSet<String>, operators: BTreeSet<String>, views: BTreeSet<String> },
}

/// Which of the names in `$1` mean more than PostgreSQL's own functions that change nothing; those in `$2` may be syntax, and those in
/// `$3` may be volatile. Operators in `$4`.
const STRANGE: &str = "SELECT 1, n FROM pg_catalog.unnest($1::pg_catalog.text[]) n WHERE EXISTS (SELECT FROM pg_catalog.pg_proc p \
         WHERE p.proname::pg_catalog.text OPERATOR(pg_catalog.=) n AND (p.pronamespace OPERATOR(pg_catalog.<>) 11::pg_catalog.oid \
         OR p.provolatile OPERATOR(pg_catalog.=) 'v' AND n OPERATOR(pg_catalog.<>) ALL ($3::pg_catalog.text[]))) \
     OR n OPERATOR(pg_catalog.<>) ALL ($2::pg_catalog.text[]) AND NOT EXISTS (SELECT FROM pg_catalog.pg_proc p \
         WHERE p.proname::pg_catalog.text OPERATOR(pg_catalog.=) n) \
     UNION ALL SELECT 2, n FROM pg_catalog.unnest($4::pg_catalog.text[]) n WHERE EXISTS (SELECT FROM pg_catalog.pg_operator o \
         WHERE o.oprname::pg_catalog.text OPERATOR(pg_catalog.=) n AND o.oprnamespace OPERATOR(pg_catalog.<>) 11::pg_catalog.oid)";

/// Which of the names in `$1` are views that call functions that are not PostgreSQL's own, directly or through other views.
const VIEWS: &str = "WITH RECURSIVE uses (view, class, oid) AS ( \
         SELECT c.oid, d.refclassid, d.refobjid FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_rewrite r ON r.ev_class OPERATOR(pg_catalog.=) c.oid \
         JOIN pg_catalog.pg_depend d ON d.classid OPERATOR(pg_catalog.=) 2618::pg_catalog.oid AND d.objid OPERATOR(pg_catalog.=) r.oid \
         WHERE c.relkind OPERATOR(pg_catalog.=) 'v' AND c.relname::pg_catalog.text OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.text[]) \
         UNION SELECT u.view, d.refclassid, d.refobjid FROM uses u \
         JOIN pg_catalog.pg_rewrite r ON u.class OPERATOR(pg_catalog.=) 1259::pg_catalog.oid AND r.ev_class OPERATOR(pg_catalog.=) u.oid \
         JOIN pg_catalog.pg_depend d ON d.classid OPERATOR(pg_catalog.=) 2618::pg_catalog.oid AND d.objid OPERATOR(pg_catalog.=) r.oid) \
     SELECT DISTINCT c.relname::pg_catalog.text FROM uses u JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) u.view \
     WHERE u.class OPERATOR(pg_catalog.=) 1255::pg_catalog.oid";

/// Makes one step of each statement that people wrote, and gives each a transaction that it can run in.
///
/// # Errors
/// `Refused` for transaction control and for SET ROLE: both belong to whoever runs the plan.
pub fn split(plan: &mut Plan) -> Result<()> {
    plan.steps = split_steps(std::mem::take(&mut plan.steps))?;
    number(&mut plan.steps);
    Ok(())
}

fn split_steps(steps: Vec<Step>) -> Result<Vec<Step>> {
    let mut out = Vec::new();
    for mut step in steps {
        if step.action != Action::Manual {
            out.push(step);
            continue;
        }
        let inverse = split_steps(std::mem::take(&mut step.inverse))?;
        let statements: Vec<String> = statement::split(&step.sql).into_iter().map(ToString::to_string).collect();
        if statements.is_empty() {
            return Err(Error::refused("a step that was written by hand has no statement")
                .remedy("write one, or remove the step"));
        }
        for sql in &statements {
            if let Reading::Control(words) = statement::read(sql) {
                return Err(Error::refused(format!("a step that was written by hand says {words}"))
                    .detail(sql.lines().next().unwrap_or_default())
                    .detail("setpoint begins and ends the transactions, and chooses the role")
                    .remedy("remove the statement; steps in a row with the same `transaction=` share a transaction"));
            }
        }
        // The inverse of the last one undoes them all: to its author, the whole step is one unit.
        let last = statements.len() - 1;
        for (at, sql) in statements.into_iter().enumerate() {
            let inverse = if at == last { inverse.clone() } else { Vec::new() };
            out.push(Step { sql, inverse, ..step.clone() });
        }
    }
    Ok(out)
}

/// Numbers the transactions again: a step that runs outside transactions, or needs a commit after it, shares its number with no later step.
fn number(steps: &mut [Step]) {
    let (mut last, mut now, mut ended) = (None, 0, true);
    for step in steps {
        if step.action == Action::Manual {
            step.mode = match statement::read(&step.sql) {
                Reading::Read(Statement { run: Run::Alone, .. }) => Mode::Alone,
                Reading::Read(Statement { run: Run::CommitAfter, .. }) => Mode::CommitAfter,
                _ => step.mode,
            };
        }
        if ended || last != Some(step.transaction) || step.mode == Mode::Alone {
            now += 1;
        }
        last = Some(step.transaction);
        ended = step.mode != Mode::Normal;
        step.transaction = now;
        number(&mut step.inverse);
    }
}

/// Everything that the steps call.
fn calls(plan: &Plan) -> Calls {
    let mut all = Calls::default();
    for step in manual(&plan.steps) {
        if let Reading::Read(Statement { calls, .. }) = statement::read(&step.sql) {
            all.functions.extend(calls.functions);
            all.operators.extend(calls.operators);
        }
    }
    all
}

fn manual(steps: &[Step]) -> Vec<&Step> {
    let inverse = steps.iter().flat_map(|step| manual(&step.inverse));
    steps.iter().filter(|step| step.action == Action::Manual).chain(inverse).collect()
}

/// Asks a server what the names mean that the steps call. Objects that the plan itself creates count as other people's code, too.
///
/// # Errors
/// The server's.
pub async fn ask(session: &Session, plan: &Plan) -> Result<Known> {
    let calls = calls(plan);
    let last = |parts: &Vec<String>| parts.last().cloned().unwrap_or_default();
    let names: BTreeSet<String> = calls.functions.iter().map(last).collect();
    let syntax = |name: &&String| steady::is(&Name { parts: vec![(*name).clone()], call: true }) || is_value(name);
    let known: Vec<&String> = names.iter().filter(syntax).collect();
    let (mut functions, mut operators) =
        (made(plan, &["function", "procedure", "aggregate"]), made(plan, &["operator"]));
    let names: Vec<&String> = names.iter().collect();
    for mut row in session.rows(STRANGE, &[&names, &known, &ONLY_VALUES, &calls.operators]).await? {
        let (which, name) = (row.next::<i32>(), row.text().to_string());
        if which == 1 {
            functions.insert(name)
        } else {
            operators.insert(name)
        };
    }
    let relations: BTreeSet<String> = manual(&plan.steps)
        .into_iter()
        .flat_map(|step| places::relations(&step.sql))
        .map(|name| name.last().to_string())
        .collect();
    let relations: Vec<&String> = relations.iter().collect();
    let rows = session.rows(VIEWS, &[&relations]).await?;
    let views = rows.into_iter().map(|mut row| row.text().to_string()).collect();
    Ok(Known::Strange { functions, operators, views })
}

/// `CURRENT_DATE` and its like.
fn is_value(name: &str) -> bool {
    name.starts_with("current_")
        || name.starts_with("local")
        || matches!(name, "session_user" | "user" | "extract" | "exists" | "array")
}

/// The names of objects of these kinds that the plan creates: no server knows yet what they do.
fn made(plan: &Plan, kinds: &[&str]) -> BTreeSet<String> {
    let ids = plan.steps.iter().flat_map(|step| std::iter::once(&step.object).chain(&step.with));
    let name = |id: &String| {
        let (kind, path) = id.split_once(' ').filter(|(kind, _)| kinds.contains(kind))?;
        let path = path.split_once('(').map_or(path, |(path, _)| path);
        let plain = || path.rsplit('.').next().map(ToString::to_string);
        if kind == "operator" { plain() } else { reference::split(path).ok()?.last().map(ToString::to_string) }
    };
    ids.filter_map(name).collect()
}

/// Adds to each step that people wrote the locks and hazards that follow from its text.
pub fn claim(plan: &mut Plan, known: &Known) {
    let new = created(&plan.steps);
    claim_all(&mut plan.steps, known, &new);
}

/// The hazards of a text, whatever its step says. No server is asked: functions that it calls count as harmless.
pub(super) fn of_text(step: &Step, all: &[Step]) -> Vec<Finding> {
    let known = Known::Strange { functions: BTreeSet::new(), operators: BTreeSet::new(), views: BTreeSet::new() };
    let mut alone = Step { action: Action::Manual, hazards: Vec::new(), inverse: Vec::new(), ..step.clone() };
    let statements = statement::split(&step.sql);
    let mut found = Vec::new();
    for sql in statements {
        alone.sql = sql.to_string();
        claim_all(std::slice::from_mut(&mut alone), &known, &created(all));
        found.append(&mut alone.hazards);
    }
    found
}

fn created(steps: &[Step]) -> BTreeSet<String> {
    steps.iter().filter(|step| step.action == Action::Create).map(|step| step.object.clone()).collect()
}

fn claim_all(steps: &mut [Step], known: &Known, new: &BTreeSet<String>) {
    for step in steps {
        claim_all(&mut step.inverse, known, new);
        if step.action != Action::Manual {
            continue;
        }
        match statement::read(&step.sql) {
            Reading::Read(statement) => {
                for effect in &statement.effects {
                    of_effect(step, effect, new);
                }
                if let Some(why) = calls_strangers(&statement.calls, known).or_else(|| reads_strangers(step, known)) {
                    unread(step, &why);
                }
            }
            Reading::Unread(why) => unread(step, &why),
            // `split` refused it.
            Reading::Control(words) => unread(step, &format!("it says {words}")),
        }
    }
}

fn calls_strangers(calls: &Calls, known: &Known) -> Option<String> {
    let Known::Strange { functions, operators, .. } = known else {
        let called = calls.functions.first()?;
        return Some(format!("it calls {}, and there was no server to ask what that is", called.join(".")));
    };
    let called = calls.functions.iter().find(|parts| parts.last().is_some_and(|name| functions.contains(name)));
    if let Some(called) = called {
        return Some(format!("it calls {}, which may do anything", called.join(".")));
    }
    let sign = calls.operators.iter().find(|name| operators.contains(*name))?;
    Some(format!("it uses the operator {sign}, which may do anything"))
}

fn reads_strangers(step: &Step, known: &Known) -> Option<String> {
    let Known::Strange { views, .. } = known else { return None };
    let read = places::relations(&step.sql).into_iter().find(|name| views.contains(name.last()))?;
    Some(format!("it uses view {}, which calls functions that may do anything", read.parts.join(".")))
}

fn unread(step: &mut Step, why: &str) {
    let line = step.sql.lines().next().unwrap_or_default();
    let line: String = line.chars().take(100).collect();
    add(step, Hazard::UnreadSql, format!("what this does is not known, because {why}: {line}"));
}

/// Adds a hazard, unless the step names it already.
fn add(step: &mut Step, hazard: Hazard, reason: String) {
    if !step.hazards.iter().any(|known| known.hazard == hazard) {
        step.hazards.push(Finding { hazard, reason });
    }
}

/// Adds a lock: the strongest one comes first, and each relation once.
fn add_lock(step: &mut Step, mode: LockMode, on: String) {
    let mut all: Vec<(LockMode, String)> = step.lock.take().into_iter().chain(step.locks.drain(..)).collect();
    match all.iter_mut().find(|(_, known)| *known == on) {
        Some((known, _)) => *known = (*known).max(mode),
        None => all.push((mode, on)),
    }
    all.sort_by_key(|(mode, _)| std::cmp::Reverse(*mode));
    let mut all = all.into_iter();
    step.lock = all.next();
    step.locks = all.collect();
}

fn of_effect(step: &mut Step, effect: &Effect, new: &BTreeSet<String>) {
    let table = relation(step, effect);
    let shown = table.as_ref().map_or_else(|| "a table".to_string(), ToString::to_string);
    if let (Some(mode), Some(table)) = (lock(&effect.what), &table) {
        add_lock(step, mode, table.to_string());
    }
    if let (What::Overwrites(Some(columns)), Some(table)) = (&effect.what, &table) {
        let of_this_plan = |column: &String| {
            object("column", Some(table.clone()), column).is_some_and(|id| new.contains(&id.to_string()))
        };
        if columns.iter().all(of_this_plan) {
            return add(
                step,
                Hazard::MayFailOnData,
                format!("what it writes into {shown} has to satisfy its constraints"),
            );
        }
    }
    for (hazard, reason) in hazards(&effect.what) {
        add(step, *hazard, reason.replace("{}", &shown));
    }
}

fn object(kind: &str, parent: Option<ObjectId>, name: &str) -> Option<ObjectId> {
    Some(ObjectId::new(kinds::find(kind)?.kind(), parent, Ident::from(name)))
}

/// The relation that a statement means; without a schema, the one in the first schema of its path.
fn relation(step: &Step, effect: &Effect) -> Option<ObjectId> {
    let kind = match &effect.what {
        What::Refreshes { .. } => "materialized-view",
        What::Replaces => "view",
        _ => "table",
    };
    let (schema, name) = match effect.on.as_slice() {
        [name] => (step.path.first()?, name),
        [schema, name] | [_, schema, name] => (schema, name),
        _ => return None,
    };
    object(kind, Some(scope::schema_id(schema.as_str())), name)
}

/// The lock that PostgreSQL takes on the relation (documentation, 13.3.1; for those that `tests/all/by_hand.rs` runs, measured there).
fn lock(what: &What) -> Option<LockMode> {
    Some(match what {
        What::LocksRows => LockMode::RowShare,
        What::Inserts | What::Overwrites(_) | What::Deletes => LockMode::RowExclusive,
        What::BuildsIndex { concurrently: true, .. }
        | What::RebuildsIndexes { concurrently: true }
        | What::Vacuums { full: false }
        | What::Analyzes
        | What::Comments
        | What::Validates => LockMode::ShareUpdateExclusive,
        What::BuildsIndex { .. } => LockMode::Share,
        What::IsReferenced => LockMode::ShareRowExclusive,
        What::Refreshes { concurrently: true } => LockMode::Exclusive,
        What::Locks(words) => LockMode::ALL.into_iter().find(|mode| mode.words() == words)?,
        What::DropsIndex { .. } | What::ChangesAccess => return None,
        What::Truncates
        | What::RebuildsIndexes { .. }
        | What::Vacuums { .. }
        | What::Sorts
        | What::Refreshes { .. }
        | What::Drops
        | What::Alters
        | What::Checks
        | What::AddsKey
        | What::Rewrites
        | What::DropsColumn
        | What::DropsPart
        | What::Renames
        | What::Replaces => LockMode::AccessExclusive,
    })
}

type Hazards = &'static [(Hazard, &'static str)];

const SATISFIES: (Hazard, &str) = (Hazard::MayFailOnData, "the rows of {} may not satisfy what this asks of them");
const BLOCKS_READS: (Hazard, &str) = (Hazard::BlocksReads, "{} cannot be read while this runs");
const BLOCKS_WRITES: (Hazard, &str) = (Hazard::BlocksWrites, "{} cannot be written to while this runs");
const REWRITES: (Hazard, &str) = (Hazard::TableRewrite, "this rewrites {}");
const SCANS: (Hazard, &str) = (Hazard::FullScanUnderLock, "this reads all rows of {} under a lock");
const BREAKS: (Hazard, &str) = (Hazard::BreaksClients, "clients that use what this removes or changes in {} will fail");

/// The hazards that a statement has at least.
const fn hazards(what: &What) -> Hazards {
    match what {
        What::Inserts => &[(Hazard::MayFailOnData, "what it inserts into {} has to satisfy its constraints")],
        What::Overwrites(_) => &[(Hazard::DataLoss, "it overwrites values in {}"), SATISFIES],
        What::Deletes => &[(Hazard::DataLoss, "it deletes rows from {}"), SATISFIES],
        What::Truncates => &[(Hazard::DataLoss, "it deletes all rows of {}"), BLOCKS_READS, REWRITES],
        What::BuildsIndex { concurrently: true, .. } => &[SATISFIES],
        What::BuildsIndex { unique: true, .. } => &[SATISFIES, BLOCKS_WRITES],
        What::BuildsIndex { .. } => &[BLOCKS_WRITES],
        What::RebuildsIndexes { concurrently: false } => &[BLOCKS_READS],
        What::Vacuums { full: true } | What::Sorts => &[REWRITES, BLOCKS_READS],
        What::Refreshes { concurrently: false } => &[REWRITES, BLOCKS_READS],
        What::Refreshes { concurrently: true } => &[SCANS, BLOCKS_WRITES],
        What::Drops => &[(Hazard::DataLoss, "{} is dropped, with all its rows"), BREAKS],
        What::DropsIndex { .. } => &[(Hazard::DropsIndex, "queries may rely on the index")],
        What::Checks => &[SATISFIES, SCANS, BLOCKS_READS],
        What::AddsKey => &[SATISFIES, SCANS, BLOCKS_READS],
        What::Validates => &[SATISFIES],
        What::Rewrites => &[
            (Hazard::DataLoss, "the values in {} may not be the same afterwards"),
            SATISFIES,
            REWRITES,
            SCANS,
            BLOCKS_READS,
        ],
        What::DropsColumn => &[(Hazard::DataLoss, "a column of {} is dropped, with its values"), BREAKS],
        What::Renames | What::Replaces => &[BREAKS],
        What::ChangesAccess => &[(Hazard::ChangesAccess, "it changes who may do what")],
        What::LocksRows
        | What::Locks(_)
        | What::RebuildsIndexes { .. }
        | What::Vacuums { .. }
        | What::Analyzes
        | What::Comments
        | What::IsReferenced
        | What::Alters
        | What::DropsPart => &[],
    }
}

/// Adds what a step was observed to do.
pub fn observed(plan: &mut Plan, sql: &str, locks: &[(LockMode, [String; 2])], findings: &[Finding]) {
    observed_in(&mut plan.steps, sql, locks, findings);
}

fn observed_in(steps: &mut [Step], sql: &str, locks: &[(LockMode, [String; 2])], findings: &[Finding]) {
    for step in steps {
        observed_in(&mut step.inverse, sql, locks, findings);
        if step.action != Action::Manual || step.sql != sql {
            continue;
        }
        for (mode, [schema, name]) in locks {
            // A lock on a view or a materialized view is not one on a table.
            let kinds = ["view", "materialized-view", "table"];
            let all: Vec<String> = kinds
                .iter()
                .filter_map(|kind| object(kind, Some(scope::schema_id(schema.as_str())), name))
                .map(|id| id.to_string())
                .collect();
            let claimed = |on: &&String| step.lock.iter().chain(&step.locks).any(|(_, known)| known == *on);
            if let Some(on) = all.iter().find(claimed).or(all.last()).cloned() {
                add_lock(step, *mode, on);
            }
        }
        for finding in findings {
            add(step, finding.hazard, format!("on a throwaway server, {}", finding.reason));
        }
    }
}
