//! What attributes hold: flags, numbers, text, types, expressions, references, lists and records.

use std::sync::Arc;

use super::kind::Key;
use super::{Ident, ObjectId};

/// Shared text.
pub type Text = Arc<str>;

/// A type as PostgreSQL's `format_type` prints it with only `pg_catalog` in the search path: `numeric(12,2)`, `public.state[]`.
/// What a file says of a type that the project does not declare (an extension's) may stay unqualified.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SqlType(pub Text);

/// SQL text that the server rewrites when it stores it: an expression, a query, a routine body that is parsed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Expr(pub Text);

/// Options as PostgreSQL keeps them: `name=value`, in an order that it remembers and that means nothing.
#[derive(Debug, Clone, Default)]
pub struct Options(pub Vec<Text>);

/// One attribute's value. A value that equals the attribute's default is never stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Value {
    Bool(bool),
    Int(i64),
    Text(Text),
    Type(SqlType),
    /// Compared by `sameness`, never by text alone.
    Expr(Expr),
    Ref(ObjectId),
    List(Vec<Value>),
    Options(Options),
    Record(Attrs),
}

/// Attributes by name, in the order in which they were put.
#[derive(Debug, Clone, Default)]
pub struct Attrs(Vec<(&'static str, Value)>);

impl Attrs {
    /// No attribute at all: everything has its default.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The stored value, if the attribute is not at its default.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    /// Reads an attribute by its typed key.
    pub fn get<T: Field>(&self, key: Key<T>) -> Option<T::Out<'_>> {
        self.value(key.name).and_then(T::get)
    }

    /// True if the flag is set.
    pub fn is(&self, key: Key<bool>) -> bool {
        self.get(key).unwrap_or(false)
    }

    /// Stores a value; `None` leaves the attribute at its default, and so does `false` for a flag.
    pub fn set<T: Field>(&mut self, key: Key<T>, value: impl Into<Option<T>>) -> &mut Self {
        match value.into().map(T::put) {
            Some(Value::Bool(false)) | None => self.remove(key.name),
            Some(value) => self.put(key.name, value),
        }
        self
    }

    /// As `set`, for building in one expression.
    #[must_use]
    pub fn with<T: Field>(mut self, key: Key<T>, value: impl Into<Option<T>>) -> Self {
        self.set(key, value);
        self
    }

    /// Stores an untyped value under a name of the kind's table.
    pub fn put(&mut self, name: &'static str, value: Value) {
        match self.0.iter_mut().find(|(n, _)| *n == name) {
            Some(slot) => slot.1 = value,
            None => self.0.push((name, value)),
        }
    }

    /// Puts an attribute back to its default.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(n, _)| *n != name);
    }

    /// All attributes that are not at their default.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.iter().map(|(n, v)| (*n, v))
    }

    /// All attributes, to be edited.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&'static str, &mut Value)> {
        self.0.iter_mut().map(|(n, v)| (*n, v))
    }

    /// True if everything has its default.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Order of storing is not part of equality.
impl PartialEq for Attrs {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len() && self.0.iter().all(|(n, v)| other.value(n) == Some(v))
    }
}

impl Eq for Attrs {}

impl std::hash::Hash for Attrs {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let mut sorted: Vec<_> = self.0.iter().collect();
        sorted.sort_by_key(|(n, _)| *n);
        sorted.hash(state);
    }
}

/// A Rust type that an attribute can have.
pub trait Field: Sized {
    /// What reading gives.
    type Out<'a>;
    /// Reads; `None` if the value is of another type.
    fn get(value: &Value) -> Option<Self::Out<'_>>;
    /// Wraps.
    fn put(self) -> Value;
}

macro_rules! fields {
    ($($rust:ty, $out:ty, $pattern:pat => $read:expr, $put:expr;)*) => {
        $(impl Field for $rust {
            type Out<'a> = $out;
            fn get(value: &Value) -> Option<Self::Out<'_>> {
                match value { $pattern => Some($read), _ => None }
            }
            fn put(self) -> Value { #[allow(clippy::redundant_closure_call)] ($put)(self) }
        })*
    };
}

fields! {
    bool, bool, Value::Bool(b) => *b, Value::Bool;
    i64, i64, Value::Int(i) => *i, Value::Int;
    Text, &'a Text, Value::Text(t) => t, Value::Text;
    SqlType, &'a SqlType, Value::Type(t) => t, Value::Type;
    Expr, &'a Expr, Value::Expr(e) => e, Value::Expr;
    ObjectId, &'a ObjectId, Value::Ref(r) => r, Value::Ref;
    Attrs, &'a Attrs, Value::Record(r) => r, Value::Record;
}

impl Field for Ident {
    type Out<'a> = Ident;
    fn get(value: &Value) -> Option<Ident> {
        match value {
            Value::Text(t) => Some(Ident::new(t.clone())),
            _ => None,
        }
    }
    fn put(self) -> Value {
        Value::Text(self.text())
    }
}

/// Lists: names (`Vec<Ident>`), texts, references, records.
impl<T: Field> Field for Vec<T> {
    type Out<'a> = Vec<T::Out<'a>>;
    fn get(value: &Value) -> Option<Self::Out<'_>> {
        match value {
            Value::List(list) => list.iter().map(T::get).collect(),
            _ => None,
        }
    }
    fn put(self) -> Value {
        Value::List(self.into_iter().map(T::put).collect())
    }
}

impl Field for Options {
    type Out<'a> = Vec<&'a Text>;
    fn get(value: &Value) -> Option<Self::Out<'_>> {
        match value {
            Value::Options(options) => Some(options.0.iter().collect()),
            _ => None,
        }
    }
    fn put(self) -> Value {
        Value::Options(self)
    }
}

impl Options {
    /// Wraps a list; `None` for an empty one.
    pub fn some(list: impl IntoIterator<Item = impl Into<Text>>) -> Option<Self> {
        let list: Vec<Text> = list.into_iter().map(Into::into).collect();
        (!list.is_empty()).then_some(Self(list))
    }

    /// In an order that equal lists share.
    pub fn sorted(&self) -> Vec<&Text> {
        let mut list: Vec<&Text> = self.0.iter().collect();
        list.sort();
        list
    }
}

impl PartialEq for Options {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0 || self.sorted() == other.sorted()
    }
}

impl Eq for Options {}

impl std::hash::Hash for Options {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.sorted().hash(state);
    }
}

impl SqlType {
    /// Wraps a type's text.
    pub fn new(text: impl Into<Text>) -> Self {
        Self(text.into())
    }
    /// The type's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Expr {
    /// Wraps SQL text.
    pub fn new(text: impl Into<Text>) -> Self {
        Self(text.into())
    }
    /// The SQL text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
