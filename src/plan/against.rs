//! From files and a database to a plan: read, compare, ask, compute. What `plan`, `push`, `apply` and `baseline` share.

use rustc_hash::FxHashSet;

use crate::catalog::{Session, Version};
use crate::diff::{self, Answers, Open, lineage, rename};
use crate::introspect;
use crate::kinds::manage::roles;
use crate::model::{Change, Edges, Error, Ident, ObjectId, Result, State};
use crate::project::Manage;
use crate::sameness::{self, Unverified, memo};
use crate::sql;

use super::aid::Aid;
use super::renamed::{self as later_on, Renames};
use super::{Made, Wanted, make, second_opinion};

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
    /// Objects whose `was` did its work: they are there under their new names, and nothing has the old ones.
    pub renamed: Vec<ObjectId>,
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
/// What the server reports; a role that does not exist; a refusal where no plan exists.
pub async fn against(session: &Session, desired: &State, manage: &Manage, aid: &impl Aid) -> Result<Difference> {
    against_loading(session, || Ok(desired), manage, aid).await
}

/// The same, where the desired state is asked for after the database was read: files and database can be read at the same time.
///
/// # Errors
/// As `against`, and what `desired` reports.
pub async fn against_loading<'a>(
    session: &Session,
    desired: impl FnOnce() -> Result<&'a State>,
    manage: &Manage,
    aid: &impl Aid,
) -> Result<Difference> {
    let earlier = aid.reading().await?;
    let mut reading = introspect::begin(session, earlier.as_ref()).await;
    let outcome = match (&mut reading, desired()) {
        (Ok(live), Ok(desired)) => {
            let renamed = rename::done(&live.state, desired);
            compare(session, live, desired, manage).await.map(|compared| (renamed, compared))
        }
        (Err(_), Ok(_)) => Ok((Vec::new(), None)),
        (_, Err(error)) => Err(error),
    };
    introspect::end(session).await.or_else(|error| if reading.is_ok() { Err(error) } else { Ok(()) })?;
    // What is wrong in the files comes first: it is wrong whatever the database says.
    let (outcome, live) = (outcome?, reading?);
    let (renamed, outcome) = outcome;
    let unmodelled = live.unmodelled;
    let Some(Compared { live: managed, mut old, new, edges, renames, completed, mut comparison }) = outcome else {
        return Ok(Difference {
            live: live.state,
            changes: Vec::new(),
            unverified: Vec::new(),
            made: Made::default(),
            unmodelled,
            renamed,
            server: live.server,
        });
    };
    roles_exist(session, &old, &new).await?;
    let before = (!renames.is_empty()).then(|| old.clone());
    let follow = before.as_ref().map(|old| Renames::new(&renames, old, &edges));
    let outdated = follow.as_ref().map_or_else(Vec::new, |follow| follow.outdated(&new));
    comparison.open.extend(outdated.iter().filter(|open| !comparison.open.contains(open)).cloned().collect::<Vec<_>>());
    let facts = memo::facts(session, &old, &new, &comparison.open).await?;
    let keys: Vec<String> = facts.iter().map(|fact| fact.key.clone()).collect();
    let mut same = memo::same(&facts, &aid.recall(&keys).await?);
    let follows = |open: &Open| follow.as_ref().is_some_and(|follow| follow.touch(&open.id));
    let misleading = follow.as_ref().is_some_and(Renames::reuse_names);
    let hidden = |open: &Open| outdated.contains(open) || misleading && follows(open);
    same.retain(|open| !hidden(open));
    let open: Vec<Open> = comparison.open.iter().filter(|open| !same.contains(open)).cloned().collect();
    let asked: Vec<Open> = open.iter().filter(|open| !hidden(open)).cloned().collect();
    let mut settled = sameness::settle(session, &old, &new, &asked).await?;
    // The database knows no new names yet: what it takes for different may only have followed a rename.
    let later: Vec<Open> = open.into_iter().filter(|open| follows(open) && !settled.same.contains(open)).collect();
    if let Some(follow) = follow.as_ref().filter(|_| !later.is_empty())
        && let Some(followed) = follow.follow(aid, &managed, &later, live.server).await?
    {
        settled.unverified.retain(|question| !follows(&Open { id: question.id.clone(), attr: question.attr }));
        settled.unverified.extend(later.iter().map(later_on::later));
        old = followed;
    }
    let opinion = second_opinion::ask(aid, &old, &new, settled.unverified, live.server).await?;
    let unverified: Vec<Unverified> = opinion.unverified;
    same.extend(settled.same.into_iter().chain(opinion.same));
    // What could not be verified is left as it is: for the plan it counts as the same.
    same.extend(unverified.iter().map(|u| Open { id: u.id.clone(), attr: u.attr }));
    let answers = Answers { same, in_place: settled.in_place };
    let mut changes = renames.clone();
    changes.extend(diff::changes(&comparison, &answers, &old, &new));
    let creator = Ident::from(session.user.as_str());
    let mut wanted = Wanted::new(&old, &new, &edges, changes, live.server).by(manage.grants.then_some(&creator));
    wanted.in_place = settled.and_back;
    wanted.completed = completed;
    wanted.before = before.as_ref();
    let recorded = if wanted.changes.iter().any(|change| matches!(change, Change::Drop(_))) {
        aid.recorded().await?
    } else {
        None
    };
    wanted.recorded = recorded.as_ref();
    let made = make::plan(&wanted)?;
    Ok(Difference {
        live: managed,
        changes: wanted.changes,
        unverified,
        made,
        unmodelled,
        renamed,
        server: live.server,
    })
}

struct Compared {
    live: State,
    old: State,
    new: State,
    edges: Edges,
    renames: Vec<Change>,
    completed: lineage::Completed,
    comparison: diff::Comparison,
}

/// Compares inside the reading transaction; `None` if nothing differs at all, and `live` is what is managed then.
async fn compare(
    session: &Session,
    live: &mut introspect::Live,
    desired: &State,
    manage: &Manage,
) -> Result<Option<Compared>> {
    let managed = manage.apply(std::mem::take(&mut live.state), desired);
    let files = diff::signature::settle(&managed, desired);
    let mut new = manage.desired(&files, &managed, live.server);
    let first = diff::compare(&managed, &new);
    if first.is_empty() {
        live.state = managed;
        return Ok(None);
    }
    let edges = introspect::edges(session, &live.dependencies, &managed).await?;
    let (mut old, edges, renames) = rename::apply(managed.clone(), edges, &new);
    if !renames.is_empty() {
        // What the files leave out is what the live objects have under their new names.
        new = manage.desired(&files, &old, live.server);
    }
    manage.leave_to_creator(&mut old, &mut new, desired, session);
    let completed = lineage::complete(&mut old, &mut new);
    let same = renames.is_empty() && completed.is_empty();
    let comparison = if same { first } else { diff::compare(&old, &new) };
    Ok(Some(Compared { live: managed, old, new, edges, renames, completed, comparison }))
}

/// Makes sure that the roles exist which the files name and the database does not.
async fn roles_exist(session: &Session, old: &State, new: &State) -> Result<()> {
    let known: FxHashSet<Ident> = roles(old).into_iter().map(|(role, _)| role).collect();
    let wanted: Vec<(Ident, ObjectId)> = roles(new).into_iter().filter(|(role, _)| !known.contains(role)).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = wanted.iter().map(|(role, _)| role.as_str()).collect();
    let rows = session.rows("SELECT rolname::text FROM pg_roles WHERE rolname = ANY ($1::text[])", &[&names]).await?;
    let there: FxHashSet<Ident> = rows.into_iter().map(|mut row| Ident::new(row.text())).collect();
    let missing: Vec<&(Ident, ObjectId)> = wanted.iter().filter(|(role, _)| !there.contains(role)).collect();
    let Some((role, id)) = missing.first() else { return Ok(()) };
    let mut error = Error::failed(format!("there is no role {}", sql::role(role)));
    for (role, id) in missing.iter().skip(1) {
        error = error.detail(format!("nor is there {}, needed by {id}", sql::role(role)));
    }
    error.details.insert(0, format!("needed by {id}"));
    Err(error.remedy("roles belong to the whole server, and setpoint makes none: CREATE ROLE first, or map the name in setpoint.kdl's `env`"))
}
