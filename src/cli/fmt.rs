//! `setpoint fmt`: gives the files that people write one layout.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;

use super::App;
use super::plan::shown;
use super::pull::witnessed;
use crate::kdl::{self, Sources, witness};
use crate::load::{self, whole};
use crate::model::{Class, Error, Result};
use crate::project::{Project, links};

/// Give schema files and setpoint.kdl one layout; their meaning and every comment stay
#[derive(Args, Debug)]
pub struct Fmt {
    /// The files or folders, instead of the project's; `-` reads stdin and writes stdout
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Change nothing; list files that have another layout, and exit with 1 if there are any
    #[arg(long)]
    check: bool,
}

/// A file to lay out: as people know it, and where it is.
struct Target {
    shown: PathBuf,
    path: PathBuf,
}

impl Fmt {
    pub fn run(self, app: &App) -> Result<u8> {
        let standard_input = |file: &PathBuf| file.as_os_str() == "-";
        match self.files.as_slice() {
            [only] if standard_input(only) => return self.stdin(app),
            files if files.iter().any(standard_input) => {
                return Err(Error::new(
                    Class::Usage,
                    "`-` must be the only name: standard input is written to standard output",
                )
                .remedy("lay out the files in another call"));
            }
            _ => {}
        }
        let targets = self.targets(app)?;
        let mut texts = Vec::new();
        for target in &targets {
            texts.push((target.shown.clone(), load::text(&target.shown, &target.path)?));
        }
        // Nothing is written as long as one of the files is wrong.
        let laid_out = layouts(texts)?;
        let other: Vec<(&Target, &String)> = targets
            .iter()
            .zip(&laid_out)
            .filter_map(|(target, (_, new))| new.as_ref().map(|text| (target, text)))
            .collect();
        for (target, text) in other.iter().filter(|_| !self.check) {
            let before = load::text(&target.shown, &target.path)?;
            witnessed(app, &target.shown, witness::of_layout(&kdl::unix_lines(&before), &kdl::unix_lines(text)))?;
        }
        for (target, text) in &other {
            if !self.check {
                whole::write(&target.path, text)?;
            }
            app.print(&format!("{}\n", target.shown.display()));
        }
        let files = |n: usize| if n == 1 { "1 file".to_string() } else { format!("{n} files") };
        match other.len() {
            0 => app.say(&format!("{} in the canonical layout already", are(targets.len()))),
            n if self.check => return Err(unformatted(format!("{} not in the canonical layout", are(n)), &self.files)),
            n => app.say(&format!("laid out {}", files(n))),
        }
        Ok(0)
    }

    /// The files that are named, else the project's.
    fn targets(&self, app: &App) -> Result<Vec<Target>> {
        let dir = app.directory()?;
        let mut out = Vec::new();
        let root = Project::root_around(&dir);
        for file in &self.files {
            let path = dir.join(file);
            if let Some(root) = root.as_ref().filter(|root| path.starts_with(root)) {
                links::refuse_outside(root, &path)?;
            }
            if path.is_dir() {
                out.extend(load::find(&path, file)?.into_iter().map(|(shown, path)| Target { shown, path }));
            } else {
                out.push(Target { shown: file.clone(), path });
            }
        }
        if self.files.is_empty() {
            let project = app.project_here()?;
            let shown_dir = PathBuf::from(shown(&project, &project.schema_dir));
            out.push(Target { shown: shown(&project, &project.file).into(), path: project.file });
            out.extend(
                load::find(&project.schema_dir, &shown_dir)?.into_iter().map(|(shown, path)| Target { shown, path }),
            );
        }
        Ok(out)
    }

    fn stdin(&self, app: &App) -> Result<u8> {
        let mut bytes = Vec::new();
        let read = std::io::stdin().lock().take(kdl::MAX_BYTES as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|error| Error::failed("cannot read stdin").detail(error.to_string()))?;
        let text = load::utf8(Path::new("stdin"), bytes)?;
        let laid_out = layouts(vec![("stdin".into(), text)])?;
        match laid_out.into_iter().next() {
            Some((_, Some(_))) if self.check => Err(unformatted("stdin is not in the canonical layout".into(), &[])),
            Some((text, new)) if !self.check => {
                app.print_file(&new.unwrap_or(text));
                Ok(0)
            }
            _ => Ok(0),
        }
    }
}

/// Lays out every text: the old one, and the new one where it differs. All problems of all files are one error.
fn layouts(texts: Vec<(PathBuf, String)>) -> Result<Vec<(String, Option<String>)>> {
    let sources = Sources { files: texts };
    let (mut out, mut problems) = (Vec::new(), Vec::new());
    let laid_out = load::threads::share_out(&sources.files, |first, files| {
        let number = |index| u32::try_from(first + index).unwrap_or(u32::MAX);
        let formatted = |(index, (_, text)): (usize, &(PathBuf, String))| {
            kdl::format(number(index), text).map(|new| (new != *text).then_some(new))
        };
        files.iter().enumerate().map(formatted).collect()
    });
    for file in laid_out {
        match file {
            Ok(new) => out.push(new),
            Err(found) => problems.extend(found),
        }
    }
    if !problems.is_empty() {
        return Err(sources.error(&problems));
    }
    Ok(sources.files.into_iter().map(|(_, text)| text).zip(out).collect())
}

fn are(files: usize) -> String {
    if files == 1 { "1 file is".into() } else { format!("{files} files are") }
}

fn unformatted(message: String, files: &[PathBuf]) -> Error {
    let names: String = files.iter().map(|file| format!(" {}", file.display())).collect();
    Error::failed(message).remedy(format!("`setpoint fmt{names}`"))
}

/// Fails if one of the project's files is not in the canonical layout.
///
/// # Errors
/// `Failed` with the names of those files.
pub(super) fn check(project: &Project, sources: &Sources) -> Result<()> {
    let name = PathBuf::from(shown(project, &project.file));
    let mut texts = vec![(name.clone(), load::text(&name, &project.file)?)];
    texts.extend(sources.files.iter().cloned());
    let names: Vec<PathBuf> = texts.iter().map(|(name, _)| name.clone()).collect();
    let laid_out = layouts(texts)?;
    let other = names.iter().zip(laid_out).filter(|(_, (_, new))| new.is_some()).map(|(name, _)| name);
    let other: Vec<String> = other.map(|name| name.display().to_string()).collect();
    if other.is_empty() {
        return Ok(());
    }
    let mut error = unformatted(format!("{} not in the canonical layout", are(other.len())), &[]);
    let more = other.len().saturating_sub(20);
    error.details.extend(other.into_iter().take(20));
    Err(if more > 0 { error.detail(format!("and {more} more")) } else { error })
}
