//! Turns changes into ordered steps, each with its inverse.

use std::cell::OnceCell;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::kinds::{Context, Folded, Mode, Statement, manage, room};
use crate::model::{Address, Namespace, Object, ObjectId, Result, State, Within};

use super::fold::{self, Turn};
use super::graph::{Act, Graph, Node, Side};
use super::hazards::undeclared_rename::Arrivals;
use super::hazards::{self, Bodies, Finding, Hazard, Subject};
use super::inverse::Current;
use super::needs::{Names, Needs};
use super::transactions::{self, Block};
use super::wanted::Wanted;
use super::{Action, Expected, Step, about, expand, footprint, rebuild, too_new, waiting};

/// The steps of a plan and its footprint.
#[derive(Debug, Clone, Default)]
pub struct Made {
    pub steps: Vec<Step>,
    pub footprint: Vec<Expected>,
}

/// Computes the steps from one state to another.
///
/// # Errors
/// `Refused` if PostgreSQL has no way from one to the other without loss.
pub fn plan(wanted: &Wanted<'_>) -> Result<Made> {
    too_new::refuse(&wanted.changes, wanted.new, wanted.server)?;
    let steps = steps(wanted, true)?;
    let footprint = footprint::of(wanted, &steps);
    Ok(Made { steps: steps.into_iter().map(|(_, step)| step).collect(), footprint })
}

/// The steps, each with the objects that it touches.
pub(super) fn steps(wanted: &Wanted<'_>, with_inverse: bool) -> Result<Vec<(Vec<ObjectId>, Step)>> {
    let nodes = expand::nodes(&wanted.changes, wanted.old, wanted.new, wanted.edges)?;
    let names = Names::new(wanted.new);
    let all_needs = |id: &ObjectId| wanted.new.get(id).map_or_else(Needs::default, |object| names.needs(id, object));
    let mut graph = Graph::new(nodes, wanted, &all_needs);
    graph.break_circles(wanted.old, wanted.new, &names);
    graph.wish_to_fold();
    let maker = Maker::new(wanted, &graph);
    let mut turns = fold::order(&graph, &|node| maker.can_fold(node))?;
    let mut statements: Vec<Vec<Statement>> = turns.iter().map(|turn| maker.statements(turn)).collect::<Result<_>>()?;
    // A drop need not come before a type change that only adds values.
    let needs = |before: usize, after: usize| {
        let stays = graph.nodes[turns[before].node].act != Act::Drop;
        stays && graph.needs(&turns[before].nodes(), &turns[after].nodes())
    };
    for (from, to) in transactions::moves(&blocks(wanted, &graph, &turns, &statements), &needs) {
        turns[to..=from].rotate_right(1);
        statements[to..=from].rotate_right(1);
    }
    let blocks = blocks(wanted, &graph, &turns, &statements);
    let numbers = transactions::assign(&blocks, wanted.old);
    let mut current = Current::new(wanted);
    let mut out = Vec::new();
    for ((turn, statements), number) in turns.iter().zip(&statements).zip(numbers) {
        let node = &graph.nodes[turn.node];
        let mut objects = vec![node.id.clone()];
        objects.extend(turn.with.iter().map(|n| graph.nodes[*n].id.clone()));
        if let Act::Rebuild(columns) = &node.act {
            objects.extend(columns.iter().cloned());
        }
        let inverse = if with_inverse { maker.inverse(turn, &mut current)? } else { Vec::new() };
        let mut hazards = maker.hazards(turn, statements);
        // Inverse steps have no inverse of their own, and none is expected.
        hazards.retain(|finding| with_inverse || finding.hazard != Hazard::Irreversible);
        let count = statements.len();
        for (i, statement) in statements.iter().enumerate() {
            let last = i + 1 == count;
            let (lock, locks) = maker.locks(turn, statement, i == 0);
            let step = Step {
                object: node.id.to_string(),
                action: action(&node.act),
                with: if let Act::Rename(from) = &node.act {
                    vec![from.to_string()]
                } else if i == 0 {
                    turn.with.iter().map(|n| graph.nodes[*n].id.to_string()).collect()
                } else {
                    Vec::new()
                },
                about: if i == 0 && with_inverse { maker.about(turn) } else { Vec::new() },
                sql: statement.sql.clone(),
                fill: statement.fill.as_ref().map(ToString::to_string),
                mode: statement.mode,
                transaction: number,
                path: path(&node.id),
                lock,
                locks,
                rights: if i == 0 { maker.rights(turn, &all_needs) } else { Vec::new() },
                secrets: statement.secrets.iter().map(ToString::to_string).collect(),
                hazards: if i == 0 { hazards.clone() } else { Vec::new() },
                inverse: if last { inverse.clone() } else { Vec::new() },
            };
            out.push((objects.clone(), step));
        }
    }
    waiting::readers(&mut out, wanted);
    Ok(out)
}

fn blocks<'a>(
    wanted: &Wanted<'_>,
    graph: &'a Graph,
    turns: &[Turn],
    statements: &'a [Vec<Statement>],
) -> Vec<Block<'a>> {
    let block = |(turn, statements): (&Turn, &'a Vec<Statement>)| {
        let node = &graph.nodes[turn.node];
        let makes = if node.act == Act::Create { 1 + turn.with.len() / 10 } else { 0 };
        Block {
            id: &node.id,
            statements,
            makes,
            drops: node.act == Act::Drop,
            opens: node.opens(),
            goes_on: node.goes_on(),
            whose: whose(node).filter(|_| statements.iter().all(|statement| statement.mode == Mode::Normal)),
            fills: fills(node, wanted),
            guards_new: room(node.id.kind()).guards() && graph.created(node.id.root()),
            exchanges: matches!(&node.act, Act::Rename(from) if [from, &node.id].iter().any(|id| graph.is_meanwhile(id, wanted.old, wanted.new))),
        }
    };
    turns.iter().zip(statements).map(block).collect()
}

/// The object that the node creates, alters, or describes and that must never be visible without it: its owner, who may do what
/// with it, and its comment.
fn whose(node: &Node) -> Option<&ObjectId> {
    let kind = node.id.kind();
    let itself = node.id.parent().is_none_or(|parent| parent.kind().address == Address::Schema);
    let facet = kind.within == Within::Any || room(kind).guards();
    let acts = !matches!(node.act, Act::Drop | Act::Rename(_));
    (itself && acts || facet).then(|| node.id.root())
}

/// The column that the node's object gives values to, if it is there on both sides of the plan.
fn fills(node: &Node, wanted: &Wanted<'_>) -> Option<ObjectId> {
    let state = if node.act == Act::Drop { wanted.old } else { wanted.new };
    let column = room(node.id.kind()).fills(&node.id, state)?;
    (wanted.old.has(&column) && wanted.new.has(&column)).then_some(column)
}

fn action(act: &Act) -> Action {
    match act {
        Act::Rename(_) => Action::Rename,
        Act::Drop => Action::Drop,
        Act::Create => Action::Create,
        Act::Alter(_) | Act::Rebuild(_) => Action::Alter,
    }
}

/// Where names in people's SQL are looked up: the object's schema, then `public`.
pub(super) fn path(id: &ObjectId) -> Vec<String> {
    let own = id.schema().map(|s| s.name().as_str().to_string());
    let mut path: Vec<String> = own.into_iter().collect();
    if path.first().is_some_and(|s| s != "public") {
        path.push("public".into());
    }
    path
}

pub(super) struct Maker<'a> {
    pub(super) wanted: &'a Wanted<'a>,
    pub(super) graph: &'a Graph,
    /// Keys that are the same as another key of their table. CREATE TABLE would make one index of both
    /// (src/backend/parser/parse_utilcmd.c, transformIndexConstraints), so only the first may fold into it.
    twins: FxHashSet<usize>,
    /// Default privileges before and after.
    pub(super) defaults: [State; 2],
    /// The names in the bodies of the routines before and after.
    pub(super) bodies: [OnceCell<Bodies<'a>>; 2],
    arrivals: OnceCell<Arrivals<'a>>,
}

impl<'a> Maker<'a> {
    fn new(wanted: &'a Wanted<'a>, graph: &'a Graph) -> Self {
        let mut seen: FxHashMap<(&ObjectId, &Object), usize> = FxHashMap::default();
        let mut twins = FxHashSet::default();
        for (i, node) in graph.nodes.iter().enumerate() {
            let key = matches!(node.id.kind().namespace, Namespace::IndexConstraint | Namespace::PrimaryKey);
            let (true, Act::Create, Some(table)) = (key, &node.act, node.id.parent()) else { continue };
            if let Some(object) = wanted.new.get(&node.id)
                && seen.insert((table, object), i).is_some()
            {
                twins.insert(i);
            }
        }
        let defaults = [wanted.old, wanted.new].map(manage::defaults);
        Self { wanted, graph, twins, defaults, bodies: Default::default(), arrivals: OnceCell::new() }
    }

    pub(super) fn cx<'b>(&'b self, state: &'b State) -> Context<'b> {
        let other = if std::ptr::eq(state, self.wanted.new) {
            self.wanted.beyond.unwrap_or(self.wanted.old)
        } else {
            self.wanted.new
        };
        Context { other, creator: self.wanted.creator, ..Context::new(self.wanted.server, state) }
    }

    fn can_fold(&self, node: usize) -> bool {
        if self.twins.contains(&node) {
            return false;
        }
        let fits = |id: &ObjectId| {
            let object = self.wanted.new.get(id);
            object.is_some_and(|object| room(id.kind()).clause(id, object, &[], &self.cx(self.wanted.new)).is_some())
        };
        let id = &self.graph.nodes[node].id;
        // Children of a part without a clause (a view's column) have nothing to fold into, nor have those of an inherited part that
        // is only altered.
        let made = |parent: &ObjectId| {
            self.made_new(parent.root()) || room(parent.kind()).inherited_from(parent, self.wanted.new).is_empty()
        };
        fits(id) && id.parent().is_none_or(|parent| !parent.kind().folds || fits(parent) && made(parent))
    }

    /// The children of `id` among the folded nodes, as clauses.
    fn folded(&self, id: &ObjectId, with: &[ObjectId], cx: &Context<'_>) -> Vec<Folded> {
        let own = with.iter().filter(|child| child.parent() == Some(id));
        own.filter_map(|child| {
            let object = cx.state.get(child)?;
            let clause = room(child.kind()).clause(child, object, &self.folded(child, with, cx), cx)?;
            Some(Folded { id: child.clone(), object: object.clone(), clause })
        })
        .collect()
    }

    pub(super) fn with(&self, turn: &Turn) -> Vec<ObjectId> {
        turn.with.iter().map(|n| self.graph.nodes[*n].id.clone()).collect()
    }

    fn statements(&self, turn: &Turn) -> Result<Vec<Statement>> {
        let node = &self.graph.nodes[turn.node];
        let (old, new) = (self.cx(self.wanted.old), self.cx(self.wanted.new));
        let (id, room) = (&node.id, room(node.id.kind()));
        let before = || node.before(self.wanted.old).cloned().unwrap_or_default();
        let after = || node.after(self.wanted.new).cloned().unwrap_or_default();
        match &node.act {
            Act::Rename(from) => room.rename(from, id, &before(), &old),
            Act::Drop => room.drop(id, &before(), &old),
            Act::Create => {
                let with = self.with(turn);
                let mut out = room.create(id, &after(), &self.folded(id, &with, &new), &new)?;
                for child in &with {
                    if let Some(object) = self.wanted.new.get(child) {
                        out.extend(crate::kinds::room(child.kind()).rest(child, object, &new)?);
                    }
                }
                for made in std::iter::once(id).chain(&with) {
                    out.extend(manage::after_create(made, self.defaults.each_ref(), &new)?);
                }
                Ok(out)
            }
            Act::Alter(attrs) => room.alter(id, &before(), &after(), attrs, &new),
            Act::Rebuild(columns) => rebuild::statements(id, columns, &old, &new),
        }
    }

    /// What the turn does to its objects, as messages show it. Drops have no description.
    fn about(&self, turn: &Turn) -> Vec<String> {
        let (old, new) = (self.wanted.old, self.wanted.new);
        let node = &self.graph.nodes[turn.node];
        let mut out = match (&node.act, &node.placeholder) {
            (Act::Create | Act::Alter(_), Some(placeholder)) => vec![about::stands_in(placeholder)],
            (Act::Create, _) => {
                let ids = std::iter::once(&node.id).chain(turn.with.iter().map(|n| &self.graph.nodes[*n].id));
                ids.map(|id| new.get(id).map_or_else(String::new, |object| about::made(id, object))).collect()
            }
            (Act::Alter(attrs), _) => match (old.get(&node.id), new.get(&node.id)) {
                (Some(before), Some(after)) => vec![about::altered(&node.id, before, after, attrs)],
                _ => Vec::new(),
            },
            (Act::Rebuild(_), _) => match (old.get(&node.id), new.get(&node.id)) {
                (Some(before), Some(after)) => {
                    let attrs: Vec<&'static str> = node.id.kind().attrs.iter().map(|attr| attr.name).collect();
                    let differs = |name: &&'static str| before.value(name) != after.value(name);
                    let attrs: Vec<&'static str> = attrs.into_iter().filter(differs).collect();
                    vec![about::rebuilt(&node.id, about::altered(&node.id, before, after, &attrs), old, new)]
                }
                _ => Vec::new(),
            },
            (Act::Drop | Act::Rename(_), _) => Vec::new(),
        };
        // Files leave out empty descriptions, and the hash must be that of the file.
        out.truncate(out.iter().rposition(|text| !text.is_empty()).map_or(0, |at| at + 1));
        out
    }

    fn hazards(&self, turn: &Turn, statements: &[Statement]) -> Vec<Finding> {
        let (old, new) = (self.wanted.old, self.wanted.new);
        let node = &self.graph.nodes[turn.node];
        if let (Act::Alter(_), Some(placeholder)) = (&node.act, &node.placeholder) {
            // A placeholder is not shown.
            let going = node.stands_in(Side::After).and_then(|_| hazards::emptied(&node.id, &placeholder.circle));
            return going.into_iter().collect();
        }
        let lock = statements.iter().filter_map(|s| s.lock.as_ref()).map(|(mode, _)| *mode).max();
        let mut out = Vec::new();
        for id in std::iter::once(node.id.clone()).chain(self.with(turn)) {
            let subject = Subject {
                action: action(&node.act),
                id: &id,
                old: old.get(&id).filter(|_| node.act != Act::Create),
                new: new.get(&id).filter(|_| node.act != Act::Drop),
                changed: match &node.act {
                    Act::Alter(attrs) => attrs,
                    _ => &[],
                },
                replaced: node.replaced,
                on_existing: old.has(id.root())
                    && node.act != Act::Drop
                    && new.has(id.root())
                    && !self.made_new(id.root()),
                before: old,
                there: self.wanted.beyond.unwrap_or(old),
                after: new,
                edges: self.wanted.edges,
                recorded: self.wanted.recorded.filter(|_| !self.wanted.completed.old.contains_key(&id)),
                bodies: &|| self.bodies[1].get_or_init(|| Bodies::new(new)),
                old_name: Some(match &node.act {
                    Act::Rename(from) => from.name().as_str(),
                    _ => id.name().as_str(),
                }),
                lock,
            };
            for mut finding in hazards::find(&subject) {
                if finding.hazard == Hazard::DataLoss && node.act == Act::Drop && !node.replaced {
                    let arrivals = self.arrivals.get_or_init(|| Arrivals::new(old, new));
                    finding.reason += &arrivals.hint(&id).unwrap_or_default();
                }
                if !out.contains(&finding) {
                    out.push(finding);
                }
            }
            if node.act == Act::Create && !node.replaced {
                out.extend(self.loses_defaults(&id));
            }
            if let Act::Rebuild(columns) = &node.act {
                out.extend(
                    columns.iter().flat_map(|column| hazards::rebuilt(&node.id, column, (old, new), self.wanted.edges)),
                );
                break;
            }
        }
        out
    }

    /// Privileges that a new object gets by default and does not declare.
    fn loses_defaults(&self, id: &ObjectId) -> Option<Finding> {
        let creator = self.wanted.creator?;
        let cx = Context { creator: Some(creator), ..Context::new(self.wanted.server, self.wanted.new) };
        let [before, _] = self.defaults.each_ref();
        let unasked = manage::after_create(id, [before, before], &cx).ok()?;
        (!unasked.is_empty()).then(|| hazards::unasked(id, creator))
    }

    pub(super) fn made_new(&self, root: &ObjectId) -> bool {
        self.graph.created(root)
    }
}
