//! Keeps what people wrote into a plan when it is recomputed: steps by hand, and edits that were sealed.

use rustc_hash::FxHashMap;

use super::{Action, Made, Plan, Step};

/// A plan's new steps.
#[derive(Debug, Default)]
pub struct Carried {
    /// The steps and the footprint.
    pub made: Made,
    /// How many steps by hand were carried over.
    pub by_hand: usize,
    /// The objects whose edited steps were kept as they are.
    pub kept: Vec<String>,
    /// True if the plan has only steps by hand: nothing was computed, which is left to another plan.
    pub left: bool,
}

/// Puts into the new steps what people wrote into the old plan.
pub fn carry(old: &Plan, mut made: Made) -> Carried {
    let by_hand = old.steps.iter().filter(|step| step.action == Action::Manual).count();
    if by_hand == old.steps.len() {
        let left = !made.steps.is_empty();
        let made = Made { steps: old.steps.clone(), footprint: old.footprint.clone() };
        return Carried { made, by_hand, kept: Vec::new(), left };
    }
    let kept = if old.sealed { keep_edits(old, &mut made) } else { Vec::new() };
    if by_hand > 0 {
        made.steps = with_steps_by_hand(&old.steps, made.steps);
    }
    Carried { made, by_hand, kept, left: false }
}

/// What a step does, and to what.
fn key(step: &Step) -> (&'static str, &str) {
    (step.action.word(), &step.object)
}

/// Keeps the old text of steps whose objects begin and end as they did in the old plan: somebody may have edited it.
fn keep_edits(old: &Plan, made: &mut Made) -> Vec<String> {
    let mut theirs: FxHashMap<(&str, &str), Vec<&Step>> = FxHashMap::default();
    for step in &old.steps {
        theirs.entry(key(step)).or_default().push(step);
    }
    let mut count: FxHashMap<(String, String), usize> = FxHashMap::default();
    for step in &made.steps {
        *count.entry((step.action.word().into(), step.object.clone())).or_default() += 1;
    }
    let mut kept = Vec::new();
    let mut seen: FxHashMap<(String, String), usize> = FxHashMap::default();
    for step in &mut made.steps {
        let own = (step.action.word().to_owned(), step.object.clone());
        let at = seen.entry(own.clone()).or_default();
        let before = theirs.get(&key(step)).filter(|steps| Some(&steps.len()) == count.get(&own));
        let before = before.and_then(|steps| steps.get(*at)).copied();
        *at += 1;
        let Some(before) = before.filter(|before| before.sql != step.sql) else { continue };
        let expected = |list: &[super::Expected]| list.iter().find(|e| e.object == step.object).cloned();
        if expected(&old.footprint) == expected(&made.footprint) {
            kept.push(step.object.clone());
            *step = Step { transaction: step.transaction, ..before.clone() };
        }
    }
    kept
}

/// Puts the old plan's steps by hand between the new ones: after the step that they followed, else before the one that
/// they preceded.
fn with_steps_by_hand(old: &[Step], new: Vec<Step>) -> Vec<Step> {
    let computed = |step: &&Step| step.action != Action::Manual;
    let mut slots: Vec<Vec<usize>> = vec![Vec::new(); new.len() + 1];
    for at in (0..old.len()).filter(|at| old[*at].action == Action::Manual) {
        let mut before = old.iter().take(at).rev().filter(computed);
        let mut after = old.iter().skip(at + 1).filter(computed);
        let behind = before.find_map(|step| new.iter().rposition(|n| key(n) == key(step)).map(|found| found + 1));
        let slot = behind.or_else(|| after.find_map(|step| new.iter().position(|n| key(n) == key(step))));
        if let Some(slot) = slots.get_mut(slot.unwrap_or(new.len())) {
            slot.push(at);
        }
    }
    let mut out: Vec<Step> = Vec::new();
    // The number of the transaction, that of the last computed step in the new plan, and whether a step by hand ended it.
    let (mut number, mut last, mut ended) = (0, None, false);
    let mut hand = slots.into_iter();
    let mut put_by_hand = |out: &mut Vec<Step>, number: &mut u32, ended: &mut bool| {
        for at in hand.next().into_iter().flatten() {
            let own = old[at].transaction;
            let joins = |other: Option<&Step>| other.is_some_and(|other| other.transaction == own);
            if out.is_empty() || *ended || !joins(at.checked_sub(1).and_then(|before| old.get(before))) {
                *number += 1;
            }
            *ended = !joins(old.get(at + 1));
            out.push(Step { transaction: *number, ..old[at].clone() });
        }
    };
    for step in new {
        put_by_hand(&mut out, &mut number, &mut ended);
        if out.is_empty() || ended || last.is_some_and(|last| last != step.transaction) {
            number += 1;
        }
        (last, ended) = (Some(step.transaction), false);
        out.push(Step { transaction: number, ..step });
    }
    put_by_hand(&mut out, &mut number, &mut ended);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::Mode;

    fn step(action: Action, object: &str, transaction: u32) -> Step {
        Step {
            object: object.into(),
            action,
            with: Vec::new(),
            about: Vec::new(),
            sql: format!("{} {object}", action.word()),
            mode: Mode::Normal,
            transaction,
            path: Vec::new(),
            lock: None,
            fill: None,
            hazards: Vec::new(),
            locks: Vec::new(),
            secrets: Vec::new(),
            rights: Vec::new(),
            inverse: Vec::new(),
        }
    }

    fn shown(steps: &[Step]) -> Vec<String> {
        steps.iter().map(|step| format!("{} {} {}", step.transaction, step.action.word(), step.object)).collect()
    }

    #[test]
    fn steps_by_hand_stay_between_their_neighbours() {
        use Action::{Create, Drop, Manual};
        let old = [step(Create, "a", 1), step(Manual, "copy", 1), step(Drop, "b", 1)];
        let new = vec![step(Create, "z", 1), step(Create, "a", 2), step(Drop, "b", 2)];
        let both = with_steps_by_hand(&old, new);
        assert_eq!(shown(&both), ["1 create z", "2 create a", "2 manual copy", "2 drop b"]);
        let alone = with_steps_by_hand(&[step(Manual, "copy", 1), step(Drop, "b", 2)], vec![step(Drop, "b", 1)]);
        assert_eq!(shown(&alone), ["1 manual copy", "2 drop b"]);
        let lost = with_steps_by_hand(&old, vec![step(Create, "z", 1)]);
        assert_eq!(shown(&lost), ["1 create z", "1 manual copy"]);
    }
}
