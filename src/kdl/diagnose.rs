//! Finds all the mistakes in a file that is not valid KDL. Each mistake is masked and reading starts again, so that the next error is a
//! separate one.

use std::ops::Range;

use just_kdl::dom::Event;
use just_kdl::reader::{Reader, ReaderError};

use super::Problem;
use super::explain::explain;
use super::read::{oddly_indented, span};

/// For larger files only the first error is reported: reading them repeatedly would take seconds.
const MAX_DIAGNOSED_BYTES: usize = 2 << 20;

/// Problems shown per file; the rest are mostly consequences.
const MAX_PROBLEMS: usize = 10;

/// What is wrong with a text that the fast reader refused.
pub(super) fn diagnose(file: u32, text: &str) -> Vec<Problem> {
    let conflicts = conflicts(file, text);
    if !conflicts.is_empty() {
        return conflicts;
    }
    let most = if text.len() <= MAX_DIAGNOSED_BYTES { MAX_PROBLEMS } else { 1 };
    let mut healed = text.to_owned();
    let mut out: Vec<Problem> = Vec::new();
    while out.len() < most {
        let Some((error, at, open)) = first_error(&healed) else { break };
        let finding = explain(file, text, &error, at, open);
        // An error at a place that was painted over is a consequence.
        if out.iter().any(|earlier| earlier.span == finding.problem.span) {
            break;
        }
        out.push(finding.problem);
        let Some(paint) = finding.paint else { break };
        healed = paint.apply(&healed);
    }
    out
}

/// The first error, where it is, and the innermost node whose block is open there.
fn first_error(text: &str) -> Option<(ReaderError, Range<usize>, Option<Range<usize>>)> {
    // What was painted over may begin a line differently now.
    if oddly_indented(text).is_some() {
        return None;
    }
    let mut open = Vec::new();
    for event in Reader::new(text.as_bytes()) {
        match event {
            Ok((Event::Node { .. }, at)) => open.push(at),
            Ok((Event::End, _)) => drop(open.pop()),
            Ok(_) => {}
            Err((error, at)) => return Some((error, at, open.pop())),
        }
    }
    None
}

/// An error in words, and what to mask so that reading can continue; nothing if all else is a consequence.
pub(super) struct Finding {
    pub problem: Problem,
    pub paint: Option<Paint>,
}

/// A part of a text that the next reading is not to see.
pub(super) enum Paint {
    /// There is a value, though an invalid one.
    Value(Range<usize>),
    /// There is nothing.
    Nothing(Range<usize>),
    /// Nothing but the braces that have no partner in it stands there.
    Line(Range<usize>),
    /// A line break is not an end of a node.
    Join(Range<usize>),
}

impl Paint {
    /// The text with as many bytes and, but for `Join`, as many lines.
    fn apply(self, text: &str) -> String {
        let (at, with) = match &self {
            Self::Value(at) => (at, b'x'),
            Self::Nothing(at) | Self::Line(at) | Self::Join(at) => (at, b' '),
        };
        let kept = if let Self::Line(at) = &self { lonely_braces(text, at.clone()) } else { Vec::new() };
        let mut bytes = text.as_bytes().to_vec();
        let mut first_line = true;
        for (place, byte) in bytes.iter_mut().enumerate().take(at.end).skip(at.start) {
            if *byte == b'\n' && !matches!(self, Self::Join(_)) {
                first_line = false;
            } else if !kept.contains(&place) {
                *byte = if first_line { with } else { b' ' };
            }
        }
        // Whole characters were painted over with ASCII.
        String::from_utf8(bytes).unwrap_or_default()
    }
}

/// The places of the braces in a part of a text whose partners are outside of it.
fn lonely_braces(text: &str, at: Range<usize>) -> Vec<usize> {
    let (mut quoted, mut open, mut lonely) = (false, Vec::new(), Vec::new());
    for (place, byte) in text.bytes().enumerate().take(at.end).skip(at.start) {
        match byte {
            b'"' => quoted = !quoted,
            b'{' if !quoted => open.push(place),
            b'}' if !quoted && open.pop().is_none() => lonely.push(place),
            _ => {}
        }
    }
    lonely.append(&mut open);
    lonely
}

/// The places where a merge left Git's conflict markers; whatever else is wrong is a consequence.
fn conflicts(file: u32, text: &str) -> Vec<Problem> {
    let mut at = 0;
    let mut out = Vec::new();
    for line in text.split_inclusive('\n') {
        let marker = line.trim_end();
        if marker.starts_with("<<<<<<< ") {
            let problem = Problem::new(span(file, at..at + marker.len()), "this file has Git's conflict markers");
            out.push(problem.label("an unfinished merge").help("keep what both sides want, and remove the markers"));
        }
        at += line.len();
    }
    out.truncate(MAX_PROBLEMS);
    out
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
        assert_eq!(problems("table null\n"), [("null".into(), "`null` is a keyword of KDL, not a name".into())]);
        assert_eq!(problems("table 1st\n"), [("1st".into(), "`1st` begins like a number but is not one".into())]);
        assert_eq!(problems("table a {\n b {\n }\n")[0].0, "table");
        assert_eq!(
            problems("table a {\n}\n}\n"),
            [("}".into(), "there is no open block that this could close".into())]
        );
    }

    #[test]
    fn each_mistake_is_one_problem() {
        let text = "table a {\n    column id text[] { b }\n    column b varchar(20) default=null {\n        c \"open\n    }\n    d \"\\q\" \"\\w\"\n}\n";
        let marked: Vec<String> = problems(text).into_iter().map(|(marked, _)| marked).collect();
        assert_eq!(marked, ["text[]", "varchar(20)", "null", "\"open", "\\q", "\\w"]);
    }

    #[test]
    fn no_text_goes_unexplained() {
        for text in [
            "a \"\u{e9}",
            "a #",
            "\u{0}",
            "a \"\"\"\n x\n  \"\"\"",
            "a \"\"\"x",
            "a b=",
            "(x",
            "a (",
            "a \\ b",
            "a{}b",
            "=",
            "a ]\n",
            "a \"\\u",
            "a \"\"\"\nx\"\"\"",
            "é(ü",
            "a é[ü",
            "{",
            "a {\n}{",
            "\u{e9}#\"",
        ] {
            assert!(!problems(text).is_empty(), "{text}");
        }
        assert_eq!(problems(&"a (\n".repeat(50)).len(), 10);
    }
}
