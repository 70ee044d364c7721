//! `setpoint demo`: a guided tour of the main workflow on a throwaway server.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use clap::Args;

use super::App;
use crate::model::{Error, Result};
use crate::scratch::{self, Author, Server, Site};

/// Show the main workflow on a private throwaway server: plan, apply, drift, another change, rollback
#[derive(Args, Debug)]
pub struct Demo {
    /// The folder with PostgreSQL's server programs, if they are not found automatically
    #[arg(long, value_name = "DIR")]
    postgres: Option<PathBuf>,
}

/// What is shown where no project is at hand.
const SCHEMA: &str = include_str!("demo.kdl");

/// The change that is planned, applied and rolled back.
const TABLE: &str = r#"table demo_note {
    comment "Added by the demo"
    column id bigint identity=always
    column body text not-null default="''"
    column written timestamptz not-null default="now()"
    primary-key id
    index demo_note_written written
}
"#;

impl Demo {
    pub fn run(self, app: &App) -> Result<u8> {
        let binaries = scratch::find_in(self.postgres.as_deref(), None)?;
        app.say(&format!("starting a private PostgreSQL {}, which is removed afterwards", binaries.version));
        let server = Arc::new(Server::start_closed(&binaries)?);
        let site = app.wait(Site::new(&server, "demo", app.globals.author()))?;
        let dir = Scratch::new()?;
        let stage = Stage { app, dir: &dir.0, site: &site };
        let copied = match app.project() {
            Ok(project) => {
                copy(&project.root.join("setpoint.kdl"), &dir.0.join("setpoint.kdl"))?;
                copy(&project.schema_dir, &dir.0.join("schema"))?;
                copy(&project.plans_dir, &dir.0.join("plans"))?;
                true
            }
            Err(_) => false,
        };
        if !copied {
            stage.setpoint(&["init"], 0)?;
            write(&dir.0.join("schema/demo.kdl"), SCHEMA)?;
            stage.setpoint(&["plan", "--save", "first"], 0)?;
        }
        app.say("\n# 1. The plans of the project, applied to an empty database.");
        stage.setpoint(&["status"], 0)?;
        stage.setpoint(&["apply", "--auto-approve", "--allow", "all"], 0)?;
        stage.setpoint(&["plan", "--exit-code"], 0)?;
        app.say("\n# 2. Somebody changes the database by hand. That is drift.");
        stage.psql("CREATE TABLE public.made_by_hand (id integer PRIMARY KEY, note text)")?;
        stage.setpoint(&["drift"], 2)?;
        stage.psql("DROP TABLE public.made_by_hand")?;
        stage.setpoint(&["drift"], 0)?;
        app.say("\n# 3. A change to the files: planned, reviewed, applied.");
        app.say(&format!("\n$ cat schema/demo_note.kdl\n{}", TABLE.trim_end()));
        write(&dir.0.join("schema/demo_note.kdl"), TABLE)?;
        stage.setpoint(&["plan", "--exit-code", "--verbose"], 2)?;
        stage.setpoint(&["plan", "--save", "add-demo-note"], 0)?;
        stage.setpoint(&["apply", "--auto-approve"], 0)?;
        stage.setpoint(&["history"], 0)?;
        app.say("\n# 4. And back.");
        stage.setpoint(&["rollback", "-1", "--auto-approve", "--allow", "all"], 0)?;
        stage.setpoint(&["status"], 0)?;
        app.say("\nThat was the main workflow. The server and everything on it are gone now.");
        Ok(0)
    }
}

/// Runs commands of this very program, and shows them.
struct Stage<'a> {
    app: &'a App,
    dir: &'a Path,
    site: &'a Site,
}

impl Stage<'_> {
    fn setpoint(&self, args: &[&str], wanted: i32) -> Result<()> {
        self.app.say(&format!("\n$ setpoint {}", args.join(" ")));
        let program = std::env::current_exe()
            .map_err(|error| Error::failed("cannot find this program").detail(error.to_string()))?;
        let status = Command::new(program)
            .args(args)
            .current_dir(self.dir)
            .args((self.site.author() == Author::Trusted).then_some(Author::OPTION))
            .env("DATABASE_URL", self.site.connect().to_string())
            .envs(self.site.password().map(|password| ("PGPASSWORD", password)))
            .status()
            .map_err(|error| Error::failed("cannot run this program again").detail(error.to_string()))?;
        match status.code() {
            Some(code) if code == wanted => Ok(()),
            code => Err(Error::failed(format!("`setpoint {}` ended with {code:?}, not {wanted}", args.join(" ")))),
        }
    }

    fn psql(&self, sql: &str) -> Result<()> {
        self.app.say(&format!("\n$ psql -c \"{sql}\""));
        self.app.wait(async {
            let session = self.site.session("demo").await?;
            session.batch(sql).await?;
            session.close().await;
            Ok(())
        })
    }
}

/// A folder that goes away with the demo.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("setpoint-demo-{}", std::process::id()));
        std::fs::create_dir_all(&dir).map_err(|error| failed(&dir, &error))?;
        Ok(Self(dir))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left-overs in the temporary folder do no harm.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn failed(path: &Path, error: &std::io::Error) -> Error {
    Error::failed(format!("cannot use {}", path.display())).detail(error.to_string())
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).map_err(|error| failed(path, &error))
}

/// Copies a file, or a folder with its contents; what does not exist is skipped.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if from.is_dir() {
        std::fs::create_dir_all(to).map_err(|error| failed(to, &error))?;
        for entry in std::fs::read_dir(from).map_err(|error| failed(from, &error))? {
            let entry = entry.map_err(|error| failed(from, &error))?;
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
    } else if from.is_file() {
        std::fs::copy(from, to).map_err(|error| failed(from, &error))?;
    }
    Ok(())
}
