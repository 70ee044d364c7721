//! Takes partition keys and bounds apart: PostgreSQL evaluates expressions in them as soon as it creates a partitioned table, so only those
//! that cannot call anything are sent to it in that form.

use crate::sql::lex::{self, Kind, Piece};
use crate::sql::types;

/// A partition key: `RANGE (a, lower(b) COLLATE "C")`.
#[derive(Debug, PartialEq, Eq)]
pub struct PartitionKey<'a> {
    strategy: String,
    /// Its parts, in order.
    pub parts: Vec<Part<'a>>,
}

/// A part of a partition key.
#[derive(Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// The column that it is; `None` if it is an expression.
    pub column: Option<String>,
    /// Its text, without what follows it.
    pub text: &'a str,
    /// Its collation and operator class.
    rest: Vec<&'a str>,
}

impl<'a> PartitionKey<'a> {
    /// Takes a key apart; `None` for anything else.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut significant = solid(text);
        let strategy = significant.next().filter(|piece| piece.kind == Kind::Word)?.text.to_ascii_lowercase();
        let open = significant.next().filter(|piece| piece.text == "(")?.at;
        let inner = text.get(open + 1..)?.trim_end().strip_suffix(')')?;
        if !lex::is_balanced(inner) {
            return None;
        }
        let parts: Option<Vec<Part<'a>>> = lex::split(inner, ",").into_iter().map(Part::parse).collect();
        Some(Self { strategy, parts: parts? })
    }

    /// The columns, if it has nothing else.
    pub fn columns(&self) -> Option<Vec<&str>> {
        self.parts.iter().map(|part| part.column.as_deref()).collect()
    }

    /// The expressions of two keys that differ, if that is all in which the keys can differ.
    pub fn expressions<'b>(&'b self, other: &'b PartitionKey<'a>) -> Option<Vec<(&'a str, &'a str)>> {
        let alike = |(a, b): (&Part<'_>, &Part<'_>)| a.column == b.column && a.rest == b.rest;
        let same_form = self.strategy == other.strategy && self.parts.len() == other.parts.len();
        if !same_form || !self.parts.iter().zip(&other.parts).all(alike) {
            return None;
        }
        let pairs = self.parts.iter().zip(&other.parts).filter(|(a, _)| a.column.is_none());
        Some(pairs.filter(|(a, b)| a.text != b.text).map(|(a, b)| (a.text, b.text)).collect())
    }
}

impl<'a> Part<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let pieces: Vec<Piece<'a>> = solid(text).collect();
        let first = pieces.first()?;
        let mut at = 0;
        let mut column = None;
        if first.text != "(" {
            let is_name = |piece: &Piece<'_>| matches!(piece.kind, Kind::Word | Kind::Quoted);
            if !is_name(first) {
                return None;
            }
            while pieces.get(at + 1).is_some_and(|piece| piece.text == ".") && pieces.get(at + 2).is_some_and(is_name) {
                at += 2;
            }
            at += 1;
            let bare = if first.kind == Kind::Word { first.text.to_ascii_lowercase() } else { first.content() };
            column = (at == 1).then_some(bare);
        }
        if pieces.get(at).is_some_and(|piece| piece.text == "(") {
            let mut depth = 0_usize;
            loop {
                match pieces.get(at)?.text {
                    "(" => depth += 1,
                    ")" => depth -= 1,
                    _ => {}
                }
                at += 1;
                if depth == 0 {
                    break;
                }
            }
            column = None;
        }
        let end = pieces.get(at).map_or(text.len(), |piece| piece.at);
        let rest = pieces.get(at..)?.iter().map(|piece| piece.text).collect();
        Some(Self { column, text: text.get(..end)?.trim_end(), rest })
    }
}

/// True if a bound has constants only, of built-in types: building it cannot call anybody's code.
pub fn is_constant(bound: &str) -> bool {
    const WORDS: &[&str] = &[
        "for",
        "values",
        "in",
        "from",
        "to",
        "with",
        "modulus",
        "remainder",
        "null",
        "true",
        "false",
        "minvalue",
        "maxvalue",
        "default",
    ];
    let pieces: Vec<Piece<'_>> = solid(bound).collect();
    let mut at = 0;
    while let Some(piece) = pieces.get(at) {
        at += 1;
        let next = pieces.get(at);
        match (piece.kind, piece.text) {
            (Kind::String | Kind::Dollars | Kind::Number, _) | (Kind::Symbol, "(" | ")" | ",") => {}
            (Kind::Symbol, "-" | "+")
                if next.is_some_and(|next| next.kind == Kind::Number)
                    && at
                        .checked_sub(2)
                        .and_then(|at| pieces.get(at))
                        .is_some_and(|last| matches!(last.text, "(" | ",")) => {}
            (Kind::Symbol, "::") => {
                let from = piece.at + 2;
                let mut depth = 0_i32;
                let end = pieces[at..].iter().find(|piece| {
                    depth += i32::from(piece.text == "(") - i32::from(piece.text == ")");
                    depth < 0 || depth == 0 && matches!(piece.text, "," | "::")
                });
                let name = bound.get(from..end.map_or(bound.len(), |end| end.at)).unwrap_or_default();
                if !types::parse(name).is_ok_and(|parsed| is_built_in(&parsed)) {
                    return false;
                }
                while pieces.get(at).is_some_and(|piece| end.is_none_or(|end| piece.at < end.at)) {
                    at += 1;
                }
            }
            (Kind::Word, word) => {
                let word = word.to_ascii_lowercase();
                // A word before a string is its type.
                let typed = next.is_some_and(|next| next.kind == Kind::String)
                    && types::parse(&word).is_ok_and(|parsed| is_built_in(&parsed));
                if !typed && !WORDS.contains(&word.as_str()) {
                    return false;
                }
            }
            _ => return false,
        }
    }
    true
}

/// True if a type's name means a built-in type, regardless of what else exists.
pub fn is_built_in(parsed: &types::Parsed) -> bool {
    parsed.schema.is_none() && types::is_built_in(&parsed.name)
}

fn solid(text: &str) -> impl Iterator<Item = Piece<'_>> {
    lex::pieces(text).filter(|piece| !matches!(piece.kind, Kind::Space | Kind::Comment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_taken_apart() {
        let key = PartitionKey::parse(r#"RANGE (a, "B" COLLATE "C" text_ops, lower(c), (d + 1) int4_ops)"#).unwrap();
        let parts: Vec<_> = key.parts.iter().map(|p| (p.column.as_deref(), p.text)).collect();
        assert_eq!(parts, [(Some("a"), "a"), (Some("B"), "\"B\""), (None, "lower(c)"), (None, "(d + 1)")]);
        assert_eq!(key.columns(), None);
        let other =
            PartitionKey::parse(r#"range(a, "B" COLLATE "C" text_ops, public.lower(c), (d+1) int4_ops)"#).unwrap();
        assert_eq!(key.expressions(&other).unwrap(), [("lower(c)", "public.lower(c)"), ("(d + 1)", "(d+1)")]);
        assert_eq!(PartitionKey::parse("LIST (a)").unwrap().columns(), Some(vec!["a"]));
        for other in ["LIST (a)", "RANGE (a)", r#"RANGE (a, "B", lower(c), (d + 1) int4_ops)"#] {
            assert_eq!(key.expressions(&PartitionKey::parse(other).unwrap()), None, "{other}");
        }
        for wrong in ["", "RANGE", "RANGE (a", "RANGE (a) (b)", "RANGE ()", "(a)", "RANGE (1)"] {
            assert_eq!(PartitionKey::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn constants_call_nothing() {
        for constant in [
            "DEFAULT",
            "FOR VALUES IN ('a', 'b', NULL)",
            "FOR VALUES FROM (-1, MINVALUE) TO (1.5e3, maxvalue)",
            "FOR VALUES FROM ('2020-01-01'::date) TO ('x'::timestamp(3) with time zone)",
            "for values in (date '2020-01-01', '1'::character varying(3)::text)",
            "FOR VALUES WITH (modulus 4, remainder 1)",
        ] {
            assert!(is_constant(constant), "{constant}");
        }
        for other in [
            "FOR VALUES IN (setval('s', 777))",
            "FOR VALUES IN (a)",
            "FOR VALUES IN (1 + 1)",
            "FOR VALUES IN (- '1')",
            "FOR VALUES IN ('1'::public.d)",
            "FOR VALUES IN ('1'::d)",
            "FOR VALUES IN (public.d '1')",
            "FOR VALUES IN (d '1')",
            "FOR VALUES IN (\"default\")",
            "FOR VALUES IN (1 OPERATOR(public.+) 1)",
            "FOR VALUES IN (CURRENT_USER)",
            "FOR VALUES IN (ARRAY[1])",
            "FOR VALUES IN (1 ! )",
        ] {
            assert!(!is_constant(other), "{other}");
        }
    }
}
