//! Random layouts for tests: the same nodes with different white space, comments, line continuations and spellings of strings, and with parts
//! commented out.

use proptest::prelude::*;

use super::{Arg, Node, Scalar, format_nodes};

/// Nodes with a layout that no person would choose, and how many comments `c0`, `c1`, … it has.
pub(crate) fn scattered(nodes: &[Node], choices: &[u8]) -> (String, usize) {
    let mut out = Scatter { choices, at: 0, out: String::new(), comments: 0 };
    out.nodes(nodes, 0);
    (out.out, out.comments)
}

/// The bytes that decide about a layout.
pub(crate) fn choices() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..200)
}

struct Scatter<'a> {
    choices: &'a [u8],
    at: usize,
    out: String,
    comments: usize,
}

impl Scatter<'_> {
    /// One of `n` ways; the first once the choices are used up.
    fn one_of(&mut self, n: u8) -> u8 {
        let choice = self.choices.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        choice % n
    }

    fn comment(&mut self, before: &str, after: &str) {
        self.out.push_str(&format!("{before}c{}{after}", self.comments));
        self.comments += 1;
    }

    fn nodes(&mut self, nodes: &[Node], depth: usize) {
        self.lines();
        for node in nodes {
            if self.one_of(12) == 1 {
                self.out.push_str("/-");
                self.lines();
                self.node(&Node::new("gone").arg("x y").child(Node::new("inner").int(1)), depth);
                self.end();
            }
            self.node(node, depth);
            self.end();
        }
    }

    fn node(&mut self, node: &Node, depth: usize) {
        self.word(&node.name);
        for arg in &node.args {
            self.space();
            self.arg(arg);
        }
        for prop in &node.props {
            self.space();
            self.word(&prop.name);
            if self.one_of(8) == 1 {
                self.space();
            }
            self.out.push('=');
            if self.one_of(8) == 1 {
                self.space();
            }
            self.arg(&prop.value);
        }
        if self.one_of(10) == 1 {
            self.space();
            let way = self.one_of(4);
            self.out.push_str(["/-a=1", "/- \"b\"", "/-{ c; d }", "/-{}"][usize::from(way)]);
            // Only a block can follow a block.
        }
        if !node.children.is_empty() || self.one_of(10) == 1 {
            if self.one_of(2) == 0 {
                self.space();
            }
            self.out.push('{');
            self.nodes(&node.children, depth + 1);
            self.out.push('}');
        }
    }

    fn end(&mut self) {
        if self.one_of(8) == 1 {
            self.space();
        }
        match self.one_of(6) {
            1 => self.out.push(';'),
            2 => self.comment(" // ", "  \n"),
            3 => self.out.push_str("\r\n"),
            _ => self.out.push('\n'),
        }
        self.lines();
    }

    /// What may appear between nodes.
    fn lines(&mut self) {
        for _ in 0..self.one_of(4) {
            match self.one_of(8) {
                0 | 1 => self.out.push('\n'),
                2 => self.out.push_str("   \t"),
                3 => self.comment("// ", "\n"),
                4 => self.comment("/* ", " */"),
                5 => self.comment("  /* /* x */ \n   ", "\n  */\n"),
                6 => self.out.push_str("\\\n"),
                _ => self.out.push('\u{2028}'),
            }
        }
    }

    /// What may appear between the parts of a node.
    fn space(&mut self) {
        match self.one_of(9) {
            1 => self.out.push_str(" \\\n"),
            2 => self.comment(" \\ // ", "\n\t"),
            3 => self.comment(" /* ", " */ "),
            4 => self.comment(" /* ", "\n */ /* a */ \\ /**/\n"),
            5 => self.out.push_str("\t \u{3000}"),
            _ => self.out.push(' '),
        }
    }

    fn arg(&mut self, arg: &Arg) {
        if let Some(annotation) = &arg.annotation {
            self.out.push('(');
            self.word(annotation);
            self.out.push(')');
            if self.one_of(6) == 1 {
                self.space();
            }
        }
        match &arg.value {
            Scalar::Text(text) => self.text(text),
            _ => self.plain(Arg { annotation: None, ..arg.clone() }),
        }
    }

    fn word(&mut self, text: &str) {
        if self.one_of(4) == 1 { self.quoted(text) } else { self.plain(Arg::text(text.replace('\n', " "))) }
    }

    fn text(&mut self, text: &str) {
        match self.one_of(4) {
            1 => self.quoted(text),
            // The writer's spelling, its lines moved.
            2 if text.contains('\n') => {
                let from = self.out.len();
                self.plain(Arg::text(text));
                let moved = self.out[from..].replace("\n    ", "\n\t ");
                self.out.replace_range(from.., &moved);
            }
            _ => self.plain(Arg::text(text)),
        }
    }

    /// As the writer would spell it.
    fn plain(&mut self, arg: Arg) {
        let written = format_nodes(&[Node { args: vec![arg], ..Node::new("n") }]);
        self.out.push_str(written.trim_start_matches("n ").trim_end_matches('\n'));
    }

    fn quoted(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                'a'..='z' | 'A'..='Z' | ' ' | '0'..='9' => self.out.push(c),
                c => self.out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            }
        }
        self.out.push('"');
    }
}
