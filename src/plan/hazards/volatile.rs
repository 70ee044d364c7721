//! Whether a default gives each row a value of its own, so that PostgreSQL cannot keep one for all rows that are there.

use crate::kinds;
use crate::model::{Expr, Namespace, State, Value};
use crate::sql::names::Name;
use crate::sql::{names, operators, steady};

/// True unless all that the expression calls is known to give the same value throughout a statement: PostgreSQL's own functions that do,
/// and declared ones that say so. (Of the body of a volatile SQL function PostgreSQL may find out more.)
pub(super) fn is(expression: &Expr, state: &State) -> bool {
    let text = expression.as_str();
    // What stands in a schema is somebody's.
    let operators = operators::find(text).iter().any(|operator| operator.parts.len() > 1);
    let calls = names::find(text).into_iter().filter(|name| name.call);
    operators || steady::moves_zone(text) || calls.into_iter().any(|name| !steady::is(&name) && !declared(&name, state))
}

/// True if there are declared routines of that name, and all of them are immutable or stable.
fn declared(name: &Name, state: &State) -> bool {
    let schema = name.parts.len().checked_sub(2).and_then(|at| name.parts.get(at));
    let routines = kinds::rooms().iter().map(|room| room.kind()).filter(|kind| kind.namespace == Namespace::Routine);
    let mut named = routines.flat_map(|kind| state.of_kind(kind.word)).filter(|(id, _)| {
        id.name().as_str() == name.last()
            && schema.is_none_or(|schema| id.schema().is_some_and(|own| own.name().as_str() == schema))
    });
    let steady = |routine: &crate::model::Object| match routine.value("volatility") {
        Some(Value::Text(word)) => matches!(&**word, "immutable" | "stable"),
        _ => false,
    };
    named.next().is_some_and(|(_, first)| steady(first)) && named.all(|(_, routine)| steady(routine))
}
