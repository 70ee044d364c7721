//! Finds and reads the schema files: `**/*.kdl`, sorted; symbolic links are followed, but not in cycles.

use std::fs;
use std::path::{Path, PathBuf};

use crate::kdl::MAX_BYTES;
use crate::model::{Error, Result, in_line};

/// The texts of all files below `dir`, with their paths as seen from the directory around it.
pub(super) fn read(dir: &Path) -> Result<Vec<(PathBuf, String)>> {
    let shown = PathBuf::from(dir.file_name().unwrap_or(dir.as_os_str()));
    find(dir, &shown)?.into_iter().map(|(shown, path)| text(&shown, &path).map(|text| (shown, text))).collect()
}

/// All files below `dir`, sorted: how they are called if `dir` is called `shown`, and where they are.
///
/// # Errors
/// `Config` if there is no such directory, something in it cannot be read, or links go in a cycle.
pub fn find(dir: &Path, shown: &Path) -> Result<Vec<(PathBuf, PathBuf)>> {
    if !dir.is_dir() {
        return Err(Error::config(format!("there is no directory {}", dir.display()))
            .detail("it holds the schema files")
            .remedy("`setpoint init` makes one"));
    }
    let mut paths = Vec::new();
    walk(dir, shown, true, &mut Vec::new(), &mut paths)?;
    paths.sort();
    Ok(paths)
}

/// The files that are in `dir` itself: not what links lead to.
pub(super) fn own(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    walk(dir, dir, false, &mut Vec::new(), &mut paths)?;
    Ok(paths.into_iter().map(|(_, path)| path).collect())
}

/// The text of the file at `path`, which people know as `shown`.
///
/// # Errors
/// `Config` if it cannot be read, is larger than a file may be, or is not UTF-8.
pub fn text(shown: &Path, path: &Path) -> Result<String> {
    let failed = |e: std::io::Error| unreadable(shown, &e);
    let about = fs::metadata(path).map_err(failed)?;
    if !about.is_file() {
        return Err(Error::config(format!("{} is not a regular file", shown.display()))
            .remedy("only files and folders of files are read; give it another name or place"));
    }
    // Before it is read: a file that will be refused should not take up memory.
    if about.len() > MAX_BYTES as u64 {
        return Err(Error::config(format!(
            "{} has {} MB; the limit is {}",
            shown.display(),
            about.len() >> 20,
            MAX_BYTES >> 20
        ))
        .remedy("split it: it does not matter which file declares an object"));
    }
    utf8(shown, fs::read(path).map_err(failed)?)
}

/// The text of a file's bytes.
///
/// # Errors
/// `Config` with the place of the first byte that is wrong.
pub fn utf8(shown: &Path, bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|e| {
        let valid = e.utf8_error().valid_up_to();
        let line = e.as_bytes().iter().take(valid).filter(|b| **b == b'\n').count() + 1;
        let byte = e.as_bytes().get(valid).copied().unwrap_or_default();
        let mut error = Error::config(format!("{} is not UTF-8", shown.display()))
            .detail(format!("byte 0x{byte:02X} in line {line}, {valid} bytes into the file"));
        if e.as_bytes().starts_with(&[0xff, 0xfe]) || e.as_bytes().starts_with(&[0xfe, 0xff]) {
            error = error.detail("it looks like UTF-16, as some editors on Windows write it");
        }
        error.remedy("save the file as UTF-8")
    })
}

/// Collects `(shown, real)` paths. `around` are the directories that are open: meeting one of them again is a cycle.
fn walk(
    dir: &Path,
    shown: &Path,
    links: bool,
    around: &mut Vec<PathBuf>,
    out: &mut Vec<(PathBuf, PathBuf)>,
) -> Result<()> {
    let real = fs::canonicalize(dir).map_err(|e| unreadable(shown, &e))?;
    if around.contains(&real) {
        let message = format!("{} is a link to a directory that contains it", shown.display());
        return Err(Error::config(message).remedy("remove the link"));
    }
    around.push(real);
    for entry in fs::read_dir(dir).map_err(|e| unreadable(shown, &e))? {
        let entry = entry.map_err(|e| unreadable(shown, &e))?;
        let name = entry.file_name();
        let (path, shown) = (entry.path(), shown.join(&name));
        let mut kind = entry.file_type().map_err(|e| unreadable(&shown, &e))?;
        if name.as_encoded_bytes().starts_with(b".") || (kind.is_symlink() && !links) {
            continue; // names with a dot are editors' and Git's own
        }
        if name.to_string_lossy().contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
            return Err(Error::config(format!(
                "{} has a character in its name that is none of a text",
                in_line(&shown.to_string_lossy())
            ))
            .detail("names of files are shown in lists and logs, where such a character would draw lines of its own")
            .remedy("give it another name: which file declares an object does not matter"));
        }
        if kind.is_symlink() {
            kind = fs::metadata(&path).map_err(|e| unreadable(&shown, &e))?.file_type();
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
    let mut out = Error::config(format!("cannot read {}", path.display())).detail(error.to_string());
    if error.kind() == std::io::ErrorKind::PermissionDenied {
        out = out.remedy("check its permissions: every file below schema/ is read");
    } else if error.kind() == std::io::ErrorKind::NotFound {
        out = out.remedy("if it is a link, its target is gone: repair or remove it");
    }
    out
}
