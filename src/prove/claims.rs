//! Whether steps do what they claim: the locks they take, and the hazards that say what is rewritten, built or read completely.

use std::collections::{BTreeMap, BTreeSet};

use crate::apply;
use crate::catalog::Session;
use crate::kinds::LockMode;
use crate::model::Result;
use crate::plan::{Action, Finding, Hazard, Step};

use super::observed::{Relations, Seen};
use super::runner::Watch;

/// A claim that is not what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The step did more than it says. What is said and not seen warns people of nothing, and may only be seen on other rows.
    pub too_weak: bool,
    /// The steps: their object, and what they do to it.
    pub step: String,
    /// What is wrong.
    pub what: String,
    /// Their statements.
    pub sql: String,
}

impl Fault {
    /// What a rehearsal says.
    pub fn line(&self) -> String {
        format!("{} does more than it claims: {}", self.step, self.what)
    }
}

/// What a step that people wrote was seen to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    pub sql: String,
    /// The locks that it took on what was there before, and on what.
    pub locks: Vec<(LockMode, [String; 2])>,
    pub findings: Vec<Finding>,
}

type Locks = BTreeMap<[String; 2], LockMode>;

/// Looks at each step of a plan, on one way, from inside of its transaction. What the plan made itself is nobody else's yet.
#[derive(Debug, Default)]
pub struct Observer {
    /// What was seen of the steps that ran.
    turns: Vec<Turn>,
    relations: Relations,
    /// False where relations may have changed without a look.
    known: bool,
    /// True where a look was taken at the beginning of the transaction that is open.
    begun: bool,
    /// The locks that the transaction takes first.
    together: Vec<Step>,
    held: Locks,
    /// How many turns and sights there were before the transaction.
    safe: (usize, usize),
    /// What the step that runs claims, and whether there are rows where it does.
    claims: Locks,
    filled: bool,
}

/// Steps in a row that are about one object: the first one says the hazards of all.
#[derive(Debug)]
struct Turn {
    steps: Vec<Step>,
    sights: Vec<Sight>,
}

/// What was seen of one step.
#[derive(Debug)]
struct Sight {
    seen: Vec<Seen>,
    /// The locks that it claims, and those that its transaction has from the start.
    claims: Locks,
    held: Locks,
    /// There are rows in what it locks.
    filled: bool,
}

impl Watch for Observer {
    fn begins(&mut self, steps: &[(u32, &Step)]) {
        // One that is tried again did not get to its end.
        self.relations.roll_back();
        let (turns, sights) = self.safe;
        self.turns.truncate(turns);
        if let Some(turn) = self.turns.last_mut() {
            turn.sights.truncate(sights);
            turn.steps.truncate(sights);
        }
        self.together = steps.iter().map(|(_, step)| (*step).clone()).collect();
        self.begun = false;
    }

    async fn before(&mut self, session: &Session, step: &Step) -> Result<()> {
        if !self.known {
            self.relations.read(session).await?;
            self.known = true;
        }
        if !self.begun {
            self.relations.begin(session).await?;
            self.held = self.claimed(self.together.iter()).0;
            self.begun = true;
        }
        (self.claims, self.filled) = self.claimed(std::iter::once(step));
        if asks_for_the_last(step) {
            session.batch("SET LOCAL enable_seqscan = off").await?;
        }
        Ok(())
    }

    async fn after(&mut self, session: &Session, step: &Step) -> Result<()> {
        if asks_for_the_last(step) {
            session.batch("SET LOCAL enable_seqscan = on").await?;
        }
        let seen = self.relations.look(session).await?;
        let (claims, held) = (std::mem::take(&mut self.claims), self.held.clone());
        let sight = Sight { seen, claims, held, filled: self.filled };
        let goes_on = |turn: &&mut Turn| turn.steps.first().is_some_and(|first| step.goes_on_with(first));
        match self.turns.last_mut().filter(|_| step.action != Action::Manual).filter(goes_on) {
            Some(turn) => {
                turn.steps.push(step.clone());
                turn.sights.push(sight);
            }
            None => self.turns.push(Turn { steps: vec![step.clone()], sights: vec![sight] }),
        }
        Ok(())
    }

    fn ends(&mut self) {
        self.relations.commit();
        self.safe = (self.turns.len(), self.turns.last().map_or(0, |turn| turn.sights.len()));
    }

    fn passes(&mut self) {
        self.known = false;
    }
}

impl Observer {
    /// All that is claimed and not seen, or seen and not claimed.
    pub fn faults(&self) -> Vec<Fault> {
        self.turns.iter().flat_map(Turn::faults).collect()
    }

    /// What a rehearsal says of steps that did more than they claim. What people wrote claims what they say.
    pub fn lines(&self) -> Vec<String> {
        let faults = self.faults().into_iter().filter(|fault| fault.too_weak);
        faults.map(|fault| fault.line()).collect()
    }

    /// What steps that people wrote were seen to do.
    pub fn of_people(&self) -> impl Iterator<Item = Observation> {
        self.turns.iter().filter(|turn| turn.is_manual()).flat_map(Turn::observation)
    }

    /// The strongest lock that steps claim on each relation that is there from the start, and whether one of these has rows.
    fn claimed<'a>(&'a self, steps: impl Iterator<Item = &'a Step>) -> (Locks, bool) {
        let (mut out, mut filled) = (Locks::new(), false);
        for ((name, heirs), mode) in apply::claimed(steps, self.together.iter()) {
            for (relation, has_rows) in self.relations.named(&name, heirs) {
                let strongest = out.entry(relation).or_insert(mode);
                *strongest = mode.max(*strongest);
                filled |= has_rows;
            }
        }
        (out, filled)
    }
}

impl Turn {
    fn faults(&self) -> Vec<Fault> {
        if self.is_manual() {
            return Vec::new();
        }
        let mut faults = self.of_locks();
        // Where there is nothing to read and to write, nothing can be seen of it.
        let filled = self.sights.iter().any(|sight| sight.filled);
        faults.extend(self.of_hazards().into_iter().filter(|fault| fault.too_weak || filled));
        faults
    }

    fn is_manual(&self) -> bool {
        self.steps.iter().any(|step| step.action == Action::Manual)
    }

    fn observation(&self) -> Option<Observation> {
        let taken = strongest(self.seen().filter_map(|seen| Some((&seen.name, seen.lock?))));
        let locks = taken.into_iter().filter(|(_, mode)| *mode >= LockMode::RowExclusive);
        let findings = self.needed().0.into_iter();
        Some(Observation {
            sql: self.steps.first()?.sql.clone(),
            locks: locks.map(|(name, mode)| (mode, name.clone())).collect(),
            findings: findings.map(|(hazard, reason)| Finding { hazard, reason }).collect(),
        })
    }

    fn fault(&self, too_weak: bool, what: String) -> Fault {
        let step =
            self.steps.first().map_or_else(String::new, |step| format!("{} {}", step.action.word(), step.object));
        let sql: Vec<&str> = self.steps.iter().map(|step| step.sql.as_str()).collect();
        Fault { too_weak, step, what, sql: sql.join("; ") }
    }

    fn seen(&self) -> impl Iterator<Item = &Seen> {
        self.sights.iter().flat_map(|sight| &sight.seen)
    }

    fn of_locks(&self) -> Vec<Fault> {
        let claims =
            strongest(self.sights.iter().flat_map(|sight| sight.claims.iter().map(|(name, mode)| (name, *mode))));
        let taken = strongest(self.seen().filter_map(|seen| Some((&seen.name, seen.lock?))));
        let mut faults = Vec::new();
        for (name, mode) in &taken {
            let owner = self.seen().find(|seen| seen.name == **name).and_then(|seen| seen.owner.as_ref());
            let claim = std::iter::once(*name).chain(owner).filter_map(|name| claims.get(name)).max();
            // Weaker ones keep nobody from reading and writing.
            if *mode >= LockMode::ShareUpdateExclusive && claim.is_none_or(|claim| claim < mode) {
                let said = claim.map_or("no lock on it", |claim| claim.words());
                faults.push(
                    self.fault(true, format!("it takes {} on {}, but claims {said}", mode.words(), name.join("."))),
                );
            }
        }
        for (name, claim) in &claims {
            let mode = taken.get(name);
            if mode.is_none_or(|mode| mode < claim) {
                let what = mode.map_or("no lock on it", |mode| mode.words());
                faults.push(
                    self.fault(false, format!("it claims {} on {}, but takes {what}", claim.words(), name.join("."))),
                );
            }
        }
        faults
    }

    /// The hazards that the steps have to name, with what was seen; and those that they may name.
    fn needed(&self) -> (BTreeMap<Hazard, String>, BTreeSet<Hazard>) {
        let mut needed: BTreeMap<Hazard, String> = BTreeMap::new();
        let mut possible: BTreeSet<Hazard> = BTreeSet::new();
        for seen in self.seen() {
            let together = self.sights.iter().filter_map(|sight| sight.held.get(&seen.name).copied()).max();
            let held = seen.held.max(together).unwrap_or(LockMode::AccessShare);
            let (built, name) = (!seen.built.is_empty(), seen.name.join("."));
            let mut needs = |hazard, what: &str| {
                needed.entry(hazard).or_insert_with(|| format!("it {}", what.replace("{}", &name)));
            };
            if seen.rewritten {
                needs(Hazard::TableRewrite, "rewrites {}");
            }
            if seen.scanned && held >= LockMode::Share {
                // What reads a table to write it again or to index it is called that; where it looks at the rows as well, both.
                if seen.rewritten || built {
                    possible.insert(Hazard::FullScanUnderLock);
                } else {
                    needs(Hazard::FullScanUnderLock, "reads all rows of {} under a lock");
                }
            }
            if (seen.rewritten || seen.scanned || built) && held >= LockMode::Share {
                match held == LockMode::AccessExclusive {
                    true => needs(Hazard::BlocksReads, "blocks readers of {} while it works"),
                    false => needs(Hazard::BlocksWrites, "blocks writers of {} while it works"),
                }
            }
        }
        // Whoever reads a table that the transaction keeps from them waits for what is done to its partitions, too.
        let together = self.sights.iter().flat_map(|sight| sight.held.values());
        if !needed.is_empty() && together.max() == Some(&LockMode::AccessExclusive) {
            possible.insert(Hazard::BlocksReads);
        }
        (needed, possible)
    }

    fn of_hazards(&self) -> Vec<Fault> {
        let (needed, possible) = self.needed();
        let named: BTreeSet<Hazard> =
            self.steps.iter().flat_map(|step| &step.hazards).map(|finding| finding.hazard).collect();
        let ours = [Hazard::TableRewrite, Hazard::FullScanUnderLock, Hazard::BlocksWrites, Hazard::BlocksReads];
        let mut faults = Vec::new();
        for hazard in ours {
            // Whoever lets nobody read lets nobody write.
            let covered = hazard == Hazard::BlocksWrites && named.contains(&Hazard::BlocksReads);
            if let Some(what) = needed.get(&hazard).filter(|_| !named.contains(&hazard) && !covered) {
                faults.push(self.fault(true, format!("{what}, but does not name {}", hazard.word())));
            }
            if named.contains(&hazard) && !needed.contains_key(&hazard) && !possible.contains(&hazard) {
                faults.push(self.fault(false, format!("it names {}, which was not seen", hazard.word())));
            }
        }
        faults
    }
}

/// True for steps that may look for the last number in a column: in a small table they would read all rows, and in a large one ask an
/// index, if there is one.
fn asks_for_the_last(step: &Step) -> bool {
    step.action != Action::Manual && matches!(step.object.split(' ').next(), Some("identity" | "sequence"))
}

/// The strongest mode on each.
fn strongest<'a>(locks: impl Iterator<Item = (&'a [String; 2], LockMode)>) -> BTreeMap<&'a [String; 2], LockMode> {
    let mut out = BTreeMap::new();
    for (name, mode) in locks {
        let strongest = out.entry(name).or_insert(mode);
        *strongest = mode.max(*strongest);
    }
    out
}
