//! Edits a text in place: nodes are removed, added and changed, and every byte that does not belong to them stays.
//!
//! Positions are those that the reader gave to nodes. A comment belongs to the node directly below it, or before it on the same line.

use std::cmp::Reverse;
use std::ops::Range;

use super::tokens::{Piece, Tokens, Trivia, What, trivia};
use super::{Arg, Node, format, write_node};

const INDENT: &str = "    ";

/// The edits of one text.
pub struct Splices<'a> {
    text: &'a str,
    /// Each token with the number of blocks that are open before it.
    pieces: Vec<(Piece<'a>, usize)>,
    edits: Vec<(Range<usize>, String)>,
    /// Blocks for nodes that have none yet: where they begin, the indentation there, what they hold.
    blocks: Vec<(usize, String, Vec<Node>)>,
}

impl<'a> Splices<'a> {
    /// No edit yet, of a text that the reader accepted.
    pub fn new(text: &'a str) -> Self {
        let (mut tokens, mut pieces, mut depth) = (Tokens::new(text), Vec::new(), 0usize);
        loop {
            let piece = tokens.next();
            if piece.what == What::Close {
                depth = depth.saturating_sub(1);
            }
            pieces.push((piece, depth));
            match piece.what {
                What::Open => depth += 1,
                What::End => return Self { text, pieces, edits: Vec::new(), blocks: Vec::new() },
                _ => {}
            }
        }
    }

    /// The text with all edits. If it was laid out canonically before, it is afterwards.
    pub fn finish(mut self) -> String {
        for (at, outer, nodes) in std::mem::take(&mut self.blocks) {
            let lines = self.lines(&nodes, &format!("{outer}{INDENT}"), false);
            self.edits.push((at..at, format!(" {{\n{lines}\n{outer}}}")));
        }
        // At one place, insertions come before removals, and of removals the longest comes first.
        self.edits.sort_by_key(|(at, _)| (at.start, !at.is_empty(), Reverse(at.end)));
        let (mut out, mut from) = (String::with_capacity(self.text.len()), 0);
        for (at, new) in &self.edits {
            // What was removed along with something around it needs no edit of its own; what is new has its place all the same.
            if at.start >= from {
                out.push_str(self.slice(from..at.start));
                from = at.end;
            } else if !at.is_empty() {
                continue;
            }
            out.push_str(new);
        }
        out.push_str(self.slice(from..self.text.len()));
        let canonical = format(0, self.text).is_ok_and(|text| text == self.text);
        if canonical { format(0, &out).unwrap_or(out) } else { out }
    }

    /// Takes a node out, with the comments that belong to it.
    pub fn remove(&mut self, node: &Node) {
        let (from, whole_lines) = self.lead(node);
        let tail = self.tail(node);
        let mut end = tail.end;
        if whole_lines && tail.ends_line {
            let blank_before =
                from == 0 || self.slice(0..from).ends_with("\n\n") || self.slice(0..from).ends_with("{\n");
            if blank_before && self.slice(end..self.text.len()).starts_with('\n') {
                end += 1;
            }
            self.edits.push((from..end, String::new()));
        } else if whole_lines {
            let indent = self.indent(node);
            self.edits.push((from..self.piece_from(tail.end).start, indent));
        } else {
            let before = self.slice(0..from).trim_end_matches([' ', '\t']).len();
            self.edits.push((before..tail.core, String::new()));
        }
    }

    /// Puts nodes behind one.
    pub fn insert_after(&mut self, sibling: &Node, new: &[Node]) {
        let indent = self.indent(sibling);
        let tail = self.tail(sibling);
        let lines = self.lines(new, &indent, self.depth(sibling) == 0);
        if tail.ends_line {
            let gap = self.line_end(tail.end);
            self.edits.push((tail.end..tail.end, format!("{gap}{lines}\n")));
            return;
        }
        let closes = self.piece_from(tail.core).what == What::Close;
        let closing = if closes { self.outer(&indent) } else { String::new() };
        self.edits.push((tail.core..tail.core, format!("\n{lines}\n{closing}")));
    }

    /// Puts nodes before one, and before its comments.
    pub fn insert_before(&mut self, sibling: &Node, new: &[Node]) {
        let indent = self.indent(sibling);
        let (at, whole_lines) = self.lead(sibling);
        let lines = self.lines(new, &indent, false);
        let lines = if whole_lines { format!("{lines}\n") } else { format!("{}\n{indent}", lines.trim_start()) };
        self.edits.push((at..at, lines));
    }

    /// Puts nodes at the end of a node's block, which is created if it does not exist.
    pub fn insert_in(&mut self, parent: &Node, new: &[Node]) {
        let outer = self.indent(parent);
        let Some(close) = self.block(parent) else {
            let end = self.core_end(parent);
            match self.blocks.iter_mut().find(|(at, _, _)| *at == end) {
                Some((_, _, nodes)) => nodes.extend_from_slice(new),
                None => self.blocks.push((end, outer, new.to_vec())),
            }
            return;
        };
        let lines = self.lines(new, &format!("{outer}{INDENT}"), false);
        let line = self.slice(0..close.start).rfind('\n').map_or(0, |at| at + 1);
        if close.gap.contains('\n') && self.slice(line..close.start).trim().is_empty() {
            self.edits.push((line..line, format!("{lines}\n")));
        } else {
            self.edits.push((close.start..close.start, format!("\n{lines}\n{outer}")));
        }
    }

    /// Puts nodes at the end of the text.
    pub fn append(&mut self, new: &[Node]) {
        let end = self.text.len();
        let gap = if self.text.is_empty() { "" } else { self.line_end(end) };
        let lines = self.lines(new, "", !self.text.trim().is_empty());
        self.edits.push((end..end, format!("{gap}{lines}\n")));
    }

    /// Rewrites a node; the comments around it stay, those inside do not.
    pub fn replace(&mut self, node: &Node, new: &Node) {
        let lines = self.lines(std::slice::from_ref(new), &self.indent(node), false);
        self.edits.push((node.span.start as usize..self.core_end(node), lines.trim_start().to_string()));
    }

    /// Changes a node by what tells one canonical form of it from another: arguments, properties, and children that are no
    /// objects of their own.
    pub fn merge(&mut self, node: &Node, from: &Node, to: &Node) {
        self.merge_args(node, from, to);
        self.merge_props(node, from, to);
        let mut names: Vec<&str> = Vec::new();
        for child in to.children.iter().chain(&from.children) {
            if !names.contains(&&*child.name) {
                names.push(&child.name);
            }
        }
        for (at, name) in names.iter().enumerate() {
            let named = |nodes: &'_ [Node]| nodes.iter().filter(|n| &*n.name == *name).cloned().collect::<Vec<_>>();
            let (old, new, there) = (named(&from.children), named(&to.children), named(&node.children));
            if Node::all_alike(&old, &new) {
                continue;
            }
            // What both ends have in common stays.
            let shared = |a: &mut dyn Iterator<Item = (&Node, &Node)>| a.take_while(|(a, b)| a.is_like(b)).count();
            let (start, end) = if old.len() == there.len() {
                let start = shared(&mut old.iter().zip(&new));
                let room = old.len().min(new.len()) - start;
                (start, shared(&mut old.iter().rev().zip(new.iter().rev())).min(room))
            } else {
                (0, 0)
            };
            let middle =
                |nodes: &[Node], keep: usize| nodes.get(start..nodes.len() - keep).unwrap_or_default().to_vec();
            let (old, new, gone) = (middle(&old, end), middle(&new, end), middle(&there, end));
            for (at, place) in gone.iter().enumerate() {
                match (old.get(at).filter(|_| old.len() == gone.len()), new.get(at)) {
                    (Some(from), Some(to)) => self.merge(place, from, to),
                    (None, Some(to)) => self.replace(place, to),
                    (_, None) => self.remove(place),
                }
            }
            let more = new.get(gone.len()..).unwrap_or_default();
            if !more.is_empty() {
                let earlier = names.get(..at).unwrap_or_default();
                let before = there
                    .get(..start + gone.len())
                    .and_then(<[Node]>::last)
                    .or_else(|| node.children.iter().rfind(|child| earlier.contains(&&*child.name)));
                match (before, node.children.first()) {
                    (Some(sibling), _) => self.insert_after(sibling, more),
                    (None, Some(first)) => self.insert_before(first, more),
                    _ => self.insert_in(node, more),
                }
            }
        }
    }

    fn merge_args(&mut self, node: &Node, from: &Node, to: &Node) {
        let alike = |a: &Arg, b: &Arg| a.value == b.value && a.annotation == b.annotation;
        if from.args.len() == to.args.len() && from.args.iter().zip(&to.args).all(|(a, b)| alike(a, b)) {
            return;
        }
        let bytes = |arg: &Arg| arg.span.start as usize..arg.span.end as usize;
        let indent = self.indent(node);
        let spelled = |arg: &Arg| match node.args.iter().find(|old| alike(old, arg)) {
            Some(old) => self.slice(bytes(old)).to_string(),
            None => self.value(arg, &indent),
        };
        let mut new: Vec<String> = to.args.iter().map(spelled).collect();
        // What the canonical form says elsewhere stays.
        let mine = |arg: &&Arg| !from.args.iter().any(|known| alike(known, arg));
        if node.args.len() > from.args.len() {
            new.extend(node.args.iter().filter(mine).map(|arg| self.slice(bytes(arg)).to_string()));
        }
        let new = new.join(" ");
        let (Some(first), Some(last)) = (node.args.first(), node.args.last()) else {
            let at = node.name_span.end as usize;
            return self.edits.push((at..at, format!(" {new}")));
        };
        let between = |start: u32| first.span.start < start && start < last.span.start;
        if node.props.iter().any(|prop| between(prop.name_span.start)) {
            // One by one they would have to change places with properties.
            for arg in node.args.iter().skip(1) {
                self.remove_entry(arg.span.start as usize, arg.span.end as usize);
            }
            self.edits.push((bytes(first), new));
        } else {
            self.edits.push((first.span.start as usize..last.span.end as usize, new));
        }
    }

    fn merge_props(&mut self, node: &Node, from: &Node, to: &Node) {
        let indent = self.indent(node);
        let said = |node: &Node, name: &str| node.get_prop(name).map(|arg| (arg.value.clone(), arg.annotation.clone()));
        for prop in from.props.iter().filter(|prop| to.get_prop(&prop.name).is_none()) {
            match node.props.iter().find(|there| there.name == prop.name) {
                Some(there) => self.remove_entry(there.name_span.start as usize, there.value.span.end as usize),
                None => {
                    node.children.iter().filter(|child| child.name == prop.name).for_each(|child| self.remove(child))
                }
            }
        }
        let place = |name: &str| node.props.iter().find(|prop| &*prop.name == name);
        for (at, prop) in to.props.iter().enumerate() {
            if said(from, &prop.name) == said(to, &prop.name) {
                continue;
            }
            let value = self.value(&prop.value, &indent);
            if let Some(there) = place(&prop.name) {
                self.edits.push((there.value.span.start as usize..there.value.span.end as usize, value));
                continue;
            }
            node.children.iter().filter(|child| child.name == prop.name).for_each(|child| self.remove(child));
            let mut name = String::new();
            write_node(&mut name, &Node::new(prop.name.clone()), 0);
            let new = format!("{}={value}", name.trim_end());
            // After the property that precedes it in the canonical form, else before the one that follows.
            let (before, after) = to.props.split_at(at);
            if let Some(before) = before.iter().rev().find_map(|other| place(&other.name)) {
                let end = before.value.span.end as usize;
                self.edits.push((end..end, format!(" {new}")));
            } else if let Some(after) = after.iter().find_map(|other| place(&other.name)) {
                let start = after.name_span.start as usize;
                self.edits.push((start..start, format!("{new} ")));
            } else {
                let entries = node.args.iter().map(|a| a.span.end).chain(node.props.iter().map(|p| p.value.span.end));
                let end = entries.max().unwrap_or(node.name_span.end) as usize;
                self.edits.push((end..end, format!(" {new}")));
            }
        }
    }

    /// Takes an argument or a property out, with the space before it.
    pub fn remove_entry(&mut self, start: usize, end: usize) {
        let before = self.slice(0..start).trim_end_matches([' ', '\t']).len();
        self.edits.push((before..end, String::new()));
    }

    // ---- places ---------------------------------------------------------------------------------------------------

    fn slice(&self, at: Range<usize>) -> &'a str {
        self.text.get(at).unwrap_or("")
    }

    /// The first token from that byte on.
    fn index_from(&self, byte: usize) -> usize {
        self.pieces.partition_point(|(piece, _)| piece.start < byte).min(self.pieces.len().saturating_sub(1))
    }

    fn piece_from(&self, byte: usize) -> Piece<'a> {
        let end = Piece { what: What::End, text: "", start: self.text.len(), gap: "", lines: false };
        self.pieces.get(self.index_from(byte)).map_or(end, |(piece, _)| *piece)
    }

    fn depth(&self, node: &Node) -> usize {
        self.pieces.get(self.index_from(node.span.start as usize)).map_or(0, |(_, depth)| *depth)
    }

    /// The white space that a node's line begins with; where the node does not begin it, what its depth asks for.
    fn indent(&self, node: &Node) -> String {
        let start = node.span.start as usize;
        let line = self.slice(0..start).rsplit('\n').next().unwrap_or("");
        if line.chars().all(|c| c == ' ' || c == '\t') { line.into() } else { INDENT.repeat(self.depth(node)) }
    }

    /// One level less.
    fn outer(&self, indent: &str) -> String {
        indent.strip_suffix(INDENT).or_else(|| indent.strip_suffix('\t')).unwrap_or("").to_string()
    }

    /// Where a node begins with the comments above it, and whether that is the start of a line.
    fn lead(&self, node: &Node) -> (usize, bool) {
        let start = node.span.start as usize;
        let piece = self.piece_from(start);
        let gap_start = start - piece.gap.len();
        let mut lines: Vec<(usize, bool)> = Vec::new();
        if gap_start == 0 {
            lines.push((0, false)); // the first line of the file is not behind anything
        }
        for (part, at) in trivia(piece.gap) {
            match part {
                Trivia::Newline => lines.push((gap_start + at.end, false)),
                Trivia::Continuation(_) => {}
                Trivia::Line(_) | Trivia::Block(..) => {
                    if let Some((_, comment)) = lines.last_mut() {
                        *comment = true;
                    }
                }
            }
        }
        // The last of them is the node's own line.
        let Some(((own, _), above)) = lines.split_last() else { return (start, false) };
        let first = above.iter().rev().take_while(|(_, comment)| *comment).last().map_or(*own, |(at, _)| *at);
        (first, true)
    }

    /// Where a node ends.
    fn tail(&self, node: &Node) -> Tail {
        let mut core = self.core_end(node);
        let mut next = self.piece_from(core);
        if next.what == What::Semicolon {
            core = next.end();
            next = self.piece_from(core);
        }
        let gap = self.slice(core..next.start);
        for (part, at) in trivia(gap) {
            if part == Trivia::Newline {
                return Tail { core, end: core + at.end, ends_line: true };
            }
        }
        let at_end = next.what == What::End;
        Tail { core, end: if at_end { self.text.len() } else { core }, ends_line: at_end }
    }

    /// What is needed at a place so that a new line can begin there.
    fn line_end(&self, at: usize) -> &'static str {
        let next = self.piece_from(at);
        let before = trivia(self.slice(next.start - next.gap.len()..at)).last().map(|(part, _)| *part);
        // The line end behind `\` does not count as one.
        match (self.slice(0..at).ends_with('\n'), matches!(before, Some(Trivia::Continuation(_)))) {
            (true, false) => "",
            (true, true) | (false, false) => "\n",
            (false, true) => "\n\n",
        }
    }

    /// The end of a node's last token.
    fn core_end(&self, node: &Node) -> usize {
        let next = self.index_from(node.span.end as usize);
        let last = next.checked_sub(1).and_then(|last| self.pieces.get(last));
        last.map_or(node.span.end as usize, |(piece, _)| piece.end().max(node.name_span.end as usize))
    }

    /// The token that closes a node's block.
    fn block(&self, node: &Node) -> Option<Piece<'a>> {
        let (first, depth) = (self.index_from(node.span.start as usize), self.depth(node));
        let inside = self.pieces.iter().skip(first).take_while(|(piece, _)| piece.start < node.span.end as usize);
        let (mut ours, mut last, mut close) = (false, What::Value, None);
        for (piece, _) in inside.filter(|(_, here)| *here == depth) {
            match piece.what {
                What::Open => ours = last != What::SlashDash,
                What::Close if ours => close = Some(*piece),
                _ => {}
            }
            last = piece.what;
        }
        close
    }

    // ---- new text -------------------------------------------------------------------------------------------------

    /// Nodes as lines, without the end of the last one. `apart`: with a blank line before those that have blocks.
    fn lines(&self, nodes: &[Node], indent: &str, apart: bool) -> String {
        let mut out = String::new();
        for node in nodes {
            let mut text = String::new();
            if apart && !node.children.is_empty() {
                out.push('\n');
            }
            write_node(&mut text, node, 0);
            for line in text.lines() {
                out.push_str(if line.is_empty() { "" } else { indent });
                out.push_str(line);
                out.push('\n');
            }
        }
        out.truncate(out.trim_end_matches('\n').len());
        out
    }

    /// A value as written on a line with that indentation.
    fn value(&self, arg: &Arg, indent: &str) -> String {
        let node = Node { args: vec![arg.clone()], ..Node::new("n") };
        let lines = self.lines(&[node], indent, false);
        lines.trim_start().strip_prefix("n ").unwrap_or("").to_string()
    }
}

/// The end of a node.
struct Tail {
    /// Behind its last byte, `;` included.
    core: usize,
    /// Behind the end of its line, if only comments follow on it.
    end: usize,
    ends_line: bool,
}
