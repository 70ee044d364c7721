//! `setpoint history`: the ledger, rolled-back revisions included.

use clap::Args;
use serde_json::json;

use super::App;
use crate::ledger;
use crate::model::Result;
use crate::report::{json::FORMAT, text};

/// Show what was applied to the database, when and by whom
#[derive(Args, Debug)]
pub struct History {
    /// Show it as JSON
    #[arg(long)]
    json: bool,
}

impl History {
    pub fn run(self, app: &App) -> Result<u8> {
        let project = app.project()?;
        let session = app.session(&project, "history")?;
        let events = app.wait(ledger::events(&session))?;
        if self.json {
            let events: Vec<_> = events
                .iter()
                .map(|e| {
                    json!({ "number": e.number, "name": e.name, "what": e.what, "at": e.at, "by": e.by, "tool": e.tool, "hash": e.plan_hash.to_string() })
                })
                .collect();
            app.print(&format!("{:#}\n", json!({ "format": FORMAT, "events": events })));
            return Ok(0);
        }
        if events.is_empty() {
            app.say("nothing was applied to this database yet");
            return Ok(0);
        }
        let mut rows = vec![["revision", "name", "what", "when", "who", "setpoint"].map(String::from).to_vec()];
        rows.extend(events.into_iter().map(|e| vec![e.number.to_string(), e.name, e.what, e.at, e.by, e.tool]));
        app.print(&text::table(&rows));
        Ok(0)
    }
}
