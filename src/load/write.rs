//! Writes a state to files: one for each table, view and routine name, the rest by kind, and a folder for each schema.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rustc_hash::{FxHashMap, FxHashSet};

use super::{apart, whole};
use crate::kdl::{Node, format_nodes};
use crate::kinds::{IS_TYPE, generic, rank, room, schema};
use crate::model::{Address, Error, Ident, Object, ObjectId, Result, State};

/// Where an object's node is written: the schema whose folder it is, the file, or the folder and the name that a file in it is for.
type Place = (Option<ObjectId>, Cow<'static, str>, Option<Ident>);

/// The canonical files of a state; paths are relative to the schema directory.
pub fn files(state: &State) -> Vec<(PathBuf, String)> {
    let children = state.children();
    let mut out = Vec::new();
    for File { path, wrapped, ids } in homes(state) {
        let nodes: Vec<Node> = ids.iter().filter_map(|id| node(id, state, &children)).collect();
        if !nodes.is_empty() {
            out.push((path, format_nodes(&wrap(wrapped.as_ref(), nodes))));
        }
    }
    out.extend(apart::file(state, &children));
    out.sort();
    out
}

/// A file of the canonical layout.
pub(super) struct File<'a> {
    /// Relative to the schema directory.
    pub(super) path: PathBuf,
    /// The schema whose block contains its nodes.
    pub(super) wrapped: Option<ObjectId>,
    /// What it holds, in order.
    pub(super) ids: Vec<&'a ObjectId>,
}

/// Where everything that is at the top of a file or in a schema has its place.
pub(super) fn homes(state: &State) -> Vec<File<'_>> {
    let mut places: BTreeMap<Place, Vec<&ObjectId>> = BTreeMap::new();
    for (id, _) in state.iter() {
        if stands_alone(id) {
            places.entry(place(id)).or_default().push(id);
        }
    }
    let mut names = Names::default();
    let mut out = Vec::new();
    for ((home, file, own), mut ids) in places {
        ids.sort_by_cached_key(|id| (rank(id.kind()), id.name().clone(), id.signature().cloned()));
        let mut path = PathBuf::new();
        if let Some(home) = &home {
            path.push(names.free(Path::new(""), home.name().as_str(), ""));
        }
        match &own {
            Some(own) => {
                path.push(&*file);
                let name = names.free(&path, own.as_str(), ".kdl");
                path.push(name);
            }
            None => path.push(format!("{file}.kdl")),
        }
        let wrapped = home.filter(|home| file != "schema" && home.name().as_str() != "public");
        out.push(File { path, wrapped, ids });
    }
    out
}

/// Puts a state into the order of its files, so that a plan for it does not depend on the order in which a catalog was filled.
pub fn in_file_order(state: &mut State) {
    let mut tops: Vec<ObjectId> = state.iter().map(|(id, _)| id.top()).filter(|top| state.has(top)).cloned().collect();
    tops.sort_unstable();
    tops.dedup();
    tops.sort_by_cached_key(|id| (place(id), rank(id.kind()), id.name().clone(), id.signature().cloned()));
    let order: FxHashMap<ObjectId, usize> = tops.into_iter().enumerate().map(|(at, id)| (id, at)).collect();
    state.objects_mut().sort_by_cached_key(|id, _| order.get(id.top()).copied());
}

/// True for what has a node at the top of a file or in a schema. Facets of an object that is not in the state have none either.
pub(super) fn stands_alone(id: &ObjectId) -> bool {
    id.parent().is_none_or(|p| p.kind().address == Address::Schema && id.kind().address != Address::Facet)
}

/// Nodes in the block of their schema.
pub(super) fn wrap(schema: Option<&ObjectId>, nodes: Vec<Node>) -> Vec<Node> {
    match schema {
        Some(schema) => {
            let node = Node { children: nodes, ..Node::new("schema").arg(schema.name().text()) };
            vec![generic::dotted(node, schema.kind())]
        }
        None => nodes,
    }
}

/// Writes the files below the schema directory, and removes the files there that are not among them.
///
/// # Errors
/// What kept a file from being written; what was there before may be gone in part.
pub fn save(schema_dir: &Path, files: Vec<(PathBuf, String)>) -> Result<()> {
    let failed = |path: &Path, e: &std::io::Error| {
        Error::failed(format!("cannot write {}", path.display())).detail(e.to_string())
    };
    fs::create_dir_all(schema_dir).map_err(|e| failed(schema_dir, &e))?;
    let mut kept = FxHashSet::default();
    for (path, text) in files {
        let path = schema_dir.join(path);
        // A file that says the same keeps its time stamp.
        if fs::read_to_string(&path).ok().as_deref() != Some(&*text) {
            whole::write(&path, &text)?;
        }
        kept.insert(path);
    }
    for path in super::files::own(schema_dir)?.into_iter().filter(|path| !kept.contains(path)) {
        whole::remove(&path, schema_dir)?;
    }
    Ok(())
}

/// The file of a top-level object.
fn place(id: &ObjectId) -> Place {
    let kind = id.kind();
    let name = Some(id.name().clone());
    match (kind.address, kind.word) {
        (Address::Schema, _) => (Some(id.clone()), "schema".into(), None),
        (Address::Global, word) => (None, plural(word), None),
        (Address::Routine, "function" | "procedure" | "aggregate") => (id.schema().cloned(), "functions".into(), name),
        (_, "table" | "foreign-table") => (id.schema().cloned(), "tables".into(), name),
        (_, "view" | "materialized-view") => (id.schema().cloned(), "views".into(), name),
        (_, word) if IS_TYPE.contains(&word) => (id.schema().cloned(), "types".into(), None),
        (_, word) => (id.schema().cloned(), plural(word), None),
    }
}

/// `extensions` for `extension`.
fn plural(word: &str) -> Cow<'static, str> {
    Cow::Owned(match word.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None if word.ends_with("ss") => format!("{word}es"),
        None if word.ends_with('s') => word.to_string(),
        None => format!("{word}s"),
    })
}

/// An object's node with its children inside.
pub(super) fn node(id: &ObjectId, state: &State, children: &Children<'_>) -> Option<Node> {
    let inner: Vec<Node> = inner(id, children).into_iter().filter_map(|child| node(child, state, children)).collect();
    around(id, state, inner)
}

/// An object's node around nodes of its children.
pub(super) fn around(id: &ObjectId, state: &State, inner: Vec<Node>) -> Option<Node> {
    let object = state.get(id)?;
    if *id == schema::id("public") && inner.is_empty() && *object == Object::default() {
        return None; // always there: nothing to say
    }
    room(id.kind()).write(id, object, inner)
}

/// Parent → children.
pub(super) type Children<'a> = FxHashMap<&'a ObjectId, Vec<&'a ObjectId>>;

/// The children that are in an object's node: the comment first, then parts in their own order, then the rest by kind and name.
pub(super) fn inner<'a>(id: &ObjectId, children: &Children<'a>) -> Vec<&'a ObjectId> {
    let mut inner: Vec<&ObjectId> = children.get(id).into_iter().flatten().copied().collect();
    if id.kind().address == Address::Schema {
        inner.retain(|child| child.kind().address == Address::Facet);
    }
    inner.sort_by_cached_key(|child| {
        let part = child.kind().address == Address::MemberOf;
        let class = if child.kind().word == "comment" { 0 } else { 2 - u8::from(part) };
        // Parts keep the order of the state: a stable sort.
        let name = (!part).then(|| (rank(child.kind()), child.name().clone(), child.signature().cloned()));
        (class, name)
    });
    inner
}

/// File names that were given out, per folder, in lower case: two names must differ on every file system.
#[derive(Default)]
struct Names {
    taken: FxHashMap<PathBuf, FxHashMap<String, String>>,
}

impl Names {
    /// The file name of `name`; the same one each time it is asked for.
    fn free(&mut self, folder: &Path, name: &str, extension: &str) -> String {
        let taken = self.taken.entry(folder.to_path_buf()).or_default();
        let safe = safe(name);
        for n in 1.. {
            let suffix = if n == 1 { String::new() } else { format!("-{n}") };
            let candidate = format!("{safe}{suffix}{extension}");
            match taken.get(&candidate.to_lowercase()) {
                Some(owner) if owner == name => return candidate,
                Some(_) => {}
                None => {
                    taken.insert(candidate.to_lowercase(), name.to_string());
                    return candidate;
                }
            }
        }
        safe
    }
}

/// A name that every file system takes: letters, digits, `_` and `-`; the bytes of everything else as `%XX`.
fn safe(name: &str) -> String {
    // Windows keeps these for devices, whatever follows the dot.
    const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];
    let lower = name.to_lowercase();
    let numbered = |device: &str| {
        lower.strip_prefix(device).is_some_and(|n| n.len() == 1 && n.bytes().all(|b| b.is_ascii_digit()))
    };
    let device = DEVICES.contains(&&*lower) || numbered("com") || numbered("lpt");
    let mut out = String::new();
    for (i, c) in name.chars().enumerate() {
        if (c.is_alphanumeric() || matches!(c, '_' | '-')) && !(device && i == 0) {
            out.push(c);
        } else {
            let mut bytes = [0; 4];
            c.encode_utf8(&mut bytes).bytes().for_each(|b| out.push_str(&format!("%{b:02X}")));
        }
    }
    // 255 bytes are what file systems take; the rest is for a suffix and the extension.
    out.truncate(out.floor_char_boundary(230));
    if out.is_empty() { "%".into() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_safe_and_distinct() {
        assert_eq!(safe("orders"), "orders");
        assert_eq!(safe("a/b c.d%"), "a%2Fb%20c%2Ed%25");
        assert_eq!(safe("Größe"), "Größe");
        assert_eq!(safe("con"), "%63on");
        assert_eq!(safe("COM1"), "%43OM1");
        assert_eq!(safe("console"), "console");
        assert!(safe(&"ä b".repeat(100)).len() <= 230);
        let mut names = Names::default();
        let folder = Path::new("tables");
        assert_eq!(names.free(folder, "Orders", ".kdl"), "Orders.kdl");
        assert_eq!(names.free(folder, "orders", ".kdl"), "orders-2.kdl");
        assert_eq!(names.free(folder, "orders-2", ".kdl"), "orders-2-2.kdl");
        assert_eq!(names.free(folder, "Orders", ".kdl"), "Orders.kdl");
    }
}
