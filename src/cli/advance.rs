//! Brings the end of the chain up to files that mean what they meant before: in other words, or with what the project leaves to others.

use super::App;
use super::drift::differences;
use crate::catalog::Session;
use crate::load;
use crate::model::{Result, State};
use crate::plan::against::Difference;
use crate::plan::chain::Chain;
use crate::project::Project;

/// Notes at the last plan that it leads to the files as they are now, so that `check` no longer misses a plan for them. The database has to
/// be at that plan and without drift: otherwise it is not the plan that makes it what the files say.
///
/// # Errors
/// What the server reports, or what kept the chain from being written.
pub fn advance(
    app: &App,
    project: &Project,
    session: &Session,
    current: u32,
    chain: &mut Chain,
    (desired, difference): (&State, &Difference),
) -> Result<()> {
    let files = load::files_hash(desired);
    let Some(head) = chain.head().filter(|head| head.files != files && head.number == current) else { return Ok(()) };
    if !difference.is_empty() {
        return Ok(());
    }
    let plan = format!("plan {} {}", head.number, head.name);
    if !app.wait(differences(session, current, &project.manage))?.is_empty() {
        app.warn(&format!(
            "schema/ is what the database holds, but not what {plan} made: `setpoint drift` shows the rest"
        ));
        return Ok(());
    }
    chain.lead_to(files)?;
    app.say(&format!("the files mean the same as before: plans/chain.kdl has {plan} lead to them"));
    Ok(())
}
