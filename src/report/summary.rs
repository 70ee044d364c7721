//! A plan in numbers: what it creates and drops, its transactions, its hazards, whether it can be rolled back.

use rustc_hash::FxHashSet;

use crate::kinds::Mode;
use crate::plan::{Action, Hazard, Step};

/// `3 to create, 1 to drop`; empty for no steps.
pub fn counts(steps: &[Step]) -> String {
    let mut out: Vec<String> = Vec::new();
    let whole = steps.iter().filter(|step| matches!(step.action, Action::Create | Action::Drop));
    let whole: FxHashSet<&str> = whole.map(|step| step.object.as_str()).collect();
    for (action, word) in [
        (Action::Create, "to create"),
        (Action::Alter, "to alter"),
        (Action::Rename, "to rename"),
        (Action::Drop, "to drop"),
        (Action::Manual, "by hand"),
    ] {
        // A placeholder of a created or dropped object is altered as well, and does not count separately.
        let own = || {
            steps
                .iter()
                .filter(|step| step.action == action && !(action == Action::Alter && whole.contains(&&*step.object)))
        };
        let count = if action == Action::Manual {
            own().count()
        } else {
            let mut objects: Vec<&str> = own().map(|s| s.object.as_str()).collect();
            objects.sort_unstable();
            objects.dedup();
            // For a rename, `with` is the old name.
            let with = own().filter(|_| action != Action::Rename).map(|s| s.with.len());
            objects.len() + with.sum::<usize>()
        };
        if count > 0 {
            out.push(format!("{count} {word}"));
        }
    }
    out.join(", ")
}

/// `7 steps in 2 transactions`, with those that run outside of any.
pub fn order(steps: &[Step]) -> String {
    let plural = |n: usize, word: &str| if n == 1 { format!("1 {word}") } else { format!("{n} {word}s") };
    let alone: Vec<u32> = steps.iter().filter(|s| s.mode == Mode::Alone).map(|s| s.transaction).collect();
    let mut transactions: Vec<u32> = steps.iter().filter(|s| s.mode != Mode::Alone).map(|s| s.transaction).collect();
    transactions.dedup();
    let mut out = plural(steps.len(), "step");
    match (transactions.len(), alone.as_slice()) {
        (0, _) => out.push_str(" outside of transactions"),
        (n, []) => out.push_str(&format!(" in {}", plural(n, "transaction"))),
        (n, alone) => {
            let list: Vec<String> = alone.iter().map(|number| format!("[{number}]")).collect();
            out.push_str(&format!(" in {}, {} outside of any", plural(n, "transaction"), list.join(", ")));
        }
    }
    out
}

/// The hazards and how often each occurs, in the order of the steps.
pub fn hazards<'a>(steps: impl IntoIterator<Item = &'a Step>) -> Vec<(Hazard, usize)> {
    let mut out: Vec<(Hazard, usize)> = Vec::new();
    for finding in steps.into_iter().flat_map(|step| &step.hazards) {
        match out.iter_mut().find(|(hazard, _)| *hazard == finding.hazard) {
            Some((_, count)) => *count += 1,
            None => out.push((finding.hazard, 1)),
        }
    }
    out
}

/// `--allow data-loss,drops-index`.
pub fn allow(hazards: &[(Hazard, usize)]) -> String {
    let words: Vec<&str> = hazards.iter().map(|(hazard, _)| hazard.word()).collect();
    format!("--allow {}", words.join(","))
}

/// Whether the steps can be rolled back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WayBack {
    /// What is not restored; empty: everything is.
    pub lost: Vec<String>,
    /// The hazards of going back.
    pub hazards: Vec<(Hazard, usize)>,
}

/// Looks at the inverses of the steps.
pub fn way_back(steps: &[Step]) -> WayBack {
    let mut lost: Vec<String> = Vec::new();
    for step in steps {
        // The first object of a step represents those that go with it: a table's columns.
        let found = step.hazards.iter().find(|f| f.hazard == Hazard::Irreversible).map(|f| f.reason.clone());
        let by_hand = step.action == Action::Manual && step.inverse.is_empty();
        let by_hand = by_hand.then(|| format!("nothing undoes the step by hand `{}`", super::line(&step.sql, 40)));
        // What the new type holds and the old one does not. Where the way there changes values, that is said above; where it does not and
        // yet needs leave, as for a zone, they come back.
        let changes = step.action == Action::Alter && step.hazards.iter().all(|f| f.hazard != Hazard::DataLoss);
        let on_the_way = step.inverse.iter().flat_map(|back| &back.hazards);
        let on_the_way =
            on_the_way.filter(|f| changes && f.hazard == Hazard::DataLoss).map(|f| format!("going back: {}", f.reason));
        for line in found.into_iter().chain(by_hand).chain(on_the_way) {
            if !lost.contains(&line) {
                lost.push(line);
            }
        }
    }
    WayBack { lost, hazards: hazards(steps.iter().flat_map(|step| &step.inverse)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Finding;

    fn step(action: Action, transaction: u32, mode: Mode) -> Step {
        Step {
            object: if action == Action::Manual { String::new() } else { "table public.t".into() },
            action,
            with: Vec::new(),
            about: Vec::new(),
            sql: "UPDATE t\n SET a = 1".into(),
            mode,
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

    #[test]
    fn steps_in_numbers() {
        let steps = [
            step(Action::Create, 1, Mode::Normal),
            Step { object: "table public.u".into(), ..step(Action::Alter, 2, Mode::Alone) },
            // Its first component does not count as its own.
            step(Action::Alter, 1, Mode::Normal),
            step(Action::Manual, 3, Mode::Normal),
            step(Action::Manual, 3, Mode::Normal),
        ];
        assert_eq!(counts(&steps), "1 to create, 1 to alter, 2 by hand");
        assert_eq!(order(&steps), "5 steps in 2 transactions, [2] outside of any");
        assert_eq!(order(&steps[..1]), "1 step in 1 transaction");
        assert_eq!(order(&steps[1..2]), "1 step outside of transactions");
        assert_eq!(way_back(&steps).lost, ["nothing undoes the step by hand `UPDATE t SET a = 1`"]);
    }

    #[test]
    fn hazards_there_and_back() {
        let mut one = step(Action::Drop, 1, Mode::Normal);
        let finding = |hazard| Finding { hazard, reason: "because".into() };
        one.hazards = vec![finding(Hazard::DataLoss), finding(Hazard::Irreversible), finding(Hazard::DataLoss)];
        let mut back = step(Action::Create, 1, Mode::Normal);
        back.hazards = vec![finding(Hazard::BlocksWrites)];
        one.inverse = vec![back];
        let found = hazards([&one]);
        assert_eq!(found, [(Hazard::DataLoss, 2), (Hazard::Irreversible, 1)]);
        assert_eq!(allow(&found), "--allow data-loss,irreversible");
        let way = way_back(std::slice::from_ref(&one));
        assert_eq!((way.lost, way.hazards), (vec!["because".into()], vec![(Hazard::BlocksWrites, 1)]));
    }
}
