//! Keeps a step from lending its privileges: code that others wrote runs as the owner of the step's target, or needs permission.
//!
//! Validating a check, rewriting a table and similar statements call functions as the role that runs the statement. If the session's user has
//! more privileges than the owner, that would hand the owner the difference. Such a step runs as the owner (`restricted.rs`); where that is
//! impossible, it has the hazard `runs-as-you`.

mod facts;
mod names;
mod restricted;

use std::collections::HashMap;

use crate::catalog::{Session, event_triggers_of_lesser_roles};
use crate::kinds::{self, Evaluates, Mode};
use crate::ledger::lock;
use crate::model::{Address, Error, Ident, Namespace, Result};
use crate::plan::hazards::runs_as_you;
use crate::plan::{Action, Finding, Hazard, Step, beyond};
use crate::sql::lex;
use crate::sql::names::find as names_in;

use super::{Allow, refuse_hazards, stale};
use facts::{Facts, Question};
use names::Made;

/// How a step is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// As it is.
    Plain,
    /// As it is, although it may run something that others wrote.
    Trusting,
    /// In a security-restricted operation as this role.
    As(Ident),
}

impl Way {
    /// The role that the step runs as, if it is not the session's own.
    pub fn role(&self) -> Option<&Ident> {
        match self {
            Self::As(role) => Some(role),
            Self::Plain | Self::Trusting => None,
        }
    }
}

/// What is sent for a step, the `number`th of its run.
pub fn sql(step: &Step, way: &Way, number: usize) -> String {
    match way {
        Way::As(role) => restricted::wrap(&step.sql, &step.search_path(), role, number),
        Way::Plain | Way::Trusting => step.sql.clone(),
    }
}

/// The error of a step that ran as `role`, or what came after it.
pub fn explain(error: Error, role: Option<&Ident>) -> Error {
    if error.message.contains(lock::GONE) {
        return lock::gone();
    }
    match role {
        Some(role) => restricted::explain(error, role),
        None => error,
    }
}

/// Who runs the steps, compared with the other roles of the server.
pub struct Lender<'a> {
    session: &'a Session,
    /// True if there are roles that have fewer privileges; otherwise no role can gain anything.
    above_others: bool,
}

impl<'a> Lender<'a> {
    /// Asks whether any role has fewer privileges than the session's user.
    ///
    /// # Errors
    /// The server's.
    pub async fn new(session: &'a Session) -> Result<Self> {
        Ok(Self { session, above_others: facts::above_others(session).await? })
    }

    /// Refuses what would run as the session's user without permission, as far as that is known before the first step.
    ///
    /// # Errors
    /// `Refused`, naming functions and owners; the server's.
    pub async fn refuse(&self, steps: &[&Step], allow: &Allow) -> Result<()> {
        if !self.above_others || steps.is_empty() {
            return Ok(());
        }
        let by_event = event_triggers_of_lesser_roles(self.session, &["O", "A", "R"]).await?;
        let mut findings: Vec<(&str, Finding)> = Vec::new();
        if let (false, Some(first)) = (by_event.is_empty(), steps.first()) {
            findings.push((&first.object, runs_as_you::event_triggers(&by_event)));
        }
        findings.extend(self.judge(steps).await?.into_iter().zip(steps).filter_map(|(judged, step)| {
            let finding = judged.err()?;
            Some((step.object.as_str(), finding))
        }));
        refuse_hazards(findings.iter().map(|(object, finding)| (*object, finding)), allow)
    }

    /// How each of the steps of a transaction is to be sent; asked once the transaction holds its locks.
    ///
    /// # Errors
    /// `Refused` with the place of the step that would run as the session's user without permission; the server's.
    pub async fn ways(&self, steps: &[&Step], allow: &Allow) -> Result<Vec<Way>, (Option<usize>, Error)> {
        let plain = |_: &&Step| Way::Plain;
        if !self.above_others || !steps.iter().any(|step| evaluates(step) != Evaluates::Nothing) {
            return Ok(steps.iter().map(plain).collect());
        }
        let judged = self.judge(steps).await.map_err(|error| (None, error))?;
        let mut ways = Vec::with_capacity(steps.len());
        for (at, (judged, step)) in judged.into_iter().zip(steps).enumerate() {
            ways.push(match judged {
                Ok(way) => way,
                Err(_) if allow.covers(Hazard::RunsAsYou) => Way::Trusting,
                Err(finding) => {
                    let refused = refuse_hazards(std::iter::once((step.object.as_str(), &finding)), allow);
                    return Err((Some(at), refused.err().unwrap_or_else(|| Error::refused(finding.reason))));
                }
            });
        }
        Ok(ways)
    }

    /// What is sent after a step that may have run code of others or statements of any kind: the settings that it may have
    /// changed, `settings` of the transaction among them, and the question whether the lock is still held.
    pub fn afterwards(&self, step: &Step, way: &Way, settings: &str) -> Option<String> {
        match way {
            Way::Plain if step.action != Action::Manual => None,
            // A restricted operation takes settings back.
            Way::As(_) => Some(lock::check()),
            Way::Plain | Way::Trusting => Some(format!("{}; {settings} {}", self.session.pins(), lock::check())),
        }
    }

    /// What has to be asked about which steps.
    async fn questions(&self, steps: &[&Step]) -> Result<Vec<(usize, Evaluates, Question)>> {
        let mut asked: Vec<(usize, &Step, Evaluates)> =
            steps.iter().enumerate().map(|(at, step)| (at, *step, evaluates(step))).collect();
        asked.retain(|(.., evaluates)| *evaluates != Evaluates::Nothing);
        let needs = |evaluates: Evaluates| matches!(evaluates, Evaluates::Parses | Evaluates::AsOwner);
        if asked.iter().any(|(.., evaluates)| needs(*evaluates)) {
            let (domains, functions) = facts::any_of_others(self.session).await?;
            let domains = domains || names::any_checks_domain(steps);
            asked.retain(|(.., evaluates)| match evaluates {
                Evaluates::Parses => domains,
                Evaluates::AsOwner => domains || functions,
                _ => true,
            });
        }
        let (mut made, mut so_far) = (Made::default(), steps.iter());
        let mut questions = Vec::with_capacity(asked.len());
        let mut at_before = 0;
        for (at, step, evaluates) in asked {
            so_far.by_ref().take(at - at_before).for_each(|before| made.add(before));
            at_before = at;
            questions.push((at, evaluates, Question::new(at, step, evaluates, &made.names(step))));
        }
        Ok(questions)
    }

    /// How each step is sent, or the hazard that it has.
    async fn judge(&self, steps: &[&Step]) -> Result<Vec<Result<Way, Finding>>> {
        let mut out: Vec<Result<Way, Finding>> = steps.iter().map(|_| Ok(Way::Plain)).collect();
        let asked = self.questions(steps).await?;
        if asked.is_empty() {
            return Ok(out);
        }
        let mut answers: HashMap<usize, Facts> = facts::ask(self.session, asked.iter().map(|(.., q)| q)).await?;
        for (at, evaluates, _) in &asked {
            let (Some(slot), Some(step), Some(facts)) = (out.get_mut(*at), steps.get(*at), answers.remove(at)) else {
                continue;
            };
            *slot = way(step, *evaluates, facts, gives_away(steps, *at));
        }
        Ok(out)
    }
}

/// What code of others a step evaluates, with the privileges of the role that sends it. A step written by hand may evaluate anything.
pub fn evaluates(step: &Step) -> Evaluates {
    let evaluates = match (step.action, room_of(&step.object)) {
        (Action::Manual, _) | (_, None) => return Evaluates::Query,
        _ if !beyond::agrees(step) => return Evaluates::Query,
        (Action::Rename, _) => return Evaluates::Nothing,
        (action, Some(room)) => room.evaluates(action == Action::Create),
    };
    match evaluates {
        Evaluates::Constants if target(step).is_none() && !computes(step) => parses(step),
        Evaluates::Rows if target(step).is_none() => parses(step),
        Evaluates::Parses => parses(step),
        Evaluates::Script if step.action == Action::Drop => Evaluates::Nothing,
        evaluates => evaluates,
    }
}

/// Without a literal there is nothing that parsing could run.
fn parses(step: &Step) -> Evaluates {
    if lex::has_literal(&step.sql) { Evaluates::Parses } else { Evaluates::Nothing }
}

/// True if the table that a step makes may have a generated column, a key of partitions or an exclusion constraint: what they call
/// with constants is called when the table is made (src/backend/catalog/heap.c, cookDefault; src/backend/utils/cache/partcache.c,
/// RelationBuildPartitionKey; src/backend/utils/cache/relcache.c, RelationGetIndexExpressions).
fn computes(step: &Step) -> bool {
    step.action == Action::Create
        && names_in(&step.sql).iter().any(|name| matches!(name.last(), "generated" | "partition" | "exclude"))
}

fn room_of(object: &str) -> Option<&'static dyn kinds::Room> {
    object.split(' ').next().and_then(kinds::find)
}

/// Schema and name of the relation or domain whose expressions a step evaluates: what it locks, alters, or adds a part to.
fn target(step: &Step) -> Option<(String, String)> {
    let part = || {
        let on = match room_of(&step.object)?.kind().address {
            Address::MemberOf | Address::NamedOn => true,
            Address::Qualified => step.action == Action::Alter,
            _ => false,
        };
        on.then_some(step.object.as_str())
    };
    let text = step.lock.as_ref().map(|(_, on)| on.as_str()).or_else(part)?;
    let mut names = stale::names(text)?.into_iter();
    Some((names.next()?, names.next()?))
}

/// True if an earlier step of the list gives the target of this one another owner.
fn gives_away(steps: &[&Step], at: usize) -> bool {
    let Some(target) = steps.get(at).and_then(|step| target(step)) else { return false };
    let owned = |step: &&Step| stale::names(step.object.strip_prefix("owner on ")?);
    steps.iter().take(at).filter_map(owned).any(|names| names.iter().eq([&target.0, &target.1]))
}

/// True if the step makes, or recreates, something that has a name in the schema of the table.
fn takes_name(step: &Step) -> bool {
    let in_schema = [Namespace::Relation, Namespace::IndexConstraint, Namespace::PrimaryKey];
    room_of(&step.object).is_some_and(|room| in_schema.contains(&room.kind().namespace))
}

fn way(step: &Step, evaluates: Evaluates, facts: Facts, given_away: bool) -> Result<Way, Finding> {
    let Facts { owner, lesser, lacks, may_create, found } = facts;
    let makes_relation = step.action == Action::Create
        && room_of(&step.object).is_some_and(|room| room.kind().address == Address::Qualified);
    let owner = owner.filter(|_| lesser && !makes_relation && evaluates != Evaluates::Query);
    let Some(owner) = owner else {
        return if found.is_empty() { Ok(Way::Plain) } else { Err(runs_as_you::functions(&found)) };
    };
    let lacks = lacks.or_else(|| given_away.then(|| "its owner changes in the same plan".into()));
    // What PostgreSQL itself brings does no harm, unless it is among `found`.
    if found.is_empty() && (evaluates != Evaluates::Rows || lacks.is_some()) {
        return Ok(Way::Plain);
    }
    let only_parses = matches!(evaluates, Evaluates::Parses | Evaluates::AsOwner);
    let creates = evaluates == Evaluates::Constants || only_parses && takes_name(step);
    let lacks = lacks
        .or_else(|| (step.mode == Mode::Alone).then(|| "it runs outside of transactions".into()))
        .or_else(|| (creates && !may_create).then(|| "its owner may not CREATE in its schema".into()));
    match lacks {
        None => Ok(Way::As(Ident::from(owner.as_str()))),
        Some(lacks) => Err(runs_as_you::owner(&owner, &lacks, &found)),
    }
}
