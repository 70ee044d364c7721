//! `SELECT *` in a view means other columns whenever its tables change, so that files have to say which ones are meant.

use crate::kdl::Problem;
use crate::model::{ObjectId, Shape, State, Value};
use crate::sql;
use crate::sql::stars::{self, Source, Star};

/// Finds every star in a query, with the columns that it stands for now where the files say it.
pub(super) fn check(state: &State, problems: &mut Vec<Problem>) {
    for (id, object) in state.iter() {
        for attr in id.kind().attrs.iter().filter(|attr| matches!(attr.shape, Shape::Query)) {
            let Some(Value::Expr(query)) = object.value(attr.name) else { continue };
            if !query.as_str().contains('*') {
                continue;
            }
            for star in stars::find(query.as_str()) {
                let text = star.of.iter().map(|part| format!("{part}.")).collect::<String>() + "*";
                let message = format!(
                    "the query of {id} selects `{text}`, which means something else once a table has new columns"
                );
                let problem = Problem::new(object.place.unwrap_or_default(), message).label("name the columns");
                problems.push(problem.help(match columns(state, id, query.as_str(), &star) {
                    Some(list) => format!("write `{list}` instead of `{text}`"),
                    None => "write the columns that are meant, one by one".into(),
                }));
            }
        }
    }
}

/// The columns that a star stands for, if all that it reads from are tables of the files.
fn columns(state: &State, view: &ObjectId, query: &str, star: &Star) -> Option<String> {
    let sources = stars::sources(query)?;
    let meant = |source: &&Source| star.of.is_empty() || star.of.last() == Some(&source.alias);
    let children = state.children();
    let mut out = Vec::new();
    for source in sources.iter().filter(meant) {
        let (schemas, name) = match source.relation.as_slice() {
            [name] => (vec![view.schema()?.name().as_str(), "public"], name),
            [schema, name] => (vec![schema.as_str()], name),
            _ => return None,
        };
        let table = schemas.iter().find_map(|schema| {
            let here = |id: &&ObjectId| id.schema().is_some_and(|s| s.name().as_str() == *schema);
            state
                .iter()
                .map(|(id, _)| id)
                .filter(here)
                .find(|id| matches!(id.kind().word, "table" | "foreign-table") && id.name().as_str() == name)
        })?;
        // Those of parents are not its own children.
        if state.get(table)?.iter().any(|(name, _)| matches!(name, "inherits" | "partition-of" | "of")) {
            return None;
        }
        let qualifier = (sources.len() > 1).then(|| format!("{}.", sql::name(&source.alias.as_str().into())));
        let own = children.get(table)?.iter().filter(|id| id.kind().word == "column");
        out.extend(own.map(|id| format!("{}{}", qualifier.as_deref().unwrap_or(""), sql::name(id.name()))));
    }
    (!out.is_empty()).then(|| out.join(", "))
}
