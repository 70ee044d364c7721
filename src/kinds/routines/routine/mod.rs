//! What functions and procedures share: their attributes, and what a change of each means.

mod catalog;
mod config;
mod ddl;
mod files;

pub use catalog::{name, query, read};
pub use ddl::{alter, create, rights};
pub use files::{head, parse, put, turn_argument, turn_back, write};

use crate::kinds::refs::Refs;
use crate::kinds::{Disturbance, Reaction};
use crate::model::{Attr, Attrs, Expr, Form, Key, Object, OnChange, Shape, SqlType, Text, attr};
use crate::sql::types::{self, Parsed};

pub const ARGS: Key<Vec<Attrs>> = Key::new("arg");
const RETURNS: Key<SqlType> = Key::new("returns");
const SETOF: Key<bool> = Key::new("setof");
const LANGUAGE: Key<Text> = Key::new("language");
const VOLATILITY: Key<Text> = Key::new("volatility");
const STRICT: Key<bool> = Key::new("strict");
const LEAKPROOF: Key<bool> = Key::new("leakproof");
const SECURITY_DEFINER: Key<bool> = Key::new("security-definer");
const WINDOW: Key<bool> = Key::new("window");
const PARALLEL: Key<Text> = Key::new("parallel");
const COST: Key<Text> = Key::new("cost");
const ROWS: Key<Text> = Key::new("rows");
const SUPPORT: Key<Text> = Key::new("support");
const TRANSFORM: Key<Vec<Text>> = Key::new("transform");
const SET: Key<Vec<Text>> = Key::new("set");
const OBJECT_FILE: Key<Text> = Key::new("object-file");
const LINK_SYMBOL: Key<Text> = Key::new("link-symbol");
const SQL_BODY: Key<Expr> = Key::new("sql-body");
const BODY: Key<Text> = Key::new("body");

pub const ARG_TYPE: Key<SqlType> = Key::new("type");
pub const ARG_NAME: Key<Text> = Key::new("name");
pub const ARG_MODE: Key<Text> = Key::new("mode");
const ARG_DEFAULT: Key<Expr> = Key::new("default");

/// In files the name comes before the type; `files` turns that around, since the name may be missing.
static ARG: [Attr; 4] = [
    attr(ARG_TYPE, Shape::Type, Form::Argument, OnChange::Replace, "Its type, without a length or precision."),
    attr(ARG_NAME, Shape::Name, Form::Property, OnChange::Alter, "Its name, before the type; optional."),
    attr(
        ARG_MODE,
        Shape::Word(&["in", "out", "inout", "variadic", "table"]),
        Form::Property,
        OnChange::Replace,
        "`table` is a column of RETURNS TABLE.",
    )
    .default("in"),
    attr(ARG_DEFAULT, Shape::Expr, Form::Property, OnChange::Alter, "The value if a call omits it."),
];

const LANGUAGE_ATTR: Attr = attr(LANGUAGE, Shape::Name, Form::Property, OnChange::Alter, "The language of the body.");
const SECURITY_DEFINER_ATTR: Attr =
    attr(SECURITY_DEFINER, Shape::Flag, Form::Flag, OnChange::Alter, "It runs with its owner's privileges.");
const TRANSFORM_ATTR: Attr =
    attr(TRANSFORM, Shape::Texts, Form::Child, OnChange::Alter, "The types for which transforms are used.");
const ARGS_ATTR: Attr =
    attr(ARGS, Shape::Records(&ARG), Form::Repeated, OnChange::Alter, "The arguments: `arg NAME TYPE`.");
const SET_ATTR: Attr = attr(
    SET,
    Shape::Texts,
    Form::Custom,
    OnChange::Alter,
    "Settings that apply while it runs: `set search_path=\"app, pg_temp\"`.",
);
const OBJECT_FILE_ATTR: Attr =
    attr(OBJECT_FILE, Shape::Text, Form::Property, OnChange::Alter, "The library of a C function.");
const LINK_SYMBOL_ATTR: Attr =
    attr(LINK_SYMBOL, Shape::Text, Form::Property, OnChange::Alter, "The symbol of a C or internal function.");
const SQL_BODY_ATTR: Attr = attr(
    SQL_BODY,
    Shape::Query,
    Form::Child,
    OnChange::Alter,
    "A body that PostgreSQL parses when it is created (since 14): `RETURN a + b` or `BEGIN ATOMIC … END`.",
)
.since(14);
const BODY_ATTR: Attr = attr(
    BODY,
    Shape::Body,
    Form::Custom,
    OnChange::Alter,
    "The body: the text, with a newline before and after it; `body-exact` is the text alone.",
);

/// The attributes of functions.
pub static FUNCTION: [Attr; 19] = [
    SECURITY_DEFINER_ATTR,
    attr(STRICT, Shape::Flag, Form::Flag, OnChange::Alter, "It returns NULL for NULL without being called."),
    attr(LEAKPROOF, Shape::Flag, Form::Flag, OnChange::Alter, "It reveals nothing about its arguments."),
    attr(WINDOW, Shape::Flag, Form::Flag, OnChange::Replace, "It is a window function."),
    attr(RETURNS, Shape::Type, Form::Property, OnChange::Replace, "The type of the result; `SETOF type` for rows."),
    attr(
        SETOF,
        Shape::Flag,
        Form::Custom,
        OnChange::Replace,
        "It returns any number of rows: `returns=\"SETOF type\"`.",
    ),
    LANGUAGE_ATTR,
    attr(
        VOLATILITY,
        Shape::Word(&["immutable", "stable", "volatile"]),
        Form::Property,
        OnChange::Alter,
        "Whether the same arguments give the same result.",
    )
    .default("volatile"),
    attr(
        PARALLEL,
        Shape::Word(&["safe", "restricted", "unsafe"]),
        Form::Property,
        OnChange::Alter,
        "Whether it may run in parallel workers.",
    )
    .default("unsafe"),
    attr(COST, Shape::Number, Form::Property, OnChange::Alter, "The planner's estimate of its cost."),
    attr(ROWS, Shape::Number, Form::Property, OnChange::Alter, "The planner's estimate of its rows."),
    attr(SUPPORT, Shape::Text, Form::Property, OnChange::Alter, "The planner support function."),
    OBJECT_FILE_ATTR,
    LINK_SYMBOL_ATTR,
    TRANSFORM_ATTR,
    ARGS_ATTR,
    SET_ATTR,
    SQL_BODY_ATTR,
    BODY_ATTR,
];

/// The attributes of procedures.
pub static PROCEDURE: [Attr; 9] = [
    SECURITY_DEFINER_ATTR,
    LANGUAGE_ATTR,
    OBJECT_FILE_ATTR,
    LINK_SYMBOL_ATTR,
    TRANSFORM_ATTR,
    ARGS_ATTR,
    SET_ATTR,
    SQL_BODY_ATTR,
    BODY_ATTR,
];

/// What a change means: CREATE OR REPLACE keeps dependents, but PostgreSQL refuses some changes of arguments in it.
pub fn on_change(attr: &'static Attr, old: &Object, new: &Object) -> OnChange {
    let replace = attr.name == ARGS.name && !replaceable(&args(old), &args(new));
    if replace { OnChange::Replace } else { attr.on_change }
}

fn replaceable(old: &[&Attrs], new: &[&Attrs]) -> bool {
    let results = |list: &[&Attrs]| {
        let results = list.iter().filter(|a| is_result(a));
        results.map(|a| (a.get(ARG_NAME).cloned(), a.get(ARG_TYPE).cloned())).collect::<Vec<_>>()
    };
    let (old_inputs, new_inputs) = (old.iter().filter(|a| is_input(a)), new.iter().filter(|a| is_input(a)));
    let same_results = results(old) == results(new);
    // The input types are part of the address, so both lists are equally long.
    same_results
        && old_inputs.zip(new_inputs).all(|(old, new)| {
            let name_kept = old.get(ARG_NAME).is_none() || old.get(ARG_NAME) == new.get(ARG_NAME);
            name_kept && (old.get(ARG_DEFAULT).is_none() || new.get(ARG_DEFAULT).is_some())
        })
}

/// What a routine needs beyond its types: the routines that its body calls.
pub fn refers(object: &Object, refs: &mut Refs) {
    if let Some(body) = object.get(BODY) {
        refs.calls_in(body.clone());
    }
}

/// The body of placeholders: two statements, so that it is not put in the place of calls, and the first fails with its own text.
const PLACEHOLDER: &str = "SELECT 'a placeholder for a body that is yet to come, or has to go'::integer; SELECT 1";

/// A routine that those who call it cannot tell from the object, with a body that PostgreSQL does not look into. It fails if it is
/// run: what it could give would be no value of the routine's.
pub fn placeholder(object: &Object) -> Object {
    let mut attrs = object.attrs.clone();
    [SQL_BODY.name, OBJECT_FILE.name, LINK_SYMBOL.name].into_iter().for_each(|name| attrs.remove(name));
    attrs.set(BODY, Text::from(PLACEHOLDER));
    Object::new(attrs)
}

/// What becomes of a routine when something it depends on is replaced. String bodies have no dependencies.
pub fn reaction(object: &Object, disturbance: &Disturbance) -> Reaction {
    match disturbance {
        Disturbance::Retyped(_) if object.get(SQL_BODY).is_none() => Reaction::Survives,
        _ => Reaction::Replace,
    }
}

fn args(object: &Attrs) -> Vec<&Attrs> {
    object.get(ARGS).unwrap_or_default()
}

fn mode(arg: &Attrs) -> &str {
    arg.get(ARG_MODE).map_or("in", |m| m)
}

fn is_input(arg: &Attrs) -> bool {
    matches!(mode(arg), "in" | "inout" | "variadic")
}

fn is_result(arg: &Attrs) -> bool {
    matches!(mode(arg), "out" | "inout" | "table")
}

/// The address's signature: the input types, joined.
fn signature(attrs: &Attrs) -> String {
    let inputs = args(attrs).into_iter().filter(|a| is_input(a));
    inputs.map(|a| a.get(ARG_TYPE).map_or("", |t| t.as_str())).collect::<Vec<_>>().join(", ")
}

/// A type without length and precision, which PostgreSQL drops from routines.
pub fn bare_type(written: &SqlType) -> SqlType {
    match types::parse(written.as_str()) {
        Ok(parsed) => SqlType::new(Parsed { modifier: None, ..parsed }.normalised(|_| None)),
        Err(_) => written.clone(),
    }
}

/// Removes defaults, and brings types and settings into the form in which the catalog has them.
fn normalise(attrs: &mut Attrs) {
    let bare = |mut arg: Attrs| {
        let sql_type = arg.get(ARG_TYPE).map(bare_type);
        arg.set(ARG_TYPE, sql_type);
        arg
    };
    if let Some(list) = attrs.get(ARGS).map(|list| list.into_iter().cloned().map(bare).collect::<Vec<_>>()) {
        attrs.set(ARGS, list);
    }
    let returns = attrs.get(RETURNS).map(bare_type);
    attrs.set(RETURNS, returns);
    let table = args(attrs).iter().any(|a| mode(a) == "table");
    if table || (!attrs.is(SETOF) && args(attrs).iter().any(|a| is_result(a))) {
        attrs.remove(RETURNS.name); // the results say it
        attrs.remove(SETOF.name);
    }
    let cheap = attrs.get(LANGUAGE).is_some_and(|l| matches!(&**l, "c" | "internal"));
    if attrs.get(COST).is_some_and(|c| &**c == if cheap { "1" } else { "100" }) {
        attrs.remove(COST.name);
    }
    let rows = table || attrs.is(SETOF);
    if !rows || attrs.get(ROWS).is_some_and(|r| &**r == "1000") {
        attrs.remove(ROWS.name);
    }
    if let Some(settings) = attrs.get(SET).map(|s| s.into_iter().map(|s| config::normalise(s)).collect::<Vec<_>>()) {
        attrs.set(SET, settings);
    }
}
