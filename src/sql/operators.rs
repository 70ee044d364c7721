//! Finds the operators that SQL text uses, by the same rules as names.

use super::names::{Name, Token, spans};

/// The operators that the text uses, as names: `["==="]`, `["app", "==="]`. It may report too many, but never too few.
pub fn find(text: &str) -> Vec<Name> {
    let tokens = spans(text);
    let mut out = Vec::new();
    let mut at = 0;
    while let Some((token, start)) = tokens.get(at) {
        out.extend(implied(token).iter().map(|name| Name { parts: vec![(*name).to_string()], call: false }));
        let mut end = *start;
        // Adjacent symbols are one operator. Comments are left out, but they separate.
        let mut next = at;
        while tokens.get(next).is_some_and(|(token, start)| is_symbol(token) && *start == end) {
            let Some(c) = text.get(end..).and_then(|t| t.chars().next()).filter(|c| is_operator(*c)) else { break };
            end += c.len_utf8();
            next += 1;
        }
        if next == at {
            at += 1;
            continue;
        }
        let mut name = text.get(*start..end).unwrap_or("");
        // A trailing sign belongs to the operand, unless the operator contains one of these.
        if !name.contains(['~', '!', '@', '#', '%', '^', '&', '|', '`', '?']) {
            let kept = name.trim_end_matches(['+', '-']);
            name = if kept.is_empty() { name.get(..1).unwrap_or(name) } else { kept };
        }
        let home = match (at.checked_sub(2).and_then(|i| tokens.get(i)), at.checked_sub(1).and_then(|i| tokens.get(i)))
        {
            (Some((Token::Word { text, .. }, _)), Some((Token::Dot, _))) => Some(text.clone()),
            _ => None,
        };
        out.push(Name { parts: home.into_iter().chain([name.to_string()]).collect(), call: false });
        at = next;
    }
    out
}

/// The operators that a keyword stands for, which PostgreSQL looks up along `search_path` (src/backend/parser/gram.y, parse_expr.c and
/// parse_clause.c).
fn implied(token: &Token) -> &'static [&'static str] {
    match token {
        Token::Word { text, quoted: false } => match text.as_str() {
            "between" => &[">=", "<=", "<", ">"],
            "case" | "distinct" | "natural" | "nullif" | "using" => &["="],
            "ilike" => &["~~*", "!~~*"],
            "in" => &["=", "<>"],
            "like" => &["~~", "!~~"],
            "similar" => &["~", "!~"],
            _ => &[],
        },
        _ => &[],
    }
}

/// True for the characters that operators are made of.
pub fn is_operator(c: char) -> bool {
    "+-*/<>=~!@#%^&|`?".contains(c)
}

fn is_symbol(token: &Token) -> bool {
    matches!(token, Token::Other | Token::Star)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_have_their_schemas() {
        let found = |text: &str| find(text).iter().map(|n| n.parts.join(".")).collect::<Vec<_>>();
        assert_eq!(found("a === b AND c OPERATOR(app.@>) -d"), ["===", "app.@>", "-"]);
        assert_eq!(found("a<-1 or b @- c or d --e\n* f/* g */<h"), ["<", "@-", "*", "<"]);
        assert_eq!(found("'a = b' || $x$ + $x$ || 1.5 :: int"), ["||", "||"]);
    }

    #[test]
    fn keywords_stand_for_operators() {
        let found = |text: &str| find(text).iter().map(|n| n.parts.join(".")).collect::<Vec<_>>();
        assert_eq!(found("a NOT IN (b) OR \"in\" LIKE 'in'"), ["=", "<>", "~~", "!~~"]);
        assert_eq!(found("CASE a WHEN b THEN 1 END BETWEEN c AND d"), ["=", ">=", "<=", "<", ">"]);
    }

    #[test]
    fn no_text_is_a_failure() {
        for text in ["+", "<é", "-é-", "'+", ".*", "a.", "E'+\\", "--", "/*"] {
            find(text);
        }
    }
}
