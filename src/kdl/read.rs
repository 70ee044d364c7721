//! The strict reader: turns a streaming parser's events into nodes, and records which bytes each part came from.

use just_kdl::dom::{Event, Number, Value};
use just_kdl::lexer::{Lexer, Token};
use just_kdl::reader::Reader;
use rustc_hash::FxHashSet;

use crate::model::{Span, Text};

use super::diagnose::diagnose;
use super::quick;
use super::tokens::{is_newline, is_space};
use super::{Arg, Node, Problem, Prop, Scalar};

/// Nodes deeper than this are refused.
pub const MAX_DEPTH: usize = 64;

/// Files larger than this are refused: ten thousand tables have a tenth of it.
pub const MAX_BYTES: usize = 32 << 20;

/// Files with more nodes, arguments and properties than this are refused: a byte or two can be a node, which takes a hundred.
const MAX_PARTS: usize = 1_000_000;

/// Reads a file's text into nodes; `file` is its index in the load.
///
/// # Errors
/// What is wrong in the text, at least one problem.
pub fn read(file: u32, text: &str) -> Result<Vec<Node>, Vec<Problem>> {
    read_with(file, text, &mut Texts::default())
}

/// Short texts that were read before: a schema repeats few words.
#[derive(Debug, Default)]
pub struct Texts(FxHashSet<Text>);

impl Texts {
    /// Longer texts hardly come twice.
    const SHORT: usize = 24;

    pub(super) fn shared(&mut self, text: &str) -> Text {
        if text.len() > Self::SHORT {
            return text.into();
        }
        if let Some(known) = self.0.get(text) {
            return known.clone();
        }
        let new = Text::from(text);
        self.0.insert(new.clone());
        new
    }
}

/// The same for one of several files, which share their texts.
///
/// # Errors
/// As `read`.
pub fn read_with(file: u32, text: &str, texts: &mut Texts) -> Result<Vec<Node>, Vec<Problem>> {
    read_within(file, text, texts, MAX_BYTES, MAX_PARTS)
}

/// The same for a file that this tool writes: a plan has steps for whatever a database holds.
///
/// # Errors
/// As `read`.
pub fn read_large(file: u32, text: &str) -> Result<Vec<Node>, Vec<Problem>> {
    // Spans count bytes in 32 bits.
    read_within(file, text, &mut Texts::default(), u32::MAX as usize, usize::MAX)
}

fn read_within(
    file: u32,
    text: &str,
    texts: &mut Texts,
    bytes: usize,
    parts: usize,
) -> Result<Vec<Node>, Vec<Problem>> {
    if !crate_is_sound() {
        let problem =
            Problem::new(Span::default(), "this setpoint was built so that it reads numbers and escapes wrongly");
        return Err(vec![
            problem.help("build it with the profiles of its Cargo.toml: just-kdl needs `debug-assertions = true`"),
        ]);
    }
    if text.len() > bytes {
        let message = format!("the file has {} bytes; the limit is {bytes}", text.len());
        return Err(vec![
            Problem::new(span(file, 0..0), message).help("split it: it does not matter which file declares an object"),
        ]);
    }
    if let Some(at) = oddly_indented(text) {
        let problem =
            Problem::new(span(file, at), "this line begins with white space that is neither a space nor a tab");
        return Err(vec![problem.label("looks like a space").help("put spaces in its place")]);
    }
    quick::read(file, text, texts, parts).map_or_else(|| strict(file, text, texts, parts), Ok)
}

/// Reads any valid KDL, and reports what is wrong with anything else.
pub(super) fn strict(file: u32, text: &str, texts: &mut Texts, parts: usize) -> Result<Vec<Node>, Vec<Problem>> {
    let mut building =
        Building { file, text, texts, top: Vec::new(), open: Vec::new(), problems: Vec::new(), left: parts };
    for event in Reader::new(text.as_bytes()) {
        match event {
            Ok((event, at)) => {
                if !building.event(event, at) {
                    return Err(building.problems);
                }
            }
            Err(_) => {
                building.problems.extend(diagnose(file, text));
                return Err(building.problems);
            }
        }
    }
    if building.problems.is_empty() { Ok(building.top) } else { Err(building.problems) }
}

/// The tree while it grows: finished nodes of the top, and the open node of each level.
struct Building<'a> {
    file: u32,
    text: &'a str,
    texts: &'a mut Texts,
    top: Vec<Node>,
    open: Vec<Node>,
    problems: Vec<Problem>,
    /// So many nodes, arguments and properties may still come.
    left: usize,
}

impl Building<'_> {
    /// Takes one event; false if reading on makes no sense.
    fn event(&mut self, event: Event, at: std::ops::Range<usize>) -> bool {
        let part = usize::from(matches!(event, Event::Node { .. } | Event::Entry(_)));
        let Some(left) = self.left.checked_sub(part) else {
            let problem =
                Problem::new(span(self.file, at), "there are more than a million nodes and values in this file");
            self.problems.push(problem.help("split it: it does not matter which file declares an object"));
            return false;
        };
        self.left = left;
        match event {
            Event::Node { r#type, name } => {
                let place = span(self.file, at);
                if r#type.is_some() {
                    let problem = Problem::new(place, format!("a type annotation on the node `{name}` has no meaning"));
                    self.problems.push(problem.help("write the node's name alone"));
                }
                let name = self.texts.shared(&name);
                self.open.push(Node { name, span: place, name_span: place, ..Node::default() });
                if self.open.len() > MAX_DEPTH {
                    let problem = Problem::new(place, format!("nodes are nested more than {MAX_DEPTH} levels deep"));
                    self.problems.push(
                        problem.label("too deep").help("no part of a schema nests that deep; look for a missing `}`"),
                    );
                    return false;
                }
            }
            Event::Entry(entry) => {
                let Some(node) = self.open.last_mut() else { return true };
                let value = Arg {
                    value: scalar(entry.value, self.texts),
                    annotation: entry.r#type.map(|text| self.texts.shared(&text)),
                    span: span(self.file, at.clone()),
                };
                match entry.name {
                    None => node.args.push(value),
                    Some(name) => {
                        let (name_end, value_start) = parts_of_property(self.text, at.clone(), &name);
                        let value = Arg { span: span(self.file, value_start..at.end), ..value };
                        let name_span = span(self.file, at.start..name_end);
                        node.props.push(Prop { name: self.texts.shared(&name), value, name_span });
                    }
                }
            }
            Event::Children => {}
            Event::End => {
                let Some(mut node) = self.open.pop() else { return true };
                let start = node.span.start as usize;
                // The terminator is a brace, which belongs to the node, or what ends the line, which does not.
                let end = match self.text.as_bytes().get(at.clone()) {
                    Some(b"}") => at.end,
                    _ => start + self.text.get(start..at.start).map_or(0, |t| t.trim_end().len()),
                };
                node.span = span(self.file, start..end);
                match self.open.last_mut() {
                    Some(parent) => parent.children.push(node),
                    None => self.top.push(node),
                }
            }
        }
        true
    }
}

/// The end of a property's name and the start of its value. The reader gives only the whole; the first token tells the rest.
fn parts_of_property(text: &str, at: std::ops::Range<usize>, name: &str) -> (usize, usize) {
    let whole = text.get(at.clone()).unwrap_or("");
    if let Some(rest) = whole.strip_prefix(name).and_then(|rest| rest.strip_prefix('='))
        && !whole.starts_with(['"', '#'])
        && !rest.starts_with(|c: char| c.is_whitespace() || matches!(c, '/' | '\\'))
    {
        return (at.start + name.len(), at.start + name.len() + 1);
    }
    let mut lexer = Lexer::new(whole.as_bytes());
    let _ = lexer.next_token(true);
    let name_end = lexer.current_position();
    loop {
        match lexer.next_token(true) {
            (Ok(Token::Equals | Token::Spaces), _) => {}
            (Ok(Token::Eof) | Err(_), _) => return (at.start + name_end, at.end),
            (Ok(_), start) => return (at.start + name_end, at.start + start),
        }
    }
}

fn scalar(value: Value, texts: &mut Texts) -> Scalar {
    match value {
        Value::String(text) => Scalar::Text(texts.shared(&text)),
        Value::Number(number) => number_of(&number),
        Value::Bool(b) => Scalar::Bool(b),
        Value::Null => Scalar::Null,
    }
}

/// White space other than spaces and tabs at the start of a line, in a file with strings of several lines: the fast reader
/// panics where their end is indented differently (just-kdl 0.3.0).
pub(super) fn oddly_indented(text: &str) -> Option<std::ops::Range<usize>> {
    if text.is_ascii() || !text.contains("\"\"\"") {
        return None;
    }
    let mut start = 0;
    for line in text.split_inclusive(is_newline) {
        let indent = line.find(|c| !is_space(c)).unwrap_or(line.len());
        let odd = line.get(..indent).and_then(|indent| indent.char_indices().find(|(_, c)| !c.is_ascii()));
        if let Some((at, c)) = odd {
            return Some(start + at..start + at + c.len_utf8());
        }
        start += line.len();
    }
    None
}

/// False if the crate was compiled without its assertions, one of which does the work of writing a character (just-kdl 0.3.0).
fn crate_is_sound() -> bool {
    static SOUND: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *SOUND.get_or_init(|| "7".parse::<Number>().is_ok_and(|n| i64::try_from(&n) == Ok(7)))
}

/// Whole numbers that fit are numbers; others keep their digits (decimal, without `_`), since a float would change them.
fn number_of(number: &Number) -> Scalar {
    if let Ok(int) = i64::try_from(number) {
        return Scalar::Int(int);
    }
    let text = match i128::try_from(number) {
        Ok(big) => big.to_string(),
        Err(_) => number.to_string().trim_start_matches('#').to_string(),
    };
    Scalar::Number(text.into())
}

/// A byte range of a file; ranges beyond 32 bits do not occur, the size is limited.
pub(super) fn span(file: u32, at: std::ops::Range<usize>) -> Span {
    let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Span { file, start: clamp(at.start), end: clamp(at.end) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(text: &str, span: Span) -> &str {
        &text[span.start as usize..span.end as usize]
    }

    #[test]
    fn every_part_knows_its_bytes() {
        let text = "\u{feff}// c\ntable  \"or ders\" { // x\n\tcolumn id bigint not-null  default=\"0\" (sql)\"ü\" \"k\" = (t)  #\"v\"#  ; a\n  /- b { c }\n}\nlast 1 /-2\n";
        let nodes = read(3, text).unwrap();
        assert_eq!(nodes.len(), 2);
        let table = &nodes[0];
        assert!(marked(text, table.span).starts_with("table  \"or") && marked(text, table.span).ends_with('}'));
        assert_eq!(marked(text, table.name_span), "table");
        assert_eq!(marked(text, table.args[0].span), "\"or ders\"");
        assert_eq!(table.children.len(), 2);
        let column = &table.children[0];
        assert_eq!(
            marked(text, column.span),
            "column id bigint not-null  default=\"0\" (sql)\"ü\" \"k\" = (t)  #\"v\"#"
        );
        assert_eq!(marked(text, column.args[3].span), "(sql)\"ü\"");
        assert!(column.args[3].is_annotated("sql"));
        assert_eq!(marked(text, column.props[0].name_span), "default");
        assert_eq!(marked(text, column.props[0].value.span), "\"0\"");
        assert_eq!(marked(text, column.props[1].name_span), "\"k\"");
        assert_eq!(marked(text, column.props[1].value.span), "(t)  #\"v\"#");
        assert_eq!(column.span.file, 3);
        assert_eq!(marked(text, table.children[1].span), "a");
        assert_eq!(marked(text, nodes[1].span), "last 1 /-2");
    }

    #[test]
    fn numbers_keep_their_digits() {
        let node = &read(0, "n 1_000 0x10 1.50 -1.5e3 99999999999999999999 #inf #true #null +7").unwrap()[0];
        let values: Vec<&Scalar> = node.args.iter().map(|a| &a.value).collect();
        let number = |t: &str| Scalar::Number(t.into());
        let expected = [
            Scalar::Int(1000),
            Scalar::Int(16),
            number("1.50"),
            number("-1.5E+3"),
            number("99999999999999999999"),
            number("inf"),
            Scalar::Bool(true),
            Scalar::Null,
            Scalar::Int(7),
        ];
        assert_eq!(values, expected.iter().collect::<Vec<_>>());
    }

    #[test]
    fn white_space_that_nobody_can_tell_from_spaces_is_named() {
        let problems = read(0, "a #\"\"\"\n    \u{a0}\u{a0}x\n     \"\"\"#").unwrap_err();
        assert!(problems[0].message.contains("neither a space nor a tab"), "{}", problems[0].message);
        assert_eq!((problems[0].span.start, problems[0].span.end), (11, 13));
        assert!(read(0, "\u{a0}a #\"b \u{a0}\"#\n").is_ok() && read(0, "a \"\"\"\n x\u{a0}\n \"\"\"").is_ok());
    }

    #[test]
    fn a_million_parts_are_too_many_for_a_person() {
        assert!(read_large(0, &"a;".repeat(MAX_PARTS + 1)).is_ok());
        let problems = read(0, &"a;".repeat(MAX_PARTS + 1)).unwrap_err();
        assert!(problems.len() == 1 && problems[0].message.contains("a million"), "{}", problems[0].message);
    }

    #[test]
    fn depth_is_limited_without_a_crash() {
        for levels in [65, 1_000_000] {
            let problems = read(0, &"a {\n".repeat(levels)).unwrap_err();
            assert_eq!(problems.len(), 1);
            assert!(problems[0].message.contains("64 levels"), "{}", problems[0].message);
        }
        assert!(read(0, &format!("{}{}", "a {\n".repeat(64), "}\n".repeat(64))).is_ok());
        // An error before the abyss: the diagnostics must not fall into it.
        assert!(!read(0, &format!("a ]\n{}", "a {\n".repeat(1_000_000))).unwrap_err().is_empty());
        assert!(!read(0, &format!("a ]\n{}", "/*".repeat(1_000_000))).unwrap_err().is_empty());
        assert!(read(0, &"/-a {\n".repeat(100_000)).is_err());
    }
}
