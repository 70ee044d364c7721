//! Remembers in the user's cache what each server accepted in the startup message, so that what one refused is not tried again.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::model::Digest;

use super::place::Place;
use super::{Connect, cache};

/// How many servers are remembered.
const MOST: usize = 500;

fn file() -> Option<PathBuf> {
    Some(cache::folder()?.join("event-triggers"))
}

fn key(target: &Connect, place: &Place) -> String {
    let digest = Digest::of_texts([place.host.as_str(), &place.port.to_string(), target.user()]).to_string();
    digest.get(..16).unwrap_or_default().to_owned()
}

/// True if this user may turn event triggers off there, false if not; `None` if that is not known.
pub(super) fn takes_quiet(target: &Connect, place: &Place) -> Option<bool> {
    let file = file().filter(|file| file.parent().is_some_and(cache::is_ours))?;
    let text = fs::read_to_string(file).ok()?;
    let key = key(target, place);
    let word = text.lines().rev().find_map(|line| line.strip_prefix(&key))?;
    match word.trim() {
        "takes" => Some(true),
        "refuses" => Some(false),
        _ => None,
    }
}

/// Keeps an answer, or forgets it. A failure is not an error: this only saves time.
pub(super) fn keep(target: &Connect, place: &Place, takes: Option<bool>) {
    let Some(file) = file() else { return };
    let key = key(target, place);
    let old = fs::read_to_string(&file).unwrap_or_default();
    let mut lines: Vec<&str> = old.lines().filter(|line| !line.starts_with(&key)).collect();
    let line = takes.map(|takes| format!("{key} {}", if takes { "takes" } else { "refuses" }));
    lines.extend(line.as_deref());
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
