//! The candidate values of each column of a table, before constraints are considered.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::model::{Ident, Result};
use crate::sql;

use super::columns::{Column, Facts, Table};
use super::conditions::{Leaf, bare, comparison, mentioned, only_column};
use super::dice::Dice;
use super::literals::Constants;
use super::server::{Desk, Given, Source};
use super::values::{Values, values};

/// How many values a column gets.
const SIZE: usize = 140;

/// The candidates of a column.
#[derive(Debug, Default, Clone)]
pub(super) struct Pool {
    pub entries: Vec<Entry>,
    known: FxHashMap<Option<String>, u32>,
    forbidden: FxHashSet<u32>,
}

#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// `None` is NULL.
    pub text: Option<String>,
    /// Nothing that other parts of a table are likely to choke on.
    pub plain: bool,
}

impl Pool {
    /// The place of a value, which is added if it is new.
    pub fn intern(&mut self, text: Option<String>, plain: bool) -> u32 {
        if let Some(at) = self.known.get(&text) {
            return *at;
        }
        let at = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        self.known.insert(text.clone(), at);
        self.entries.push(Entry { text, plain });
        at
    }

    pub fn text(&self, at: u32) -> Option<&str> {
        self.entries.get(at as usize).and_then(|entry| entry.text.as_deref())
    }

    /// Keeps places, and takes those that are false out of use.
    pub fn forbid(&mut self, keep: &[bool]) {
        self.forbidden.extend((0..keep.len() as u32).filter(|at| keep.get(*at as usize) == Some(&false)));
    }

    pub fn is_allowed(&self, at: u32) -> bool {
        !self.forbidden.contains(&at)
    }

    /// The places of what may be used.
    pub fn allowed(&self) -> impl Iterator<Item = u32> {
        (0..self.entries.len() as u32).filter(|at| self.is_allowed(*at))
    }

    /// Keeps those that may stay.
    pub fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        let old = std::mem::take(self);
        for (at, entry) in old.entries.into_iter().enumerate() {
            if keep(at) {
                self.intern(entry.text, entry.plain);
            }
        }
    }
}

/// Columns that take their values together from rows of another table.
#[derive(Debug)]
pub(super) struct Tuples {
    pub name: String,
    pub columns: Vec<usize>,
    pub rows: Vec<Vec<u32>>,
}

/// All candidates of a table.
pub(super) struct Pools {
    pub pools: Vec<Pool>,
    pub tuples: Vec<Tuples>,
    /// Columns that have to equal others of the same row: it is its own parent.
    pub own: Vec<(usize, usize)>,
    /// Columns that may only hold what other tables hold.
    pub restricted: Vec<usize>,
}

/// What a foreign key without rows to point to is called, with the table that has none.
pub(super) struct Dangling {
    pub constraint: String,
    pub target: String,
}

/// Gathers them. `leaves` are those of all conditions; without `rows` nothing is taken from sequences.
///
/// # Errors
/// The server's.
pub(super) async fn gather(
    desk: &Desk<'_>,
    facts: &Facts,
    table: &Table,
    domains: &FxHashMap<u32, Values>,
    leaves: &[&Leaf],
    rows: Option<usize>,
    dice: &mut Dice,
) -> Result<Pools> {
    let mut found = Pools {
        pools: vec![Pool::default(); table.columns.len()],
        tuples: Vec::new(),
        own: Vec::new(),
        restricted: Vec::new(),
    };
    for (at, column) in table.columns.iter().enumerate().filter(|(_, column)| column.generated.is_none()) {
        let Some(pool) = found.pools.get_mut(at) else { continue };
        match (column.next(table), rows) {
            (Some(next), Some(rows)) => numbered(desk, table, at, &next, (rows, facts.edges), pool).await?,
            _ => typed(facts, table, at, domains, (leaves, rows), pool, dice),
        }
    }
    for (at, text) in derived(desk, table, leaves).await? {
        if let Some(pool) = found.pools.get_mut(at) {
            pool.intern(Some(text), true);
        }
    }
    Ok(found)
}

/// A column behind which a sequence stands takes its values from there, so that the next insert finds the sequence where it has to be.
async fn numbered(
    desk: &Desk<'_>,
    table: &Table,
    at: usize,
    next: &str,
    (rows, edges): (usize, bool),
    pool: &mut Pool,
) -> Result<()> {
    let Some(column) = table.columns.get(at) else { return Ok(()) };
    let source = Source { alias: "setpoint_n".to_owned(), columns: Vec::new(), generated: Vec::new() };
    let empty = vec![Vec::new(); rows + 4];
    let answers = desk.ask(&source, &[next.to_owned()], &empty).await?;
    let mut given = answers.into_iter().flatten().flatten();
    given.by_ref().take(1).for_each(|text| _ = pool.intern(Some(text), true));
    if !column.not_null {
        pool.intern(None, true);
    }
    // What is already at the upper end leaves no room for others.
    if edges && !table.references.iter().any(|reference| reference.columns.contains(&at)) && !column.numbered {
        for edge in roomy(&column.base) {
            pool.intern(Some((*edge).to_owned()), false);
        }
    }
    given.for_each(|text| _ = pool.intern(Some(text), true));
    Ok(())
}

/// The ends of an integer's range, with room above for what is counted on from there.
fn roomy(kind: &str) -> &'static [&'static str] {
    match kind {
        "smallint" => &["-32768"],
        "integer" => &["-2147483648"],
        "bigint" => &["-9223372036854775808"],
        _ => &[],
    }
}

fn typed(
    facts: &Facts,
    table: &Table,
    at: usize,
    domains: &FxHashMap<u32, Values>,
    (leaves, rows): (&[&Leaf], Option<usize>),
    pool: &mut Pool,
    dice: &mut Dice,
) {
    let Some(column) = table.columns.get(at) else { return };
    let lookup = |kind: u32| domains.get(&kind).cloned();
    let mut own = values(&facts.types, column.kind, column.modifier, &lookup, dice);
    if !facts.edges && !own.plain.is_empty() {
        own.edges.clear();
    }
    if table.keys.iter().any(|(_, key)| key[..] == [at]) {
        // Values that continue from the largest one need room.
        for edge in &mut own.edges {
            *edge = match edge.as_str() {
                "32767" => "31767".to_owned(),
                "2147483647" => "2147482647".to_owned(),
                "9223372036854775807" => "9223372036854774807".to_owned(),
                other => other.to_owned(),
            };
        }
    }
    let mut constants = Constants::default();
    let mut asked = false;
    for leaf in leaves.iter().filter(|leaf| leaf.columns.contains(&at)) {
        constants.add(&leaf.text);
        asked = true;
    }
    let mut offered = Vec::new();
    table.offers.iter().for_each(|tree| tree.leaves(&mut offered));
    offered.iter().filter(|leaf| leaf.columns == [at]).for_each(|leaf| constants.add(&leaf.text));
    if let Some(default) = &column.default {
        constants.add(default);
    }
    constants.room = table.leaves.unwrap_or(0).max(table.asked) * 8;
    if asked && leaves.iter().any(|leaf| leaf.columns.contains(&at) && leaf.text.contains('(')) {
        constants.known.clone_from(&facts.known);
    }
    if asked {
        table.bodies.iter().for_each(|body| constants.add(body));
    }
    let mut edges = own.edges.into_iter();
    // Both ends, then nothing at all.
    edges.by_ref().take(2).for_each(|text| _ = pool.intern(Some(text), false));
    if !column.not_null {
        pool.intern(None, true);
    }
    edges.for_each(|text| _ = pool.intern(Some(text), false));
    for text in constants.values(
        &facts.types,
        column.kind,
        column.modifier,
        &Values { edges: Vec::new(), plain: own.plain.clone() },
        dice,
    ) {
        pool.intern(Some(text), true);
    }
    if asked && leaves.iter().any(|leaf| leaf.columns.contains(&at) && leaf.text.contains('(')) && is_text(&column.base)
    {
        // Functions may look for names, or read what is written.
        facts.known.iter().for_each(|name| _ = pool.intern(Some(name.clone()), true));
        ["{}", "[]", "null", "{\"a\": 1}", "0", "1", "2024-01-01", "a@b.example", "https://a.example/b"]
            .iter()
            .for_each(|text| {
                _ = pool.intern(Some((*text).to_owned()), true);
            });
    }
    for text in own.plain {
        if pool.entries.len() < SIZE {
            pool.intern(Some(text), true);
        }
    }
    if table.keys.iter().any(|(_, key)| key[..] == [at]) {
        counted(&column.base, rows.unwrap_or(0)).for_each(|text| _ = pool.intern(Some(text), true));
    }
}

/// As many different values as rows are wanted, beyond those that a type has anyway.
fn counted(base: &str, rows: usize) -> impl Iterator<Item = String> {
    let number =
        ["smallint", "integer", "bigint", "numeric", "real", "double"].iter().any(|start| base.starts_with(start));
    let of = move |at: usize| match base {
        _ if number => Some(at.to_string()),
        "uuid" => Some(format!("00000000-0000-4000-8000-{at:012}")),
        _ if is_text(base) => Some(format!("v{at}")),
        _ => None,
    };
    (41..41 + rows).take(if rows > 20 { rows } else { 0 }).filter_map(of)
}

pub(super) fn is_text(base: &str) -> bool {
    ["text", "character", "citext", "public.citext", "name"].iter().any(|start| base.starts_with(start))
}

/// What columns are compared with, where that is no matter of other columns: computed by the server, with what is beside it.
async fn derived(desk: &Desk<'_>, table: &Table, leaves: &[&Leaf]) -> Result<Vec<(usize, String)>> {
    let mut expressions: Vec<(usize, String)> = Vec::new();
    let mut seen = FxHashSet::default();
    for leaf in leaves {
        for (column, other) in sides(&leaf.text, &table.columns) {
            if mentioned(other, &table.columns).is_empty() && seen.insert((column, other)) {
                let base = table.columns.get(column).map_or("", |column| column.base.as_str());
                expressions.extend(around(other, base).into_iter().map(|text| (column, text)));
            }
        }
    }
    let texts: Vec<String> = expressions.iter().map(|(_, text)| text.clone()).collect();
    let source = Source { alias: "setpoint_n".to_owned(), columns: Vec::new(), generated: Vec::new() };
    let answers = desk.ask(&source, &texts, &[Vec::new()]).await?;
    let answers = answers.into_iter().next().unwrap_or_default();
    Ok(expressions.iter().zip(answers).filter_map(|((column, _), text)| Some((*column, text?))).collect())
}

/// Each side of a comparison that is a column, with the other side.
pub(super) fn sides<'a>(text: &'a str, columns: &[Column]) -> Vec<(usize, &'a str)> {
    let Some((left, _, right)) = comparison(text) else { return Vec::new() };
    let pair = |one: &'a str, other: &'a str| only_column(one, columns).map(|column| (column, other));
    [pair(left, right), pair(right, left)].into_iter().flatten().collect()
}

/// An expression as a type, and what is just beside it.
pub(super) fn around(text: &str, base: &str) -> Vec<String> {
    let text = bare(text);
    let name = base.split('(').next().unwrap_or(base);
    match name {
        "smallint" | "integer" | "bigint" => {
            ["", " + 1", " - 1"].iter().map(|step| format!("(round(({text})::numeric){step})::{base}")).collect()
        }
        "numeric" | "real" | "double precision" => {
            ["", " + 1", " - 1"].iter().map(|step| format!("(({text}){step})::{base}")).collect()
        }
        "date" => ["", " + 1", " - 1"].iter().map(|step| format!("(({text})::date{step})::date")).collect(),
        _ if name.starts_with("timestamp") || name.starts_with("time") || name == "interval" => {
            let steps = [
                "",
                " + '1 day'::interval",
                " - '1 day'::interval",
                " + '00:00:01'::interval",
                " - '00:00:01'::interval",
            ];
            steps.iter().map(|step| format!("(({text}){step})::{base}")).collect()
        }
        _ => vec![format!("({text})::{base}")],
    }
}

/// How candidates of some columns are shown to the server.
pub(super) fn source(table: &Table, columns: &[usize], texts: &[&str]) -> Source {
    let given = columns.iter().filter_map(|at| table.columns.get(*at));
    let given =
        given.map(|column| Given { name: sql::name(&column.name).to_string(), sql: column.base.clone() }).collect();
    let mut generated = Vec::new();
    for (at, column) in table.columns.iter().enumerate() {
        let Some(text) = &column.generated else { continue };
        let asked = texts.iter().any(|text| mentioned(text, &table.columns).contains(&at));
        if asked && mentioned(text, &table.columns).iter().all(|needed| columns.contains(needed)) {
            generated.push((sql::name(&column.name).to_string(), format!("({text})::{}", column.base)));
        }
    }
    Source { alias: sql::name(&Ident::new(table.name.text())).to_string(), columns: given, generated }
}
