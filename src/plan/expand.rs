//! Finds what else has to change: whatever depends on a dropped object is dropped with it and recreated.

use indexmap::IndexMap;
use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};

use crate::kinds::{Direction, Disturbance, Reaction, room, values};
use crate::model::{Address, Change, Edges, Error, Object, ObjectId, Result, State, Value, Within};

use super::graph::{Act, Node};
use super::hazards;

/// What happens to each object, in the order of discovery.
type Acts = IndexMap<ObjectId, Fate, FxBuildHasher>;

enum Fate {
    Create,
    Drop,
    Alter(Vec<&'static str>),
    Replace,
    Rebuild(Vec<ObjectId>),
}

/// The nodes of the graph: the changes, what they disturb, and the parts of everything that is created, dropped or replaced.
///
/// # Errors
/// `Refused` where something depends on a replaced object that cannot be put back without loss.
pub fn nodes(changes: &[Change], old: &State, new: &State, edges: &Edges) -> Result<Vec<Node>> {
    let mut fates = Acts::default();
    let mut out = Vec::new();
    let mut disturbed: Vec<Disturbance> = Vec::new();
    for change in changes {
        let changed: &[&'static str] = match change {
            Change::Alter(_, attrs) => attrs,
            _ => &[],
        };
        let renamed = matches!(change, Change::Rename(..));
        if let Some(whole) = made_with(change.id(), changed, old, new).filter(|_| !renamed) {
            fates.insert(whole, Fate::Replace);
            continue;
        }
        match change {
            Change::Create(id) => {
                fates.insert(id.clone(), Fate::Create);
            }
            Change::Drop(id) => {
                fates.insert(id.clone(), Fate::Drop);
            }
            Change::Alter(id, attrs) => {
                refuse_rows_in_use(id, attrs, edges, new)?;
                fates.insert(id.clone(), Fate::Alter(attrs.clone()));
            }
            Change::Replace(id, _) => {
                fates.insert(id.clone(), Fate::Replace);
            }
            Change::Rename(from, to) => out.push(Node::new(to.clone(), Act::Rename(from.clone()), false)),
        }
    }
    // A change that both grants and revokes, while what it depends on changes too, happens on both sides of that change.
    let both: Vec<ObjectId> = fates
        .iter()
        .filter(|(id, fate)| matches!(fate, Fate::Alter(_)) && moves_with_giver(id, &fates, old, new, edges))
        .map(|(id, _)| id.clone())
        .collect();
    both.into_iter().for_each(|id| _ = fates.insert(id, Fate::Replace));
    // Columns whose values change.
    let mut converted: FxHashSet<ObjectId> = FxHashSet::default();
    for (id, fate) in &fates {
        match fate {
            Fate::Drop | Fate::Replace => disturbed.push(Disturbance::Replaced(id.clone())),
            Fate::Alter(attrs) => {
                let retyped =
                    attrs.iter().any(|a| *a == "type" || *a == "collation") && id.kind().address == Address::MemberOf;
                if retyped {
                    if converts(old.get(id), new.get(id)) {
                        converted.insert(id.clone());
                    }
                    disturbed.push(Disturbance::Retyped(id.clone()));
                }
            }
            _ => {}
        }
    }
    let children = children(old);
    let mut dependents: FxHashMap<&ObjectId, Vec<&ObjectId>> = FxHashMap::default();
    for (id, needs) in edges {
        needs.iter().for_each(|needed| dependents.entry(needed).or_default().push(id));
    }
    dependents.values_mut().for_each(|list| list.sort());
    while let Some(disturbance) = disturbed.pop() {
        let (Disturbance::Replaced(id) | Disturbance::Retyped(id)) = &disturbance;
        let replaced = matches!(disturbance, Disturbance::Replaced(_));
        let mut hit: Vec<&ObjectId> = dependents.get(id).into_iter().flatten().copied().collect();
        if replaced {
            // Its parts are dropped with it, which affects whatever depends on them.
            for part in parts(id, &children) {
                hit.extend(dependents.get(part).into_iter().flatten().copied());
            }
        } else {
            hit.extend(children.get(id).into_iter().flatten().copied()); // a column's default
        }
        for dependent in hit {
            let goes_anyway = std::iter::once(dependent)
                .chain(dependent.ancestors())
                .any(|d| matches!(fates.get(d), Some(Fate::Drop | Fate::Replace | Fate::Create)));
            if goes_anyway || !old.has(dependent) || std::iter::once(id).chain(id.ancestors()).any(|a| dependent == a) {
                continue;
            }
            if !new.has(dependent) {
                continue; // a part of something that goes
            }
            let dropped = matches!(fates.get(id), Some(Fate::Drop));
            if dropped && matches!(fates.get(dependent), Some(Fate::Alter(_))) {
                continue; // altered away from it
            }
            let Some(object) = old.get(dependent) else { continue };
            let room = room(dependent.kind());
            match room.reaction(dependent, object, &disturbance) {
                Reaction::Survives if converted.contains(id) && room.computes(object) => {
                    fates.insert(dependent.clone(), Fate::Replace);
                    disturbed.push(Disturbance::Replaced(dependent.clone()));
                }
                Reaction::Survives => {}
                Reaction::Replace => {
                    fates.insert(dependent.clone(), Fate::Replace);
                    disturbed.push(Disturbance::Replaced(dependent.clone()));
                }
                Reaction::Retype if dropped => {}
                Reaction::Retype => {
                    if let Some(whole) = made_with(dependent, &["type"], old, new) {
                        return Err(in_use(id, &whole, old));
                    }
                    if matches!(fates.get(dependent), Some(Fate::Alter(attrs)) if attrs.contains(&"type")) {
                        continue;
                    }
                    // "cannot alter inherited column": changing the parent's column changes this one.
                    if [old, new].iter().all(|state| !room.inherited_from(dependent, state).is_empty()) {
                        disturbed.push(Disturbance::Retyped(dependent.clone()));
                        continue;
                    }
                    let rebuilt = match fates.get_mut(id) {
                        Some(Fate::Rebuild(columns)) => columns,
                        Some(fate) => {
                            *fate = Fate::Rebuild(Vec::new());
                            match fate {
                                Fate::Rebuild(columns) => columns,
                                _ => continue,
                            }
                        }
                        None => continue,
                    };
                    if !rebuilt.contains(dependent) {
                        rebuilt.push(dependent.clone());
                        disturbed.push(Disturbance::Retyped(dependent.clone()));
                    }
                }
                Reaction::Impossible(why) => {
                    return Err(Error::refused(format!("{id} has to be replaced, but {dependent} depends on it"))
                        .detail(why)
                        .remedy("change it in two plans, or by a plan written by hand (`setpoint plan --empty --save NAME`)"));
                }
            }
        }
    }
    let new_children = self::children(new);
    for (id, fate) in &fates {
        // Parts of what is dropped or created as a whole are handled with it.
        let whole = |f: Option<&Fate>| matches!(f, Some(Fate::Replace | Fate::Rebuild(_)));
        let part = id.kind().within != Within::Schema && id.ancestors().any(|a| whole(fates.get(a)));
        if part {
            continue;
        }
        let node = |id: &ObjectId, act, replaced| Node::new(id.clone(), act, replaced);
        match fate {
            Fate::Create => out.push(node(id, Act::Create, false)),
            Fate::Drop => out.push(node(id, Act::Drop, false)),
            Fate::Alter(attrs) => out.push(node(id, Act::Alter(attrs.clone()), false)),
            Fate::Replace => {
                for (map, act) in [(&children, Act::Drop), (&new_children, Act::Create)] {
                    out.push(node(id, act.clone(), true));
                    out.extend(parts(id, map).into_iter().map(|part| node(part, act.clone(), true)));
                }
            }
            Fate::Rebuild(columns) => {
                out.push(node(id, Act::Rebuild(columns.clone()), true));
                // Its clauses are created with it; comments, owner and grants are recreated after it.
                for part in parts(id, &new_children) {
                    if !(part.kind().folds && part.parent() == Some(id)) {
                        out.push(node(part, Act::Create, true));
                    }
                }
            }
        }
    }
    Ok(out)
}

/// The object that has to be recreated, because PostgreSQL cannot change this part of it while it is in use.
fn made_with(id: &ObjectId, changed: &[&'static str], old: &State, new: &State) -> Option<ObjectId> {
    let whole = if id.kind().within == Within::Schema { id } else { id.parent()? };
    let stays = old.has(whole) && new.has(whole);
    (stays && room(id.kind()).is_held(id, changed, old)).then(|| whole.clone())
}

/// A type would have to be recreated inside another type that is recreated.
fn in_use(id: &ObjectId, whole: &ObjectId, old: &State) -> Error {
    let users: Vec<String> = values::columns_of(old, whole).into_iter().take(3).map(ToString::to_string).collect();
    Error::refused(format!("{id} has to be replaced, but {whole} is made of it, and in use"))
        .detail(format!("PostgreSQL does not change an attribute of a type while there are columns of it: {}", users.join(", ")))
        .remedy(
            "in one plan, let these columns be text; in a second one, change the types; in a third one, give the columns their type again",
        )
}

/// PostgreSQL does not change a column's type while other columns hold values of the table's row type.
fn refuse_rows_in_use(id: &ObjectId, changed: &[&'static str], edges: &Edges, new: &State) -> Result<()> {
    let Some(table) = id.parent().filter(|_| changed.contains(&"type") && id.kind().word == "column") else {
        return Ok(());
    };
    let holds = |user: &ObjectId| user.kind() == id.kind() && user.parent() != Some(table) && new.has(user);
    let mut users: Vec<&ObjectId> =
        edges.iter().filter(|(user, needs)| holds(user) && needs.contains(table)).map(|(user, _)| user).collect();
    users.sort();
    let Some(user) = users.first() else { return Ok(()) };
    Err(Error::refused(format!("{id} cannot get another type while {user} holds rows of {table}"))
        .detail("PostgreSQL would have to change the values there, too")
        .remedy(format!(
            "in one plan, let {user} be text; in a second one, change {id}; in a third one, give it its type again"
        )))
}

fn moves_with_giver(id: &ObjectId, fates: &Acts, old: &State, new: &State, edges: &Edges) -> bool {
    let altered = |other: &ObjectId| matches!(fates.get(other), Some(Fate::Alter(_)));
    let (Some(before), Some(after)) = (old.get(id), new.get(id)) else { return false };
    edges.get(id).is_some_and(|givers| givers.iter().any(altered))
        && room(id.kind()).change(id, before, after) == Direction::Both
}

type ChildMap<'a> = FxHashMap<&'a ObjectId, Vec<&'a ObjectId>>;

fn children(state: &State) -> ChildMap<'_> {
    let mut map = ChildMap::default();
    for (id, _) in state.iter() {
        if let Some(parent) = id.parent().filter(|_| id.kind().within != Within::Schema) {
            map.entry(parent).or_default().push(id);
        }
    }
    map
}

/// Everything inside an object, outer parts first.
fn parts<'a>(id: &ObjectId, children: &ChildMap<'a>) -> Vec<&'a ObjectId> {
    let mut out: Vec<&ObjectId> = children.get(id).cloned().unwrap_or_default();
    let mut at = 0;
    while let Some(part) = out.get(at).copied() {
        out.extend(children.get(part).into_iter().flatten().copied());
        at += 1;
    }
    out
}

/// True if the values of a column have to be converted, so that expressions see another type.
fn converts(old: Option<&Object>, new: Option<&Object>) -> bool {
    let sql_type = |object: Option<&Object>| match object?.value("type")? {
        Value::Type(sql_type) => Some(sql_type.clone()),
        _ => None,
    };
    sql_type(old).zip(sql_type(new)).is_some_and(|(old, new)| old != new && !hazards::binary_compatible(&old, &new))
}
