//! `setpoint baseline`: adopts a database that was built by hand.

use std::path::PathBuf;
use std::thread::ScopedJoinHandle;

use clap::Args;

use super::App;
use super::aid::Help;
use super::plan::{report_unmodelled, shown};
use crate::catalog::{Version, interrupt};
use crate::kinds::{index, schema};
use crate::ledger::Adoption;
use crate::load::{self, Loaded};
use crate::model::{Change, Digest, Edges, Error, Ident, Object, Result, State};
use crate::plan::against::against;
use crate::plan::chain::Chain;
use crate::plan::{self as plans, Made, Plan, Wanted, file};
use crate::project::Project;
use crate::{diff, introspect};

/// Adopt a hand-built database: write schema/*.kdl and plan 1, record revision 1 without running anything
#[derive(Args, Debug)]
pub struct Baseline {
    /// Answer yes to the question before anything is recorded
    #[arg(long)]
    auto_approve: bool,
    /// The name of plan 1
    #[arg(long, default_value = "baseline")]
    name: String,
    /// Fail on objects that the model does not cover
    #[arg(long)]
    strict: bool,
}

impl Baseline {
    pub fn run(self, app: &App) -> Result<u8> {
        super::plan::check_name(&self.name)?;
        let mut project = app.project()?;
        let mut chain = Chain::read(&project.plans_dir)?;
        if let Some(head) = chain.head() {
            return Err(Error::refused(format!("this project has plans already, up to {} {}", head.number, head.name))
                .remedy("to adopt another database with the same schema: `setpoint stamp`; to start over, remove plans/ and schema/"));
        }
        if !app.load(&project)?.sources.files.is_empty() {
            return Err(Error::refused(format!("{} has files already", shown(&project, &project.schema_dir)))
                .remedy("move them away, or plan from them with `setpoint plan`"));
        }
        let session = app.session(&project, "baseline")?;
        let ledger = app.ledger(&session)?;
        if ledger.exists && ledger.current() > 0 {
            return Err(Error::refused(format!(
                "this database has a ledger already, at revision {}",
                ledger.current()
            ))
            .remedy(
                "check out the project that its plans came from, or drop schema setpoint in the database to start over",
            ));
        }
        let (live, reading) = app.wait(introspect::read_to_keep(&session))?;
        report_unmodelled(app, &live.unmodelled, self.strict)?;
        app.warn_of_invalid(&live.state);
        let written =
            project.manage.written(live.state.clone(), &project.manage.of_extensions(&live.state), &session, true);
        let owner = written.owner.clone();
        app.confirm(
            &format!(
                "Adopt {} objects of database {} as plan 1 and revision 1?",
                written.state.len(),
                session.target().database()
            ),
            self.auto_approve,
        )?;
        if let Some(owner) = &owner {
            project.manage.owner = Some(owner.clone());
        }
        let files = load::write::files(&written.state);
        let server = session.version;
        // From here on the session is only cancelled by ending the command.
        let session = session.unlisted();
        let creator = Ident::from(session.user.as_str());
        let (live, state) = (&live.state, &written.state);
        let work = Work { project: &project, server, live, state, files: &files };
        // The server, the files and the plan have nothing to do with each other until all is written down.
        let (said, made, adoption) = std::thread::scope(|scope| {
            let said = scope.spawn(|| work.read_back());
            let made = scope.spawn(|| work.plan(&creator));
            let adoption = app.wait(Adoption::begin(&session, reading.as_ref()));
            (joined(said), joined(made), adoption)
        });
        let (said, made, adoption) = (said?, made?, adoption?);
        if !said.settled {
            no_lie(app, &project, &said.loaded.state)?;
        }
        app.go_on()?;
        if let Some(owner) = &owner {
            project.set_owner(owner)?;
        }
        let plan = Plan::new(&chain, &self.name, said.hash, session.version.major(), made);
        let count = files.len();
        let (saved, written) = interrupt::undivided(|| {
            std::thread::scope(|scope| {
                let saved = scope.spawn(|| load::write::save(&project.schema_dir, files));
                let text = file::write(&plan);
                let path = chain.append_as(&plan, &text);
                (joined(saved), path.map(|path| (path, text)))
            })
        });
        saved?;
        let (path, text) = written?;
        // Files that are written are to be those of a revision.
        app.settle(adoption.record(&plan, &text, &said.live)).map_err(not_recorded)?;
        app.say(&format!(
            "wrote {count} files to {} and {}; recorded revision 1",
            shown(&project, &project.schema_dir),
            shown(&project, &path)
        ));
        Ok(0)
    }
}

fn not_recorded(error: Error) -> Error {
    let error = error.detail("schema/ and plans/ are written, and revision 1 may not be recorded");
    error.remedy("fix the cause, and run `setpoint status`; `setpoint stamp 1` records the revision if it is missing")
}

/// What a thread found. A panic is a bug in any thread.
fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// What follows from the state that was read.
struct Work<'a> {
    project: &'a Project,
    server: Version,
    /// What the catalog holds.
    live: &'a State,
    /// The same as files say it.
    state: &'a State,
    files: &'a [(PathBuf, String)],
}

/// What the files say.
struct Said {
    /// The managed part of the catalog.
    live: State,
    loaded: Loaded,
    hash: Digest,
    /// True if that is what the catalog holds, letter by letter.
    settled: bool,
}

impl Work<'_> {
    /// Reads what is to be written.
    fn read_back(&self) -> Result<Said> {
        let loaded = load::load_texts(self.files)?;
        let manage = &self.project.manage;
        let live = manage.apply(self.live.clone(), &loaded.state);
        let new = manage.desired(&diff::signature::settle(&live, &loaded.state), &live, self.server);
        let settled = diff::compare(&live, &new).is_empty();
        Ok(Said { live, hash: load::files_hash(&loaded.state), loaded, settled })
    }

    /// The steps that make all of it in an empty database.
    fn plan(&self, creator: &Ident) -> Result<Made> {
        let (empty, manage) = (empty(), &self.project.manage);
        let mut new = manage.desired(self.state, &empty, self.server);
        load::write::in_file_order(&mut new);
        let changes = diff::changes(&diff::compare(&empty, &new), &diff::Answers::default(), &empty, &new);
        let edges = Edges::default();
        let wanted = Wanted::new(&empty, &new, &edges, changes, self.server);
        plans::plan(&wanted.by(manage.grants.then_some(creator)))
    }
}

/// Where texts differ, the server says whether they mean the same: what is to be written must be what is there.
fn no_lie(app: &App, project: &Project, desired: &State) -> Result<()> {
    // The other session is in the middle of the adoption.
    let session = app.session(project, "baseline")?;
    let help = Help::new(app, &session);
    let difference = app.wait(against(&session, desired, &project.manage, &help))?;
    // Files say what an index is to be, and that is never a failed build.
    let broken = |change: &Change| matches!(change, Change::Replace(id, attrs) if index::is_only_broken(id, attrs));
    if difference.unverified.is_empty() && difference.changes.iter().all(broken) {
        return Ok(());
    }
    let error = Error::failed("the files that would be written are not what the database holds");
    let error = difference.changes.iter().take(10).fold(error, |error, change| error.detail(format!("{change:?}")));
    let error = difference
        .unverified
        .iter()
        .take(10)
        .fold(error, |error, u| error.detail(format!("{}: {}: {}", u.id, u.attr, u.reason)));
    Err(error.remedy("nothing was written; this is a bug in setpoint, please report it with the objects named above"))
}

/// The state of template0: only schema public.
pub fn empty() -> State {
    let mut state = State::default();
    state.put(schema::id("public"), Object::default());
    state
}
