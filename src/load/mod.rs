//! Loads KDL files into a state, and reports every problem of every file at once.

mod apart;
pub mod edit;
mod files;
mod stars;
pub mod threads;
pub mod whole;
pub mod write;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use rustc_hash::{FxHashMap, FxHashSet};

use crate::diff::rename;
use crate::kdl::{self, Node, Problem, Sources};
use crate::kinds::meant::{nearest, where_it_stands};
use crate::kinds::scope::{Load, NO_SCHEMA, Scope, in_schema};
use crate::kinds::{IS_TYPE, Room, column, constraint, habits, inheritance, room, rooms, schema};
use crate::model::{
    Address, Digest, Error, Namespace, Object, ObjectId, Result, Span, State, Text, Value, Within, Wrong,
};

pub use files::{find, text, utf8};

/// What the files say.
#[derive(Debug)]
pub struct Loaded {
    /// The desired state; every object knows its place in the sources.
    pub state: State,
    /// The files, in the order of their paths.
    pub sources: Sources,
}

impl Loaded {
    /// The error as it is, or with the source shown where it is about these files.
    pub fn point_out(&self, mut error: Error) -> Error {
        let problem = |wrong: Wrong| Problem::new(wrong.span, wrong.message).label(wrong.label).help(wrong.help);
        let wrong = error.in_files.take().map_or_else(Vec::new, |wrong| wrong.0);
        let problems: Vec<Problem> = wrong.into_iter().map(problem).collect();
        if problems.is_empty() { error } else { self.sources.error(&problems) }
    }
}

/// Reads all `*.kdl` below `schema_dir`. Paths are shown as seen from the directory around it.
///
/// # Errors
/// `Config`: what is wrong in the files, or what made one unreadable.
pub fn load(schema_dir: &Path) -> Result<Loaded> {
    parse(files::read(schema_dir)?)
}

/// The same for texts in memory.
///
/// # Errors
/// `Config`: what is wrong in the texts.
pub fn load_texts(texts: &[(PathBuf, String)]) -> Result<Loaded> {
    parse(texts.to_vec())
}

/// The identity of a desired state as written; layout, order and places mean nothing to it.
pub fn files_hash(state: &State) -> Digest {
    Digest::of_state(state)
}

fn parse(mut files: Vec<(PathBuf, String)>) -> Result<Loaded> {
    for (_, text) in &mut files {
        if let Cow::Owned(lines) = kdl::unix_lines(text) {
            *text = lines;
        }
    }
    let sources = Sources { files };
    let mut trees = Vec::new();
    let mut load = Load::default();
    for tree in read_all(&sources.files) {
        match tree {
            Ok(nodes) => trees.push(nodes),
            Err(problems) => load.problems.extend(problems),
        }
    }
    // Where a file could not be read, its names are missing: whatever refers to them would be called wrong.
    load.incomplete = !load.problems.is_empty();
    trees.iter().flatten().for_each(|node| declare(node, &mut load));
    load.state.put(schema::id("public"), Object::default());
    // Each node makes room for the objects of the next.
    for node in trees.into_iter().flatten() {
        top(&node, &mut load);
    }
    load.finish();
    let first = load.problems.len();
    if !load.incomplete && !circles(&mut load) {
        whole(&mut load);
        apart::check(&mut load);
        column::settle(&mut load.state);
        shared_names(&mut load);
        values_of_columns(&mut load);
        renames(&mut load);
    }
    stars::check(&load.state, &sources, &mut load.problems);
    consequences(first, &mut load);
    if load.problems.is_empty() {
        return Ok(Loaded { state: load.state, sources });
    }
    load.problems.sort_by_key(|p| (p.span.file, p.span.start));
    Err(sources.error(&load.problems))
}

/// Reads every file.
fn read_all(files: &[(PathBuf, String)]) -> Vec<Result<Vec<Node>, Vec<Problem>>> {
    threads::share_out(files, |first, files| {
        let mut texts = kdl::Texts::default();
        let number = |index| u32::try_from(first + index).unwrap_or(u32::MAX);
        let read = |(index, (_, text)): (usize, &(PathBuf, String))| kdl::read_with(number(index), text, &mut texts);
        files.iter().enumerate().map(read).collect()
    })
}

/// Enters the names of a top-level node, so that references may appear before what they mean.
fn declare(node: &Node, load: &mut Load) {
    let public: Text = "public".into();
    match at_top(&node.name) {
        Some(room) if room.kind().within == Within::Schema => enter(room, public, node, load),
        Some(room) => {
            enter(room, NO_SCHEMA.into(), node, load);
            let Some(name) =
                node.args.first().and_then(|a| a.as_text()).filter(|_| room.kind().address == Address::Schema)
            else {
                return;
            };
            for child in &node.children {
                if let Some(room) = in_schema(&child.name) {
                    enter(room, name.clone(), child, load);
                }
            }
        }
        None => {}
    }
}

fn enter(room: &'static dyn Room, schema: Text, node: &Node, load: &mut Load) {
    if let Some(name) = node.args.first().and_then(|a| a.as_text()) {
        let words = load.declared.entry((schema.clone(), name.clone())).or_default();
        if !words.contains(&room.kind().word) {
            words.push(room.kind().word);
        }
    }
    let other = room.also_declares(node).and_then(|text| crate::sql::reference::split(&text).ok());
    let key = match other.as_deref() {
        Some([name]) => (schema, name.clone()),
        Some([schema, name]) => (schema.clone(), name.clone()),
        _ => return,
    };
    load.declared.entry(key).or_default().push(room.kind().word);
}

/// The room of a word that may appear at the top of a file.
fn at_top(word: &str) -> Option<&'static dyn Room> {
    let stands = |room: &&dyn Room| matches!(room.kind().within, Within::Top | Within::Schema);
    rooms().iter().copied().filter(stands).find(|room| room.kind().word == word || room.words().contains(&word))
}

/// Reads a top-level node by its room.
fn top(node: &Node, load: &mut Load) {
    let mut scope = Scope { schema: schema::id("public"), parent: None, load };
    if let Some(room) = at_top(&node.name) {
        room.parse(node, &mut scope);
        return;
    }
    if &*node.name == apart::WORD {
        return apart::parse(node, &mut scope);
    }
    let known = || rooms().iter().map(|r| r.kind()).filter(|kind| matches!(kind.within, Within::Top | Within::Schema));
    let message = format!("`{}` is not allowed at the top level of a file", node.name);
    let problem = Problem::new(node.name_span, message).label("unknown here");
    let help = where_it_stands(&node.name)
        .or_else(|| habits::help(&node.name, "").map(String::from))
        .or_else(|| nearest(&node.name, known().map(|kind| kind.word)).map(|near| format!("did you mean `{near}`?")))
        .or_else(|| {
            let near = nearest(&node.name, rooms().iter().map(|room| room.kind().word))?;
            Some(format!("did you mean `{near}`? {}", where_it_stands(near)?))
        })
        .unwrap_or_else(|| {
            format!(
                "allowed here: {}",
                known().map(|kind| kind.word).chain([apart::WORD]).collect::<Vec<_>>().join(", ")
            )
        });
    scope.problem(problem.help(help));
}

/// Leaves out the problems from `first` on that may follow from one before: both are about the same object.
fn consequences(first: usize, load: &mut Load) {
    let later = load.problems.split_off(first);
    let known = load.problems.len();
    for problem in later {
        if !load.problems[..known].iter().any(|before| problem.span.holds(before.span)) {
            load.problems.push(problem);
        }
    }
}

/// Finds columns that would get values in two ways.
fn values_of_columns(load: &mut Load) {
    let mut seen: FxHashMap<&ObjectId, &ObjectId> = FxHashMap::default();
    for (id, object) in load.state.iter().filter(|(id, _)| id.kind().namespace == Namespace::ColumnValue) {
        let Some(column) = id.parent() else { continue };
        let generated = load.state.get(column).is_some_and(|c| c.value("generated").is_some()).then_some("generated");
        let Some(other) = generated.or_else(|| seen.insert(column, id).map(|other| other.kind().word)) else {
            continue;
        };
        let message = format!("{column} cannot have both `{other}` and `{}`", id.kind().word);
        let problem = Problem::new(object.place.unwrap_or_default(), message).label("gets its values in another way");
        load.problems.push(problem.help("keep one of them"));
    }
}

/// Finds renames that cannot be meant: to the same name, of one object to two, and of one that stays.
fn renames(load: &mut Load) {
    let mut seen: FxHashMap<ObjectId, Option<Span>> = FxHashMap::default();
    for (id, was, said) in load.state.renames() {
        let old = id.renamed(was.clone());
        let place = said.unwrap_or_default();
        if old == *id {
            let problem = Problem::new(place, format!("`was` of {id} is its own name")).label("renamed to itself");
            load.problems.push(problem.help("`was=` says the name before a rename: leave it out"));
        } else if let Some(first) = seen.get(&old) {
            let message = format!("{id} cannot have been {old}, which is also the old name of another one");
            let mut problem = Problem::new(place, message).label("second one");
            problem.related = first.map(|place| (place, "the first one"));
            load.problems.push(problem.help("keep `was=` on the one that should keep its data"));
        } else if rename::has(&load.state, &old) && !load.state.renames().any(|(other, ..)| *other == old) {
            let message = format!("{id} cannot have been {old}, which is still declared");
            let mut problem = Problem::new(place, message).label(format!("was `{}`", was.as_str()));
            problem.related = load.state.get(&old).and_then(|other| other.place).map(|place| (place, "the other one"));
            load.problems.push(problem.help(format!(
                "if `{0}` has already been renamed, remove `was={1}`; if not, rename it in one plan, and declare the new `{1}` in the next",
                id.name().as_str(),
                was.as_str()
            )));
        } else {
            seen.insert(old, said);
        }
    }
}

/// Finds tables that inherit from themselves, by any detour; true if there are any. Their columns are not known.
fn circles(load: &mut Load) -> bool {
    let first = load.problems.len();
    // Where a way up ends: at what is not a table's parent, or at what it came by.
    let (mut ends, mut on_the_way) = (FxHashSet::default(), FxHashSet::default());
    let mut told = FxHashSet::default();
    for (start, _) in load.state.iter() {
        let mut open = vec![(start, false)];
        while let Some((id, left)) = open.pop() {
            let Some(object) = load.state.get(id).filter(|_| !ends.contains(id)) else { continue };
            if left {
                on_the_way.remove(id);
                ends.insert(id);
            } else if on_the_way.insert(id) {
                open.push((id, true));
                open.extend(inheritance::parents(object).into_iter().map(|parent| (parent, false)));
            } else if told.insert(id) {
                let problem =
                    Problem::new(object.place.unwrap_or_default(), format!("{id} inherits from itself, in a cycle"));
                load.problems.push(
                    problem
                        .label("its own ancestor")
                        .help("remove one of the `inherits` or `partition-of` between them"),
                );
            }
        }
    }
    load.problems.len() > first
}

/// Checks what no single node can know: parents exist, and so do routines that references name by their types.
fn whole(load: &mut Load) {
    let state = &load.state;
    let extensions = load.has_extensions();
    for (id, object) in state.iter() {
        let place = object.place.unwrap_or_default();
        if let Some(parent) = id.parent().filter(|p| !state.has(p) && !load.theirs.contains_key(p)) {
            let problem = Problem::new(place, format!("{id} belongs to {parent}, which no file declares"));
            load.problems.push(problem.label("declared here").help(match parent.kind().address {
                Address::Schema => format!("add `schema {}` to a file", parent.name().as_str()),
                _ => format!("declare the {}, or remove this", parent.kind().word),
            }));
        }
        if let Some(lack) = room(id.kind()).lacks(id, object, state) {
            load.problems.push(Problem::new(place, format!("{id} is not complete")).label("declared here").help(lack));
        }
        for (_, value) in object.attrs.iter() {
            references(value, &mut |target| match target.kind().address {
                Address::Routine => {
                    let ours = target.schema().is_some_and(|schema| state.has(schema)) && !extensions;
                    if ours && !state.has(target) {
                        let problem = Problem::new(place, format!("there is no {target}")).label("needed here");
                        load.problems.push(problem.help("one with other input types does not count"));
                    }
                }
                Address::MemberOf => {
                    let Some(table) = target.parent() else { return };
                    let name = target.name().as_str();
                    if !constraint::has_column(state, table, name) {
                        let message = format!("{table} has no column `{name}`");
                        let mut problem = Problem::new(place, message).label("needed here");
                        problem.help = constraint::candidates(state, table, name);
                        load.problems.push(problem);
                    }
                }
                _ => {}
            });
        }
    }
}

/// Finds names that two objects would share: PostgreSQL keeps tables, views, indexes and sequences of a schema in one list, and
/// all of its types in another.
fn shared_names(load: &mut Load) {
    let mut taken: FxHashMap<(bool, Option<&ObjectId>, &str), &ObjectId> = FxHashMap::default();
    for (id, object) in load.state.iter() {
        let kind = id.kind();
        let (relation, sql_type) = match kind.namespace {
            Namespace::Relation => (true, IS_TYPE.contains(&kind.word)),
            Namespace::IndexConstraint | Namespace::PrimaryKey => (true, false),
            Namespace::Type => (false, true),
            _ => continue,
        };
        let lists = [(true, relation), (false, sql_type)];
        for list in lists.into_iter().filter(|(_, in_it)| *in_it).map(|(list, _)| list) {
            let Some(other) = taken.insert((list, id.schema(), id.name().as_str()), id) else { continue };
            let message = format!("{id} and {other} cannot have the same name");
            let mut problem = Problem::new(object.place.unwrap_or_default(), message).label("its name is taken");
            problem.related = load.state.get(other).and_then(|o| o.place).map(|place| (place, "the other one"));
            load.problems.push(problem.help("PostgreSQL keeps both in the same namespace: rename one of them"));
            break;
        }
    }
}

/// The objects that a value refers to.
fn references(value: &Value, found: &mut dyn FnMut(&ObjectId)) {
    match value {
        Value::Ref(id) => found(id),
        Value::List(list) => list.iter().for_each(|v| references(v, found)),
        Value::Record(record) => record.iter().for_each(|(_, v)| references(v, found)),
        _ => {}
    }
}

/// The place where an object was written, as people read it.
pub fn place(sources: &Sources, span: Option<Span>) -> String {
    span.map_or_else(|| "?".into(), |span| sources.place(span))
}

#[cfg(test)]
mod round;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod variants;
