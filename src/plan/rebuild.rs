//! Rebuilds types under the columns that use them: rename the old type, create the new one, convert the columns, drop the old one.

use crate::kinds::{Context, Statement, room};
use crate::model::{Error, ObjectId, Result, State};

/// The statements that rebuild `id` from its definition in `old` to that in `new`; `columns` keep their values through text.
///
/// # Errors
/// If a column cannot get the new type (a partition key).
pub fn statements(id: &ObjectId, columns: &[ObjectId], old: &Context<'_>, new: &Context<'_>) -> Result<Vec<Statement>> {
    let missing = || Error::failed(format!("{id} is to be rebuilt, but is not in both states"));
    let before = old.state.get(id).ok_or_else(missing)?;
    let after = new.state.get(id).ok_or_else(missing)?;
    let room_of_type = room(id.kind());
    let aside = id.renamed(aside(id, old.state));
    let mut out = room_of_type.set_aside(id, &aside, before, old)?;
    out.extend(room_of_type.create(id, after, &folded(id, new)?, new)?);
    for column in columns {
        let Some(object) = new.state.get(column).or_else(|| old.state.get(column)) else { continue };
        let statement = room(column.kind()).retype(column, object, (id, &aside), old);
        match statement {
            Some(statement) => out.push(statement?),
            None => return Err(Error::refused(format!("{id} cannot be rebuilt, because {column} uses it"))),
        }
    }
    out.extend(room_of_type.drop(&aside, before, old)?);
    Ok(out)
}

/// A free name for the old type while both exist.
fn aside(id: &ObjectId, state: &State) -> String {
    let mut base = id.name().as_str().to_string();
    while base.len() > 50 {
        base.pop();
    }
    let mut name = format!("{base}__old");
    let mut n = 1;
    while state.has(&id.renamed(name.as_str())) {
        n += 1;
        name = format!("{base}__old{n}");
    }
    name
}

/// The children that are clauses of the type's CREATE: attributes, a domain's checks.
fn folded(id: &ObjectId, cx: &Context<'_>) -> Result<Vec<crate::kinds::Folded>> {
    let children = cx.state.inside(id).filter(|(child, _)| child.kind().folds);
    children
        .map(|(child, object)| {
            let clause = room(child.kind()).clause(child, object, &[], cx);
            clause
                .map(|clause| crate::kinds::Folded { id: child.clone(), object: object.clone(), clause })
                .ok_or_else(|| Error::refused(format!("{id} cannot be rebuilt with {child}")))
        })
        .collect()
}

/// The objects that come with the rebuilt type itself.
pub fn takes_along(id: &ObjectId, state: &State) -> Vec<ObjectId> {
    state.inside(id).filter(|(child, _)| child.kind().folds).map(|(child, _)| child.clone()).collect()
}
