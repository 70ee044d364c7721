//! Reads the ledger's tables with COPY, which runs nothing, no view, rule, policy or index expression, whatever may have happened to the
//! table since it was checked.

use futures_util::TryStreamExt;
use rustc_hash::FxHashMap;

use crate::catalog::{Session, server_error};
use crate::model::{Error, Result};

/// A row: each column as text, `None` for NULL.
pub(super) type Line = Vec<Option<String>>;

/// The rows of a table of the ledger, in no order.
///
/// # Errors
/// The server's; `cannot copy from view` and the like for what is not a plain table.
pub(super) async fn rows(session: &Session, table: &str, columns: &str) -> Result<Vec<Line>> {
    let query = format!("COPY setpoint.{table} ({columns}) TO STDOUT");
    let bytes = async {
        let stream = session.client.copy_out(query.as_str()).await?;
        stream
            .try_fold(Vec::new(), async |mut all: Vec<u8>, chunk| {
                all.extend_from_slice(&chunk);
                Ok(all)
            })
            .await
    };
    let bytes = bytes.await.map_err(|e| server_error(&e))?;
    let text = String::from_utf8(bytes).map_err(|_| Error::failed(format!("setpoint.{table} is not in UTF-8")))?;
    Ok(text.lines().map(|line| line.split('\t').map(field).collect()).collect())
}

/// What the ledger says about itself.
pub(super) async fn meta(session: &Session) -> Result<FxHashMap<String, String>> {
    let lines = rows(session, "meta", "key, value").await?;
    let pair = |line: Line| match <[Option<String>; 2]>::try_from(line) {
        Ok([Some(key), Some(value)]) => Some((key, value)),
        _ => None,
    };
    Ok(lines.into_iter().filter_map(pair).collect())
}

/// A field in COPY's text format.
fn field(text: &str) -> Option<String> {
    if text == "\\N" {
        return None;
    }
    if !text.contains('\\') {
        return Some(text.to_owned());
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '\\' => match chars.next() {
                Some('b') => '\u{8}',
                Some('f') => '\u{c}',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some('v') => '\u{b}',
                Some(other) => other,
                None => '\\',
            },
            c => c,
        });
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn escapes_are_undone() {
        assert_eq!(field("\\N"), None);
        assert_eq!(field("a\\nb\\\\x\\tc").as_deref(), Some("a\nb\\x\tc"));
        assert_eq!(field("").as_deref(), Some(""));
    }
}
