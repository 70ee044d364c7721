//! A throwaway server on which states are built and read back, started when it is first needed.

use std::sync::OnceLock;

use crate::catalog::{Connect, PIN_PATH, Session, Version};
use crate::diff;
use crate::introspect;
use crate::kinds::{roles, schema};
use crate::model::{Edges, Object, Result, State};
use crate::plan::aid::Built;
use crate::plan::{self, Step, Wanted};
use crate::scratch::{self, Server};

/// Where states are built.
#[derive(Debug, Default)]
pub struct Workshop {
    server: OnceLock<Server>,
}

impl Workshop {
    /// Builds a state in a database of its own, runs the steps that follow, reads what the server made of it, and throws the database
    /// away. Owners, rights and roles are left out; what fails is named and left out, and so is what needs it.
    ///
    /// # Errors
    /// If there is no server of that version to be had, or no plan.
    pub async fn build(&self, state: &State, then: &[Step], version: Version) -> Result<Built> {
        let server = self.server(version)?;
        let desired = roles::without(state);
        let mut empty = State::default();
        empty.put(schema::id("public"), Object::default());
        let comparison = diff::compare(&empty, &desired);
        let changes = diff::changes(&comparison, &diff::Answers::default(), &empty, &desired);
        let made = plan::plan(&Wanted::new(&empty, &desired, &Edges::default(), changes, version))?;
        let connect = server.fresh_database("build").await?;
        let built = run(&connect, made.steps.iter().chain(then)).await;
        let dropped = server.drop_database(connect.database()).await;
        let built = built?;
        dropped?;
        Ok(built)
    }

    fn server(&self, version: Version) -> Result<&Server> {
        if let Some(server) = self.server.get() {
            return Ok(server);
        }
        let server = Server::start(&scratch::find(Some(version.major()))?)?;
        Ok(self.server.get_or_init(|| server))
    }
}

async fn run(connect: &Connect, steps: impl Iterator<Item = &Step>) -> Result<Built> {
    let session = Session::open(connect, "scratch").await?;
    let mut failed: Vec<(String, String)> = Vec::new();
    let mut path = String::new();
    for step in steps {
        let own = step.search_path();
        if own != path {
            // By itself: some statements cannot share a message with others.
            session.batch(&format!("SET search_path TO {own}")).await?;
            path = own;
        }
        if let Err(error) = session.batch(&step.sql).await {
            let objects = std::iter::once(&step.object).chain(&step.with);
            failed.extend(objects.map(|object| (object.clone(), error.message.clone())));
        }
    }
    session.batch(PIN_PATH).await?;
    let live = introspect::read(&session).await?;
    session.close().await;
    Ok(Built { state: live.state, failed })
}
