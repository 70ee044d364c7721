//! `setpoint check`: for pull requests, without a database.

use clap::Args;

use super::App;
use crate::load;
use crate::model::{Error, Result};
use crate::plan::chain::Chain;

/// Check files and plans without a database: they parse, every change is planned, the chain is whole and unedited
#[derive(Args, Debug)]
pub struct Check {}

impl Check {
    pub fn run(self, app: &App) -> Result<u8> {
        let project = app.project()?;
        let desired = app.load(&project)?;
        let chain = Chain::read(&project.plans_dir)?;
        for link in &chain.links {
            chain.plan(link)?;
        }
        let files = load::files_hash(&desired.state);
        match chain.head() {
            None if desired.state.len() > 1 => {
                return Err(Error::failed("schema/ declares objects, but there is no plan")
                    .remedy("`setpoint plan --save NAME`"));
            }
            Some(head) if head.files != files => {
                return Err(Error::failed("schema/ says something that no plan leads to")
                    .detail(format!("the last plan is {} {}", head.number, head.name))
                    .remedy("`setpoint plan --save NAME` against a database at that plan"));
            }
            _ => {}
        }
        let plans = match chain.links.len() {
            1 => "1 plan".to_string(),
            n => format!("{n} plans"),
        };
        app.say(&format!("{} objects, {plans}: all is planned, the chain is whole", desired.state.len()));
        Ok(0)
    }
}
