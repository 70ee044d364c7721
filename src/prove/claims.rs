//! Whether steps do what they claim: the locks they take, and the hazards that say what is written, built or read whole meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use crate::apply;
use crate::catalog::Session;
use crate::kinds::LockMode;
use crate::model::Result;
use crate::plan::{Hazard, Step};

use super::observed::{Moment, Seen};

/// A claim that is not what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The step did more than it says. What is said and not seen warns people of nothing, and may only be seen on other rows.
    pub too_weak: bool,
    /// What is wrong, with the names of step and relation.
    pub line: String,
}

/// Looks at each step of a plan, on one way, from inside of its transaction. What the plan made itself is nobody else's yet.
#[derive(Debug, Default)]
pub struct Observer {
    /// What was seen of the steps that ran.
    turns: Vec<Turn>,
    /// All steps of the transaction that is open.
    together: Vec<Step>,
    /// How things were before the first step.
    start: Option<Moment>,
    /// How things were before the step that runs.
    before: Moment,
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
    before: Moment,
    after: Moment,
    /// The locks that its transaction has from the start.
    held: BTreeMap<[String; 2], LockMode>,
}

impl Observer {
    /// A transaction of these steps, or a step outside of any, is about to begin. One that is tried again begins again.
    pub fn begins<'a>(&mut self, steps: impl Iterator<Item = &'a Step>) {
        self.together = steps.cloned().collect();
    }

    /// A step is about to run in the transaction that is open.
    ///
    /// # Errors
    /// The server's.
    pub async fn before(&mut self, session: &Session) -> Result<()> {
        self.before = Moment::now(session).await?;
        if self.start.is_none() {
            self.start = Some(self.before.clone());
        }
        Ok(())
    }

    /// The step ran, and its transaction is still open.
    ///
    /// # Errors
    /// The server's.
    pub async fn after(&mut self, session: &Session, step: &Step) -> Result<()> {
        let before = std::mem::take(&mut self.before);
        let held = claimed(self.together.iter(), &before, self.start.as_ref().unwrap_or(&before));
        let sight = Sight { before, after: Moment::now(session).await?, held };
        match self.turns.last_mut().filter(|turn| turn.goes_on_with(step)) {
            Some(turn) => {
                turn.steps.push(step.clone());
                turn.sights.push(sight);
            }
            None => self.turns.push(Turn { steps: vec![step.clone()], sights: vec![sight] }),
        }
        Ok(())
    }

    /// All that is claimed and not seen, or seen and not claimed.
    pub fn faults(&self) -> Vec<Fault> {
        let Some(start) = &self.start else { return Vec::new() };
        self.turns.iter().flat_map(|turn| turn.faults(start)).collect()
    }
}

impl Turn {
    fn goes_on_with(&self, step: &Step) -> bool {
        let same = |first: &Step| (&first.object, first.action) == (&step.object, step.action);
        self.steps.first().is_some_and(same) && step.hazards.is_empty() && step.with.is_empty()
    }

    fn faults(&self, start: &Moment) -> Vec<Fault> {
        let seen: Vec<Seen> = self.sights.iter().flat_map(|sight| sight.after.since(&sight.before, start)).collect();
        let mut faults = self.of_locks(&seen, start);
        // Where there is nothing to read and to write, nothing can be seen of it.
        let filled = self.sights.iter().any(|sight| {
            claimed(self.steps.iter(), &sight.before, start).keys().any(|name| sight.before.filled(name))
        });
        faults.extend(self.of_hazards(&seen).into_iter().filter(|fault| fault.too_weak || filled));
        faults
    }

    fn fault(&self, too_weak: bool, what: &str) -> Fault {
        let sql: Vec<&str> = self.steps.iter().map(|step| step.sql.as_str()).collect();
        Fault { too_weak, line: format!("{what}: {}", sql.join("; ")) }
    }

    fn of_locks(&self, seen: &[Seen], start: &Moment) -> Vec<Fault> {
        let mut claims: BTreeMap<[String; 2], LockMode> = BTreeMap::new();
        for sight in &self.sights {
            for (name, mode) in claimed(self.steps.iter(), &sight.before, start) {
                let strongest = claims.entry(name).or_insert(mode);
                *strongest = mode.max(*strongest);
            }
        }
        let mut taken: BTreeMap<&[String; 2], LockMode> = BTreeMap::new();
        for seen in seen {
            let Some(mode) = seen.lock else { continue };
            let entry = taken.entry(&seen.name).or_insert(mode);
            *entry = mode.max(*entry);
        }
        let mut faults = Vec::new();
        for (name, mode) in &taken {
            let owner = self.sights.iter().find_map(|sight| sight.before.owner_of(name));
            let claim = std::iter::once(*name).chain(owner.as_ref()).filter_map(|name| claims.get(name)).max();
            // Weaker ones keep nobody from reading and writing.
            if *mode >= LockMode::ShareUpdateExclusive && claim.is_none_or(|claim| claim < mode) {
                let said = claim.map_or("nothing", |claim| claim.words());
                faults.push(self.fault(true, &format!("{} locked {}, claimed {said}", name.join("."), mode.words())));
            }
        }
        for (name, claim) in &claims {
            let mode = taken.get(name);
            if mode.is_none_or(|mode| mode < claim) {
                let what = mode.map_or("not at all", |mode| mode.words());
                faults.push(self.fault(false, &format!("{} claimed {}, locked {what}", name.join("."), claim.words())));
            }
        }
        faults
    }

    fn of_hazards(&self, seen: &[Seen]) -> Vec<Fault> {
        let mut needed: BTreeSet<Hazard> = BTreeSet::new();
        let mut possible: BTreeSet<Hazard> = BTreeSet::new();
        for seen in seen {
            let together = self.sights.iter().filter_map(|sight| sight.held.get(&seen.name).copied()).max();
            let held = seen.held.max(together).unwrap_or(LockMode::AccessShare);
            let built = !seen.built.is_empty();
            if seen.rewritten {
                needed.insert(Hazard::TableRewrite);
            }
            if seen.scanned && held >= LockMode::Share {
                // What reads a table to write it again or to index it is called that; where it looks at the rows as well, both.
                let own = !seen.rewritten && !built;
                (if own { &mut needed } else { &mut possible }).insert(Hazard::FullScanUnderLock);
            }
            if (seen.rewritten || seen.scanned || built) && held >= LockMode::Share {
                let reads = held == LockMode::AccessExclusive;
                needed.insert(if reads { Hazard::BlocksReads } else { Hazard::BlocksWrites });
            }
        }
        let named: BTreeSet<Hazard> =
            self.steps.iter().flat_map(|step| &step.hazards).map(|finding| finding.hazard).collect();
        let ours = [Hazard::TableRewrite, Hazard::FullScanUnderLock, Hazard::BlocksWrites, Hazard::BlocksReads];
        let mut faults = Vec::new();
        for hazard in ours {
            // Whoever lets nobody read lets nobody write.
            let covered = hazard == Hazard::BlocksWrites && named.contains(&Hazard::BlocksReads);
            if needed.contains(&hazard) && !named.contains(&hazard) && !covered {
                faults.push(self.fault(true, &format!("{} is not named", hazard.word())));
            }
            if named.contains(&hazard) && !needed.contains(&hazard) && !possible.contains(&hazard) {
                faults.push(self.fault(false, &format!("{} is named, and was not seen", hazard.word())));
            }
        }
        faults
    }
}

/// The strongest lock that steps claim on each relation that is there from the start.
fn claimed<'a>(
    steps: impl Iterator<Item = &'a Step> + Clone,
    now: &Moment,
    start: &Moment,
) -> BTreeMap<[String; 2], LockMode> {
    let mut out: BTreeMap<[String; 2], LockMode> = BTreeMap::new();
    for ((name, heirs), mode) in apply::claimed(steps) {
        for relation in now.named(&name, heirs, start) {
            let strongest = out.entry(relation).or_insert(mode);
            *strongest = mode.max(*strongest);
        }
    }
    out
}
