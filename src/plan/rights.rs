//! The privileges that a turn needs on objects other than its own and the tables that it locks. Objects that an earlier step creates are
//! included, because another role may have run that step.

use crate::kinds::rights::{self, Demand, Right};
use crate::kinds::room;
use crate::model::{Object, ObjectId, State};

use super::fold::Turn;
use super::graph::{Act, Node};
use super::make::Maker;
use super::needs::Needs;

impl Maker<'_> {
    /// What the turn needs; `needs` finds the objects that one of the state after needs.
    pub(super) fn rights(&self, turn: &Turn, needs: &dyn Fn(&ObjectId) -> Needs) -> Vec<(Right, String)> {
        let new = self.wanted.new;
        let node = &self.graph.nodes[turn.node];
        let mut out = match &node.act {
            Act::Create => {
                let with = self.with(turn);
                let made = with.iter().filter_map(|id| Some((id, new.get(id)?)));
                let itself = node.after(new).map(|object| (&node.id, object));
                itself.into_iter().chain(made).flat_map(|(id, object)| made_anew(id, object)).collect()
            }
            Act::Alter(attrs) => node.after(new).map_or_else(Vec::new, |object| of(&node.id, object, Some(attrs))),
            Act::Rebuild(_) => rebuilt(&node.id, new),
            Act::Drop => {
                let old = self.cx(self.wanted.old);
                let room = room(node.id.kind());
                node.before(old.state).map_or_else(Vec::new, |object| room.rights_to_drop(&node.id, object, &old))
            }
            Act::Rename(_) => Vec::new(),
        };
        if matches!(node.act, Act::Create | Act::Alter(_)) && node.placeholder.is_none() {
            let ids = std::iter::once(node.id.clone()).chain(self.with(turn));
            ids.for_each(|id| out.extend(schemas(&id, new, needs)));
        }
        once(out)
    }

    /// What it takes to alter the node's object back.
    pub(super) fn rights_back(&self, node: &Node) -> Vec<(Right, String)> {
        let old = self.wanted.old;
        once(match &node.act {
            Act::Alter(attrs) => node.before(old).map_or_else(Vec::new, |object| of(&node.id, object, Some(attrs))),
            Act::Rebuild(_) => rebuilt(&node.id, old),
            _ => Vec::new(),
        })
    }
}

fn of(id: &ObjectId, object: &Object, changed: Option<&[&'static str]>) -> Vec<Demand> {
    room(id.kind()).rights(id, object, changed)
}

/// A relation that comes with the object is made in its schema.
fn made_anew(id: &ObjectId, object: &Object) -> Vec<Demand> {
    let mut out = of(id, object, None);
    out.extend(rights::create_beside(id).filter(|_| room(id.kind()).takes(id, object).is_some()));
    out
}

/// A type that is rebuilt is made under its name while the old one is still there.
fn rebuilt(id: &ObjectId, state: &State) -> Vec<Demand> {
    let mut out = state.get(id).map_or_else(Vec::new, |object| of(id, object, None));
    out.extend(rights::create_beside(id));
    out
}

/// The other schemas that the object's definition names. Where a name may be a column's, it need not mean something in `public`.
fn schemas(id: &ObjectId, state: &State, needs: &dyn Fn(&ObjectId) -> Needs) -> Vec<Demand> {
    if state.of_kind("schema").nth(1).is_none() {
        return Vec::new();
    }
    let Needs { hard, soft, .. } = needs(id);
    let soft = soft.iter().filter(|id| id.schema().is_some_and(|schema| schema.name().as_str() != "public"));
    let others = hard.iter().chain(soft).filter_map(ObjectId::schema).filter(|schema| Some(*schema) != id.schema());
    others.map(rights::look_into).collect()
}

fn once(demands: Vec<Demand>) -> Vec<(Right, String)> {
    let mut out: Vec<(Right, String)> = Vec::new();
    for Demand { right, on } in demands {
        if !out.iter().any(|(other, to)| *other == right && *to == on) {
            out.push((right, on));
        }
    }
    out
}
