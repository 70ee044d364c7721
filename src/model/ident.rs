//! Names as PostgreSQL stores them: verbatim, case included, at most 63 bytes.

use std::sync::Arc;

/// PostgreSQL's `NAMEDATALEN - 1` (src/include/pg_config_manual.h).
pub const MAX_NAME_BYTES: usize = 63;

/// A name, verbatim. It has no `Display` on purpose: SQL gets it through `sql::name`, which quotes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ident(Arc<str>);

impl Ident {
    /// Wraps a name; any string is a name to the model, the reader checks the length.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name as the catalog holds it, unquoted.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The shared string behind the name.
    pub fn text(&self) -> Arc<str> {
        self.0.clone()
    }

    /// True for the empty name that facets carry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Debug for Ident {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl From<&str> for Ident {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl From<String> for Ident {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl From<Arc<str>> for Ident {
    fn from(name: Arc<str>) -> Self {
        Self(name)
    }
}
