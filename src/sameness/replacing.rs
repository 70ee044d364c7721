//! Decides which new query can replace a view's old one: PostgreSQL requires the existing columns to stay, and allows new ones after them.

use crate::diff::Open;
use crate::model::{Expr, Key, ObjectId, Result, State};
use crate::sql::{self, names};

use super::Settled;
use super::columns::Tables;
use super::conversation::{Conversation, Reply};
use super::probe::{self, Probe, SCRATCH};

const SQL: Key<Expr> = Key::new("sql");

/// Compares the columns of each view's new query with those that the view has.
pub async fn columns(
    conversation: &mut Conversation<'_>,
    old: &State,
    new: &State,
    questions: &[&Open],
    settled: &mut Settled,
) -> Result<()> {
    let views = questions.iter().copied().filter(|q| q.id.kind().word == "view" && q.attr == SQL.name);
    let mut open: Vec<&Open> = views.filter(|q| old.has(&q.id)).collect();
    let tables = Tables::new(new);
    // On the live tables; where the query needs future columns, on scratch tables that hide them.
    for early in [false, true] {
        if open.is_empty() {
            break;
        }
        let probes: Vec<_> = open.iter().map(|q| probe(new, &tables, &q.id, early)).collect();
        let mut left = Vec::new();
        for (question, reply) in open.into_iter().zip(conversation.ask(probes.into_iter()).await?) {
            match reply {
                Reply::Text(text) => {
                    if text != "other" {
                        settled.in_place.insert(question.clone());
                    }
                    if text == "equal" {
                        settled.and_back.insert(question.clone());
                    }
                }
                Reply::Missing(_) | Reply::Refused(_) => left.push(question),
            }
        }
        open = left;
    }
    Ok(())
}

fn probe(new: &State, tables: &Tables<'_>, view: &ObjectId, early: bool) -> Result<Probe, String> {
    let object = new.get(view).ok_or("it is not in the files")?;
    let query = object.get(SQL).ok_or("it has no query")?.as_str();
    let mut make = if early { scratch_tables(new, tables, view, query) } else { Vec::new() };
    let query = query.trim_end_matches(|c: char| c == ';' || c.is_whitespace());
    make.push(format!("CREATE TEMPORARY VIEW {SCRATCH} AS {query}"));
    let live = |id: &ObjectId| format!("to_regclass({})", sql::literal(&sql::path(id).to_string()));
    // A rename is only planned yet.
    let live = match &object.was {
        Some(was) => format!("coalesce({}, {})", live(view), live(&view.renamed(was.clone()))),
        None => live(view),
    };
    let columns = |relation: &str| {
        format!(
            "(SELECT array_agg(ROW(attname, atttypid, atttypmod, attcollation)::text ORDER BY attnum) AS columns \
             FROM pg_attribute WHERE attrelid = {relation} AND attnum > 0)"
        )
    };
    let read = format!(
        "SELECT CASE WHEN n.columns = o.columns THEN 'equal' \
         WHEN n.columns[1:cardinality(o.columns)] = o.columns THEN 'longer' ELSE 'other' END FROM {} o, {} n",
        columns(&live),
        columns(&format!("'{SCRATCH}'::regclass"))
    );
    let path =
        if early { format!("pg_temp, {}", probe::path(view).replace(", pg_temp", "")) } else { probe::path(view) };
    Ok(Probe { path, setups: Vec::new(), make, read })
}

/// The tables that the query names without a schema, with the columns that they will have.
fn scratch_tables(new: &State, tables: &Tables<'_>, view: &ObjectId, query: &str) -> Vec<String> {
    let mut made: Vec<&ObjectId> = Vec::new();
    let found = names::find(query);
    let named = |id: &ObjectId| found.iter().any(|n| n.parts.first().is_some_and(|first| first == id.name().as_str()));
    let own = view.schema();
    for (id, _) in new.iter().filter(|(id, _)| id.kind().word == "table" && named(id)) {
        let near = id.schema() == own || id.schema().is_some_and(|schema| schema.name().as_str() == "public");
        if !near {
            continue;
        }
        match made.iter_mut().find(|other| other.name() == id.name()) {
            Some(other) if id.schema() == own => *other = id,
            Some(_) => {}
            None => made.push(id),
        }
    }
    let table =
        |id: &&ObjectId| format!("CREATE TEMPORARY TABLE pg_temp.{} ({})", sql::name(id.name()), tables.list(id));
    made.iter().map(table).collect()
}
