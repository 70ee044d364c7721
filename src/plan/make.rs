//! Turns changes into ordered steps, each with its inverse.

use std::cell::OnceCell;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::catalog::Version;
use crate::diff::Open;
use crate::diff::lineage::Completed;
use crate::kinds::{Context, Folded, LockMode, Mode, Statement, inheritance, manage, room};
use crate::model::{Address, Change, Digest, Edges, Ident, Namespace, Object, ObjectId, Result, State, Within};

use super::fold::{self, Turn};
use super::graph::{Act, Graph, Node, Side};
use super::hazards::undeclared_rename::Arrivals;
use super::hazards::{self, Bodies, Finding, Hazard, Subject};
use super::inverse::Current;
use super::needs::{Names, Needs};
use super::transactions::{self, Block};
use super::{Action, Expected, Step, about, expand, rebuild, too_new, waiting};

/// Where the plan starts, where it leads, and what it has to do.
pub struct Wanted<'a> {
    /// The state before, under the names that it has after the plan's renames.
    pub old: &'a State,
    /// The state after.
    pub new: &'a State,
    /// The state before as a comparison of names and texts finds it, where `old` has the texts that follow the plan's renames.
    pub before: Option<&'a State>,
    /// Dependencies of the state before.
    pub edges: &'a Edges,
    /// The complete state before, if `old` has only what the changes need.
    pub beyond: Option<&'a State>,
    /// What differs.
    pub changes: Vec<Change>,
    /// The server that it is for.
    pub server: Version,
    /// Who runs it: what this role's default privileges give unasked is revoked. `None`: they are left to others.
    pub creator: Option<&'a Ident>,
    /// Changed attributes that can be altered in place, there and back, although their kind says otherwise.
    pub in_place: FxHashSet<Open>,
    /// What the states were completed with; it is not an object of the database.
    pub completed: Completed,
    /// What the last revision left, if there is one: what is not in it was made by hand.
    pub recorded: Option<&'a State>,
}

impl<'a> Wanted<'a> {
    /// What has to be done, without reference to a role.
    pub fn new(old: &'a State, new: &'a State, edges: &'a Edges, changes: Vec<Change>, server: Version) -> Self {
        Self {
            old,
            new,
            before: None,
            edges,
            beyond: None,
            changes,
            server,
            creator: None,
            in_place: FxHashSet::default(),
            completed: Completed::default(),
            recorded: None,
        }
    }

    /// Sets who runs it.
    #[must_use]
    pub fn by(mut self, creator: Option<&'a Ident>) -> Self {
        self.creator = creator;
        self
    }
}

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
    let footprint = footprint(wanted, &steps);
    Ok(Made { steps: steps.into_iter().map(|(_, step)| step).collect(), footprint })
}

/// The steps, each with the objects that it touches.
pub(super) fn steps(wanted: &Wanted<'_>, with_inverse: bool) -> Result<Vec<(Vec<ObjectId>, Step)>> {
    let nodes = expand::nodes(&wanted.changes, wanted.old, wanted.new, wanted.edges)?;
    let names = Names::new(wanted.new);
    let all_needs = |id: &ObjectId| wanted.new.get(id).map_or_else(Needs::default, |object| names.needs(id, object));
    let mut graph = Graph::new(nodes, wanted.old, wanted.new, wanted.edges, &all_needs);
    graph.break_circles(wanted.old, wanted.new, &names);
    graph.wish_to_fold();
    let maker = Maker::new(wanted, &graph);
    let mut turns = fold::order(&graph, &|node| maker.can_fold(node))?;
    let mut statements: Vec<Vec<Statement>> = turns.iter().map(|turn| maker.statements(turn)).collect::<Result<_>>()?;
    // A drop before a type change is no reason to wait if the type only gains values.
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
    /// Keys that say the same as another key of their table. CREATE TABLE would make one index of both
    /// (src/backend/parser/parse_utilcmd.c, transformIndexConstraints), so only the first may fold into it.
    twins: FxHashSet<usize>,
    /// Default privileges before and after.
    pub(super) defaults: [State; 2],
    /// The names in the bodies of the routines before and after.
    pub(super) bodies: [OnceCell<Bodies<'a>>; 2],
    arrivals: OnceCell<Arrivals<'a>>,
}

/// A mode, and what is locked.
type Lock = (LockMode, String);

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
        // What belongs to a part without a clause (a view's column) has nothing to fold into, nor what belongs to one that its table
        // has from elsewhere and that is only altered.
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

    /// The locks on other tables that the turn takes.
    fn reached(&self, turn: &Turn) -> Vec<(LockMode, String)> {
        let node = &self.graph.nodes[turn.node];
        let (state, drops) = match node.act {
            Act::Create => (self.wanted.new, false),
            Act::Drop => (self.wanted.old, true),
            _ => return Vec::new(),
        };
        let mut out =
            reached(std::iter::once(&node.id).chain(turn.with.iter().map(|n| &self.graph.nodes[*n].id)), state, drops);
        // A key that comes or goes with its table is on each partition of the table that it refers to. A key's own step claims these itself.
        if node.id.root() == &node.id {
            let keys = turn.with.iter().filter_map(|n| state.get(&self.graph.nodes[*n].id).zip(Some(*n)));
            for (object, n) in keys {
                let Some((mode, other)) = room(self.graph.nodes[n].id.kind()).reaches(object, drops) else { continue };
                let parts = inheritance::partitions(state, &other).into_iter().filter(|part| self.is_there(part));
                out.extend(parts.map(|part| (mode, part.to_string())).collect::<Vec<_>>());
            }
        }
        out
    }

    /// True if the object is there before the plan, as far as that is known where only a part of the state is planned.
    fn is_there(&self, id: &ObjectId) -> bool {
        self.wanted.old.has(id) || self.wanted.new.has(id) && !self.made_new(id.root())
    }

    /// The lock of a statement, and its locks on other things that are there before the plan.
    fn locks(&self, turn: &Turn, statement: &Statement, first: bool) -> (Option<Lock>, Vec<Lock>) {
        // Where names are exchanged, one of the objects has a name for a time that neither state knows.
        let meanwhile = |on: &ObjectId| {
            let node = &self.graph.nodes[turn.node];
            matches!(&node.act, Act::Rename(from) if from == on || node.id == *on)
                && self.graph.is_meanwhile(on, self.wanted.old, self.wanted.new)
        };
        let there =
            |(mode, on): &(LockMode, ObjectId)| (self.is_there(on) || meanwhile(on)).then(|| (*mode, on.to_string()));
        let lock = statement.lock.as_ref().and_then(there);
        let mut others = if first { self.reached(turn) } else { Vec::new() };
        others.extend(statement.also.iter().filter_map(there));
        others.retain(|other| Some(other) != lock.as_ref());
        (lock, others)
    }

    /// What the turn does to its objects, for people. Drops have no description.
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
        // Files do not keep what says nothing, and the hash must be that of the file.
        out.truncate(out.iter().rposition(|text| !text.is_empty()).map_or(0, |at| at + 1));
        out
    }

    fn hazards(&self, turn: &Turn, statements: &[Statement]) -> Vec<Finding> {
        let (old, new) = (self.wanted.old, self.wanted.new);
        let node = &self.graph.nodes[turn.node];
        if let (Act::Alter(_), Some(placeholder)) = (&node.act, &node.placeholder) {
            // A placeholder is not visible.
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

    /// What a new object has from default privileges, and does not say.
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

/// The other tables that are locked when these objects are made or dropped.
pub(super) fn reached<'i>(
    ids: impl Iterator<Item = &'i ObjectId>,
    state: &State,
    drops: bool,
) -> Vec<(LockMode, String)> {
    let mut out: Vec<(LockMode, String)> = Vec::new();
    for id in ids {
        let other = state.get(id).and_then(|object| room(id.kind()).reaches(object, drops));
        let other = other.filter(|(_, other)| other != id.root());
        let Some(other) = other.map(|(mode, other)| (mode, other.to_string())) else { continue };
        if !out.contains(&other) {
            out.push(other);
        }
    }
    out
}

/// The touched objects, their siblings and what depends on them, with what they must be before and after.
fn footprint(wanted: &Wanted<'_>, steps: &[(Vec<ObjectId>, Step)]) -> Vec<Expected> {
    let part = |id: &ObjectId| id.kind().address == Address::Part;
    let ids = steps.iter().flat_map(|(ids, _)| ids);
    let touched: FxHashSet<&ObjectId> =
        ids.flat_map(|id| std::iter::once(id).chain(id.parent().filter(|_| part(id)))).collect();
    let mut roots: FxHashSet<&ObjectId> = touched.iter().map(|id| id.root()).collect();
    for (id, needs) in wanted.edges {
        if needs.iter().any(|n| touched.contains(n)) {
            roots.insert(id.root());
        }
    }
    // What followed a rename, though it does not depend on what is renamed.
    let followed = wanted.before.into_iter().flat_map(|before| before.iter());
    roots.extend(followed.filter(|(id, object)| wanted.old.get(id) != Some(object)).map(|(id, _)| id.root()));
    let mut out = Vec::new();
    let inside = |id: &ObjectId| roots.contains(id.root());
    let mut add = |id: &ObjectId| {
        let real = |state: &'_ State, completed: &FxHashMap<ObjectId, Option<Object>>| match completed.get(id) {
            Some(object) => object.clone(),
            None => state.get(id).cloned(),
        };
        let before = real(wanted.before.unwrap_or(wanted.old), &wanted.completed.old)
            .map(|object| Digest::of_object(id, &object, false));
        let after = real(wanted.new, &wanted.completed.new).map(|object| Digest::of_object(id, &object, true));
        if before.is_some() || after.is_some() {
            out.push(Expected { object: id.to_string(), before, after });
        }
    };
    wanted.new.iter().map(|(id, _)| id).filter(|id| inside(id)).for_each(&mut add);
    wanted.old.iter().map(|(id, _)| id).filter(|id| inside(id) && !wanted.new.has(id)).for_each(&mut add);
    out
}
