//! Splits SQL text into tokens by PostgreSQL's lexical rules (src/backend/parser/scan.l), without a grammar, so that no text can make it
//! fail.

use super::escapes;

/// What a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// White space.
    Space,
    /// `-- …` or `/* … */`.
    Comment,
    /// A string with its prefix: `'…'`, `E'…'`.
    String,
    /// A string between dollars: `$tag$ … $tag$`.
    Dollars,
    /// A name in quotes with its prefix: `"…"`, `U&"…"`.
    Quoted,
    /// A name or keyword.
    Word,
    /// A number.
    Number,
    /// Any other character; `::` is one.
    Symbol,
}

/// A piece of a text.
#[derive(Debug, Clone, Copy)]
pub struct Piece<'a> {
    /// What it is.
    pub kind: Kind,
    /// The piece as written.
    pub text: &'a str,
    /// Where it begins.
    pub at: usize,
    /// False for what continues to the end of the text because nothing closes it.
    pub closed: bool,
}

impl Piece<'_> {
    /// What the quotes mean: doubled ones are single, and escapes are what they stand for. `U&` has its escapes behind a backslash, if no
    /// UESCAPE says otherwise (`escaped_by`).
    pub fn content(&self) -> String {
        self.escaped_by('\\')
    }

    /// As `content`, with what UESCAPE says.
    pub fn escaped_by(&self, unicode: char) -> String {
        let Some((prefix, quote)) = self.text.find(['\'', '"']).and_then(|at| Some((at, self.text.get(at..=at)?)))
        else {
            return self.text.to_string();
        };
        let inside = self.text.get(prefix + 1..self.text.len() - usize::from(self.closed)).unwrap_or("");
        let escape = match &self.text[..prefix] {
            prefix if is_escape(prefix) => Some('\\'),
            prefix if prefix.eq_ignore_ascii_case("u&") => Some(unicode),
            _ => None,
        };
        let mut out = String::with_capacity(inside.len());
        let mut chars = inside.chars();
        while let Some(c) = chars.next() {
            if Some(c) == escape {
                let (meant, used) = match is_escape(&self.text[..prefix]) {
                    true => escapes::in_string(chars.as_str()),
                    false => escapes::in_unicode(chars.as_str(), c),
                };
                out.extend(meant);
                chars = chars.as_str().get(used..).unwrap_or("").chars();
            } else if quote.starts_with(c) && !chars.as_str().starts_with(c) {
                // Another part of the string begins.
                let rest = chars.as_str();
                chars = continuation(rest).and_then(|at| rest.get(at + 1..)).unwrap_or("").chars();
            } else {
                out.push(c);
                if quote.starts_with(c) {
                    chars.next();
                }
            }
        }
        out
    }
}

/// All pieces, in order and without gaps.
pub fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = text.get(at..)?;
        let (kind, length) = first(rest)?;
        let piece = Piece { kind, text: &rest[..length.unwrap_or(rest.len())], at, closed: length.is_some() };
        at += piece.text.len();
        Some(piece)
    })
}

/// The pieces outside of parentheses and brackets.
pub fn outside(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut depth = 0_usize;
    pieces(text).filter(move |piece| {
        match (piece.kind, piece.text) {
            (Kind::Symbol, "(" | "[") => depth += 1,
            (Kind::Symbol, ")" | "]") => {
                depth = depth.saturating_sub(1);
                return false;
            }
            _ => {}
        }
        depth == 0
    })
}

/// The parts of a text between separators outside of parentheses, brackets and quotes, without the space around them.
pub fn split<'a>(text: &'a str, separator: &str) -> Vec<&'a str> {
    let mut start = 0;
    let mut out = Vec::new();
    for found in outside(text).filter(|piece| piece.kind == Kind::Symbol && piece.text == separator) {
        out.push(text[start..found.at].trim());
        start = found.at + found.text.len();
    }
    out.push(text[start..].trim());
    out
}

/// True if all quotes and parentheses that the text opens are closed in it, and no others.
pub fn is_balanced(text: &str) -> bool {
    let mut depth = 0_usize;
    for piece in pieces(text) {
        match (piece.kind, piece.text) {
            _ if !piece.closed => return false,
            (Kind::Symbol, "(") => depth += 1,
            (Kind::Symbol, ")") if depth == 0 => return false,
            (Kind::Symbol, ")") => depth -= 1,
            _ => {}
        }
    }
    depth == 0
}

/// The first piece and its length, if it is closed.
fn first(rest: &str) -> Option<(Kind, Option<usize>)> {
    let c = rest.chars().next()?;
    let until = |ends: &dyn Fn(char) -> bool| Some(rest.find(ends).unwrap_or(rest.len()));
    Some(match c {
        _ if is_space(c) => (Kind::Space, until(&|c| !is_space(c))),
        '-' if rest.starts_with("--") => (Kind::Comment, until(&is_newline)),
        '/' if rest.starts_with("/*") => (Kind::Comment, comment(rest)),
        '\'' => (Kind::String, quoted(rest, '\'', false)),
        '"' => (Kind::Quoted, quoted(rest, '"', false)),
        '$' => match opening_tag(rest) {
            Some(tag) => (Kind::Dollars, rest[tag.len()..].find(tag).map(|end| end + 2 * tag.len())),
            None => (Kind::Symbol, Some(1)),
        },
        '0'..='9' => (Kind::Number, Some(number(rest))),
        _ if is_start(c) => word(rest),
        ':' if rest.starts_with("::") => (Kind::Symbol, Some(2)),
        _ => (Kind::Symbol, Some(c.len_utf8())),
    })
}

/// White space to PostgreSQL, which takes every character beyond ASCII for a letter.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

fn is_newline(c: char) -> bool {
    matches!(c, '\n' | '\r')
}

/// The length of a number. What follows it directly is a word (before 15) or an error: `1E'…'` is a number and a string with escapes.
fn number(text: &str) -> usize {
    let digits = |from: usize| {
        let rest = text.get(from..).unwrap_or("");
        from + rest.find(|c: char| !(c.is_ascii_digit() || c == '_')).unwrap_or(rest.len())
    };
    let radix =
        text.get(..2).filter(|prefix| ["0x", "0o", "0b"].iter().any(|known| prefix.eq_ignore_ascii_case(known)));
    if radix.is_some() && text[2..].starts_with(|c: char| c.is_ascii_hexdigit() || c == '_') {
        return 2 + text[2..].find(|c: char| !(c.is_ascii_hexdigit() || c == '_')).unwrap_or(text.len() - 2);
    }
    let mut end = digits(0);
    while text[end..].starts_with('.') {
        end = digits(end + 1);
    }
    let exponent = text[end..].starts_with(['e', 'E']).then(|| end + 1);
    let exponent = exponent.map(|at| at + usize::from(text[at..].starts_with(['+', '-'])));
    match exponent {
        Some(at) if text[at..].starts_with(|c: char| c.is_ascii_digit()) => digits(at),
        _ => end,
    }
}

fn is_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()
}

fn is_inner(c: char) -> bool {
    is_start(c) || c.is_ascii_digit() || c == '$'
}

/// True for the prefix of a string in which backslashes escape.
fn is_escape(prefix: &str) -> bool {
    prefix.eq_ignore_ascii_case("e")
}

/// A word, or a string or identifier with a prefix: `E'…'`, `B'…'`, `U&"…"`.
fn word(text: &str) -> (Kind, Option<usize>) {
    let end = text.find(|c| !is_inner(c)).unwrap_or(text.len());
    let (word, after) = text.split_at(end);
    let with = |skipped: usize, length: Option<usize>| length.map(|length| end + skipped + length);
    match (word, after.get(..2)) {
        ("u" | "U", Some("&'")) => (Kind::String, with(1, quoted(&after[1..], '\'', false))),
        ("u" | "U", Some("&\"")) => (Kind::Quoted, with(1, quoted(&after[1..], '"', false))),
        ("e" | "E" | "b" | "B" | "x" | "X" | "n" | "N", _) if after.starts_with('\'') => {
            (Kind::String, with(0, continued(after, is_escape(word))))
        }
        _ => (Kind::Word, Some(end)),
    }
}

/// The length of a string with all that continues it: after white space with a newline, another one is a part of it, and has its escapes.
fn continued(text: &str, backslash: bool) -> Option<usize> {
    let mut end = quoted(text, '\'', backslash)?;
    while let Some(next) = continuation(&text[end..]).filter(|_| backslash) {
        end += next + quoted(&text[end + next..], '\'', backslash)?;
    }
    Some(end)
}

/// How far it is to the quote that continues a string, if one does (`quotecontinue` of scan.l): there is a newline in between, and nothing
/// but white space and comments that end with a line.
fn continuation(text: &str) -> Option<usize> {
    let mut at = 0;
    let mut newline = false;
    loop {
        let rest = &text[at..];
        let c = rest.chars().next()?;
        if rest.starts_with("--") {
            at += rest.find(is_newline)?;
        } else if is_space(c) {
            newline |= is_newline(c);
            at += 1;
        } else {
            return (c == '\'' && newline).then_some(at);
        }
    }
}

/// The length of what is in quotes; a doubled one does not close.
fn quoted(text: &str, quote: char, backslash: bool) -> Option<usize> {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && backslash {
            chars.next();
        } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return Some(at + 1);
        }
    }
    None
}

/// The length of a `/* … */` comment; they nest.
fn comment(text: &str) -> Option<usize> {
    let (mut depth, mut at) = (0_u32, 0);
    loop {
        match text.as_bytes().get(at..at + 2)? {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" if depth == 1 => return Some(at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
}

/// The `$tag$` with which the text begins, if it does; a parameter (`$1`) is not one.
fn opening_tag(text: &str) -> Option<&str> {
    let end = text[1..].find('$')? + 1;
    let tag = &text[1..end];
    let is_tag = !tag.starts_with(|c: char| !is_start(c)) && tag.chars().all(is_inner);
    is_tag.then(|| &text[..=end])
}

/// What is in the strings of a text, those between dollars included: perhaps SQL in its turn.
pub fn strings(text: &str) -> Vec<String> {
    let inside = |piece: Piece<'_>| match piece.kind {
        Kind::String => Some(piece.content()),
        Kind::Dollars => {
            let tag = piece.text.get(1..)?.find('$')? + 2;
            let end = piece.text.len().checked_sub(if piece.closed { tag } else { 0 })?;
            piece.text.get(tag..end).map(ToString::to_string)
        }
        _ => None,
    };
    pieces(text).filter_map(inside).collect()
}

/// True if the text has a string that may be a value: one that follows AS is a routine's body.
pub fn has_literal(text: &str) -> bool {
    let mut behind_as = false;
    pieces(text).any(|piece| match piece.kind {
        Kind::Space | Kind::Comment => false,
        Kind::String | Kind::Dollars => !behind_as,
        _ => {
            behind_as = piece.kind == Kind::Word && piece.text.eq_ignore_ascii_case("as");
            false
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_no_literals() {
        for (text, has) in [
            ("SELECT 1", false),
            ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$SELECT 'a'$$", false),
            ("CREATE FUNCTION f(a text DEFAULT 'a') AS /* x */ 'SELECT 1'", true),
            ("CREATE FUNCTION f() AS $$SELECT 1$$ SET x TO 'a'", true),
            ("a = $x$y$x$", true),
            ("\"as\" 'x'", true),
            ("-- 'a'\n b", false),
        ] {
            assert_eq!(has_literal(text), has, "{text}");
        }
    }

    #[test]
    fn pieces_are_all_there_is() {
        for text in
            ["a.\"B\"\"c\" || E'\\'x' /* /* */ */ -- e\n$x$ $ $x$ + $1 - 1.5e3::int[]", "'ü''", "$ü$ a", "E'\\", "/* "]
        {
            assert_eq!(pieces(text).map(|piece| piece.text).collect::<String>(), text);
        }
    }

    #[test]
    fn pieces_end_where_postgresql_ends_them() {
        let last = |text: &str| pieces(text).last().map(|piece| (piece.kind, piece.text.to_string())).unwrap();
        for (text, kind, end) in [
            ("-- a\r;", Kind::Symbol, ";"),
            ("E'a' \n -- x\r 'b\\''", Kind::String, "E'a' \n -- x\r 'b\\''"),
            ("E'a' 'b\\'", Kind::String, "'b\\'"),
            ("'a'\n'b\\'", Kind::String, "'b\\'"),
            ("E'a' /* \n */\n'b\\'", Kind::String, "'b\\'"),
            ("1E'\\''", Kind::String, "E'\\''"),
            ("1.5e-3", Kind::Number, "1.5e-3"),
            ("0xfe", Kind::Number, "0xfe"),
            ("1or", Kind::Word, "or"),
            ("a\u{a0}", Kind::Word, "a\u{a0}"),
        ] {
            assert_eq!(last(text), (kind, end.to_string()), "{text:?}");
        }
    }

    #[test]
    fn content_is_what_the_quotes_mean() {
        let content = |text: &str| pieces(text).next().unwrap().content();
        assert_eq!(
            ["'a''b'", "\"a\"\"\"", "E'it\\'s '''", "'\\'", "U&\"d\\0061t\"", "'open", "E'a'\n'b'''"].map(content),
            ["a'b", "a\"", "it's '", "\\", "dat", "open", "ab'"]
        );
    }

    #[test]
    fn what_is_inside_does_not_split() {
        assert_eq!(
            split("a, f(b, c) , ARRAY[1, 2], ',', \"d,\" /* , */, $$,$$", ","),
            ["a", "f(b, c)", "ARRAY[1, 2]", "','", "\"d,\" /* , */", "$$,$$"]
        );
        assert_eq!(split("", ","), [""]);
        assert!(is_balanced("f(a) || ')'") && !is_balanced("a) + (b") && !is_balanced("'a"));
    }

    #[test]
    fn strings_are_found_between_all_kinds_of_quotes() {
        assert_eq!(
            strings("DO $x$ a 'b' $x$; SELECT 'it''s', E'\\'', $$$$, $y$ open"),
            [" a 'b' ", "it's", "'", "", " open"]
        );
    }
}
