//! `convert="…"` and `convert-back="…"`: what a person says becomes of a column's values when its type changes, and when it changes back.

use crate::kdl::{Node, Problem, Scalar};
use crate::kinds::scope::Scope;
use crate::model::{By, Error, Expr, Object, ObjectId, Result, Text};
use crate::sql::conversion::Verdict;

const THERE: &str = "convert";
const BACK: &str = "convert-back";

/// Takes both out of a column's node.
pub fn take(node: &mut Node, scope: &mut Scope<'_>) -> Option<Box<By>> {
    let mut by = By::default();
    let mut at = None;
    node.props.retain(|prop| {
        let slot = match &*prop.name {
            THERE => &mut by.there,
            BACK => &mut by.back,
            _ => return true,
        };
        match &prop.value.value {
            Scalar::Text(text) if !text.trim().is_empty() => *slot = Some(Expr::new(text.trim())),
            _ => scope.problem(
                Problem::new(prop.value.span, format!("`{}` is an expression in SQL", prop.name))
                    .help("put it in quotes: convert=\"upper(code)::country\""),
            ),
        }
        at.get_or_insert(prop.name_span);
        false
    });
    let at = at?;
    let in_table = scope.parent.as_ref().is_some_and(|parent| parent.kind().word == "table");
    if !in_table || node.args.len() < 2 {
        let problem = Problem::new(at, "only a column of a table with a type of its own can be converted");
        scope.problem(problem.label("not here"));
        return None;
    }
    if by.there.is_none() {
        let problem = Problem::new(at, format!("`{BACK}` without `{THERE}`")).label("the way back from where?");
        scope.problem(problem.help(format!("say how the values get to the new type: {THERE}=\"EXPRESSION\"")));
        return None;
    }
    Some(Box::new(by))
}

/// Puts both into a column's node.
pub fn write(node: Node, object: &Object) -> Node {
    let Some(by) = &object.by else { return node };
    let said = [(THERE, &by.there), (BACK, &by.back)];
    let said = said.into_iter().filter_map(|(name, text)| Some((name, text.as_ref()?)));
    said.fold(node, |node, (name, text)| node.prop(name, Text::from(text.as_str())))
}

/// What a person says of the values on the way from one to the other, if anything.
pub fn said<'a>(old: &'a Object, new: &'a Object) -> Option<&'a Expr> {
    match &new.by {
        Some(by) => by.there.as_ref(),
        None => old.by.as_ref()?.back.as_ref(),
    }
}

/// Refuses a way that does not exist.
///
/// # Errors
/// `Refused`, with what would make one.
pub fn possible(id: &ObjectId, verdict: &Verdict, (old, new): (&Object, &Object), types: [&str; 2]) -> Result<()> {
    let [from, to] = types;
    if *verdict != Verdict::Impossible {
        return Ok(());
    }
    // What files declare knows its place there: where that is the old column, this is the way back.
    if old.place.is_some() && new.place.is_none() {
        let why = format!("{id} has no way back: PostgreSQL converts no value of {from} to {to}");
        return Err(Error::refused(why).remedy(format!(
            "say what becomes of the values, also when the plan is rolled back: {THERE}=\"EXPRESSION\" {BACK}=\"EXPRESSION\" on the column \
             ({BACK}=\"NULL::{to}\" if nothing brings them back)"
        )));
    }
    let why = format!("{id} cannot become {to}: no value of {from} can be converted");
    Err(Error::refused(why).remedy(format!(
        "say what becomes of the values, {THERE}=\"EXPRESSION\" {BACK}=\"EXPRESSION\" on the column; or add a column of the new type under \
         another name, fill it in a plan written by hand (`setpoint plan --empty --save NAME`), then drop the old one"
    )))
}
