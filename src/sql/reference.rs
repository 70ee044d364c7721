//! References in files: `schema.name`, split at unquoted dots; unusual parts are in SQL's double quotes.

use crate::model::Text;

/// Splits a reference; an unquoted part is verbatim (no case folding), a quoted one loses its quotes.
///
/// # Errors
/// A sentence that says why the text is not a reference.
pub fn split(text: &str) -> Result<Vec<Text>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let (part, after) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let end = closing_quote(quoted).ok_or("a quote is not closed")?;
                (quoted[..end].replace("\"\"", "\""), &quoted[end + 1..])
            }
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                (rest[..end].to_string(), &rest[end..])
            }
        };
        if part.is_empty() {
            return Err("a part of it is empty".into());
        }
        parts.push(part.into());
        match after.strip_prefix('.') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(parts),
            None => return Err("a dot is expected after a quoted part".into()),
        }
    }
}

/// The place of the quote that closes a quoted part, doubled quotes skipped.
fn closing_quote(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'"' {
            if bytes.get(at + 1) != Some(&b'"') {
                return Some(at);
            }
            at += 1;
        }
        at += 1;
    }
    None
}

/// Joins parts so that `split` gives them back.
pub fn join(parts: &[&str]) -> String {
    let quoted: Vec<String> = parts
        .iter()
        .map(|part| match part.contains(['.', '"']) || part.is_empty() {
            true => format!("\"{}\"", part.replace('"', "\"\"")),
            false => (*part).to_string(),
        })
        .collect();
    quoted.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_and_join_are_inverse() {
        for parts in [vec!["orders"], vec!["app", "orders"], vec!["a.b", "c\"d"], vec!["Mixed Case 13"]] {
            let text = join(&parts);
            let split: Vec<String> = split(&text).unwrap().iter().map(ToString::to_string).collect();
            assert_eq!(split, parts, "{text}");
        }
        assert!(split("a..b").is_err());
        assert!(split("\"a").is_err());
    }
}
