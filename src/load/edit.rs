//! Files are edited where they stand, so that they say what a database holds: changed objects in their place, new ones beside their
//! neighbours, those that are gone with the comments that belong to them.
//!
//! What an edit has to say is the difference between two canonical forms of an object, before and after; so it does not matter how
//! the file spells what stays. The edited files are read again: where they do not say what they should, the object around it is
//! written anew.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use rustc_hash::{FxHashMap, FxHashSet};

use super::write::{self, Children};
use super::{Loaded, load_texts};
use crate::diff::compare;
use crate::kdl::{self, Node, Sources, Splices, format_nodes};
use crate::kinds::{rank, room};
use crate::model::{Address, Error, Object, ObjectId, Result, Span, State, Text};

/// Files after an edit.
#[derive(Debug, Default)]
pub struct Edited {
    /// The path as the load shows it, and the new text; `None`: nothing is left in it.
    pub files: Vec<(PathBuf, Option<String>)>,
    /// Objects whose nodes could not be edited in part: their own comments are gone.
    pub anew: Vec<ObjectId>,
}

/// An object that differs, and in which attributes; none: only one of the two states has it.
pub type Differing = (ObjectId, Vec<&'static str>);

/// Edits files so that they say of the differing objects what `live` does.
///
/// # Errors
/// If there is no way to do so in place.
pub fn edit(loaded: &Loaded, schema_dir: &Path, live: &State, differing: &[Differing]) -> Result<Edited> {
    let target = target(&loaded.state, live, differing);
    let trees: Vec<OnceCell<Vec<Node>>> = loaded.sources.files.iter().map(|_| OnceCell::new()).collect();
    let mut anew: FxHashSet<ObjectId> = FxHashSet::default();
    loop {
        let mut edit = Edit::new(loaded, schema_dir, live, &target);
        edit.run(&trees, &anew);
        let missing: Vec<ObjectId> = edit.lost.iter().map(|id| home(id).clone()).collect();
        let files = edit.finish(&trees);
        let wrong = if missing.is_empty() { wrong(loaded, &files, &target) } else { missing };
        if wrong.is_empty() {
            let mut anew: Vec<ObjectId> = anew.into_iter().filter(|id| target.has(id)).collect();
            anew.sort();
            return Ok(Edited { files, anew });
        }
        let before = anew.len();
        // Where nobody can say which edit was wrong, it may be any.
        let all = differing.iter().map(|(id, _)| home(id).clone());
        anew.extend(wrong.into_iter().chain(all.filter(|_| before > 0)));
        if anew.len() == before {
            return Err(Error::failed("the files cannot be edited in place to say what the database holds").remedy(
                "commit them and run `setpoint pull --force`, which replaces them all; Git shows what changed",
            ));
        }
    }
}

/// The files' state with what differs as the live one has it. What does not differ stays as it was written.
fn target(files: &State, live: &State, differing: &[Differing]) -> State {
    let mut out = files.clone();
    let gone = |id: &ObjectId| files.has(id) && !live.has(id);
    let dropped: FxHashSet<&ObjectId> = differing.iter().map(|(id, _)| id).filter(|id| gone(id)).collect();
    out.objects.retain(|id, _| !dropped.contains(id) && !id.ancestors().any(|parent| dropped.contains(parent)));
    let mut added: FxHashSet<&ObjectId> = FxHashSet::default();
    for (id, attrs) in differing {
        match (files.get(id), live.get(id)) {
            (None, Some(_)) => _ = added.insert(id),
            (Some(old), Some(new)) => {
                let mut object = if attrs.is_empty() { new.clone() } else { old.clone() };
                for name in attrs {
                    match new.value(name) {
                        Some(value) => object.attrs.put(name, value.clone()),
                        None => object.attrs.remove(name),
                    }
                }
                out.put(id.clone(), Object { place: old.place, was: old.was.clone(), ..object });
            }
            _ => {}
        }
    }
    // In the order of the live state; with all that is theirs.
    for (id, object) in live.iter() {
        let new = added.contains(id) || id.ancestors().any(|parent| added.contains(parent));
        if new && !out.has(id) && id.parent().is_none_or(|parent| out.has(parent)) {
            out.put(id.clone(), Object { place: None, was: None, ..object.clone() });
        }
    }
    out
}

/// The object at the top of a file, or in a schema, that an object stands in.
fn home(id: &ObjectId) -> &ObjectId {
    std::iter::once(id).chain(id.ancestors()).find(|id| write::stands_alone(id)).unwrap_or(id)
}

/// The objects of which the edited files say something else than they should; an empty list means none.
fn wrong(loaded: &Loaded, files: &[(PathBuf, Option<String>)], target: &State) -> Vec<ObjectId> {
    let edited: FxHashMap<&PathBuf, &Option<String>> = files.iter().map(|(path, text)| (path, text)).collect();
    let kept = loaded.sources.files.iter().filter(|(path, _)| !edited.contains_key(path)).cloned();
    let new = files.iter().filter_map(|(path, text)| text.clone().map(|text| (path.clone(), text)));
    let texts: Vec<(PathBuf, String)> = kept.chain(new).collect();
    let Ok(again) = load_texts(&texts) else {
        return target.iter().map(|(id, _)| id).filter(|id| write::stands_alone(id)).cloned().collect();
    };
    let found = compare(target, &again.state);
    let changed = found.changed.into_iter().map(|(id, _)| id).chain(found.open.into_iter().map(|open| open.id));
    let all = changed.chain(found.created).chain(found.dropped);
    all.map(|id| home(&id).clone()).collect::<FxHashSet<_>>().into_iter().collect()
}

/// Where the files say an object.
enum Carrier<'t> {
    /// In a node of its own.
    Node(&'t Node),
    /// As a property or a bare word of another node.
    Entry(Span),
}

/// One attempt.
struct Edit<'a> {
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
    lost: Vec<ObjectId>,
}

impl<'a> Edit<'a> {
    fn new(loaded: &'a Loaded, schema_dir: &'a Path, live: &'a State, target: &'a State) -> Self {
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

    fn run(&mut self, trees: &[OnceCell<Vec<Node>>], anew: &FxHashSet<ObjectId>) {
        let (files, target) = (self.files, self.target);
        let mut around: FxHashSet<&ObjectId> = FxHashSet::default();
        let mut changed: Vec<&ObjectId> = Vec::new();
        for (id, object) in files.iter() {
            let inside = id.ancestors().any(|parent| !target.has(parent));
            match target.get(id) {
                _ if anew.contains(home(id)) || inside => {}
                Some(new) if new.attrs == object.attrs => {}
                Some(_) => changed.push(id),
                None if write::stands_alone(id) => self.remove(trees, id),
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
        for id in files.objects.keys().filter(|id| around.contains(id) || changed.contains(id)) {
            self.merge(trees, id);
        }
        for id in files.objects.keys().filter(|id| anew.contains(id)) {
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

    /// Where an object is said; `None` if that is not to be known.
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

    /// The canonical node of an object, and which of its child nodes are objects of their own.
    fn canonical(&self, id: &ObjectId, new: bool) -> Option<(Node, Vec<(ObjectId, Node)>)> {
        let (state, children) = if new { (self.target, &self.new_children) } else { (self.files, &self.children) };
        let ids = write::inner(id, children);
        let inner: Vec<(ObjectId, Node)> =
            ids.into_iter().filter_map(|child| Some((child.clone(), write::node(child, state, children)?))).collect();
        let mut node = write::around(id, state, inner.iter().map(|(_, node)| node.clone()).collect())?;
        let mut own: Vec<(ObjectId, Node)> = Vec::new();
        for (child, inner) in inner {
            // Others became properties.
            if let Some(at) = node.children.iter().position(|there| there.is_like(&inner)) {
                node.children.remove(at);
                own.push((child, inner));
            }
        }
        Some((node, own))
    }

    /// Brings an object's own node, and what stands in it, from what the files say to what they should.
    fn merge(&mut self, trees: &[OnceCell<Vec<Node>>], id: &ObjectId) {
        let (Some((from, old)), Some((to, new))) = (self.canonical(id, false), self.canonical(id, true)) else {
            // A schema of which nothing was said, or nothing is to be said any more.
            return self.schema(trees, id);
        };
        let Some((file, Carrier::Node(place))) = self.carrier(trees, id) else {
            // A property of its parent's node, which is merged as well.
            let parent = id.parent().and_then(|parent| self.canonical(parent, false));
            if parent.is_none_or(|(_, inner)| inner.iter().any(|(child, _)| child == id)) {
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
        for (child, _) in &old {
            if !self.target.has(child) {
                self.remove(trees, child);
            }
        }
        let was = |child: &ObjectId| old.iter().any(|(there, _)| there == child);
        for (at, (child, node)) in new.iter().enumerate() {
            if was(child) {
                continue;
            }
            let before = self.sibling(trees, child, new.get(..at).unwrap_or_default(), place, true);
            let after = self.sibling(trees, child, new.get(at + 1..).unwrap_or_default(), place, false);
            let splice = self.splice(file);
            let node = std::slice::from_ref(node);
            match (before, after) {
                (Some(sibling), _) => splice.insert_after(sibling, node),
                (None, Some(sibling)) => splice.insert_before(sibling, node),
                (None, None) => match place.children.first().filter(|_| child.kind().word == "comment") {
                    Some(first) => splice.insert_before(first, node),
                    None => splice.insert_in(place, node),
                },
            }
        }
    }

    /// The nearest of an object's canonical neighbours on one side whose node stands in that block and stays.
    fn sibling<'t>(
        &self,
        trees: &'t [OnceCell<Vec<Node>>],
        child: &ObjectId,
        neighbours: &[(ObjectId, Node)],
        home: &'t Node,
        before: bool,
    ) -> Option<&'t Node> {
        let mut ids: Vec<&ObjectId> = neighbours.iter().map(|(id, _)| id).collect();
        if child.kind().address == Address::MemberOf {
            // Parts have an order of their own, which the database knows.
            let parts = child.parent().and_then(|parent| self.live_children.get(parent));
            let mut parts: Vec<&ObjectId> =
                parts.into_iter().flatten().copied().filter(|id| id.is(child.kind())).collect();
            let at = parts.iter().position(|id| *id == child).unwrap_or(0);
            let others = if before { parts.drain(..at).collect() } else { parts.split_off((at + 1).min(parts.len())) };
            ids.retain(|id| !id.is(child.kind()));
            if before { ids.extend(others) } else { ids.splice(0..0, others).for_each(drop) }
        }
        let stands = |id: &&ObjectId| {
            let (_, carrier) = self.carrier(trees, id).filter(|_| self.target.has(id))?;
            let Carrier::Node(node) = carrier else { return None };
            home.children.iter().find(|there| there.span == node.span)
        };
        if before { ids.iter().rev().find_map(stands) } else { ids.iter().find_map(stands) }
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

    /// What is said of a schema that no file describes: a new node for it.
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
        let mut homes: FxHashMap<&ObjectId, (PathBuf, Option<ObjectId>)> = FxHashMap::default();
        for file in write::homes(live) {
            for id in file.ids {
                homes.insert(id, (root.join(&file.path), file.wrapped.clone()));
            }
        }
        for id in ids {
            let Some(node) = write::node(id, self.target, &self.new_children) else { continue };
            if let Some((file, neighbour)) = self.neighbour(trees, id, &homes) {
                self.splice(file).insert_after(neighbour, &[node]);
                continue;
            }
            let Some((path, wrapped)) = homes.get(id).cloned() else { continue };
            let there = self.sources.files.iter().position(|(known, _)| *known == path);
            let Some(file) = there.and_then(|at| u32::try_from(at).ok()) else {
                match self.fresh.iter_mut().find(|(known, _, _)| *known == path) {
                    Some((_, _, nodes)) => nodes.push(node),
                    None => self.fresh.push((path, wrapped, vec![node])),
                }
                continue;
            };
            let block =
                wrapped.as_ref().and_then(|id| self.tree(trees, file).iter().find(|node| is_block_of(node, id)));
            match block {
                Some(block) => self.splice(file).insert_in(block, &[node]),
                None => self.splice(file).append(&write::wrap(wrapped.as_ref(), vec![node])),
            }
        }
    }

    /// The last node of the file that holds most objects of that kind and schema. A file that is for one object by its canonical
    /// name is no neighbourhood.
    fn neighbour<'t>(
        &self,
        trees: &'t [OnceCell<Vec<Node>>],
        id: &ObjectId,
        homes: &FxHashMap<&ObjectId, (PathBuf, Option<ObjectId>)>,
    ) -> Option<(u32, &'t Node)> {
        let mut found: FxHashMap<u32, (usize, &'t Node)> = FxHashMap::default();
        let same_file =
            |other: &ObjectId| homes.get(other).map(|(path, _)| path) == homes.get(id).map(|(path, _)| path);
        for (other, object) in self.files.iter() {
            let near = other.is(id.kind()) && other.parent() == id.parent() && self.target.has(other);
            let Some(place) = object.place.filter(|_| near && write::stands_alone(other)) else { continue };
            let path = self.sources.files.get(place.file as usize).map(|(path, _)| path);
            let own = homes.get(other).is_some_and(|(home, _)| Some(home) == path) && !same_file(other);
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

    fn finish(mut self, trees: &[OnceCell<Vec<Node>>]) -> Vec<(PathBuf, Option<String>)> {
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
            let before = self.tree(trees, file);
            bare(&node) && !before.iter().filter(bare).any(|there| name(there) == name(node))
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
