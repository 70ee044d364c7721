//! Compares two states and lists the changes. It knows nothing about any kind: the kinds' tables and rooms say what a difference means.

pub mod lineage;
pub mod rename;
mod renamed_along;
mod renamed_texts;
mod renamed_types;
pub mod signature;
pub mod swap;

use rustc_hash::FxHashSet;

use crate::kinds::room;
use crate::model::{Attrs, Change, ObjectId, OnChange, State, Value};

/// An attribute whose two values differ in SQL text or type names alone; only the server may say whether they are different.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Open {
    pub id: ObjectId,
    pub attr: &'static str,
}

/// Two states side by side.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Only in the second, in its order.
    pub created: Vec<ObjectId>,
    /// Only in the first, in its order.
    pub dropped: Vec<ObjectId>,
    /// In both, with attributes that surely differ.
    pub changed: Vec<(ObjectId, Vec<&'static str>)>,
    /// Not decided by text.
    pub open: Vec<Open>,
}

impl Comparison {
    /// True if nothing differs for sure and nothing is open.
    pub fn is_empty(&self) -> bool {
        self.created.is_empty() && self.dropped.is_empty() && self.changed.is_empty() && self.open.is_empty()
    }
}

/// Compares object by object, attribute by attribute.
pub fn compare(old: &State, new: &State) -> Comparison {
    let mut out = Comparison::default();
    for (id, object) in new.iter() {
        let both = old.get(id).and_then(|before| lineage::alike(id, [before, object], old, new));
        let Some([before, object]) = both else {
            if !lineage::said_again(id, new, old) {
                out.created.push(id.clone());
            }
            continue;
        };
        if before.attrs == object.attrs {
            continue;
        }
        let mut changed = Vec::new();
        for attr in id.kind().attrs {
            if attr.on_change == OnChange::CreationOnly {
                continue;
            }
            match (before.value(attr.name), object.value(attr.name)) {
                (a, b) if a == b => {}
                (_, None) if attr.on_change == OnChange::AlterIfSaid => {}
                _ if room(id.kind()).same(attr, &before, &object) => {}
                (Some(a), Some(b)) if alike(a, b) => out.open.push(Open { id: id.clone(), attr: attr.name }),
                _ => changed.push(attr.name),
            }
        }
        if !changed.is_empty() {
            out.changed.push((id.clone(), changed));
        }
    }
    let gone = old.iter().map(|(id, _)| id).filter(|id| !new.has(id) && !lineage::said_again(id, old, new));
    out.dropped.extend(gone.cloned());
    out
}

/// True if the values are equal but for SQL text and type names.
fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Expr(_), Value::Expr(_)) | (Value::Type(_), Value::Type(_)) => true,
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)),
        (Value::Record(a), Value::Record(b)) => records_alike(a, b),
        _ => a == b,
    }
}

fn records_alike(a: &Attrs, b: &Attrs) -> bool {
    a.iter().count() == b.iter().count()
        && a.iter().all(|(name, value)| b.value(name).is_some_and(|other| alike(value, other)))
}

/// What was found out about open questions.
#[derive(Debug, Default)]
pub struct Answers {
    /// The two values mean the same.
    pub same: FxHashSet<Open>,
    /// They do not, but the new one can be put in place of the old one, whatever the kind's table says.
    pub in_place: FxHashSet<Open>,
}

/// The changes, once the open questions are answered.
pub fn changes(comparison: &Comparison, answers: &Answers, old: &State, new: &State) -> Vec<Change> {
    let mut changed = comparison.changed.clone();
    for open in comparison.open.iter().filter(|open| !answers.same.contains(open)) {
        match changed.iter_mut().find(|(id, _)| *id == open.id) {
            Some((_, attrs)) => attrs.push(open.attr),
            None => changed.push((open.id.clone(), vec![open.attr])),
        }
    }
    let mut out: Vec<Change> = comparison.dropped.iter().cloned().map(Change::Drop).collect();
    for (id, attrs) in changed {
        let (Some(before), Some(after)) = (old.get(&id), new.get(&id)) else { continue };
        let room = room(id.kind());
        let replaced = attrs
            .iter()
            .filter(|attr| !answers.in_place.contains(&Open { id: id.clone(), attr }))
            .filter_map(|name| id.kind().attr(name))
            .any(|attr| room.on_change(attr, before, after) == OnChange::Replace);
        out.push(if replaced { Change::Replace(id, attrs) } else { Change::Alter(id, attrs) });
    }
    out.extend(comparison.created.iter().cloned().map(Change::Create));
    out
}
