//! The command line: one file per command, each with its arguments and its code.

mod advance;
mod aid;
mod app;
mod apply;
mod approval;
mod baseline;
mod check;
mod completions;
mod demo;
mod drift;
mod fmt;
mod history;
mod init;
mod loading;
mod plan;
mod progress;
mod prove;
mod pull;
mod push;
mod rebase;
mod rehearse;
mod rollback;
mod seal;
mod show;
mod sql;
mod stamp;
mod status;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::catalog::interrupt;
use crate::model::{Class, Result, SAME_COMMAND, harmless, without_passwords};
use crate::scratch::Author;

pub use app::App;

/// Keeps a PostgreSQL database in step with the schema you declare.
#[derive(Parser, Debug)]
#[command(name = "setpoint", version, arg_required_else_help = true, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Args, Debug, Clone)]
pub struct Globals {
    /// Run as if started in this folder
    #[arg(short = 'C', long = "directory", value_name = "DIR", global = true)]
    directory: Option<PathBuf>,
    /// The project file, instead of the nearest setpoint.kdl
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// The environment of setpoint.kdl to use; the default is SETPOINT_ENV
    #[arg(long, value_name = "NAME", global = true)]
    env: Option<String>,
    /// The database, as a URL or as key=value pairs
    #[arg(long, value_name = "URL", global = true)]
    url: Option<String>,
    /// On throwaway servers on this machine, run what schema/ and plans/ declare as a superuser: only for files whose authors may run programs here
    #[arg(long, global = true)]
    trust_files: bool,
    /// Allow changes to a server newer than the newest version that this setpoint was tested with
    #[arg(long, global = true)]
    untested_server: bool,
    /// When to colour the output
    #[arg(long, value_name = "WHEN", global = true, default_value = "auto", value_parser = ["auto", "always", "never"])]
    color: String,
    /// Say less
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Say more
    #[arg(short, long, global = true)]
    verbose: bool,
}

impl Globals {
    /// Whether those who wrote files and plans may run programs on this machine. No file and no variable can say so.
    fn author(&self) -> Author {
        if self.trust_files { Author::Trusted } else { Author::Stranger }
    }
}

#[derive(Subcommand, Debug)]
enum Command {
    Init(init::Init),
    Baseline(baseline::Baseline),
    Pull(pull::Pull),
    Plan(plan::Plan),
    Apply(apply::Apply),
    Push(push::Push),
    Rollback(rollback::Rollback),
    Status(status::Status),
    History(history::History),
    Show(show::Show),
    Drift(drift::Drift),
    Check(check::Check),
    Fmt(fmt::Fmt),
    Prove(prove::Prove),
    Sql(sql::Sql),
    Stamp(stamp::Stamp),
    Seal(seal::Seal),
    Rebase(rebase::Rebase),
    Demo(demo::Demo),
    Completions(completions::Completions),
}

/// Parses the command line, runs the command, shows what went wrong, and gives the exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let usage = error.use_stderr();
            let plain = error.render().to_string();
            if usage && (harmless(&plain) != plain || without_passwords(&plain) != plain) {
                app::tell(plain.trim_end());
            } else {
                // Nothing more can be said if the terminal is gone.
                let _ = error.print();
            }
            return ExitCode::from(if usage { Class::Usage.exit_code() } else { 0 });
        }
    };
    match cli.globals.color.as_str() {
        "always" => anstream::ColorChoice::Always.write_global(),
        "never" => anstream::ColorChoice::Never.write_global(),
        _ => {}
    }
    let app = App::new(cli.globals);
    let done = match app {
        Ok(app) => run(&app, cli.command),
        Err(error) => Err(error),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            app::tell(&crate::report::text::error(&error));
            ExitCode::from(error.class.exit_code())
        }
    }
}

impl Command {
    /// True for what changes a database, or its ledger.
    fn changes(&self) -> bool {
        matches!(self, Self::Apply(_) | Self::Baseline(_) | Self::Push(_) | Self::Rollback(_) | Self::Stamp(_))
    }
}

/// Runs a command. One that can change a database says whether it did, from its first moment on: what it was told to stop at before it
/// knew of a way on had done nothing yet.
fn run(app: &App, command: Command) -> Result<u8> {
    if !command.changes() {
        interrupt::listen();
        return dispatch(app, command);
    }
    interrupt::heed();
    interrupt::listen();
    dispatch(app, command).map_err(|error| match (error.class, &error.remedy) {
        (Class::Interrupted, None) => error
            .detail("nothing was changed in the database")
            .remedy(format!("run {SAME_COMMAND}; nothing needs to be undone")),
        _ => error,
    })
}

fn dispatch(app: &App, command: Command) -> Result<u8> {
    match command {
        Command::Init(c) => c.run(app),
        Command::Baseline(c) => c.run(app),
        Command::Pull(c) => c.run(app),
        Command::Plan(c) => c.run(app),
        Command::Apply(c) => c.run(app),
        Command::Push(c) => c.run(app),
        Command::Rollback(c) => c.run(app),
        Command::Status(c) => c.run(app),
        Command::History(c) => c.run(app),
        Command::Show(c) => c.run(app),
        Command::Drift(c) => c.run(app),
        Command::Check(c) => c.run(app),
        Command::Fmt(c) => c.run(app),
        Command::Prove(c) => c.run(app),
        Command::Sql(c) => c.run(app),
        Command::Stamp(c) => c.run(app),
        Command::Seal(c) => c.run(app),
        Command::Rebase(c) => c.run(app),
        Command::Demo(c) => c.run(app),
        Command::Completions(c) => c.run(app),
    }
}

/// The whole command line, for completions and reference pages.
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}
