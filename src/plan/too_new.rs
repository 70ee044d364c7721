//! Refuses what the server is too old for, before anything runs.

use crate::catalog::Version;
use crate::kinds::room;
use crate::model::{Attr, Attrs, Change, Error, InFiles, Object, ObjectId, Result, Shape, State, Value, Wrong};

/// What of an object the server does not know, and the first major version that does.
type TooNew = (String, u32);

/// Refuses changes that lead to what the server does not know.
///
/// # Errors
/// `Config`, naming each of them where it is written.
pub fn refuse(changes: &[Change], new: &State, server: Version) -> Result<()> {
    let mut places = Vec::new();
    for change in changes {
        let id = change.id();
        let (Some(object), false) = (new.get(id), matches!(change, Change::Rename(..))) else { continue };
        let changed: Option<&[&'static str]> = match change {
            Change::Alter(_, attrs) => Some(attrs),
            _ => None,
        };
        for (what, since) in of(id, object, changed, server) {
            let span = object.place.unwrap_or_default();
            let message = format!("{id}: {what} exists since PostgreSQL {since}, and the server is {}", server.major());
            let (label, help) =
                (format!("needs PostgreSQL {since}"), "leave it out, or use a newer server".to_string());
            places.push(Wrong { span, message, label, help });
        }
    }
    let Some(first) = places.first() else { return Ok(()) };
    let mut error = Error::config(first.message.clone()).remedy(first.help.clone());
    error.details = places.iter().skip(1).map(|wrong| wrong.message.clone()).collect();
    // What follows from several places has no place of its own.
    let known = |wrong: &Wrong| wrong.span.end > 0;
    error.in_files = places.iter().all(known).then(|| Box::new(InFiles(places)));
    Err(error)
}

/// What of the object, or of its attributes `changed`, the server does not know.
fn of(id: &ObjectId, object: &Object, changed: Option<&[&'static str]>, server: Version) -> Vec<TooNew> {
    let mut found = Vec::new();
    let touched = |attr: &Attr| changed.is_none_or(|changed| changed.contains(&attr.name));
    attrs(id.kind().attrs, &object.attrs, &touched, server, &mut found);
    found
        .extend(room(id.kind()).since(object).filter(|(since, _)| !server.at_least(*since)).map(|(n, what)| (what, n)));
    found
}

fn attrs(
    table: &'static [Attr],
    values: &Attrs,
    touched: &dyn Fn(&Attr) -> bool,
    server: Version,
    found: &mut Vec<TooNew>,
) {
    for attr in table.iter().filter(|attr| touched(attr)) {
        let Some(value) = values.value(attr.name) else { continue };
        if attr.since > 0 && !server.at_least(attr.since) {
            found.push((format!("`{}`", attr.name), attr.since));
        }
        match (attr.shape, value) {
            (Shape::Record(inner), Value::Record(record)) => attrs(inner, record, &|_| true, server, found),
            (Shape::Records(inner), Value::List(list)) => {
                for value in list {
                    if let Value::Record(record) = value {
                        attrs(inner, record, &|_| true, server, found);
                    }
                }
            }
            _ => {}
        }
    }
}
