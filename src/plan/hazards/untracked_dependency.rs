//! `untracked-dependency`: a routine names the object in a body that the catalog does not analyze, and will fail when it runs.

use rustc_hash::FxHashMap;

use super::{Finding, Hazard, Subject, finding};
use crate::kinds::{refs::Refs, room};
use crate::model::{Address, ObjectId, State, Text};
use crate::plan::Action;
use crate::sql::{self, names};

/// The names in the bodies of a state's routines.
pub struct Bodies<'a> {
    /// The last part of a name → the routines whose bodies have it.
    named: FxHashMap<String, Vec<&'a ObjectId>>,
    /// The bodies themselves.
    texts: Vec<(&'a ObjectId, Text)>,
}

impl<'a> Bodies<'a> {
    /// Reads all bodies.
    pub fn new(state: &'a State) -> Self {
        let mut named: FxHashMap<String, Vec<&ObjectId>> = FxHashMap::default();
        let mut texts = Vec::new();
        for (id, object) in state.iter() {
            let mut refs = Refs::default();
            room(id.kind()).refers(id, object, &mut refs);
            for name in refs.bodies.iter().flat_map(|body| names::find(body)) {
                // `orders.total` names both.
                for part in name.parts {
                    let ids = named.entry(part).or_default();
                    if ids.last() != Some(&id) {
                        ids.push(id);
                    }
                }
            }
            texts.extend(refs.bodies.into_iter().map(|body| (id, body)));
        }
        Self { named, texts }
    }

    /// The routines whose bodies have that string.
    fn with_string(&self, string: &str) -> Vec<&'a ObjectId> {
        let literal = sql::literal(string);
        self.texts.iter().filter(|(_, body)| body.contains(&literal)).map(|(id, _)| *id).collect()
    }

    fn with(&self, name: &str) -> &[&'a ObjectId] {
        self.named.get(name).map_or(&[], Vec::as_slice)
    }
}

pub fn check(subject: &Subject<'_>) -> Option<Finding> {
    let id = subject.id;
    let gone = match subject.action {
        Action::Drop => !subject.replaced,
        Action::Rename => true,
        _ => false,
    };
    let used = matches!(
        id.kind().word,
        "table"
            | "view"
            | "materialized-view"
            | "foreign-table"
            | "column"
            | "sequence"
            | "function"
            | "procedure"
            | "value"
    );
    (gone && used).then_some(())?;
    let bodies = (subject.bodies)();
    let name = subject.old_name?;
    let mut users: Vec<&ObjectId> = match id.kind().address {
        Address::Part => bodies.with_string(name),
        _ => bodies.with(name).to_vec(),
    };
    // A column's name says little without its table's.
    if id.kind().address == Address::MemberOf {
        let table = bodies.with(id.parent()?.name().as_str());
        users.retain(|user| table.contains(user));
    }
    users.retain(|user| *user != id);
    let more = users.len().saturating_sub(1);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    finding(Hazard::UntrackedDependency, format!("the body of {}{more} seems to name {id}", users.first()?))
}
