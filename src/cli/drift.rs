//! `setpoint drift`: compares the live state with the snapshot of the last revision.

use clap::Args;
use serde_json::json;

use super::App;
use crate::catalog::Session;
use crate::ledger;
use crate::model::{Error, ObjectId, Result, State};
use crate::project::Manage;
use crate::report::{json::FORMAT, text};
use crate::{diff, introspect};

/// Compare the live state with the last revision; exit 2 if they differ
#[derive(Args, Debug)]
pub struct Drift {
    /// Show it as JSON
    #[arg(long)]
    json: bool,
}

/// One object that is not what the revision recorded.
pub struct Drifted {
    /// `+` appeared, `~` changed, `-` is gone.
    pub sign: &'static str,
    pub object: String,
    /// The attributes that changed.
    pub attrs: Vec<&'static str>,
}

impl Drift {
    pub fn run(self, app: &App) -> Result<u8> {
        let project = app.project()?;
        let session = app.session(&project, "drift")?;
        let ledger = app.ledger(&session)?;
        let current = ledger.current();
        if current == 0 {
            return Err(Error::failed("this database has no revision to compare with").remedy(
                "adopt it with `setpoint baseline`, or compare it with the files: `setpoint plan --exit-code`",
            ));
        }
        let drift = app.wait(differences(&session, current, &project.manage))?;
        if self.json {
            let list: Vec<_> =
                drift.iter().map(|d| json!({ "change": d.sign, "object": d.object, "attributes": d.attrs })).collect();
            app.print(&crate::report::json::text(&json!({ "format": FORMAT, "revision": current, "drift": list })));
        } else {
            app.print(&text::drift(current, drift.iter().map(|d| (d.sign, d.object.as_str(), d.attrs.as_slice()))));
        }
        Ok(if drift.is_empty() { 0 } else { 2 })
    }
}

/// How the live state differs from a revision's snapshot: stored text against stored text, so no server has to be asked.
pub async fn differences(session: &Session, revision: u32, manage: &Manage) -> Result<Vec<Drifted>> {
    let earlier = ledger::reading(session).await?;
    let live = introspect::read_or_recall(session, earlier.as_ref()).await?;
    against_snapshot(session, live.state, revision, manage).await
}

/// The same for a live state that was read already.
pub async fn against_snapshot(session: &Session, live: State, revision: u32, manage: &Manage) -> Result<Vec<Drifted>> {
    let Some(snapshot) = ledger::snapshot_of(session, revision).await? else {
        return Err(Error::failed(format!("revision {revision} has no snapshot")));
    };
    let live = manage.apply(live, &snapshot);
    let comparison = diff::compare(&snapshot, &live);
    let ours = |id: &&ObjectId| !manage.leaves(id.kind().word);
    let one = |sign, object: &ObjectId, attrs| Drifted { sign, object: object.to_string(), attrs };
    let mut out: Vec<Drifted> = comparison.created.iter().filter(ours).map(|id| one("+", id, vec![])).collect();
    out.extend(comparison.changed.iter().filter(|(id, _)| ours(&id)).map(|(id, attrs)| one("~", id, attrs.clone())));
    out.extend(comparison.open.iter().map(|open| one("~", &open.id, vec![open.attr])));
    out.extend(comparison.dropped.iter().filter(ours).map(|id| one("-", id, vec![])));
    Ok(out)
}
