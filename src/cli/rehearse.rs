//! Rehearses a plan before it is saved: none is kept unless it ran up and down on filled tables.

use std::borrow::Cow;
use std::thread::{Builder, JoinHandle};
use std::time::Instant;

use clap::Args;

use super::App;
use crate::catalog::Session;
use crate::model::{Class, Ident, Result, State};
use crate::plan::against::Difference;
use crate::plan::proof::{Leg, Proof, Verdict};
use crate::plan::{self, Plan};
use crate::project::Manage;
use crate::prove::{self, Prover, Scene};
use crate::report::plan as shows;
use crate::scratch::Author;

/// The variable that leaves rehearsals out wherever it is set.
const VARIABLE: &str = "SETPOINT_NO_REHEARSAL";

/// Whether a plan is tried before it is saved.
#[derive(Args, Debug)]
pub struct Rehearse {
    /// Save the plan without rehearsing it on a throwaway server first
    #[arg(long)]
    no_rehearsal: bool,
}

/// A throwaway server that is started while the plan is made.
pub struct Starting(Option<JoinHandle<Result<Prover>>>);

/// If there is nothing to rehearse, the server ends before the command does.
impl Drop for Starting {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            _ = thread.join(); // nobody asks what became of it
        }
    }
}

impl Rehearse {
    /// True if nobody wants a rehearsal.
    pub fn is_off(&self) -> bool {
        self.no_rehearsal || std::env::var_os(VARIABLE).is_some_and(|set| !set.is_empty())
    }

    /// Begins to start the server for the plan.
    pub fn start(&self, app: &App, session: &Session) -> Starting {
        let (creator, major, author) = (creator(session), session.version.major(), app.globals.author());
        let start = move || Prover::start_as(&creator, major, author);
        // Without a thread to spare, it is started when it is needed.
        let thread = (!self.is_off()).then(|| Builder::new().name("server".into()).spawn(start).ok());
        Starting(thread.flatten())
    }

    /// Tries the plan that leads from one end of a difference to the other, and writes into it what was seen.
    ///
    /// # Errors
    /// `Refused`, with the step that failed, or the values that changed.
    pub fn run(
        &self,
        app: &App,
        manage: &Manage,
        session: &Session,
        (plan, difference): (&mut Plan, &Difference),
        mut starting: Starting,
    ) -> Result<()> {
        if self.is_off() || plan.steps.is_empty() {
            return Ok(());
        }
        let begin = Instant::now();
        let creator = creator(session);
        let started = match starting.0.take() {
            // A panic there is a fault of ours in any thread.
            Some(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            None => Prover::start_as(&creator, plan.server, app.globals.author()),
        };
        let prover = match started {
            Ok(prover) => prover,
            Err(error) if error.class == Class::Interrupted => return Err(error),
            Err(error) => {
                app.say(&format!("not rehearsed: {}", error.message));
                let proof = app.wait(without_server(session, plan, error.message))?;
                plan.proof = Some(proof);
                return Ok(());
            }
        };
        if prover.major() != plan.server {
            let (made, here) = (plan.server, prover.version());
            app.warn(&format!("made for PostgreSQL {made}, which is not installed here; rehearsed on {here}"));
        }
        app.tell_of_walls(prover.walls());
        let Difference { live, edges, around, end, .. } = difference;
        let (live, end) = (with(live, around), with(end, around));
        let live = manage.without_theirs(&live);
        let scene = Scene { start: &live, edges, end: &end, creator: &creator };
        let rehearsal = app.wait(prover.rehearse(plan, &scene))?;
        match rehearsal.proof.verdict() {
            Verdict::Failed => return Err(prove::refusal(plan, &rehearsal)),
            Verdict::Unproved => {
                let reason = rehearsal.proof.up.lines().join("; ");
                let trust =
                    if rehearsal.untrusted { format!(" ({} rehearses it)", Author::OPTION) } else { String::new() };
                app.say(&format!("not rehearsed: {reason}{trust}"));
            }
            Verdict::Proved | Verdict::InPart => {
                app.say(&shows::rehearsed(&rehearsal.proof, begin.elapsed().as_secs_f32()));
            }
        }
        plan.proof = Some(rehearsal.proof);
        Ok(())
    }
}

/// A state with what is around it.
fn with<'a>(state: &'a State, around: &State) -> Cow<'a, State> {
    if around.is_empty() { Cow::Borrowed(state) } else { Cow::Owned(plan::together(state, around)) }
}

fn creator(session: &Session) -> Ident {
    Ident::from(session.user.as_str())
}

/// What is kept of a plan that could not be tried.
async fn without_server(session: &Session, plan: &Plan, reason: String) -> Result<Proof> {
    let not_run = || Leg::Unproved("it was not reached".into());
    Ok(Proof {
        plan: plan.hash(),
        at: prove::now(session).await?,
        server: String::new(),
        witness: None,
        rows: None,
        up: Leg::Unproved(reason),
        down: not_run(),
        again: not_run(),
    })
}
