//! Finds and reads the schema files: `**/*.kdl`, sorted, links followed but not in circles.

use std::fs;
use std::path::{Path, PathBuf};

use crate::model::{Error, Result};

/// All files below `dir`, with their paths as seen from the directory around it.
pub(super) fn read(dir: &Path) -> Result<Vec<(PathBuf, String)>> {
    if !dir.is_dir() {
        return Err(Error::config(format!("there is no directory {}", dir.display()))
            .detail("it holds the schema files")
            .remedy("`setpoint init` makes one"));
    }
    let shown = PathBuf::from(dir.file_name().unwrap_or(dir.as_os_str()));
    let mut paths = Vec::new();
    walk(dir, &shown, true, &mut Vec::new(), &mut paths)?;
    paths.sort();
    paths.into_iter().map(|(shown, path)| text(&shown, &path).map(|text| (shown, text))).collect()
}

/// The files that are in `dir` itself: not what links lead to.
pub(super) fn own(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    walk(dir, dir, false, &mut Vec::new(), &mut paths)?;
    Ok(paths.into_iter().map(|(_, path)| path).collect())
}

/// The text of a file.
fn text(shown: &Path, path: &Path) -> Result<String> {
    let bytes = fs::read(path).map_err(|e| unreadable(path, &e))?;
    String::from_utf8(bytes).map_err(|e| {
        let valid = e.utf8_error().valid_up_to();
        let line = e.as_bytes().iter().take(valid).filter(|b| **b == b'\n').count() + 1;
        Error::config(format!("{} is not UTF-8", shown.display()))
            .detail(format!("the first wrong byte is in line {line}, {valid} bytes into the file"))
            .remedy("save the file as UTF-8")
    })
}

/// Collects `(shown, real)` paths. `around` are the directories that are open: meeting one of them again is a circle.
fn walk(
    dir: &Path,
    shown: &Path,
    links: bool,
    around: &mut Vec<PathBuf>,
    out: &mut Vec<(PathBuf, PathBuf)>,
) -> Result<()> {
    let real = fs::canonicalize(dir).map_err(|e| unreadable(dir, &e))?;
    if around.contains(&real) {
        let message = format!("{} is a link to a directory that it stands in", shown.display());
        return Err(Error::config(message).remedy("remove the link"));
    }
    around.push(real);
    for entry in fs::read_dir(dir).map_err(|e| unreadable(dir, &e))? {
        let entry = entry.map_err(|e| unreadable(dir, &e))?;
        let name = entry.file_name();
        let (path, shown) = (entry.path(), shown.join(&name));
        let mut kind = entry.file_type().map_err(|e| unreadable(&path, &e))?;
        if name.as_encoded_bytes().starts_with(b".") || (kind.is_symlink() && !links) {
            continue; // names with a dot are editors' and Git's own
        }
        if kind.is_symlink() {
            kind = fs::metadata(&path).map_err(|e| unreadable(&path, &e))?.file_type();
        }
        if kind.is_dir() {
            walk(&path, &shown, links, around, out)?;
        } else if path.extension().is_some_and(|e| e == "kdl") {
            out.push((shown, path));
        }
    }
    around.pop();
    Ok(())
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::config(format!("cannot read {}", path.display())).detail(error.to_string())
}
