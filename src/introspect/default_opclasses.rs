//! Which operator classes a server uses where none is said: asked only if the files name some.

use std::borrow::Cow;

use crate::catalog::Session;
use crate::kinds::default_opclass;
use crate::model::{Result, State};

/// The desired state without the operator classes that the server would choose by itself.
///
/// # Errors
/// What the server reports.
pub async fn settle<'a>(session: &Session, desired: Cow<'a, State>) -> Result<Cow<'a, State>> {
    if !default_opclass::are_named(&desired) {
        return Ok(desired);
    }
    let rows = session.rows(default_opclass::QUERY, &[]).await?;
    let defaults = rows.into_iter().filter_map(default_opclass::read).collect();
    let defaults = default_opclass::declared(defaults, &desired);
    let mut desired = desired.into_owned();
    default_opclass::leave_out(&mut desired, &defaults);
    Ok(Cow::Owned(desired))
}
