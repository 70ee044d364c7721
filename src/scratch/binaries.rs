//! Finds the programs of a PostgreSQL server on this machine.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::model::{Error, Result};

/// The environment variable that names directories to look in first, separated by `:`.
pub const VARIABLE: &str = "SETPOINT_POSTGRES";

/// Where packages put servers: a directory per version under the first part, its programs in the second.
const PACKAGES: &[(&str, &str)] = &[
    ("/usr/lib/postgresql", "bin"),
    ("/usr", "bin"),
    ("/opt/homebrew/opt", "bin"),
    ("/usr/local/opt", "bin"),
    ("/usr/local", "bin"),
    ("/opt", "bin"),
    ("/Library/PostgreSQL", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "bin"),
];

/// The programs of one PostgreSQL server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// The directory of `postgres` and `initdb`.
    pub dir: PathBuf,
    /// The major version.
    pub major: u32,
    /// The version as the server says it: `15.18`.
    pub version: String,
    /// Where the programs find their libraries, if that is not where the system looks.
    pub libraries: Option<PathBuf>,
}

impl Binaries {
    /// A program of the server, ready to be given arguments, in a separate environment.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.dir.join(program));
        self.environment(&mut command);
        command
    }

    /// Nothing of the caller's environment may reach the server: PGDATA, PGOPTIONS, locale and time zone change what it does.
    pub(super) fn environment(&self, command: &mut Command) {
        command.env_clear().env("LC_ALL", "C").env("TZ", "UTC");
        command.env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()));
        if let Some(libraries) = &self.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
    }
}

/// Finds a server of that major version, or the newest one, in `SETPOINT_POSTGRES` and the usual places.
pub fn find(major: Option<u32>) -> Result<Binaries> {
    find_in(None, major)
}

/// As `find`, but in `dir` alone if there is one (`--postgres DIR`).
pub fn find_in(dir: Option<&Path>, major: Option<u32>) -> Result<Binaries> {
    let listed = std::env::var_os(VARIABLE).filter(|list| !list.is_empty());
    let (found, looked) = match (dir, listed) {
        (Some(dir), _) => (examine(candidates(dir)), dir.display().to_string()),
        (None, Some(list)) => {
            let named = examine(std::env::split_paths(&list).flat_map(|dir| candidates(&dir)));
            // What the variable names comes first, but another version may still be installed elsewhere.
            let usual = if pick(&named, major).is_some() { Vec::new() } else { examine(usual_places()) };
            (
                named.into_iter().chain(usual).collect(),
                format!("{VARIABLE}, pg_config, PATH, /usr/lib/postgresql/*/bin"),
            )
        }
        (None, None) => (examine(usual_places()), "pg_config, PATH, /usr/lib/postgresql/*/bin".to_owned()),
    };
    if let Some(binaries) = pick(&found, major) {
        return Ok(binaries.clone());
    }
    let wanted = major.map_or_else(|| "PostgreSQL".to_owned(), |major| format!("PostgreSQL {major}"));
    let mut error =
        Error::config(format!("no programs of a {wanted} server were found")).detail(format!("looked in {looked}"));
    if !found.is_empty() {
        let others: Vec<String> = found.iter().map(|b| format!("{} in {}", b.version, b.dir.display())).collect();
        error = error.detail(format!("found {}", others.join(", ")));
    }
    let package = major.map_or_else(|| "postgresql".to_owned(), |major| format!("postgresql-{major}"));
    Err(error.remedy(format!(
        "install the server (Debian, Ubuntu: apt install {package}), or say where it is: --postgres DIR or {VARIABLE}=DIR"
    )))
}

fn pick(found: &[Binaries], major: Option<u32>) -> Option<&Binaries> {
    match major {
        Some(major) => found.iter().find(|binaries| binaries.major == major),
        None => found.iter().reduce(|best, next| if next.major > best.major { next } else { best }),
    }
}

/// A directory of programs may be meant by itself, by its prefix, or by a directory with a prefix per version.
fn candidates(dir: &Path) -> Vec<PathBuf> {
    let mut dirs = vec![dir.to_path_buf(), dir.join("bin")];
    dirs.extend(versions_in(dir, "bin"));
    dirs
}

fn usual_places() -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").stderr(Stdio::null()).output() {
        dirs.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    dirs.extend(std::env::var_os("PATH").iter().flat_map(std::env::split_paths));
    for (parent, bin) in PACKAGES {
        dirs.extend(versions_in(Path::new(parent), bin));
    }
    dirs
}

fn versions_in(parent: &Path, bin: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let mut dirs: Vec<PathBuf> = entries
        .filter(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.starts_with(|c: char| c.is_ascii_digit())
                || name.starts_with("pgsql")
                || name.starts_with("postgresql")
        })
        .map(|entry| entry.path().join(bin))
        .collect();
    dirs.sort();
    dirs
}

fn examine(dirs: impl IntoIterator<Item = PathBuf>) -> Vec<Binaries> {
    let mut seen = HashSet::new();
    dirs.into_iter()
        .filter(|dir| !dir.as_os_str().is_empty() && dir.join("initdb").is_file())
        .filter(|dir| seen.insert(fs::canonicalize(dir.join("postgres")).unwrap_or_else(|_| dir.clone())))
        .filter_map(|dir| look(&dir))
        .collect()
}

/// Asks the server in that directory for its version.
fn look(dir: &Path) -> Option<Binaries> {
    let libraries = dir.parent().map(|prefix| prefix.join("lib")).filter(|lib| {
        fs::read_dir(lib)
            .into_iter()
            .flatten()
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().starts_with("libpq."))
    });
    let mut binaries = Binaries { dir: dir.to_path_buf(), major: 0, version: String::new(), libraries };
    let output = binaries.command("postgres").arg("--version").stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (binaries.major, binaries.version) = version(&text)?;
    Some(binaries)
}

/// Major version and whole version from `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn version(text: &str) -> Option<(u32, String)> {
    let version = text.split_once("(PostgreSQL)")?.1.split_whitespace().next()?;
    let digits: String = version.chars().take_while(char::is_ascii_digit).collect();
    Some((digits.parse().ok()?, version.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        let read = |text| version(text).map(|(major, _)| major);
        assert_eq!(read("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(read("postgres (PostgreSQL) 19beta1"), Some(19));
        assert_eq!(read("something else 12"), None);
    }

    #[test]
    fn an_empty_directory_has_no_server() {
        let error = find_in(Some(Path::new("/nonexistent")), Some(15)).expect_err("nothing is there");
        assert!(error.to_string().contains("/nonexistent") && error.to_string().contains("postgresql-15"), "{error}");
    }
}
