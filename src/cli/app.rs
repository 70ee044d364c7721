//! What the commands share: the project, the database, the runtime, questions to the user.

use std::cell::RefCell;
use std::collections::HashSet;
use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::catalog::{Connect, NEWEST, Session, interrupt};
use crate::introspect::untested;
use crate::kinds::{index, toast};
use crate::ledger::Ledger;
use crate::load::{self, Loaded};
use crate::model::{Address, Class, Error, ObjectId, Result, State, without_passwords};
use crate::plan::Step;
use crate::project::Project;
use crate::report::finish;
use crate::scratch::Walls;

use super::Globals;
use super::loading::Loading;

/// The commands that change a database or its ledger.
const CHANGING: &[&str] = &["apply", "baseline", "push", "rollback", "stamp"];

/// One run of the command line.
pub struct App {
    pub globals: Globals,
    runtime: tokio::runtime::Runtime,
    warned: RefCell<HashSet<String>>,
}

impl App {
    /// Prepares a run.
    ///
    /// # Errors
    /// If the runtime cannot be built.
    pub fn new(globals: Globals) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::failed("cannot start").detail(error.to_string()))?;
        Ok(Self { globals, runtime, warned: RefCell::default() })
    }

    /// Runs something that reads from the server. Ctrl-C cancels what runs there, and answers that came after it are ignored:
    /// some of them may have been cancelled.
    ///
    /// # Errors
    /// Those of the work, and `Interrupted`.
    pub fn wait<T>(&self, future: impl Future<Output = Result<T>>) -> Result<T> {
        let answer = self.change(future)?;
        self.go_on()?;
        Ok(answer)
    }

    /// The same for what changes a database: if that has finished, it counts.
    ///
    /// # Errors
    /// Those of the work, and `Interrupted`.
    pub fn change<T>(&self, future: impl Future<Output = Result<T>>) -> Result<T> {
        interrupt::heed();
        self.go_on()?;
        self.runtime.block_on(future).map_err(interrupted)
    }

    /// Stops here if somebody asked to.
    ///
    /// # Errors
    /// `Interrupted`.
    pub fn go_on(&self) -> Result<()> {
        if interrupt::is_asked() { Err(interrupt::error()) } else { Ok(()) }
    }

    /// The same for what has to be finished even if somebody asks to stop.
    pub fn settle<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// The folder that the command works in.
    ///
    /// # Errors
    /// If the working directory is gone.
    pub fn directory(&self) -> Result<PathBuf> {
        match &self.globals.directory {
            Some(directory) => Ok(directory.clone()),
            None => std::env::current_dir()
                .map_err(|error| Error::failed("the working directory is gone").detail(error.to_string())),
        }
    }

    /// The project around the working directory.
    ///
    /// # Errors
    /// `Config` if there is none, or its file is wrong.
    pub fn project(&self) -> Result<Project> {
        let mut project = self.project_here()?;
        project.enter(self.globals.url.as_deref(), self.globals.env.as_deref())?;
        Ok(project)
    }

    /// The same, whatever database is meant.
    ///
    /// # Errors
    /// As `project`.
    pub fn project_here(&self) -> Result<Project> {
        match &self.globals.config {
            Some(file) => Project::read(file),
            None => Project::find(&self.directory()?),
        }
    }

    /// The database that is meant.
    ///
    /// # Errors
    /// `Config` if nothing names one.
    pub fn target(&self, project: &Project) -> Result<Connect> {
        if self.globals.url.as_deref().is_some_and(Connect::holds_password) {
            self.warn("the password in --url is visible to everyone on this machine; use DATABASE_URL or .pgpass");
        }
        let target = project.target(self.globals.url.as_deref(), self.globals.env.as_deref())?;
        for name in target.passed_over() {
            self.warn(&format!(
                "{name} in .env is not used: the environment or the command line says where to connect to"
            ));
        }
        Ok(target.untested(self.globals.untested_server))
    }

    /// Connects.
    ///
    /// # Errors
    /// What the server or the network reports.
    pub fn session(&self, project: &Project, purpose: &str) -> Result<Session> {
        let target = self.target(project)?;
        let session = self.wait(Session::open(&target, purpose))?;
        if session.version.is_untested() {
            if CHANGING.contains(&purpose) {
                session.may_change()?;
            }
            self.warn_of_untested(&session)?;
        }
        Ok(session)
    }

    /// Says that a server is read as if it were an older one, and what is not read.
    fn warn_of_untested(&self, session: &Session) -> Result<()> {
        let (version, newest) = (session.version, NEWEST);
        self.warn(&format!(
            "PostgreSQL {version} is newer than {newest}, the newest that was tested: it is read as if it were {newest}"
        ));
        for name in self.wait(untested::unread(session))? {
            self.warn(&format!("not known to this setpoint, and not read: {name}"));
        }
        Ok(())
    }

    /// Reads the ledger, and says who else could have written to it.
    ///
    /// # Errors
    /// As `Ledger::read`.
    pub fn ledger(&self, session: &Session) -> Result<Ledger> {
        let ledger = self.wait(Ledger::read(session))?;
        self.warn_of_others(&ledger);
        Ok(ledger)
    }

    /// Says who else could have written to the ledger.
    pub fn warn_of_others(&self, ledger: &Ledger) {
        if let Some(warning) = ledger.warning() {
            self.warn(&warning);
        }
    }

    /// Waits until the server accepts connections: containers start side by side. Without time to wait, the first connection attempt finds out.
    ///
    /// # Errors
    /// What still kept it from connecting when the time was over.
    pub fn await_server(&self, target: &Connect, wait: Duration) -> Result<()> {
        let (begun, mut told) = (Instant::now(), false);
        while !wait.is_zero() {
            let error = match self.wait(Session::open(target, "waiting")) {
                Ok(session) => {
                    self.settle(session.close());
                    return Ok(());
                }
                Err(error) => error,
            };
            // A server that answers has its reasons, unless it only starts up.
            if error.class == Class::Interrupted {
                return Err(error);
            }
            let later = error.sqlstate.as_deref().is_none_or(|code| code == "57P03");
            if !later || begun.elapsed() >= wait {
                return Err(if later { error.detail(format!("waited {} seconds", wait.as_secs())) } else { error });
            }
            if !std::mem::replace(&mut told, true) {
                self.say(&format!("waiting: {}", error.message));
            }
            std::thread::sleep(Duration::from_millis(200).min(wait.saturating_sub(begun.elapsed())));
        }
        Ok(())
    }

    /// The desired state.
    ///
    /// # Errors
    /// `Config` with every problem of every file.
    pub fn load(&self, project: &Project) -> Result<Loaded> {
        let loaded = load::load(&project.schema_dir)?;
        self.warn_of_left_out(project, &loaded);
        Ok(loaded)
    }

    /// Begins to read the desired state in another thread.
    pub fn start_loading(&self, project: &Project) -> Loading {
        Loading::start(project.schema_dir.clone())
    }

    /// Says what is declared in vain.
    pub fn warn_of_left_out(&self, project: &Project, loaded: &Loaded) {
        for id in project.manage.left_out(&loaded.state) {
            let added = if loaded.state.children().contains_key(id) && id.kind().address == Address::Qualified {
                format!("; what is yours on it is declared in `on {} {{ … }}`", id.path())
            } else {
                String::new()
            };
            self.warn(&format!("{id} is declared, but setpoint.kdl leaves it out: it is ignored{added}"));
        }
        for id in toast::in_vain(&loaded.state) {
            self.warn(&format!(
                "`toast.` of {id} is ignored: it has no TOAST table, because its rows are never too long for a page"
            ));
        }
    }

    /// Names the indexes that a failed build left behind: the files say what they are to be.
    pub fn warn_of_invalid(&self, live: &State) {
        for id in index::invalid(live) {
            self.warn(&format!(
                "{id} is not valid, because a build of it failed: it is written as a good one, so that `setpoint plan` builds it again; \
                 to do without it, drop it first"
            ));
        }
    }

    /// Warns that files which declare nothing ask for an empty database, which is seldom intended.
    pub fn warn_of_nothing(&self, desired: &State, steps: &[Step]) {
        if desired.len() <= 1 && !steps.is_empty() {
            self.warn(
                "schema/ declares nothing, so everything would be dropped; `setpoint baseline` adopts what exists",
            );
        }
    }

    /// Reports renames that are already done everywhere; a plan that may still have to run contains its own.
    pub fn warn_of_done(&self, loaded: &Loaded, renamed: &[ObjectId]) {
        for (id, was, said) in loaded.state.renames().filter(|(id, ..)| renamed.contains(id)) {
            let place = load::place(&loaded.sources, said);
            self.warn(&format!("{place}: `was={}` of {id} is no longer needed; remove it", was.as_str()));
        }
    }

    /// Results: stdout.
    pub fn print(&self, text: &str) {
        let mut out = anstream::stdout().lock();
        // A closed pipe (`| head`) is not an error of ours.
        let _ = write!(out, "{}", finish(text)).and_then(|()| out.flush());
    }

    /// A file's text: stdout, byte for byte unless that is a terminal.
    pub fn print_file(&self, text: &str) {
        if std::io::stdout().is_terminal() {
            return self.print(text);
        }
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// Everything else: stderr, unless `--quiet`.
    pub fn say(&self, text: &str) {
        if !self.globals.quiet {
            tell(text);
        }
    }

    /// Details: stderr, with `--verbose`.
    pub fn detail(&self, text: &str) {
        if self.globals.verbose {
            self.say(text);
        }
    }

    /// Says to those who ask for more what this machine has not to keep a throwaway server in. What files say has no privileges there in any
    /// case.
    pub fn tell_of_walls(&self, walls: Walls) {
        if let Some(missing) = walls.missing() {
            self.detail(&format!("note: this machine cannot limit what the throwaway server reaches: {missing}"));
        }
    }

    /// A warning: stderr in any case, but each only once.
    pub fn warn(&self, text: &str) {
        if !self.warned.borrow_mut().insert(text.to_owned()) {
            return;
        }
        // A line of somebody else's text is not to look like one of ours.
        tell(&format!("warning: {}", text.replace('\n', "\n  ")));
    }

    /// Asks before a database is changed.
    ///
    /// # Errors
    /// `Refused` without a terminal to ask on, or if the answer is no.
    pub fn confirm(&self, question: &str, auto_approve: bool) -> Result<()> {
        if auto_approve {
            return Ok(());
        }
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return Err(Error::refused(format!("{question} There is no terminal to ask on"))
                .remedy("run it on a terminal, or answer yes beforehand with --auto-approve"));
        }
        anstream::eprint!("{} [y/N] ", finish(question));
        let mut answer = String::new();
        let read = interrupt::while_prompting("error: interrupted; nothing was changed", || {
            std::io::stdin().lock().read_line(&mut answer)
        });
        match (read, answer.trim()) {
            (Ok(_), "y" | "Y" | "yes") => Ok(()),
            _ => Err(Error::refused("not approved; nothing was changed")),
        }
    }
}

/// What failed after somebody asked to stop failed because of that. What is known of it, and the way on, stay.
fn interrupted(error: Error) -> Error {
    if error.class != Class::Failed || !interrupt::is_asked() {
        return error;
    }
    let cancelled = error.sqlstate.as_deref() == Some("57014");
    let Error { class, message, .. } = interrupt::error();
    let details = std::iter::once(error.message).chain(error.details).collect();
    Error { class, message, details, remedy: error.remedy.filter(|_| !cancelled), sqlstate: None, in_files: None }
}

/// A line on stderr. Nothing of it is obeyed by a terminal, and no address in it shows its password.
pub fn tell(text: &str) {
    anstream::eprintln!("{}", finish(&without_passwords(text)));
}
