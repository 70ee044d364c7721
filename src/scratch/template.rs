//! A fresh cluster kept in the user's cache: copying it takes a tenth of the time of making one.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use crate::catalog::account::Account;
use crate::catalog::cache;
use crate::model::Digest;

use super::Binaries;
use super::keeper::{Access, Keeper};

/// Changed whenever clusters are made differently.
const FORM: &str = "2";
/// The file beside the cluster that says which version made it, and who its superuser is.
const LABEL: &str = "label";

/// The place of a cluster of these programs; `None` if the user has no cache.
fn place(binaries: &Binaries, access: Access) -> Option<PathBuf> {
    // One for each set of programs: a minor version takes the place of the one before.
    let programs = Digest::of_texts([binaries.dir.to_string_lossy().as_ref()]).to_string();
    let programs = programs.get(..8).unwrap_or_default();
    Some(cache::folder()?.join(format!("cluster-{}-{programs}-{}", binaries.major, access.word())))
}

fn label(binaries: &Binaries, keeper: &Keeper) -> String {
    let password = keeper.password.as_deref().unwrap_or_default();
    format!("{FORM} {}\n{}\n{password}\n", binaries.version, keeper.name)
}

/// The superuser that a label names, if the label fits.
fn labelled(place: &Path, binaries: &Binaries) -> Option<Keeper> {
    let text = fs::read_to_string(place.join(LABEL)).ok()?;
    let mut lines = text.lines().skip(1).map(str::to_owned);
    let keeper = Keeper { name: lines.next()?, password: lines.next().filter(|password| !password.is_empty()) };
    (text == label(binaries, &keeper)).then_some(keeper)
}

/// Copies the kept cluster to `data`, and gives its superuser. `None` if there is none, or if it could not be copied completely.
pub(super) fn copy_to(data: &Path, binaries: &Binaries, access: Access, account: Option<&Account>) -> Option<Keeper> {
    let place = place(binaries, access)?;
    if !cache::is_ours(place.parent()?) || !cache::is_ours(&place) {
        return None;
    }
    let keeper = labelled(&place, binaries)?;
    let copied = copy(&place.join("data"), data, account).is_ok() && data.join("global/pg_control").is_file();
    if !copied {
        _ = fs::remove_dir_all(data);
    }
    copied.then_some(keeper)
}

/// Keeps a cluster that was never started for the next time. A failure is not an error: this only saves time.
pub(super) fn keep(data: &Path, binaries: &Binaries, access: Access, keeper: &Keeper) {
    let Some(place) = place(binaries, access) else { return };
    let Some(parent) = place.parent() else { return };
    let new = place.with_extension(format!("new-{}", std::process::id()));
    if !cache::make(parent) {
        return;
    }
    let kept = fs::DirBuilder::new()
        .mode(0o700)
        .create(&new)
        .and_then(|()| copy(data, &new.join("data"), None))
        .and_then(|()| fs::write(new.join(LABEL), label(binaries, keeper)))
        .and_then(|()| fs::set_permissions(new.join(LABEL), fs::Permissions::from_mode(0o600)))
        .and_then(|()| {
            _ = fs::remove_dir_all(&place);
            fs::rename(&new, &place)
        });
    if kept.is_err() {
        _ = fs::remove_dir_all(&new);
    }
}

/// Copies a directory with all that is in it, for us or for another account.
fn copy(from: &Path, to: &Path, account: Option<&Account>) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &target, account)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), &target)?;
            fs::set_permissions(&target, fs::Permissions::from_mode(0o600))?;
            give(&target, account)?;
        } else {
            // A cluster of ours has files and directories only.
            return Err(io::Error::other("neither file nor directory"));
        }
    }
    give(to, account)
}

/// Gives a file to the account that the server runs as.
pub(super) fn give(path: &Path, account: Option<&Account>) -> io::Result<()> {
    account.map_or(Ok(()), |account| chown(path, Some(account.uid), Some(account.gid)))
}
