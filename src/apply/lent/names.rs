//! Finds the names that steps use, including those behind objects that earlier steps of the same list create and no catalog knows yet.

use std::collections::{BTreeSet, HashMap};

use crate::kinds::{Evaluates, Room};
use crate::model::{Address, Namespace};
use crate::plan::{Action, Step};
use crate::sql::{lex, names};

use super::{evaluates, room_of, stale};

/// Qualifier, name, and whether it is a call.
type Used = (Option<String>, String, bool);

/// Names that a step uses.
#[derive(Debug, Clone, Default)]
pub struct Names {
    /// As written in the step, and in those that create what it names.
    pub used: BTreeSet<Used>,
    /// Calls in checks that earlier steps give to domains which the step may use: qualifier and name.
    pub checks: BTreeSet<(Option<String>, String)>,
}

/// What the steps so far create, by name.
#[derive(Default)]
pub struct Made(HashMap<String, Names>);

impl Made {
    /// The names of the next step.
    pub fn names(&self, step: &Step) -> Names {
        let mut out = Names { used: used(step), ..Names::default() };
        for (_, name, _) in used(step) {
            if let Some(behind) = self.0.get(&name) {
                out.used.extend(behind.used.iter().cloned());
                out.checks.extend(behind.checks.iter().cloned());
            }
        }
        out
    }

    /// Remembers what the step creates.
    pub fn add(&mut self, step: &Step) {
        let Some(room) = room_of(&step.object).filter(|room| makes_type(*room, step)) else { return };
        let Some(name) = stale::names(&step.object).and_then(|parts| parts.into_iter().take(2).next_back()) else {
            return;
        };
        let mut names = self.names(step);
        if checks_domain(room, step) {
            let calls = used(step).into_iter().filter(|(.., call)| *call);
            names.checks.extend(calls.map(|(qualifier, name, _)| (qualifier, name)));
        }
        let made = self.0.entry(name).or_default();
        made.used.extend(names.used);
        made.checks.extend(names.checks);
    }
}

/// True if some of the steps give checks to domains.
pub fn any_checks_domain(steps: &[&Step]) -> bool {
    steps.iter().any(|step| room_of(&step.object).is_some_and(|room| checks_domain(room, step)))
}

/// Checks of domains lock nothing, unlike those of tables.
fn checks_domain(room: &dyn Room, step: &Step) -> bool {
    let word = room.kind().word;
    matches!(step.action, Action::Create | Action::Alter)
        && (word == "domain" || word == "check" && step.lock.is_none())
}

/// True if the step makes or changes a type, rows, what takes and gives them, or what has a validator.
fn makes_type(room: &dyn Room, step: &Step) -> bool {
    let kind = room.kind();
    let is_one = matches!(kind.namespace, Namespace::Relation | Namespace::Type | Namespace::Routine)
        || room.evaluates(true) == Evaluates::Options
        || kind.address == Address::MemberOf
        || checks_domain(room, step);
    is_one && matches!(step.action, Action::Create | Action::Alter)
}

/// The names in a step's text.
fn used(step: &Step) -> BTreeSet<Used> {
    let mut found = names::find(&step.sql);
    if evaluates(step) == Evaluates::Options {
        // A validator is named as it is.
        found.iter_mut().for_each(|name| name.call = true);
    }
    if step.action == Action::Manual {
        // Bodies of DO, and SQL that is put together.
        found.extend(lex::strings(&step.sql).iter().flat_map(|text| names::find(text)));
    }
    let mut out = BTreeSet::new();
    for name in found {
        let call = name.call;
        match name.parts.as_slice() {
            [one] => {
                out.insert((None, one.clone(), call));
            }
            [one, two, rest @ ..] => {
                out.insert((Some(one.clone()), two.clone(), call));
                // A column may appear behind its table.
                if rest.is_empty() {
                    out.insert((None, one.clone(), call));
                }
            }
            [] => {}
        }
    }
    out
}
