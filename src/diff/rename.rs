//! Applies declared renames (`was=old`, never guessed) to the first state, so that both states use the new names.

use crate::kinds::{IS_TYPE, inheritance, room};
use crate::model::{
    Address, Attrs, Change, Edges, Error, Expr, Ident, InFiles, Namespace, Object, ObjectId, Result, Span, State,
    Value, Wrong,
};
use crate::sql;

use super::renamed_texts::{exchanged, exchanged_constant, exchanged_string};
use super::renamed_types::retype;
use super::{renamed_along, swap};

/// The first state (and its edges) as it is once the renames that the second state asks for are done, and these renames.
/// A `was` whose old object is gone did its work and means nothing. `done` are the renames of the database's revisions: they count where names
/// go around in a circle.
///
/// # Errors
/// `Config` where an old name is still there and the rename cannot be done, since the new one also exists.
pub fn apply(
    mut old: State,
    mut edges: Edges,
    new: &State,
    done: &[swap::Done],
) -> Result<(State, Edges, Vec<Change>)> {
    let mut changes = Vec::new();
    let first = new.renames().next().map(|_| old.clone());
    let mut wanted: Vec<(ObjectId, ObjectId)> =
        new.renames().map(|(id, was, _)| (id.renamed(was.clone()), id.clone())).collect();
    // Outer objects first: the old id of a column is that of its table's new name. Where a name is to be reused, its owner goes
    // first.
    wanted.sort_by_key(|(_, to)| to.ancestors().count());
    let depth = |id: &ObjectId| id.ancestors().count();
    let mut depths: Vec<usize> = wanted.iter().map(|(_, to)| depth(to)).collect();
    depths.dedup();
    for level in depths {
        let at_level: Vec<_> = wanted.iter().filter(|(_, to)| depth(to) == level).cloned().collect();
        for circle in swap::circles(&at_level, &old) {
            wanted.retain(|pair| !circle.contains(pair));
            let steps =
                if swap::is_done(&circle, &old, new, done) { Vec::new() } else { swap::steps(&circle, &old, new) };
            for (from, to) in steps {
                (old, edges) = follow(old, edges, &from, &to);
                changes.push(Change::Rename(from, to));
            }
        }
        loop {
            let free = |from: &ObjectId| {
                !has(new, from)
                    || wanted
                        .iter()
                        .any(|(other, to)| to == from && (has(&old, other) || wanted.iter().any(|(_, to)| to == other)))
            };
            let ready = |(from, to): &(ObjectId, ObjectId)| {
                depth(to) <= level && has(&old, from) && !has(&old, to) && free(from)
            };
            let Some((from, to)) = wanted.iter().position(ready).map(|at| wanted.remove(at)) else { break };
            (old, edges) = follow(old, edges, &from, &to);
            changes.push(Change::Rename(from, to));
        }
    }
    refuse(&wanted, &old, new)?;
    let mut more = along(&old, new);
    loop {
        more.extend(renamed_along::pairs(first.as_ref().unwrap_or(&old), &old, new, &changes));
        if more.is_empty() {
            break;
        }
        // Once more: a foreign key is the same only when the key that it references has its new name.
        // What a table inherits has followed its parent's already, and cannot be renamed by itself.
        let pairs = std::mem::take(&mut more);
        let follows = |(id, _): &(ObjectId, ObjectId)| {
            let origins = inheritance::origins(&old, id);
            pairs.iter().any(|(from, _)| origins.contains(from))
        };
        let (inherited, own): (Vec<_>, Vec<_>) = pairs.iter().cloned().partition(follows);
        let own = swap::in_order(own, &old, new);
        for ((from, to), own) in
            own.into_iter().map(|pair| (pair, true)).chain(inherited.into_iter().map(|pair| (pair, false)))
        {
            if has(&old, &from) {
                (old, edges) = follow(old, edges, &from, &to);
                changes.extend(own.then_some(Change::Rename(from, to)));
            }
        }
    }
    // A type that is created with an object of another name may get a new one automatically.
    let other = |id: &ObjectId, object: &Object| room(id.kind()).other_type(id, object);
    let now = new.iter().filter_map(|(id, object)| Some((id, other(id, object)?)));
    let renamed: Vec<_> = now.filter_map(|(id, to)| Some((other(id, old.get(id)?)?, to))).collect();
    for (from, to) in renamed.into_iter().filter(|(from, to)| from != to) {
        (old, edges) = retype(old, edges, &from, &to);
    }
    Ok((old, edges, changes))
}

/// What has no name of its own and belongs to the same object in both states: it is called after that one, which has another name.
fn along(old: &State, new: &State) -> Vec<(ObjectId, ObjectId)> {
    let whose = |id: &ObjectId, state: &State| room(id.kind()).vanishes_with(id, state);
    let unnamed = new.iter().filter(|(_, object)| object.unnamed);
    let owned = unnamed.filter_map(|(id, _)| Some((id, whose(id, new).filter(|owner| old.has(owner))?)));
    let mut out: Vec<(ObjectId, ObjectId)> = Vec::new();
    for (to, owner) in owned.filter(|(id, owner)| whose(id, old).as_ref() != Some(owner)) {
        // Where names are exchanged, the old one is another one's.
        let left = |id: &&ObjectId| {
            id.schema() == to.schema()
                && new.get(id).is_none_or(|now| now.unnamed && whose(id, new).as_ref() != Some(&owner))
        };
        let mut theirs = old
            .of_kind(to.kind().word)
            .map(|(id, _)| id)
            .filter(left)
            .filter(|id| whose(id, old).as_ref() == Some(&owner));
        if let (Some(from), None) = (theirs.next(), theirs.next()) {
            out.push((from.clone(), to.clone()));
        }
    }
    // A name that something keeps is not free.
    loop {
        let kept = |(_, to): &(ObjectId, ObjectId)| old.has(to) && !out.iter().any(|(from, _)| from == to);
        let Some(at) = out.iter().position(kept) else { break };
        out.remove(at);
    }
    out
}

/// Lets strings that name renamed relations follow, as PostgreSQL prints its constants (`'app.s'::regclass`): they hold no name, but
/// the relation itself. True if there were any.
pub fn constants_follow(state: &mut State, renames: &[Change]) -> bool {
    let mut followed = false;
    for change in renames {
        let Change::Rename(from, to) = change else { continue };
        let (from, to) = match (from.kind().namespace, from.kind().address) {
            (Namespace::Relation, Address::Qualified) => (sql::path(from), sql::path(to)),
            _ => continue,
        };
        for value in state.objects_mut().values_mut().flat_map(|object| object.attrs.iter_mut()).map(|(_, value)| value)
        {
            if let Value::Expr(expr) = value
                && let Some(text) = exchanged_string(expr.as_str(), &from, &to)
            {
                *expr = Expr::new(text);
                followed = true;
            }
        }
    }
    followed
}

/// Lets what is called after renamed objects keep the name that it had under theirs: PostgreSQL does not rename it along. True if there
/// was anything.
pub fn names_stay(state: &mut State, renames: &[Change]) -> bool {
    let mut stayed = false;
    for (id, object) in state.objects_mut() {
        let before = renames.iter().rev().fold(None, |before: Option<ObjectId>, change| match change {
            Change::Rename(from, to) => before.as_ref().unwrap_or(id).rebased(to, from).or(before),
            _ => before,
        });
        stayed |= before.is_some_and(|before| room(id.kind()).keeps_name(&before, object));
    }
    stayed
}

/// Fails for renames that are still requested and cannot be done: both objects exist, or the table has the old one from a parent. Where the
/// files have another object under the old name, which was called something else itself, a chain of renames is done.
fn refuse(wanted: &[(ObjectId, ObjectId)], old: &State, new: &State) -> Result<()> {
    let said: Vec<(&ObjectId, &Ident, Option<Span>)> = new.renames().collect();
    let done = |from: &ObjectId, to: &ObjectId| has(old, to) && said.iter().any(|(id, ..)| *id == from);
    let mut places: Vec<Wrong> = Vec::new();
    for (from, to) in wanted {
        let reason = match inherited(from, to, old) {
            _ if has(old, from) && !done(from, to) => both(from, to),
            Some(origin) => inherits(from, to, &origin),
            None => continue,
        };
        let place = said.iter().find(|(id, ..)| *id == to).and_then(|(_, _, place)| *place);
        let (message, help) = reason;
        let label = format!("was `{}`", from.name().as_str());
        places.push(Wrong { span: place.unwrap_or_default(), message, label, help });
    }
    let Some(first) = places.first() else { return Ok(()) };
    let mut error = Error::config(first.message.clone()).remedy(first.help.clone());
    error.details = places.iter().skip(1).map(|wrong| wrong.message.clone()).collect();
    error.in_files = Some(Box::new(InFiles(places)));
    Err(error)
}

/// What the old name is inherited from, if that is the only thing of that name and nothing has the new one.
fn inherited(from: &ObjectId, to: &ObjectId, old: &State) -> Option<ObjectId> {
    let origin = |id: &ObjectId| room(id.kind()).inherited_from(id, old).into_iter().next();
    origin(from).filter(|_| !has(old, from) && !has(old, to) && origin(to).is_none())
}

/// Why an object cannot get a name that another one has, and what to do.
fn both(from: &ObjectId, to: &ObjectId) -> (String, String) {
    let (from_name, to_name) = (from.name().as_str(), to.name().as_str());
    let help = format!(
        "to keep what `{from_name}` holds, drop or rename `{to_name}` in a separate plan first; to keep what \
         `{to_name}` holds, remove `was={from_name}`, and the plan then drops `{from_name}` unless it is declared"
    );
    (format!("{from} cannot become {to}: the database has both"), help)
}

/// Why an object that a table inherits cannot be renamed by itself, and what to do.
fn inherits(from: &ObjectId, to: &ObjectId, origin: &ObjectId) -> (String, String) {
    let whose = |id: &ObjectId| id.parent().map_or_else(String::new, ObjectId::to_string);
    let (heir, parent) = (whose(from), whose(origin));
    let help = format!(
        "rename it in {parent}; or plan and apply that {heir} leaves {parent}, and rename it in the next plan, which \
         keeps its values"
    );
    (format!("{from} cannot become {to}: {heir} inherits it from {parent}"), help)
}

/// The objects of the second state whose `was` did its work in the first one. Their old addresses are those in the new ones.
pub fn done(old: &State, new: &State) -> Vec<ObjectId> {
    let done = new.renames().filter(|(id, was, _)| has(old, id) && !has(old, &id.renamed((*was).clone())));
    done.map(|(id, ..)| id.clone()).collect()
}

/// True if the state has the object, or a part of that name that is not an object.
pub fn has(state: &State, id: &ObjectId) -> bool {
    match id.parent().filter(|_| id.kind().address == Address::Part) {
        Some(whole) => state.get(whole).is_some_and(|whole| room(id.kind()).is_in(id.name(), whole)),
        None => state.has(id),
    }
}

/// The state and its edges once `from` is called `to`; what is of that type is of the renamed one.
pub fn follow(old: State, edges: Edges, from: &ObjectId, to: &ObjectId) -> (State, Edges) {
    if from.kind().address == Address::Part {
        return (relabel(old, from, to), edges);
    }
    let others = old.get(from).map(|object| {
        let room = room(from.kind());
        (room.other_type(from, object), room.other_type(to, object))
    });
    let heirs = constraints_of_heirs(&old, from, to);
    let (mut old, mut edges) = rebase(old, edges, from, to);
    for (from, to) in heirs {
        (old, edges) = rebase(old, edges, &from, &to);
    }
    for (from, to) in inheritance::inherited_as(&old, from, to) {
        (old, edges) = rebase(old, edges, &from, &to);
    }
    if IS_TYPE.contains(&from.kind().word) || from.kind().address == Address::Schema {
        (old, edges) = retype(old, edges, from, to);
    }
    if let Some((Some(from), Some(to))) = others {
        (old, edges) = retype(old, edges, &from, &to);
    }
    for (id, object) in old.objects_mut().iter_mut() {
        room(id.kind()).follow(object, from, to);
        room(id.kind()).sort(object);
    }
    let called = |(id, object): (&ObjectId, &Object)| Some((id.clone(), room(id.kind()).called_after(id, object)?));
    let moved: Vec<(ObjectId, ObjectId)> = old.iter().filter_map(called).filter(|(id, to)| id != to).collect();
    moved.into_iter().fold((old, edges), |(old, edges), (from, to)| rebase(old, edges, &from, &to))
}

/// Where a constraint gets another name: the old and the new address of what heirs declare again, which has that name, too.
fn constraints_of_heirs(state: &State, from: &ObjectId, to: &ObjectId) -> Vec<(ObjectId, ObjectId)> {
    let Some(table) = from.parent().filter(|_| from.kind().namespace == Namespace::Constraint) else {
        return Vec::new();
    };
    let heirs = inheritance::heirs(state);
    let theirs = heirs.get(table).into_iter().flatten().map(|heir| from.moved(Some(heir.clone())));
    let own = theirs.filter(|id| state.has(id) && !room(id.kind()).inherited_from(id, state).is_empty());
    own.map(|id| (id.clone(), id.renamed(to.name().clone()))).collect()
}

/// The state once the part `from` of an object is called `to`, and likewise wherever it occurs as a constant. Constants of arrays and the
/// like are left: there the comparison asks the server.
fn relabel(mut state: State, from: &ObjectId, to: &ObjectId) -> State {
    let room = room(from.kind());
    if let Some(whole) = from.parent().and_then(|whole| state.objects_mut().get_mut(whole)) {
        room.rename_in(from.name(), to.name(), whole);
    }
    if let (Some(from), Some(to)) = (room.constant(from), room.constant(to)) {
        let values = state.objects_mut().values_mut().flat_map(|object| object.attrs.iter_mut());
        values.for_each(|(_, value)| respell(value, &from, &to));
    }
    state
}

fn respell(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::Expr(expr) => {
            if let Some(text) = exchanged_constant(expr.as_str(), from, to) {
                *expr = Expr::new(text);
            }
        }
        Value::List(list) => list.iter_mut().for_each(|v| respell(v, from, to)),
        Value::Record(record) => record.iter_mut().for_each(|(_, v)| respell(v, from, to)),
        _ => {}
    }
}

/// The state and its edges with `from`, and everything inside it, under its new address.
pub(super) fn rebase(old: State, edges: Edges, from: &ObjectId, to: &ObjectId) -> (State, Edges) {
    let id = |id: ObjectId| id.rebased(from, to).unwrap_or(id);
    let mut state = State::default();
    for (key, mut object) in old.into_objects() {
        attrs(&mut object.attrs, from, to);
        state.put(id(key), object);
    }
    let edges = edges.into_iter().map(|(key, list)| (id(key), list.into_iter().map(id).collect())).collect();
    (state, edges)
}

/// The address before the renames.
pub fn before(id: &ObjectId, renames: &[Change]) -> ObjectId {
    renames.iter().rev().fold(id.clone(), |id, change| match change {
        Change::Rename(from, to) => id.rebased(to, from).unwrap_or(id),
        _ => id,
    })
}

/// The object as it would be with its references to `from`, and to what is inside, led to `to`.
pub fn moved(object: &Object, from: &ObjectId, to: &ObjectId) -> Object {
    let mut object = object.clone();
    attrs(&mut object.attrs, from, to);
    object
}

fn attrs(attrs: &mut Attrs, from: &ObjectId, to: &ObjectId) {
    attrs.iter_mut().for_each(|(_, v)| value(v, from, to));
}

fn value(v: &mut Value, from: &ObjectId, to: &ObjectId) {
    match v {
        Value::Ref(id) => {
            if let Some(new) = id.rebased(from, to) {
                *id = new;
            }
        }
        Value::List(list) => list.iter_mut().for_each(|v| value(v, from, to)),
        Value::Record(record) => attrs(record, from, to),
        // Stored text follows a rename by itself, and is qualified. Relations are printed with aliases and without schemas, too:
        // there the comparison asks the server.
        Value::Expr(expr) if to.kind().namespace != Namespace::Relation && from.schema().is_some() => {
            let named =
                |id: &ObjectId| matches!(id.kind().address, Address::Qualified | Address::Routine | Address::PerMethod);
            if named(from) && named(to) {
                let path = |id: &ObjectId| sql::schema_path(id, id.name());
                if let Some(text) = exchanged(expr.as_str(), &path(from), &path(to)) {
                    *expr = Expr::new(text);
                }
                if let Some(text) = exchanged_string(expr.as_str(), &path(from), &path(to)) {
                    *expr = Expr::new(text);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{find, schema};
    use crate::model::{Ident, Key, SqlType};

    const TYPE: Key<SqlType> = Key::new("type");

    #[test]
    fn names_in_stored_text_are_exchanged() {
        let to = |text: &str| exchanged(text, "app.f", "app.\"G\"");
        assert_eq!(
            to("(app.f(a) + b.app.f(1)) || app.f2(x)").as_deref(),
            Some("(app.\"G\"(a) + b.app.f(1)) || app.f2(x)")
        );
        assert_eq!(to("'app.f('::text || \"app.f\""), None);
        assert_eq!(to("'it''s'::app.f").as_deref(), Some("'it''s'::app.\"G\""));
    }

    #[test]
    fn strings_that_name_objects_are_exchanged() {
        let to = |text: &str| exchanged_string(text, "app.c", "app.d");
        let stored = "f('app.c'::regconfig, 'app.c'::text, 'app.c2'::regconfig)";
        assert_eq!(to(stored).as_deref(), Some("f('app.d'::regconfig, 'app.c'::text, 'app.c2'::regconfig)"));
        assert_eq!(to("'x ''app.c''::regconfig'"), None);
    }

    #[test]
    fn constants_are_exchanged() {
        let to = |text: &str| exchanged_constant(text, "'it''s'::app.m", "'b'::app.m");
        let stored =
            "a = 'it''s'::app.m OR b = 'it''s'::app.m[] OR c = 'it''s'::app.m2 OR d = ANY ('{it''s}'::app.m[])";
        assert_eq!(to(stored), Some(stored.replacen("'it''s'", "'b'", 1)));
        assert_eq!(to("'''it''''s''::app.m'::text"), None);
    }

    #[test]
    fn what_is_of_a_type_follows_its_rename() {
        let home = || Some(schema::id("app"));
        let id = |word: &str, name: &str| ObjectId::new(find(word).unwrap().kind(), home(), name);
        let function = |types: &str| ObjectId::routine(find("function").unwrap().kind(), home(), "f", types);
        let column = ObjectId::new(find("column").unwrap().kind(), Some(id("table", "t")), "c");
        let of = |name: &str| Object::new(Attrs::new().with(TYPE, SqlType::new(name)));
        let mut old = State::default();
        old.put(id("range", "arange"), Object::default());
        old.put(column.clone(), of("app.amultirange[]"));
        old.put(function("integer, app.arange"), Object::default());
        let mut new = State::default();
        new.put(id("range", "brange"), Object { was: Some(Ident::from("arange")), ..Object::default() });
        let edges = [(column.clone(), vec![id("range", "arange")])].into_iter().collect();
        let (state, edges, changes) = apply(old, edges, &new, &[]).unwrap();
        assert_eq!(changes.len(), 1);
        assert_eq!(state.get(&column), Some(&of("app.bmultirange[]")));
        assert!(state.has(&function("integer, app.brange")) && state.len() == 3);
        assert_eq!(edges.get(&column), Some(&vec![id("range", "brange")]));
    }

    /// Of every kind that has a name of its own: an old name that exists is followed, one that is gone is ignored, and one that is
    /// there beside the new one is refused.
    #[test]
    fn no_old_name_is_forgotten_while_both_are_there() {
        let mut seen = 0;
        for kind in crate::kinds::rooms().iter().map(|room| room.kind()) {
            let home = Some(schema::id("app"));
            let table = || Some(ObjectId::new(find("table").unwrap().kind(), home.clone(), "t"));
            let id = |name: &str| match kind.address {
                Address::Qualified => ObjectId::new(kind, home.clone(), name),
                Address::Routine => ObjectId::routine(kind, home.clone(), name, "integer"),
                Address::PerMethod => ObjectId::routine(kind, home.clone(), name, "btree"),
                Address::MemberOf | Address::NamedOn | Address::Beside => ObjectId::new(kind, table(), name),
                Address::Global | Address::Schema => ObjectId::new(kind, None, name),
                Address::Part | Address::Facet => ObjectId::facet(kind, schema::id("app")),
            };
            if matches!(kind.address, Address::Part | Address::Facet) {
                continue; // no name, or none that is an object's
            }
            seen += 1;
            let state = |names: &[&str], was: Option<&str>| {
                let mut state = State::default();
                for name in names {
                    state.put(id(name), Object { was: was.map(Ident::from), ..Object::default() });
                }
                state
            };
            let files = state(&["new"], Some("old"));
            let renames =
                |there: &[&str]| apply(state(there, None), Edges::default(), &files, &[]).map(|(.., changes)| changes);
            assert_eq!(renames(&["old"]).unwrap(), [Change::Rename(id("old"), id("new"))], "{}", kind.word);
            assert_eq!(renames(&["new"]).unwrap(), [], "{}", kind.word);
            assert_eq!(renames(&[]).unwrap(), [], "{}", kind.word);
            let error = renames(&["new", "old"]).unwrap_err();
            assert!(error.message.contains("the database has both"), "{error}");
            assert_eq!(error.in_files.map(|wrong| wrong.0.len()), Some(1));
        }
        assert!(seen > 20, "{seen}");
    }
}
