//! Finding the names that SQL text uses: chains of identifiers, with what stands around them.
//!
//! This scanner knows PostgreSQL's lexical rules (src/backend/parser/scan.l) and no grammar, so that no text can make it fail.

use crate::model::Text;

use super::reference;

/// A name in SQL text, with its parts unquoted and folded as PostgreSQL folds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// `["public", "orders"]`.
    pub parts: Vec<String>,
    /// True if a parenthesis follows: a function call (or a column list).
    pub call: bool,
}

impl Name {
    /// The last part.
    pub fn last(&self) -> &str {
        self.parts.last().map_or("", String::as_str)
    }
}

/// Words that are never a name without quotes (src/include/parser/kwlist.h, RESERVED_KEYWORD; and `current_schema`, which is a value
/// where a column could stand).
const RESERVED: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "both",
    "case",
    "cast",
    "check",
    "collate",
    "column",
    "constraint",
    "create",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "false",
    "fetch",
    "for",
    "foreign",
    "from",
    "grant",
    "group",
    "having",
    "in",
    "initially",
    "intersect",
    "into",
    "lateral",
    "leading",
    "limit",
    "localtime",
    "localtimestamp",
    "not",
    "null",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "placing",
    "primary",
    "references",
    "returning",
    "select",
    "session_user",
    "some",
    "symmetric",
    "system_user",
    "table",
    "then",
    "to",
    "trailing",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "variadic",
    "when",
    "where",
    "window",
    "with",
];

/// Functions whose first argument, a string, names a relation.
const TAKES_RELATION: &[&str] = &["nextval", "currval", "setval", "pg_get_serial_sequence"];

/// Functions that take the name of a text search configuration or dictionary before their last argument.
const TAKES_TEXT_SEARCH: &[&str] = &[
    "to_tsvector",
    "to_tsquery",
    "plainto_tsquery",
    "phraseto_tsquery",
    "websearch_to_tsquery",
    "ts_headline",
    "ts_lexize",
];

/// Types whose values are objects, written as their names (src/backend/utils/adt/regproc.c); true for those of routines.
const OBJECTS: &[(&str, bool)] = &[
    ("regclass", false),
    ("regcollation", false),
    ("regconfig", false),
    ("regdictionary", false),
    ("regproc", true),
    ("regprocedure", true),
    ("regtype", false),
];

/// One token that matters; everything else is `Other`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Word {
        text: String,
        quoted: bool,
    },
    String(String),
    Dot,
    Open,
    Close,
    Comma,
    Star,
    /// `::`
    Cast,
    Other,
}

/// All names in the text; too many rather than too few, in no text a failure.
/// A string that names an object (`'public.s'::regclass`, `nextval('public.s')`, `'app.en'::regconfig`) counts as that name.
pub fn find(text: &str) -> Vec<Name> {
    let tokens = tokens(text);
    let mut out: Vec<Name> = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token {
            Token::Word { text, quoted } => {
                let alone = !*quoted && RESERVED.binary_search(&text.as_str()).is_ok();
                let mut parts = vec![text.clone()];
                while let (Some(Token::Dot), Some(Token::Word { text, .. })) = (tokens.get(at), tokens.get(at + 1)) {
                    parts.push(text.clone());
                    at += 2;
                }
                if !(alone && parts.len() == 1) {
                    out.push(Name { parts, call: tokens.get(at) == Some(&Token::Open) });
                }
            }
            Token::String(content) => {
                if let Some(call) = names_object(&tokens, at - 1, &out)
                    && let Some(parts) = object_parts(content)
                {
                    out.push(Name { parts, call });
                }
            }
            _ => {}
        }
    }
    out
}

/// Whether the string at that place names an object, and if so, whether that is a routine.
fn names_object(tokens: &[Token], at: usize, before: &[Name]) -> Option<bool> {
    if tokens.get(at + 1) == Some(&Token::Cast) {
        let mut next = at + 2;
        if matches!((tokens.get(next), tokens.get(next + 1)), (Some(Token::Word { text, .. }), Some(Token::Dot)) if text == "pg_catalog")
        {
            next += 2;
        }
        if let Some(Token::Word { text, .. }) = tokens.get(next)
            && let Some((_, routine)) = OBJECTS.iter().find(|(name, _)| name == text)
        {
            return Some(*routine);
        }
    }
    let opened = at > 0 && tokens.get(at - 1) == Some(&Token::Open);
    let function = before.last().filter(|name| opened && name.call)?.last();
    let more = tokens.get(at + 1) == Some(&Token::Comma);
    (TAKES_RELATION.contains(&function) || more && TAKES_TEXT_SEARCH.contains(&function)).then_some(false)
}

/// The parts of an object's name inside a string; unquoted parts are folded, input types and array bounds left out.
fn object_parts(content: &str) -> Option<Vec<String>> {
    let mut quoted = false;
    let mut folded = String::new();
    for c in content.trim().chars() {
        quoted ^= c == '"';
        match c {
            '(' | '[' if !quoted => break,
            c if quoted => folded.push(c),
            c => folded.push(c.to_ascii_lowercase()),
        }
    }
    let parts: Vec<Text> = reference::split(folded.trim_end()).ok()?;
    Some(parts.iter().map(ToString::to_string).collect())
}

pub(super) fn tokens(text: &str) -> Vec<Token> {
    spans(text).into_iter().map(|(token, _)| token).collect()
}

/// Tokens with the places where they begin.
pub(super) fn spans(text: &str) -> Vec<(Token, usize)> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (token, used) = match c {
            _ if c.is_whitespace() => (None, c.len_utf8()),
            '-' if rest.starts_with("--") => (None, rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => (None, comment(rest)),
            '\'' => {
                let (content, used) = quoted(rest, '\'', false);
                (Some(Token::String(content)), used)
            }
            '"' => {
                let (text, used) = quoted(rest, '"', false);
                (Some(Token::Word { text, quoted: true }), used)
            }
            '$' => match dollar_quoted(rest) {
                Some(used) => (Some(Token::Other), used),
                None => (Some(Token::Other), 1),
            },
            '.' => (Some(Token::Dot), 1),
            '(' => (Some(Token::Open), 1),
            ')' => (Some(Token::Close), 1),
            ',' => (Some(Token::Comma), 1),
            '*' => (Some(Token::Star), 1),
            ':' if rest.starts_with("::") => (Some(Token::Cast), 2),
            '0'..='9' => (Some(Token::Other), number(rest)),
            _ if is_start(c) => word(rest),
            _ => (Some(Token::Other), c.len_utf8()),
        };
        out.extend(token.map(|token| (token, text.len() - rest.len())));
        rest = rest.get(used..).unwrap_or("");
    }
    out
}

fn is_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()
}

fn is_inner(c: char) -> bool {
    is_start(c) || c.is_ascii_digit() || c == '$'
}

/// A word, or a string or identifier with a prefix: `E'…'`, `B'…'`, `U&"…"`.
fn word(text: &str) -> (Option<Token>, usize) {
    let end = text.find(|c| !is_inner(c)).unwrap_or(text.len());
    let (word, after) = text.split_at(end);
    let prefix = word.to_ascii_lowercase();
    if after.starts_with('\'') && matches!(prefix.as_str(), "e" | "b" | "x" | "n") {
        let (content, used) = quoted(after, '\'', prefix == "e");
        return (Some(Token::String(content)), end + used);
    }
    if prefix == "u" && (after.starts_with("&'") || after.starts_with("&\"")) {
        let quote = if after.starts_with("&'") { '\'' } else { '"' };
        let (content, used) = quoted(&after[1..], quote, false);
        let token = if quote == '"' { Token::Word { text: content, quoted: true } } else { Token::String(content) };
        return (Some(token), end + 1 + used);
    }
    (Some(Token::Word { text: prefix, quoted: false }), end)
}

/// The content between quotes (doubled ones halved) and how many bytes it took; an open end takes all.
pub(super) fn quoted(text: &str, quote: char, backslash: bool) -> (String, usize) {
    let mut content = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && backslash {
            content.extend(chars.next().map(|(_, c)| c));
        } else if c == quote {
            if chars.peek().is_some_and(|(_, next)| *next == quote) {
                chars.next();
                content.push(c);
            } else {
                return (content, at + 1);
            }
        } else {
            content.push(c);
        }
    }
    (content, text.len())
}

/// The length of a `/* … */` comment; they nest.
fn comment(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0_u32, 0);
    while at < bytes.len() {
        match bytes.get(at..at + 2) {
            Some(b"/*") => (depth, at) = (depth + 1, at + 2),
            Some(b"*/") => {
                (depth, at) = (depth - 1, at + 2);
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    text.len()
}

/// The length of `$tag$ … $tag$`, if the text begins with one; a parameter (`$1`) is none.
fn dollar_quoted(text: &str) -> Option<usize> {
    let tag_end = text[1..].find('$')? + 1;
    let tag = &text[1..tag_end];
    if tag.chars().next().is_some_and(|c| !is_start(c)) || tag.chars().any(|c| !is_inner(c) || c == '$') {
        return None;
    }
    let delimiter = &text[..=tag_end];
    let body = &text[tag_end + 1..];
    Some(body.find(delimiter).map_or(text.len(), |end| tag_end + 1 + end + delimiter.len()))
}

fn number(text: &str) -> usize {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.')).unwrap_or(text.len());
    // `1..10` and `1.e` cannot stand before a name, so a greedy number loses none.
    end.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        find(text).iter().map(|n| format!("{}{}", n.parts.join("."), if n.call { "()" } else { "" })).collect()
    }

    #[test]
    fn names_with_parts_calls_and_quotes() {
        assert_eq!(found("Total >= 0 AND app.\"Odd Name\".x IS NOT NULL"), ["total", "app.Odd Name.x", "is"]);
        assert_eq!(found("public.f (a, lower(\"B\"\"c\"))"), ["public.f()", "a", "lower()", "B\"c"]);
        assert_eq!(found("CASE WHEN a THEN 1.5e3 ELSE b END"), ["a", "b"]);
    }

    #[test]
    fn strings_comments_and_bodies_hold_no_names() {
        assert_eq!(found("'a.b' -- c\n + /* d /* e */ f */ g || $x$ h $x$ || E'it\\'s i' || $1"), ["g"]);
        assert_eq!(found("U&\"d\\0061t\" || B'101'"), ["d\\0061t"]);
    }

    #[test]
    fn strings_that_name_objects() {
        assert_eq!(found("nextval('public.S_seq'::regclass)"), ["nextval()", "public.s_seq", "regclass"]);
        assert_eq!(found("currval('s')"), ["currval()", "s"]);
        assert_eq!(found("'app.\"Odd\"'::pg_catalog.regclass"), ["app.Odd", "pg_catalog.regclass"]);
        assert_eq!(found("f('s')"), ["f()"]);
        assert_eq!(found("to_tsvector('app.En'::regconfig, a)"), ["to_tsvector()", "app.en", "regconfig", "a"]);
        assert_eq!(found("to_tsvector('app.en', a)"), ["to_tsvector()", "app.en", "a"]);
        assert_eq!(found("to_tsvector('a.b')"), ["to_tsvector()"]);
        assert_eq!(found("'app.f(integer)'::regprocedure"), ["app.f()", "regprocedure"]);
        assert_eq!(found("'app.\"a[]\"[]'::regtype"), ["app.a[]", "regtype"]);
    }

    #[test]
    fn no_text_is_a_failure() {
        for text in ["'open", "\"open", "/* open", "$x$ open", "$", "E'\\", "a.", ".a", "é.ü", "U&", "1.", "::", "'ü''"]
        {
            find(text);
        }
        assert!(RESERVED.is_sorted());
    }
}
