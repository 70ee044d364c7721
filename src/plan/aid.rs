//! What a comparison may ask of others: a memory of what texts became, what the last revision left, and a place to build a whole state.

use crate::catalog::Version;
use crate::diff::swap::Done;
use crate::introspect::Stored;
use crate::model::{Error, Result, State};
use crate::sameness::memo::Known;

use super::Step;

/// A state as a separate database holds it.
#[derive(Debug, Default)]
pub struct Built {
    /// What the catalog says.
    pub state: State,
    /// The objects whose statements failed, as steps name them, and why.
    pub failed: Vec<(String, String)>,
}

/// A source of help.
pub trait Aid {
    /// What is remembered under those keys.
    fn recall(&self, keys: &[String]) -> impl Future<Output = Result<Known>>;

    /// The last reading of the catalog that was kept.
    fn reading(&self) -> impl Future<Output = Result<Option<Stored>>> {
        async { Ok(None) }
    }

    /// What the last revision left in the database; `None` if there is none.
    fn recorded(&self) -> impl Future<Output = Result<Option<State>>> {
        async { Ok(None) }
    }

    /// The renames of the database's revisions, oldest first.
    fn renames(&self) -> impl Future<Output = Result<Vec<Done>>> {
        async { Ok(Vec::new()) }
    }

    /// Builds a state on a server of that version, runs the steps that follow, and reads it back. What fails is left out.
    fn build(&self, state: &State, then: &[Step], server: Version) -> impl Future<Output = Result<Built>>;
}

/// No help.
impl Aid for () {
    async fn recall(&self, _: &[String]) -> Result<Known> {
        Ok(Known::default())
    }

    async fn build(&self, _: &State, _: &[Step], _: Version) -> Result<Built> {
        Err(Error::refused("there is no server to build it on"))
    }
}
