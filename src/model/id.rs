//! How an object is addressed: its kind, its name, its parent and, for routines, its input types.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::kind::{Address, KindRef};
use super::{Ident, Text};

/// A cheap handle to an address; equal addresses are equal ids, whoever made them.
#[derive(Clone)]
pub struct ObjectId(Arc<Data>);

struct Data {
    kind: KindRef,
    parent: Option<ObjectId>,
    name: Ident,
    signature: Option<Text>,
    hash: u64,
}

impl ObjectId {
    /// An object of `kind` with a name of its own, in `parent` (a schema, a table, …) where it has one.
    pub fn new(kind: KindRef, parent: Option<ObjectId>, name: impl Into<Ident>) -> Self {
        Self::build(kind, parent, name.into(), None)
    }

    /// A routine: `signature` is its normalised input types, joined by `, `.
    pub fn routine(
        kind: KindRef,
        parent: Option<ObjectId>,
        name: impl Into<Ident>,
        signature: impl Into<Text>,
    ) -> Self {
        Self::build(kind, parent, name.into(), Some(signature.into()))
    }

    /// A facet without a name of its own: the comment, owner, default … of `parent`.
    pub fn facet(kind: KindRef, parent: ObjectId) -> Self {
        Self::build(kind, Some(parent), Ident::from(""), None)
    }

    fn build(kind: KindRef, parent: Option<ObjectId>, name: Ident, signature: Option<Text>) -> Self {
        let mut hasher = rustc_hash::FxHasher::default();
        kind.word.hash(&mut hasher);
        name.hash(&mut hasher);
        signature.hash(&mut hasher);
        parent.as_ref().map(|p| p.0.hash).hash(&mut hasher);
        let hash = hasher.finish();
        Self(Arc::new(Data { kind, parent, name, signature, hash }))
    }

    /// The kind's own description.
    pub fn kind(&self) -> KindRef {
        self.0.kind
    }

    /// True if the object is of this kind.
    pub fn is(&self, kind: KindRef) -> bool {
        std::ptr::eq(self.0.kind, kind)
    }

    /// What the object belongs to: a schema, a table, any object for facets.
    pub fn parent(&self) -> Option<&ObjectId> {
        self.0.parent.as_ref()
    }

    /// The object's own name; empty for facets.
    pub fn name(&self) -> &Ident {
        &self.0.name
    }

    /// What tells objects of one name apart: the normalised input types of a routine, the access method of an operator class; who
    /// gave a right, if not the owner.
    pub fn signature(&self) -> Option<&Text> {
        self.0.signature.as_ref()
    }

    /// The types that a routine, an operator or a cast is told apart by.
    pub fn types(&self) -> Option<&Text> {
        self.signature().filter(|_| !matches!(self.kind().address, Address::Facet | Address::PerMethod))
    }

    /// The parents, nearest first.
    pub fn ancestors(&self) -> impl Iterator<Item = &ObjectId> {
        std::iter::successors(self.parent(), |id| id.parent())
    }

    /// The outermost part that is not a schema: the table of a column's comment, a function, an extension.
    pub fn root(&self) -> &ObjectId {
        let mut root = self;
        while let Some(parent) = root.parent() {
            if parent.kind().address == Address::Schema {
                break;
            }
            root = parent;
        }
        root
    }

    /// The object whose node stands alone in files and contains this one: the root, or the schema of which this is said.
    pub fn top(&self) -> &ObjectId {
        let root = self.root();
        root.parent().filter(|_| root.kind().address == Address::Facet).unwrap_or(root)
    }

    /// The schema that the object lives in, if any.
    pub fn schema(&self) -> Option<&ObjectId> {
        std::iter::once(self).chain(self.ancestors()).find(|id| id.kind().address == Address::Schema)
    }

    /// The same address under another name.
    #[must_use]
    pub fn renamed(&self, name: impl Into<Ident>) -> Self {
        Self::build(self.0.kind, self.0.parent.clone(), name.into(), self.0.signature.clone())
    }

    /// The same address with another signature.
    #[must_use]
    pub fn with_signature(&self, signature: Option<Text>) -> Self {
        Self::build(self.0.kind, self.0.parent.clone(), self.0.name.clone(), signature)
    }

    /// The same name under another parent.
    #[must_use]
    pub fn moved(&self, parent: Option<ObjectId>) -> Self {
        Self::build(self.0.kind, parent, self.0.name.clone(), self.0.signature.clone())
    }

    /// This address where `from` (itself or an ancestor) is now called `to`; `None` if it is not inside `from`.
    pub fn rebased(&self, from: &ObjectId, to: &ObjectId) -> Option<ObjectId> {
        if self == from {
            return Some(to.clone());
        }
        self.parent()?.rebased(from, to).map(|parent| self.moved(Some(parent)))
    }

    /// `public.orders.total`: the names from the schema inwards, quoted where SQL needs it, the signature in parentheses.
    pub fn path(&self) -> String {
        let mut out = String::new();
        self.write_path(&mut out);
        out
    }

    fn write(&self, out: &mut String) {
        out.push_str(self.kind().word);
        match self.parent() {
            Some(parent) if self.kind().address == Address::Facet => {
                if !self.name().is_empty() {
                    out.push(' ');
                    write_name(self.name().as_str(), out);
                }
                if let Some(by) = self.signature() {
                    out.push_str(" by ");
                    write_name(by, out);
                }
                out.push_str(" on ");
                parent.write(out);
            }
            _ => {
                out.push(' ');
                self.write_path(out);
            }
        }
    }

    fn write_path(&self, out: &mut String) {
        if let Some(parent) = self.parent() {
            parent.write_path(out);
            if !self.0.name.is_empty() && !out.is_empty() {
                out.push('.');
            }
        }
        if !self.0.name.is_empty() {
            write_name(self.0.name.as_str(), out);
        }
        if let Some(signature) = &self.0.signature {
            out.push('(');
            out.push_str(signature);
            out.push(')');
        }
    }
}

/// The role that gave a right, of an address's text: `grant reporting by app_admin on table public.orders`.
pub fn grantor(text: &str) -> Option<Ident> {
    let (_, rest) = name_of(text.strip_prefix("grant ")?)?;
    let (role, rest) = name_of(rest.strip_prefix(" by ")?)?;
    rest.starts_with(" on ").then(|| Ident::new(role))
}

/// The name that a text begins with, and what follows it.
fn name_of(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(' ')?;
        return Some((text.get(..end)?.to_string(), text.get(end..)?));
    };
    let mut name = String::new();
    let mut chars = quoted.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' if chars.next_if(|(_, next)| *next == '"').is_none() => return Some((name, quoted.get(at + 1..)?)),
            c => name.push(c),
        }
    }
    None
}

fn write_name(name: &str, out: &mut String) {
    if plain(name) {
        out.push_str(name);
    } else {
        out.push('"');
        out.push_str(&name.replace('"', "\"\""));
        out.push('"');
    }
}

fn plain(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// `table public.orders`, `comment on column public.orders.total`: what messages, plans and the journal call an object.
impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::with_capacity(64);
        self.write(&mut out);
        f.write_str(&out)
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl PartialEq for ObjectId {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.0.hash == other.0.hash
                && std::ptr::eq(self.0.kind, other.0.kind)
                && self.0.name == other.0.name
                && self.0.signature == other.0.signature
                && self.0.parent == other.0.parent)
    }
}

impl Eq for ObjectId {}

impl Hash for ObjectId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.hash);
    }
}

impl PartialOrd for ObjectId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ObjectId {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) {
            return Ordering::Equal;
        }
        (&self.0.parent, self.0.kind.word, &self.0.name, &self.0.signature).cmp(&(
            &other.0.parent,
            other.0.kind.word,
            &other.0.name,
            &other.0.signature,
        ))
    }
}
