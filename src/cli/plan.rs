//! `setpoint plan`: shows what differs, and the steps that would change it.

use clap::Args;

use super::App;
use super::advance::advance;
use super::aid::Help;
use super::rehearse::Rehearse;
use crate::apply::lineage;
use crate::load;
use crate::model::{Class, Error, Result};
use crate::plan::against::against_loading;
use crate::plan::chain::{Chain, Link};
use crate::plan::{self as plans, Made};
use crate::project::Project;
use crate::report::{json, markdown, plan as shows};

/// Show the changes from the live state to the desired one
#[derive(Args, Debug)]
pub struct Plan {
    /// Write the steps as the next plan of the chain
    #[arg(long, value_name = "NAME")]
    save: Option<String>,
    /// Save a plan without steps, for steps written by hand
    #[arg(long, requires = "save")]
    empty: bool,
    /// Show the statements as a script
    #[arg(long, conflicts_with = "json")]
    sql: bool,
    /// Show the plan as JSON
    #[arg(long)]
    json: bool,
    /// Show the plan as a comment on a pull request
    #[arg(long, conflicts_with_all = ["json", "sql"])]
    markdown: bool,
    #[command(flatten)]
    rehearse: Rehearse,
    /// Exit with 2 if there is something to do
    #[arg(long)]
    exit_code: bool,
    /// Fail on objects that the model does not cover
    #[arg(long)]
    strict: bool,
}

impl Plan {
    pub fn run(self, app: &App) -> Result<u8> {
        let project = app.project()?;
        let loading = app.start_loading(&project);
        let mut chain = Chain::read(&project.plans_dir)?;
        if let Some(name) = &self.save {
            check_name(name)?;
        }
        let session = loading.before(app.session(&project, "plan"))?;
        // There is nothing to rehearse in a plan without steps.
        let starting = (self.save.is_some() && !self.empty).then(|| self.rehearse.start(app, &session));
        let ledger = app.ledger(&session)?;
        lineage::check(&ledger, &chain)?;
        let links: Vec<&Link> = chain.links.iter().filter(|l| l.number > ledger.current()).collect();
        let pending: Vec<String> = links.iter().map(|l| format!("{} {}", l.number, l.name)).collect();
        if self.save.is_some() && !pending.is_empty() {
            return Err(Error::refused(format!("not saved: {} not applied yet", list(&pending)))
                .detail("a new plan has to start where the chain ends")
                .remedy(apply_first(&links)));
        }
        let desired = || loading.loaded().map(|loaded| &loaded.state);
        let difference = app.wait(against_loading(&session, desired, &project.manage, &Help::new(app, &session)));
        let desired = loading.loaded()?;
        let difference = difference.map_err(|error| desired.point_out(error))?;
        app.warn_of_left_out(&project, desired);
        report_unmodelled(app, &difference.unmodelled, self.strict)?;
        if !self.empty {
            app.warn_of_nothing(&desired.state, &difference.made.steps);
        }
        app.warn_of_done(desired, &difference.renamed);
        if !pending.is_empty() {
            app.say(&format!("note: {} pending; `setpoint apply` runs what is saved", list(&pending)));
        }
        let unverified: Vec<String> =
            difference.unverified.iter().map(|u| format!("{}: {} ({})", u.id, u.attr, u.reason)).collect();
        let made = &difference.made;
        let mut plan = self.save.as_deref().and_then(|name| {
            let made = if self.empty { Made::default() } else { made.clone() };
            let nothing = made.steps.is_empty() && !self.empty;
            let files = load::files_hash(&desired.state);
            (!nothing).then(|| plans::Plan::new(&chain, name, files, session.version.major(), made))
        });
        let text = !(self.json || self.sql || self.markdown);
        if text {
            app.print(&shows::plan(made, app.globals.verbose));
        }
        for line in &unverified {
            app.warn(&format!("unverified difference in text: {line}"));
        }
        if made.steps.is_empty() {
            for change in &difference.changes {
                app.warn(&format!("{} differs, and setpoint has no statement that changes it", change.id()));
            }
        }
        if let (Some(plan), Some(starting)) = (&mut plan, starting) {
            self.rehearse.run(app, &project.manage, &session, (plan, &difference), starting)?;
        }
        if self.json {
            let mut out = json::plan(&made.steps, &unverified, &difference.unmodelled);
            if let Some(plan) = &plan {
                out["proof"] = serde_json::json!(plan.proof().map(json::proof));
            }
            app.print(&json::text(&out));
        } else if self.sql {
            app.print(&shows::script(&made.steps));
        } else if self.markdown {
            let around = markdown::Around {
                plan: plan.as_ref(),
                unverified: &unverified,
                unmodelled: &difference.unmodelled,
                pending: &pending,
                database: Some(session.target().database()),
            };
            app.print(&markdown::comment(made.into(), &around));
        }
        let changes = !difference.is_empty();
        match plan {
            None if self.save.is_some() => {
                app.say("nothing to do: no plan was written");
                advance(app, &project, &session, ledger.current(), &mut chain, (&desired.state, &difference))?;
            }
            None => {}
            Some(plan) => {
                let path = chain.append(&plan)?;
                app.say(&format!("wrote {}", shown(&project, &path)));
                if self.empty {
                    app.say(&format!("write its steps by hand, then `setpoint seal {}`", plan.number));
                }
            }
        }
        Ok(if self.exit_code && changes || !unverified.is_empty() { 2 } else { 0 })
    }
}

/// What is to be done about plans that are in the way of a new one.
pub fn apply_first(pending: &[&Link]) -> String {
    let names: Vec<String> =
        pending.iter().map(|link| format!("plans/{}", plans::file::file_name(link.number, &link.name))).collect();
    format!(
        "apply first: `setpoint apply`; or, if no database has what is pending, restore plans/chain.kdl from version control as it was before, and \
         remove {}",
        names.join(" and ")
    )
}

/// Names what the model does not cover.
pub fn report_unmodelled(app: &App, names: &[String], strict: bool) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    if strict {
        let error = Error::refused(format!("{} objects are not covered by the model", names.len()));
        return Err(names.iter().take(50).fold(error, |error, name| error.detail(name.clone())));
    }
    for name in names.iter().take(20) {
        app.warn(&format!("not covered by setpoint, left alone: {name}"));
    }
    if names.len() > 20 {
        app.warn(&format!("and {} more that are not covered (`--strict` lists them)", names.len() - 20));
    }
    Ok(())
}

/// A plan's name becomes a file's name.
///
/// # Errors
/// `Usage` if it has more than letters, digits, `-` and `_`.
pub fn check_name(name: &str) -> Result<()> {
    let good =
        !name.is_empty() && name.len() <= 80 && name.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_');
    if good {
        return Ok(());
    }
    Err(Error::new(Class::Usage, format!("`{name}` cannot be a plan's name"))
        .remedy("use letters, digits, `-` and `_`, as in add-invite-code"))
}

/// A path as people see it from the project's folder.
pub fn shown(project: &Project, path: &std::path::Path) -> String {
    path.strip_prefix(&project.root).unwrap_or(path).display().to_string()
}

/// `plan 2 add-a` or `plans 2 add-a, 3 add-b are`.
pub fn list(names: &[String]) -> String {
    match names {
        [one] => format!("plan {one} is"),
        many => format!("plans {} are", many.join(", ")),
    }
}
