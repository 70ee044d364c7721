//! A fast reader for the common forms of files, many times as fast as the strict reader; it leaves everything else to that one.

use std::ops::Range;

use crate::model::Text;

use super::read::{MAX_DEPTH, span};
use super::{Arg, Node, Prop, Scalar, Texts};

/// The nodes of a text, just as the strict reader gives them; `None` if there is anything in it that is unusual or wrong.
///
/// `parts` is the largest number of nodes, arguments and properties.
pub(super) fn read(file: u32, text: &str, texts: &mut Texts, parts: usize) -> Option<Vec<Node>> {
    let mut quick = Quick { file, text, at: 0, texts, left: parts };
    let (mut top, mut open): (Vec<Node>, Vec<Node>) = (Vec::new(), Vec::new());
    loop {
        quick.lines()?;
        let whole = match quick.peek() {
            None => return open.is_empty().then_some(top),
            Some(b'}') => {
                quick.at += 1;
                let mut node = open.pop()?;
                node.span.end = span(file, 0..quick.at).end;
                node
            }
            Some(_) => {
                let node = quick.head()?;
                if quick.take(b'{') {
                    open.push(node);
                    if open.len() > MAX_DEPTH {
                        return None;
                    }
                    continue;
                }
                node
            }
        };
        quick.terminator()?;
        match open.last_mut() {
            Some(parent) => parent.children.push(whole),
            None => top.push(whole),
        }
    }
}

struct Quick<'a> {
    file: u32,
    text: &'a str,
    /// The next byte.
    at: usize,
    texts: &'a mut Texts,
    /// So many nodes, arguments and properties may still come.
    left: usize,
}

impl<'a> Quick<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn take(&mut self, byte: u8) -> bool {
        let here = self.peek() == Some(byte);
        self.at += usize::from(here);
        here
    }

    fn part(&mut self) -> Option<()> {
        self.left = self.left.checked_sub(1)?;
        Some(())
    }

    /// Spaces and tabs; true if there were any.
    fn spaces(&mut self) -> bool {
        let start = self.at;
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
        self.at > start
    }

    /// Blank lines and comments before a node.
    fn lines(&mut self) -> Option<()> {
        loop {
            self.spaces();
            match self.peek() {
                Some(b'\n') => self.at += 1,
                Some(b'\r') => self.newline()?,
                Some(b'/') => {
                    self.rest().strip_prefix("//")?;
                    while self.peek().is_some_and(|b| b != b'\n' && b != b'\r') {
                        self.plain()?;
                    }
                }
                _ => return Some(()),
            }
        }
    }

    fn newline(&mut self) -> Option<()> {
        let _ = self.take(b'\r');
        self.take(b'\n').then_some(())
    }

    /// One byte of a text or comment that means nothing but itself.
    fn plain(&mut self) -> Option<()> {
        plain(self.peek()?).then(|| self.at += 1)
    }

    /// What ends a node.
    fn terminator(&mut self) -> Option<()> {
        self.spaces();
        match self.peek() {
            Some(b';') => self.at += 1,
            Some(b'\n' | b'\r') => self.newline()?,
            None | Some(b'}') => {}
            Some(b'/') => drop(self.rest().strip_prefix("//")?),
            Some(_) => return None,
        }
        Some(())
    }

    /// A node up to its block or its end.
    fn head(&mut self) -> Option<Node> {
        self.part()?;
        let start = self.at;
        let name = self.string()?;
        let place = span(self.file, start..self.at);
        let mut node = Node { name, span: place, name_span: place, ..Node::default() };
        loop {
            let end = self.at;
            let spaced = self.spaces();
            if self.delimited() {
                node.span.end = span(self.file, 0..end).end;
                return Some(node);
            }
            if !spaced {
                return None;
            }
            self.entry(&mut node)?;
        }
    }

    /// True where neither a name nor a value continues.
    fn delimited(&self) -> bool {
        matches!(self.peek(), None | Some(b'\n' | b'\r' | b';' | b'{' | b'}' | b'/'))
    }

    fn entry(&mut self, node: &mut Node) -> Option<()> {
        self.part()?;
        let start = self.at;
        let arg = self.value()?;
        let end = self.at;
        if !self.take(b'=') {
            self.spaces();
            if self.peek() == Some(b'=') {
                return None;
            }
            self.at = end;
            node.args.push(arg);
            return Some(());
        }
        let (Scalar::Text(name), None) = (arg.value, arg.annotation) else { return None };
        let value = self.value()?;
        node.props.push(Prop { name, value, name_span: span(self.file, start..end) });
        Some(())
    }

    fn value(&mut self) -> Option<Arg> {
        let start = self.at;
        let mut annotation = None;
        if self.take(b'(') {
            annotation = Some(self.word()?);
            self.take(b')').then_some(())?;
        }
        let value = match self.peek()? {
            b'#' if !self.rest().starts_with("#\"") => self.keyword()?,
            b'-' | b'0'..=b'9' => self.integer()?,
            _ => Scalar::Text(self.string()?),
        };
        Some(Arg { value, annotation, span: span(self.file, start..self.at) })
    }

    fn keyword(&mut self) -> Option<Scalar> {
        let words = [("#true", Scalar::Bool(true)), ("#false", Scalar::Bool(false)), ("#null", Scalar::Null)];
        let rest = self.rest();
        let (word, value) = words.into_iter().find(|(word, _)| rest.starts_with(word))?;
        self.at += word.len();
        (self.delimited() || matches!(self.peek(), Some(b' ' | b'\t'))).then_some(value)
    }

    fn integer(&mut self) -> Option<Scalar> {
        let start = self.at;
        let _ = self.take(b'-');
        let digits = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        let usual = !self.text.get(digits..self.at)?.starts_with('0') || self.at - start == 1;
        let ends = matches!(self.peek(), None | Some(b' ' | b'\t' | b'\n' | b'\r' | b';' | b'{' | b'}'));
        (usual && ends).then_some(())?;
        self.text.get(start..self.at)?.parse().ok().map(Scalar::Int)
    }

    fn string(&mut self) -> Option<Text> {
        let raw = self.take(b'#');
        match self.peek()? {
            b'"' if self.rest().starts_with("\"\"\"") => self.block(raw),
            b'"' => self.quoted(raw),
            _ if raw => None,
            _ => self.word(),
        }
    }

    /// A bare word of ASCII.
    fn word(&mut self) -> Option<Text> {
        let rest = self.rest();
        let goes_on = |b: u8| b.is_ascii_graphic() && !b"\"#()/;=[\\]{}".contains(&b);
        let word = rest.get(..rest.bytes().take_while(|b| goes_on(*b)).count())?;
        let begins = word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let follows = rest.as_bytes().get(word.len()).is_none_or(u8::is_ascii);
        let usual = begins && follows && !matches!(word, "true" | "false" | "null" | "inf" | "nan");
        usual.then(|| self.at += word.len())?;
        Some(self.texts.shared(word))
    }

    /// A text on one line.
    fn quoted(&mut self, raw: bool) -> Option<Text> {
        self.at += 1;
        let start = self.at;
        loop {
            let end = self.at;
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    if !raw || self.take(b'#') {
                        return self.inside(start..end);
                    }
                }
                b'\\' if !raw => return None,
                _ => self.plain()?,
            }
        }
    }

    fn inside(&mut self, at: Range<usize>) -> Option<Text> {
        Some(self.texts.shared(self.text.get(at)?))
    }

    /// A text of several lines.
    fn block(&mut self, raw: bool) -> Option<Text> {
        let body = self.rest().strip_prefix("\"\"\"\n")?;
        let close = if raw { "\"\"\"#" } else { "\"\"\"" };
        let body = body.get(..body.find(close)?)?;
        let usual = |b: u8| plain(b) && (raw || b != b'\\') || b == b'\n';
        body.bytes().all(usual).then_some(())?;
        let (lines, indent) = body.rsplit_once('\n')?;
        let blank = |line: &str| line.bytes().all(|b| b == b' ' || b == b'\t');
        blank(indent).then_some(())?;
        let mut text = String::with_capacity(lines.len());
        for (i, line) in lines.split('\n').enumerate() {
            text.push_str(if i > 0 { "\n" } else { "" });
            text.push_str(if blank(line) { "" } else { line.strip_prefix(indent)? });
        }
        self.at += "\"\"\"\n".len() + body.len() + close.len();
        Some(self.texts.shared(&text))
    }
}

/// False for bytes with which control characters, KDL's ends of lines or its odd spaces begin: U+0085 and U+00A0 (C2), U+1680 (E1),
/// U+2000 and what follows (E2), U+3000 (E3), U+FEFF (EF).
fn plain(byte: u8) -> bool {
    byte == b'\t' || byte >= b' ' && !matches!(byte, 0x7f | 0xc2 | 0xe1..=0xe3 | 0xef)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::read::{MAX_DEPTH, strict};
    use super::*;

    /// Both readers' nodes with all their places; the strict one's only if this one had an answer.
    fn both(text: &str) -> Option<(String, String)> {
        let quick = read(3, text, &mut Texts::default(), 1000)?;
        let strict = strict(3, text, &mut Texts::default(), 1000);
        Some((format!("{:?}", Ok::<_, ()>(quick)), format!("{:?}", strict.map_err(drop))))
    }

    /// What a person writes.
    const USUAL: &str = "// ü\ntable \"or ders\" {\r\n\tcolumn id \"numeric(1, 2)\" default=\"0\" kind=a // x\n\
        b (sql)\"ü\" k=(sql)#\"\"a\"\"#; c -17 0 #true #null}\n\
        view v {\n    query \"\"\"\n\n      select \"a\"\n    \t\n        from b\n      \"\"\"\n\
        raw #\"\"\"\n    a\\b \"\"\" c\n    \"\"\"#\n}\nlast";

    #[test]
    fn what_files_look_like_is_read() {
        let (quick, strict) = both(USUAL).unwrap();
        assert_eq!(quick, strict);
        assert!(quick.contains("a\\\\b \\\"\\\"\\\" c"), "{quick}");
    }

    #[test]
    fn what_is_unusual_is_left_to_the_strict_reader() {
        let deep = "a{".repeat(MAX_DEPTH + 1) + &"}".repeat(MAX_DEPTH + 1);
        let parts = "a 1;".repeat(501);
        let unusual = [
            "\u{feff}a",
            "a \"\\n\"",
            "a 1.5",
            "a 1_0",
            "a 007",
            "a null",
            "a #inf",
            "a \\\n b",
            "/-a",
            "a /* b */",
            "é",
            "a é",
            "(t)a",
            "a b =1",
            "a\rb",
            "a b=",
            "a =1",
            "a 1=2",
            "a \"b\"c",
            "a {",
            "}",
            "a b}",
            "a \"\u{202e}\"",
            "a \u{a0}b",
            "a \"\"\"\nb\"\"\"",
            "a \"\"\"\n  b\n   \"\"\"",
            "a ##\"b\"##",
            "a \"",
            "a b\"c\"",
            &deep,
            &parts,
        ];
        let read: Vec<&str> = unusual.into_iter().filter(|text| both(text).is_some()).collect();
        assert!(read.is_empty(), "{read:?}");
    }

    #[test]
    fn files_of_schemas_are_usual() {
        let (mut files, mut usual) = (0, 0);
        let mut folders = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")];
        while let Some(folder) = folders.pop() {
            for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|e| e == "kdl") {
                    let text = std::fs::read_to_string(&path).unwrap();
                    let answer = both(&text);
                    files += usize::from(strict(0, &text, &mut Texts::default(), 1000).is_ok());
                    usual += usize::from(answer.is_some());
                    assert!(answer.is_none_or(|(quick, strict)| quick == strict), "{}", path.display());
                }
            }
        }
        assert!(usual * 10 > files * 9 && files > 20, "{usual} of {files}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn what_both_read_is_the_same(edits in prop::collection::vec((0..USUAL.len(), 0..8_usize, piece()), 0..6)) {
            let mut text = USUAL.to_string();
            for (at, length, piece) in edits {
                let at = text.floor_char_boundary(at.min(text.len()));
                let end = text.floor_char_boundary((at + length).min(text.len()));
                text.replace_range(at..end, piece);
            }
            if let Some((quick, strict)) = both(&text) {
                prop_assert_eq!(quick, strict);
            }
        }
    }

    /// What random edits put in.
    fn piece() -> impl Strategy<Value = &'static str> {
        prop::sample::select(PIECES.split('¦').collect::<Vec<_>>())
    }

    const PIECES: &str = "¦a¦b-1¦_¦-¦+¦.¦*¦1¦0¦-2¦é¦ß¦「¦\u{a0}¦\u{85}¦\u{feff}¦\u{1}¦\u{7f}¦\t¦ ¦ ¦ ¦\n¦\n¦\r\n¦\r¦\\¦\"¦\"\"\"¦\"\"\"\n¦\
        \n\"\"\"¦\n  \"\"\"¦#¦#\"¦\"#¦=¦=¦(¦)¦(t)¦{¦}¦{¦}¦;¦//¦/-¦/*¦*/¦#true¦#null¦true¦a ¦ b¦ c=1¦\"x y\"¦#\"\"\"\n¦\n\"\"\"#";
}
