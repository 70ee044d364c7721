//! Names that go around in a circle, said by `was`: whether that was done already, and what has which name meanwhile.
//!
//! Where both objects are there in both states, the names do not say whether they were exchanged. What the objects are may say it, or what
//! the database's revisions did.

use rustc_hash::FxHashSet;

use super::compare;
use super::rename::{follow, has};
use crate::model::{Address, Edges, MAX_NAME_BYTES, Namespace, ObjectId, State};

/// The renames that a plan did, in their order: the old and the new address as plans write them.
pub type Done = Vec<(String, String)>;

/// A rename that is wanted: the old and the new address.
pub type Pair = (ObjectId, ObjectId);

/// The circles among wanted renames whose names are all there.
pub fn circles(wanted: &[Pair], old: &State) -> Vec<Vec<Pair>> {
    let mut seen: FxHashSet<&ObjectId> = FxHashSet::default();
    let mut out = Vec::new();
    for start in wanted {
        let mut circle: Vec<&Pair> = Vec::new();
        let mut next = Some(start);
        while let Some(pair) = next.filter(|pair| has(old, &pair.0) && !seen.contains(&pair.1)) {
            seen.insert(&pair.1);
            circle.push(pair);
            next = wanted.iter().find(|(_, to)| *to == pair.0);
        }
        let closes = circle.last().is_some_and(|(from, _)| *from == start.1);
        // Each gives its name to the one before it.
        if circle.len() > 1 && closes {
            out.push(circle.into_iter().cloned().collect());
        }
    }
    out
}

/// The renames that `new` asks for among names that are all there.
pub fn asked(old: &State, new: &State) -> bool {
    let wanted: Vec<Pair> = new.renames().map(|(id, was, _)| (id.renamed(was.clone()), id.clone())).collect();
    wanted.iter().any(|(from, to)| has(new, from) && has(new, to)) && !circles(&wanted, old).is_empty()
}

/// True if the objects of a circle have their new names already.
pub fn is_done(circle: &[Pair], old: &State, new: &State, done: &[Done]) -> bool {
    let now = differences(circle, old, new);
    let (mut state, mut edges) = (old.clone(), Edges::default());
    for (from, to) in steps(circle, old, new) {
        (state, edges) = follow(state, edges, &from, &to);
    }
    let then = differences(circle, &state, new);
    match now.cmp(&then) {
        std::cmp::Ordering::Less => true,
        std::cmp::Ordering::Greater => false,
        std::cmp::Ordering::Equal => {
            done.iter().any(|plan| circle.iter().all(|(from, to)| leads(plan, &from.to_string(), &to.to_string())))
        }
    }
}

/// True if one address became the other.
fn leads(plan: &Done, from: &str, to: &str) -> bool {
    let mut at = from;
    for (before, after) in plan {
        if before == at {
            at = after;
        }
    }
    at == to && at != from
}

/// In how much the objects of a circle are not what they should be, whatever their constraints and indexes are called.
fn differences(circle: &[Pair], old: &State, new: &State) -> usize {
    let part = |state: &State| {
        let mut out = State::default();
        let ours = |id: &ObjectId| {
            std::iter::once(id).chain(id.ancestors()).any(|own| {
                circle.iter().any(|(_, to)| to == own || to.kind().address == Address::Part && to.parent() == Some(own))
            })
        };
        for (id, object) in state.iter().filter(|(id, _)| ours(id)) {
            let named_freely = |id: &ObjectId| {
                !circle.iter().any(|(_, to)| to == id)
                    && (id.kind().address == Address::Beside
                        || matches!(
                            id.kind().namespace,
                            Namespace::Constraint | Namespace::IndexConstraint | Namespace::PrimaryKey
                        ))
            };
            if !std::iter::once(id).chain(id.ancestors()).any(named_freely) {
                out.put(id.clone(), object.clone());
            }
        }
        out
    };
    let found = compare(&part(old), &part(new));
    // The default of a serial column names its sequence, which is called after the table.
    let open = found.open.iter().filter(|open| open.id.kind().word != "default").count();
    found.created.len() + found.dropped.len() + found.changed.len() + open
}

/// The renames of a circle one after the other: the first object has a third name meanwhile.
pub fn steps(circle: &[Pair], old: &State, new: &State) -> Vec<Pair> {
    let Some(((first, last), rest)) = circle.split_first() else { return Vec::new() };
    let aside = aside(first, old, new);
    let mut out = vec![(first.clone(), aside.clone())];
    out.extend(rest.iter().cloned());
    // `rest` begins with the one that gets the name of the first.
    out.push((aside, last.clone()));
    out
}

/// A name that nothing of the same kind, and nothing else around, has.
fn aside(id: &ObjectId, old: &State, new: &State) -> ObjectId {
    let taken = |name: &str| {
        let other = |other: &ObjectId| other.name().as_str() == name && other.schema() == id.schema();
        old.iter().chain(new.iter()).any(|(id, _)| other(id))
            || [old, new].iter().any(|state| has(state, &id.renamed(name)))
    };
    let own = id.name().as_str();
    let mut name = String::new();
    for number in 1..10_000 {
        let end = if number == 1 { "_meanwhile".to_string() } else { format!("_meanwhile{number}") };
        let room = MAX_NAME_BYTES - end.len();
        name = format!("{}{end}", &own[..own.floor_char_boundary(room.min(own.len()))]);
        if !taken(&name) {
            break;
        }
    }
    id.renamed(name)
}

/// Renames that follow others, in an order in which each name is free when it is taken; a circle of them goes by a third name. Keys and
/// indexes of two tables share the names of their schema.
pub fn in_order(mut pairs: Vec<Pair>, old: &State, new: &State) -> Vec<Pair> {
    let mut out = Vec::new();
    while !pairs.is_empty() {
        let free =
            |at: usize| !pairs.iter().enumerate().any(|(i, (from, _))| i != at && shares_name(from, &pairs[at].1));
        match (0..pairs.len()).find(|at| free(*at)) {
            Some(at) => out.push(pairs.remove(at)),
            None => {
                let (from, to) = pairs.remove(0);
                let third = aside(&from, old, new);
                out.push((from, third.clone()));
                pairs.push((third, to));
            }
        }
    }
    out
}

/// True if only one of the two can exist: names of relations are those of a schema, names of constraints those of a table.
pub fn shares_name(one: &ObjectId, other: &ObjectId) -> bool {
    let relation = |id: &ObjectId| {
        matches!(id.kind().namespace, Namespace::Relation | Namespace::IndexConstraint | Namespace::PrimaryKey)
    };
    let constraint = |id: &ObjectId| {
        matches!(id.kind().namespace, Namespace::Constraint | Namespace::IndexConstraint | Namespace::PrimaryKey)
    };
    one == other
        || one.name() == other.name()
            && (relation(one) && relation(other) && one.schema() == other.schema()
                || constraint(one) && constraint(other) && one.parent() == other.parent())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{find, schema};
    use crate::model::{Attrs, Ident, Key, Object, SqlType};

    const TYPE: Key<SqlType> = Key::new("type");

    fn column(name: &str) -> ObjectId {
        let table = ObjectId::new(find("table").unwrap().kind(), Some(schema::id("public")), "t");
        ObjectId::new(find("column").unwrap().kind(), Some(table), name)
    }

    fn state(columns: &[(&str, &str)]) -> State {
        let mut state = State::default();
        for (name, sql_type) in columns {
            state.put(column(name), Object::new(Attrs::new().with(TYPE, SqlType::new(*sql_type))));
        }
        state
    }

    #[test]
    fn a_circle_goes_by_a_third_name() {
        let old = state(&[("a", "integer"), ("b", "text"), ("c", "date"), ("a_meanwhile", "date")]);
        let pair = |from, to| (column(from), column(to));
        let wanted = [pair("a", "b"), pair("b", "c"), pair("c", "a")];
        let circles = circles(&wanted, &old);
        assert_eq!(circles.len(), 1);
        let steps = steps(&circles[0], &old, &old);
        let names: Vec<_> = steps.iter().map(|(a, b)| format!("{} {}", a.name().as_str(), b.name().as_str())).collect();
        assert_eq!(names, ["a a_meanwhile2", "c a", "b c", "a_meanwhile2 b"]);
        assert!(super::circles(&[pair("a", "b"), pair("b", "x")], &old).is_empty());
    }

    #[test]
    fn what_the_objects_are_says_whether_they_were_exchanged_or_else_the_revisions_do() {
        let circle = [(column("a"), column("b")), (column("b"), column("a"))];
        let (here, there) = (state(&[("a", "integer"), ("b", "text")]), state(&[("a", "text"), ("b", "integer")]));
        assert!(!is_done(&circle, &here, &there, &[]) && is_done(&circle, &there, &there, &[]));
        let alike = state(&[("a", "integer"), ("b", "integer")]);
        assert!(!is_done(&circle, &alike, &alike, &[]));
        let step = |from: &str, to: &str| (column(from).to_string(), column(to).to_string());
        let plan = vec![step("a", "a_meanwhile"), step("b", "a"), step("a_meanwhile", "b")];
        assert!(is_done(&circle, &alike, &alike, &[vec![], plan]));
        let _ = Ident::from("a");
    }

    #[test]
    fn names_are_free_when_they_are_taken() {
        let index = |table: &str, name: &str| {
            let table = ObjectId::new(find("table").unwrap().kind(), Some(schema::id("public")), table);
            ObjectId::new(find("primary-key").unwrap().kind(), Some(table), name)
        };
        let (empty, pair) = (State::default(), |table, from, to| (index(table, from), index(table, to)));
        let order = |pairs| {
            let steps = in_order(pairs, &empty, &empty).into_iter();
            steps.map(|(a, b)| format!("{} {}", a.name().as_str(), b.name().as_str())).collect::<Vec<_>>()
        };
        assert_eq!(
            order(vec![pair("a", "b_pkey", "a_pkey"), pair("c", "a_pkey", "c_pkey")]),
            ["a_pkey c_pkey", "b_pkey a_pkey"]
        );
        let swapped = order(vec![pair("a", "b_pkey", "a_pkey"), pair("b", "a_pkey", "b_pkey")]);
        assert_eq!(swapped, ["b_pkey b_pkey_meanwhile", "a_pkey b_pkey", "b_pkey_meanwhile a_pkey"]);
    }
}
