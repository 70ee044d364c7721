//! `on auth.users { … }`: what files declare on an object that is somebody else's, and that they do not declare themselves.

use std::path::PathBuf;

use super::write::{self, Children};
use crate::kdl::{Node, Problem, format_nodes};
use crate::kinds::scope::{Load, Scope, rooms_in, schema_id, split_signature};
use crate::kinds::{self, Room, column, generic, meant};
use crate::model::{Address, ObjectId, State, Text, Within};
use crate::sql::{reference, signature, types};

/// The node's name.
pub const WORD: &str = "on";

/// The kind of an object that is named without one.
const USUAL: &str = "table";

/// What is the object's own, and never declared beside it.
const ITS_OWN: [&str; 1] = ["owner"];

/// The file of the canonical layout.
const FILE: &str = "on.kdl";

const HELP: &str = "write `on SCHEMA.TABLE { … }`, or `on KIND NAME { … }` for what is not a table";

/// Reads the node.
pub fn parse(node: &Node, scope: &mut Scope<'_>) {
    let Some(id) = address(node, scope) else { return };
    if let Some(prop) = node.props.first() {
        let problem = Problem::new(prop.name_span, format!("`{WORD}` has no property `{}`", prop.name));
        scope.problem(problem.label("unknown").help("only what is added to the object is declared here"));
    }
    scope.load.theirs.entry(id.clone()).or_insert(node.span);
    for child in &node.children {
        let room = rooms_in(id.kind().word)
            .find(|room| room.kind().word == &*child.name || room.words().contains(&&*child.name));
        let theirs = |room: &dyn Room| room.kind().address == Address::MemberOf || ITS_OWN.contains(&room.kind().word);
        if room.is_some_and(theirs) {
            let problem = Problem::new(child.name_span, format!("`{}` is what {id} has itself", child.name));
            scope.problem(problem.label("not allowed here").help(
                "`on` declares what you add to an object that is not yours: triggers, policies, foreign keys, indexes, grants",
            ));
        } else {
            scope.child(child, &id);
        }
    }
}

/// The object that the node names.
fn address(node: &Node, scope: &mut Scope<'_>) -> Option<ObjectId> {
    let wrong = |message: String| Some(Problem::new(node.span, message).help(HELP));
    let words: Vec<&Text> = node.args.iter().filter_map(|arg| arg.as_text()).collect();
    let (word, name) = match words.as_slice() {
        [name] if node.args.len() == 1 => (USUAL, *name),
        [word, name] if node.args.len() == 2 => (&***word, *name),
        _ => {
            wrong(format!("`{WORD}` does not name an object")).into_iter().for_each(|problem| scope.problem(problem));
            return None;
        }
    };
    let stands = |room: &&'static dyn Room| {
        matches!(room.kind().within, Within::Top | Within::Schema) || room.kind() == &column::KIND
    };
    let Some(room) = kinds::find(word).filter(stands) else {
        let mut problem =
            Problem::new(node.span, format!("`{word}` is not a kind of object that something can be added to"));
        let known = kinds::rooms().iter().filter(|room| stands(room)).map(|room| room.kind().word);
        problem.help = meant::nearest(word, known).map(|near| format!("did you mean `{near}`?")).or(Some(HELP.into()));
        scope.problem(problem);
        return None;
    };
    let kind = room.kind();
    let (path, types) = if kind.address == Address::Routine { split_signature(name) } else { (&**name, None) };
    let parts = reference::split(path).unwrap_or_default();
    let home = |schema: &Text| Some(schema_id(schema.clone()));
    let own = Some(scope.schema.clone());
    let table = |schema, name: &Text| kinds::find(USUAL).map(|room| ObjectId::new(room.kind(), schema, name.clone()));
    let (parent, last) = match (kind.address, parts.as_slice()) {
        (Address::Schema | Address::Global, [last]) => (None, last),
        (Address::Qualified | Address::Routine, [last]) => (own, last),
        (Address::Qualified | Address::Routine, [schema, last]) => (home(schema), last),
        (Address::MemberOf, [name, last]) => (table(own, name), last),
        (Address::MemberOf, [schema, name, last]) => (table(home(schema), name), last),
        _ => {
            wrong(format!("`{name}` does not name a {word}")).into_iter().for_each(|problem| scope.problem(problem));
            return None;
        }
    };
    Some(match kind.address {
        Address::Routine => {
            let own = scope.signature(types.unwrap_or(""), node.span);
            let own: Vec<String> =
                signature::split(&own).into_iter().map(|text| at_home(text, parent.as_ref())).collect();
            ObjectId::routine(kind, parent, last.clone(), own.join(", "))
        }
        _ => ObjectId::new(kind, parent, last.clone()),
    })
}

/// A type as a signature has it: one that no file declares is where the routine is, as the types of an extension are where its routines are.
fn at_home(text: &str, home: Option<&ObjectId>) -> String {
    match (types::parse(text), home) {
        (Ok(parsed), Some(home)) if parsed.schema.is_none() && !parsed.is_built_in() => {
            types::Parsed { schema: Some(home.name().as_str().to_owned()), ..parsed }.normalised(|_| None)
        }
        _ => text.to_owned(),
    }
}

/// Finds objects that files declare, and that something is declared on as if they were somebody else's.
pub fn check(load: &mut Load) {
    for (id, span) in &load.theirs {
        let Some(object) = load.state.get(id.top()) else { continue };
        // Schema `public` is in every state, whether a file has it or not.
        if object.place.is_none() {
            continue;
        }
        let mut problem = Problem::new(*span, format!("{} is declared in a file", id.top())).label("declared twice");
        problem.related = object.place.map(|place| (place, "the object itself"));
        load.problems.push(problem.help(format!("`{WORD}` is for what is not yours: move this into its own node")));
    }
}

/// The file with everything that the state has on objects that it does not have.
pub(super) fn file(state: &State, children: &Children<'_>) -> Option<(PathBuf, String)> {
    let mut parents: Vec<&ObjectId> = children.keys().copied().filter(|id| state.is_apart(id)).collect();
    parents.retain(|id| !state.has(id) && id.parent().is_none_or(|parent| !state.has(parent) || is_schema(parent)));
    parents.sort();
    let nodes: Vec<Node> = parents
        .into_iter()
        .filter_map(|id| {
            let inner = write::inner(id, children).into_iter();
            let inner: Vec<Node> = inner.filter_map(|child| write::node(child, state, children)).collect();
            let word = Some(id.kind().word).filter(|word| *word != USUAL);
            let node = word.into_iter().fold(Node::new(WORD), |node, word| node.arg(word)).arg(name(id));
            (!inner.is_empty()).then_some(Node { children: inner, ..node })
        })
        .collect();
    (!nodes.is_empty()).then(|| (PathBuf::from(FILE), format_nodes(&nodes)))
}

fn is_schema(id: &ObjectId) -> bool {
    id.kind().address == Address::Schema
}

/// How the node names the object.
fn name(id: &ObjectId) -> String {
    match id.kind().address {
        Address::MemberOf => {}
        Address::Schema => return reference::join(&[id.name().as_str()]),
        _ => return generic::reference_text(id, None),
    }
    let mut parts: Vec<&str> = std::iter::once(id).chain(id.ancestors()).map(|id| id.name().as_str()).collect();
    parts.reverse();
    reference::join(&parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::load_texts;

    fn load(text: &str) -> Result<State, String> {
        let texts = [("schema/a.kdl".into(), text.to_string())];
        load_texts(&texts).map(|loaded| loaded.state).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_declared_on_somebody_elses_object_comes_back() {
        let text = "on schema auth {\n    grant usage to=app\n}\n\non function \"ext.f(integer)\" {\n    revoke execute from=public\n}\n\n\
                    on column auth.users.email {\n    grant select to=app\n}\n\n\
                    on auth.users {\n    policy own for=select {\n        using #true\n    }\n    grant select to=app\n}\n";
        let text = text.replace("using #true", "using \"true\"");
        let state = load(&text).unwrap();
        assert!(state.iter().all(|(id, _)| state.is_apart(id) || id.name().as_str() == "public"));
        let (path, written) = file(&state, &state.children()).unwrap();
        assert_eq!(path, PathBuf::from(FILE));
        let again = load(&written).unwrap();
        assert_eq!(state.len(), again.len());
        assert!(state.iter().all(|(id, object)| again.get(id) == Some(object)), "{written}");
    }

    #[test]
    fn what_is_ones_own_or_theirs_is_refused() {
        for (text, why) in [
            ("on users", ""),
            ("table users { column id integer\n }\non users { grant select to=app\n }", "declared in a file"),
            ("on auth.users { column id integer\n }", "has itself"),
            ("on auth.users { owner app\n }", "has itself"),
            ("on nothing auth.users", "is not a kind of object"),
            ("on a.b.c", "does not name a table"),
            ("on", "does not name an object"),
        ] {
            let outcome = load(text);
            match why {
                "" => assert!(outcome.is_ok()),
                why => assert!(outcome.clone().is_err_and(|error| error.contains(why)), "{text}: {outcome:?}"),
            }
        }
    }
}
