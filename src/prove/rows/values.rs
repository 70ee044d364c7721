//! Values at the edges of each type, as text.

use super::dice::Dice;
use super::types::{Shape, Types};

/// What a column can hold.
#[derive(Debug, Default, Clone)]
pub(super) struct Values {
    /// The edges of types, and where mistakes hide, the most telling first.
    pub edges: Vec<String>,
    /// Unremarkable values, in ascending order if the type has one.
    pub plain: Vec<String>,
}

/// How long strings get where nothing limits them, and where their limit is far away.
const LONG: usize = 300;

/// Values of a type. What inner domains ask for is looked up in `domains`.
pub(super) fn values(
    types: &Types,
    kind: u32,
    modifier: i32,
    domains: &dyn Fn(u32) -> Option<Values>,
    dice: &mut Dice,
) -> Values {
    let Some(found) = types.get(kind) else { return Values::default() };
    match &found.shape {
        Shape::Domain { base, modifier: inner, .. } => match domains(kind) {
            Some(values) => values,
            None => values(types, *base, if *inner >= 0 { *inner } else { modifier }, domains, dice),
        },
        Shape::Enum(labels) => Values { edges: labels.clone(), plain: labels.clone() },
        Shape::Array(element) => {
            let inner = values(types, *element, modifier, domains, dice);
            let delimiter = types.get(*element).map_or(',', |element| element.delimiter);
            arrays(&inner, delimiter)
        }
        Shape::Range(bounds, several) => {
            let inner = values(types, *bounds, -1, domains, dice);
            ranges(&inner, *several)
        }
        Shape::Composite(parts) => {
            let parts: Vec<Values> =
                parts.iter().map(|(kind, modifier)| values(types, *kind, *modifier, domains, dice)).collect();
            composites(&parts)
        }
        Shape::Base => super::scalars::scalars(&found.name, modifier, dice),
    }
}

/// In quotes, inside of an array, a range or a row.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// An array's text.
pub(super) fn array(elements: &[Option<&str>], delimiter: char) -> String {
    let elements: Vec<String> =
        elements.iter().map(|element| element.map_or_else(|| "NULL".to_owned(), quoted)).collect();
    format!("{{{}}}", elements.join(&delimiter.to_string()))
}

fn arrays(inner: &Values, delimiter: char) -> Values {
    let edge = |at: usize| inner.edges.get(at).or(inner.plain.first()).map(String::as_str);
    let plain = |at: usize| inner.plain.get(at).or(inner.edges.first()).map(String::as_str);
    let mut edges = vec!["{}".to_owned()];
    if let (Some(first), Some(second)) = (edge(0), edge(1)) {
        edges.push(array(&[Some(first)], delimiter));
        edges.push(array(&[Some(first), None, Some(second)], delimiter));
        edges.push("{NULL}".to_owned());
        let row = array(&[Some(first), Some(second)], delimiter);
        edges.push(format!("{{{row}{delimiter}{row}}}"));
        edges.push(format!("[0:1]={row}"));
        let all: Vec<Option<&str>> = inner.edges.iter().take(20).map(|text| Some(text.as_str())).collect();
        edges.push(array(&all, delimiter));
    }
    let mut list = Vec::new();
    for size in 1..=4 {
        let elements: Vec<Option<&str>> = (0..size).map(|at| plain(at + size)).collect();
        if elements.iter().all(Option::is_some) {
            list.push(array(&elements, delimiter));
        }
    }
    Values { edges, plain: list }
}

fn ranges(inner: &Values, several: bool) -> Values {
    let wrap = |text: String| if several { format!("{{{text}}}") } else { text };
    let between = |low: &str, high: &str| format!("[{},{})", quoted(low), quoted(high));
    let mut edges = vec![if several { "{}".to_owned() } else { "empty".to_owned() }];
    edges.push(wrap("(,)".to_owned()));
    let mut plain = Vec::new();
    for pair in inner.plain.windows(2).take(12) {
        let [low, high] = pair else { continue };
        plain.push(wrap(between(low, high)));
    }
    if let (Some(low), Some(high)) = (inner.plain.first(), inner.plain.last()) {
        edges.push(wrap(format!("[{},)", quoted(high))));
        edges.push(wrap(format!("(,{}]", quoted(low))));
        edges.push(wrap(format!("[{0},{0}]", quoted(low))));
        if several && inner.plain.len() > 3 {
            edges.push(format!("{{(,{}),[{},)}}", quoted(low), quoted(high)));
        }
    }
    Values { edges, plain }
}

fn composites(parts: &[Values]) -> Values {
    let row = |value: &dyn Fn(&Values) -> Option<String>| {
        let parts: Vec<String> =
            parts.iter().map(|part| value(part).map_or_else(String::new, |text| quoted(&text))).collect();
        format!("({})", parts.join(","))
    };
    let edges = (0..3).map(|at| row(&|part| part.edges.get(at % part.edges.len().max(1)).cloned()));
    let plain = (0..8).map(|at| row(&|part| part.plain.get(at % part.plain.len().max(1)).cloned()));
    let nothing = row(&|_| None);
    Values { edges: edges.chain([nothing]).collect(), plain: plain.collect() }
}

/// Strings up to a limit, with what code tends to stumble over.
pub(super) fn strings(limit: Option<usize>, padded: bool) -> Values {
    let cut = |text: &str| text.chars().take(limit.unwrap_or(LONG)).collect::<String>();
    let longest = limit.filter(|limit| *limit <= 10_000).unwrap_or(LONG);
    let mut edges = vec![
        String::new(),
        "x".repeat(longest),
        cut("a  "),
        cut("žluťoučký kůň 🐘"),
        cut("it's \"x\" \\ %_"),
        cut(" b"),
        "é".repeat(longest.min(40)),
        cut("NULL"),
        cut("two\nlines\t"),
        cut("Ab"),
        cut("aB"),
    ];
    if padded {
        edges.swap(0, 2);
    }
    let plain = (0..20).map(|at| {
        cut(&format!(
            "{}{}",
            ["alpha", "beta", "gamma", "delta", "omega"][at % 5],
            if at < 5 { String::new() } else { at.to_string() }
        ))
    });
    let mut plain: Vec<String> = plain.collect();
    // Short columns still have different values.
    let letters: Vec<char> = ('a'..='z').chain('0'..='9').collect();
    if limit.is_some_and(|limit| limit < 8) {
        plain = letters.iter().map(|letter| letter.to_string()).chain(plain).collect();
        if limit != Some(1) {
            plain.extend(letters.iter().map(|letter| cut(&format!("{letter}{letter}"))));
        }
    }
    unique(&mut plain);
    unique(&mut edges);
    Values { edges, plain }
}

/// The first of each.
pub(super) fn unique(list: &mut Vec<String>) {
    let mut seen = rustc_hash::FxHashSet::default();
    list.retain(|text| seen.insert(text.clone()));
}
