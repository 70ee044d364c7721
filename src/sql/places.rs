//! Finds names in SQL text by their position: where a relation, a type, a collation or a text search object may be named.

use super::names::{Name, Named, Token, is_reserved, named_by_strings, tokens};

/// Words that end a list of relations.
const ENDS_RELATIONS: &[&str] = &[
    "except",
    "fetch",
    "for",
    "group",
    "having",
    "intersect",
    "limit",
    "offset",
    "order",
    "returning",
    "select",
    "set",
    "union",
    "values",
    "when",
    "where",
    "window",
];

/// The names in the text at positions where a type may appear: after `::`, `AS` or another name, or in front of a string.
pub fn types(text: &str) -> Vec<Name> {
    let tokens = tokens(text);
    let mut out = named_by_strings(&tokens, Named::Type);
    for (at, token) in tokens.iter().enumerate() {
        let Token::Word { text, quoted } = token else { continue };
        let before = at.checked_sub(1).and_then(|at| tokens.get(at));
        let after = tokens.get(at + 1);
        let introduced = match before {
            Some(Token::Cast) => true,
            Some(Token::Word { text, quoted }) => text == "as" || !is_reserved(text, *quoted),
            _ => matches!(after, Some(Token::String(_))),
        };
        if introduced && !is_reserved(text, *quoted) && after != Some(&Token::Dot) {
            out.push(Name { parts: vec![text.clone()], call: after == Some(&Token::Open) });
        }
    }
    out
}

/// The collations that the text names: what follows COLLATE.
pub fn collations(text: &str) -> Vec<Name> {
    let tokens = tokens(text);
    let mut out = named_by_strings(&tokens, Named::Collation);
    let behind = tokens.windows(2).enumerate().filter(|(_, pair)| is_word(pair.first(), "collate"));
    out.extend(behind.filter_map(|(at, _)| name_at(&tokens, at + 1)));
    out
}

/// The text search configurations (or dictionaries) that strings in the text name.
pub fn text_search(text: &str, dictionaries: bool) -> Vec<Name> {
    named_by_strings(&tokens(text), if dictionaries { Named::Dictionary } else { Named::Configuration })
}

/// What is between two parentheses, or outside of all.
#[derive(Clone, Copy, Default)]
struct Level {
    /// It is a query or a command: FROM is followed by relations, not by an argument.
    command: bool,
    /// A comma is followed by a relation.
    list: bool,
}

/// The relations that the text names, as a command names them: behind FROM, JOIN, INTO, UPDATE, USING, ONLY and TABLE, and as strings
/// (`nextval('s')`, `'t'::regclass`). Names that the text itself gives to queries (WITH) are left out.
pub fn relations(text: &str) -> Vec<Name> {
    let tokens = tokens(text);
    let mut found = named_by_strings(&tokens, Named::Relation);
    let (mut levels, mut own) = (vec![Level::default()], Vec::new());
    let mut awaited = false;
    for (at, token) in tokens.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| tokens.get(at));
        let Some(level) = levels.last_mut() else { break };
        match token {
            Token::Open => levels.push(if awaited { Level { command: true, list: true } } else { Level::default() }),
            Token::Close => {
                if levels.len() > 1 {
                    levels.pop();
                }
                awaited = false;
            }
            Token::Comma => awaited = level.list,
            Token::Word { text, quoted: false } if is_reserved(text, false) || is_verb(text) => match text.as_str() {
                "select" | "delete" | "update" | "insert" => {
                    *level = Level { command: true, list: false };
                    awaited = text == "update";
                }
                "from" | "using" => {
                    awaited = level.command && !is_word(before, "distinct");
                    level.list |= awaited;
                }
                "join" | "into" | "table" => awaited = true,
                "only" | "lateral" => {}
                word => {
                    awaited = false;
                    level.list &= ENDS_RELATIONS.binary_search(&word).is_err();
                }
            },
            Token::Word { text, .. } => {
                let begins = !matches!(before, Some(Token::Dot));
                if awaited && begins {
                    found.extend(name_at(&tokens, at).filter(|name| !name.call || is_word(before, "into")));
                }
                let named =
                    matches!(before, Some(Token::Comma)) || is_word(before, "with") || is_word(before, "recursive");
                if named && gives_name(&tokens, at + 1) {
                    own.push(text.clone());
                }
                awaited = false;
            }
            _ => awaited = false,
        }
    }
    found.retain(|name| !(name.parts.len() == 1 && own.iter().any(|own| own == name.last())));
    found
}

/// Words that are not reserved, but begin what has relations in it.
fn is_verb(word: &str) -> bool {
    matches!(word, "delete" | "insert" | "join" | "set" | "update" | "values")
}

/// True if a name that ends there is given to a query: `AS (`, `(columns) AS (`, `AS [NOT] MATERIALIZED (`.
fn gives_name(tokens: &[Token], mut at: usize) -> bool {
    if tokens.get(at) == Some(&Token::Open) {
        let close = tokens.iter().skip(at).position(|token| *token == Token::Close);
        at += close.map_or(0, |close| close + 1);
    }
    let rest =
        tokens.iter().skip(at + 1).find(|token| !is_word(Some(token), "not") && !is_word(Some(token), "materialized"));
    is_word(tokens.get(at), "as") && rest == Some(&Token::Open)
}

fn is_word(token: Option<&Token>, word: &str) -> bool {
    matches!(token, Some(Token::Word { text, quoted: false }) if text == word)
}

/// The name that begins there.
fn name_at(tokens: &[Token], mut at: usize) -> Option<Name> {
    let Some(Token::Word { text, .. }) = tokens.get(at) else { return None };
    let mut parts = vec![text.clone()];
    while let (Some(Token::Dot), Some(Token::Word { text, .. })) = (tokens.get(at + 1), tokens.get(at + 2)) {
        parts.push(text.clone());
        at += 2;
    }
    Some(Name { parts, call: tokens.get(at + 1) == Some(&Token::Open) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(names: &[Name]) -> String {
        names.iter().map(|name| name.parts.join(".")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn places_of_types() {
        let found = |text| shown(&types(text));
        assert_eq!(found("a::word = 'x'::app.word AND CAST(b AS \"Odd\"[]) <> money '1'"), "word Odd money");
        assert_eq!(found("SELECT kind FROM t WHERE CASE WHEN a THEN kind END = f(kind)"), "");
        assert_eq!(found("'word'::regtype"), "word regtype");
    }

    #[test]
    fn places_of_collations_and_text_search() {
        assert_eq!(shown(&collations("a COLLATE de < b COLLATE app.\"De\" AND 'x'::regcollation = 1")), "x de app.De");
        assert_eq!(shown(&text_search("to_tsvector('en', a) @@ 'En'::regconfig", false)), "en en");
        assert_eq!(shown(&text_search("ts_lexize('stem', a) || 'app.other'::regdictionary", true)), "stem app.other");
        assert_eq!(shown(&text_search("to_tsvector('en')", false)), "");
    }

    #[test]
    fn places_of_relations() {
        for (text, names) in [
            (
                "SELECT a, b FROM t, app.u AS x, \"V\" LEFT JOIN w ON w.a = t.a, y WHERE a IN (SELECT b FROM z)",
                "t app.u V w y z",
            ),
            ("SELECT extract(year FROM born), a IS DISTINCT FROM b, trim(both FROM c) FROM t ORDER BY a, b", "t"),
            ("WITH q AS (SELECT 1), r(a) AS NOT MATERIALIZED (SELECT * FROM s) SELECT * FROM q, r, t", "s t"),
            ("SELECT * FROM (a CROSS JOIN b), f(c), LATERAL (SELECT * FROM d) AS e", "a b d"),
            ("INSERT INTO log (a, b) SELECT a, b FROM new_rows", "log new_rows"),
            ("UPDATE ONLY t SET a = u.a, b = 1 FROM u WHERE x, y", "t u"),
            ("DELETE FROM t USING u, v WHERE t.a = u.a", "t u v"),
            ("TABLE t", "t"),
            (
                "CREATE VIEW app.v AS SELECT count(*) FROM t GROUP BY a, b HAVING c UNION SELECT 1 FROM u FOR UPDATE",
                "t u",
            ),
            ("nextval('s') + '\"S\"'::regclass::oid", "s S"),
            ("a, b > (c, d) AND EXISTS (SELECT FROM t)", "t"),
            ("CREATE UNIQUE INDEX i ON app.t USING btree (a, lower(b)) WHERE c", ""),
        ] {
            let mut found: Vec<String> = relations(text).iter().map(|name| name.parts.join(".")).collect();
            let mut wanted: Vec<String> = names.split_whitespace().map(str::to_owned).collect();
            found.sort();
            wanted.sort();
            assert_eq!(found, wanted, "{text}");
        }
        assert!(ENDS_RELATIONS.is_sorted());
    }
}
