//! `setpoint init`: starts a new project.

use clap::Args;

use super::App;
use crate::model::Result;
use crate::project;

/// Write setpoint.kdl, schema/ and plans/; nothing is overwritten
#[derive(Args, Debug)]
pub struct Init {}

impl Init {
    pub fn run(self, app: &App) -> Result<u8> {
        for line in project::init(&app.directory()?)? {
            app.say(&line);
        }
        app.say("next: `setpoint baseline` adopts an existing database, or write schema/*.kdl and run `setpoint plan`");
        Ok(0)
    }
}
