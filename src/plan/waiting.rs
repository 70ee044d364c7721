//! Finds out who waits for a transaction. Its locks are taken first, in the strongest modes that its steps claim, so one step may block readers
//! while another builds an index.

use std::cell::OnceCell;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::kinds::{Heirs, LockMode, inheritance};
use crate::model::{Edges, ObjectId, State};

use super::{Action, Finding, Hazard, Step, Wanted, hazards};

/// Tables that readers cannot use, by the number of the transaction.
type LockedOut = FxHashSet<(u32, String)>;

/// Adds `blocks-reads` to steps that block writers if another step of the transaction locks readers out; the same on the way back.
pub(super) fn readers(steps: &mut [(Vec<ObjectId>, Step)], wanted: &Wanted<'_>) {
    let (mut there, mut back) = (LockedOut::default(), LockedOut::default());
    let heirs = Lineage { wanted, known: OnceCell::new() };
    for (_, step) in &*steps {
        note(step, step.transaction, &heirs, &mut there);
        step.inverse.iter().for_each(|inverse| note(inverse, step.transaction, &heirs, &mut back));
    }
    for (_, step) in &mut *steps {
        let number = step.transaction;
        say(&mut step.inverse.iter_mut().map(|inverse| (number, inverse)).collect::<Vec<_>>(), &heirs, &back);
    }
    say(&mut steps.iter_mut().map(|(_, step)| (step.transaction, step)).collect::<Vec<_>>(), &heirs, &there);
    if wanted.edges.keys().any(filled) {
        for (_, step) in steps {
            let number = step.transaction;
            step.inverse.iter_mut().for_each(|inverse| fills(inverse, number, &back, (wanted.edges, wanted.old)));
            fills(step, number, &there, (wanted.edges, wanted.new));
        }
    }
}

fn filled(id: &ObjectId) -> bool {
    id.kind().word == "materialized-view"
}

/// Adds `blocks-reads` to a materialized view that is filled while the tables that it reads are locked.
fn fills(step: &mut Step, transaction: u32, out: &LockedOut, (edges, state): (&Edges, &State)) {
    if step.action != Action::Create || !step.object.starts_with("materialized-view ") {
        return;
    }
    let own = |id: &&ObjectId| filled(id) && id.to_string() == step.object;
    let Some(view) = edges.keys().find(own) else { return };
    if state.get(view).is_none_or(|view| view.value("unpopulated").is_some()) {
        return;
    }
    let (mut all, mut at) = (vec![view], 0);
    while let Some(needs) = all.get(at).map(|id| edges.get(*id)) {
        let roots = needs.into_iter().flatten().map(ObjectId::root);
        let new: Vec<&ObjectId> = roots.filter(|root| !all.contains(root)).collect();
        all.extend(new);
        at += 1;
    }
    if let Some(read) = all.iter().skip(1).find(|id| out.contains(&(transaction, id.to_string()))) {
        step.hazards.push(Finding {
            hazard: Hazard::FullScanUnderLock,
            reason: format!("{read} is read completely for {view} while it is locked"),
        });
        step.hazards.push(Finding {
            hazard: Hazard::BlocksReads,
            reason: format!("{read} cannot be read while {view} is filled"),
        });
    }
}

/// The heirs of tables, before and after: a lock on a table is often one on them.
struct Lineage<'w> {
    wanted: &'w Wanted<'w>,
    /// All of them, and those that are partitions; computed on first use.
    known: OnceCell<[FxHashMap<String, Vec<String>>; 2]>,
}

impl Lineage<'_> {
    fn known(&self) -> &[FxHashMap<String, Vec<String>>; 2] {
        self.known.get_or_init(|| {
            let mut known: [FxHashMap<String, Vec<String>>; 2] = Default::default();
            for state in [self.wanted.old, self.wanted.new] {
                for (table, heirs) in inheritance::heirs(state) {
                    for heir in heirs {
                        let is_partition = state.get(&heir).and_then(inheritance::partition_of).is_some();
                        for list in known.iter_mut().take(1 + usize::from(is_partition)) {
                            list.entry(table.to_string()).or_default().push(heir.to_string());
                        }
                    }
                }
            }
            known
        })
    }

    /// The tables that a step locks in at least this mode.
    fn locked<'s>(&'s self, step: &'s Step, least: LockMode) -> impl Iterator<Item = &'s String> {
        let locks = step.lock.iter().chain(&step.locks).filter(move |(mode, _)| *mode >= least);
        locks.flat_map(|(_, on)| {
            let heirs = match step.heirs(on) {
                Heirs::None => None,
                Heirs::All => self.known()[0].get(on),
                Heirs::Partitions => self.known()[1].get(on),
            };
            std::iter::once(on).chain(heirs.into_iter().flatten())
        })
    }
}

fn note(step: &Step, transaction: u32, heirs: &Lineage<'_>, out: &mut LockedOut) {
    out.extend(heirs.locked(step, LockMode::AccessExclusive).map(|on| (transaction, on.clone())));
}

/// Adds readers to the hazards of steps whose tables readers cannot use. The statements of one change count as one: only the first names hazards.
fn say(steps: &mut [(u32, &mut Step)], heirs: &Lineage<'_>, out: &LockedOut) {
    let locked_out = |(number, step): &(u32, &mut Step)| {
        heirs.locked(step, LockMode::Share).any(|on| out.contains(&(*number, on.clone())))
    };
    for turn in steps.chunk_by_mut(|(_, first), (_, next)| next.goes_on_with(first)) {
        if !turn.iter().any(locked_out) {
            continue;
        }
        for finding in turn.iter_mut().flat_map(|(_, step)| &mut step.hazards) {
            if let Some(stronger) = hazards::with_readers(finding) {
                *finding = stronger;
            }
        }
    }
}
