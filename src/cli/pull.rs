//! `setpoint pull`: live catalog → schema files.

use clap::Args;

use super::App;
use super::plan::shown;
use crate::introspect;
use crate::load;
use crate::model::{Error, Result};

/// Write the live catalog to schema/*.kdl; needs no ledger
#[derive(Args, Debug)]
pub struct Pull {
    /// Replace the files that are there
    #[arg(long)]
    force: bool,
}

impl Pull {
    pub fn run(self, app: &App) -> Result<u8> {
        let project = app.project()?;
        let there = app.load(&project);
        // Without the folder there is nothing to lose; files that cannot be read are files.
        let has_files =
            project.schema_dir.exists() && there.as_ref().map_or(true, |loaded| !loaded.sources.files.is_empty());
        let session = app.session(&project, "pull")?;
        let live = app.wait(introspect::read(&session))?;
        for name in live.unmodelled.iter().take(20) {
            app.warn(&format!("not covered by setpoint, not written: {name}"));
        }
        let written = project.manage.written(live.state, &session, false);
        let files = load::write::files(&written.state);
        if has_files && !self.force {
            let same = there.is_ok_and(|loaded| load::files_hash(&loaded.state) == load::files_hash(&written.state));
            if same {
                app.say("the files say what the database holds; nothing was written");
                return Ok(0);
            }
            return Err(Error::refused(format!("{} has files already", shown(&project, &project.schema_dir))).remedy(
                "commit them and run `setpoint pull --force`, which replaces them all; Git shows what changed",
            ));
        }
        let count = files.len();
        load::write::save(&project.schema_dir, files)?;
        app.say(&format!("wrote {count} files to {}", shown(&project, &project.schema_dir)));
        Ok(0)
    }
}
