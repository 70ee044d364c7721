//! A state: a flat map from object id to object, with the edges between them.

use indexmap::IndexMap;
use rustc_hash::{FxBuildHasher, FxHashMap};

use super::index::{Indexes, visited};
use super::{Attrs, Expr, Ident, ObjectId};

/// Where something was written: a file of the load and a byte range in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// Index of the file in the load.
    pub file: u32,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// True if the other one lies in it.
    pub fn holds(self, other: Self) -> bool {
        self.file == other.file && self.start <= other.start && other.end <= self.end
    }
}

/// One object: its attributes and where it was written.
#[derive(Debug, Clone, Default)]
pub struct Object {
    /// Attributes that are not at their default.
    pub attrs: Attrs,
    /// Where it was written; not part of equality.
    pub place: Option<Span>,
    /// The name that it had before (`was=`); not part of equality.
    pub was: Option<Ident>,
    /// True if its name is what the rules make of another one's (a serial column's sequence): it is renamed with it; no part of
    /// equality.
    pub unnamed: bool,
    /// Parts of it that are not objects and had other names before; not part of equality.
    pub parts: Vec<Part>,
    /// What becomes of its values where its type changes; not part of equality.
    pub by: Option<Box<By>>,
}

/// The expressions that a person wrote for values whose type changes.
#[derive(Debug, Clone, Default)]
pub struct By {
    /// The value of the new type.
    pub there: Option<Expr>,
    /// The value of the old type, on the way back.
    pub back: Option<Expr>,
}

/// A part that had another name before (`was=`).
#[derive(Debug, Clone)]
pub struct Part {
    /// What it is called now.
    pub id: ObjectId,
    /// What it was called.
    pub was: Ident,
    /// Where that is said.
    pub place: Span,
}

impl Object {
    /// An object with these attributes and no place in a file.
    pub fn new(attrs: Attrs) -> Self {
        Self { attrs, ..Self::default() }
    }
}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.attrs == other.attrs
    }
}

impl Eq for Object {}

impl std::hash::Hash for Object {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.attrs.hash(state);
    }
}

impl std::ops::Deref for Object {
    type Target = Attrs;
    fn deref(&self) -> &Attrs {
        &self.attrs
    }
}

/// Dependency edges of a state: object → what it depends on, beyond its parent.
pub type Edges = FxHashMap<ObjectId, Vec<ObjectId>>;

/// A flat map of objects, in declaration or catalog order.
#[derive(Debug, Clone, Default)]
pub struct State {
    pub(super) objects: Objects,
    pub(super) indexes: Indexes,
}

/// Objects by their ids, in order.
type Objects = IndexMap<ObjectId, Object, FxBuildHasher>;

impl State {
    /// The object of that id.
    pub fn get(&self, id: &ObjectId) -> Option<&Object> {
        self.objects.get(id)
    }

    /// True if the state has the object.
    pub fn has(&self, id: &ObjectId) -> bool {
        self.objects.contains_key(id)
    }

    /// True for what the state has of an object without having that object itself: a trigger on somebody else's table.
    pub fn is_apart(&self, id: &ObjectId) -> bool {
        !self.has(id.top())
    }

    /// The object of that id, with the state's own copy of the id.
    pub fn find(&self, id: &ObjectId) -> Option<(&ObjectId, &Object)> {
        self.objects.get_key_value(id)
    }

    /// Adds or replaces.
    pub fn put(&mut self, id: ObjectId, object: Object) -> Option<Object> {
        self.objects_mut().insert(id, object)
    }

    /// The map itself.
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// The map itself, for good.
    pub fn into_objects(self) -> Objects {
        self.objects
    }

    /// The map itself, to change something.
    pub fn objects_mut(&mut self) -> &mut Objects {
        self.indexes = Indexes::default();
        &mut self.objects
    }

    /// Number of objects.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// True if there is nothing.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// All objects, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&ObjectId, &Object)> {
        self.objects.iter().inspect(|_| visited())
    }

    /// Everything that had another name before: its current name, its old name, and where that is declared.
    pub fn renames(&self) -> impl Iterator<Item = (&ObjectId, &Ident, Option<Span>)> {
        self.iter().flat_map(|(id, object)| {
            let own = object.was.as_ref().map(|was| (id, was, object.place));
            own.into_iter().chain(object.parts.iter().map(|part| (&part.id, &part.was, Some(part.place))))
        })
    }

    /// Parent → children, in the order of the state.
    pub fn children(&self) -> FxHashMap<&ObjectId, Vec<&ObjectId>> {
        let mut map: FxHashMap<&ObjectId, Vec<&ObjectId>> = FxHashMap::default();
        for id in self.objects.keys() {
            if let Some(parent) = id.parent() {
                map.entry(parent).or_default().push(id);
            }
        }
        map
    }
}

/// How one object differs between two states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Only in the second state.
    Create(ObjectId),
    /// Only in the first state.
    Drop(ObjectId),
    /// In both; these attributes differ and can be altered in place.
    Alter(ObjectId, Vec<&'static str>),
    /// In both; it has to be dropped and recreated because of these attributes (none: because of what it depends on).
    Replace(ObjectId, Vec<&'static str>),
    /// The first state's object is the second's under its old name.
    Rename(ObjectId, ObjectId),
}

impl Change {
    /// The object that changes (its new id, for renames).
    pub fn id(&self) -> &ObjectId {
        match self {
            Change::Create(id) | Change::Drop(id) | Change::Alter(id, _) | Change::Replace(id, _) => id,
            Change::Rename(_, to) => to,
        }
    }
}
