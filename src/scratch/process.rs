//! Runs a server's programs as an ordinary user, and ends them when this process ends, however it ends.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, fchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::catalog::account::{self, Account};
use crate::catalog::interrupt;
use crate::model::{Error, Result};

use super::Binaries;
use super::confine::{self, Walls};

/// Waits beside the server: when we close the pipe, or die, it stops the server at once and removes its directory, `$1`. The first
/// line that it reads is the server's process; if we died before we could say, the server's own file does. It looks for that file
/// as well as for the process, which may stay a zombie for long if no process is left to wait for it.
const WATCH: &str = r#"
read -r pid
read -r line
if [ -z "$pid" ]; then sleep 1; read -r pid <"$1/data/postmaster.pid"; fi
[ -n "$pid" ] && kill -QUIT "$pid"
tries=0
while [ $tries -lt 100 ] && [ -e "$1/data/postmaster.pid" ] && kill -0 "$pid"; do sleep 0.05; tries=$((tries + 1)); done
rm -rf "$1"
"#;

/// The user that the server runs as: PostgreSQL refuses to run as root.
pub(super) fn server_account() -> Result<Option<Account>> {
    if account::current_uid() != Some(0) {
        return Ok(None);
    }
    match account::named("postgres").or_else(|| account::named("nobody")) {
        Some(account) => Ok(Some(account)),
        None => Err(Error::failed(
            "PostgreSQL refuses to run as root, and there is no user postgres or nobody to run it as",
        )
        .remedy("run as an ordinary user, or create one: useradd --system postgres")),
    }
}

/// Writes a new file for the server's account to read.
pub(super) fn write_for(path: &Path, text: &str, account: Option<&Account>) -> Result<()> {
    let written = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        account.map_or(Ok(()), |account| fchown(&file, Some(account.uid), Some(account.gid)))
    });
    written.map_err(|error| cannot("write", path, &error))
}

pub(super) fn cannot(what: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::failed(format!("cannot {what} {}: {error}", path.display()))
}

/// Runs a program to its end; its complaint is the error's detail.
pub(super) fn run(mut command: Command, dir: &Path, account: Option<&Account>) -> Result<()> {
    become_account(&mut command, account);
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| Error::failed(format!("cannot run {program}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(complaint
        .lines()
        .filter(|line| !line.trim().is_empty())
        .fold(Error::failed(format!("{program} failed ({})", output.status)), Error::detail))
}

fn become_account(command: &mut Command, account: Option<&Account>) {
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
}

/// A running server that ends with this value.
#[derive(Debug)]
pub(super) struct Process {
    server: Child,
    watcher: Child,
    dir: PathBuf,
    /// The restrictions on it.
    pub(super) walls: Walls,
}

impl Process {
    /// Starts `postgres` with those arguments behind those walls; its log goes to `log` in `dir`.
    pub(super) fn start(
        binaries: &Binaries,
        dir: &Path,
        arguments: &[String],
        account: Option<&Account>,
        wanted: Walls,
    ) -> Result<Self> {
        let path = dir.join("log");
        // What already exists there was put there by somebody else, and may lead elsewhere.
        let log = fs::File::create_new(&path).map_err(|error| cannot("create", &path, &error))?;
        let errors = log.try_clone().map_err(|error| cannot("open", &path, &error))?;
        let mut watcher = watch(dir, account)?;
        let mut command = binaries.command("postgres");
        become_account(&mut command, account);
        // A separate process group: Ctrl-C in the terminal is ours to handle, and the server ends when we release it.
        command.args(arguments).current_dir(dir).process_group(0).stdin(Stdio::null()).stdout(log).stderr(errors);
        let needs = confine::needs(&binaries.dir, binaries.libraries.as_deref(), dir);
        let started = confine::spawn(command, &needs, wanted);
        let (server, walls) = match started {
            Ok(started) => started,
            Err(error) => {
                _ = watcher.kill();
                _ = watcher.wait();
                return Err(error);
            }
        };
        if let Some(pipe) = &mut watcher.stdin {
            // If it is gone, there is no one to tell.
            _ = writeln!(pipe, "{}", server.id());
        }
        Ok(Self { server, watcher, dir: dir.to_path_buf(), walls })
    }

    /// Waits until the server accepts connections.
    pub(super) fn wait_ready(&mut self, timeout: Duration) -> Result<()> {
        let begin = Instant::now();
        let pid_file = self.dir.join("data").join("postmaster.pid");
        loop {
            let text = fs::read_to_string(&pid_file).unwrap_or_default();
            if text.lines().nth(7).is_some_and(|state| state.trim() == "ready") {
                return Ok(());
            }
            if interrupt::is_asked() {
                return Err(interrupt::error());
            }
            let ended = self.server.try_wait().ok().flatten();
            if ended.is_some() || begin.elapsed() > timeout {
                let what = ended.map_or_else(
                    || format!("did not accept connections within {} seconds", timeout.as_secs()),
                    |status| format!("ended ({status})"),
                );
                let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(8).collect();
                let error = Error::failed(format!("the throwaway server {what} while it started"));
                return Err(tail.into_iter().rev().fold(error, Error::detail));
            }
            sleep(Duration::from_millis(10));
        }
    }
}

/// Starts the watcher of a directory.
fn watch(dir: &Path, account: Option<&Account>) -> Result<Child> {
    let mut command = Command::new("/bin/sh");
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    command.env_clear().env("PATH", path);
    become_account(&mut command, account);
    command.arg("-c").arg(WATCH).arg("setpoint").arg(dir);
    command.current_dir("/").process_group(0).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().map_err(|error| Error::failed(format!("cannot start a server: {error}")))
}

impl Drop for Process {
    fn drop(&mut self) {
        // The watcher reads the end of the pipe and stops the server.
        drop(self.watcher.stdin.take());
        let begin = Instant::now();
        while self.server.try_wait().is_ok_and(|status| status.is_none()) {
            if begin.elapsed() > Duration::from_secs(10) {
                // Whether this succeeds or not, there is nobody left to tell.
                _ = self.server.kill();
                _ = self.server.wait();
                break;
            }
            sleep(Duration::from_millis(5));
        }
        _ = fs::remove_dir_all(&self.dir);
        _ = self.watcher.wait();
    }
}
