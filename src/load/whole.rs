//! Replaces files atomically: a reader, even after a crash, finds either the old text or the new one.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use crate::catalog::interrupt;
use crate::model::{Error, Result};

/// Writes a file through a temporary one beside it, and creates the folders that contain it. A link stays a link, and the file
/// keeps its permissions.
///
/// # Errors
/// If it cannot be written; the file is unchanged then.
pub fn write(path: &Path, text: &str) -> Result<()> {
    interrupt::undivided(|| replace(path, text))
}

fn replace(path: &Path, text: &str) -> Result<()> {
    let failed = |error: std::io::Error| {
        Error::failed(format!("cannot write {}", path.display()))
            .detail(error.to_string())
            .remedy("check that its folder is yours and may be written to")
    };
    let there = fs::canonicalize(path).ok();
    let real = there.as_deref().unwrap_or(path);
    let (folder, name) = (real.parent().unwrap_or(Path::new("")), real.file_name().unwrap_or_default());
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(".new");
    let new = folder.join(hidden);
    let made = lasting(&new, text).or_else(|error| match error.kind() {
        ErrorKind::NotFound => fs::create_dir_all(folder).and_then(|()| lasting(&new, text)),
        _ => Err(error),
    });
    let made = made.and_then(|()| match &there {
        Some(old) => fs::metadata(old).and_then(|old| fs::set_permissions(&new, old.permissions())),
        None => Ok(()),
    });
    made.and_then(|()| fs::rename(&new, real)).map_err(|error| {
        // A partial file is useless.
        let _ = fs::remove_file(&new);
        failed(error)
    })
}

/// Writes a file and syncs it, so that nothing is lost after the rename.
fn lasting(path: &Path, text: &str) -> std::io::Result<()> {
    // A killed run may have left one, or somebody may have put a link here so that another file is overwritten.
    let _ = fs::remove_file(path);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Removes a file, and the parent folders that are now empty, up to but not including `root`.
///
/// # Errors
/// If it cannot be removed.
pub fn remove(path: &Path, root: &Path) -> Result<()> {
    fs::remove_file(path)
        .map_err(|error| Error::failed(format!("cannot remove {}", path.display())).detail(error.to_string()))?;
    // A folder has no meaning apart from its files.
    let folders = path.ancestors().skip(1).take_while(|folder| *folder != root && folder.starts_with(root));
    for folder in folders {
        if fs::remove_dir(folder).is_err() {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn nothing_is_written_through_a_link_under_the_name_of_what_is_being_written() {
        let dir = std::env::temp_dir().join(format!("setpoint-planted-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        let (file, other) = (dir.join("a.kdl"), dir.join("other"));
        fs::write(&other, "theirs").unwrap();
        std::os::unix::fs::symlink(&other, dir.join(".a.kdl.new")).unwrap();
        write(&file, "ours\n").unwrap();
        assert_eq!([&file, &other].map(|path| fs::read_to_string(path).unwrap()), ["ours\n", "theirs"]);
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    #[cfg(unix)]
    fn links_and_permissions_stay() {
        use std::os::unix::fs::PermissionsExt;
        let dir = std::env::temp_dir().join(format!("setpoint-whole-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        let (file, link) = (dir.join("deep/a.kdl"), dir.join("b.kdl"));
        write(&file, "one\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write(&link, "two\n").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "two\n");
        assert!(fs::symlink_metadata(&link).unwrap().file_type().is_symlink());
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(dir.join("deep")).unwrap().count(), 1);
        fs::remove_dir_all(dir).unwrap();
    }
}
