//! The attributes of aggregates.

use crate::kinds::routine::{ARG_MODE, ARG_NAME, ARG_TYPE, ARGS};
use crate::kinds::support::function_attr;
use crate::model::{Attr, Attrs, Form, Key, ObjectId, OnChange, Shape, SqlType, Text, attr};

pub(super) const ORDER_BY: Key<Vec<Attrs>> = Key::new("order-by");
pub(super) const HYPOTHETICAL: Key<bool> = Key::new("hypothetical");
pub(super) const SFUNC: Key<ObjectId> = Key::new("sfunc");
pub(super) const STYPE: Key<SqlType> = Key::new("stype");
pub(super) const SSPACE: Key<i64> = Key::new("sspace");
pub(super) const FINALFUNC: Key<ObjectId> = Key::new("finalfunc");
pub(super) const FINALFUNC_EXTRA: Key<bool> = Key::new("finalfunc-extra");
pub(super) const FINALFUNC_MODIFY: Key<Text> = Key::new("finalfunc-modify");
pub(super) const COMBINEFUNC: Key<ObjectId> = Key::new("combinefunc");
pub(super) const SERIALFUNC: Key<ObjectId> = Key::new("serialfunc");
pub(super) const DESERIALFUNC: Key<ObjectId> = Key::new("deserialfunc");
pub(super) const INITCOND: Key<Text> = Key::new("initcond");
pub(super) const MSFUNC: Key<ObjectId> = Key::new("msfunc");
pub(super) const MINVFUNC: Key<ObjectId> = Key::new("minvfunc");
pub(super) const MSTYPE: Key<SqlType> = Key::new("mstype");
pub(super) const MSSPACE: Key<i64> = Key::new("msspace");
pub(super) const MFINALFUNC: Key<ObjectId> = Key::new("mfinalfunc");
pub(super) const MFINALFUNC_EXTRA: Key<bool> = Key::new("mfinalfunc-extra");
pub(super) const MFINALFUNC_MODIFY: Key<Text> = Key::new("mfinalfunc-modify");
pub(super) const MINITCOND: Key<Text> = Key::new("minitcond");
pub(super) const SORTOP: Key<Text> = Key::new("sortop");
pub(super) const PARALLEL: Key<Text> = Key::new("parallel");

/// In the order of the catalog query.
pub(super) const FUNCTIONS: [Key<ObjectId>; 8] =
    [SFUNC, FINALFUNC, COMBINEFUNC, SERIALFUNC, DESERIALFUNC, MSFUNC, MINVFUNC, MFINALFUNC];
pub(super) const FUNCTION_COLUMNS: [&str; 8] = [
    "a.aggtransfn",
    "a.aggfinalfn",
    "a.aggcombinefn",
    "a.aggserialfn",
    "a.aggdeserialfn",
    "a.aggmtransfn",
    "a.aggminvtransfn",
    "a.aggmfinalfn",
];

pub(super) const MODIFIES: Shape = Shape::Word(&["read-only", "shareable", "read-write"]);

pub(super) static ARG: [Attr; 3] = [
    attr(ARG_TYPE, Shape::Type, Form::Argument, OnChange::Replace, "Its type."),
    attr(ARG_NAME, Shape::Name, Form::Property, OnChange::Replace, "Its name, before the type; optional."),
    attr(
        ARG_MODE,
        Shape::Word(&["in", "variadic"]),
        Form::Property,
        OnChange::Replace,
        "Whether it takes any number of values.",
    )
    .default("in"),
];

pub(super) static ATTRS: [Attr; 24] = [
    attr(
        HYPOTHETICAL,
        Shape::Flag,
        Form::Flag,
        OnChange::Replace,
        "A hypothetical-set aggregate: its arguments are treated as one more row.",
    ),
    function_attr(SFUNC, OnChange::Alter, "The function that adds a row to the state."),
    attr(STYPE, Shape::Type, Form::Property, OnChange::Replace, "The type of the state."),
    attr(
        SSPACE,
        Shape::Int,
        Form::Property,
        OnChange::Alter,
        "The planner's estimate of the size of the state, in bytes.",
    )
    .default("0"),
    attr(INITCOND, Shape::Text, Form::Property, OnChange::Alter, "The initial state; NULL if omitted."),
    function_attr(FINALFUNC, OnChange::Replace, "The function that computes the result from the final state."),
    attr(FINALFUNC_EXTRA, Shape::Flag, Form::Flag, OnChange::Alter, "It also gets the arguments, as NULLs."),
    attr(FINALFUNC_MODIFY, MODIFIES, Form::Property, OnChange::Alter, "Whether it modifies the state."),
    function_attr(COMBINEFUNC, OnChange::Alter, "The function that combines two states."),
    function_attr(SERIALFUNC, OnChange::Alter, "The function that serializes a state for another process."),
    function_attr(DESERIALFUNC, OnChange::Alter, "The function that deserializes it."),
    function_attr(MSFUNC, OnChange::Alter, "Like `sfunc`, for windows whose start moves."),
    function_attr(MINVFUNC, OnChange::Alter, "The function that removes a row from the state."),
    attr(MSTYPE, Shape::Type, Form::Property, OnChange::Alter, "Like `stype`, for such windows."),
    attr(MSSPACE, Shape::Int, Form::Property, OnChange::Alter, "Like `sspace`, for such windows.").default("0"),
    attr(MINITCOND, Shape::Text, Form::Property, OnChange::Alter, "Like `initcond`, for such windows."),
    function_attr(MFINALFUNC, OnChange::Alter, "Like `finalfunc`, for such windows."),
    attr(MFINALFUNC_EXTRA, Shape::Flag, Form::Flag, OnChange::Alter, "It also gets the arguments."),
    attr(MFINALFUNC_MODIFY, MODIFIES, Form::Property, OnChange::Alter, "Whether it modifies the state."),
    attr(
        SORTOP,
        Shape::Text,
        Form::Property,
        OnChange::Alter,
        "The sort operator by which the result is the first value: `<` for a minimum.",
    ),
    attr(
        PARALLEL,
        Shape::Word(&["safe", "restricted", "unsafe"]),
        Form::Property,
        OnChange::Alter,
        "Whether it may run in parallel workers.",
    )
    .default("unsafe"),
    attr(
        ARGS,
        Shape::Records(&ARG),
        Form::Repeated,
        OnChange::Alter,
        "The arguments: `arg NAME TYPE`. An aggregate without arguments is called as `f(*)`.",
    ),
    attr(
        ORDER_BY,
        Shape::Records(&ARG),
        Form::Repeated,
        OnChange::Alter,
        "The sorted arguments of an ordered-set aggregate: `order-by NAME TYPE`; the others are `arg`.",
    ),
    attr(ORDERED_SET, Shape::Flag, Form::Custom, OnChange::Replace, "It has sorted arguments."),
];

pub(super) const ORDERED_SET: Key<bool> = Key::new("ordered-set");
