//! Orders default privileges relative to the objects that get privileges from them.

use crate::kinds::manage;
use crate::model::ObjectId;

use super::Graph;

impl Graph {
    /// Default privileges that go do so before anything is made that would still get them. Whoever makes a plan knows what his own ones
    /// give, and takes it back; those of another role that runs the plan he does not.
    pub(super) fn defaults(&mut self) {
        let gone: Vec<(ObjectId, usize)> = self.drops.iter().map(|(id, node)| (id.clone(), *node)).collect();
        for (id, first) in gone {
            let Some(word) = manage::gives_defaults(&id) else { continue };
            let taking = self.creates.iter().filter(|(made, _)| manage::takes_defaults(made) == Some(word));
            let taking: Vec<usize> = taking.map(|(_, node)| *node).collect();
            taking.into_iter().for_each(|then| self.rather_before(first, then));
        }
    }
}
