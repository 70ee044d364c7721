//! Orders what gives a name back and what takes it: only one object can have it at a time.

use rustc_hash::FxHashMap;

use crate::kinds::room;
use crate::model::{Namespace, ObjectId, State, Text};

use super::{Act, Graph};

impl Graph {
    /// A name is free before it is taken again.
    pub(super) fn slots(&mut self, old: &State, new: &State) {
        let mut taken: FxHashMap<Slot, usize> = FxHashMap::default();
        for (i, node) in self.nodes.iter().enumerate() {
            if node.act == Act::Drop {
                taken.extend(slots(&node.id, old).into_iter().map(|slot| (slot, i)));
            }
        }
        if taken.is_empty() {
            return;
        }
        for i in 0..self.nodes.len() {
            if matches!(self.nodes[i].act, Act::Create | Act::Rename(_)) {
                for slot in slots(&self.nodes[i].id, new) {
                    // What is renamed and then replaced is dropped under its new name.
                    let other =
                        |drop: &usize| self.nodes[*drop].id != self.nodes[i].id || self.nodes[i].act == Act::Create;
                    if let Some(drop) = taken.get(&slot).copied().filter(other) {
                        self.before(drop, i);
                    }
                }
            }
        }
    }
}

/// A name that only one object can have.
type Slot = (u8, Option<ObjectId>, Text);

fn slots(id: &ObjectId, state: &State) -> Vec<Slot> {
    let schema = id.schema().cloned();
    let name = id.name().text();
    let relation = (0, schema.clone(), name.clone());
    let sql_type = (1, schema.clone(), name.clone());
    match id.kind().namespace {
        Namespace::Relation => vec![relation, sql_type],
        Namespace::Type => {
            let other = state.get(id).and_then(|object| room(id.kind()).other_type(id, object));
            let other = other.map(|other| (1, other.schema().cloned(), other.name().text()));
            std::iter::once(sql_type).chain(other).collect()
        }
        Namespace::Routine => {
            let signature = id.signature().map_or("", |s| s);
            vec![(2, schema, format!("{}({signature})", id.name().as_str()).into())]
        }
        Namespace::Constraint => vec![(3, id.parent().cloned(), name)],
        Namespace::IndexConstraint => vec![relation, (3, id.parent().cloned(), name)],
        Namespace::ColumnValue => {
            let other = state.get(id).and_then(|object| room(id.kind()).takes(id, object));
            let other = other.map(|name| (0, schema, name.text()));
            other.into_iter().chain([(4, id.parent().cloned(), "".into())]).collect()
        }
        Namespace::PrimaryKey => vec![relation, (3, id.parent().cloned(), name), (5, id.parent().cloned(), "".into())],
        Namespace::Own => {
            let signature = id.signature().map_or("", |s| s);
            vec![(6, id.parent().cloned(), format!("{} {} {signature}", id.kind().word, id.name().as_str()).into())]
        }
    }
}
