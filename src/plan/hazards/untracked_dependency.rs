//! `untracked-dependency`: a routine names the object in a body that the catalog does not look into, and will fail when it runs.

use rustc_hash::FxHashMap;

use super::{Finding, Hazard, Subject, finding};
use crate::kinds::{refs::Refs, room};
use crate::model::{Address, ObjectId, State};
use crate::plan::Action;
use crate::sql::names;

/// The names in the bodies of a state's routines.
pub struct Bodies<'a> {
    /// The last part of a name → the routines whose bodies have it.
    named: FxHashMap<String, Vec<&'a ObjectId>>,
}

impl<'a> Bodies<'a> {
    /// Reads all bodies.
    pub fn new(state: &'a State) -> Self {
        let mut named: FxHashMap<String, Vec<&ObjectId>> = FxHashMap::default();
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
        }
        Self { named }
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
        "table" | "view" | "materialized-view" | "foreign-table" | "column" | "sequence" | "function" | "procedure"
    );
    (gone && used).then_some(())?;
    let bodies = (subject.bodies)();
    let name = subject.old_name?;
    let mut users: Vec<&ObjectId> = bodies.with(name).to_vec();
    // A column's name says little without its table's.
    if id.kind().address == Address::MemberOf {
        let table = bodies.with(id.parent()?.name().as_str());
        users.retain(|user| table.contains(user));
    }
    users.retain(|user| *user != id);
    let more = users.len().saturating_sub(1);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    finding(Hazard::UntrackedDependency, format!("the body of {}{more} names {id}, it seems", users.first()?))
}
