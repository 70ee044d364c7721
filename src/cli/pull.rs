//! `setpoint pull`: brings the live schema into the schema files, editing them in place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;

use super::App;
use super::aid::Help;
use super::plan::shown;
use crate::catalog::interrupt;
use crate::introspect;
use crate::kdl::unix_lines;
use crate::kdl::witness::{self, Witness};
use crate::kinds::{index, roles};
use crate::load::{self, Loaded, edit, whole};
use crate::model::{Class, Error, Result, State};
use crate::plan::against;
use crate::project::{Manage, Project};

/// Bring schema/*.kdl in step with the live catalog, editing files in place. Needs no ledger
#[derive(Args, Debug)]
pub struct Pull {
    /// Rewrite every file, and remove those that are not needed; comments are lost
    #[arg(long)]
    force: bool,
}

impl Pull {
    pub fn run(self, app: &App) -> Result<u8> {
        let project = app.project()?;
        // Without the folder there is nothing to edit.
        let there = if self.force || !project.schema_dir.exists() { None } else { Some(app.load(&project)?) };
        let session = app.session(&project, "pull")?;
        let live = app.wait(introspect::read(&session))?;
        app.warn_of_invalid(&live.state);
        for name in live.unmodelled.iter().take(20) {
            app.warn(&format!("not covered by setpoint, not written: {name}"));
        }
        if let Some(loaded) = there.filter(|loaded| !loaded.sources.files.is_empty()) {
            return in_place(app, &project, &session, &loaded, live.state);
        }
        // The catalog does not know whose it is what files say on objects that are not managed.
        let before = load::load(&project.schema_dir).map(|loaded| loaded.state).unwrap_or_default();
        let written = project.manage.written(live.state, &before, &session, false);
        let files = load::write::files(&written.state);
        let count = files.len();
        interrupt::undivided(|| load::write::save(&project.schema_dir, files))?;
        app.say(&format!("wrote {} to {}", number(count), shown(&project, &project.schema_dir)));
        Ok(0)
    }
}

/// Edits the files that are there.
fn in_place(
    app: &App,
    project: &Project,
    session: &crate::catalog::Session,
    loaded: &Loaded,
    live: State,
) -> Result<u8> {
    // Files are compared in their own words.
    let names = project.manage.names_in_files();
    let theirs = (!names.is_empty()).then(|| roles::map(&live, &names));
    let manage = Manage { roles: Default::default(), ..project.manage.clone() };
    let help = Help::new(app, session);
    let compared = against::differing(session, theirs.as_ref().unwrap_or(&live), &loaded.state, &manage, &help);
    let (mut differing, unverified) = app.wait(compared)?;
    differing.retain(|(id, attrs)| !index::is_only_broken(id, attrs));
    for open in unverified.iter().take(20) {
        app.warn(&format!(
            "{}: could not determine whether its {} differs; left as it is: {}",
            open.id, open.attr, open.reason
        ));
    }
    let written = project.manage.written(live, &loaded.state, session, false).state;
    let dir = PathBuf::from(project.schema_dir.file_name().unwrap_or_default());
    let edited = edit::edit(loaded, &dir, &written, &differing)?;
    for id in &edited.anew {
        app.warn(&format!("{id} was rewritten: comments inside it are gone"));
    }
    interrupt::undivided(|| write(app, project, &dir, &edited))?;
    match edited.files.len() {
        0 => app.say("the files already declare what the database holds; nothing was written"),
        n => app.say(&format!("{} changed; `git diff` shows how", number(n))),
    }
    Ok(if unverified.is_empty() { 0 } else { Class::Refused.exit_code() })
}

/// Writes and removes what was edited.
fn write(app: &App, project: &Project, dir: &Path, edited: &edit::Edited) -> Result<()> {
    let places: BTreeMap<PathBuf, PathBuf> = load::find(&project.schema_dir, dir)?.into_iter().collect();
    // Nothing is written unless all may be.
    for (name, text) in &edited.files {
        if let (Some(path), Some(text)) = (places.get(name), text) {
            let before = load::text(name, path)?;
            witnessed(app, name, witness::of_edit(&unix_lines(&before), text))?;
        }
    }
    for (name, text) in &edited.files {
        let known = places.get(name);
        match (known, text) {
            (Some(path), Some(text)) => {
                whole::write(path, &with_line_ends_of(path, text))?;
                app.print(&format!("edited {}\n", name.display()));
            }
            (Some(path), None) => {
                whole::remove(path, &project.schema_dir)?;
                app.print(&format!("removed {}\n", name.display()));
            }
            (None, Some(text)) => {
                let path = project.schema_dir.join(name.strip_prefix(dir).unwrap_or(name));
                whole::write(&path, text)?;
                app.print(&format!("wrote {}\n", name.display()));
            }
            (None, None) => {}
        }
    }
    Ok(())
}

/// Ends the command where the second reader of KDL sees something else in what is about to be written; says where it could not look.
pub(super) fn witnessed(app: &App, file: &Path, witness: Witness) -> Result<()> {
    match witness {
        Witness::Agrees => Ok(()),
        Witness::Absent(why) => {
            app.say(&format!("note: the second KDL parser did not check the edit of {}: {why}", file.display()));
            Ok(())
        }
        Witness::Differs => {
            let message = format!("nothing was written: two KDL parsers disagree about the new {}", file.display());
            Err(Error::failed(message)
                .detail("one of them has a bug, and the edit might change what the file means")
                .remedy("make the change by hand, and report the file"))
        }
    }
}

fn number(files: usize) -> String {
    if files == 1 { "1 file".into() } else { format!("{files} files") }
}

/// The text with CRLF if that is how every line of the file ends.
fn with_line_ends_of(path: &Path, text: &str) -> String {
    let windows = std::fs::read_to_string(path)
        .is_ok_and(|old| old.contains('\n') && old.matches('\n').count() == old.matches("\r\n").count());
    if windows { text.replace('\n', "\r\n") } else { text.to_string() }
}
