//! Who waits for a transaction: its locks are taken first, in the strongest modes that its steps claim, so that one step may keep readers
//! waiting while another one builds an index.

use rustc_hash::FxHashSet;

use crate::kinds::LockMode;
use crate::model::ObjectId;

use super::{Step, hazards};

/// What is locked for readers, too, by the number of the transaction.
type LockedOut = FxHashSet<(u32, String)>;

/// Says of steps that keep writers waiting that they keep readers waiting, where another step of the transaction locks these out; the same
/// on the way back.
pub(super) fn readers(steps: &mut [(Vec<ObjectId>, Step)]) {
    let (mut there, mut back) = (LockedOut::default(), LockedOut::default());
    for (_, step) in &*steps {
        note(step, step.transaction, &mut there);
        step.inverse.iter().for_each(|inverse| note(inverse, step.transaction, &mut back));
    }
    for (_, step) in steps {
        let number = step.transaction;
        say(step, number, &there);
        step.inverse.iter_mut().for_each(|inverse| say(inverse, number, &back));
    }
}

fn note(step: &Step, transaction: u32, out: &mut LockedOut) {
    let locks = step.lock.iter().chain(&step.locks).filter(|(mode, _)| *mode == LockMode::AccessExclusive);
    out.extend(locks.map(|(_, on)| (transaction, on.clone())));
}

fn say(step: &mut Step, transaction: u32, out: &LockedOut) {
    let mut locks = step.lock.iter().chain(&step.locks).filter(|(mode, _)| *mode >= LockMode::Share);
    if locks.any(|(_, on)| out.contains(&(transaction, on.clone()))) {
        for finding in &mut step.hazards {
            if let Some(stronger) = hazards::with_readers(finding) {
                *finding = stronger;
            }
        }
    }
}
