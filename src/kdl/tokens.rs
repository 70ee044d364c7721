//! Splits a file into tokens and the text between them, losing nothing, for layout and for editing in place.

use std::ops::Range;

use just_kdl::lexer::{Lexer, Token};

/// A token's part in a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// A name, a key or a value.
    Value,
    /// `(`
    OpenType,
    /// `)`
    CloseType,
    /// `=`
    Equals,
    /// `/-`
    SlashDash,
    /// `{`
    Open,
    /// `}`
    Close,
    /// `;`
    Semicolon,
    /// The end of the file.
    End,
}

/// One token, and the gap before it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece<'a> {
    pub(super) what: What,
    /// Its bytes.
    pub(super) text: &'a str,
    /// Where they begin.
    pub(super) start: usize,
    /// White space, comments and line continuations before it.
    pub(super) gap: &'a str,
    /// True if a line ends in the gap, and with it the node.
    pub(super) lines: bool,
}

impl Piece<'_> {
    pub(super) fn end(&self) -> usize {
        self.start + self.text.len()
    }
}

/// The tokens of a text that the reader accepted.
pub(super) struct Tokens<'a> {
    text: &'a str,
    /// Where the lexer began.
    base: usize,
    lexer: Lexer<&'a [u8]>,
    /// The end of the last token.
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self::from(text, 0)
    }

    /// The tokens from that byte on.
    pub(super) fn from(text: &'a str, base: usize) -> Self {
        let rest = text.get(base..).unwrap_or("");
        Self { text, base, lexer: Lexer::new(rest.as_bytes()), at: base }
    }

    /// The next token; `End` again and again at the end, and where the text is not KDL.
    pub(super) fn next(&mut self) -> Piece<'a> {
        let (mut lines, before) = (false, self.at);
        loop {
            let (token, start) = self.lexer.next_token(false);
            let what = match token {
                Ok(Token::Lines) => {
                    lines = true;
                    continue;
                }
                Ok(Token::Spaces) => continue,
                Ok(Token::Bom) => {
                    self.at = self.base + self.lexer.current_position();
                    return self.next();
                }
                Ok(Token::OpenParen) => What::OpenType,
                Ok(Token::CloseParen) => What::CloseType,
                Ok(Token::Equals) => What::Equals,
                Ok(Token::SlashDash) => What::SlashDash,
                Ok(Token::OpenCurly) => What::Open,
                Ok(Token::CloseCurly) => What::Close,
                Ok(Token::SemiColon) => What::Semicolon,
                Ok(Token::Eof) | Err(_) => What::End,
                Ok(_) => What::Value,
            };
            let start = self.base + start;
            let end = if what == What::End { start } else { self.base + self.lexer.current_position() };
            self.at = end;
            let part = |from: usize, to: usize| self.text.get(from..to).unwrap_or("");
            return Piece { what, text: part(start, end), start, gap: part(before, start), lines };
        }
    }
}

/// What a gap holds besides white space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trivia<'a> {
    /// The end of a line.
    Newline,
    /// `// …` without the end of its line.
    Line(&'a str),
    /// `/* … */`, and the white space before it if it begins a line.
    Block(&'a str, &'a str),
    /// `\`, with the comment behind it if there is one, and the end of its line.
    Continuation(Option<&'a str>),
}

/// Splits a gap; each part with its bytes in it.
pub(super) fn trivia(gap: &str) -> Vec<(Trivia<'_>, Range<usize>)> {
    let (mut out, mut at) = (Vec::new(), 0);
    let mut line = None;
    while let Some(rest) = gap.get(at..).filter(|rest| !rest.is_empty()) {
        let (found, length) = one(rest);
        if let Some(mut part) = found {
            if let (Trivia::Block(_, before), Some(start)) = (&mut part, line) {
                *before = gap.get(start..at).unwrap_or("");
            }
            out.push((part, at..at + length));
            line = (part == Trivia::Newline).then_some(at + length);
        }
        at += length;
    }
    out
}

/// What a gap begins with, and how long it is.
fn one(rest: &str) -> (Option<Trivia<'_>>, usize) {
    let newline = newline(rest);
    if newline > 0 {
        (Some(Trivia::Newline), newline)
    } else if rest.starts_with("//") {
        let comment = until_newline(rest);
        (Some(Trivia::Line(comment.trim_end())), comment.len())
    } else if rest.starts_with("/*") {
        let comment = block_comment(rest);
        (Some(Trivia::Block(comment, "")), comment.len())
    } else if rest.starts_with('\\') {
        continuation(rest)
    } else {
        (None, rest.chars().next().map_or(1, char::len_utf8))
    }
}

/// `\` up to the end of its line. A block comment before that end stays where it is: behind the continuation.
fn continuation(rest: &str) -> (Option<Trivia<'_>>, usize) {
    let behind = rest.get(1..).unwrap_or("");
    let space = behind.len() - behind.trim_start_matches(|c| c == '\u{feff}' || is_space(c)).len();
    let after = behind.get(space..).unwrap_or("");
    if after.starts_with("//") {
        let comment = until_newline(after);
        let end = after.get(comment.len()..).map_or(0, newline);
        return (Some(Trivia::Continuation(Some(comment.trim_end()))), 1 + space + comment.len() + end);
    }
    if after.starts_with("/*") {
        return (Some(Trivia::Continuation(None)), 1 + space);
    }
    (Some(Trivia::Continuation(None)), 1 + space + newline(after))
}

/// A block comment with those inside of it.
fn block_comment(rest: &str) -> &str {
    let (mut depth, mut at) = (0usize, 0);
    while let Some(here) = rest.get(at..).filter(|here| !here.is_empty()) {
        if here.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.get(..at).unwrap_or(rest)
}

fn until_newline(text: &str) -> &str {
    text.split(is_newline).next().unwrap_or("")
}

/// The bytes of the line end that a text begins with.
fn newline(text: &str) -> usize {
    match text.chars().next() {
        Some('\r') if text.starts_with("\r\n") => 2,
        Some(c) if is_newline(c) => c.len_utf8(),
        _ => 0,
    }
}

/// The lines of a text by KDL's line ends, of which `\r\n` is one.
pub(super) fn lines(text: &str) -> Vec<&str> {
    let (mut out, mut from) = (Vec::new(), 0);
    for (at, _) in text.char_indices() {
        let end = text.get(at..).filter(|_| at >= from).map_or(0, newline);
        if end > 0 {
            out.extend(text.get(from..at));
            from = at + end;
        }
    }
    out.extend(text.get(from..));
    out
}

/// What KDL calls a new line.
pub(super) fn is_newline(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// KDL's white space within lines.
pub(super) fn is_space(c: char) -> bool {
    matches!(c, '\t' | ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_taken_apart() {
        let gap = " /* a /* b */ c */ \\ // d \r\n\t// e\n\n\\  \n \\ /* f */ \n";
        let expected = [
            Trivia::Block("/* a /* b */ c */", ""),
            Trivia::Continuation(Some("// d")),
            Trivia::Line("// e"),
            Trivia::Newline,
            Trivia::Newline,
            Trivia::Continuation(None),
            Trivia::Continuation(None),
            Trivia::Block("/* f */", ""),
            Trivia::Newline,
        ];
        assert_eq!(trivia(gap).into_iter().map(|(part, _)| part).collect::<Vec<_>>(), expected);
        assert_eq!(lines("a\r\nb\rc\u{85}\nd"), ["a", "b", "c", "", "d"]);
    }

    #[test]
    fn tokens_and_gaps_are_the_whole_text() {
        let text = "\u{feff}a /* x */ (t)\"b\"=1 { /-c #\"d\"# // e\n};f \\\n #true\n";
        let (mut tokens, mut whole) = (Tokens::new(text), String::from("\u{feff}"));
        loop {
            let piece = tokens.next();
            whole.push_str(piece.gap);
            whole.push_str(piece.text);
            if piece.what == What::End {
                break;
            }
        }
        assert_eq!(whole, text);
    }
}
