//! Checks whether a database's revisions come from the project's plans, since another branch may have been applied to it.

use crate::ledger::{Ledger, Revision};
use crate::model::{Digest, Error, Result};
use crate::plan::Plan;
use crate::plan::chain::{Chain, Link};

/// A revision of the database that is not among the project's plans.
pub enum Stranger<'a> {
    /// Another plan has its number.
    Other(&'a Revision, &'a Link),
    /// No plan has its number.
    Unknown(&'a Revision),
}

/// The oldest revision that is not among the project's plans.
pub fn stranger<'a>(ledger: &'a Ledger, chain: &'a Chain) -> Option<Stranger<'a>> {
    ledger.revisions.iter().find_map(|revision| match chain.link(revision.number) {
        Some(link) if link.hash == revision.plan_hash => None,
        Some(link) => Some(Stranger::Other(revision, link)),
        None => Some(Stranger::Unknown(revision)),
    })
}

/// Checks that every revision of the database is one of the project's plans.
///
/// # Errors
/// `Stale`, with what was run there, what the project has, and the way back.
pub fn check(ledger: &Ledger, chain: &Chain) -> Result<()> {
    match stranger(ledger, chain) {
        None => Ok(()),
        Some(Stranger::Other(revision, link)) => Err(other(ledger, chain, revision, link)),
        Some(Stranger::Unknown(revision)) => Err(unknown(ledger, chain, revision)),
    }
}

/// Checks that a plan from a ledger that others may have written to is one of the project's own.
///
/// # Errors
/// `Refused`, with the role to connect as.
pub fn own(ledger: &Ledger, plan: &Plan, chain: &Chain) -> Result<()> {
    let Some(other) = ledger.others.iter().find(|other| other.maker).or_else(|| ledger.others.first()) else {
        return Ok(());
    };
    if chain.link(plan.number).is_some_and(|link| link.hash == plan.hash()) {
        return Ok(());
    }
    let remedy = match &other.role {
        Some(_) => format!(
            "connect as {}, whose privileges are then all that it can use; or get the plan from version control",
            other.name()
        ),
        None => "get the plan from version control; and REVOKE from PUBLIC what it may do in schema setpoint".into(),
    };
    let error =
        Error::refused(format!("plan {} {} of this database's ledger is not in plans/", plan.number, plan.name));
    Err(error
        .detail(format!("{} {}, and could have put it there for you to run", other.name(), other.why))
        .remedy(remedy))
}

fn other(ledger: &Ledger, chain: &Chain, revision: &Revision, link: &Link) -> Error {
    let number = revision.number;
    let same_name = link.name == revision.name;
    let hash = |hash: Digest| if same_name { format!(" ({hash})") } else { String::new() };
    let mut error = Error::stale(format!("this database ran another plan {number} than plans/ has"))
        .detail(format!("here: {number} {}{}", told(revision), hash(revision.plan_hash)))
        .detail(format!("plans/: {number} {}{}", link.name, hash(link.hash)));
    let moved = chain.links.iter().find(|l| l.name == revision.name && l.number > number);
    if let Some(moved) = moved.filter(|_| !same_name) {
        error =
            error.detail(format!("{} is plan {} there now: it was renumbered after a merge", moved.name, moved.number));
    }
    error.remedy(format!("{}, then `setpoint apply`", back(ledger, number)))
}

fn unknown(ledger: &Ledger, chain: &Chain, revision: &Revision) -> Error {
    let number = revision.number;
    let error = Error::stale(format!("this database is at revision {}, which plans/ does not have", ledger.current()))
        .detail(format!("here: {number} {}", told(revision)));
    match chain.head() {
        Some(head) => error.detail(format!("plans/ ends with {} {}", head.number, head.name)).remedy(format!(
            "get the missing plan from version control (another branch, a newer commit); or {}",
            back(ledger, number)
        )),
        None => error.detail("plans/ has no plans").remedy(
            "restore plans/ from version control; or start over with the database as it is: `setpoint stamp base`, move the files \
             of schema/ away, `setpoint baseline`",
        ),
    }
}

/// How a revision came to be, for people.
fn told(revision: &Revision) -> String {
    format!("{}, {} {} by {}", revision.name, revision.how.word(), revision.at, revision.by)
}

/// The command that rolls back a revision and those after it.
fn back(ledger: &Ledger, number: u32) -> String {
    let before = ledger.revisions.iter().map(|revision| revision.number).filter(|n| *n < number).max();
    let to = before.map_or_else(|| "base".to_owned(), |n| n.to_string());
    format!("roll it back here with `setpoint rollback --to {to}`, which needs no files")
}
