//! What a plan has to do: where it starts, where it leads, and for whom.

use rustc_hash::FxHashSet;

use crate::catalog::Version;
use crate::diff::Open;
use crate::diff::lineage::Completed;
use crate::model::{Change, Edges, Ident, State};

/// Where the plan starts, where it leads, and what it has to do.
pub struct Wanted<'a> {
    /// The state before, under the names that it has after the plan's renames.
    pub old: &'a State,
    /// The state after.
    pub new: &'a State,
    /// The state before as a comparison of names and texts finds it, where `old` has the texts that follow the plan's renames.
    pub before: Option<&'a State>,
    /// Dependencies of the state before.
    pub edges: &'a Edges,
    /// The complete state before, if `old` has only what the changes need.
    pub beyond: Option<&'a State>,
    /// What differs.
    pub changes: Vec<Change>,
    /// The server that it is for.
    pub server: Version,
    /// The role that runs it: privileges that its default privileges give without being declared are revoked. `None`: they are not managed.
    pub creator: Option<&'a Ident>,
    /// Changed attributes that can be altered in place in both directions, although their kind says otherwise.
    pub in_place: FxHashSet<Open>,
    /// The objects that completed the states; they are not objects of the database.
    pub completed: Completed,
    /// True if `old` has texts that the plan's renames change, and it could not be found out how.
    pub outdated: bool,
    /// The last revision's state, if there is one: objects that are not in it were created by hand.
    pub recorded: Option<&'a State>,
}

impl<'a> Wanted<'a> {
    /// What has to be done, without reference to a role.
    pub fn new(old: &'a State, new: &'a State, edges: &'a Edges, changes: Vec<Change>, server: Version) -> Self {
        Self {
            old,
            new,
            before: None,
            edges,
            beyond: None,
            changes,
            server,
            creator: None,
            in_place: FxHashSet::default(),
            completed: Completed::default(),
            outdated: false,
            recorded: None,
        }
    }

    /// Sets who runs it.
    #[must_use]
    pub fn by(mut self, creator: Option<&'a Ident>) -> Self {
        self.creator = creator;
        self
    }
}
