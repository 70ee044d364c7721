//! A plan: ordered steps from one state to another, each with its inverse.

pub mod about;
pub mod against;
pub mod aid;
mod apart;
pub mod beyond;
pub mod by_hand;
pub mod captured;
pub mod carry;
pub mod chain;
mod circles;
mod claimed;
mod expand;
pub mod file;
mod fold;
mod footprint;
mod graph;
#[cfg(test)]
mod growth;
pub mod hazards;
mod inverse;
mod ladder;
mod make;
pub mod merge;
mod needs;
pub mod proof;
mod rebuild;
mod renamed;
mod rights;
mod second_opinion;
mod too_new;
mod transactions;
mod waiting;
mod wanted;

pub use apart::together;
pub use hazards::{Finding, Hazard};
pub use make::{Made, plan};
pub use needs::Names;
pub use transactions::next as next_transaction;
pub use wanted::Wanted;

use crate::kinds::rights::Right;
use crate::kinds::{LockMode, Mode};
use crate::model::{Digest, Ident, Texts};
use crate::sql;

use proof::Proof;

/// A saved plan, or one that is only shown.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Its place in the chain, from 1.
    pub number: u32,
    /// What people call it: `add-invite-code`.
    pub name: String,
    /// The files hash that it leads to.
    pub files: Digest,
    /// The hash of the plan before; `None` for the first.
    pub after: Option<Digest>,
    /// The major version of the server that it was made on.
    pub server: u32,
    /// The version of the tool that made it.
    pub tool: String,
    /// True once `seal` rehashed it after an edit by hand.
    pub sealed: bool,
    /// The footprint: what the plan's objects must be before and after it runs.
    pub footprint: Vec<Expected>,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// The result of the last `prove`, perhaps for another hash. It is not part of the plan's own hash.
    pub proof: Option<Proof>,
}

/// What one object of the footprint must be before the plan runs, and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The object, as `ObjectId` displays it.
    pub object: String,
    /// `Digest::of_object(…, false)` of the object that the plan was made for; `None`: it must not exist.
    pub before: Option<Digest>,
    /// `Digest::of_object(…, true)` of what the plan leads to; `None`: it must be gone.
    pub after: Option<Digest>,
}

/// What a step does to its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Create,
    Drop,
    Alter,
    Rename,
    /// Written by hand.
    Manual,
}

impl Action {
    /// The word in plan files.
    pub const fn word(self) -> &'static str {
        match self {
            Action::Create => "create",
            Action::Drop => "drop",
            Action::Alter => "alter",
            Action::Rename => "rename",
            Action::Manual => "manual",
        }
    }

    /// The action of that word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Create, Self::Drop, Self::Alter, Self::Rename, Self::Manual].into_iter().find(|a| a.word() == word)
    }
}

/// One statement, with everything that must be known before it runs.
#[derive(Debug, Clone)]
pub struct Step {
    /// The object, as `ObjectId` displays it; empty for steps by hand.
    pub object: String,
    /// What happens to the object.
    pub action: Action,
    /// Other objects that come or go with it: folded into a CREATE, vanished with a DROP; for a rename, the old address.
    pub with: Vec<String>,
    /// For people: what the object is like or how it changes, then the same for each of `with`; what is missing says nothing.
    pub about: Vec<String>,
    /// The statement, without a final semicolon.
    pub sql: String,
    /// Whether it can run in a transaction.
    pub mode: Mode,
    /// Steps in a row with the same number share a transaction.
    pub transaction: u32,
    /// The schemas in which names in people's SQL are looked up (`search_path` of the step); empty: only `pg_catalog`.
    pub path: Vec<String>,
    /// The strongest lock on something that exists, and on what.
    pub lock: Option<(LockMode, String)>,
    /// Locks on other tables: a foreign key's.
    pub locks: Vec<(LockMode, String)>,
    /// Privileges that it needs on objects other than its own and the tables that it locks.
    pub rights: Vec<(Right, String)>,
    /// The environment variables that hold secrets which the statement takes from settings of the session.
    pub secrets: Vec<String>,
    /// The column that it fills in existing rows: `--fill` completes the statement.
    pub fill: Option<String>,
    /// Reasons to stop.
    pub hazards: Vec<Finding>,
    /// The statements that undo the step, in order. Empty: the next step's inverse undoes it, or it is irreversible.
    pub inverse: Vec<Step>,
}

impl Step {
    /// What `search_path` is set to for the step, as a script would say it.
    pub fn schemas(&self) -> String {
        if self.path.is_empty() {
            return "pg_catalog".into();
        }
        let names: Vec<Ident> = self.path.iter().map(|schema| Ident::from(schema.as_str())).collect();
        sql::name_list(&names)
    }

    /// True if it continues what the step before it does to the same object: that one names the hazards of both.
    pub fn goes_on_with(&self, before: &Step) -> bool {
        (&self.object, self.action) == (&before.object, before.action)
            && self.hazards.is_empty()
            && self.with.is_empty()
    }

    /// What `search_path` is set to while the step runs: temporary objects, which would come first, come last.
    pub fn search_path(&self) -> String {
        format!("{}, pg_temp", self.schemas())
    }
}

impl Plan {
    /// The plan hash: its number, name, steps and the hash of the plan before it.
    pub fn hash(&self) -> Digest {
        let mut texts = Texts::default();
        let digest = |digest: Option<Digest>| digest.map_or_else(String::new, |d| d.to_string());
        texts.add(&self.number.to_string());
        texts.add(&self.name);
        texts.add(&self.files.to_string());
        texts.add(&digest(self.after));
        for expected in &self.footprint {
            texts.add(&expected.object);
            texts.add(&digest(expected.before));
            texts.add(&digest(expected.after));
        }
        feed(&self.steps, &mut texts);
        texts.digest()
    }

    /// The next plan of a chain.
    pub fn new(chain: &chain::Chain, name: &str, files: Digest, server: u32, made: Made) -> Self {
        Self {
            number: chain.head().map_or(1, |link| link.number + 1),
            name: name.to_string(),
            files,
            after: chain.head().map(|link| link.hash),
            server,
            tool: env!("CARGO_PKG_VERSION").to_string(),
            sealed: false,
            footprint: made.footprint,
            steps: made.steps,
            proof: None,
        }
    }

    /// The proof, if it applies to the plan as it is.
    pub fn proof(&self) -> Option<&Proof> {
        self.proof.as_ref().filter(|proof| proof.plan == self.hash())
    }

    /// True if nothing undoes a step that was written by hand. Of those that share a transaction, the inverse of the last one undoes
    /// all of them.
    pub fn is_one_way(&self, at: usize) -> bool {
        let Some((step, later)) = self.steps.get(at..).and_then(<[Step]>::split_first) else { return false };
        let together = later.iter().take_while(|other| other.transaction == step.transaction);
        let covered = || together.filter(|other| other.action == Action::Manual).any(|other| !other.inverse.is_empty());
        step.action == Action::Manual && step.inverse.is_empty() && !(step.mode == Mode::Normal && covered())
    }

    /// All hazards of all steps.
    pub fn hazards(&self) -> impl Iterator<Item = &Finding> {
        self.steps.iter().flat_map(|s| &s.hazards)
    }
}

fn feed(steps: &[Step], texts: &mut Texts) {
    texts.add(&format!("{} steps", steps.len()));
    for step in steps {
        texts.add(&step.object);
        texts.add(step.action.word());
        step.with.iter().for_each(|with| texts.add(with));
        if !step.about.is_empty() {
            texts.add(&format!("about {}", step.about.len()));
            step.about.iter().for_each(|about| texts.add(about));
        }
        texts.add(&step.sql);
        step.fill.iter().for_each(|column| texts.add(&format!("fill {column}")));
        texts.add(&format!("{:?} {}", step.mode, step.transaction));
        texts.add(&step.path.join(","));
        step.lock.iter().chain(&step.locks).for_each(|(mode, on)| texts.add(&format!("{} {on}", mode.words())));
        // Plans of earlier builds have none, and keep their hashes.
        if !step.secrets.is_empty() {
            texts.add(&format!("secrets {}", step.secrets.len()));
            step.secrets.iter().for_each(|variable| texts.add(variable));
        }
        if !step.rights.is_empty() {
            texts.add(&format!("needs {}", step.rights.len()));
            step.rights.iter().for_each(|(right, on)| texts.add(&format!("{} {on}", right.word())));
        }
        step.hazards.iter().for_each(|f| texts.add(&format!("{} {}", f.hazard.word(), f.reason)));
        feed(&step.inverse, texts);
    }
}
