//! Describes a database by our own model and by `pg_dump`, and shows how it differs from an earlier description.

use crate::apply::stale;
use crate::catalog::Session;
use crate::model::{Address, ObjectId, Result, State};
use crate::plan::{Plan, about};
use crate::scratch::Site;
use crate::{diff, introspect, sameness};

use super::dump::{self, Dump};

/// How many differences are worth keeping.
const SHOWN: usize = 20;

/// A description of a database.
pub struct Look {
    pub state: State,
    unmodelled: Vec<String>,
    dump: Option<Dump>,
}

impl Look {
    /// Describes a database, with both witnesses at the same time.
    ///
    /// # Errors
    /// The server's, and what `pg_dump` reports.
    pub async fn at(session: &Session, witness: Option<&Site>) -> Result<Self> {
        let dump = async {
            match witness {
                Some(site) => dump::dump(site).await.map(Some),
                None => Ok(None),
            }
        };
        let (live, dump) = futures_util::future::try_join(introspect::read(session), dump).await?;
        Ok(Self { state: live.state, unmodelled: live.unmodelled, dump })
    }
}

/// How a database differs from what it was.
#[derive(Debug, Default)]
pub struct Difference {
    /// What differs for sure, one line each, with the object where the model knows it.
    pub lines: Vec<(Option<ObjectId>, String)>,
    /// What is spelled differently, without it being known whether it means the same.
    pub unverified: Vec<String>,
}

impl Difference {
    /// The lines alone, not too many.
    pub fn shown(lines: impl Iterator<Item = String>) -> Vec<String> {
        let mut all: Vec<String> = lines.collect();
        let more = all.len().saturating_sub(SHOWN);
        all.truncate(SHOWN);
        if more > 0 {
            all.push(format!("… and {more} more"));
        }
        all
    }
}

/// Compares two descriptions. Text that is spelled differently is shown to the server, which decides.
///
/// # Errors
/// The server's.
pub async fn between(session: &Session, was: &Look, is: &Look) -> Result<Difference> {
    let comparison = diff::compare(&is.state, &was.state);
    let settled = sameness::settle(session, &is.state, &was.state, &comparison.open).await?;
    let mut out = Difference::default();
    let mut line = |id: &ObjectId, text: String| out.lines.push((Some(id.clone()), text));
    comparison.created.iter().for_each(|id| line(id, format!("{id} is gone")));
    comparison.dropped.iter().for_each(|id| line(id, format!("{id} also exists")));
    let mut changed = comparison.changed.clone();
    let open = |asked: &&diff::Open| {
        !settled.same.contains(asked) && !settled.unverified.iter().any(|u| u.id == asked.id && u.attr == asked.attr)
    };
    changed.extend(comparison.open.iter().filter(open).map(|asked| (asked.id.clone(), vec![asked.attr])));
    for (id, attrs) in &changed {
        if let (Some(before), Some(after)) = (was.state.get(id), is.state.get(id)) {
            line(id, format!("{id}: {}", about::altered(id, before, after, attrs)));
        }
    }
    out.unverified = settled.unverified.iter().map(|u| format!("{}: {} ({})", u.id, u.attr, u.reason)).collect();
    let gone = was.unmodelled.iter().filter(|name| !is.unmodelled.contains(name)).map(|name| format!("{name} is gone"));
    let new = is.unmodelled.iter().filter(|name| !was.unmodelled.contains(name));
    out.lines.extend(gone.chain(new.map(|name| format!("{name} also exists"))).map(|line| (None, line)));
    if let (Some(before), Some(after)) = (&was.dump, &is.dump) {
        // Where our model and the server agree that a text means the same, its spelling is not a difference.
        let respelled: Vec<&ObjectId> = comparison.open.iter().map(|asked| &asked.id).collect();
        let known = |heading: &str| respelled.iter().any(|id| in_dump(id, heading));
        let own = !out.lines.is_empty();
        for line in dump::differences(before, after, &known) {
            // What the model has already reported need not be reported again.
            if !own {
                out.lines.push((None, line));
            }
        }
    }
    Ok(out)
}

/// The texts in which a plan's objects differ from where it leads, one line each. Their existence does not prove their meaning, and since
/// the server spells them in its own way, it is asked.
///
/// # Errors
/// The server's.
pub async fn texts(session: &Session, plan: &Plan, is: &State, end: &State) -> Result<Vec<String>> {
    let part = |state: &State| {
        let mut part = State::default();
        for (id, object) in stale::in_footprint(plan, state) {
            part.put(id.clone(), object.clone());
        }
        part
    };
    let comparison = diff::compare(&part(is), &part(end));
    let settled = sameness::settle(session, is, end, &comparison.open).await?;
    let unknown = |asked: &diff::Open| settled.unverified.iter().any(|u| u.id == asked.id && u.attr == asked.attr);
    let differs = comparison.open.iter().filter(|asked| !settled.same.contains(*asked) && !unknown(asked));
    let line = |asked: &diff::Open| {
        let (before, after) = (is.get(&asked.id)?, end.get(&asked.id)?);
        Some(format!("{}: {}", asked.id, about::altered(&asked.id, before, after, &[asked.attr])))
    };
    Ok(differs.filter_map(line).map(|line| format!("{line} is still to be done")).collect())
}

/// True if the heading of a dump is about the object or something that it is a part of.
fn in_dump(id: &ObjectId, heading: &str) -> bool {
    let schema = id.schema().map_or("-", |schema| schema.name().as_str());
    let own = id.kind().address == Address::Beside && dump::speaks_of(heading, schema, id.name().as_str());
    own || dump::speaks_of(heading, schema, id.root().name().as_str())
}
