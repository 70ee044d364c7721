//! Which operator classes a server uses where none is said: asked only if the files name some.

use std::borrow::Cow;

use crate::catalog::Session;
use crate::kinds::operator_class;
use crate::model::{Result, State};

/// The desired state without the operator classes that the server would choose by itself.
///
/// # Errors
/// What the server reports.
pub async fn settle<'a>(session: &Session, desired: Cow<'a, State>) -> Result<Cow<'a, State>> {
    if !operator_class::are_named(&desired) {
        return Ok(desired);
    }
    let rows = session.rows(operator_class::QUERY, &[]).await?;
    let defaults: Vec<_> = rows.into_iter().filter_map(operator_class::read).collect();
    let mut desired = desired.into_owned();
    operator_class::leave_out(&mut desired, &defaults);
    Ok(Cow::Owned(desired))
}
