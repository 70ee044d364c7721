//! Orders default privileges relative to the objects that get privileges from them.

use crate::kinds::manage;
use crate::model::{ObjectId, State};

use super::Graph;

impl Graph {
    /// Default privileges that go, or give less than before, do so before anything is made that would still get them; those that only
    /// give more wait until it is made. A role that makes a plan knows what its own ones give, and revokes it; it does not know those of another role
    /// that runs the plan.
    pub(super) fn defaults(&mut self, old: &State, new: &State) {
        let gone = self.drops.iter().map(|(id, node)| (id.clone(), *node, true));
        let changed = self.alters.iter().filter_map(|(id, node)| {
            let (before, after) = (old.get(id)?, new.get(id)?);
            Some((id.clone(), *node, manage::default_takes(id, before, after)?))
        });
        let all: Vec<(ObjectId, usize, bool)> = gone.chain(changed).collect();
        for (id, node, takes) in all {
            let Some(word) = manage::gives_defaults(&id) else { continue };
            let taking = self.creates.iter().filter(|(made, _)| manage::takes_defaults(made) == Some(word));
            let taking: Vec<usize> = taking.map(|(_, node)| *node).collect();
            for made in taking {
                let (first, then) = if takes { (node, made) } else { (made, node) };
                self.rather_before(first, then);
            }
        }
    }
}
