//! Lays out a file that somebody wrote: white space and line ends become canonical, every other byte stays.
//!
//! Four spaces per level, one node per line, one space between its parts, blank lines around top-level blocks, and never more than one blank
//! line in a row. A block with one short part may stay on its node's line. Output of `write` already has this layout.

use std::borrow::Cow;

use super::read::{MAX_DEPTH, read, span};
use super::tokens::{Piece, Tokens, Trivia, What, is_newline, is_space, lines, trivia};
use super::{Node, Problem};

const INDENT: usize = 4;

/// A block that its author wrote on one line stays there if the line fits this.
const WIDTH: usize = 120;

/// The text in the canonical layout, with the line ends that its first line has.
///
/// # Errors
/// What is wrong in the text, at least one problem.
pub fn format(file: u32, text: &str) -> Result<String, Vec<Problem>> {
    let windows = text.split('\n').next().is_some_and(|line| line.ends_with('\r'));
    let text = &*unix_lines(text);
    let before = read(file, text)?;
    let mut layout = Layout::new(text);
    if let Err(at) = layout.run() {
        let message = format!("blocks are nested more than {MAX_DEPTH} levels deep");
        let problem = Problem::new(span(file, at..at), message);
        return Err(vec![problem.label("too deep").help("remove what is commented out here")]);
    }
    let out = layout.finish();
    if out == text {
        return Ok(if windows { out.replace('\n', "\r\n") } else { out });
    }
    let after = read(file, &out).unwrap_or_default();
    if Node::all_alike(&before, &after) && told(text) == told(&out) {
        return Ok(if windows { out.replace('\n', "\r\n") } else { out });
    }
    let problem = Problem::new(span(file, 0..0), "this file cannot be laid out without changing its meaning");
    Err(vec![problem.help("the file was left as it is; this is a bug in setpoint, please report it with the file")])
}

/// The text with the line ends of Unix. To KDL they are the same, but not to its fast reader: behind `\`, it ends the line
/// between CR and LF (just-kdl 0.3.0).
pub fn unix_lines(text: &str) -> Cow<'_, str> {
    if text.contains("\r\n") { text.replace("\r\n", "\n").into() } else { text.into() }
}

/// All that a file tells, comments included, without its layout.
fn told(text: &str) -> Vec<String> {
    let mut tokens = Tokens::new(text);
    let mut out: Vec<String> = Vec::new();
    loop {
        let piece = tokens.next();
        for (part, _) in trivia(piece.gap) {
            if let Trivia::Line(text) | Trivia::Block(text, _) | Trivia::Continuation(Some(text)) = part {
                out.push(lines(text).iter().map(|line| line.trim()).collect::<Vec<_>>().join("\n"));
            }
        }
        match piece.what {
            What::End => return out,
            What::Semicolon => {}
            // An empty block says nothing.
            What::Close if out.last().is_some_and(|last| last == "{") => _ = out.pop(),
            // The nodes were compared; what is commented out has strings of several lines, too.
            _ => out.push(lines(piece.text).iter().map(|line| line.trim()).collect::<Vec<_>>().join("\n")),
        }
    }
}

/// The top level of the file: blank lines are put between these at the end.
struct Top {
    /// Where its first line begins.
    at: usize,
    comment: bool,
    /// A blank line was there.
    blank: bool,
    /// It goes over several lines.
    block: bool,
}

/// The text as it is laid out, and where in it that has come to.
struct Layout<'a> {
    text: &'a str,
    tokens: Tokens<'a>,
    out: String,
    tops: Vec<Top>,
    depth: usize,
    /// A node has begun and not ended.
    in_node: bool,
    /// The last token of the node.
    last: What,
    /// The block is still empty.
    first: bool,
    /// The line ends with `// …`: nothing can follow on it.
    closed: bool,
}

impl<'a> Layout<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            tokens: Tokens::new(text),
            out: String::with_capacity(text.len() + text.len() / 8),
            tops: Vec::new(),
            depth: 0,
            in_node: false,
            last: What::End,
            first: true,
            closed: false,
        }
    }

    /// Lays everything out; the place where blocks nest too deep is an error.
    fn run(&mut self) -> Result<(), usize> {
        loop {
            let piece = self.tokens.next();
            let ends = matches!(piece.what, What::Semicolon | What::Close | What::End);
            if !self.in_node || ends || (piece.lines && self.last != What::SlashDash) {
                self.between(&piece, !ends);
            } else if piece.what != What::Open {
                self.inside(&piece);
            }
            match piece.what {
                What::End => return Ok(()),
                What::Semicolon => self.in_node = false,
                What::Open => self.open(&piece)?,
                What::Close => {
                    self.depth = self.depth.saturating_sub(1);
                    self.begin(false);
                    self.out.push('}');
                    self.in_node = true;
                }
                What::Value => {
                    let value = self.value(piece.text);
                    self.out.push_str(&value);
                    self.in_node = true;
                }
                _ => {
                    self.out.push_str(piece.text);
                    self.in_node = true;
                }
            }
            self.last = piece.what;
        }
    }

    /// A block begins: it is removed, stays on the line, or gets its own lines.
    fn open(&mut self, piece: &Piece<'a>) -> Result<(), usize> {
        let commented_out = self.last == What::SlashDash;
        let mut ahead = Tokens::from(self.text, piece.end());
        let next = ahead.next();
        if next.what == What::Close && !has_comment(next.gap) {
            self.tokens = ahead;
            if commented_out || has_comment(piece.gap) {
                self.inside(piece);
                self.out.push_str("{}");
            }
            return Ok(());
        }
        self.inside(piece);
        if let Some((line, rest)) = self.one_line(piece) {
            self.out.push_str(&line);
            self.tokens = rest;
            return Ok(());
        }
        self.out.push('{');
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(piece.start);
        }
        if let Some(top) = self.tops.last_mut() {
            top.block = true;
        }
        (self.in_node, self.first) = (false, true);
        Ok(())
    }

    /// The block on one line and what follows it, if that is how it was written, it holds one node, and the line is short enough.
    fn one_line(&self, open: &Piece<'a>) -> Option<(String, Tokens<'a>)> {
        let mut tokens = Tokens::from(self.text, open.end());
        let (mut line, mut last, mut ended) = (String::from("{ "), What::SlashDash, false);
        loop {
            let piece = tokens.next();
            if !trivia(piece.gap).is_empty() || piece.text.contains(is_newline) {
                return None;
            }
            match piece.what {
                What::Close => break,
                What::Semicolon => ended = true,
                What::End | What::Open | What::SlashDash => return None,
                _ if ended => return None,
                what => {
                    if !tight(last, what) {
                        line.push(' ');
                    }
                    line.push_str(piece.text);
                    last = what;
                }
            }
        }
        line.push_str(" }");
        (self.line().chars().count() + line.chars().count() <= WIDTH).then_some((line, tokens))
    }

    /// The gap between two nodes, or before the end of a block.
    fn between(&mut self, piece: &Piece<'a>, node_follows: bool) {
        let parts: Vec<Trivia<'_>> = trivia(piece.gap).into_iter().map(|(part, _)| part).collect();
        let last_newline = parts.iter().rposition(|part| *part == Trivia::Newline);
        // Comments right before a node stay before it.
        let prefix = if node_follows { last_newline.map_or(0, |at| at + 1) } else { parts.len() };
        let (mut newlines, mut fresh) = (0, self.out.is_empty());
        for part in parts.iter().take(prefix) {
            match part {
                Trivia::Newline => {
                    newlines += 1;
                    fresh = true;
                }
                Trivia::Line(text) | Trivia::Block(text, _) | Trivia::Continuation(Some(text)) => {
                    if fresh || self.closed {
                        self.begin(newlines > 1);
                        self.top(newlines > 1, true);
                    } else {
                        self.out.push(' ');
                    }
                    let before = if let Trivia::Block(_, before) = part { before } else { "" };
                    self.comment(text, before);
                    (newlines, fresh) = (0, false);
                    self.closed = !matches!(part, Trivia::Block(..));
                    if matches!(part, Trivia::Continuation(_)) {
                        (newlines, fresh) = (1, true);
                    }
                }
                Trivia::Continuation(None) => {}
            }
        }
        if node_follows {
            self.begin(newlines > 1);
            self.top(newlines > 1, false);
            for part in parts.iter().skip(prefix) {
                match part {
                    Trivia::Block(text, before) => {
                        self.comment(text, before);
                        self.out.push(' ');
                    }
                    Trivia::Line(text) | Trivia::Continuation(Some(text)) => {
                        self.comment(text, "");
                        self.begin(false);
                    }
                    _ => {}
                }
            }
        }
    }

    /// The gap between two parts of a node.
    fn inside(&mut self, piece: &Piece<'a>) {
        let tight = tight(self.last, piece.what);
        let parts: Vec<Trivia<'_>> = trivia(piece.gap).into_iter().map(|(part, _)| part).collect();
        if !parts.iter().any(is_comment) {
            let breaks =
                !tight && piece.what != What::Open && parts.iter().any(|p| matches!(p, Trivia::Continuation(_)));
            if breaks {
                self.out.push_str(" \\\n");
                self.indent(self.depth + 1);
            } else if !tight {
                self.out.push(' ');
            }
            return;
        }
        let mut at_start = false;
        for part in parts {
            match part {
                Trivia::Newline | Trivia::Continuation(None) => continue,
                Trivia::Block(text, before) => {
                    if !at_start {
                        self.out.push(' ');
                    }
                    self.comment(text, before);
                    at_start = false;
                }
                Trivia::Line(text) | Trivia::Continuation(Some(text)) => {
                    let escape = if matches!(part, Trivia::Line(_)) { " " } else { " \\ " };
                    self.out.push_str(if at_start { escape.trim_start() } else { escape });
                    self.out.push_str(text);
                    self.out.push('\n');
                    self.indent(self.depth + 1);
                    at_start = true;
                }
            }
        }
        if !at_start {
            self.out.push(' ');
        }
    }

    /// Begins a line, after a blank one if there was one and it is not at the start of a block.
    fn begin(&mut self, blank: bool) {
        if !self.out.is_empty() {
            self.out.push('\n');
            // At the top, blank lines are put in at the end.
            if blank && !self.first && self.depth > 0 {
                self.out.push('\n');
            }
        }
        self.indent(self.depth);
        (self.first, self.closed) = (false, false);
    }

    /// Notes what begins at the top of the file.
    fn top(&mut self, blank: bool, comment: bool) {
        if self.depth == 0 {
            self.tops.push(Top { at: self.out.len(), comment, blank, block: false });
        }
    }

    fn indent(&mut self, depth: usize) {
        self.out.extend(std::iter::repeat_n(' ', depth * INDENT));
    }

    /// The contents of the line so far; for an overlong line, its end.
    fn line(&self) -> &str {
        let from = self.out.floor_char_boundary(self.out.len().saturating_sub(4 * (WIDTH + MAX_DEPTH * INDENT)));
        self.out.get(from..).and_then(|end| end.rsplit('\n').next()).unwrap_or("")
    }

    /// A comment. The lines of one that begins its line move along with it; `before` is what stood before it there.
    fn comment(&mut self, text: &str, before: &str) {
        let line = self.line();
        let now = if line.chars().all(is_space) { line.to_string() } else { before.to_string() };
        for (number, line) in lines(text).into_iter().enumerate() {
            let moved = line.strip_prefix(before).filter(|rest| number > 0 && !rest.trim_end().is_empty());
            if number > 0 {
                self.out.push('\n');
            }
            if moved.is_some() {
                self.out.push_str(&now);
            }
            self.out.push_str(moved.unwrap_or(line).trim_end());
        }
    }

    /// A value as written on lines of this depth: a string of several lines moves with its node.
    fn value(&self, text: &'a str) -> Cow<'a, str> {
        let quotes = text.trim_matches('#');
        let Some(inner) = quotes.strip_prefix("\"\"\"").and_then(|rest| rest.strip_suffix("\"\"\"")) else {
            return text.into();
        };
        let all = lines(inner);
        let [_, body @ .., end] = all.as_slice() else { return text.into() };
        let raw = text.starts_with('#');
        let escaped = |line: &str| line.contains('\\') && line.ends_with(|c| c == '\\' || is_space(c));
        if !raw && (body.iter().any(|line| escaped(line)) || end.contains('\\')) {
            return text.into(); // its white space is escaped somewhere: who knows what belongs to the text
        }
        let indent = " ".repeat((self.depth + 1) * INDENT);
        let hashes = text.get(..text.len() - text.trim_start_matches('#').len()).unwrap_or("");
        let mut out = format!("{hashes}\"\"\"\n");
        for line in body {
            if !line.chars().all(is_space) {
                out.push_str(&indent);
                out.push_str(line.strip_prefix(end).unwrap_or(line));
            }
            out.push('\n');
        }
        out.push_str(&indent);
        out.push_str("\"\"\"");
        out.push_str(hashes);
        out.into()
    }

    /// Ends the text, and puts blank lines between blocks at the top.
    fn finish(mut self) -> String {
        let mut blank: Vec<bool> = self.tops.iter().map(|top| top.blank).collect();
        let mut last_block = None;
        for (at, top) in self.tops.iter().enumerate().filter(|(_, top)| !top.comment) {
            if last_block.is_some_and(|last| last || top.block) {
                // Comments without a blank line behind them belong to the node.
                let above =
                    |i: &usize| !blank.get(*i).is_some_and(|b| *b) && self.tops.get(i - 1).is_some_and(|t| t.comment);
                let first =
                    std::iter::successors(Some(at), |i| (*i > 0 && above(i)).then(|| i - 1)).last().unwrap_or(at);
                if let Some(slot) = blank.get_mut(first) {
                    *slot = true;
                }
            }
            last_block = Some(top.block);
        }
        let mut out = String::with_capacity(self.out.len() + blank.len() + 1);
        let mut from = 0;
        for (top, _) in self.tops.iter().zip(&blank).skip(1).filter(|(_, blank)| **blank) {
            out.push_str(self.out.get(from..top.at).unwrap_or(""));
            out.push('\n');
            from = top.at;
        }
        self.out.drain(..from);
        out.push_str(&self.out);
        if !out.is_empty() {
            out.push('\n');
        }
        out
    }
}

/// True if nothing separates two tokens of a node.
fn tight(last: What, next: What) -> bool {
    matches!(last, What::OpenType | What::CloseType | What::Equals | What::SlashDash)
        || matches!(next, What::CloseType | What::Equals)
}

fn has_comment(gap: &str) -> bool {
    trivia(gap).iter().any(|(part, _)| is_comment(part))
}

fn is_comment(part: &Trivia<'_>) -> bool {
    matches!(part, Trivia::Line(_) | Trivia::Block(..) | Trivia::Continuation(Some(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn laid_out(text: &str) -> String {
        let once = format(0, text).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
        let twice = format(0, &once).unwrap_or_else(|problems| panic!("{problems:?}\n{once}"));
        assert_eq!(once, twice, "{text}");
        once
    }

    #[test]
    fn layout() {
        for (text, expected) in [
            ("", ""),
            ("\n\n", ""),
            ("a", "a\n"),
            ("\u{feff}a  1   b = 2 ( t ) \"x\" ; c\n\n\n\n d\n", "a 1 b=2 (t)\"x\"\nc\n\nd\n"),
            ("a {b;c}\n", "a {\n    b\n    c\n}\n"),
            ("a {}\nb { }\nc{\n\n}", "a\nb\nc\n"),
            ("a\nb {\nc\n}\nd\ne\n", "a\n\nb {\n    c\n}\n\nd\ne\n"),
            // A short block may stay on its line.
            ("a   {  b   1 ; }", "a { b 1 }\n"),
            ("a {b;}\nc {\n  d {  e  }\n }\n", "a { b }\n\nc {\n    d { e }\n}\n"),
            ("a { b { c } }", "a {\n    b { c }\n}\n"),
            // Comments.
            ("// x  \n\n/* y */\na // z\n\n\n// end", "// x\n\n/* y */\na // z\n\n// end\n"),
            ("a { // x\n\n// y\nb\n\n\n// z\n\n}", "a { // x\n    // y\n    b\n\n    // z\n}\n"),
            ("a /* x */ b /* y */{ /* z */ c }", "a /* x */ b /* y */ {\n    /* z */ c\n}\n"),
            ("a { /* only */ }", "a { /* only */\n}\n"),
            ("a // x\nb {\n c\n}\n// of d\nd\n", "a // x\n\nb {\n    c\n}\n\n// of d\nd\n"),
            ("a {\n  /* one\n     two\n\n   three */\n}", "a {\n    /* one\n       two\n\n     three */\n}\n"),
            ("a; /* b's */ b", "a\n/* b's */ b\n"),
            // What is commented out.
            ("/-  a {b\nc}\n", "/-a {\n    b\n    c\n}\n"),
            ("a /- b /-  c=1 /- { d\ne }\n", "a /-b /-c=1 /-{\n    d\n    e\n}\n"),
            ("/-\n a", "/-a\n"),
            ("/- // why\n a", "/- // why\n    a\n"),
            ("/- kdl-version 2\na", "/-kdl-version 2\na\n"),
            // Lines that go on.
            ("a b \\\n\tc \\ // x\n d", "a b \\\n    c \\ // x\n    d\n"),
            ("a \\\n", "a\n"),
            ("a \\ // x\n {}\nb", "a \\ // x\n    {}\nb\n"),
            ("a \\ // x\n ;/* y */ b", "a // x\n/* y */ b\n"),
            // Strings of several lines move along.
            (
                "a {\n  b #\"\"\"\n    x\n      y\n  \t\n\n    \"\"\"#\n}",
                "a {\n    b #\"\"\"\n        x\n          y\n\n\n        \"\"\"#\n}\n",
            ),
            ("a \"\"\"\nx\n\"\"\" \"b\"", "a \"\"\"\n    x\n    \"\"\" \"b\"\n"),
            ("a \"\"\"\n x \\\ny\n \"\"\"", "a \"\"\"\n x \\\ny\n \"\"\"\n"),
            // Windows' line ends stay.
            (
                "a {\r\nb \"\"\"\r\n x\r\n \"\"\"\r\n}\r\n",
                "a {\r\n    b \"\"\"\r\n        x\r\n        \"\"\"\r\n}\r\n",
            ),
        ] {
            assert_eq!(laid_out(text), expected, "{text:?}");
        }
        let long = format!("a {{ b {} }}\n", "x".repeat(WIDTH));
        assert_eq!(laid_out(&long), format!("a {{\n    b {}\n}}\n", "x".repeat(WIDTH)));
    }

    #[test]
    fn what_is_no_kdl_stays_as_it_is() {
        assert!(format(0, "a {").is_err());
        let deep = format!("/-{}{}", "a {\n".repeat(1000), "}\n".repeat(1000));
        assert!(format(0, &deep).unwrap_err()[0].message.contains("64 levels"));
    }
}
