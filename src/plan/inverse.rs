//! Computes the inverse of a turn, with the same rooms in the opposite direction, while the turn is planned.

use std::borrow::Cow;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::catalog::Version;
use crate::diff::Open;
use crate::kinds::rights::Right;
use crate::kinds::{Statement, room};
use crate::model::{Change, Edges, Object, ObjectId, OnChange, Result, State};

use super::claimed::reached;
use super::fold::Turn;
use super::graph::{Act, Node, Side};
use super::hazards::{self, Bodies, Finding, Hazard, Subject};
use super::make::{Maker, path, steps};
use super::needs::Names;
use super::wanted::Wanted;
use super::{Action, Step, rebuild};

impl Maker<'_> {
    /// What rolls the turn back, and the effect of the turn on the current state.
    pub(super) fn inverse(&self, turn: &Turn, current: &mut Current<'_>) -> Result<Vec<Step>> {
        let node = &self.graph.nodes[turn.node];
        let (old, new) = (self.cx(self.wanted.old), self.cx(self.wanted.new));
        let (id, room) = (&node.id, room(node.id.kind()));
        let with = self.with(turn);
        match &node.act {
            Act::Rename(from) => {
                let object = self.wanted.old.get(id).cloned().unwrap_or_default();
                let mut statements = room.rename(id, from, &object, &new)?;
                // The inverse begins with the name that it has then.
                let locks = statements.iter_mut().flat_map(|s| s.lock.iter_mut().chain(&mut s.also));
                locks.filter(|(_, on)| on == from).for_each(|(_, on)| on.clone_from(id));
                Ok(plain(id, Action::Rename, statements, Vec::new(), Vec::new()))
            }
            Act::Create => {
                let Some(object) = node.after(self.wanted.new) else { return Ok(Vec::new()) };
                current.put(id, object);
                for child in &with {
                    if let Some(object) = self.wanted.new.get(child) {
                        current.put(child, object);
                    }
                }
                let statements = room.drop(id, object, &new)?;
                let hazards = self.hazards_back(node, Action::Drop, &statements);
                let mut back = plain(id, Action::Drop, statements, Vec::new(), hazards);
                if let Some(first) = back.first_mut() {
                    let ids = std::iter::once(id).chain(&with);
                    let mut locks = reached(ids, self.wanted.new, true);
                    locks.retain(|other| Some(other) != first.lock.as_ref() && !first.locks.contains(other));
                    first.locks.extend(locks);
                }
                Ok(back)
            }
            Act::Drop => {
                let mut gone = vec![id.clone()];
                gone.extend(with);
                gone.iter().for_each(|id| current.remove(id));
                // Everything that was dropped is recreated, in the order of its own dependencies.
                let changes = gone.iter().filter(|id| self.wanted.old.has(id)).cloned().map(Change::Create).collect();
                // Its default privileges may still be in force then.
                let mut start = self.defaults[1].clone();
                for ancestor in id.ancestors() {
                    start.put(ancestor.clone(), self.wanted.old.get(ancestor).cloned().unwrap_or_default());
                }
                let mut then = Cow::Borrowed(self.wanted.old);
                if let Some(placeholder) = node.stands_in(Side::Before) {
                    then.to_mut().put(id.clone(), placeholder.clone());
                }
                let mut again = make_again(self.wanted, &start, &then, changes)?;
                if node.replaced {
                    put_back_only(&mut again);
                }
                Ok(again)
            }
            Act::Alter(attrs) => {
                let (Some(before), Some(after)) = (node.before(self.wanted.old), node.after(self.wanted.new)) else {
                    return Ok(Vec::new());
                };
                current.put(id, after);
                let back = attrs
                    .iter()
                    .filter(|attr| !self.wanted.in_place.contains(&Open { id: id.clone(), attr }))
                    .filter_map(|name| id.kind().attr(name))
                    .any(|attr| room.on_change(attr, after, before) == OnChange::Replace);
                if back {
                    return current.replace_back(id, before, attrs, self.wanted.server);
                }
                let mut back = attrs.clone();
                back.reverse();
                let statements = room.alter(id, after, before, &back, &old)?;
                let hazards = self.hazards_back(node, Action::Alter, &statements);
                Ok(plain(id, Action::Alter, statements, self.rights_back(node), hazards))
            }
            Act::Rebuild(columns) => {
                for part in rebuild::takes_along(id, self.wanted.old) {
                    current.remove(&part);
                }
                if let Some(after) = self.wanted.new.get(id) {
                    current.put(id, after);
                }
                for part in rebuild::takes_along(id, self.wanted.new) {
                    if let Some(object) = self.wanted.new.get(&part) {
                        current.put(&part, object);
                    }
                }
                let (now, then) = (self.wanted.new, self.wanted.old);
                let findings =
                    columns.iter().flat_map(|column| hazards::rebuilt(id, column, (now, then), self.wanted.edges));
                let findings = findings.filter(|finding| finding.hazard != Hazard::Irreversible).collect();
                let mut back = plain(
                    id,
                    Action::Alter,
                    rebuild::statements(id, columns, &new, &old)?,
                    self.rights_back(node),
                    findings,
                );
                // Comments, owner and grants of the type as it was, and comments of its parts.
                let came_along = |child: &ObjectId| {
                    child.kind().folds && child.parent() == Some(id) || !child.ancestors().any(|a| a == id)
                };
                let facets: Vec<Change> = self
                    .wanted
                    .old
                    .iter()
                    .filter(|(child, _)| !came_along(child))
                    .map(|(child, _)| Change::Create(child.clone()))
                    .collect();
                // Its default privileges may still be in force then.
                let mut start = self.defaults[1].clone();
                start.put(id.clone(), self.wanted.old.get(id).cloned().unwrap_or_default());
                for part in rebuild::takes_along(id, self.wanted.old) {
                    let object = self.wanted.old.get(&part).cloned().unwrap_or_default();
                    start.put(part, object);
                }
                let mut again = make_again(self.wanted, &start, self.wanted.old, facets)?;
                put_back_only(&mut again);
                back.extend(again);
                Ok(back)
            }
        }
    }

    /// The hazards of rolling a turn back. That the plan's own names disappear is the purpose of a rollback, but what was written under
    /// them since would be lost. Whatever is dropped with a table that the plan created is covered by the table's hazards.
    fn hazards_back(&self, node: &Node, action: Action, statements: &[Statement]) -> Vec<Finding> {
        let (id, old, new) = (&node.id, self.wanted.old, self.wanted.new);
        let made = self.made_new(id.root());
        if made && id != id.root() || node.placeholder.is_some() {
            return Vec::new();
        }
        let subject = Subject {
            action,
            id,
            old: new.get(id),
            new: old.get(id).filter(|_| action != Action::Drop),
            changed: match &node.act {
                Act::Alter(attrs) => attrs,
                _ => &[],
            },
            replaced: node.replaced,
            on_existing: !made && action != Action::Drop,
            before: new,
            there: new,
            after: old,
            edges: self.wanted.edges,
            recorded: None,
            bodies: &|| self.bodies[0].get_or_init(|| Bodies::new(old)),
            old_name: Some(id.name().as_str()),
            lock: statements.iter().filter_map(|s| s.lock.as_ref()).map(|(mode, _)| *mode).max(),
        };
        let mut findings = hazards::find(&subject);
        findings.retain(|finding| match action {
            Action::Drop => finding.hazard == Hazard::DataLoss || finding.hazard.is_about_time(),
            _ => finding.hazard != Hazard::Irreversible,
        });
        findings
    }
}

/// Steps that recreate objects of the old state, `then`, in a database that already has `start`.
fn make_again(wanted: &Wanted<'_>, start: &State, then: &State, changes: Vec<Change>) -> Result<Vec<Step>> {
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    let edges = Edges::default();
    let mut back = Wanted::new(start, then, &edges, changes, wanted.server).by(wanted.creator);
    back.beyond = Some(wanted.new);
    Ok(steps(&back, false)?.into_iter().map(|(_, step)| step).collect())
}

/// Recreating something unchanged changes nobody's access.
fn put_back_only(steps: &mut [Step]) {
    for step in steps {
        step.hazards.retain(|finding| finding.hazard != Hazard::ChangesAccess);
    }
}

fn plain(
    id: &ObjectId,
    action: Action,
    statements: Vec<Statement>,
    mut rights: Vec<(Right, String)>,
    mut hazards: Vec<Finding>,
) -> Vec<Step> {
    statements
        .into_iter()
        .map(|statement| Step {
            object: id.to_string(),
            action,
            with: Vec::new(),
            about: Vec::new(),
            mode: statement.mode,
            transaction: 1,
            path: path(id),
            lock: statement.lock.map(|(mode, on)| (mode, on.to_string())),
            locks: statement.also.iter().map(|(mode, on)| (*mode, on.to_string())).collect(),
            rights: std::mem::take(&mut rights),
            secrets: statement.secrets.iter().map(ToString::to_string).collect(),
            fill: statement.fill.as_ref().map(ToString::to_string),
            hazards: std::mem::take(&mut hazards),
            sql: statement.sql,
            inverse: Vec::new(),
        })
        .collect()
}

/// The state as it is after the turns so far: where a change cannot be rolled back in place, its inverse is planned from here.
pub(super) struct Current<'a> {
    wanted: &'a Wanted<'a>,
    made: FxHashMap<ObjectId, Object>,
    gone: FxHashSet<ObjectId>,
}

impl<'a> Current<'a> {
    pub(super) fn new(wanted: &'a Wanted<'a>) -> Self {
        Self { wanted, made: FxHashMap::default(), gone: FxHashSet::default() }
    }

    fn put(&mut self, id: &ObjectId, object: &Object) {
        self.gone.remove(id);
        self.made.insert(id.clone(), object.clone());
    }

    fn remove(&mut self, id: &ObjectId) {
        self.made.remove(id);
        self.gone.insert(id.clone());
    }

    fn state(&self) -> State {
        let mut state = State::default();
        for (id, object) in self.wanted.old.iter() {
            if !self.gone.contains(id) {
                state.put(id.clone(), self.made.get(id).unwrap_or(object).clone());
            }
        }
        for (id, _) in self.wanted.new.iter() {
            if let Some(object) = self.made.get(id) {
                state.put(id.clone(), object.clone());
            }
        }
        state
    }

    /// The steps that take `id` back to `before` by replacing it and what depends on it now.
    fn replace_back(
        &self,
        id: &ObjectId,
        before: &Object,
        attrs: &[&'static str],
        server: Version,
    ) -> Result<Vec<Step>> {
        let now = self.state();
        let mut then = now.clone();
        then.put(id.clone(), before.clone());
        let names = Names::new(&now);
        let mut edges = Edges::default();
        for (other, object) in now.iter() {
            let needs = if self.made.contains_key(other) {
                let needs = names.needs(other, object);
                [needs.hard, needs.soft].concat()
            } else {
                self.wanted.edges.get(other).into_iter().flatten().filter(|n| now.has(n)).cloned().collect()
            };
            if !needs.is_empty() {
                edges.insert(other.clone(), needs);
            }
        }
        let changes = vec![Change::Replace(id.clone(), attrs.to_vec())];
        let back = Wanted::new(&now, &then, &edges, changes, server).by(self.wanted.creator);
        Ok(steps(&back, false)?.into_iter().map(|(_, step)| step).collect())
    }
}
