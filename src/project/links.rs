//! Links within a project: nothing that is read or written may lie outside of the project's folder. Whoever wrote the files could otherwise have
//! other files of the machine read, shown or overwritten.

use std::fs;
use std::path::{Path, PathBuf};

use crate::model::{Error, Result};

/// Refuses a project in which a link leads outside: its file, what is below `schema/` and `plans/`, and these folders themselves.
///
/// # Errors
/// `Config` with the first such link.
pub fn refuse_outward(root: &Path, file: &Path, folders: &[&Path]) -> Result<()> {
    let Ok(real) = fs::canonicalize(root) else { return Ok(()) };
    let mut look = Look { root, real: &real, seen: Vec::new() };
    look.at(file)?;
    folders.iter().try_for_each(|folder| look.at(folder))
}

/// Refuses one file or folder of a project that lies outside of it.
///
/// # Errors
/// `Config` if it does.
pub fn refuse_outside(root: &Path, path: &Path) -> Result<()> {
    refuse_outward(root, path, &[])
}

struct Look<'a> {
    root: &'a Path,
    real: &'a Path,
    /// Folders that links led to: each is looked through once.
    seen: Vec<PathBuf>,
}

impl Look<'_> {
    fn at(&mut self, path: &Path) -> Result<()> {
        // What does not exist, or is a link to nothing, is neither read nor written through.
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
        // Whoever reads it reports that it cannot be read.
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
