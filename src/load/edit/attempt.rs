//! One attempt at an edit: where the files declare each object, and what has to change there.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use rustc_hash::{FxHashMap, FxHashSet};

use super::super::Loaded;
use super::super::write::{self, Children};
use super::home;
use crate::kdl::{self, Node, Sources, Splices, format_nodes};
use crate::kinds::scope::in_schema;
use crate::kinds::{rank, room};
use crate::model::{Address, ObjectId, Span, State, Text};

/// Where the files say an object.
enum Carrier<'t> {
    /// In a separate node.
    Node(&'t Node),
    /// As a property or a bare word of another node.
    Entry(Span),
}

/// What is in a canonical node.
enum Part {
    /// A child node that is an attribute of the object, by its name.
    Own(Text),
    /// A child that is an object.
    Object(ObjectId, Node),
}

fn objects(parts: &[Part]) -> impl Iterator<Item = (&ObjectId, &Node)> {
    parts.iter().filter_map(|part| match part {
        Part::Object(id, node) => Some((id, node)),
        Part::Own(_) => None,
    })
}

/// One attempt.
pub(super) struct Edit<'a> {
    sources: &'a Sources,
    schema_dir: &'a Path,
    files: &'a State,
    live: &'a State,
    target: &'a State,
    children: Children<'a>,
    new_children: Children<'a>,
    live_children: Children<'a>,
    splices: FxHashMap<u32, Splices<'a>>,
    /// Files that do not exist yet.
    fresh: Vec<(PathBuf, Option<ObjectId>, Vec<Node>)>,
    /// Objects whose place was not found.
    pub(super) lost: Vec<ObjectId>,
}

impl<'a> Edit<'a> {
    /// Nothing is edited yet.
    pub(super) fn new(loaded: &'a Loaded, schema_dir: &'a Path, live: &'a State, target: &'a State) -> Self {
        Self {
            sources: &loaded.sources,
            schema_dir,
            files: &loaded.state,
            live,
            target,
            children: loaded.state.children(),
            new_children: target.children(),
            live_children: live.children(),
            splices: FxHashMap::default(),
            fresh: Vec::new(),
            lost: Vec::new(),
        }
    }

    /// Edits whatever differs between the files and the target; the nodes of the objects `anew` are written whole.
    pub(super) fn run(&mut self, trees: &[OnceCell<Vec<Node>>], anew: &FxHashSet<ObjectId>) {
        let (files, target) = (self.files, self.target);
        let mut around: FxHashSet<&ObjectId> = FxHashSet::default();
        let mut changed: Vec<&ObjectId> = Vec::new();
        for (id, object) in files.iter() {
            let inside = id.ancestors().any(|parent| files.has(parent) && !target.has(parent));
            match target.get(id) {
                _ if anew.contains(home(id)) || inside => {}
                Some(new) if new.attrs == object.attrs => {}
                Some(_) => changed.push(id),
                None if write::stands_alone(id) || id.parent().is_none_or(|parent| !files.has(parent)) => {
                    self.remove(trees, id)
                }
                None => around.extend(id.parent()),
            }
        }
        let mut tops: Vec<&ObjectId> = Vec::new();
        for (id, _) in target.iter().filter(|(id, _)| !files.has(id) && !anew.contains(home(id))) {
            if write::stands_alone(id) {
                tops.push(id);
            } else if let Some(parent) = id.parent().filter(|parent| files.has(parent)) {
                around.insert(parent);
            }
        }
        for id in &changed {
            around.extend(id.parent().filter(|_| !write::stands_alone(id)));
        }
        for id in files.objects().keys().filter(|id| around.contains(id) || changed.contains(id)) {
            self.merge(trees, id);
        }
        for id in files.objects().keys().filter(|id| anew.contains(id)) {
            match (self.carrier(trees, id), write::node(id, target, &self.new_children)) {
                (Some((file, Carrier::Node(place))), Some(node)) => self.splice(file).replace(place, &node),
                (Some((file, Carrier::Node(place))), None) => self.splice(file).remove(place),
                _ => self.lost.push(id.clone()),
            }
        }
        self.add(trees, tops);
    }

    // ---- places ---------------------------------------------------------------------------------------------------

    fn tree<'t>(&self, trees: &'t [OnceCell<Vec<Node>>], file: u32) -> &'t [Node] {
        let text = self.sources.files.get(file as usize).map_or("", |(_, text)| text);
        let cell = trees.get(file as usize);
        cell.map_or(&[], |cell| cell.get_or_init(|| kdl::read(file, text).unwrap_or_default()))
    }

    fn splice(&mut self, file: u32) -> &mut Splices<'a> {
        let sources = self.sources;
        let text = || sources.files.get(file as usize).map_or("", |(_, text)| text);
        self.splices.entry(file).or_insert_with(|| Splices::new(text()))
    }

    /// Where an object is declared; `None` if that cannot be known.
    fn carrier<'t>(&self, trees: &'t [OnceCell<Vec<Node>>], id: &ObjectId) -> Option<(u32, Carrier<'t>)> {
        let place = self.files.get(id)?.place?;
        let mut nodes = self.tree(trees, place.file);
        loop {
            let at = nodes.partition_point(|node| node.span.end <= place.start);
            let node = nodes.get(at).filter(|node| node.span.start <= place.start && place.end <= node.span.end)?;
            if node.span == place || node.args.first().is_some_and(|arg| arg.span == place) {
                let room = room(id.kind());
                let ours = room.kind().word == &*node.name || room.words().contains(&&*node.name);
                return ours.then_some((place.file, Carrier::Node(node)));
            }
            let props = node.props.iter().map(|prop| (prop.value.span, prop.name_span.start));
            let entries = props.chain(node.args.iter().map(|arg| (arg.span, arg.span.start)));
            if let Some((span, start)) = entries.into_iter().find(|(span, _)| *span == place) {
                return Some((place.file, Carrier::Entry(Span { start, ..span })));
            }
            nodes = &node.children;
        }
    }

    // ---- objects that are in both -----------------------------------------------------------------------------------

    /// The canonical node of an object without the nodes of its children, and what is in it, in order.
    fn canonical(&self, id: &ObjectId, new: bool) -> Option<(Node, Vec<Part>)> {
        let (state, children) = if new { (self.target, &self.new_children) } else { (self.files, &self.children) };
        let ids = write::inner(id, children);
        let mut inner: Vec<(ObjectId, Node)> =
            ids.into_iter().filter_map(|child| Some((child.clone(), write::node(child, state, children)?))).collect();
        let mut node = write::around(id, state, inner.iter().map(|(_, node)| node.clone()).collect())?;
        let mut parts = Vec::new();
        node.children.retain(|there| {
            // Children that are not nodes became properties.
            let object = inner.iter().position(|(_, node)| node.is_like(there));
            parts.push(match object {
                Some(at) => {
                    let (id, node) = inner.remove(at);
                    Part::Object(id, node)
                }
                None => Part::Own(there.name.clone()),
            });
            object.is_none()
        });
        Some((node, parts))
    }

    /// Brings an object's own node, and what is in it, from what the files say to what they should.
    fn merge(&mut self, trees: &[OnceCell<Vec<Node>>], id: &ObjectId) {
        let (Some((from, old)), Some((to, new))) = (self.canonical(id, false), self.canonical(id, true)) else {
            // A schema that had no description, or needs none any more.
            return self.schema(trees, id);
        };
        let Some((file, Carrier::Node(place))) = self.carrier(trees, id) else {
            // A property of its parent's node, which is merged as well.
            let parent = id.parent().and_then(|parent| self.canonical(parent, false));
            if parent.is_none_or(|(_, parts)| objects(&parts).any(|(child, _)| child == id)) {
                self.lost.push(id.clone());
            }
            return;
        };
        if place.name == from.name && from.name == to.name {
            self.splice(file).merge(place, &from, &to);
        } else {
            // A short form of the node: a part of the canonical one, the rest of which has to stay.
            let part = |node: &Node| node.children.iter().find(|child| child.name == place.name).cloned();
            let rest = |node: &Node| {
                let mut rest = node.clone();
                rest.children.retain(|child| child.name != place.name);
                rest
            };
            match (part(&from), part(&to)) {
                (Some(a), Some(b)) if rest(&from).is_like(&rest(&to)) => self.splice(file).merge(place, &a, &b),
                _ => return self.lost.push(id.clone()),
            }
        }
        for (child, _) in objects(&old) {
            if !self.target.has(child) {
                self.remove(trees, child);
            }
        }
        for (at, part) in new.iter().enumerate() {
            let Part::Object(child, node) = part else { continue };
            if objects(&old).any(|(there, _)| there == child) {
                continue;
            }
            let before = self.sibling(trees, child, new.get(..at).unwrap_or_default(), place, true);
            let after = self.sibling(trees, child, new.get(at + 1..).unwrap_or_default(), place, false);
            let splice = self.splice(file);
            let node = std::slice::from_ref(node);
            match (before, after) {
                (Some(sibling), _) => splice.insert_after(sibling, node),
                (None, Some(sibling)) => splice.insert_before(sibling, node),
                (None, None) => splice.insert_in(place, node),
            }
        }
    }

    /// The nearest of an object's canonical neighbours on one side whose node is in that block and stays.
    fn sibling<'t>(
        &self,
        trees: &'t [OnceCell<Vec<Node>>],
        child: &ObjectId,
        neighbours: &[Part],
        home: &'t Node,
        before: bool,
    ) -> Option<&'t Node> {
        let object = |id: &ObjectId| {
            let (_, carrier) = self.carrier(trees, id).filter(|_| self.target.has(id))?;
            let Carrier::Node(node) = carrier else { return None };
            home.children.iter().find(|there| there.span == node.span)
        };
        if child.kind().address == Address::MemberOf {
            // Parts have an order of their own, which the database knows.
            let parts = child.parent().and_then(|parent| self.live_children.get(parent));
            let parts: Vec<&ObjectId> = parts.into_iter().flatten().copied().filter(|id| id.is(child.kind())).collect();
            let (left, right) = parts.split_at(parts.iter().position(|id| *id == child).unwrap_or(0));
            let found = if before {
                left.iter().rev().find_map(|id| object(id))
            } else {
                right.iter().skip(1).find_map(|id| object(id))
            };
            if found.is_some() {
                return found;
            }
        }
        let stands = |part: &Part| match part {
            Part::Object(id, _) if id.is(child.kind()) && child.kind().address == Address::MemberOf => None,
            Part::Object(id, _) => object(id),
            Part::Own(name) if before => home.children.iter().rfind(|there| there.name == *name),
            Part::Own(name) => home.children.iter().find(|there| there.name == *name),
        };
        if before { neighbours.iter().rev().find_map(stands) } else { neighbours.iter().find_map(stands) }
    }

    /// Takes an object out.
    fn remove(&mut self, trees: &[OnceCell<Vec<Node>>], id: &ObjectId) {
        if id.kind().address == Address::Schema {
            return self.remove_schema(trees, id);
        }
        match self.carrier(trees, id) {
            Some((file, Carrier::Node(node))) => self.splice(file).remove(node),
            Some((file, Carrier::Entry(span))) => {
                self.splice(file).remove_entry(span.start as usize, span.end as usize)
            }
            // The node of another object stands for it: an operator class's for its family.
            None if self.canonical(id, false).is_none() => {}
            None => self.lost.push(id.clone()),
        }
    }

    /// Takes out every block of a schema.
    fn remove_schema(&mut self, trees: &[OnceCell<Vec<Node>>], id: &ObjectId) {
        for file in 0..self.sources.files.len() {
            let file = u32::try_from(file).unwrap_or(u32::MAX);
            for node in self.tree(trees, file).iter().filter(|node| is_block_of(node, id)) {
                self.splice(file).remove(node);
            }
        }
    }

    /// A new node for a schema that no file describes.
    fn schema(&mut self, trees: &[OnceCell<Vec<Node>>], id: &ObjectId) {
        if self.carrier(trees, id).is_none() && self.canonical(id, true).is_some() {
            self.add(trees, vec![id]);
        } else if self.canonical(id, true).is_none() {
            for (child, _) in self.files.iter().filter(|(child, _)| child.parent() == Some(id)) {
                if !self.target.has(child) && !write::stands_alone(child) {
                    self.remove(trees, child);
                }
            }
        } else {
            self.lost.push(id.clone());
        }
    }

    // ---- objects that are new -----------------------------------------------------------------------------------------

    /// Puts new objects where others of their kind and schema are, else where a canonical layout would have them.
    fn add(&mut self, trees: &[OnceCell<Vec<Node>>], mut ids: Vec<&ObjectId>) {
        ids.sort_by_cached_key(|id| {
            (id.schema().cloned(), rank(id.kind()), id.name().clone(), id.signature().cloned())
        });
        let (live, root) = (self.live, self.schema_dir);
        let places = write::homes(live);
        let mut homes: FxHashMap<&ObjectId, usize> = FxHashMap::default();
        for (at, file) in places.iter().enumerate() {
            homes.extend(file.ids.iter().map(|id| (*id, at)));
        }
        let path_of = |id: &ObjectId| homes.get(id).and_then(|at| places.get(*at)).map(|file| root.join(&file.path));
        for id in ids {
            let Some(node) = write::node(id, self.target, &self.new_children) else { continue };
            if let Some((file, neighbour)) = self.neighbour(trees, id, &path_of) {
                self.splice(file).insert_after(neighbour, &[node]);
                continue;
            }
            let Some(at) = homes.get(id) else { continue };
            let Some(home) = places.get(*at) else { continue };
            let path = root.join(&home.path);
            let there = self.sources.files.iter().position(|(known, _)| *known == path);
            let Some(file) = there.and_then(|at| u32::try_from(at).ok()) else {
                match self.fresh.iter_mut().find(|(known, _, _)| *known == path) {
                    Some((_, _, nodes)) => nodes.push(node),
                    None => self.fresh.push((path, home.wrapped.clone(), vec![node])),
                }
                continue;
            };
            let node = std::slice::from_ref(&node);
            let at = home.ids.iter().position(|other| *other == id).unwrap_or(0);
            let (before, after) = home.ids.split_at(at);
            let stands = |other: &&ObjectId| match self.carrier(trees, other) {
                Some((there, Carrier::Node(node))) if there == file && self.target.has(other) => Some(node),
                _ => None,
            };
            let block = home.wrapped.as_ref().and_then(|id| self.tree(trees, file).iter().find(|n| is_block_of(n, id)));
            if let Some(sibling) = before.iter().rev().find_map(stands) {
                self.splice(file).insert_after(sibling, node);
            } else if let Some(sibling) = after.iter().find_map(stands) {
                self.splice(file).insert_before(sibling, node);
            } else if let Some(block) = block {
                self.splice(file).insert_in(block, node);
            } else {
                self.splice(file).append(&write::wrap(home.wrapped.as_ref(), node.to_vec()));
            }
        }
    }

    /// The last node of the file that holds most objects of that kind and schema, unless that is where they are in the canonical
    /// layout, which has an order of its own.
    fn neighbour<'t>(
        &self,
        trees: &'t [OnceCell<Vec<Node>>],
        id: &ObjectId,
        path_of: &dyn Fn(&ObjectId) -> Option<PathBuf>,
    ) -> Option<(u32, &'t Node)> {
        let mut found: FxHashMap<u32, (usize, &'t Node)> = FxHashMap::default();
        for (other, object) in self.files.iter() {
            let near = other.is(id.kind()) && other.parent() == id.parent() && self.target.has(other);
            let Some(place) = object.place.filter(|_| near && write::stands_alone(other)) else { continue };
            let path = self.sources.files.get(place.file as usize).map(|(path, _)| path);
            let own = path_of(other).is_some_and(|home| Some(&home) == path);
            let Some((file, Carrier::Node(node))) = self.carrier(trees, other).filter(|_| !own) else { continue };
            let entry = found.entry(file).or_insert((0, node));
            entry.0 += 1;
            if node.span.start > entry.1.span.start {
                entry.1 = node;
            }
        }
        found
            .into_iter()
            .max_by_key(|(file, (count, _))| (*count, std::cmp::Reverse(*file)))
            .map(|(file, (_, node))| (file, node))
    }

    // ---- the end --------------------------------------------------------------------------------------------------------

    /// The files that are other than before.
    pub(super) fn finish(mut self, trees: &[OnceCell<Vec<Node>>]) -> Vec<(PathBuf, Option<String>)> {
        let splices = std::mem::take(&mut self.splices);
        let mut texts: Vec<(u32, String)> =
            splices.into_iter().map(|(file, splices)| (file, splices.finish())).collect();
        texts.sort();
        self.drop_empty_blocks(trees, &mut texts);
        let mut out: Vec<(PathBuf, Option<String>)> = Vec::new();
        for (file, text) in texts {
            if let Some((path, old)) = self.sources.files.get(file as usize)
                && text != *old
            {
                out.push((path.clone(), Some(text).filter(|text| !text.trim().is_empty())));
            }
        }
        for (path, wrapped, nodes) in self.fresh {
            out.push((path, Some(format_nodes(&write::wrap(wrapped.as_ref(), nodes)))));
        }
        out.sort();
        out
    }

    /// Drops the blocks of schemas from which everything was taken out, but for one if no other declares the schema.
    fn drop_empty_blocks(&self, trees: &[OnceCell<Vec<Node>>], texts: &mut [(u32, String)]) {
        let bare = |node: &&Node| &*node.name == "schema" && node.children.is_empty() && node.props.is_empty();
        let name = |node: &Node| node.args.first().and_then(|arg| arg.as_text()).cloned();
        let new: Vec<(u32, Vec<Node>)> =
            texts.iter().map(|(file, text)| (*file, kdl::read(*file, text).unwrap_or_default())).collect();
        let emptied = |file: u32, node: &Node| {
            // What described the schema itself still declares it.
            let held = |there: &Node| there.children.iter().any(|child| in_schema(&child.name).is_some());
            let public = name(node).is_some_and(|name| &*name == "public");
            bare(&node)
                && self.tree(trees, file).iter().any(|there| name(there) == name(node) && (held(there) || public))
        };
        if !new.iter().any(|(file, nodes)| nodes.iter().any(|node| emptied(*file, node))) {
            return;
        }
        let fresh = self.fresh.iter().filter_map(|(_, id, _)| id.as_ref()).map(|id| id.name().text());
        let mut declared: FxHashSet<Text> = fresh.chain([Text::from("public")]).collect();
        for file in (0..self.sources.files.len()).filter_map(|file| u32::try_from(file).ok()) {
            let now = new
                .iter()
                .find(|(edited, _)| *edited == file)
                .map_or_else(|| self.tree(trees, file), |(_, nodes)| nodes);
            let blocks = now.iter().filter(|node| &*node.name == "schema" && !emptied(file, node));
            declared.extend(blocks.filter_map(name));
        }
        for ((file, text), (_, nodes)) in texts.iter_mut().zip(&new) {
            let gone: Vec<&Node> = nodes
                .iter()
                .filter(|node| emptied(*file, node) && name(node).is_some_and(|name| !declared.insert(name)))
                .collect();
            if !gone.is_empty() {
                let mut splices = Splices::new(text);
                gone.into_iter().for_each(|node| splices.remove(node));
                let left = splices.finish();
                *text = left;
            }
        }
    }
}

fn is_block_of(node: &Node, schema: &ObjectId) -> bool {
    &*node.name == "schema"
        && node.args.first().and_then(|arg| arg.as_text()).is_some_and(|name| **name == *schema.name().as_str())
}
