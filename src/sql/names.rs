//! Finds the names that SQL text uses: chains of identifiers, with what surrounds them.

use crate::model::Text;

use super::lex::{self, Kind, Piece};
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
/// where a column could be).
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

/// Types whose values are objects, written as their names (src/backend/utils/adt/regproc.c).
const OBJECTS: &[(&str, Named)] = &[
    ("regclass", Named::Relation),
    ("regcollation", Named::Collation),
    ("regconfig", Named::Configuration),
    ("regdictionary", Named::Dictionary),
    ("regproc", Named::Routine),
    ("regprocedure", Named::Routine),
    ("regtype", Named::Type),
];

/// What a string names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    Relation,
    Routine,
    Type,
    Collation,
    /// A text search configuration.
    Configuration,
    /// A text search dictionary.
    Dictionary,
}

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
                let alone = is_reserved(text, *quoted);
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
                let function = out.last().filter(|name| name.call).map(Name::last);
                if let Some(named) = names_object(&tokens, at - 1, function)
                    && let Some(parts) = object_parts(content)
                {
                    out.push(Name { parts, call: named == Named::Routine });
                }
            }
            _ => {}
        }
    }
    out
}

/// True for a word that is not a name.
pub(super) fn is_reserved(word: &str, quoted: bool) -> bool {
    !quoted && RESERVED.binary_search(&word).is_ok()
}

/// What strings among the tokens name, of one kind.
pub(super) fn named_by_strings(tokens: &[Token], kind: Named) -> Vec<Name> {
    let mut out = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let Token::String(content) = token else { continue };
        let function = match at.checked_sub(2).and_then(|at| tokens.get(at)) {
            Some(Token::Word { text, .. }) => Some(text.as_str()),
            _ => None,
        };
        if names_object(tokens, at, function) == Some(kind)
            && let Some(parts) = object_parts(content)
        {
            out.push(Name { parts, call: false });
        }
    }
    out
}

/// What the string at that place names, if it names an object; `function` is the one in whose arguments it may be the first.
fn names_object(tokens: &[Token], at: usize, function: Option<&str>) -> Option<Named> {
    if tokens.get(at + 1) == Some(&Token::Cast) {
        let mut next = at + 2;
        if matches!((tokens.get(next), tokens.get(next + 1)), (Some(Token::Word { text, .. }), Some(Token::Dot)) if text == "pg_catalog")
        {
            next += 2;
        }
        if let Some(Token::Word { text, .. }) = tokens.get(next)
            && let Some((_, named)) = OBJECTS.iter().find(|(name, _)| name == text)
        {
            return Some(*named);
        }
    }
    let opened = at > 0 && tokens.get(at - 1) == Some(&Token::Open);
    let function = function.filter(|_| opened)?;
    let more = tokens.get(at + 1) == Some(&Token::Comma);
    if TAKES_RELATION.contains(&function) {
        return Some(Named::Relation);
    }
    let named = if function == "ts_lexize" { Named::Dictionary } else { Named::Configuration };
    (more && TAKES_TEXT_SEARCH.contains(&function)).then_some(named)
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
    let pieces: Vec<Piece<'_>> =
        lex::pieces(text).filter(|piece| !matches!(piece.kind, Kind::Space | Kind::Comment)).collect();
    let token = |at: usize, piece: &Piece<'_>| match (piece.kind, piece.text) {
        (Kind::String, _) => Token::String(content(piece, &pieces[at + 1..])),
        (Kind::Quoted, _) => Token::Word { text: truncated(content(piece, &pieces[at + 1..])), quoted: true },
        (Kind::Word, word) => Token::Word { text: truncated(word.to_ascii_lowercase()), quoted: false },
        (Kind::Symbol, ".") => Token::Dot,
        (Kind::Symbol, "(") => Token::Open,
        (Kind::Symbol, ")") => Token::Close,
        (Kind::Symbol, ",") => Token::Comma,
        (Kind::Symbol, "*") => Token::Star,
        (Kind::Symbol, "::") => Token::Cast,
        _ => Token::Other,
    };
    pieces.iter().enumerate().map(|(at, piece)| (token(at, piece), piece.at)).collect()
}

/// What a string or name stands for; `UESCAPE '!'` may follow one with Unicode escapes.
fn content(piece: &Piece<'_>, then: &[Piece<'_>]) -> String {
    match then {
        [word, escape, ..]
            if piece.text.starts_with(['U', 'u'])
                && word.text.eq_ignore_ascii_case("uescape")
                && escape.kind == Kind::String =>
        {
            piece.escaped_by(escape.content().chars().next().unwrap_or('\\'))
        }
        _ => piece.content(),
    }
}

/// The longest name that PostgreSQL keeps, in bytes (NAMEDATALEN - 1).
const LONGEST: usize = 63;

/// A name as PostgreSQL cuts it: silently, before it looks for the object.
pub(super) fn truncated(mut name: String) -> String {
    name.truncate(name.floor_char_boundary(LONGEST));
    name
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
        assert_eq!(found("U&\"d\\0061t\" || B'101'"), ["dat"]);
        assert_eq!(found("m.U&\"t!0074\" UESCAPE '!' || 1"), ["m.tt", "uescape"]);
        assert_eq!(found(&"t".repeat(70)), ["t".repeat(63)]);
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
