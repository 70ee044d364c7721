//! Makes a plan from files and a database: read, compare, ask, compute. `plan`, `push`, `apply` and `baseline` share it.

use rustc_hash::FxHashSet;

use crate::catalog::{Session, Version};
use crate::diff::{self, Open, lineage, rename};
use crate::introspect;
use crate::kinds::roles;
use crate::model::{Change, Edges, Error, Ident, ObjectId, Result, State};
use crate::project::Manage;
use crate::sameness::Unverified;
use crate::sql;

use super::aid::Aid;
use super::apart;
use super::captured;
use super::ladder::{Following, Ladder};
use super::renamed::Renames;
use super::{Made, Wanted, make};

/// How a database differs from the files.
pub struct Difference {
    /// The managed part of the live state, under its own names.
    pub live: State,
    /// The dependencies in it, and in what is around it; empty if nothing differs.
    pub edges: Edges,
    /// What else is in the database: it is not managed, but what is managed may need it.
    pub around: State,
    /// The state that the steps lead to; empty if nothing differs.
    pub end: State,
    /// What differs, renames first.
    pub changes: Vec<Change>,
    /// Differences in text that could not be verified; they are shown and never acted upon.
    pub unverified: Vec<Unverified>,
    /// The steps that lead from the live state to the desired one.
    pub made: Made,
    /// Objects that the model does not cover.
    pub unmodelled: Vec<String>,
    /// Objects whose `was` is no longer needed: they exist under their new names, and nothing has the old ones.
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
            compare(session, live, desired, manage, aid).await.map(|compared| (renamed, compared))
        }
        (Err(_), Ok(_)) => Ok((Vec::new(), None)),
        (_, Err(error)) => Err(error),
    };
    introspect::end(session).await.or_else(|error| if reading.is_ok() { Err(error) } else { Ok(()) })?;
    // Mistakes in the files come first: they do not depend on the database.
    let (outcome, live) = (outcome?, reading?);
    let (renamed, outcome) = outcome;
    let unmodelled = live.unmodelled;
    let Some(compared) = outcome else {
        return Ok(Difference {
            live: live.state,
            edges: Edges::default(),
            around: State::default(),
            end: State::default(),
            changes: Vec::new(),
            unverified: Vec::new(),
            made: Made::default(),
            unmodelled,
            renamed,
            server: live.server,
        });
    };
    let Compared { live: managed, around, lent, mut old, new, own_edges, edges, renames, completed, mut comparison } =
        compared;
    roles_exist(session, &old, &new).await?;
    let before = (!renames.is_empty()).then(|| old.clone());
    if rename::constants_follow(&mut old, &renames) | rename::names_stay(&mut old, &renames) {
        comparison = diff::compare(&old, &new);
    }
    let changes = !comparison.changed.is_empty();
    let following =
        before.as_ref().map(|old| Following::new(Renames::new(&renames, old, &edges), &managed, &new, changes));
    if let Some(following) = &following {
        let outdated = following.outdated.iter().filter(|open| !comparison.open.contains(open));
        let outdated: Vec<Open> = outdated.cloned().collect();
        comparison.open.extend(outdated);
    }
    let ladder = Ladder { session, aid, following: following.as_ref() };
    let found = ladder.ask(&old, &new, &comparison.open).await?;
    old = found.followed.unwrap_or(old);
    let unverified = found.unverified;
    let mut changes = renames.clone();
    changes.extend(diff::changes(&comparison, &found.answers, &old, &new));
    let creator = Ident::from(session.user.as_str());
    let mut wanted = Wanted::new(&old, &new, &edges, changes, live.server).by(manage.grants.then_some(&creator));
    wanted.in_place = found.and_back;
    wanted.outdated = found.outdated;
    wanted.completed = completed;
    wanted.before = before.as_ref();
    let recorded = if wanted.changes.iter().any(|change| matches!(change, Change::Drop(_))) {
        aid.recorded().await?
    } else {
        None
    };
    wanted.recorded = recorded.as_ref();
    let mut made = make::plan(&wanted)?;
    if !lent.is_empty() {
        let lent: FxHashSet<String> = lent.iter().map(ToString::to_string).collect();
        made.footprint.retain(|expected| !lent.contains(&expected.object));
    }
    let changes = wanted.changes;
    captured::refuse(captured::find(session, made.steps.iter()).await?, |id| new.has(id))?;
    Ok(Difference {
        live: managed,
        edges: own_edges.unwrap_or(edges),
        around,
        end: new,
        changes,
        unverified,
        made,
        unmodelled,
        renamed,
        server: live.server,
    })
}

/// The objects in which the files differ from a live state that is read already, each with the attributes; no attributes: only one
/// of the two has it. Nothing is renamed: what files call by a new name is another object as long as the database has the old one.
///
/// # Errors
/// What the server reports.
pub async fn differing(
    session: &Session,
    live: &State,
    files: &State,
    manage: &Manage,
    aid: &impl Aid,
) -> Result<(Vec<(ObjectId, Vec<&'static str>)>, Vec<Unverified>)> {
    let mut old = manage.apply(live.clone(), files);
    let mut around = live.clone();
    around.objects_mut().retain(|id, _| !old.has(id));
    let desired = introspect::default_opclasses::settle(session, diff::signature::settle(&old, files)).await?;
    let mut new = manage.desired(&desired, &old, session.version);
    manage.leave_to_creator(&mut old, &mut new, files, session);
    let comparison = diff::compare(&old, &new);
    apart::lend(&mut old, &mut new, &around);
    let found = Ladder { session, aid, following: None }.ask(&old, &new, &comparison.open).await?;
    let changes = diff::changes(&comparison, &found.answers, &old, &new);
    let changes = changes.into_iter().map(|change| match change {
        Change::Alter(id, attrs) | Change::Replace(id, attrs) => (id, attrs),
        other => (other.id().clone(), Vec::new()),
    });
    Ok((changes.collect(), found.unverified))
}

struct Compared {
    live: State,
    around: State,
    /// What of that is in both ends of the plan.
    lent: FxHashSet<ObjectId>,
    old: State,
    new: State,
    /// The edges of all that there is, under its own names, where that is not what the plan is made with.
    own_edges: Option<Edges>,
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
    aid: &impl Aid,
) -> Result<Option<Compared>> {
    let whole = std::mem::take(&mut live.state);
    let (managed, around) = if manage.leaves_out() || whole.iter().any(|(id, _)| whole.is_apart(id)) {
        let recorded = aid.recorded().await?.unwrap_or_default();
        let managed = manage.apply(whole.clone(), &apart::declared(desired, &recorded));
        let mut around = whole;
        around.objects_mut().retain(|id, _| !managed.has(id));
        (managed, around)
    } else {
        (whole, State::default())
    };
    apart::check(&managed, &around, desired)?;
    let files = introspect::default_opclasses::settle(session, diff::signature::settle(&managed, desired)).await?;
    let mut new = manage.desired(&files, &managed, live.server);
    let first = diff::compare(&managed, &new);
    let exchanges = diff::swap::asked(&managed, &new);
    if first.is_empty() && !exchanges {
        live.state = managed;
        return Ok(None);
    }
    let edges = introspect::edges(session, &live.dependencies, &managed).await?;
    let renamed = new.renames().next().is_some() || new.iter().any(|(_, object)| object.unnamed);
    let own_edges = if around.is_empty() {
        renamed.then(|| edges.clone())
    } else {
        Some(introspect::edges(session, &live.dependencies, &apart::together(&managed, &around)).await?)
    };
    let done = if exchanges { aid.renames().await? } else { Vec::new() };
    let (mut old, mut edges, renames) = rename::apply(managed.clone(), edges, &new, &done)?;
    if !renames.is_empty() {
        // What the files leave out is taken from the live objects under their new names.
        new = manage.desired(&files, &old, live.server);
    }
    manage.leave_to_creator(&mut old, &mut new, desired, session);
    let leaving = lineage::leaving(&old, &new);
    let attached = introspect::attached(session, &leaving, &old, &|id| rename::before(id, &renames)).await?;
    let completed = lineage::complete(&mut old, &mut new, &attached, &mut edges);
    let same = renames.is_empty() && completed.is_empty();
    let comparison = if same { first } else { diff::compare(&old, &new) };
    let lent = apart::lend(&mut old, &mut new, &around);
    Ok(Some(Compared { live: managed, around, lent, old, new, own_edges, edges, renames, completed, comparison }))
}

/// Checks that roles exist that the files name and the database does not.
async fn roles_exist(session: &Session, old: &State, new: &State) -> Result<()> {
    let known: FxHashSet<Ident> = roles::named(old).into_iter().map(|(role, _)| role).collect();
    let wanted: Vec<(Ident, ObjectId)> =
        roles::named(new).into_iter().filter(|(role, _)| !known.contains(role)).collect();
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
    Err(error.remedy("roles belong to the whole server, and setpoint creates none: CREATE ROLE first, or map the name in setpoint.kdl's `env`"))
}
