//! Refuses links that lead out of a project's folder. Otherwise whoever wrote the files could have other files on the machine read, shown or
//! overwritten.

use std::fs;
use std::path::{Path, PathBuf};

use crate::model::{Error, Result};

/// Refuses a project if a link leads out of it: its file, `schema/` and `plans/`, and everything in them.
///
/// # Errors
/// `Config` with the first such link.
pub fn refuse_outward(root: &Path, file: &Path, folders: &[&Path]) -> Result<()> {
    let Ok(real) = fs::canonicalize(root) else { return Ok(()) };
    let mut look = Look { root, real: &real, seen: Vec::new() };
    look.at(file)?;
    folders.iter().try_for_each(|folder| look.at(folder))
}

/// Refuses one file or folder of a project if it lies outside the project's folder.
///
/// # Errors
/// `Config` if it does.
pub fn refuse_outside(root: &Path, path: &Path) -> Result<()> {
    refuse_outward(root, path, &[])
}

struct Look<'a> {
    root: &'a Path,
    real: &'a Path,
    /// Folders that links led to. Each is searched once.
    seen: Vec<PathBuf>,
}

impl Look<'_> {
    fn at(&mut self, path: &Path) -> Result<()> {
        // A path that does not exist, or a dangling link, is neither read nor written through.
        let Ok(real) = fs::canonicalize(path) else { return Ok(()) };
        if !real.starts_with(self.real) {
            return Err(self.outward(path, &real));
        }
        if !real.is_dir() || self.seen.contains(&real) {
            return Ok(());
        }
        self.seen.push(real);
        self.below(path)
    }

    fn below(&mut self, folder: &Path) -> Result<()> {
        // The code that reads it reports the error.
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue; // such names are not read
            }
            let path = entry.path();
            if kind.is_dir() {
                self.below(&path)?;
            } else if kind.is_symlink() && (path.extension().is_some_and(|end| end == "kdl") || path.is_dir()) {
                self.at(&path)?;
            }
        }
        Ok(())
    }

    fn outward(&self, path: &Path, real: &Path) -> Error {
        let shown = path.strip_prefix(self.root).unwrap_or(path);
        Error::config(format!("{} leads outside of the project", shown.display()))
            .detail(format!("it is, or goes through, a link to {}", real.display()))
            .remedy(format!(
                "remove the link: a project's files are read and written only within {}",
                self.root.display()
            ))
    }
}
