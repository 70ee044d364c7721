//! Rewrites a script so that it means the same but hides nothing: characters that a terminal would obey are escaped in SQL's own way.

use std::borrow::Cow;

use crate::model::{begins_command, harmless, is_obeyed};

use super::lex::{Kind, Piece, pieces};

/// The statement with such characters written as `U&'\202E'` in strings and `U&"\202E"` in names, and named in comments.
pub fn respelled(sql: &str) -> Cow<'_, str> {
    // A carriage return is how lines end on Windows, also in bodies.
    let hidden = |text: &str| matches!(harmless(text), Cow::Owned(named) if named != text);
    let commands = sql.lines().any(begins_command);
    // A name draws no lines of its own, and no line is a command to a CI system.
    let odd = |piece: &Piece<'_>| {
        hidden(piece.text)
            || piece.kind == Kind::Quoted && piece.text.contains('\n')
            || commands && piece.text.lines().skip(1).any(|line| line.trim_start().starts_with("::"))
    };
    if !hidden(sql) && !commands && !pieces(sql).any(|piece| odd(&piece)) {
        return sql.into();
    }
    let mut out = String::with_capacity(sql.len() + 64);
    for piece in pieces(sql) {
        let line = || out.rsplit(['\n', '\r']).next().unwrap_or_default();
        if commands && piece.text.starts_with("::") && line().trim().is_empty() {
            out.push_str("/**/");
        }
        if !odd(&piece) || !piece.closed {
            out.push_str(&harmless(piece.text));
            continue;
        }
        match piece.kind {
            Kind::Dollars => {
                let tag = piece.text.get(1..).and_then(|rest| rest.find('$')).map_or(0, |at| at + 2);
                let body = piece.text.get(tag..piece.text.len() - tag).unwrap_or_default();
                out.push_str(&escaped(body, '\''));
            }
            Kind::String | Kind::Quoted => {
                let quote = if piece.kind == Kind::String { '\'' } else { '"' };
                let prefix = piece.text.split(quote).next().unwrap_or_default().to_ascii_lowercase();
                match prefix.as_str() {
                    "" => out.push_str(&escaped(&piece.content(), quote)),
                    // Those know escapes already.
                    "e" => out.push_str(&within(piece.text, |c| match u32::from(c) {
                        code @ ..0x1_0000 => format!("\\u{code:04X}"),
                        code => format!("\\U{code:08X}"),
                    })),
                    "u&" => out.push_str(&within(piece.text, unicode)),
                    _ => out.push_str(&harmless(piece.text)),
                }
            }
            Kind::Comment => out.push_str(&harmless(&piece.text.replace("::", ": :"))),
            Kind::Word => out.push_str(&escaped(&piece.text.to_ascii_lowercase(), '"')),
            _ => out.push_str(&harmless(piece.text)),
        }
    }
    out.into()
}

fn unicode(c: char) -> String {
    match u32::from(c) {
        code @ ..0x1_0000 => format!("\\{code:04X}"),
        code => format!("\\+{code:06X}"),
    }
}

/// `U&'…'` or `U&"…"` with that content.
fn escaped(content: &str, quote: char) -> String {
    let doubled = content.replace('\\', "\\\\").replace(quote, &format!("{quote}{quote}"));
    within(&format!("U&{quote}{doubled}{quote}"), unicode)
}

/// The content of a string or name with such characters spelled so, the ends of lines in names and before commands among them.
fn within(text: &str, spell: impl Fn(char) -> String) -> String {
    let name = text.starts_with(['"', 'u', 'U']) && text.ends_with('"');
    text.char_indices().fold(String::with_capacity(text.len()), |mut out, (at, c)| {
        let next = || text.get(at + 1..).is_some_and(|rest| rest.trim_start().starts_with("::"));
        if is_obeyed(c) || c == '\n' && (name || next()) {
            out.push_str(&spell(c))
        } else {
            out.push(c)
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_means_the_same() {
        assert_eq!(respelled("SELECT 'a', $$b\r\n$$"), "SELECT 'a', $$b\r\n$$");
        assert_eq!(respelled("SELECT 'it''s \\ \u{202e}'"), "SELECT U&'it''s \\\\ \\202E'");
        assert_eq!(respelled("AS $x$it's\u{1b}$x$"), "AS U&'it''s\\001B'");
        assert_eq!(
            respelled("ALTER TABLE \"a\"\"\u{200b}\" RENAME TO B\u{200b}"),
            "ALTER TABLE U&\"a\"\"\\200B\" RENAME TO U&\"b\\200B\""
        );
        assert_eq!(respelled("SELECT \"a\n::b::c\""), "SELECT U&\"a\\000A::b::c\"");
        assert_eq!(respelled("SELECT 'a\nb\n ::b::c'"), "SELECT U&'a\nb\\000A ::b::c'");
        assert_eq!(respelled("SELECT 1\n  ::text, 2"), "SELECT 1\n  ::text, 2");
        assert_eq!(respelled("SELECT 1\n::error::text"), "SELECT 1\n/**/::error::text");
        assert_eq!(respelled("/* \n::error::a */"), "/* \n: :error: :a */");
        assert_eq!(respelled("E'\\n\u{e0041}' -- \u{202e}\n"), "E'\\n\\U000E0041' -- <U+202E>\n");
    }
}
