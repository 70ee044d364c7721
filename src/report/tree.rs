//! A plan's steps as a tree: schema, table, its parts, each with what happens to it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use crate::kinds::{LockMode, Mode};
use crate::model::{Address as Kinds, in_line};
use crate::plan::{Action, Expected, Hazard, Plan, Step};

use super::address::Address;

/// Trees of more lines show what is new, and what goes, in one line each.
const READABLE: usize = 60;
/// Of that many new objects side by side, only the first ones are named.
const NAMED: usize = 40;

/// Steps and what is known of the objects around them.
#[derive(Debug, Clone, Copy)]
pub struct Steps<'a> {
    pub steps: &'a [Step],
    pub footprint: &'a [Expected],
}

impl<'a> From<&'a Plan> for Steps<'a> {
    fn from(plan: &'a Plan) -> Self {
        Self { steps: &plan.steps, footprint: &plan.footprint }
    }
}

impl<'a> From<&'a crate::plan::Made> for Steps<'a> {
    fn from(made: &'a crate::plan::Made) -> Self {
        Self { steps: &made.steps, footprint: &made.footprint }
    }
}

/// What happens to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    Create,
    Drop,
    Alter,
    Rename,
    /// Dropped and recreated.
    Replace,
    /// A step by hand.
    Manual,
}

/// One line of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub depth: usize,
    /// `None`: nothing happens to it but inside of it, as to a schema.
    pub mark: Option<Mark>,
    /// The kind's word.
    pub word: String,
    pub name: String,
    /// What it is like, or how it changes.
    pub about: String,
    /// The transactions in which it happens.
    pub transactions: Vec<u32>,
    /// True if a step of it runs outside of transactions.
    pub alone: bool,
    /// The strongest lock on something that exists, and on what if that is not obvious.
    pub lock: Option<(LockMode, String)>,
    pub hazards: Vec<Hazard>,
}

/// The lines of the tree. `all`: everything is shown, however much it is.
pub fn rows(steps: Steps<'_>, all: bool) -> Vec<Row> {
    let tree = Tree::new(steps);
    let mut rows = Vec::new();
    tree.write(&tree.tops, 0, true, &mut rows);
    if !all && rows.len() > READABLE {
        rows.clear();
        tree.write(&tree.tops, 0, false, &mut rows);
    }
    // A name does not draw lines of its own.
    for row in &mut rows {
        for text in [&mut row.name, &mut row.about] {
            if let Cow::Owned(named) = in_line(text) {
                *text = named;
            }
        }
    }
    rows
}

struct Node {
    address: Address,
    parent: Option<usize>,
    children: Vec<usize>,
    actions: Vec<Action>,
    about: Vec<String>,
    /// The steps whose object it is; none if it only comes or goes with another.
    steps: Vec<usize>,
}

struct Tree<'a> {
    steps: &'a [Step],
    nodes: Vec<Node>,
    tops: Vec<usize>,
    index: FxHashMap<String, usize>,
    /// What stands at a path.
    kinds: FxHashMap<String, String>,
}

impl<'a> Tree<'a> {
    fn new(steps: Steps<'a>) -> Self {
        let mut kinds = FxHashMap::default();
        let touched = steps.steps.iter().flat_map(|step| std::iter::once(&step.object).chain(&step.with));
        for text in touched.chain(steps.footprint.iter().map(|expected| &expected.object)) {
            let address = Address::parse(text);
            if matches!(address.kind(), Some(Kinds::Qualified | Kinds::Global)) {
                kinds.insert(address.path(), address.word);
            }
        }
        let mut tree =
            Self { steps: steps.steps, nodes: Vec::new(), tops: Vec::new(), index: FxHashMap::default(), kinds };
        for (at, step) in steps.steps.iter().enumerate() {
            tree.add(at, step);
        }
        tree
    }

    fn add(&mut self, at: usize, step: &Step) {
        if step.object.is_empty() {
            let first = step.sql.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
            let address = Address { word: "by hand".into(), names: Vec::new(), on: None };
            self.nodes.push(Node {
                address,
                parent: None,
                children: Vec::new(),
                actions: vec![Action::Manual],
                about: vec![super::line(first, 60)],
                steps: vec![at],
            });
            self.tops.push(self.nodes.len() - 1);
            return;
        }
        let node = self.node(&Address::parse(&step.object));
        self.happens(node, step.action, step.about.first());
        self.nodes[node].steps.push(at);
        if step.action == Action::Rename {
            let was = step.with.first().map(|from| Address::parse(from));
            let Some(was) = was else { return };
            let same_place = was.names.split_last().map(|(_, outer)| outer)
                == self.nodes[node].address.names.split_last().map(|(_, outer)| outer);
            let old = if same_place { was.name().to_string() } else { was.path() };
            self.nodes[node].about.push(format!("was {old}"));
            return;
        }
        for (i, text) in step.with.iter().enumerate() {
            let child = self.node(&Address::parse(text));
            self.happens(child, step.action, step.about.get(i + 1));
        }
    }

    fn happens(&mut self, node: usize, action: Action, about: Option<&String>) {
        let node = &mut self.nodes[node];
        if !node.actions.contains(&action) {
            node.actions.push(action);
        }
        if let Some(about) = about.filter(|about| !about.is_empty() && !node.about.contains(about)) {
            node.about.push(about.clone());
        }
    }

    /// The node of an address, made with its parents if it is new.
    fn node(&mut self, address: &Address) -> usize {
        let key = address.to_string();
        if let Some(node) = self.index.get(&key) {
            return *node;
        }
        let parent = address.parent(&|path| self.kinds.get(path).cloned()).map(|parent| self.node(&parent));
        let node = self.nodes.len();
        self.nodes.push(Node {
            address: address.clone(),
            parent,
            children: Vec::new(),
            actions: Vec::new(),
            about: Vec::new(),
            steps: Vec::new(),
        });
        self.index.insert(key, node);
        match parent {
            Some(parent) => self.nodes[parent].children.push(node),
            None => self.tops.push(node),
        }
        node
    }

    fn mark(&self, node: usize) -> Option<Mark> {
        let node = &self.nodes[node];
        let has = |action| node.actions.contains(&action);
        match () {
            () if has(Action::Manual) => Some(Mark::Manual),
            () if has(Action::Create) && has(Action::Drop) => Some(Mark::Replace),
            () if has(Action::Create) => Some(Mark::Create),
            () if has(Action::Drop) => Some(Mark::Drop),
            () if has(Action::Rename) => Some(Mark::Rename),
            () if has(Action::Alter) => Some(Mark::Alter),
            // What changes inside of a table changes the table; a schema is only where it is.
            () if node.address.kind() != Some(Kinds::Schema) => Some(Mark::Alter),
            () => None,
        }
    }

    /// A default, an identity … of a column that comes with it stands in the column's own line.
    fn merges(&self, node: usize) -> bool {
        let own = &self.nodes[node];
        let on_part = own.parent.is_some_and(|p| self.nodes[p].address.kind() == Some(Kinds::MemberOf));
        let made = own.parent.and_then(|parent| self.mark(parent)) == Some(Mark::Create);
        on_part && made && own.steps.is_empty() && own.address.kind() == Some(Kinds::Facet)
    }

    fn write(&self, list: &[usize], depth: usize, whole: bool, rows: &mut Vec<Row>) {
        let mut quiet = 0;
        let mut left: BTreeMap<&str, usize> = BTreeMap::new();
        for node in list.iter().copied() {
            let row = self.row(node, depth, whole);
            let plain = row.mark == Some(Mark::Create) && row.hazards.is_empty() && row.lock.is_none();
            let top = !matches!(self.nodes[node].address.kind(), Some(Kinds::Schema));
            if !whole && plain && top {
                quiet += 1;
                if quiet > NAMED {
                    *left.entry(&self.nodes[node].address.word).or_default() += 1;
                    continue;
                }
            }
            let closed = !whole && top && matches!(row.mark, Some(Mark::Create | Mark::Drop));
            rows.push(row);
            let mut children: Vec<usize> =
                self.nodes[node].children.iter().copied().filter(|child| !self.merges(*child)).collect();
            if closed {
                children.clear();
            }
            // A table begins with its columns.
            children.sort_by_key(|child| self.nodes[*child].address.kind() != Some(Kinds::MemberOf));
            self.write(&children, depth + 1, whole, rows);
        }
        if !left.is_empty() {
            rows.push(Row {
                depth,
                mark: Some(Mark::Create),
                word: "…".into(),
                name: format!("and {}", counted(&left)),
                about: "-v names them".into(),
                transactions: Vec::new(),
                alone: false,
                lock: None,
                hazards: Vec::new(),
            });
        }
    }

    fn row(&self, node: usize, depth: usize, whole: bool) -> Row {
        let own = &self.nodes[node];
        let mark = self.mark(node);
        let mut about = own.about.clone();
        for child in own.children.iter().copied().filter(|child| self.merges(*child)) {
            let child = &self.nodes[child];
            let name =
                if child.address.name().is_empty() { String::new() } else { format!(" {}", child.address.name()) };
            let text = child.about.first().map(|text| format!(" {text}")).unwrap_or_default();
            about.push(format!("{}{name}{text}", child.address.word));
        }
        let schema = own.address.kind() == Some(Kinds::Schema);
        // What is created or dropped with a table is only counted, unless everything is requested.
        let closed = (!whole && !schema && matches!(mark, Some(Mark::Create | Mark::Drop))).then(|| {
            let mut parts = BTreeMap::new();
            own.children.iter().for_each(|child| *parts.entry(&*self.nodes[*child].address.word).or_default() += 1);
            counted(&parts)
        });
        about.extend(closed.clone().filter(|parts| !parts.is_empty()));
        let made = mark == Some(Mark::Create) && closed.is_none();
        let mut row = Row {
            depth,
            mark,
            word: own.address.word.clone(),
            name: own.address.name().to_string(),
            about: match mark {
                Some(Mark::Replace) if about.is_empty() => "made again".into(),
                Some(Mark::Replace) => format!("made again: {}", about.join(", ")),
                _ => about.join(if made { " " } else { ", " }),
            },
            transactions: Vec::new(),
            alone: false,
            lock: None,
            hazards: Vec::new(),
        };
        // A row that represents everything inside it carries its badges too.
        self.badges(node, closed.is_some(), &mut row);
        if let Some((_, on)) = &mut row.lock {
            let mut obvious = std::iter::successors(Some(node), |n| self.nodes[*n].parent);
            let obvious = obvious.any(|n| self.nodes[n].address.to_string() == *on);
            *on = if obvious { String::new() } else { Address::parse(on).path() };
        }
        row
    }

    fn badges(&self, node: usize, deep: bool, row: &mut Row) {
        for step in self.nodes[node].steps.iter().filter_map(|at| self.steps.get(*at)) {
            if !row.transactions.contains(&step.transaction) {
                row.transactions.push(step.transaction);
            }
            row.alone |= step.mode == Mode::Alone;
            if let Some((mode, on)) = &step.lock
                && row.lock.as_ref().is_none_or(|(strongest, _)| strongest < mode)
            {
                row.lock = Some((*mode, on.clone()));
            }
            for finding in &step.hazards {
                if !row.hazards.contains(&finding.hazard) {
                    row.hazards.push(finding.hazard);
                }
            }
        }
        if deep {
            self.nodes[node].children.iter().for_each(|child| self.badges(*child, true, row));
        }
    }
}

/// `8 columns, 1 primary key, 2 indexes`.
fn counted(parts: &BTreeMap<&str, usize>) -> String {
    let mut sorted: Vec<(&&str, &usize)> = parts.iter().collect();
    sorted.sort_by_key(|(word, _)| crate::kinds::find(word).map_or(usize::MAX, |room| crate::kinds::rank(room.kind())));
    let list: Vec<String> = sorted.into_iter().map(|(word, count)| many(*count, word)).collect();
    list.join(", ")
}

/// `1 index`, `2 indexes`, `3 policies`.
pub fn many(count: usize, word: &str) -> String {
    let words = word.replace('-', " ");
    if count == 1 {
        return format!("1 {words}");
    }
    let plural = match words.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o']) => format!("{stem}ies"),
        _ if words.ends_with('x') || words.ends_with("ss") => format!("{words}es"),
        _ if words.ends_with('s') => words,
        _ => format!("{words}s"),
    };
    format!("{count} {plural}")
}
