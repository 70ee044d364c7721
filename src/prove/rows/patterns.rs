//! Generates strings that match a pattern: PostgreSQL's regular expressions, SIMILAR TO and LIKE.
//!
//! They are only proposals: the server decides whether they match, so lookaround constraints may be ignored.

use super::dice::Dice;

/// Strings that match an advanced regular expression (src/backend/regex/README), if it can be read. The shortest come first.
pub(super) fn of_regex(pattern: &str, count: usize, dice: &mut Dice) -> Vec<String> {
    let mut reader = Reader { rest: pattern, groups: Vec::new(), depth: 0 };
    reader.options();
    let Some(node) = reader.alternatives() else { return Vec::new() };
    if !reader.rest.is_empty() {
        return Vec::new();
    }
    let mut out = Vec::new();
    for round in 0..count {
        let wish = match round {
            0 => Wish::Least,
            1 => Wish::Most,
            _ => Wish::Some,
        };
        let mut text = String::new();
        let mut maker = Maker { wish, dice, groups: vec![String::new(); 10], budget: 2_000 };
        maker.make(&node, &mut text);
        if !out.contains(&text) {
            out.push(text);
        }
    }
    if !pattern.starts_with('^')
        && let Some(first) = out.first().cloned()
    {
        out.push(format!("x {first} é"));
    }
    out
}

/// As `of_regex`, for SIMILAR TO.
pub(super) fn of_similar(pattern: &str, count: usize, dice: &mut Dice) -> Vec<String> {
    let mut regex = String::from("^(?:");
    let (mut chars, mut class) = (pattern.chars(), false);
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                regex.push('\\');
                regex.extend(chars.next());
            }
            '[' => (class, _) = (true, regex.push(c)),
            ']' => (class, _) = (false, regex.push(c)),
            '%' if !class => regex.push_str(".*"),
            '_' if !class => regex.push('.'),
            '.' | '^' | '$' if !class => regex.extend(['\\', c]),
            _ => regex.push(c),
        }
    }
    regex.push_str(")$");
    of_regex(&regex, count, dice)
}

/// Strings that match a pattern of LIKE.
pub(super) fn of_like(pattern: &str, dice: &mut Dice) -> Vec<String> {
    let mut fill = |any: &[&str], one: &[char]| {
        let (mut out, mut chars) = (String::new(), pattern.chars());
        while let Some(c) = chars.next() {
            match c {
                '\\' => out.extend(chars.next()),
                '%' => out.push_str(dice.pick(any).copied().unwrap_or("")),
                '_' => out.extend(dice.pick(one)),
                _ => out.push(c),
            }
        }
        out
    };
    let mut out = vec![fill(&[""], &['a'])];
    let middles = ["a", "bc", "x-1", "é", "some text", "0", "z/y", "Q"];
    for middle in middles {
        out.push(fill(&[middle], &['b', 'c', 'é', '1']));
    }
    super::values::unique(&mut out);
    out
}

enum Node {
    Chars(Vec<(char, char)>, bool),
    Any,
    All(Vec<Node>),
    One(Vec<Node>),
    Repeat(Box<Node>, usize, Option<usize>),
    Group(usize, Box<Node>),
    Again(usize),
    Nothing,
}

struct Reader<'a> {
    rest: &'a str,
    groups: Vec<()>,
    depth: usize,
}

impl Reader<'_> {
    fn options(&mut self) {
        if let Some(rest) = self.rest.strip_prefix("***:").or_else(|| self.rest.strip_prefix("***=")) {
            self.rest = rest;
        }
        if let Some((options, rest)) = self.rest.strip_prefix("(?").and_then(|rest| rest.split_once(')'))
            && !options.is_empty()
            && options.bytes().all(|byte| byte.is_ascii_lowercase())
        {
            self.rest = rest;
        }
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn take(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn alternatives(&mut self) -> Option<Node> {
        self.depth += 1;
        if self.depth > 60 {
            return None;
        }
        let mut arms = vec![self.branch()?];
        while self.take("|") {
            arms.push(self.branch()?);
        }
        self.depth -= 1;
        Some(if arms.len() == 1 { arms.pop()? } else { Node::One(arms) })
    }

    fn branch(&mut self) -> Option<Node> {
        let mut parts = Vec::new();
        while !self.rest.is_empty() && !self.rest.starts_with(['|', ')']) {
            let atom = self.atom()?;
            parts.push(self.repeated(atom)?);
        }
        Some(Node::All(parts))
    }

    fn repeated(&mut self, atom: Node) -> Option<Node> {
        let (low, high) = match self.rest.chars().next() {
            Some('*') => (0, None),
            Some('+') => (1, None),
            Some('?') => (0, Some(1)),
            Some('{') if self.rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                let (inside, rest) = self.rest[1..].split_once('}')?;
                let (low, high) = match inside.split_once(',') {
                    None => (inside.parse().ok()?, Some(inside.parse().ok()?)),
                    Some((low, "")) => (low.parse().ok()?, None),
                    Some((low, high)) => (low.parse().ok()?, Some(high.parse().ok()?)),
                };
                self.rest = rest;
                _ = self.take("?");
                return Some(Node::Repeat(Box::new(atom), low, high));
            }
            _ => return Some(atom),
        };
        _ = self.next();
        _ = self.take("?");
        Some(Node::Repeat(Box::new(atom), low, high))
    }

    fn atom(&mut self) -> Option<Node> {
        match self.next()? {
            '(' => {
                for around in ["?=", "?!", "?<=", "?<!"] {
                    if self.take(around) {
                        self.alternatives()?;
                        return self.take(")").then_some(Node::Nothing);
                    }
                }
                if self.take("?:") {
                    let inside = self.alternatives()?;
                    return self.take(")").then_some(inside);
                }
                self.groups.push(());
                let number = self.groups.len();
                let inside = self.alternatives()?;
                self.take(")").then(|| Node::Group(number, Box::new(inside)))
            }
            '[' => self.class(),
            '.' => Some(Node::Any),
            '^' | '$' => Some(Node::Nothing),
            '\\' => self.escape(),
            c => Some(Node::Chars(vec![(c, c)], false)),
        }
    }

    fn class(&mut self) -> Option<Node> {
        if self.take("[:<:]]") || self.take("[:>:]]") {
            return Some(Node::Nothing);
        }
        let without = self.take("^");
        let (mut ranges, mut first) = (Vec::new(), true);
        loop {
            if self.take("[:") {
                let (name, rest) = self.rest.split_once(":]")?;
                ranges.extend(named(name)?);
                self.rest = rest;
            } else {
                match self.next()? {
                    ']' if !first => return Some(Node::Chars(ranges, without)),
                    '\\' => match self.escape()? {
                        Node::Chars(inside, false) => ranges.extend(inside),
                        _ => return None,
                    },
                    low => {
                        let high = match self.rest.strip_prefix('-') {
                            Some(rest) if !rest.starts_with(']') => {
                                self.rest = rest;
                                match self.next()? {
                                    '\\' => self.next()?,
                                    high => high,
                                }
                            }
                            _ => low,
                        };
                        ranges.push((low, high));
                    }
                }
            }
            first = false;
        }
    }

    fn escape(&mut self) -> Option<Node> {
        let one = |c: char| Some(Node::Chars(vec![(c, c)], false));
        match self.next()? {
            'd' => Some(Node::Chars(vec![('0', '9')], false)),
            'w' => Some(Node::Chars(named("word")?, false)),
            's' => Some(Node::Chars(vec![(' ', ' ')], false)),
            'D' | 'S' => Some(Node::Chars(vec![('a', 'z')], false)),
            'W' => one('-'),
            'A' | 'Z' | 'm' | 'M' | 'y' | 'Y' => Some(Node::Nothing),
            't' => one('\t'),
            'n' => one('\n'),
            'r' => one('\r'),
            'u' => {
                let (digits, rest) = (self.rest.get(..4)?, self.rest.get(4..)?);
                self.rest = rest;
                one(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?)
            }
            'x' => {
                let end = self.rest.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(self.rest.len());
                let (digits, rest) = self.rest.split_at(end);
                self.rest = rest;
                one(char::from_u32(u32::from_str_radix(digits, 16).ok()?).filter(|c| *c != '\0')?)
            }
            c @ '1'..='9' => Some(Node::Again(c as usize - '0' as usize)),
            c if c.is_ascii_alphanumeric() => None,
            c => one(c),
        }
    }
}

fn named(class: &str) -> Option<Vec<(char, char)>> {
    Some(match class {
        "alpha" => vec![('a', 'z'), ('A', 'Z')],
        "lower" => vec![('a', 'z')],
        "upper" => vec![('A', 'Z')],
        "digit" => vec![('0', '9')],
        "xdigit" => vec![('0', '9'), ('a', 'f'), ('A', 'F')],
        "alnum" => vec![('a', 'z'), ('A', 'Z'), ('0', '9')],
        "word" => vec![('a', 'z'), ('A', 'Z'), ('0', '9'), ('_', '_')],
        "space" | "blank" => vec![(' ', ' ')],
        "punct" => vec![('!', '/')],
        "print" | "graph" | "ascii" => vec![('!', '~')],
        "cntrl" => vec![('\u{1}', '\u{1f}')],
        _ => return None,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    Least,
    Most,
    Some,
}

struct Maker<'a> {
    wish: Wish,
    dice: &'a mut Dice,
    groups: Vec<String>,
    /// How much more may be made: repetitions of repetitions grow without end.
    budget: usize,
}

/// Tried where almost any character matches.
const OTHERS: &[char] = &['a', 'b', 'z', '0', '7', 'M', '-', '_', ' ', 'é', '.', 'x', '/', '@', '~', '\n'];

impl Maker<'_> {
    fn make(&mut self, node: &Node, out: &mut String) {
        if self.budget == 0 {
            return;
        }
        self.budget -= 1;
        match node {
            Node::Nothing => {}
            Node::Any => out.extend(self.dice.pick(&OTHERS[..8])),
            Node::Chars(ranges, false) => {
                let range = if self.wish == Wish::Least { ranges.first() } else { self.dice.pick(ranges) };
                if let Some((low, high)) = range {
                    let size = (*high as usize).saturating_sub(*low as usize) + 1;
                    let step = if self.wish == Wish::Least { 0 } else { self.dice.below(size) };
                    out.extend(char::from_u32(*low as u32 + step as u32).or(Some(*low)));
                }
            }
            Node::Chars(ranges, true) => {
                let is_in = |c: &char| ranges.iter().any(|(low, high)| (low..=high).contains(&c));
                let left: Vec<char> = OTHERS.iter().copied().filter(|c| !is_in(c)).collect();
                let one = if self.wish == Wish::Least { left.first() } else { self.dice.pick(&left) };
                out.extend(one);
            }
            Node::All(parts) => parts.iter().for_each(|part| self.make(part, out)),
            Node::One(arms) => {
                let arm = if self.wish == Wish::Least { arms.first() } else { self.dice.pick(arms) };
                if let Some(arm) = arm {
                    self.make(arm, out);
                }
            }
            Node::Repeat(inside, low, high) => {
                let high = high.unwrap_or(low + 4).min(low + 300).max(*low);
                let times = match self.wish {
                    Wish::Least => *low,
                    Wish::Most => high,
                    Wish::Some => low + self.dice.below((high - low).min(6) + 1),
                };
                for _ in 0..times {
                    self.make(inside, out);
                }
            }
            Node::Group(number, inside) => {
                let mut text = String::new();
                self.make(inside, &mut text);
                out.push_str(&text);
                if let Some(slot) = self.groups.get_mut(*number) {
                    *slot = text;
                }
            }
            Node::Again(number) => out.push_str(self.groups.get(*number).map_or("", String::as_str)),
        }
    }
}
