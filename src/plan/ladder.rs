//! Asks whether two texts mean the same: first the memo, then the server, then a throwaway server.

use rustc_hash::FxHashSet;

use crate::catalog::Session;
use crate::diff::{Answers, Open};
use crate::model::{Result, State};
use crate::sameness::{self, Unverified, memo};

use super::aid::Aid;
use super::renamed::{Renames, later};
use super::second_opinion;

/// Whom to ask.
pub(super) struct Ladder<'a, A> {
    pub session: &'a Session,
    pub aid: &'a A,
    /// The renames that the texts follow, if there are any.
    pub following: Option<&'a Following<'a>>,
}

/// Their answers.
pub(super) struct Found {
    pub answers: Answers,
    /// Questions that remain open.
    pub unverified: Vec<Unverified>,
    /// Changed attributes that can be altered in place, there and back.
    pub and_back: FxHashSet<Open>,
    /// The state before, with its texts as they are after the renames, if that could be found out.
    pub followed: Option<State>,
    /// True if it has texts that the renames change, and it could not be found out how.
    pub outdated: bool,
}

/// Renames, and the texts that follow them.
pub(super) struct Following<'a> {
    renames: Renames<'a>,
    /// The live state under its old names.
    live: &'a State,
    /// Texts that are the same in the files as in the database, though they have a name that is gone then.
    pub outdated: Vec<Open>,
    /// True if something certainly changes, so that its dependents may have to be recreated.
    changes: bool,
}

impl<'a> Following<'a> {
    /// For the way from the live state to `new`. `changes`: more than names changes.
    pub fn new(renames: Renames<'a>, live: &'a State, new: &State, changes: bool) -> Self {
        Self { outdated: renames.outdated(new), renames, live, changes }
    }

    fn touches(&self, open: &Open) -> bool {
        self.renames.touch(&open.id)
    }

    /// True for questions that the database cannot answer in its present state.
    fn hides(&self, open: &Open) -> bool {
        self.outdated.contains(open) || self.renames.reuse_names() && self.touches(open)
    }
}

impl<A: Aid> Ladder<'_, A> {
    /// Asks whether these texts of `old` and `new` say the same.
    ///
    /// # Errors
    /// What the server reports.
    pub async fn ask(&self, old: &State, new: &State, open: &[Open]) -> Result<Found> {
        let server = self.session.version;
        let facts = memo::facts(self.session, old, new, open).await?;
        let keys: Vec<String> = facts.iter().map(|fact| fact.key.clone()).collect();
        let mut same = memo::same(&facts, &self.aid.recall(&keys).await?);
        let hidden = |open: &Open| self.following.is_some_and(|following| following.hides(open));
        same.retain(|open| !hidden(open));
        let open: Vec<Open> = open.iter().filter(|open| !same.contains(open)).cloned().collect();
        let asked: Vec<Open> = open.iter().filter(|open| !hidden(open)).cloned().collect();
        let mut settled = sameness::settle(self.session, old, new, &asked).await?;
        let (mut followed, mut outdated) = (None, false);
        if let Some(following) = self.following {
            // The database does not know the new names yet: a text that it calls different may only have followed a rename.
            let follows = |open: &Open| following.touches(open) && !settled.same.contains(open);
            let questions: Vec<Open> = open.into_iter().filter(follows).collect();
            let changes = following.changes || asked.iter().any(|open| !settled.same.contains(open));
            let dropped = following.renames.dropped(new, changes).into_iter().filter(|open| !questions.contains(open));
            let texts: Vec<Open> = questions.iter().cloned().chain(dropped).collect();
            if !texts.is_empty() {
                followed = following.renames.follow(self.aid, following.live, &texts, server).await?;
                outdated = followed.is_none();
            }
            if followed.is_some() {
                let touched = |u: &Unverified| following.touches(&Open { id: u.id.clone(), attr: u.attr });
                settled.unverified.retain(|unverified| !touched(unverified));
                settled.unverified.extend(questions.iter().map(later));
            }
        }
        let opinion =
            second_opinion::ask(self.aid, followed.as_ref().unwrap_or(old), new, settled.unverified, server).await?;
        let unverified: Vec<Unverified> = opinion.unverified;
        same.extend(settled.same.into_iter().chain(opinion.same));
        // Unverified texts are left alone: for the plan, they count as the same.
        same.extend(unverified.iter().map(|u| Open { id: u.id.clone(), attr: u.attr }));
        let answers = Answers { same, in_place: settled.in_place };
        Ok(Found { answers, unverified, and_back: settled.and_back, followed, outdated })
    }
}
