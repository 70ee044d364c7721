//! Finds `*` and `t.*` in the select lists of a query, and what simple queries read from.

use super::names::{Token, spans, tokens};

/// A `*` that stands for columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Star {
    /// `["public", "t"]` of `public.t.*`; empty for a bare one.
    pub of: Vec<String>,
    /// Where it is in the query, without what is before its dot.
    pub at: usize,
}

/// What a query reads from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// `["public", "orders"]`.
    pub relation: Vec<String>,
    /// The name by which the query calls it.
    pub alias: String,
}

/// Words before which a select list, and so an item of it, can end.
const ENDS: &[&str] = &[
    "except",
    "fetch",
    "for",
    "from",
    "group",
    "having",
    "intersect",
    "into",
    "limit",
    "offset",
    "order",
    "union",
    "where",
    "window",
];

/// All stars that stand for columns, except those directly inside EXISTS, where they mean nothing.
pub fn find(text: &str) -> Vec<Star> {
    /// A level of parentheses: inside of a select list, and EXISTS before it.
    struct Level {
        list: bool,
        exists: bool,
    }
    let (tokens, places): (Vec<Token>, Vec<usize>) = spans(text).into_iter().unzip();
    let mut levels = vec![Level { list: false, exists: false }];
    let mut out = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|i| tokens.get(i));
        match (token, levels.last_mut()) {
            (Token::Open, _) => levels.push(Level { list: false, exists: is_word(before, &["exists"]) }),
            (Token::Close, _) => _ = levels.pop(),
            (Token::Word { text, quoted: false }, Some(level)) if before != Some(&Token::Dot) => match text.as_str() {
                "select" => level.list = true,
                // IS DISTINCT FROM
                "from" if is_word(before, &["distinct"]) => {}
                "from" | "where" | "union" | "intersect" | "except" | "into" => level.list = false,
                _ => {}
            },
            (Token::Star, Some(level)) if level.list && !level.exists && before != Some(&Token::Open) => {
                let after = tokens.get(at + 1);
                let last = at + 2 >= tokens.len();
                let ends = match after {
                    None | Some(Token::Comma | Token::Close) => true,
                    Some(Token::Other) => last,
                    word => is_word(word, ENDS),
                };
                if ends {
                    out.push(Star { of: qualifier(&tokens, at), at: places.get(at).copied().unwrap_or_default() });
                }
            }
            _ => {}
        }
    }
    out
}

/// What a query without subqueries, set operations and merged columns reads from; `None` for any other query.
pub fn sources(text: &str) -> Option<Vec<Source>> {
    let tokens = tokens(text);
    let count = |word| tokens.iter().filter(|t| is_word(Some(t), &[word])).count();
    if count("select") != 1 || count("using") + count("natural") + count("with") + count("lateral") > 0 {
        return None;
    }
    let mut out = Vec::new();
    let mut at = tokens.iter().position(|t| is_word(Some(t), &["from"]))?;
    loop {
        at += 1;
        if is_word(tokens.get(at), &["only"]) {
            at += 1;
        }
        let mut relation = Vec::new();
        while let Some(Token::Word { text, .. }) = tokens.get(at) {
            relation.push(text.clone());
            at += 1;
            if tokens.get(at) != Some(&Token::Dot) {
                break;
            }
            at += 1;
        }
        let mut alias = relation.last()?.clone();
        if is_word(tokens.get(at), &["as"]) {
            at += 1;
        }
        match tokens.get(at) {
            Some(Token::Open) => return None, // a function, or names for columns
            Some(Token::Word { text, quoted }) if *quoted || !NO_ALIAS.contains(&text.as_str()) => {
                alias = text.clone();
                at += 1;
                if tokens.get(at) == Some(&Token::Open) {
                    return None;
                }
            }
            _ => {}
        }
        out.push(Source { relation, alias });
        let mut depth = 0_u32;
        // To the next one: behind a comma or JOIN outside of parentheses, before what ends the list.
        loop {
            match tokens.get(at) {
                None => return Some(out),
                Some(Token::Open) => depth += 1,
                Some(Token::Close) => depth = depth.saturating_sub(1),
                Some(Token::Comma) if depth == 0 => break,
                word if depth == 0 && is_word(word, &["join"]) => break,
                word if depth == 0 && is_word(word, ENDS) => return Some(out),
                _ => {}
            }
            at += 1;
        }
    }
}

/// Words behind a relation that are not aliases of it.
const NO_ALIAS: &[&str] = &[
    "cross",
    "except",
    "fetch",
    "for",
    "full",
    "group",
    "having",
    "inner",
    "intersect",
    "into",
    "join",
    "left",
    "limit",
    "offset",
    "on",
    "order",
    "right",
    "tablesample",
    "union",
    "where",
    "window",
];

fn is_word(token: Option<&Token>, words: &[&str]) -> bool {
    matches!(token, Some(Token::Word { text, quoted: false }) if words.contains(&text.as_str()))
}

/// The names before the dot before a star.
fn qualifier(tokens: &[Token], star: usize) -> Vec<String> {
    let mut out = Vec::new();
    let mut at = star;
    while let (Some(Token::Dot), Some(Token::Word { text, .. })) =
        (at.checked_sub(1).and_then(|i| tokens.get(i)), at.checked_sub(2).and_then(|i| tokens.get(i)))
    {
        out.insert(0, text.clone());
        at -= 2;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stars(text: &str) -> Vec<String> {
        find(text).iter().map(|star| star.of.join(".")).collect()
    }

    #[test]
    fn stars_that_stand_for_columns() {
        assert_eq!(stars("SELECT * FROM t"), [""]);
        assert_eq!(stars("select distinct on (a) *, t.*, app.\"T\".* from t"), ["", "t", "app.T"]);
        assert_eq!(stars("SELECT a IS DISTINCT FROM b, * FROM t"), [""]);
        assert_eq!(stars("SELECT a FROM (SELECT * FROM t) s UNION SELECT s.* FROM s;"), ["", "s"]);
        assert_eq!(stars("TABLE t"), Vec::<String>::new());
    }

    #[test]
    fn other_stars() {
        for text in [
            "SELECT count(*), a * b, 2 * (a), sum(a) * 2 AS c FROM t",
            "SELECT row_to_json(t.*), count(t.*) FROM t",
            "SELECT t.*::t AS t, t.* IS NULL FROM t",
            "SELECT a FROM t WHERE EXISTS (SELECT * FROM s WHERE s.a * 2 = t.a)",
            "SELECT '*' FROM t -- *",
        ] {
            assert_eq!(stars(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn what_simple_queries_read_from() {
        let found = |text| {
            let list = sources(text)?;
            Some(list.iter().map(|s| format!("{} {}", s.relation.join("."), s.alias)).collect::<Vec<_>>().join(", "))
        };
        assert_eq!(found("SELECT * FROM t").unwrap(), "t t");
        assert_eq!(
            found("SELECT * FROM app.t AS a LEFT JOIN u ON (a.x, a.y) = (u.x, u.y), v \"W\" WHERE a").unwrap(),
            "app.t a, u u, v W"
        );
        for text in ["SELECT * FROM f()", "SELECT * FROM a JOIN b USING (x)", "SELECT * FROM (SELECT 1) s", "SELECT 1"]
        {
            assert_eq!(found(text), None, "{text}");
        }
    }
}
