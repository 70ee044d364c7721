//! Which locks a step claims.

use crate::kinds::{Heirs, LockMode, Statement, find, inheritance, room};
use crate::model::{Namespace, ObjectId, State, Within};

use super::fold::Turn;
use super::graph::Act;
use super::make::Maker;
use super::{Action, Step};

/// A mode, and what is locked.
pub(super) type Lock = (LockMode, String);

impl Maker<'_> {
    /// The locks on other tables that the turn takes.
    fn reached(&self, turn: &Turn) -> Vec<(LockMode, String)> {
        let node = &self.graph.nodes[turn.node];
        let (state, drops) = match node.act {
            Act::Create => (self.wanted.new, false),
            Act::Drop => (self.wanted.old, true),
            _ => return Vec::new(),
        };
        let mut out =
            reached(std::iter::once(&node.id).chain(turn.with.iter().map(|n| &self.graph.nodes[*n].id)), state, drops);
        // A key that is created or dropped with its table locks each partition of the table that it references. A key's own step claims these itself.
        if node.id.root() == &node.id {
            let keys = turn.with.iter().filter_map(|n| state.get(&self.graph.nodes[*n].id).zip(Some(*n)));
            for (object, n) in keys {
                let Some((mode, other)) = room(self.graph.nodes[n].id.kind()).reaches(object, drops) else { continue };
                let parts = inheritance::partitions(state, &other);
                if drops && !parts.is_empty() && !self.wanted.server.at_least(15) {
                    // Only the partitions have triggers for the key (since 15 these have parents on the partitioned table).
                    out.retain(|(_, on)| *on != other.to_string());
                }
                let parts = parts.into_iter().filter(|part| self.is_there(part));
                out.extend(parts.map(|part| (mode, part.to_string())).collect::<Vec<_>>());
            }
        }
        out
    }

    /// True if the object exists before the plan, as far as that is known if only a part of the state is planned.
    pub(super) fn is_there(&self, id: &ObjectId) -> bool {
        self.wanted.old.has(id) || self.wanted.new.has(id) && !self.made_new(id.root())
    }

    /// The lock of a statement, and its locks on other objects that exist before the plan.
    pub(super) fn locks(&self, turn: &Turn, statement: &Statement, first: bool) -> (Option<Lock>, Vec<Lock>) {
        // While names are swapped, one of the objects has a name that neither state knows.
        let meanwhile = |on: &ObjectId| {
            let node = &self.graph.nodes[turn.node];
            matches!(&node.act, Act::Rename(from) if from == on || node.id == *on)
                && self.graph.is_meanwhile(on, self.wanted.old, self.wanted.new)
        };
        let there =
            |(mode, on): &(LockMode, ObjectId)| (self.is_there(on) || meanwhile(on)).then(|| (*mode, on.to_string()));
        let lock = statement.lock.as_ref().and_then(there);
        let mut others = if first { self.reached(turn) } else { Vec::new() };
        others.extend(statement.also.iter().filter_map(there));
        others.retain(|other| Some(other) != lock.as_ref());
        (lock, others)
    }
}

impl Step {
    /// Which heirs of a table the step locks with that table.
    pub fn heirs(&self, on: &str) -> Heirs {
        let Some(room) = self.object.split(' ').next().and_then(find) else { return Heirs::None };
        let heirs = room.heirs(self.action == Action::Drop);
        // A change to a table does not reach the heirs of another one, and a change to an index reaches no other index.
        let is_relation = room.kind().namespace == Namespace::Relation;
        let in_schema = is_relation && room.kind().within == Within::Schema;
        match heirs {
            Heirs::Partitions if is_relation && self.action == Action::Alter => Heirs::None,
            Heirs::All => Heirs::All,
            _ if in_schema && on != self.object => Heirs::None,
            heirs => heirs,
        }
    }
}

/// The other tables that are locked when these objects are created or dropped.
pub(super) fn reached<'i>(
    ids: impl Iterator<Item = &'i ObjectId>,
    state: &State,
    drops: bool,
) -> Vec<(LockMode, String)> {
    let mut out: Vec<(LockMode, String)> = Vec::new();
    for id in ids {
        let other = state.get(id).and_then(|object| room(id.kind()).reaches(object, drops));
        let other = other.filter(|(_, other)| other != id.root());
        let Some(other) = other.map(|(mode, other)| (mode, other.to_string())) else { continue };
        if !out.contains(&other) {
            out.push(other);
        }
    }
    out
}
