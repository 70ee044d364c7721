//! Reads the columns of a catalog row from left to right.

use tokio_postgres::types::FromSql;

/// A cursor over one row: `name` of a room takes the first columns, `read` continues where it stopped.
pub struct Row {
    row: tokio_postgres::Row,
    at: usize,
    error: Option<String>,
}

impl Row {
    /// Starts at the first column.
    pub fn new(row: tokio_postgres::Row) -> Self {
        Self { row, at: 0, error: None }
    }

    /// The next column; NULL and the wrong type give the default, the wrong type also `error`.
    #[allow(clippy::should_implement_trait, reason = "each column has its own type")]
    pub fn next<T: for<'a> FromSql<'a> + Default>(&mut self) -> T {
        self.next_opt().unwrap_or_default()
    }

    /// The next column, `None` for NULL.
    pub fn next_opt<T: for<'a> FromSql<'a>>(&mut self) -> Option<T> {
        let at = self.at;
        self.at += 1;
        let value = self.row.try_get::<_, Option<T>>(at);
        value.unwrap_or_else(|error| {
            note(&mut self.error, &self.row, at, &error);
            None
        })
    }

    /// The next column as shared text.
    pub fn text(&mut self) -> crate::model::Text {
        self.text_opt().unwrap_or_else(|| "".into())
    }

    /// The next column as shared text, `None` for NULL.
    pub fn text_opt(&mut self) -> Option<crate::model::Text> {
        let at = self.at;
        self.at += 1;
        let value = self.row.try_get::<_, Option<&str>>(at);
        value.map(|text| text.map(Into::into)).unwrap_or_else(|error| {
            note(&mut self.error, &self.row, at, &error);
            None
        })
    }

    /// The next column as an OID, 0 for NULL.
    pub fn oid(&mut self) -> u32 {
        self.next()
    }

    /// The next column, of PostgreSQL's one-byte type `"char"`.
    pub fn char(&mut self) -> char {
        char::from(self.next::<i8>() as u8)
    }

    /// What went wrong while reading, if anything did: a room's query and its `read` do not agree.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }
}

/// Notes the first column that was not of the type that was asked for.
fn note(first: &mut Option<String>, row: &tokio_postgres::Row, at: usize, error: &tokio_postgres::Error) {
    let column = row.columns().get(at).map_or("?", |c| c.name());
    first.get_or_insert_with(|| format!("column {column}: {error}"));
}
