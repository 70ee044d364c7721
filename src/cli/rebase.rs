//! `setpoint rebase NAME`: after merging two branches that each added a plan, moves one of them behind the other.

use clap::Args;

use super::App;
use super::aid::Help;
use super::drift::differences;
use super::plan::{report_unmodelled, shown};
use crate::catalog::{Connect, Session};
use crate::kinds;
use crate::ledger::Ledger;
use crate::load;
use crate::model::{Class, Error, Ident, Result, State};
use crate::plan::against::against;
use crate::plan::carry::{Carried, carry};
use crate::plan::chain::Chain;
use crate::plan::merge::{self, Fork};
use crate::plan::{Plan, Step, file};
use crate::project::Project;
use crate::prove::Replay;
use crate::report;

/// After a merge that left two plans with one number: give one the next number and recompute its steps
#[derive(Args, Debug)]
pub struct Rebase {
    /// The plan that comes later: its name, its file, or its hash
    name: String,
}

/// Where the plan is computed.
enum Place {
    /// On the configured database, which stands where the plan begins.
    Database(Box<Session>),
    /// On a throwaway server.
    Scratch(Box<Replay>),
}

impl Rebase {
    pub fn run(self, app: &App) -> Result<u8> {
        let project = app.project()?;
        let Some(Fork { common, sides, files }) = merge::fork(&project.plans_dir)? else {
            app.say("nothing to rebase: plans/ has one plan of each number");
            return Ok(0);
        };
        let (stay, moved) = self.choose(&common, sides)?;
        let desired = app.load(&project)?;
        let at = common.len();
        let mut plans: Vec<Plan> = common.into_iter().chain(stay).collect();
        let ran = self.at_hand(app, &project, &plans, &moved);
        let place = match ran.session {
            Some(session) if moved.len() == 1 => Place::Database(Box::new(session)),
            _ => Place::Scratch(Box::new(scratch(app, &project, &plans, &desired.state)?)),
        };
        app.say(&match &place {
            Place::Database(session) => {
                format!("computing on database {}, which is at revision {}", session.target().database(), plans.len())
            }
            Place::Scratch(replay) => {
                format!(
                    "computing on a throwaway server (PostgreSQL {}), on which the plans before were run",
                    replay.major()
                )
            }
        });
        let stages = stages(app, &project, &place, &plans[..at], &moved)?;
        let mut lines = Vec::new();
        for (index, old) in moved.iter().enumerate() {
            // In between, a plan leads where both branches together were; the last one leads to the files.
            let target = stages.get(index).unwrap_or(&desired.state);
            let own;
            let session = match &place {
                Place::Database(session) => session.as_ref(),
                Place::Scratch(replay) => {
                    own = app.wait(replay.session())?;
                    &own
                }
            };
            let difference = app.wait(against(session, target, &project.manage, &Help::new(app, session)))?;
            report_unmodelled(app, &difference.unmodelled, false)?;
            if let Some(open) = difference.unverified.first() {
                return Err(Error::refused(format!(
                    "{}: {} may differ, but this could not be verified",
                    open.id, open.attr
                ))
                .detail(open.reason.clone()));
            }
            let carried = carry(old, difference.made);
            let Some(last) = plans.last() else { continue };
            if carried.made.steps.is_empty() && !old.steps.is_empty() {
                lines.push(format!("plan {} {} has nothing left to do, and was removed", old.number, old.name));
                continue;
            }
            let new = Plan {
                number: last.number + 1,
                name: old.name.clone(),
                // What it leaves to another plan is not covered.
                files: if carried.left { last.files } else { load::files_hash(target) },
                after: Some(last.hash()),
                server: session.version.major(),
                tool: env!("CARGO_PKG_VERSION").into(),
                sealed: old.sealed,
                footprint: carried.made.footprint.clone(),
                steps: carried.made.steps.clone(),
                proof: None,
            };
            lines.push(format!("plan {} {} is plan {} now", old.number, old.name, new.number));
            app.print(&report::plan::plan(&new, app.globals.verbose));
            tell(&mut lines, old, &new, &carried);
            if let Place::Scratch(replay) = &place {
                app.wait(replay.run(std::slice::from_ref(&new)))?;
            }
            plans.push(new);
        }
        let written = Chain::rewrite(&project.plans_dir, &plans, at as u32 + 1)?;
        for line in &lines {
            app.say(line);
        }
        for path in &written {
            app.say(&format!("wrote {}", shown(&project, path)));
        }
        for old in files.iter().filter(|old| !plans.iter().any(|plan| path(&project, plan) == **old)) {
            std::fs::remove_file(old)
                .map_err(|error| Error::failed(format!("cannot remove {}", old.display())).detail(error.to_string()))?;
            app.say(&format!("removed {}", shown(&project, old)));
        }
        self.warn(app, at, &moved, ran.old);
        Ok(0)
    }

    /// The side that stays, and the one that is moved.
    fn choose(&self, common: &[Plan], mut sides: Vec<Vec<Plan>>) -> Result<(Vec<Plan>, Vec<Plan>)> {
        let name = self.name.strip_suffix(".kdl").unwrap_or(&self.name);
        let name = name.rsplit('/').next().unwrap_or(name);
        let meant = |plan: &Plan| {
            let own = file::file_name(plan.number, &plan.name);
            plan.name == name
                || own.strip_suffix(".kdl") == Some(name)
                || name.len() >= 4 && plan.hash().to_string().starts_with(name)
        };
        let number = common.len() as u32 + 1;
        let named = |side: &[Plan]| side.iter().any(meant);
        let found: Vec<usize> = (0..sides.len()).filter(|at| named(&sides[*at])).collect();
        // A plan that is at the fork is meant rather than one of the same name that comes later.
        let first: Vec<usize> = found.iter().copied().filter(|at| sides[*at].first().is_some_and(meant)).collect();
        let list = || -> Vec<String> {
            sides
                .iter()
                .map(|side| {
                    let plans: Vec<String> =
                        side.iter().map(|p| format!("{} {} ({})", p.number, p.name, p.hash())).collect();
                    plans.join(", then ")
                })
                .collect()
        };
        let at = match (found.as_slice(), first.as_slice()) {
            ([one], _) | (_, [one]) => *one,
            ([], _) => {
                let error = Error::new(Class::Usage, format!("`{name}` is not one of the plans that can be moved"));
                let error = list().into_iter().fold(error, |error, line| error.detail(line));
                return Err(error.remedy(format!("name one that begins with plan {number}")));
            }
            _ => {
                let error = Error::new(Class::Usage, format!("both branches have a plan {name}"));
                let error = list().into_iter().fold(error, |error, line| error.detail(line));
                return Err(error.remedy("name the one that should come later by the beginning of its hash"));
            }
        };
        if sides.len() > 2 {
            return Err(Error::refused(format!("{} branches each added a plan {number}", sides.len()))
                .remedy("merge them one after the other, and rebase each time"));
        }
        let moved = sides.remove(at);
        Ok((sides.pop().unwrap_or_default(), moved))
    }

    /// Asks the configured database, if there is one, where it is.
    fn at_hand(&self, app: &App, project: &Project, base: &[Plan], moved: &[Plan]) -> AtHand {
        let nobody = AtHand { session: None, old: None };
        let Ok(session) = app.session(project, "rebase") else { return nobody };
        let Ok(ledger) = app.wait(Ledger::read(&session)) else { return nobody };
        let ran = |plan: &Plan| ledger.revision(plan.number).is_some_and(|r| r.plan_hash == plan.hash());
        let old = moved.first().filter(|plan| ran(plan)).map(|_| session.target().clone());
        let there =
            base.last().is_some_and(|head| head.number == ledger.current() && ran(head)) && ledger.run.is_none();
        let clean = |session: &Session| {
            app.wait(differences(session, ledger.current(), &project.manage)).is_ok_and(|drift| drift.is_empty())
        };
        AtHand { session: Some(session).filter(|session| there && clean(session)), old }
    }

    /// What to do with databases that ran the plan under its old number.
    fn warn(&self, app: &App, common: usize, moved: &[Plan], old: Option<Connect>) {
        let to = if common == 0 { "base".to_owned() } else { common.to_string() };
        let name = moved.first().map_or("", |plan| plan.name.as_str());
        let ways = format!("`setpoint rollback --to {to}`, then `setpoint apply`");
        match old {
            Some(target) => {
                app.warn(&format!("database {} ran {name} as plan {}: there, {ways}", target.database(), common + 1))
            }
            None => app.say(&format!("a database that ran {name} as plan {} is told so, and needs {ways}", common + 1)),
        }
    }
}

/// What the configured database has to do with it.
struct AtHand {
    /// It stands where the moved plan begins.
    session: Option<Session>,
    /// It ran the moved plan under its old number.
    old: Option<Connect>,
}

fn path(project: &Project, plan: &Plan) -> std::path::PathBuf {
    project.plans_dir.join(file::file_name(plan.number, &plan.name))
}

/// A throwaway database on which the plans were run.
fn scratch(app: &App, project: &Project, plans: &[Plan], desired: &State) -> Result<Replay> {
    let roles = kinds::roles::named(desired).into_iter().map(|(role, _)| role);
    let mut roles: Vec<Ident> = roles.chain(project.manage.owner.clone()).collect();
    roles.extend(project.manage.roles.values().cloned());
    let major = plans.last().map_or(0, |plan| plan.server);
    app.wait(async {
        let replay = Replay::start(major, &roles, app.globals.author()).await?;
        replay.run(plans).await?;
        Ok(replay)
    })
    .map_err(|mut error: Error| {
        if let Some(other) = &error.remedy {
            let other = other.clone();
            error = error.detail(other);
        }
        error.remedy(format!(
            "bring a database of yours to revision {} and run `setpoint rebase` again with it: it is used instead",
            plans.len()
        ))
    })
}

/// Where each of the moved plans but the last one leads: what its branch did, done to what the other branch made.
fn stages(app: &App, project: &Project, place: &Place, common: &[Plan], moved: &[Plan]) -> Result<Vec<State>> {
    let Place::Scratch(replay) = place else { return Ok(Vec::new()) };
    if moved.len() < 2 {
        return Ok(Vec::new());
    }
    app.wait(async {
        let theirs = replay.state().await?;
        let own = Replay::start(replay.major(), &[], app.globals.author()).await?;
        own.run(common).await?;
        let base = own.state().await?;
        let mut stages = Vec::new();
        for plan in moved.iter().take(moved.len() - 1) {
            own.run(std::slice::from_ref(plan)).await?;
            let both = merge::combine(&base, &own.state().await?, &theirs);
            let session = own.session().await?;
            stages.push(project.manage.written(both, &State::default(), &session, false).state);
            session.close().await;
        }
        Ok(stages)
    })
}

/// What became of a plan's steps.
fn tell(lines: &mut Vec<String>, old: &Plan, new: &Plan, carried: &Carried) {
    let computed = |plan: &Plan| -> Vec<Step> {
        plan.steps.iter().filter(|step| step.action != crate::plan::Action::Manual).cloned().collect()
    };
    let (before, after) = (computed(old), computed(new));
    let has = |list: &[Step], step: &Step| list.iter().any(|s| s.object == step.object && s.sql == step.sql);
    let gone: Vec<&Step> = before.iter().filter(|step| !has(&after, step)).collect();
    let fresh: Vec<&Step> = after.iter().filter(|step| !has(&before, step)).collect();
    if gone.is_empty() && fresh.is_empty() && !after.is_empty() {
        lines.push(format!("  the same {} as before", count(after.len(), "step")));
    }
    let line = |sign: &str, step: &Step| format!("  {sign} {} {}", step.action.word(), step.object);
    lines.extend(gone.into_iter().map(|step| line("no longer:", step)));
    lines.extend(fresh.into_iter().map(|step| line("new:", step)));
    lines.extend(carried.kept.iter().map(|object| format!("  kept as it was edited: the step for {object}")));
    if carried.by_hand > 0 {
        let them = if carried.by_hand == 1 { "it still fits" } else { "they still fit" };
        lines.push(format!("  {} by hand carried over: check whether {them}", count(carried.by_hand, "step")));
    }
    if carried.left {
        lines.push(
            "  the files contain more than these steps do: `setpoint plan --save NAME` once it is applied".into(),
        );
    }
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
