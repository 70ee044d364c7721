//! Remembers that a server refused to turn event triggers off, so that setpoint does not ask again and fill the server's log.
//!
//! Only superusers need it. A role that may not do it is not a superuser now, but may become one, so a refusal for lack of privileges counts only
//! for the sessions of one command. A server that does not know the setting is older than 17 and has no login triggers. Later commands
//! rely on that for a while, but not so long that an upgrade of the server would go unnoticed.

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::model::Digest;

use super::place::Place;
use super::{Connect, cache};

/// How long a role's lack of privileges is remembered.
const ROLE: Duration = Duration::from_secs(10);

/// How long it is remembered that a server is older. A server that restarts makes a new socket, which counts as another server.
const SERVER: Duration = Duration::from_secs(60 * 60);

/// How many servers are remembered.
const MOST: usize = 500;

/// A server, its port, and the user and database there.
type Key = (String, u16, String, String);

static REFUSED: Mutex<Option<HashMap<Key, Instant>>> = Mutex::new(None);

fn key(target: &Connect, place: &Place) -> Key {
    (place.host.clone(), place.port, target.user().to_owned(), target.database().to_owned())
}

/// True if that server refused it a moment ago, or recently did not know the setting.
pub(super) fn lately(target: &Connect, place: &Place) -> bool {
    let all = REFUSED.lock().unwrap_or_else(PoisonError::into_inner);
    let role = all.as_ref().and_then(|all| all.get(&key(target, place))).is_some_and(|at| at.elapsed() < ROLE);
    role || is_older(place)
}

/// Remembers that it refused; `unknown`: because it does not know the setting.
pub(super) fn note(target: &Connect, place: &Place, unknown: bool) {
    let mut all = REFUSED.lock().unwrap_or_else(PoisonError::into_inner);
    all.get_or_insert_default().insert(key(target, place), Instant::now());
    if unknown {
        keep(place);
    }
}

fn file() -> Option<PathBuf> {
    Some(cache::folder()?.join("older-servers"))
}

/// Tells servers with the same address apart: a server makes its socket when it starts.
fn server(place: &Place) -> String {
    let made = fs::metadata(place.socket_file()).ok().filter(|_| place.is_socket());
    let made = made.map_or_else(String::new, |meta| format!("{} {} {}", meta.ino(), meta.ctime(), meta.ctime_nsec()));
    let digest = Digest::of_texts([place.host.as_str(), &place.port.to_string(), &made]).to_string();
    digest.get(..16).unwrap_or_default().to_owned()
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn is_older(place: &Place) -> bool {
    let Some(file) = file().filter(|file| file.parent().is_some_and(cache::is_ours)) else { return false };
    let (text, server) = (fs::read_to_string(file).unwrap_or_default(), server(place));
    let seen = text.lines().rev().find_map(|line| line.strip_prefix(&server)?.trim().parse::<u64>().ok());
    // If the clock was set back, the age is unknown.
    seen.and_then(|seen| now().checked_sub(seen)).is_some_and(|age| age < SERVER.as_secs())
}

/// Keeps it for other commands. A failure is not an error: this only saves time.
fn keep(place: &Place) {
    let Some(file) = file() else { return };
    let server = server(place);
    let old = fs::read_to_string(&file).unwrap_or_default();
    let mut lines: Vec<&str> = old.lines().filter(|line| !line.starts_with(&server)).collect();
    let line = format!("{server} {}", now());
    lines.push(&line);
    let lines = lines.split_off(lines.len().saturating_sub(MOST));
    let new = file.with_extension(format!("new-{}", std::process::id()));
    let made = file.parent().is_some_and(cache::make);
    if made && (write(&new, &(lines.join("\n") + "\n")).is_err() || fs::rename(&new, &file).is_err()) {
        _ = fs::remove_file(&new);
    }
}

fn write(new: &Path, text: &str) -> std::io::Result<()> {
    // One may be left by a run that was killed.
    _ = fs::remove_file(new);
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(new)?.write_all(text.as_bytes())
}
