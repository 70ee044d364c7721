//! Checks whether the bodies of functions and procedures are accepted by their languages, as far as these check them.

use crate::apply::stale;
use crate::catalog::Session;
use crate::model::{Result, Text};
use crate::plan::{Action, Plan, Step};

/// What is wrong in bodies that a plan makes, one line each. `known` says of a name whether it is one that was only not built here.
///
/// # Errors
/// The server's, but for what the languages find.
pub async fn problems(session: &Session, plan: &Plan, known: &dyn Fn(&str) -> bool) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for step in plan.steps.iter().filter(|step| made(step)) {
        let Some([schema, name]) = stale::names(&step.object).and_then(|names| two(&names)) else { continue };
        let query = "SELECT p.oid, format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)), \
             format('%s', l.lanvalidator::regproc) FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace \
             JOIN pg_language l ON l.oid = p.prolang WHERE n.nspname = $1::text::name AND p.proname = $2::text::name \
             AND l.lanvalidator <> 0 AND p.prokind IN ('f', 'p')";
        for mut row in session.rows(query, &[&schema, &name]).await? {
            let (oid, shown, validator): (u32, Text, Text) = (row.oid(), row.text(), row.text());
            let (path, call) = (step.search_path(), format!("SELECT {validator}({oid}::oid)"));
            let asked = format!(
                "BEGIN; SET LOCAL search_path TO {path}; SET LOCAL check_function_bodies = on; {call}; ROLLBACK"
            );
            let Err(error) = session.batch(&asked).await else { continue };
            session.batch("ROLLBACK").await?;
            let missing = matches!(error.sqlstate.as_deref(), Some("42P01" | "42883" | "42704" | "3F000"));
            let line = format!("the body of {shown}: {}", error.message);
            let only_not_built = missing && quoted(&error.message).is_some_and(known);
            if !only_not_built && !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    Ok(lines)
}

fn two(names: &[String]) -> Option<[String; 2]> {
    Some([names.first()?.clone(), names.get(1)?.clone()])
}

fn made(step: &Step) -> bool {
    let routine = ["function ", "procedure "].iter().any(|word| step.object.starts_with(word));
    routine && matches!(step.action, Action::Create | Action::Alter)
}

/// The last name in what a message says is missing: `f` for `function public.f(integer) does not exist`, `t` for `relation "s.t" …`.
pub(super) fn quoted(message: &str) -> Option<&str> {
    let rest = message.split_once(' ')?.1;
    let name = rest.strip_prefix('"').and_then(|rest| rest.split('"').next());
    let name = name.or_else(|| rest.split(['(', ' ']).next())?;
    name.rsplit('.').next().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(quoted("relation \"app.orders\" does not exist"), Some("orders"));
        assert_eq!(quoted("function app.f(integer) does not exist"), Some("f"));
        assert_eq!(quoted("type \"mood\" does not exist"), Some("mood"));
    }
}
