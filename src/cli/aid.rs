//! What helps a comparison on the command line: the memo in the database, and a throwaway server.

use std::cell::Cell;

use super::App;
use crate::catalog::{Session, Version};
use crate::diff::swap::Done;
use crate::introspect::Stored;
use crate::ledger::{self, Ledger};
use crate::model::{Result, State};
use crate::plan::aid::{Aid, Built};
use crate::plan::{Action, Step, file};
use crate::prove::Workshop;
use crate::sameness::memo::Known;

/// The help for comparing with one database.
pub struct Help<'a> {
    app: &'a App,
    session: &'a Session,
    workshop: Workshop,
    told: Cell<bool>,
}

impl<'a> Help<'a> {
    /// For the database of that session.
    pub fn new(app: &'a App, session: &'a Session) -> Self {
        Self { app, session, workshop: Workshop::of(app.globals.author()), told: Cell::new(false) }
    }
}

impl Aid for Help<'_> {
    async fn recall(&self, keys: &[String]) -> Result<Known> {
        ledger::recall(self.session, keys).await
    }

    async fn reading(&self) -> Result<Option<Stored>> {
        ledger::reading(self.session).await
    }

    async fn recorded(&self) -> Result<Option<State>> {
        match Ledger::read(self.session).await?.current() {
            0 => Ok(None),
            number => ledger::snapshot_of(self.session, number).await,
        }
    }

    async fn renames(&self) -> Result<Vec<Done>> {
        let mut out = Vec::new();
        for number in 1..=Ledger::read(self.session).await?.current() {
            let Some(text) = ledger::plan_text(self.session, number).await? else { continue };
            let plan = file::read(&format!("revision {number}"), &text)?;
            let renames = plan.steps.iter().filter(|step| step.action == Action::Rename);
            out.push(renames.filter_map(|step| Some((step.with.first()?.clone(), step.object.clone()))).collect());
        }
        Ok(out)
    }

    async fn build(&self, state: &State, then: &[Step], server: Version) -> Result<Built> {
        let first = !self.told.replace(true);
        if first {
            self.app.say("comparing on a throwaway server what the database itself cannot be asked about");
        }
        let built = self.workshop.build(state, then, server).await;
        if let (true, Some(walls)) = (first, self.workshop.walls()) {
            self.app.tell_of_walls(walls);
        }
        built
    }
}
