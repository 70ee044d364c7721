//! What operator families and operator classes share: the operators and functions in them, and which of the two they belong to.
//!
//! PostgreSQL keeps all of them in the family. Where it says that one belongs to a class depends on the version and on the access method
//! (`amadjustmembers`, since 14), but not on what anybody wrote. So setpoint goes by types: what works on a class's own type belongs to
//! that class, and so does everything in a family that has one class only, of its own name.

mod catalog;
mod ddl;
mod files;

pub use catalog::{MEMBERS, NAMING, joins, name, read};
pub use ddl::{Member, add, clauses, only_adds, remove, remove_added, removes_added, same};
pub use files::{address, family_named, family_text, members, rest, write};

use crate::kinds::find;
use crate::model::{Attr, Attrs, Form, Ident, Key, Object, ObjectId, OnChange, Shape, SqlType, State, Text, attr};
use crate::sql::signature;

/// The words of the two kinds.
pub const FAMILY: &str = "operator-family";
pub const CLASS: &str = "operator-class";

pub const USING: Key<Text> = Key::new("using");
pub const OPERATORS: Key<Vec<Attrs>> = Key::new("operator");
pub const FUNCTIONS: Key<Vec<Attrs>> = Key::new("function");
/// For classes: the type that it is for, and its family if that has another name.
pub const FOR_TYPE: Key<SqlType> = Key::new("for-type");
pub const OF_FAMILY: Key<ObjectId> = Key::new("family");
/// For families: a class of its name says all that there is to say.
pub const IMPLIED: Key<bool> = Key::new("implied");

const NUMBER: Key<i64> = Key::new("number");
const OPERATOR: Key<ObjectId> = Key::new("operator");
const FOR_ORDER_BY: Key<ObjectId> = Key::new("for-order-by");
const FUNCTION: Key<ObjectId> = Key::new("function");
const LEFT_ARG: Key<SqlType> = Key::new("left-arg");
const RIGHT_ARG: Key<SqlType> = Key::new("right-arg");

static OPERATOR_MEMBER: [Attr; 3] = [
    attr(NUMBER, Shape::Int, Form::Argument, OnChange::Replace, "The strategy number."),
    attr(
        OPERATOR,
        Shape::Ref(&["operator"]),
        Form::Argument,
        OnChange::Replace,
        "The operator; with the types of its operands if they differ from the class's type: `\"<(integer, bigint)\"`.",
    ),
    attr(
        FOR_ORDER_BY,
        Shape::Ref(&[FAMILY]),
        Form::Property,
        OnChange::Replace,
        "For an operator that sorts instead of searching: the B-tree operator family that sorts its results.",
    ),
];

static FUNCTION_MEMBER: [Attr; 4] = [
    attr(NUMBER, Shape::Int, Form::Argument, OnChange::Replace, "The support number."),
    attr(
        FUNCTION,
        Shape::Ref(&["function"]),
        Form::Argument,
        OnChange::Replace,
        "The function; with its input types if several have the name.",
    ),
    attr(
        LEFT_ARG,
        Shape::Type,
        Form::Property,
        OnChange::Replace,
        "The type on the left of the operators that it serves, if it differs from the class's type.",
    ),
    attr(
        RIGHT_ARG,
        Shape::Type,
        Form::Property,
        OnChange::Replace,
        "The type on their right, if it differs from the left one.",
    ),
];

/// Rows of the two kinds' tables of attributes.
pub const USING_ATTR: Attr =
    attr(USING, Shape::Name, Form::Custom, OnChange::Replace, "The index access method, as a property: `using=btree`.");
pub const OPERATORS_ATTR: Attr = attr(
    OPERATORS,
    Shape::Records(&OPERATOR_MEMBER),
    Form::Custom,
    OnChange::Alter,
    "Its operators: `operator NUMBER \"SIGN\"`.",
);
pub const FUNCTIONS_ATTR: Attr = attr(
    FUNCTIONS,
    Shape::Records(&FUNCTION_MEMBER),
    Form::Custom,
    OnChange::Alter,
    "Its support functions: `function NUMBER NAME`.",
);

/// The address of a family.
pub fn family(schema: ObjectId, name: impl Into<Ident>, method: impl Into<Text>) -> Option<ObjectId> {
    Some(ObjectId::routine(find(FAMILY)?.kind(), Some(schema), name, method))
}

/// The family of the class's own name.
fn namesake(class: &ObjectId) -> Option<ObjectId> {
    family(class.schema()?.clone(), class.name().clone(), class.signature()?.clone())
}

/// True if the class makes that family by itself.
pub fn is_namesake(family: &ObjectId, class: &ObjectId) -> bool {
    namesake(class).as_ref() == Some(family)
}

/// The family that a class is in.
pub fn family_of(class: &ObjectId, object: &Object) -> Option<ObjectId> {
    object.get(OF_FAMILY).cloned().or_else(|| namesake(class))
}

/// What a support function gets, where that is certain.
fn takes(id: &ObjectId, number: i64, left: &SqlType, right: &SqlType) -> Option<Vec<Text>> {
    let (left, right) = (left.0.clone(), right.0.clone());
    Some(match (&**id.signature()?, number) {
        ("btree", 1) => vec![left, right],
        ("btree", 3) => vec![left.clone(), left, right, "boolean".into(), "boolean".into()],
        ("btree", 4) => vec!["oid".into()],
        ("btree", 2 | 5 | 6) | ("hash", 3) => vec!["internal".into()],
        ("hash", 1) => vec![left],
        ("hash", 2) => vec![left, "bigint".into()],
        _ => return None,
    })
}

/// The types that an operator of a member takes.
fn operands(operator: &ObjectId) -> Vec<&str> {
    signature::split(operator.signature().map_or("", |s| s))
}

fn list(object: &Object, key: Key<Vec<Attrs>>) -> Vec<&Attrs> {
    object.get(key).unwrap_or_default()
}

/// What no two members of a family have in common: number and types.
fn place(member: &Attrs) -> (i64, Vec<Text>) {
    let types = match member.get(OPERATOR) {
        Some(operator) => operands(operator).into_iter().map(Text::from).collect(),
        None => [LEFT_ARG, RIGHT_ARG].into_iter().filter_map(|key| Some(member.get(key)?.0.clone())).collect(),
    };
    (member.get(NUMBER).unwrap_or_default(), types)
}

/// Sets the members of an object, sorted.
pub fn set(object: &mut Object, operators: Vec<Attrs>, functions: Vec<Attrs>) {
    for (key, mut members) in [(OPERATORS, operators), (FUNCTIONS, functions)] {
        members.sort_by_cached_key(place);
        object.attrs.set(key, (!members.is_empty()).then_some(members));
    }
}

/// Distributes the members of a family of the files among it and its classes, as the catalog is read.
pub fn settle(family: &ObjectId, state: &mut State) {
    let in_it = |(id, object): &(&ObjectId, &Object)| family_of(id, object).as_ref() == Some(family);
    let mut classes: Vec<ObjectId> =
        state.iter().filter(|(id, _)| id.kind().word == CLASS).filter(in_it).map(|(id, _)| id.clone()).collect();
    classes.sort_by_cached_key(|id| (id.name().clone(), id.parent().cloned()));
    let all: Vec<ObjectId> = classes.iter().chain([family]).filter(|id| state.has(id)).cloned().collect();
    let alone = classes.first().filter(|class| classes.len() == 1 && namesake(class).as_ref() == Some(family)).cloned();
    let types: Vec<(ObjectId, Option<SqlType>)> =
        classes.iter().map(|id| (id.clone(), state.get(id).and_then(|o| o.get(FOR_TYPE).cloned()))).collect();
    for key in [OPERATORS, FUNCTIONS] {
        let mut homes: Vec<(ObjectId, Vec<Attrs>)> = all.iter().map(|id| (id.clone(), Vec::new())).collect();
        for id in &all {
            for member in state.get(id).and_then(|object| object.get(key)).unwrap_or_default() {
                let (_, of) = place(member);
                let fits =
                    |own: &Option<SqlType>| own.as_ref().is_some_and(|own| of.iter().all(|t| **t == *own.as_str()));
                let fitting: Vec<&ObjectId> = types.iter().filter(|(_, own)| fits(own)).map(|(id, _)| id).collect();
                let home = match (&alone, fitting.contains(&id), fitting.first()) {
                    (Some(class), ..) => class,
                    (None, true, _) => id,
                    (None, false, Some(class)) => class,
                    // What is in a family that the files do not declare stays.
                    (None, false, None) => {
                        if state.has(family) {
                            family
                        } else {
                            id
                        }
                    }
                };
                if let Some((_, list)) = homes.iter_mut().find(|(id, _)| id == home) {
                    list.push(member.clone());
                }
            }
        }
        for (id, mut members) in homes {
            members.sort_by_cached_key(place);
            if let Some(object) = state.objects_mut().get_mut(&id) {
                object.attrs.set(key, (!members.is_empty()).then_some(members));
            }
        }
    }
}
