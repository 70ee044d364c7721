//! Finds quotes, comments and parentheses in SQL text that are never closed, by PostgreSQL's lexical rules alone, without a grammar.

use super::lex::{self, Kind, Piece};

/// The first fault of a text: what is wrong, and the part that shows it.
///
/// # Errors
/// A sentence that reports it.
pub fn check(text: &str) -> Result<(), String> {
    let mut open: Vec<(&str, usize)> = Vec::new();
    // Only the body of a function has several statements.
    let body = text.get(..5).is_some_and(|word| word.eq_ignore_ascii_case("begin"));
    for Piece { kind, text: piece, at, closed } in lex::pieces(text) {
        match (kind, piece) {
            (Kind::Comment, _) if !closed => return Err(unclosed("the comment", piece)),
            (Kind::Quoted, _) if !closed => return Err(unclosed("the name", piece)),
            _ if !closed => return Err(unclosed("the string", piece)),
            (Kind::Symbol, "(" | "[") => open.push((piece, at)),
            (Kind::Symbol, ")" | "]") => {
                let partner = if piece == ")" { "(" } else { "[" };
                if open.pop().is_none_or(|(opening, _)| opening != partner) {
                    return Err(format!("nothing opens the `{piece}` in `{}`", around(text, at)));
                }
            }
            (Kind::Symbol, ";") if open.is_empty() && !body && !text[at + 1..].trim().is_empty() => {
                return Err(format!("something follows the `;` in `{}`", around(text, at)));
            }
            _ => {}
        }
    }
    match open.first() {
        Some((opening, at)) => Err(format!("nothing closes the `{opening}` in `{}`", around(text, *at))),
        None => Ok(()),
    }
}

/// What is open is shown from its quote on.
fn unclosed(what: &str, piece: &str) -> String {
    let rest = piece.find(['\'', '"', '/', '$']).map_or(piece, |at| &piece[at..]);
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
            ("a IN ('b', 'c)", "the string that begins with `'c)` is not closed"),
            ("\"a", "the name that begins with `\"a` is not closed"),
            ("/* a /* b */", "the comment that begins with `/* a /* b */` is not closed"),
            ("$$ a $", "the string that begins with `$$ a $` is not closed"),
            ("(a + b", "nothing closes the `(` in `(a + b`"),
            ("a)", "nothing opens the `)` in `a)`"),
            ("(a]", "nothing opens the `]` in `(a]`"),
            ("SELECT 1; SELECT 2", "something follows the `;` in `SELECT 1; SELECT 2`"),
            ("E'\\'", "the string that begins with `'\\'` is not closed"),
        ] {
            assert_eq!(check(text), Err(message.to_string()), "{text}");
        }
    }
}
