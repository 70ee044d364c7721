//! The conditions that a row has to satisfy: checks as trees of AND and OR, whose leaves the server judges.
//!
//! A check accepts a row unless it is false. In three-valued logic AND is false if one of its operands is, and OR if all are. So a tree
//! accepts a row if, in the same way, its leaves do: nothing is lost by judging them one by one.

use crate::model::Ident;
use crate::sql;
use crate::sql::lex::{self, Kind};

use super::columns::Column;

/// A named one.
pub(super) struct Condition {
    /// The constraint's name; a partition's bounds have none.
    pub name: Option<String>,
    pub tree: Tree,
}

#[derive(Clone)]
pub(super) enum Tree {
    All(Vec<Tree>),
    Any(Vec<Tree>),
    Leaf(Leaf),
}

/// An expression without AND and OR at its top.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Leaf {
    /// What has to be anything but false.
    pub text: String,
    /// Positions of the columns that have to be given for it; those of generated columns are behind them.
    pub columns: Vec<usize>,
    /// True if it applies to whole rows, which only an INSERT can offer.
    pub whole: bool,
}

impl Condition {
    /// Something that is true where it can be computed.
    pub fn computed(name: &str, text: &str, columns: &[Column]) -> Self {
        let leaf = Leaf::of(&format!("(({text}) IS NULL) IS NOT NULL"), columns);
        Self { name: Some(name.to_owned()), tree: Tree::Leaf(leaf) }
    }

    /// One of several.
    pub fn any(texts: &[String], columns: &[Column]) -> Self {
        Self { name: None, tree: Tree::Any(texts.iter().map(|text| tree(text, columns)).collect()) }
    }
}

impl Leaf {
    fn of(text: &str, columns: &[Column]) -> Self {
        let mut needed = Vec::new();
        for at in mentioned(text, columns) {
            let Some(column) = columns.get(at) else { continue };
            match &column.generated {
                Some(expression) => needed.extend(mentioned(expression, columns)),
                None => needed.push(at),
            }
        }
        needed.sort_unstable();
        needed.dedup();
        Self { text: text.to_owned(), columns: needed, whole: text.contains(".*") }
    }
}

impl Tree {
    /// All leaves.
    pub fn leaves<'a>(&'a self, out: &mut Vec<&'a Leaf>) {
        match self {
            Self::All(arms) | Self::Any(arms) => arms.iter().for_each(|arm| arm.leaves(out)),
            Self::Leaf(leaf) => out.push(leaf),
        }
    }

    /// The same about a column of another table.
    pub fn about(&self, column: usize, old: &Ident, new: &Ident) -> Self {
        let arms = |arms: &[Self]| arms.iter().map(|arm| arm.about(column, old, new)).collect();
        match self {
            Self::All(list) => Self::All(arms(list)),
            Self::Any(list) => Self::Any(arms(list)),
            Self::Leaf(leaf) => {
                let name = sql::name(new).to_string();
                let is_old = |piece: &lex::Piece<'_>| match piece.kind {
                    Kind::Word => piece.text == old.as_str(),
                    Kind::Quoted => piece.content() == old.as_str(),
                    _ => false,
                };
                let text = lex::pieces(&leaf.text)
                    .map(|piece| if is_old(&piece) { name.as_str() } else { piece.text })
                    .collect();
                Self::Leaf(Leaf { text, columns: vec![column], whole: leaf.whole })
            }
        }
    }

    /// All columns in it.
    pub fn columns(&self) -> Vec<usize> {
        let mut leaves = Vec::new();
        self.leaves(&mut leaves);
        let mut columns: Vec<usize> = leaves.into_iter().flat_map(|leaf| leaf.columns.iter().copied()).collect();
        columns.sort_unstable();
        columns.dedup();
        columns
    }

    /// True if it passes where its leaves do so.
    pub fn passes(&self, leaf: &impl Fn(&Leaf) -> bool) -> bool {
        match self {
            Self::All(arms) => arms.iter().all(|arm| arm.passes(leaf)),
            Self::Any(arms) => arms.iter().any(|arm| arm.passes(leaf)),
            Self::Leaf(one) => leaf(one),
        }
    }

    /// Leaves that together make it pass; `choose` says which arm of so many is taken.
    pub fn one_way<'a>(&'a self, choose: &mut impl FnMut(usize) -> usize, out: &mut Vec<&'a Leaf>) {
        match self {
            Self::All(arms) => arms.iter().for_each(|arm| arm.one_way(choose, out)),
            Self::Any(arms) => {
                if let Some(arm) = arms.get(choose(arms.len())) {
                    arm.one_way(choose, out);
                }
            }
            Self::Leaf(leaf) => out.push(leaf),
        }
    }
}

/// The tree of an expression as PostgreSQL prints it, with all parentheses.
pub(super) fn tree(text: &str, columns: &[Column]) -> Tree {
    let text = bare(text);
    for word in ["OR", "AND"] {
        let arms = split(text, word);
        if arms.len() > 1 {
            let arms = arms.into_iter().map(|arm| tree(arm, columns)).collect();
            return if word == "OR" { Tree::Any(arms) } else { Tree::All(arms) };
        }
    }
    Tree::Leaf(Leaf::of(text, columns))
}

/// Without the parentheses around all of it.
pub(super) fn bare(text: &str) -> &str {
    let mut text = text.trim();
    while let Some(inside) = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        if !lex::is_balanced(inside) {
            break;
        }
        text = inside.trim();
    }
    text
}

fn split<'a>(text: &'a str, word: &str) -> Vec<&'a str> {
    let (mut start, mut out, mut cases) = (0, Vec::new(), 0_usize);
    for piece in lex::outside(text).filter(|piece| piece.kind == Kind::Word) {
        match piece.text {
            "CASE" => cases += 1,
            "END" => cases = cases.saturating_sub(1),
            found if found == word && cases == 0 => {
                out.push(text[start..piece.at].trim());
                start = piece.at + found.len();
            }
            _ => {}
        }
    }
    out.push(text[start..].trim());
    out
}

/// Positions of the columns that an expression names. It may be too many, where a type is called like a column.
pub(super) fn mentioned(text: &str, columns: &[Column]) -> Vec<usize> {
    let pieces: Vec<_> = lex::pieces(text).filter(|piece| !matches!(piece.kind, Kind::Space | Kind::Comment)).collect();
    let mut out = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        let name = match piece.kind {
            Kind::Word => piece.text.to_owned(),
            Kind::Quoted => piece.content(),
            _ => continue,
        };
        let before = at.checked_sub(1).and_then(|at| pieces.get(at)).map_or("", |piece| piece.text);
        let after = pieces.get(at + 1).map_or("", |piece| piece.text);
        if matches!(before, "::" | ".") || matches!(after, "(" | ".") {
            continue;
        }
        if let Some(found) = columns.iter().position(|column| column.name.as_str() == name)
            && !out.contains(&found)
        {
            out.push(found);
        }
    }
    out
}

/// A domain's check about a column of it.
pub(super) fn of_value(text: &str, column: &str) -> String {
    let is_value = |piece: &lex::Piece<'_>| piece.kind == Kind::Word && piece.text == "VALUE";
    lex::pieces(text).map(|piece| if is_value(&piece) { column } else { piece.text }).collect()
}

/// The two sides of a comparison, if the expression is one, and its operator.
pub(super) fn comparison(text: &str) -> Option<(&str, &str, &str)> {
    let text = bare(text);
    let mut pieces = lex::outside(text).filter(|piece| piece.kind != Kind::Space);
    let first = pieces.find(|piece| piece.kind == Kind::Symbol && matches!(piece.text, "<" | ">" | "="))?;
    let rest = &text[first.at..];
    let operator = ["<=", ">=", "<>"].into_iter().find(|two| rest.starts_with(two)).unwrap_or(first.text);
    let after = &rest[operator.len()..];
    // `->`, `<@` and the like are other operators; an operator is set off by spaces.
    let alone = text[..first.at].ends_with(' ') && after.starts_with(' ');
    let right = after.trim();
    (alone && !right.starts_with("ANY ") && !right.starts_with("ALL "))
        .then(|| (text[..first.at].trim(), operator, right))
}

/// The column that an expression is, whatever it is cast to.
pub(super) fn only_column(text: &str, columns: &[Column]) -> Option<usize> {
    let text = bare(text);
    let [one] = mentioned(text, columns)[..] else { return None };
    let name = sql::name(&columns.get(one)?.name).to_string();
    let start = lex::split(text, "::").first().map(|first| bare(first).to_owned())?;
    (start == name || only_cast(&start, &name)).then_some(one)
}

fn only_cast(text: &str, name: &str) -> bool {
    text.len() > name.len() && lex::split(text, "::").first().is_some_and(|first| bare(first) == name)
}
