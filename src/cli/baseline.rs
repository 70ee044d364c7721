//! `setpoint baseline`: takes over a database that was built by hand.

use clap::Args;

use super::App;
use super::aid::Help;
use super::plan::{report_unmodelled, shown};
use crate::kinds::schema;
use crate::ledger::{self, Ledger};
use crate::load;
use crate::model::{Edges, Error, Ident, Object, Result, State};
use crate::plan::against::{Difference, against};
use crate::plan::chain::Chain;
use crate::plan::{self as plans, Wanted};
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
                .remedy("to take over another database of the same schema: `setpoint stamp`; to start over, remove plans/ and schema/"));
        }
        if !app.load(&project)?.sources.files.is_empty() {
            return Err(Error::refused(format!("{} has files already", shown(&project, &project.schema_dir)))
                .remedy("move them away, or plan from them with `setpoint plan`"));
        }
        let session = app.session(&project, "baseline")?;
        let ledger = app.wait(Ledger::read(&session))?;
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
        let written = project.manage.written(live.state, &session, true);
        if let Some(owner) = written.owner {
            project.set_owner(&owner)?;
        }
        let state = written.state;
        app.confirm(
            &format!(
                "Adopt {} objects of database {} as plan 1 and revision 1?",
                state.len(),
                session.target().database()
            ),
            self.auto_approve,
        )?;
        let files = load::write::files(&state);
        let count = files.len();
        load::write::save(&project.schema_dir, files)?;
        let desired = app.load(&project)?;
        let difference = app.wait(against(
            &session,
            &desired.state,
            &project.manage,
            &Help::new(app, &session).knowing(reading.clone()),
        ))?;
        report_unmodelled(app, &difference, self.strict)?;
        no_lie(&difference)?;
        let empty = empty();
        let new = project.manage.desired(&desired.state, &empty, session.version);
        let changes = diff::changes(&diff::compare(&empty, &new), &diff::Answers::default(), &empty, &new);
        let creator = Ident::from(session.user.as_str());
        let edges = Edges::default();
        let wanted = Wanted::new(&empty, &new, &edges, changes, session.version);
        let made = plans::plan(&wanted.by(project.manage.grants.then_some(&creator)))?;
        let plan =
            plans::Plan::new(&chain, &self.name, load::files_hash(&desired.state), session.version.major(), made);
        let text = plans::file::write(&plan);
        let path = chain.append_as(&plan, &text)?;
        app.wait(ledger::baseline(&session, &plan, &text, &difference.live, reading.as_ref()))?;
        app.say(&format!(
            "wrote {count} files to {} and {}; recorded revision 1",
            shown(&project, &project.schema_dir),
            shown(&project, &path)
        ));
        Ok(0)
    }
}

/// What was written must be what is there.
fn no_lie(difference: &Difference) -> Result<()> {
    if difference.is_empty() {
        return Ok(());
    }
    let error = Error::failed("the files that were written are not what the database holds");
    let error = difference.changes.iter().take(10).fold(error, |error, change| error.detail(format!("{change:?}")));
    let error = difference
        .unverified
        .iter()
        .take(10)
        .fold(error, |error, u| error.detail(format!("{}: {}: {}", u.id, u.attr, u.reason)));
    Err(error
        .remedy("nothing was recorded; this is a fault of setpoint, please report it with the objects named above"))
}

/// The state of template0: only schema public.
pub fn empty() -> State {
    let mut state = State::default();
    state.put(schema::id("public"), Object::default());
    state
}
