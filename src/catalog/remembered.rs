//! What servers took in the startup message, kept in the user's cache: what one refuses is not tried again.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use crate::model::Digest;

use super::Connect;
use super::place::Place;

/// How many servers are remembered.
const MOST: usize = 500;

/// The folder for what can be made anew; `None` if the user has none.
pub fn cache() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
    Some(cache.join("setpoint"))
}

fn file() -> Option<PathBuf> {
    Some(cache()?.join("event-triggers"))
}

fn key(target: &Connect, place: &Place) -> String {
    let digest = Digest::of_texts([place.host.as_str(), &place.port.to_string(), target.user()]).to_string();
    digest.get(..16).unwrap_or_default().to_owned()
}

/// True if this user may turn event triggers off there, false if not; `None` if nobody knows.
pub(super) fn takes_quiet(target: &Connect, place: &Place) -> Option<bool> {
    let text = fs::read_to_string(file()?).ok()?;
    let key = key(target, place);
    let word = text.lines().rev().find_map(|line| line.strip_prefix(&key))?;
    match word.trim() {
        "takes" => Some(true),
        "refuses" => Some(false),
        _ => None,
    }
}

/// Keeps an answer, or forgets it. Whatever is in the way is no error: it only saves time.
pub(super) fn keep(target: &Connect, place: &Place, takes: Option<bool>) {
    let Some(file) = file() else { return };
    let key = key(target, place);
    let old = fs::read_to_string(&file).unwrap_or_default();
    let mut lines: Vec<&str> = old.lines().filter(|line| !line.starts_with(&key)).collect();
    let line = takes.map(|takes| format!("{key} {}", if takes { "takes" } else { "refuses" }));
    lines.extend(line.as_deref());
    let lines = lines.split_off(lines.len().saturating_sub(MOST));
    let new = file.with_extension(format!("new-{}", std::process::id()));
    let made =
        file.parent().is_some_and(|folder| fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).is_ok());
    if made && fs::write(&new, lines.join("\n") + "\n").is_ok() && fs::rename(&new, &file).is_err() {
        _ = fs::remove_file(&new);
    }
}
