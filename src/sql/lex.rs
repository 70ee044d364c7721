//! Splits SQL text into tokens by PostgreSQL's lexical rules (src/backend/parser/scan.l), without a grammar, so that no text can make it
//! fail.

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
    /// The text between the quotes, doubled ones made single.
    pub fn content(&self) -> String {
        let Some((prefix, quote)) = self.text.find(['\'', '"']).and_then(|at| Some((at, self.text.get(at..=at)?)))
        else {
            return self.text.to_string();
        };
        let inside = self.text.get(prefix + 1..self.text.len() - usize::from(self.closed)).unwrap_or("");
        let backslash = is_escape(&self.text[..prefix]);
        let mut out = String::with_capacity(inside.len());
        let mut chars = inside.chars();
        while let Some(c) = chars.next() {
            if c == '\\' && backslash {
                out.extend(chars.next());
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
        _ if c.is_whitespace() => (Kind::Space, until(&|c| !c.is_whitespace())),
        '-' if rest.starts_with("--") => (Kind::Comment, until(&|c| c == '\n')),
        '/' if rest.starts_with("/*") => (Kind::Comment, comment(rest)),
        '\'' => (Kind::String, quoted(rest, '\'', false)),
        '"' => (Kind::Quoted, quoted(rest, '"', false)),
        '$' => match opening_tag(rest) {
            Some(tag) => (Kind::Dollars, rest[tag.len()..].find(tag).map(|end| end + 2 * tag.len())),
            None => (Kind::Symbol, Some(1)),
        },
        // `1..10` and `1.e` cannot precede a name, so a greedy number loses none.
        '0'..='9' => (Kind::Number, until(&|c| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'))),
        _ if is_start(c) => word(rest),
        ':' if rest.starts_with("::") => (Kind::Symbol, Some(2)),
        _ => (Kind::Symbol, Some(c.len_utf8())),
    })
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
            (Kind::String, with(0, quoted(after, '\'', is_escape(word))))
        }
        _ => (Kind::Word, Some(end)),
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
    fn content_is_what_the_quotes_mean() {
        let content = |text: &str| pieces(text).next().unwrap().content();
        assert_eq!(
            ["'a''b'", "\"a\"\"\"", "E'it\\'s '''", "'\\'", "U&\"d\\0061t\"", "'open"].map(content),
            ["a'b", "a\"", "it's '", "\\", "d\\0061t", "open"]
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
