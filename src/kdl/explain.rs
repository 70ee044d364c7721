//! The wording for what the reader refuses: what is wrong with a text that is not valid KDL, what was meant, how to write it.

use std::ops::Range;

use just_kdl::lexer::{LexerError, Token};
use just_kdl::reader::ReaderError;

use super::Problem;
use super::diagnose::{Finding, Paint};
use super::read::span;

/// What may end a bare word.
const STOPS: &str = "(){}[]/\\\"#;=";

/// Words with which statements of SQL begin.
const SQL: &[&str] = &["create", "alter", "drop", "grant", "revoke", "insert", "comment", "set", "select"];

/// A text around a place.
struct Around<'a> {
    file: u32,
    text: &'a str,
}

impl<'a> Around<'a> {
    fn get(&self, at: Range<usize>) -> &'a str {
        self.text.get(at).unwrap_or("")
    }

    fn problem(&self, at: Range<usize>, message: impl Into<String>) -> Problem {
        Problem::new(span(self.file, at), message)
    }

    fn line_start(&self, at: usize) -> usize {
        self.get(0..at).rfind('\n').map_or(0, |n| n + 1)
    }

    fn line_end(&self, at: usize) -> usize {
        at + self.get(at..self.text.len()).find('\n').unwrap_or(self.text.len().saturating_sub(at))
    }

    /// Where the bare word before `at` begins.
    fn word_start(&self, at: usize) -> usize {
        let before = self.get(0..at);
        before
            .char_indices()
            .rev()
            .take_while(|(_, c)| !c.is_whitespace() && !STOPS.contains(*c))
            .last()
            .map_or(at, |(i, _)| i)
    }

    /// Where the bare word at `at` ends.
    fn word_end(&self, at: usize) -> usize {
        let rest = self.get(at..self.text.len());
        at + rest.find(|c: char| c.is_whitespace() || STOPS.contains(c)).unwrap_or(rest.len())
    }

    /// The part in parentheses or brackets that begins at `at`, and those that follow it, within the line.
    fn bracketed_end(&self, at: usize) -> usize {
        let line = self.get(at..self.line_end(at));
        let mut depth = 0_usize;
        for (i, c) in line.char_indices() {
            match c {
                '(' | '[' => depth += 1,
                ')' | ']' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 && !line[i + 1..].starts_with(['(', '[']) {
                        return at + i + 1;
                    }
                }
                _ => {}
            }
        }
        at + line.trim_end().trim_end_matches('{').trim_end().len()
    }
}

/// An error in words, and what to paint over.
pub(super) fn explain(
    file: u32,
    text: &str,
    error: &ReaderError,
    at: Range<usize>,
    open: Option<Range<usize>>,
) -> Finding {
    let end = text.floor_char_boundary(at.end.max(at.start).min(text.len()));
    let start = text.floor_char_boundary(at.start.min(end));
    let around = Around { file, text };
    let rest_of_line = Paint::Line(start..around.line_end(start));
    match error {
        ReaderError::Lexer(error) => lexical(&around, error, start..end),
        ReaderError::UnclosedOpen => {
            let place = open.unwrap_or(start..end);
            let line = around.get(place.start..around.line_end(place.start));
            let head = line.split(['{', '\r']).next().unwrap_or(line).trim();
            let message = format!("the block of `{head}` is not closed before the end of the file");
            let problem = around.problem(place, message).label("opened here").help("a `}` is missing");
            Finding { problem, paint: None }
        }
        ReaderError::UnmatchedClose => {
            let problem = around.problem(start..end, "there is no open block that this could close");
            Finding { problem: problem.label("one `}` too many"), paint: Some(Paint::Nothing(start..end)) }
        }
        ReaderError::ExpectedString(_) | ReaderError::ExpectedValue(_) | ReaderError::ExpectedCloseParen(_)
            if is_sql(around.get(around.line_start(start)..around.line_end(start))) =>
        {
            let line = around.line_start(start);
            let problem = around.problem(line..around.word_end(line), "this is SQL, but schema files are KDL");
            let help = "write `table NAME { column NAME TYPE }`; or run the SQL on a database and let `setpoint pull` write the files";
            Finding { problem: problem.label("SQL").help(help), paint: None }
        }
        ReaderError::ExpectedString(Token::OpenCurly) => {
            let before = around.get(0..start).trim_end().len();
            let problem = around.problem(start..end, "a block must begin on the line of its node");
            let problem = problem.label("no node here").help("put the `{` at the end of the line before");
            Finding { problem, paint: Some(Paint::Join(before..start)) }
        }
        ReaderError::ExpectedCloseParen(_) | ReaderError::ExpectedValue(Token::Lines | Token::Eof)
            if parenthesis(&around, start).is_some() =>
        {
            list(&around, parenthesis(&around, start).unwrap_or(start))
        }
        ReaderError::ExpectedValue(_) => {
            let before = around.get(0..start).trim_end();
            let word = around.word_start(before.len().saturating_sub(1));
            let name = around.get(word..before.len());
            let problem = around.problem(word..before.len(), format!("`{name}` has no value"));
            let help = format!("write `{name}\"…\"`, or leave it out");
            Finding {
                problem: problem.label("nothing follows it").help(help),
                paint: Some(Paint::Nothing(word..before.len())),
            }
        }
        ReaderError::ExpectedEntrySpace if text[start..].starts_with('(') => quoted_whole(&around, start),
        ReaderError::ExpectedEntrySpace if text[start..].starts_with('#') && around.word_start(start) + 1 == start => {
            let word = around.word_start(start);
            let string = around.get(start..end);
            let problem = around
                .problem(word..end, format!("`{}` before a raw string is KDL's version 1", around.get(word..start)));
            Finding {
                problem: problem.label("a letter too many").help(format!("write `{string}`")),
                paint: Some(Paint::Value(word..end)),
            }
        }
        ReaderError::ExpectedEntrySpace => {
            let problem = around.problem(start..end, "a space is missing before this").label("too close");
            let help = "inside a string, quotes are written `\\\"`, or the string is put in `#\"…\"#`";
            let string = text[start..].starts_with('"') || text[..start].ends_with('"');
            let problem = if string { problem.help(help) } else { problem };
            Finding { problem, paint: Some(Paint::Value(start..end)) }
        }
        ReaderError::ExpectedBlock => {
            let problem = around.problem(start..end, "a node must end after its block").label("follows the block");
            let help = "everything that belongs to the node goes before its `{`; another node begins on a new line";
            Finding { problem: problem.help(help), paint: Some(rest_of_line) }
        }
        ReaderError::ExpectedString(_) => {
            let line = around.line_start(start)..around.line_end(start);
            let problem = around.problem(start..end, "a node begins with a word").label("not a word");
            Finding {
                problem: problem.help("a name that is not a plain word must be in quotes"),
                paint: Some(Paint::Line(line)),
            }
        }
        ReaderError::ExpectedCloseParen(_) => {
            let problem = around.problem(start..end, "a `)` is missing before this").label("not `)`");
            Finding { problem, paint: Some(rest_of_line) }
        }
        _ => {
            let message = "an argument, a property, a block or the end of the line is expected here";
            let problem = around.problem(start..end, message).label("none of these");
            Finding { problem, paint: Some(rest_of_line) }
        }
    }
}

fn is_sql(line: &str) -> bool {
    let word = line.split_whitespace().next().unwrap_or("");
    SQL.contains(&word.to_lowercase().as_str())
}

/// The parenthesis on the line before `at` that begins a list of names.
fn parenthesis(around: &Around<'_>, at: usize) -> Option<usize> {
    let line = around.line_start(at);
    around.get(line..at).rfind('(').map(|n| line + n)
}

/// `(a, b)`, which people write for `a b`.
fn list(around: &Around<'_>, start: usize) -> Finding {
    let end = around.bracketed_end(start);
    let inside = around.get(start..end).trim_start_matches('(').trim_end_matches(')');
    let names: Vec<&str> = inside.split([',', ' ']).filter(|name| !name.is_empty()).collect();
    let problem = around.problem(start..end, "a list of names has no parentheses and no commas");
    Finding {
        problem: problem.label("a list").help(format!("write `{}`", names.join(" "))),
        paint: Some(Paint::Value(start..end)),
    }
}

/// A bare word with parentheses or brackets: a type with a length, a call, an array.
fn quoted_whole(around: &Around<'_>, bracket: usize) -> Finding {
    let (start, end) = (around.word_start(bracket), around.bracketed_end(bracket));
    let whole = around.get(start..end);
    let problem = around.problem(start..end, format!("`{whole}` must be in quotes"));
    let line = around.get(around.line_start(start)..start).trim_start();
    let help = match whole.starts_with('@') {
        true => "columns are written like this: `column NAME TYPE default=\"EXPRESSION\" unique`".into(),
        // What is not a column of an index is an expression.
        false if line.starts_with("index ") => format!("write `(sql)\"{whole}\"`"),
        false => format!("write `\"{whole}\"`"),
    };
    Finding {
        problem: problem.label("parentheses and brackets have another meaning in KDL").help(help),
        paint: Some(Paint::Value(start..end)),
    }
}

/// What the lexer refused.
fn lexical(around: &Around<'_>, error: &LexerError, at: Range<usize>) -> Finding {
    let Range { start, end } = at;
    let text = around.text;
    let value = |problem: Problem, at: Range<usize>| Finding { problem, paint: Some(Paint::Value(at)) };
    match error {
        LexerError::UnexpectedKeyword => keyword(around, start..end),
        LexerError::InvalidNumber => {
            // The reader stops inside the word; people need all of it.
            let end = around.word_end(start).max(end);
            let word = around.get(start..end);
            let problem = around.problem(start..end, format!("`{word}` begins like a number but is not one"));
            value(problem.label("not a number").help(format!("write `\"{word}\"` if it is a name")), start..end)
        }
        LexerError::InvalidOperator if text[start..].starts_with(['[', '(']) => quoted_whole(around, start),
        LexerError::InvalidCharacter(_) => {
            let character = text[start..].chars().next().unwrap_or_default();
            let message = format!("the character U+{:04X} is not allowed in a file", u32::from(character));
            value(around.problem(start..end, message).label("invisible").help("remove it"), start..end)
        }
        LexerError::UnexpectedEof(_) => {
            let (what, help) = match text[start..].starts_with("/*") {
                true => ("comment", "a `*/` is missing"),
                false if around.get(start..end).contains("\"\"\"") => {
                    ("string", "a `\"\"\"` on its own line is missing")
                }
                false => ("string", "its closing quote is missing"),
            };
            let line = start..around.line_end(start).min(end);
            let problem = around.problem(line, format!("the {what} that begins here is not closed"));
            Finding { problem: problem.label("opened here").help(help), paint: None }
        }
        LexerError::UnexpectedStringNewline(_) => {
            let raw = text[start..].starts_with('#');
            let closing = if raw { "`\"#`" } else { "`\"`" };
            let problem = around.problem(start..end, "this string is not closed on its line");
            let help =
                "a string of several lines is enclosed in two `\"\"\"`, each at the end of a line or on its own line";
            value(problem.label(format!("a {closing} is missing")).help(help), start..around.line_end(start))
        }
        LexerError::MissingStringNewline => {
            let close = around.get(start + 3..text.len()).find("\"\"\"").map_or(text.len(), |n| start + n + 6);
            let problem = around.problem(
                start..close.min(around.line_end(start)),
                "after `\"\"\"` the string must begin on a new line",
            );
            value(problem.label("begins here").help("begin a new line, or use a single `\"`"), start..close)
        }
        LexerError::BadEndString(place) | LexerError::BadIndent(Some(place)) => {
            let line = around.line_start(*place)..around.line_end(*place);
            let indent = around.get(line.clone()).len() - around.get(line.clone()).trim_start().len();
            let marked = line.start + indent..line.end;
            let problem = match error {
                LexerError::BadEndString(_) => {
                    around.problem(marked, "the closing `\"\"\"` must be on its own line").label("has text before it")
                }
                _ => around
                    .problem(marked, "this line is indented less than the closing `\"\"\"` of its string")
                    .label("not far enough")
                    .help("indent all lines of the string at least as far as its closing `\"\"\"`"),
            };
            value(problem, start..end)
        }
        LexerError::InvalidEscape(place) => {
            let place = text.floor_char_boundary(*place);
            let escape: String = text[place..].chars().take(2).collect();
            let marked = place..place + escape.len();
            let problem = around.problem(marked.clone(), format!("`{escape}` is not an escape sequence"));
            let help = format!("write `\\{escape}` for a backslash; in `#\"…\"#` it stands for itself");
            value(problem.label("has no meaning in quotes").help(help), marked)
        }
        LexerError::BadUnicodeEscape(_) | LexerError::MissingText if around.get(start..end).contains("\\u") => {
            let place = start + around.get(start..end).rfind("\\u").unwrap_or_default();
            let digits = around.get(place + 2..text.len()).chars().take_while(char::is_ascii_hexdigit).count();
            let marked = place..place + 2 + digits;
            let problem = around
                .problem(marked.clone(), "`\\u` must be followed by the hexadecimal number of a character in braces");
            let number = around.get(place + 2..marked.end);
            let number = if number.is_empty() { "20ac" } else { number };
            value(problem.label("no braces").help(format!("write `\\u{{{number}}}`, or the character itself")), marked)
        }
        LexerError::BadRawString if around.get(around.line_start(start)..start).trim().is_empty() => {
            let end = around.line_end(start);
            let problem = around.problem(start..end, "comments begin with `//`").label("not a comment in KDL");
            Finding { problem, paint: Some(Paint::Nothing(start..end)) }
        }
        LexerError::BadRawString => {
            let end = around.word_end(start + 1);
            let message = "after `#` comes a text, or one of `#true`, `#false`, `#null`, `#inf`, `#nan`";
            value(around.problem(start..end, message).label("none of these"), start..end)
        }
        LexerError::BadEscline(_) => {
            let problem = around.problem(start..end, "after `\\` the line has to end").label("it does not");
            Finding { problem, paint: Some(Paint::Line(start..around.line_end(start))) }
        }
        _ => {
            let problem = around.problem(start..end, "this must be in quotes").label("has another meaning in KDL");
            value(problem, start..end)
        }
    }
}

/// A bare `true`, `null`, `inf` …
fn keyword(around: &Around<'_>, at: Range<usize>) -> Finding {
    let word = around.get(at.clone());
    let before = around.get(around.line_start(at.start)..at.start);
    let problem =
        around.problem(at.clone(), format!("`{word}` is a keyword of KDL, not a name")).label("a reserved word");
    let problem = match word {
        "null" if before.trim_end().to_lowercase().ends_with(" not") => problem.help("write `not-null`, as one word"),
        "null" if before.ends_with("default=") => {
            problem.help("a column without a default is NULL anyway: leave it out")
        }
        "true" | "false" if before.ends_with('=') => problem.help(format!("write `#{word}`")),
        _ => problem.help(format!("write `\"{word}\"` for the name, `#{word}` for the value")),
    };
    Finding { problem, paint: Some(Paint::Value(at)) }
}
