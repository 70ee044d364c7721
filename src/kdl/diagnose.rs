//! Explains why a file is no KDL: the fast reader says that it is wrong, a slower parser says how.

use std::ops::Range;

use just_kdl::lexer::{Lexer, LexerError, Token};
use just_kdl::reader::ReaderError;

use super::Problem;
use super::read::span;

/// Larger files get the fast reader's own error: the slow parser would take seconds.
const MAX_DIAGNOSED_BYTES: usize = 2 << 20;

/// Problems shown per file; the rest are mostly consequences.
const MAX_PROBLEMS: usize = 10;

/// The slow parser recurses; nesting beyond this would need more stack than it gets.
const MAX_NESTING: usize = 200;

/// What is wrong with a text that the fast reader refused at `at`.
pub(super) fn diagnose(file: u32, text: &str, error: &ReaderError, at: Range<usize>) -> Vec<Problem> {
    let conflicts = conflicts(file, text);
    if !conflicts.is_empty() {
        return conflicts;
    }
    let own = own(file, text, error, at);
    // For these the fast reader knows best; the slow one's diagnostics are vaguer.
    let best = matches!(
        error,
        ReaderError::Lexer(LexerError::UnexpectedKeyword | LexerError::InvalidNumber)
            | ReaderError::UnmatchedClose
            | ReaderError::UnclosedOpen
    );
    let more =
        if text.len() <= MAX_DIAGNOSED_BYTES && nesting(text) <= MAX_NESTING { slow(file, text) } else { Vec::new() };
    if best || more.is_empty() {
        let line = line_of(text, own.span.start);
        let later = more.into_iter().filter(|p| line_of(text, p.span.start) > line);
        return std::iter::once(own).chain(later).take(MAX_PROBLEMS).collect();
    }
    more
}

/// The places where a merge left Git's conflict markers; whatever else is wrong is a consequence.
fn conflicts(file: u32, text: &str) -> Vec<Problem> {
    let mut at = 0;
    let mut out = Vec::new();
    for line in text.split_inclusive('\n') {
        let marker = line.trim_end();
        if marker.starts_with("<<<<<<< ") {
            let problem = Problem::new(span(file, at..at + marker.len()), "this file has Git's conflict markers");
            out.push(
                problem.label("a merge is not finished").help("keep what both sides want, and remove the markers"),
            );
        }
        at += line.len();
    }
    out.truncate(MAX_PROBLEMS);
    out
}

fn line_of(text: &str, byte: u32) -> usize {
    text.as_bytes().get(..byte as usize).map_or(0, |b| b.iter().filter(|b| **b == b'\n').count())
}

/// The fast reader's error in words of ours.
fn own(file: u32, text: &str, error: &ReaderError, at: Range<usize>) -> Problem {
    let end = at.end.max(at.start).min(text.len());
    let start = at.start.min(end);
    let word = text.get(start..end).unwrap_or("");
    let problem = |message: &str| Problem::new(span(file, start..end), message);
    match error {
        ReaderError::Lexer(LexerError::UnexpectedKeyword) => problem(&format!("`{word}` alone is no name in KDL"))
            .label("a reserved word")
            .help(format!("write `\"{word}\"` for the name, `#{word}` for the value")),
        ReaderError::Lexer(LexerError::InvalidNumber) => {
            // The reader stops inside the word; people need all of it.
            let rest = text.get(start..).unwrap_or("");
            let end =
                start + rest.find(|c: char| c.is_whitespace() || "(){}[]/\\\"#;=".contains(c)).unwrap_or(rest.len());
            let word = text.get(start..end).unwrap_or("");
            Problem::new(span(file, start..end), format!("`{word}` begins like a number but is none"))
                .label("not a number")
                .help(format!("write `\"{word}\"` if it is a name"))
        }
        ReaderError::Lexer(error) => problem(lexer_words(error)).label("here"),
        ReaderError::ExpectedString(_) => problem("a name is wanted here").label("not a name"),
        ReaderError::ExpectedValue(_) => problem("a value is wanted here").label("not a value"),
        ReaderError::ExpectedCloseParen(_) => problem("`)` is wanted here").label("not `)`"),
        ReaderError::UnclosedOpen => {
            problem("a block is not closed before the end of the file").help("a `}` is missing")
        }
        ReaderError::UnmatchedClose => {
            problem("there is no open block that this could close").label("one `}` too many")
        }
        ReaderError::ExpectedEntrySpace => problem("a space is wanted before this").label("stands too close"),
        ReaderError::ExpectedEntry => {
            problem("an argument, a property, a block or the end of the line is wanted here").label("none of these")
        }
        ReaderError::ExpectedBlock => {
            problem("after its block a node has to end").help("begin a new line, or put `;` between")
        }
        _ => problem("this is no KDL").label("here"),
    }
}

fn lexer_words(error: &LexerError) -> &'static str {
    match error {
        LexerError::InvalidUtf8(_) => "this is not UTF-8",
        LexerError::InvalidCharacter(_) => "this character may not stand in a KDL file",
        LexerError::UnexpectedEof(_) => "the file ends in the middle of a string or a comment",
        LexerError::BadEscline(_) => "after `\\` the line has to end",
        LexerError::InvalidEscape(_) => "there is no such escape in strings",
        LexerError::BadUnicodeEscape(_) => "`\\u{…}` wants the hexadecimal number of a character",
        LexerError::UnexpectedStringNewline(_) => "a string in single quotation marks may not span lines; use `\"\"\"`",
        LexerError::BadRawString => {
            "after `#` a string, or one of `#true`, `#false`, `#null`, `#inf`, `#nan` is wanted"
        }
        LexerError::MissingStringNewline => "after `\"\"\"` the text begins on a new line",
        LexerError::BadEndString(_) => "the closing `\"\"\"` has to stand on a line of its own",
        LexerError::BadIndent(_) => "a line of this string is indented less than its closing `\"\"\"`",
        LexerError::InvalidOperator => "this character has to be quoted",
        _ => "this is no KDL",
    }
}

/// How deep blocks and comments may nest in the slow parser's eyes, by the fast lexer, which goes on after errors.
fn nesting(text: &str) -> usize {
    let comments = text.matches("/*").count();
    if comments > MAX_NESTING && text.matches("*/").count() < comments {
        return comments;
    }
    let mut lexer = Lexer::new(text.as_bytes());
    let (mut depth, mut deepest, mut errors) = (0usize, 0, 0);
    loop {
        match lexer.next_token(true).0 {
            Ok(Token::Eof) => return deepest,
            Ok(Token::OpenCurly) => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            Ok(Token::CloseCurly) => depth = depth.saturating_sub(1),
            Ok(_) => {}
            // Two lexers go on differently after errors; after many, nothing is known any more.
            Err(_) => errors += 1,
        }
        if errors > 1000 {
            return usize::MAX;
        }
    }
}

/// The slow parser's diagnostics; none if it accepts the text or gives up.
fn slow(file: u32, text: &str) -> Vec<Problem> {
    let parsed = std::thread::scope(|scope| {
        let parser = std::thread::Builder::new().stack_size(64 << 20);
        parser
            .spawn_scoped(scope, || kdl::KdlDocument::parse_v2(text).err())
            .ok()
            .and_then(|thread| thread.join().ok())
            .flatten()
    });
    let mut out: Vec<Problem> = Vec::new();
    for diagnostic in parsed.map(|error| error.diagnostics).unwrap_or_default() {
        let start = boundary(text, diagnostic.span.offset());
        let end = boundary(text, diagnostic.span.offset() + diagnostic.span.len());
        let message = diagnostic.message.unwrap_or_else(|| "this is no KDL".into());
        let message = message.trim_end_matches('.');
        let mut problem = Problem::new(span(file, start..end.max(start)), message)
            .label(diagnostic.label.unwrap_or_else(|| "here".into()));
        problem.help = diagnostic.help;
        // One line is one mistake: what follows on it is mostly a consequence.
        if out.last().is_none_or(|last| line_of(text, last.span.start) != line_of(text, problem.span.start)) {
            out.push(problem);
        }
        if out.len() == MAX_PROBLEMS {
            break;
        }
    }
    out
}

/// The nearest place at or before `byte` where a character begins.
fn boundary(text: &str, byte: usize) -> usize {
    text.floor_char_boundary(byte.min(text.len()))
}

#[cfg(test)]
mod tests {
    use super::super::read;

    fn problems(text: &str) -> Vec<(String, String)> {
        let marked = |s: crate::model::Span| text[s.start as usize..s.end as usize].to_string();
        read(0, text).unwrap_err().into_iter().map(|p| (marked(p.span), p.message)).collect()
    }

    #[test]
    fn reserved_words_and_numbers_are_explained() {
        assert_eq!(problems("table null\n")[0], ("null".into(), "`null` alone is no name in KDL".into()));
        assert_eq!(problems("table 1st\n")[0], ("1st".into(), "`1st` begins like a number but is none".into()));
        assert_eq!(problems("table a {\n b {\n }\n")[0].0, "table");
        assert_eq!(
            problems("table a {\n}\n}\n")[0],
            ("}".into(), "there is no open block that this could close".into())
        );
    }

    #[test]
    fn several_problems_of_one_file_come_together() {
        let text = "table a {\n    column id ]\n    column \"b\n    column c \"\\q\"\n}\n";
        let all = problems(text);
        assert!(all.len() >= 2, "{all:?}");
        for text in ["a \"\u{e9}", "a #", "\u{0}", "a \"\"\"\n x\n  \"\"\"", "a b=", "(x", "a \\ b", "a{}b"] {
            assert!(!problems(text).is_empty(), "{text}");
        }
    }
}
