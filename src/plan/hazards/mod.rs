//! Hazards: named reasons to stop. One file per rule; a rule looks at what a step does, never at its SQL.

mod blocks_reads;
mod blocks_writes;
mod breaks_clients;
mod changes_access;
mod data_loss;
mod drops_index;
mod extension_update;
mod full_scan_under_lock;
mod irreversible;
mod may_fail_on_data;
mod recreates_dependents;
mod removes_unrecorded;
pub mod runs_as_you;
mod stale_data;
mod table_rewrite;
pub mod undeclared_rename;
mod untracked_dependency;
mod values;
mod volatile;
mod work;

pub(super) use blocks_writes::with_readers;
pub(super) use changes_access::unasked;
pub(super) use irreversible::emptied;
pub(super) use table_rewrite::binary_compatible;
pub use untracked_dependency::Bodies;
pub(super) use values::hazards_of_rebuilt as rebuilt;

use crate::kinds::LockMode;
use crate::model::{Edges, Object, ObjectId, State};

use super::Action;

/// A reason to stop, unless the user allowed it by this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hazard {
    DataLoss,
    TableRewrite,
    FullScanUnderLock,
    BlocksWrites,
    BlocksReads,
    MayFailOnData,
    Irreversible,
    BreaksClients,
    RecreatesDependents,
    DropsIndex,
    RemovesUnrecorded,
    ChangesAccess,
    UntrackedDependency,
    StaleData,
    ExtensionUpdate,
    RunsAsYou,
    UnreadSql,
}

impl Hazard {
    /// All of them.
    pub const ALL: [Hazard; 17] = [
        Self::DataLoss,
        Self::TableRewrite,
        Self::FullScanUnderLock,
        Self::BlocksWrites,
        Self::BlocksReads,
        Self::MayFailOnData,
        Self::Irreversible,
        Self::BreaksClients,
        Self::RecreatesDependents,
        Self::DropsIndex,
        Self::RemovesUnrecorded,
        Self::ChangesAccess,
        Self::UntrackedDependency,
        Self::StaleData,
        Self::ExtensionUpdate,
        Self::RunsAsYou,
        Self::UnreadSql,
    ];

    /// The word for `--allow`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::DataLoss => "data-loss",
            Self::TableRewrite => "table-rewrite",
            Self::FullScanUnderLock => "full-scan-under-lock",
            Self::BlocksWrites => "blocks-writes",
            Self::BlocksReads => "blocks-reads",
            Self::MayFailOnData => "may-fail-on-data",
            Self::Irreversible => "irreversible",
            Self::BreaksClients => "breaks-clients",
            Self::RecreatesDependents => "recreates-dependents",
            Self::DropsIndex => "drops-index",
            Self::RemovesUnrecorded => "removes-unrecorded",
            Self::ChangesAccess => "changes-access",
            Self::UntrackedDependency => "untracked-dependency",
            Self::StaleData => "stale-data",
            Self::ExtensionUpdate => "extension-update",
            Self::RunsAsYou => "runs-as-you",
            Self::UnreadSql => "unread-sql",
        }
    }

    /// True for those that say who has to wait, and for what.
    pub const fn is_about_time(self) -> bool {
        matches!(self, Self::TableRewrite | Self::FullScanUnderLock | Self::BlocksWrites | Self::BlocksReads)
    }

    /// The hazard of that word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|h| h.word() == word)
    }
}

/// A hazard of one step, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub hazard: Hazard,
    pub reason: String,
}

/// What a rule looks at.
pub struct Subject<'a> {
    pub action: Action,
    pub id: &'a ObjectId,
    /// The object before; `None` for creates.
    pub old: Option<&'a Object>,
    /// The object after; `None` for drops.
    pub new: Option<&'a Object>,
    /// The attributes that change.
    pub changed: &'a [&'static str],
    /// The object is dropped and recreated in the same plan.
    pub replaced: bool,
    /// The object (or the table it belongs to) existed before the plan and still does.
    pub on_existing: bool,
    /// The state before the plan.
    pub before: &'a State,
    /// What is there before in truth, where `before` has only what the changes need.
    pub there: &'a State,
    /// The state after the plan.
    pub after: &'a State,
    /// What depends on what before the plan.
    pub edges: &'a Edges,
    /// The last revision's snapshot, if there is one.
    pub recorded: Option<&'a State>,
    /// The names in the routines' bodies after the plan; found when a rule asks for them.
    pub bodies: &'a dyn Fn() -> &'a Bodies<'a>,
    /// The name that the object had.
    pub old_name: Option<&'a str>,
    /// The lock of the step.
    pub lock: Option<LockMode>,
}

/// A rule: the hazard of the subject, if any.
type Rule = fn(&Subject<'_>) -> Option<Finding>;

const RULES: &[Rule] = &[
    data_loss::check,
    table_rewrite::check,
    may_fail_on_data::check,
    full_scan_under_lock::check,
    blocks_writes::check,
    blocks_reads::check,
    irreversible::check,
    breaks_clients::check,
    recreates_dependents::check,
    drops_index::check,
    removes_unrecorded::check,
    changes_access::check,
    untracked_dependency::check,
    stale_data::check,
    extension_update::check,
];

/// All hazards of a step.
pub fn find(subject: &Subject<'_>) -> Vec<Finding> {
    RULES.iter().filter_map(|rule| rule(subject)).collect()
}

fn finding(hazard: Hazard, reason: impl Into<String>) -> Option<Finding> {
    Some(Finding { hazard, reason: reason.into() })
}
