//! Quotes, comments and parentheses of SQL text that nothing closes. PostgreSQL's lexical rules alone, no grammar.

/// The first fault of a text: what is wrong, and the part that shows it.
///
/// # Errors
/// A sentence that says so.
pub fn check(text: &str) -> Result<(), String> {
    let mut open: Vec<(char, usize)> = Vec::new();
    let mut at = 0;
    // Only the body of a function has several statements.
    let body = text.get(..5).is_some_and(|word| word.eq_ignore_ascii_case("begin"));
    while let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let rest = &text[at..];
        let used = match c {
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => comment(rest).ok_or_else(|| unclosed("the comment", rest))?,
            '\'' => quoted(rest, '\'', is_escape_string(text, at)).ok_or_else(|| unclosed("the text", rest))?,
            '"' => quoted(rest, '"', false).ok_or_else(|| unclosed("the name", rest))?,
            '$' => dollar_quoted(text, at)?,
            '(' | '[' => {
                open.push((c, at));
                1
            }
            ')' | ']' => {
                let partner = if c == ')' { '(' } else { '[' };
                if open.pop().is_none_or(|(opening, _)| opening != partner) {
                    return Err(format!("nothing opens the `{c}` in `{}`", around(text, at)));
                }
                1
            }
            ';' if open.is_empty() && !body && !rest[1..].trim().is_empty() => {
                return Err(format!("something follows the `;` in `{}`", around(text, at)));
            }
            _ => c.len_utf8(),
        };
        at += used;
    }
    match open.first() {
        Some((opening, at)) => Err(format!("nothing closes the `{opening}` in `{}`", around(text, *at))),
        None => Ok(()),
    }
}

fn unclosed(what: &str, rest: &str) -> String {
    format!("{what} that begins with `{}` is not closed", short(rest))
}

/// A place with some text before and after it.
fn around(text: &str, at: usize) -> String {
    let from = text.floor_char_boundary(at.saturating_sub(16));
    let to = text.floor_char_boundary((at + 16).min(text.len())).max(at + 1);
    let cut = |is: bool| if is { "…" } else { "" };
    format!("{}{}{}", cut(from > 0), text.get(from..to).unwrap_or("").trim(), cut(to < text.len()))
}

fn short(rest: &str) -> &str {
    let line = rest.lines().next().unwrap_or("");
    line.get(..line.floor_char_boundary(24)).unwrap_or(line).trim_end()
}

fn quoted(rest: &str, quote: char, backslash: bool) -> Option<usize> {
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && backslash {
            chars.next();
        } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return Some(at + 1);
        }
    }
    None
}

/// True if the quote at `at` opens an `E'…'`.
fn is_escape_string(text: &str, at: usize) -> bool {
    let before = text.get(..at).unwrap_or("");
    let word = before.rsplit(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '$'))).next();
    word.is_some_and(|word| word.eq_ignore_ascii_case("e"))
}

/// `/* … */`; they nest.
fn comment(rest: &str) -> Option<usize> {
    let (mut depth, mut at) = (0_u32, 0);
    loop {
        match rest.as_bytes().get(at..at + 2)? {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" if depth == 1 => return Some(at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
}

/// The length of `$tag$ … $tag$`, or of a `$` that begins none.
fn dollar_quoted(text: &str, at: usize) -> Result<usize, String> {
    let rest = &text[at..];
    let inner = |c: char| c.is_alphanumeric() || c == '_';
    // In the middle of a name it is a letter like others.
    let in_name = text[..at].ends_with(|c: char| inner(c) || c == '$');
    let Some(end) = rest[1..].find('$').map(|n| n + 1).filter(|_| !in_name) else { return Ok(1) };
    let tag = &rest[1..end];
    if tag.starts_with(|c: char| c.is_ascii_digit()) || !tag.chars().all(inner) {
        return Ok(1);
    }
    let delimiter = &rest[..=end];
    let body = &rest[end + 1..];
    match body.find(delimiter) {
        Some(close) => Ok(end + 1 + close + delimiter.len()),
        None => Err(unclosed("the text", rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn what_is_whole_passes() {
        for text in [
            "",
            "a > 0",
            "'it''s (' || E'\\'(' || \"a)\"",
            "/* ( /* ' */ */ a -- (\n",
            "$$ ( $$ || $x$ $$ ' $x$",
            "a[1:(2)]",
            "$1 + $2",
            "a$b$c",
            "U&'d\\0061t' || B'1'",
            "'ü'",
            "SELECT 1;",
            "BEGIN ATOMIC SELECT 1; SELECT 2; END",
            "E'\\\\'",
            "'\\'",
            "name'x'",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_is_open_is_found() {
        for (text, message) in [
            ("a IN ('b', 'c)", "the text that begins with `'c)` is not closed"),
            ("\"a", "the name that begins with `\"a` is not closed"),
            ("/* a /* b */", "the comment that begins with `/* a /* b */` is not closed"),
            ("$$ a $", "the text that begins with `$$ a $` is not closed"),
            ("(a + b", "nothing closes the `(` in `(a + b`"),
            ("a)", "nothing opens the `)` in `a)`"),
            ("(a]", "nothing opens the `]` in `(a]`"),
            ("SELECT 1; SELECT 2", "something follows the `;` in `SELECT 1; SELECT 2`"),
            ("E'\\'", "the text that begins with `'\\'` is not closed"),
        ] {
            assert_eq!(check(text), Err(message.to_string()), "{text}");
        }
    }
}
