//! Keeps a step from lending its privileges: code that others wrote runs as the owner of the step's target, or needs permission.
//!
//! Validating a check, rewriting a table and similar statements call functions as the role that runs the statement. If the session's user has
//! more privileges than the owner, that would hand the owner the difference. Such a step runs as the owner (`restricted.rs`); where that is
//! impossible, it has the hazard `runs-as-you`.

mod again;
mod facts;
mod names;
mod restricted;

use tokio::sync::OnceCell;
use tokio_postgres::Statement;

use crate::catalog::{Session, event_triggers_of_lesser_roles};
use crate::kinds::{self, Evaluates, Mode};
use crate::ledger::lock;
use crate::model::{Address, Error, Ident, Namespace, Result};
use crate::plan::hazards::runs_as_you;
use crate::plan::{Action, Finding, Step, beyond};
use crate::sql::lex;
use crate::sql::names::find as names_in;

use super::{Allow, refuse_hazards, stale};
pub use again::Judged;
use facts::{Facts, Question};
use names::Made;

/// How to send a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// As it is.
    Plain,
    /// As it is, although it may run code that others wrote.
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
    /// The question about steps.
    facts: OnceCell<Statement>,
}

impl<'a> Lender<'a> {
    /// Asks whether any role has fewer privileges than the session's user.
    ///
    /// # Errors
    /// The server's.
    pub async fn new(session: &'a Session) -> Result<Self> {
        Ok(Self { session, above_others: facts::above_others(session).await?, facts: OnceCell::new() })
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
        let judged = self.judge(steps).await?.into_iter();
        findings.extend(judged.filter_map(|(at, finding)| Some((steps.get(at)?.object.as_str(), finding))));
        refuse_hazards(findings.iter().map(|(object, finding)| (*object, finding)), allow)
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

    /// What the catalog says of the steps that these questions, some of those of `steps`, are about.
    async fn ask(
        &self,
        questions: &[(usize, Evaluates, Question)],
        steps: &[&Step],
    ) -> Result<Vec<(usize, Evaluates, Facts)>> {
        let mut asked: Vec<_> = questions.iter().collect();
        let needs = |evaluates: Evaluates| matches!(evaluates, Evaluates::Parses | Evaluates::AsOwner);
        if asked.iter().any(|(_, evaluates, _)| needs(*evaluates)) {
            let (domains, functions) = facts::any_of_others(self.session).await?;
            let domains = domains || names::any_checks_domain(steps);
            asked.retain(|(_, evaluates, _)| match evaluates {
                Evaluates::Parses => domains,
                Evaluates::AsOwner => domains || functions,
                _ => true,
            });
        }
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let query = self.facts.get_or_try_init(|| facts::prepared(self.session)).await?;
        let mut answers = facts::ask(self.session, query, asked.iter().map(|(.., question)| question)).await?;
        Ok(asked.iter().filter_map(|(at, evaluates, _)| Some((*at, *evaluates, answers.remove(at)?))).collect())
    }

    /// The hazards of the steps, each with its step's place.
    async fn judge(&self, steps: &[&Step]) -> Result<Vec<(usize, Finding)>> {
        let answers = self.ask(&questions(steps), steps).await?;
        let judge = |(at, evaluates, facts): (usize, Evaluates, Facts)| {
            Some((at, way(steps.get(at)?, evaluates, facts, gives_away(steps, at)).err()?))
        };
        Ok(answers.into_iter().filter_map(judge).collect())
    }
}

/// What has to be asked about which steps.
fn questions(steps: &[&Step]) -> Vec<(usize, Evaluates, Question)> {
    let mut made = Made::default();
    let mut questions = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let evaluates = evaluates(step);
        if evaluates != Evaluates::Nothing {
            questions.push((at, evaluates, Question::new(at, step, evaluates, &made.names(step))));
        }
        made.add(step);
    }
    questions
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
        Evaluates::Options | Evaluates::Script if step.action == Action::Drop => Evaluates::Nothing,
        evaluates => evaluates,
    }
}

/// Without a literal, parsing cannot run anything.
fn parses(step: &Step) -> Evaluates {
    if lex::has_literal(&step.sql) { Evaluates::Parses } else { Evaluates::Nothing }
}

/// True if the table that a step creates may have a server, whose wrapper has a validator, or a generated column, a partition key or an
/// exclusion constraint: the functions that they call with constants run when the table is created (src/backend/catalog/heap.c,
/// cookDefault; src/backend/utils/cache/partcache.c, RelationBuildPartitionKey; src/backend/utils/cache/relcache.c,
/// RelationGetIndexExpressions).
fn computes(step: &Step) -> bool {
    step.action == Action::Create
        && names_in(&step.sql)
            .iter()
            .any(|name| matches!(name.last(), "server" | "generated" | "partition" | "exclude"))
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

/// True if an earlier step of the list gives the target of this one, or what it makes a part of, another owner.
fn gives_away(steps: &[&Step], at: usize) -> bool {
    let Some(step) = steps.get(at) else { return false };
    let target = target(step).map(|(schema, name)| vec![schema, name]);
    let whole = stale::names(&step.object).map(|names| names.into_iter().take(2).collect());
    let owned = |step: &&Step| stale::names(step.object.strip_prefix("owner on ")?);
    steps.iter().take(at).filter_map(owned).any(|names| [&target, &whole].into_iter().flatten().any(|of| *of == names))
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
    // PostgreSQL's own functions do no harm, unless they are among `found`.
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
