//! `setpoint status`: where a database is, what is pending, whether it drifted.

use clap::Args;
use serde_json::json;

use super::App;
use super::drift::differences;
use crate::apply::lineage::{self, Stranger};
use crate::ledger::Ledger;
use crate::model::Result;
use crate::plan::chain::Chain;
use crate::report::{json::FORMAT, text};

/// Show the current revision, pending plans and drift
#[derive(Args, Debug)]
pub struct Status {
    /// Show it as JSON
    #[arg(long)]
    json: bool,
}

impl Status {
    pub fn run(self, app: &App) -> Result<u8> {
        let project = app.project()?;
        let chain = Chain::read(&project.plans_dir)?;
        let session = app.session(&project, "status")?;
        let ledger = app.wait(Ledger::read(&session))?;
        let current = ledger.current();
        let pending: Vec<_> = chain.links.iter().filter(|l| l.number > current).collect();
        let drift = if current > 0 { app.wait(differences(&session, current, &project.manage))? } else { Vec::new() };
        let fits = lineage::check(&ledger, &chain);
        let foreign = lineage::stranger(&ledger, &chain).map(|stranger| match stranger {
            Stranger::Other(revision, _) | Stranger::Unknown(revision) => revision,
        });
        if self.json {
            app.print(&format!(
                "{:#}\n",
                json!({
                    "format": FORMAT,
                    "database": session.target().database(),
                    "revision": current,
                    "pending": pending.iter().map(|l| json!({ "number": l.number, "name": l.name })).collect::<Vec<_>>(),
                    "running": ledger.run.as_ref().map(|r| json!({ "number": r.number, "direction": r.direction.word() })),
                    "drift": drift.iter().map(|d| json!({ "change": d.sign, "object": d.object, "attributes": d.attrs })).collect::<Vec<_>>(),
                    "unknown": foreign.map(|r| r.number),
                })
            ));
            return fits.map(|()| 0);
        }
        let mut rows =
            vec![vec!["database".into(), format!("{} (PostgreSQL {})", session.target().database(), session.version)]];
        let at = match ledger.revisions.last() {
            Some(r) => format!("{} {} ({} {} by {})", r.number, r.name, r.how.word(), r.at, r.by),
            None if ledger.exists => "none".into(),
            None => "none: this database has no ledger yet".into(),
        };
        rows.push(vec!["revision".into(), at]);
        if let Some(run) = &ledger.run {
            rows.push(vec![
                "unfinished".into(),
                format!(
                    "{} {} ({}): `setpoint apply` goes on, `setpoint rollback` takes it back",
                    run.number,
                    run.name,
                    run.direction.word()
                ),
            ]);
        }
        let list: Vec<String> = pending.iter().map(|l| format!("{} {}", l.number, l.name)).collect();
        rows.push(vec!["pending".into(), if list.is_empty() { "nothing".into() } else { list.join(", ") }]);
        rows.push(vec![
            "drift".into(),
            match drift.len() {
                0 => "none".into(),
                n => format!("{n} objects differ from revision {current}: see `setpoint drift`"),
            },
        ]);
        rows.insert(0, vec![]);
        app.print(&text::table(&rows));
        fits.map(|()| 0)
    }
}
