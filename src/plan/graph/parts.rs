//! Orders related parts: of one table, of a whole and its parts, of a facet and the facet that decides about it.

use rustc_hash::FxHashMap;

use crate::kinds::refs::Refs;
use crate::kinds::{self, Direction, room};
use crate::model::{Address, Edges, Namespace, ObjectId, State, Text};

use super::{Act, Graph, Node, keys};
use crate::plan::needs::Needs;

impl Graph {
    /// What is revoked on a whole is revoked on its parts too (REVOKE on a table applies to its columns): it goes before the same
    /// is declared for a part, and what is granted comes after, so that the way back has that order, too.
    pub(super) fn wholes(&mut self) {
        let mut facets: FxHashMap<(&str, &ObjectId, &str, Option<&Text>), usize> = FxHashMap::default();
        for (i, node) in self.nodes.iter().enumerate() {
            if let Some(parent) = node.id.parent().filter(|_| node.id.kind().address == Address::Facet) {
                let (name, signature) = (node.id.name().as_str(), node.id.signature());
                facets.insert((node.id.kind().word, parent, name, signature), i);
            }
        }
        let mut pairs = Vec::new();
        for ((word, part, name, signature), inner) in &facets {
            let named = part.parent().filter(|_| part.kind().address == Address::MemberOf && !name.is_empty());
            let Some(outer) = named.and_then(|whole| facets.get(&(*word, whole, *name, *signature))) else { continue };
            pairs.push(if self.nodes[*outer].act == Act::Create { (*inner, *outer) } else { (*outer, *inner) });
        }
        pairs.sort_unstable();
        for (first, then) in pairs {
            self.rather_before(first, then);
        }
    }

    /// A facet that depends on another one is dropped before that one changes, and created after.
    pub(super) fn facets(&mut self, old: &State) {
        for node in 0..self.nodes.len() {
            let id = &self.nodes[node].id;
            let word = Some(id.kind())
                .filter(|kind| kind.address == Address::Facet)
                .and_then(|kind| room(kind).depends_on_facet());
            let Some((other, parent)) = word.and_then(kinds::find).zip(id.parent()) else { continue };
            // A part has no such facet itself: the whole's decides.
            let whole = parent.parent().filter(|_| parent.kind().address == Address::MemberOf);
            let facets = std::iter::once(parent).chain(whole).map(|on| ObjectId::facet(other.kind(), on.clone()));
            let drop = self.nodes[node].act == Act::Drop;
            let mut refs = Refs::default();
            if let Some(object) = old.get(id).filter(|_| drop && id.signature().is_some()) {
                room(id.kind()).refers(id, object, &mut refs);
            }
            let wanted = refs.objects.iter().flat_map(|n| [self.drops.get(n), self.alters.get(n)]).flatten();
            let wanted: Vec<usize> = wanted.copied().collect();
            let decides = facets.flat_map(|f| [self.creates.get(&f).copied(), self.alters.get(&f).copied()]).flatten();
            for other in decides.collect::<Vec<_>>() {
                if drop { self.before(node, other) } else { self.before(other, node) }
            }
            wanted.into_iter().for_each(|other| self.rather_before(node, other));
        }
    }

    /// What replaces something else comes before that is dropped, and everything that supplies a column's values changes in one place.
    pub(super) fn hand_over(&mut self, old: &State, new: &State) {
        let mut by_column: FxHashMap<ObjectId, Vec<usize>> = FxHashMap::default();
        let mut by_root: FxHashMap<ObjectId, Vec<usize>> = FxHashMap::default();
        for (i, node) in self.nodes.iter().enumerate() {
            let state = match node.act {
                Act::Rename(_) => continue,
                Act::Drop => old,
                _ => new,
            };
            by_root.entry(node.id.root().clone()).or_default().push(i);
            if let Some(column) = room(node.id.kind()).fills(&node.id, state).filter(|c| old.has(c) && new.has(c)) {
                by_column.entry(column).or_default().push(i);
            }
        }
        for (column, fillers) in by_column.iter().filter(|(_, fillers)| fillers.len() > 1) {
            let mut handed = false;
            let made = fillers.iter().copied().filter(|node| self.nodes[*node].act == Act::Create);
            for node in made.collect::<Vec<_>>() {
                let id = &self.nodes[node].id;
                let source = room(id.kind()).goes_on_from(id, new, old);
                if let Some(gone) = source.and_then(|source| self.drops.get(&source).copied()) {
                    self.hard[gone].retain(|then| *then != node);
                    self.before(node, gone);
                    // Statements about it use the name that it has while both exist.
                    let own = by_root.get(self.nodes[node].id.root()).into_iter().flatten().copied();
                    let own = own.filter(|n| self.nodes[*n].id.parent() == Some(&self.nodes[node].id));
                    own.collect::<Vec<_>>().into_iter().for_each(|facet| self.before(facet, gone));
                    handed = true;
                }
            }
            let of_column =
                |n: &&usize| self.nodes[**n].act != Act::Drop && self.nodes[**n].id.parent() == Some(column);
            let Some(place) = fillers.iter().find(of_column).filter(|_| handed).map(|n| self.priority[*n]) else {
                continue;
            };
            let roots = fillers.iter().map(|n| self.nodes[*n].id.root()).filter(|root| *root != column.root());
            let whole: Vec<usize> = roots.filter_map(|root| by_root.get(root)).flatten().copied().collect();
            fillers.iter().copied().chain(whole).for_each(|n| self.priority[n] = place);
        }
    }

    /// Changes that have to come one after the other.
    pub(super) fn changes(&mut self, old: &State, new: &State, edges: &Edges, needs: &dyn Fn(&ObjectId) -> Needs) {
        let mut parts: FxHashMap<ObjectId, Vec<usize>> = FxHashMap::default();
        for (i, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.id.root() != &node.id) {
            parts.entry(node.id.root().clone()).or_default().push(i);
        }
        for node in 0..self.nodes.len() {
            let (id, Act::Alter(changed)) = (&self.nodes[node].id, &self.nodes[node].act) else { continue };
            let Some(object) = new.get(id) else { continue };
            let first = room(id.kind()).changes_after(id, object, changed, new);
            // Its own parts may be made first, which otherwise come after it.
            let own = |other: &ObjectId| self.creates.get(other).filter(|_| other.parent() == Some(id));
            let first: Vec<usize> =
                first.iter().filter_map(|other| self.alters.get(other).or_else(|| own(other)).copied()).collect();
            for part in first.iter().copied() {
                self.hard[node].retain(|then| *then != part);
            }
            first.into_iter().for_each(|other| self.before(other, node));
            let id = &self.nodes[node].id;
            let direction = old.get(id).map_or(Direction::Any, |before| room(id.kind()).change(id, before, object));
            let own = parts.get(id).into_iter().flatten().copied().collect::<Vec<usize>>();
            if direction == Direction::Gives {
                let given = needs(id).hard;
                let given = given.iter().filter_map(|other| parts.get(other)).flatten().copied();
                let first: Vec<usize> =
                    given.chain(own).filter(|n| self.nodes[*n].id.kind().address != Address::Facet).collect();
                first.into_iter().for_each(|part| self.rather_before(part, node));
            } else if direction == Direction::Takes {
                let rests_on = edges.get(id).into_iter().flatten();
                let then: Vec<usize> = rests_on.clone().filter_map(|other| self.alters.get(other).copied()).collect();
                let parts = rests_on.filter_map(|other| parts.get(other)).flatten().copied().collect::<Vec<usize>>();
                then.into_iter().for_each(|other| self.before(node, other));
                parts.into_iter().chain(own).for_each(|part| self.rather_before(node, part));
            }
        }
    }

    /// Within a table: columns change (by more than their names) before constraints, indexes and triggers are created, and after those are dropped.
    /// `outdated`: what is dropped still has texts with the names from before the renames, and has to come back after these are undone.
    pub(super) fn siblings(&mut self, outdated: bool) {
        let column = |id: &ObjectId| id.kind().address == Address::MemberOf;
        let changes = |act: &Act| match act {
            Act::Create | Act::Alter(_) => true,
            Act::Rename(_) => outdated,
            Act::Drop | Act::Rebuild(_) => false,
        };
        // A column that comes back is filled before the triggers do that would fire.
        let fires =
            |node: &Node| node.id.kind().address == Address::NamedOn && node.id.kind().namespace == Namespace::Own;
        let mut by_parent: FxHashMap<ObjectId, (Vec<usize>, Vec<usize>)> = FxHashMap::default();
        let mut gone: Vec<usize> = Vec::new();
        for (i, node) in self.nodes.iter().enumerate() {
            let Some(parent) = node.id.parent().filter(|p| p.kind().address != Address::Schema) else { continue };
            let (columns, others) = by_parent.entry(parent.clone()).or_default();
            if column(&node.id) && changes(&node.act) {
                columns.push(i);
            } else if column(&node.id) && node.act == Act::Drop && self.into[i].is_none() {
                gone.push(i);
            } else if !column(&node.id) && node.id.kind().address != Address::Facet {
                others.push(i);
            }
        }
        for column in gone {
            let of_table = self.nodes[column].id.parent().and_then(|table| by_parent.get(table));
            let triggers = of_table.into_iter().flat_map(|(_, others)| others);
            let first = triggers.filter(|i| self.nodes[**i].act == Act::Drop && fires(&self.nodes[**i]));
            first.copied().collect::<Vec<_>>().into_iter().for_each(|trigger| self.rather_before(trigger, column));
        }
        for (columns, others) in by_parent.into_values() {
            if columns.len() * others.len() > 100_000 {
                continue;
            }
            for c in &columns {
                for o in &others {
                    match self.nodes[*o].act {
                        Act::Create | Act::Alter(_) => self.rather_before(*c, *o),
                        Act::Drop => self.rather_before(*o, *c),
                        _ => {}
                    }
                }
            }
        }
    }

    /// A partitioned table's indexes have parts under names of PostgreSQL's choice: they go before a partition gets indexes of its
    /// own, and come after those that could become such parts are gone.
    pub(super) fn partitions(&mut self, old: &State, new: &State) {
        for (state, there, parts) in
            [(new, keys(&self.drops), keys(&self.creates)), (old, keys(&self.creates), keys(&self.drops))]
        {
            let whole =
                |table: &ObjectId| state.get(table).and_then(|object| room(table.kind()).shares_parts_of(object));
            for (table, own) in parts {
                let wholes = std::iter::successors(whole(&table), whole);
                let wholes: Vec<usize> = wholes.filter_map(|whole| there.get(&whole)).flatten().copied().collect();
                for (part, other) in own.iter().flat_map(|part| wholes.iter().map(move |other| (*part, *other))) {
                    match self.nodes[part].act {
                        Act::Create => self.rather_before(other, part),
                        _ => self.rather_before(part, other),
                    }
                }
            }
        }
    }

    /// A foreign key on a partitioned table, or to one, is on each of its partitions, or to each: it goes before a partition comes or
    /// leaves, and comes after that. So no partition is checked for it or keeps a copy of it, and the way back has that order, too.
    pub(super) fn constraints_of_wholes(
        &mut self,
        old: &State,
        new: &State,
        edges: &Edges,
        needs: &dyn Fn(&ObjectId) -> Needs,
    ) {
        let whole = |table: &ObjectId, state: &State| room(table.kind()).shares_parts_of(state.get(table)?);
        // Partitions that come or leave, by all tables of which they are a part.
        let mut moving: FxHashMap<ObjectId, Vec<usize>> = FxHashMap::default();
        for (i, node) in self.nodes.iter().enumerate() {
            if matches!(node.act, Act::Rename(_)) || whole(&node.id, old) == whole(&node.id, new) {
                continue;
            }
            for state in [old, new] {
                for of in std::iter::successors(whole(&node.id, state), |of| whole(of, state)) {
                    moving.entry(of).or_default().push(i);
                }
            }
        }
        let constraints = self.nodes.iter().enumerate().filter(|(_, node)| {
            node.id.kind().namespace == Namespace::Constraint && matches!(node.act, Act::Create | Act::Drop)
        });
        for (i, drops, id) in
            constraints.map(|(i, node)| (i, node.act == Act::Drop, node.id.clone())).collect::<Vec<_>>()
        {
            if moving.is_empty() {
                return;
            }
            let others: Vec<ObjectId> = if drops {
                edges.get(&id).into_iter().flatten().cloned().collect()
            } else {
                needs(&id).hard.into_iter().collect()
            };
            let tables = others.iter().chain([&id]).map(ObjectId::root);
            let parts: Vec<usize> = tables.filter_map(|table| moving.get(table)).flatten().copied().collect();
            // What a partition has itself is made before it joins, and merges.
            let own = |part: &usize| self.nodes[*part].id != *id.root();
            for part in parts.into_iter().filter(own).collect::<Vec<_>>() {
                if !drops {
                    // What becomes a part of the whole's when the partition joins is there before.
                    let joins = whole(&self.nodes[part].id, new).filter(|_| id.parent() == Some(&self.nodes[part].id));
                    if joins.is_none_or(|of| !new.has(&id.moved(Some(of)))) {
                        self.rather_before(part, i);
                    }
                    continue;
                }
                // What the partition keeps is dropped there, or stays because it leaves before.
                let kept = id.moved(Some(self.nodes[part].id.clone()));
                if self.drops.contains_key(&kept) {
                    continue;
                }
                if new.has(&kept) && whole(&self.nodes[part].id, new).is_none() {
                    self.before(part, self.into[i].unwrap_or(i));
                    continue;
                }
                // The partition leaves before its table is dropped, and so must what it would keep.
                if let (Some(table), Act::Alter(_)) = (self.into[i], &self.nodes[part].act) {
                    self.into[i] = None;
                    self.before(i, table);
                }
                self.rather_before(i, part);
            }
        }
    }
}
