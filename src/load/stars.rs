//! Refuses `SELECT *` in views: its columns change whenever the tables do, so files have to list them.

use crate::kdl::{Problem, Sources};
use crate::model::{ObjectId, Shape, Span, State, Value};
use crate::sql;
use crate::sql::stars::{self, Source, Star};

/// Finds every star in a query, with the columns that it stands for now if the files declare them.
pub(super) fn check(state: &State, files: &Sources, problems: &mut Vec<Problem>) {
    for (id, object) in state.iter() {
        for attr in id.kind().attrs.iter().filter(|attr| matches!(attr.shape, Shape::Query)) {
            let Some(Value::Expr(query)) = object.value(attr.name) else { continue };
            if !query.as_str().contains('*') {
                continue;
            }
            for star in stars::find(query.as_str()) {
                let text = star.of.iter().map(|part| format!("{part}.")).collect::<String>() + "*";
                let message =
                    format!("the query of {id} selects `{text}`, whose meaning changes when a table gets new columns");
                let place = object.place.unwrap_or_default();
                let place = place_of(files, place, query.as_str(), star.at).unwrap_or(place);
                let problem = Problem::new(place, message).label("name the columns");
                problems.push(problem.help(match columns(state, id, query.as_str(), &star) {
                    Some(list) => format!("write `{list}` instead of `{text}`"),
                    None => "list the columns that you mean".into(),
                }));
            }
        }
    }
}

/// The position of a query's star in the file, if the query's line occurs there verbatim.
fn place_of(files: &Sources, object: Span, query: &str, at: usize) -> Option<Span> {
    let start = query.get(..at)?.rfind('\n').map_or(0, |n| n + 1);
    let line = query.get(start..)?.lines().next()?;
    let raw = files.files.get(object.file as usize)?.1.get(object.start as usize..object.end as usize)?;
    let indent = line.len() - line.trim_start().len();
    let found = raw.find(line.trim())?;
    let start = object.start.checked_add(u32::try_from(found + at - start - indent).ok()?)?;
    Some(Span { start, end: start + 1, ..object })
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
