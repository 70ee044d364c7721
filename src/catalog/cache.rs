//! The user's cache folder, for files that can always be recreated.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::account;

/// Its place; `None` if the user has none.
pub fn folder() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    // System accounts have homes that do not exist, and should not because of us.
    let home = || absolute("HOME").filter(|home| home.is_dir()).map(|home| home.join(".cache"));
    let cache = absolute("XDG_CACHE_HOME").or_else(home)?;
    Some(cache.join("setpoint"))
}

/// True if that is a directory of ours that others may not write to.
pub fn is_ours(directory: &Path) -> bool {
    let ours = account::current_uid();
    fs::symlink_metadata(directory)
        .is_ok_and(|meta| meta.is_dir() && meta.mode() & 0o022 == 0 && ours.is_none_or(|ours| meta.uid() == ours))
}

/// Creates the folder if it does not exist; false if it cannot be created, or is not ours alone.
pub fn make(folder: &Path) -> bool {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).is_ok() && is_ours(folder)
}
