//! `setpoint sql`: prints the declared schema as an SQL script, without a database.

use clap::Args;

use super::App;
use crate::catalog::Version;
use crate::diff;
use crate::kinds::schema;
use crate::model::{Edges, Object, Result, State};
use crate::plan::{self as plans, Wanted};
use crate::report::plan::script;

/// Print the statements that create the desired state in an empty database; needs no database
#[derive(Args, Debug)]
pub struct Sql {
    /// The major version of the target server
    #[arg(long, value_name = "MAJOR", default_value_t = 18, value_parser = clap::value_parser!(u32).range(13..=18))]
    server: u32,
}

impl Sql {
    pub fn run(self, app: &App) -> Result<u8> {
        let project = app.project()?;
        let desired = app.load(&project)?;
        let server = Version::major_release(self.server);
        let mut empty = State::default();
        empty.put(schema::id("public"), Object::default());
        let wanted = project.manage.desired(&desired.state, &empty, server);
        let comparison = diff::compare(&empty, &wanted);
        let changes = diff::changes(&comparison, &diff::Answers::default(), &empty, &wanted);
        let edges = Edges::default();
        let made = plans::plan(&Wanted::new(&empty, &wanted, &edges, changes, server));
        let made = made.map_err(|error| desired.point_out(error))?;
        app.print(&script(&made.steps));
        Ok(0)
    }
}
