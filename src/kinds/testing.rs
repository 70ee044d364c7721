//! Helpers for the tests of rooms: KDL text → state → KDL text, and the DDL of a state.

use crate::catalog::Version;
use crate::kdl;
use crate::kinds::scope::{Load, Scope, in_schema, schema_id};
use crate::kinds::{Context, find, room, rooms};
use crate::model::{Object, ObjectId, State, Text};

/// Reads one file; what is wrong comes as messages.
pub fn load(text: &str) -> (State, Vec<String>) {
    let nodes = kdl::read(0, text).expect("the test's KDL is valid");
    let mut load = Load::default();
    for node in &nodes {
        let (Some(room), Some(name)) = (find(&node.name), node.args.first().and_then(kdl::Arg::as_text)) else {
            continue;
        };
        load.declared.entry(("public".into(), name.clone())).or_default().push(room.kind().word);
    }
    for node in &nodes {
        let Some(room) = in_schema(&node.name).or_else(|| find(&node.name)) else { continue };
        room.parse(node, &mut Scope { schema: schema_id(Text::from("public")), parent: None, load: &mut load });
    }
    load.finish();
    let problems = load.problems.iter().map(|p| p.message.clone()).collect();
    (load.state, problems)
}

/// Reads canonical KDL, which has to come back byte for byte.
pub fn round_trip(text: &str) -> State {
    let (state, problems) = load(text);
    assert_eq!(problems, Vec::<String>::new());
    let tops: Vec<_> = state.iter().filter(|(id, _)| id.root() == *id).map(|(id, o)| node(&state, id, o)).collect();
    assert_eq!(kdl::format_nodes(&tops), text);
    state
}

fn node(state: &State, id: &ObjectId, object: &Object) -> kdl::Node {
    let mut inner: Vec<(&ObjectId, &Object)> = state.iter().filter(|(child, _)| child.parent() == Some(id)).collect();
    inner.sort_by_key(|(child, object)| (crate::kinds::rank(child.kind()), object.place.map(|p| p.start)));
    let inner = inner.into_iter().map(|(child, object)| node(state, child, object)).collect();
    room(id.kind()).write(id, object, inner).expect("the kind has a node of its own")
}

/// The statements that create the objects of a kind, by its word.
pub fn create(state: &State, word: &str) -> Vec<String> {
    let cx = Context::new(Version::major_release(18), state);
    let objects = state.iter().filter(|(id, _)| id.kind().word == word);
    objects
        .flat_map(|(id, object)| room(id.kind()).create(id, object, &[], &cx).expect("it can be created"))
        .map(|statement| statement.sql)
        .collect()
}

/// The statements that lead from one file to another, for the object of that kind and name.
pub fn alter(old: &str, new: &str, word: &str) -> Vec<String> {
    let (old, new) = (load(old).0, load(new).0);
    let mut out = Vec::new();
    for (id, after) in new.iter().filter(|(id, _)| id.kind().word == word) {
        let Some(before) = old.get(id) else { continue };
        let changed: Vec<&'static str> =
            id.kind().attrs.iter().map(|a| a.name).filter(|n| before.value(n) != after.value(n)).collect();
        let cx = Context::new(Version::major_release(18), &new);
        let attrs = changed.iter().filter_map(|n| id.kind().attr(n));
        for attr in attrs {
            if room(id.kind()).on_change(attr, before, after) == crate::model::OnChange::Replace {
                out.push(format!("replace because of {}", attr.name));
            }
        }
        let statements = room(id.kind()).alter(id, before, after, &changed, &cx).expect("it can be altered");
        out.extend(statements.into_iter().map(|s| s.sql));
    }
    assert!(rooms().iter().any(|r| r.kind().word == word));
    out
}
