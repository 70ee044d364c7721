//! A throwaway server on which states are built and read back, started when first needed.

use std::sync::{Arc, OnceLock};

use crate::catalog::{PIN_PATH, Version};
use crate::diff;
use crate::introspect;
use crate::kinds::{roles, schema};
use crate::model::{Edges, Object, Result, State};
use crate::plan::aid::Built;
use crate::plan::{self, Step, Wanted};
use crate::scratch::{self, Author, Server, Site, Walls, lacks_rights};

/// Builds states.
#[derive(Debug, Default)]
pub struct Workshop {
    author: Author,
    server: OnceLock<Arc<Server>>,
}

impl Workshop {
    /// For states by such an author.
    pub fn of(author: Author) -> Self {
        Self { author, server: OnceLock::new() }
    }

    /// Builds a state in a database of its own, runs the steps that follow, reads what the server made of it, and throws the database
    /// away. Owners, privileges and roles are left out; what fails is named and left out, and so is what needs it.
    ///
    /// # Errors
    /// If there is no server of that version, or no plan.
    pub async fn build(&self, state: &State, then: &[Step], version: Version) -> Result<Built> {
        let server = self.server(version)?;
        let desired = roles::without(state);
        let mut empty = State::default();
        empty.put(schema::id("public"), Object::default());
        let comparison = diff::compare(&empty, &desired);
        let changes = diff::changes(&comparison, &diff::Answers::default(), &empty, &desired);
        let made = plan::plan(&Wanted::new(&empty, &desired, &Edges::default(), changes, version))?;
        let site = Site::new(server, "build", self.author).await?;
        let built = run(&site, made.steps.iter().chain(then)).await;
        let dropped = site.drop().await;
        let built = built?;
        dropped?;
        Ok(built)
    }

    /// The walls around what is built, once something was.
    pub fn walls(&self) -> Option<Walls> {
        self.server.get().map(|server| server.walls())
    }

    fn server(&self, version: Version) -> Result<&Arc<Server>> {
        if let Some(server) = self.server.get() {
            return Ok(server);
        }
        let server = Arc::new(Server::start_closed(&scratch::find(Some(version.major()))?)?);
        Ok(self.server.get_or_init(|| server))
    }
}

async fn run(site: &Site, steps: impl Iterator<Item = &Step>) -> Result<Built> {
    let session = site.session("scratch").await?;
    let mut failed: Vec<(String, String)> = Vec::new();
    let mut path = String::new();
    for step in steps {
        let own = step.search_path();
        if own != path {
            // By itself: some statements cannot share a message with others.
            session.batch(&format!("SET search_path TO {own}")).await?;
            path = own;
        }
        let Err(error) = session.batch(&step.sql).await else { continue };
        let mut reason = error.message.clone();
        if lacks_rights(&error) && site.author() == Author::Stranger {
            match site.help(&step.sql).await {
                Ok(true) => continue,
                Ok(false) => reason = format!("{reason} (not built without {})", Author::OPTION),
                Err(error) => reason = error.message,
            }
        }
        let objects = std::iter::once(&step.object).chain(&step.with);
        failed.extend(objects.map(|object| (object.clone(), reason.clone())));
    }
    session.batch(PIN_PATH).await?;
    let live = introspect::read(&session).await?;
    session.close().await;
    Ok(Built { state: live.state, failed })
}
