//! Writes the canonical layout: four spaces per level, one node per line, strings in the simplest form that preserves their bytes.

use super::tokens::is_space;
use super::{Arg, Node, Scalar};

const INDENT: usize = 4;

/// Writes nodes as a file: a blank line around nodes that have children.
pub fn format_nodes(nodes: &[Node]) -> String {
    let mut out = String::new();
    for (i, node) in nodes.iter().enumerate() {
        let block = |n: &Node| !n.children.is_empty();
        if i > 0 && (block(node) || nodes.get(i - 1).is_some_and(block)) {
            out.push('\n');
        }
        write_node(&mut out, node, 0);
    }
    out
}

/// Writes one node with its children, `depth` levels deep, and the end of its line.
pub fn write_node(out: &mut String, node: &Node, depth: usize) {
    indent(out, depth);
    write_word(out, &node.name);
    for arg in &node.args {
        out.push(' ');
        write_arg(out, arg, depth);
    }
    for prop in &node.props {
        out.push(' ');
        write_word(out, &prop.name);
        out.push('=');
        write_arg(out, &prop.value, depth);
    }
    if node.children.is_empty() {
        out.push('\n');
        return;
    }
    out.push_str(" {\n");
    for child in &node.children {
        write_node(out, child, depth + 1);
    }
    indent(out, depth);
    out.push_str("}\n");
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n(' ', depth * INDENT));
}

fn write_arg(out: &mut String, arg: &Arg, depth: usize) {
    if let Some(annotation) = &arg.annotation {
        out.push('(');
        write_word(out, annotation);
        out.push(')');
    }
    match &arg.value {
        Scalar::Text(text) => write_text(out, text, depth),
        Scalar::Int(int) => out.push_str(&int.to_string()),
        Scalar::Number(number) if matches!(&**number, "inf" | "-inf" | "nan") => {
            out.push('#');
            out.push_str(number);
        }
        Scalar::Number(number) => out.push_str(number),
        Scalar::Bool(true) => out.push_str("#true"),
        Scalar::Bool(false) => out.push_str("#false"),
        Scalar::Null => out.push_str("#null"),
    }
}

/// A name: bare where that is possible, else quoted on one line.
fn write_word(out: &mut String, text: &str) {
    if is_bare(text) { out.push_str(text) } else { write_line(out, text) }
}

/// A string value, over several lines where it has several.
fn write_text(out: &mut String, text: &str, depth: usize) {
    if is_bare(text) {
        out.push_str(text);
    } else if fits_lines(text) {
        write_lines(out, text, depth + 1);
    } else {
        write_line(out, text);
    }
}

/// A string on one line: raw where quotes or backslashes would have to be escaped and nothing else, else with escapes.
fn write_line(out: &mut String, text: &str) {
    // `#"""` would begin a string of several lines.
    let looks_longer = text == "\"" || text.starts_with("\"\"");
    if text.contains(['"', '\\']) && !looks_longer && !text.contains(needs_escape) {
        let hashes = hashes(text, "\"");
        out.push_str(&hashes);
        out.push('"');
        out.push_str(text);
        out.push('"');
        out.push_str(&hashes);
        return;
    }
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if needs_escape(c) => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// A raw string over several lines, its text and its end indented alike.
fn write_lines(out: &mut String, text: &str, depth: usize) {
    let hashes = hashes(text, "\"\"\"");
    out.push_str(&hashes);
    out.push_str("\"\"\"\n");
    for line in text.split('\n') {
        if !line.is_empty() {
            indent(out, depth);
            out.push_str(line);
        }
        out.push('\n');
    }
    indent(out, depth);
    out.push_str("\"\"\"");
    out.push_str(&hashes);
}

/// As few `#` as no `quote` in the text is followed by.
fn hashes(text: &str, quote: &str) -> String {
    let mut hashes = String::from("#");
    while text.contains(&format!("{quote}{hashes}")) {
        hashes.push('#');
    }
    hashes
}

/// True if a string of several lines gives back the same bytes: KDL empties lines of white space and makes every line end an LF.
fn fits_lines(text: &str) -> bool {
    text.contains('\n')
        && !text.contains(|c| c != '\n' && c != '\t' && needs_escape(c))
        && text.split('\n').all(|line| line.is_empty() || !line.chars().all(is_space))
        // The reader refuses lines that begin with what only looks like a space.
        && text.split('\n').all(|line| line.chars().take_while(|c| is_space(*c)).all(|c| c.is_ascii()))
}

/// True if the string needs no quotes: not a keyword, nothing like a number, and only what looks like a word.
/// `'pending'` would be one too, but people take it for a quoted string.
fn is_bare(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let like_number = unsigned.strip_prefix('.').unwrap_or(unsigned).starts_with(|c: char| c.is_ascii_digit());
    !text.is_empty()
        && !like_number
        && !matches!(text, "true" | "false" | "null" | "inf" | "-inf" | "nan")
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '$'))
}

/// What must not occur verbatim in a single-line string: line ends and characters that KDL forbids; tabs, since people cannot see them.
fn needs_escape(c: char) -> bool {
    matches!(c, '\0'..='\u{1f}' | '\u{7f}' | '\u{85}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::super::{Prop, format, layouts, read, unix_lines};
    use super::*;

    fn written(text: &str) -> String {
        let node = Node::new("n").arg(text);
        format_nodes(&[node]).trim_end().to_string()
    }

    #[test]
    fn strings_take_their_plainest_form() {
        for (text, expected) in [
            ("plain", "n plain"),
            ("not-null", "n not-null"),
            ("numeric(12,2)", "n \"numeric(12,2)\""),
            ("null", "n \"null\""),
            ("-inf", "n \"-inf\""),
            ("1st", "n \"1st\""),
            ("-.5", "n \"-.5\""),
            ("-", "n -"),
            ("größe", "n größe"),
            ("'pending'", "n \"'pending'\""),
            ("", "n \"\""),
            ("a\"b\\", "n #\"a\"b\\\"#"),
            ("\"#x", "n ##\"\"#x\"##"),
            ("\"", "n \"\\\"\""),
            ("\"\"x", "n \"\\\"\\\"x\""),
            ("a\tb", "n \"a\\tb\""),
            ("a\n\u{a0}b", "n \"a\\n\u{a0}b\""),
            ("a\nb", "n #\"\"\"\n    a\n    b\n    \"\"\"#"),
            ("a\n\"\"\"#\n", "n ##\"\"\"\n    a\n    \"\"\"#\n\n    \"\"\"##"),
            ("a\n  \nb", "n \"a\\n  \\nb\""),
            ("a\r\nb", "n \"a\\r\\nb\""),
        ] {
            assert_eq!(written(text), expected, "{text:?}");
        }
    }

    #[test]
    fn layout() {
        let table = Node::new("table")
            .arg("t")
            .child(Node::new("column").arg("a").prop("default", "0").int_prop("n", 5))
            .child(Node::new("b"));
        let nodes = [Node::new("a"), Node::new("b"), table.clone(), table, Node::new("c")];
        let block = "table t {\n    column a default=\"0\" n=5\n    b\n}\n";
        assert_eq!(format_nodes(&nodes), format!("a\nb\n\n{block}\n{block}\nc\n"));
    }

    fn nasty() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            3 => "[a-z]{1,3}",
            1 => Just("\n".to_string()),
            1 => Just("\n  \n".to_string()),
            1 => Just("\r\n".to_string()),
            1 => Just("\"\"\"#".to_string()),
            4 => prop::sample::select(vec![
                "\"", "#", "\\", "\t", " ", "\u{85}", "\u{2028}", "\u{2029}", "\u{b}", "\u{c}", "\r", "\u{feff}", "\u{0}", "\u{7f}", "\u{200e}",
                "\u{a0}", "\u{3000}", "=", "{", "}", ";", "/", "//", "/*", "-", ".", "5", "true", "nan", "(", "ü", "日本", "😀", "\u{2066}", "\u{1b}",
            ]).prop_map(String::from),
            1 => any::<char>().prop_map(String::from),
        ];
        prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    fn scalar() -> impl Strategy<Value = Scalar> {
        prop_oneof![
            6 => nasty().prop_map(|t| Scalar::Text(t.into())),
            1 => any::<i64>().prop_map(Scalar::Int),
            1 => any::<bool>().prop_map(Scalar::Bool),
            1 => Just(Scalar::Null),
            1 => prop::sample::select(vec!["inf", "-inf", "nan", "1.50", "-0.1E-7", "18446744073709551616"]).prop_map(|t| Scalar::Number(t.into())),
        ]
    }

    fn arg() -> impl Strategy<Value = Arg> {
        (scalar(), prop::option::weighted(0.2, nasty())).prop_map(|(value, annotation)| Arg {
            value,
            annotation: annotation.map(Into::into),
            span: Default::default(),
        })
    }

    pub fn node() -> impl Strategy<Value = Node> {
        let leaf = (nasty(), prop::collection::vec(arg(), 0..4), prop::collection::vec((nasty(), arg()), 0..3))
            .prop_map(|(name, args, props)| {
                let props = props
                    .into_iter()
                    .map(|(name, value)| Prop { name: name.into(), value, name_span: Default::default() })
                    .collect();
                Node { args, props, ..Node::new(name) }
            });
        leaf.prop_recursive(4, 12, 4, |inner| {
            (inner.clone(), prop::collection::vec(inner, 0..4)).prop_map(|(mut node, children)| {
                node.children = children;
                node
            })
        })
    }

    /// Nodes without their places.
    fn bare(nodes: &[Node]) -> String {
        nodes.iter().map(|n| format!("{:?}", strip(n))).collect::<Vec<_>>().join("\n")
    }

    fn strip(node: &Node) -> Node {
        let arg = |a: &Arg| Arg { span: Default::default(), ..a.clone() };
        Node {
            args: node.args.iter().map(arg).collect(),
            props: node
                .props
                .iter()
                .map(|p| Prop { name: p.name.clone(), value: arg(&p.value), name_span: Default::default() })
                .collect(),
            children: node.children.iter().map(strip).collect(),
            ..Node::new(node.name.clone())
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn reading_gives_back_what_was_written(nodes in prop::collection::vec(node(), 0..4)) {
            let text = format_nodes(&nodes);
            let back = read(0, &text).map_err(|p| TestCaseError::fail(format!("{p:?}\n{text}")))?;
            prop_assert_eq!(bare(&back), bare(&nodes), "{}", text);
            prop_assert_eq!(&format_nodes(&back), &text);
            prop_assert_eq!(format(0, &text).unwrap_or_default(), text, "what is written is laid out already");
        }

        #[test]
        fn any_layout_becomes_one(nodes in prop::collection::vec(node(), 0..4), choices in layouts::choices()) {
            let (text, comments) = layouts::scattered(&nodes, &choices);
            let before = read(0, &unix_lines(&text)).map_err(|p| TestCaseError::fail(format!("{p:?}\n{text:?}")))?;
            let once = format(0, &text).map_err(|p| TestCaseError::fail(format!("{p:?}\n{text:?}")))?;
            prop_assert_eq!(bare(&read(0, &unix_lines(&once)).unwrap_or_default()), bare(&before), "{}", once);
            let mut rest = once.as_str();
            for comment in 0..comments {
                let name = format!("c{comment}");
                let Some(at) = rest.find(&name) else { return Err(TestCaseError::fail(format!("no {name} in\n{once}"))) };
                rest = &rest[at + name.len()..];
            }
            let twice = format(0, &once).map_err(|p| TestCaseError::fail(format!("{p:?}\n{once}")))?;
            prop_assert_eq!(&twice, &once, "from {}", text);
            prop_assert!(!once.lines().any(|line| line.ends_with(' ')) || once.contains("\"\"\""), "{}", once);
        }

        #[test]
        fn both_parsers_agree_on_what_was_written(text in nasty()) {
            let file = format_nodes(&[Node::new("n").arg(text.clone())]);
            let document = kdl::KdlDocument::parse_v2(&file).map_err(|e| TestCaseError::fail(format!("{e:?}")))?;
            let value = document.nodes().first().and_then(|n| n.entries().first()).and_then(|e| e.value().as_string().map(String::from));
            prop_assert_eq!(value, Some(text), "{}", file);
        }
    }
}
