//! From files and a database to a plan: read, compare, ask, compute. What `plan`, `push`, `apply` and `baseline` share.

use crate::catalog::{Session, Version};
use crate::diff::{self, Open, rename};
use crate::introspect;
use crate::model::{Change, Edges, Result, State};
use crate::project::Manage;
use crate::sameness::{self, Unverified};

use super::{Made, Wanted, make};

/// How a database differs from the files.
pub struct Difference {
    /// What is managed of the live state, under its own names.
    pub live: State,
    /// What differs, renames first.
    pub changes: Vec<Change>,
    /// Differences in text that nobody could verify; they are shown and never acted upon.
    pub unverified: Vec<Unverified>,
    /// The steps that lead from the live state to the desired one.
    pub made: Made,
    /// Objects that the model does not cover.
    pub unmodelled: Vec<String>,
    /// The server.
    pub server: Version,
}

impl Difference {
    /// True if there is nothing to do and nothing unverified.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.unverified.is_empty()
    }
}

/// Compares a database with the desired state and computes the steps between them.
///
/// # Errors
/// What the server reports; a refusal where no plan exists.
pub async fn against(session: &Session, desired: &State, manage: &Manage) -> Result<Difference> {
    let mut reading = introspect::begin(session).await;
    let outcome = match &mut reading {
        Ok(live) => compare(session, live, desired, manage).await,
        Err(_) => Ok(None),
    };
    introspect::end(session).await.or_else(|error| if reading.is_ok() { Err(error) } else { Ok(()) })?;
    let live = reading?;
    let unmodelled = live.unmodelled;
    let Some(Compared { live: managed, old, new, edges, renames, comparison }) = outcome? else {
        let managed = manage.apply(live.state, desired);
        return Ok(Difference {
            live: managed,
            changes: Vec::new(),
            unverified: Vec::new(),
            made: Made::default(),
            unmodelled,
            server: live.server,
        });
    };
    let settled = sameness::settle(session, &old, &new, &comparison.open).await?;
    let unverified: Vec<Unverified> = settled.unverified;
    // What could not be verified is left as it is: for the plan it counts as the same.
    let mut same = settled.same;
    same.extend(unverified.iter().map(|u| Open { id: u.id.clone(), attr: u.attr }));
    let mut changes = renames;
    changes.extend(diff::changes(&comparison, &same, &old, &new));
    let wanted = Wanted { old: &old, new: &new, edges: &edges, changes, server: live.server };
    let made = make::plan(&wanted)?;
    Ok(Difference { live: managed, changes: wanted.changes, unverified, made, unmodelled, server: live.server })
}

struct Compared {
    live: State,
    old: State,
    new: State,
    edges: Edges,
    renames: Vec<Change>,
    comparison: diff::Comparison,
}

/// Compares inside the reading transaction; `None` if nothing differs at all.
async fn compare(
    session: &Session,
    live: &mut introspect::Live,
    desired: &State,
    manage: &Manage,
) -> Result<Option<Compared>> {
    let managed = manage.apply(std::mem::take(&mut live.state), desired);
    let mut new = diff::signature::settle(&managed, manage.desired(desired, &managed, live.server));
    let first = diff::compare(&managed, &new);
    if first.is_empty() {
        live.state = managed;
        return Ok(None);
    }
    let edges = introspect::edges(session, &live.book, &managed).await?;
    let (mut old, edges, renames) = rename::apply(managed.clone(), edges, &new);
    manage.leave_to_creator(&mut old, &mut new, desired, session);
    let comparison = if renames.is_empty() { first } else { diff::compare(&old, &new) };
    Ok(Some(Compared { live: managed, old, new, edges, renames, comparison }))
}
