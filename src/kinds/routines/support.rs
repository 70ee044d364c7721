//! Functions that an object names without their argument types, which follow from the object: `sfunc=int4pl`.

use crate::catalog::{Book, Row, class};
use crate::kdl::{Arg, Node, Problem, Prop};
use crate::kinds::scope::{Scope, split_signature};
use crate::kinds::{find, generic, schema};
use crate::model::{Attr, Form, Key, Object, ObjectId, OnChange, Shape, Span, State, Text, attr};
use crate::sql::{self, reference, signature};

/// The word of the functions' kind.
const FUNCTION: &str = "function";

/// The function that brings a range into its canonical form.
pub const CANONICAL: Key<ObjectId> = Key::new("canonical");

/// The row of a table of attributes for such a function.
pub const fn function_attr(key: Key<ObjectId>, on_change: OnChange, doc: &'static str) -> Attr {
    attr(key, Shape::Ref(&[FUNCTION]), Form::Custom, on_change, doc)
}

/// Takes the properties of those names out of a node.
pub fn take(node: &mut Node, keys: &[Key<ObjectId>]) -> Vec<Prop> {
    let (taken, rest) =
        std::mem::take(&mut node.props).into_iter().partition(|p| keys.iter().any(|k| k.name == &*p.name));
    node.props = rest;
    taken
}

/// Reads such a property once all functions are known. `types` are what the function gets; one of that name with as many
/// arguments is meant where none has exactly these. What no file declares is PostgreSQL's own.
pub fn resolve(arg: &Arg, types: &[Text], scope: &mut Scope<'_>) -> Option<ObjectId> {
    let span = arg.span;
    let Some(text) = arg.as_text().cloned() else {
        let problem = Problem::new(span, "a function's name is expected here").label("not a name");
        scope.problem(problem.help("put it in quotes"));
        return None;
    };
    let (path, written) = split_signature(&text);
    if written.is_some() {
        return scope.resolve(&[FUNCTION], &text, span);
    }
    let declared = |schema: &Text, name: &Text, scope: &Scope<'_>| {
        scope.load.declared.get(&(schema.clone(), name.clone())).is_some_and(|words| words.contains(&FUNCTION))
    };
    let own = scope.schema.name().text();
    let (home, name) = match reference::split(path).as_deref() {
        Ok([name]) => {
            let home = [own, "public".into()].into_iter().find(|home| declared(home, name, scope));
            match home {
                Some(home) => (home, name.clone()),
                None => return foreign("pg_catalog", name),
            }
        }
        Ok([home, name]) if declared(home, name, scope) => (home.clone(), name.clone()),
        Ok([home, name]) if scope.is_foreign(home) => return foreign(home, name),
        _ => return scope.resolve(&[FUNCTION], &text, span),
    };
    overloaded(&home, &name, types, span, scope)
}

/// The one function of that name that takes these types.
fn overloaded(home: &str, name: &Text, types: &[Text], span: Span, scope: &mut Scope<'_>) -> Option<ObjectId> {
    let exact = ObjectId::routine(find(FUNCTION)?.kind(), Some(schema::id(home)), name.clone(), types.join(", "));
    if scope.load.state.has(&exact) {
        return Some(exact);
    }
    let bare = exact.with_signature(None);
    let takes = |id: &ObjectId| signature::split(id.signature().map_or("", |s| s)).len();
    let same_name = scope.load.state.iter().map(|(id, _)| id).filter(|id| id.with_signature(None) == bare);
    let same_name: Vec<&ObjectId> = same_name.collect();
    let fitting: Vec<&ObjectId> = same_name.iter().copied().filter(|id| takes(id) == types.len()).collect();
    if let ([one], _) | ([], [one]) = (fitting.as_slice(), same_name.as_slice()) {
        return Some((*one).clone());
    }
    let known: Vec<String> = same_name.iter().map(|id| id.path()).collect();
    let problem = Problem::new(span, format!("no function `{name}` takes ({})", types.join(", "))).label("here");
    scope.problem(problem.help(format!("there are {}; say which one is meant: `\"{name}(TYPES)\"`", known.join(", "))));
    None
}

/// A function that the files do not declare: its argument types are not known.
fn foreign(schema: &str, name: &str) -> Option<ObjectId> {
    Some(ObjectId::new(find(FUNCTION)?.kind(), Some(schema::id(schema)), name))
}

/// Adds the properties, and brings all of them into the order of the kind's table.
pub fn write(
    node: &mut Node,
    id: &ObjectId,
    object: &Object,
    keys: &[Key<ObjectId>],
    types: impl Fn(Key<ObjectId>) -> Vec<Text>,
) {
    for key in keys {
        if let Some(function) = object.get(*key) {
            let value = Arg::text(text(function, &types(*key), id.schema()));
            node.props.push(Prop::new(key.name, value));
        }
    }
    let place = |prop: &Prop| id.kind().attrs.iter().position(|a| a.name == &*prop.name).unwrap_or(usize::MAX);
    node.props.sort_by_key(place);
}

/// The function as files say it in an object of `schema`, where `types` are what it gets.
pub fn text(function: &ObjectId, types: &[Text], schema: Option<&ObjectId>) -> String {
    match function.signature() {
        Some(signature) if **signature == *types.join(", ") => {
            generic::reference_text(&function.with_signature(None), schema)
        }
        Some(_) => generic::reference_text(function, schema),
        None if function.schema().is_some_and(|s| s.name().as_str() == "pg_catalog") => {
            reference::join(&[function.name().as_str()])
        }
        None => generic::reference_text(function, None),
    }
}

/// Three SQL expressions for the function with the OID `oid`.
pub fn columns(oid: &str) -> String {
    format!(
        "{oid}::oid, (SELECT n.nspname::text FROM pg_proc f JOIN pg_namespace n ON n.oid = f.pronamespace WHERE f.oid = {oid}), \
         (SELECT f.proname::text FROM pg_proc f WHERE f.oid = {oid})"
    )
}

/// What those expressions gave; functions are named before.
pub fn read(row: &mut Row, book: &Book) -> Option<ObjectId> {
    let (oid, schema, name) = (row.oid(), row.text_opt(), row.text_opt());
    book.get(class::PG_PROC, oid).cloned().or_else(|| foreign(&schema?, &name?))
}

/// The range whose canonical function this is: each needs the other, and they are made and dropped together.
pub fn canonical_of(function: &ObjectId, state: &State) -> Option<ObjectId> {
    let parsed = sql::types::parse(function.signature().filter(|s| !s.contains(','))?).ok()?;
    let id = ObjectId::new(find("range")?.kind(), Some(schema::id(parsed.schema?)), parsed.name);
    (state.get(&id)?.get(CANONICAL)? == function).then_some(id)
}

/// The function in SQL.
pub fn name(function: &ObjectId) -> String {
    sql::schema_path(function, function.name())
}
