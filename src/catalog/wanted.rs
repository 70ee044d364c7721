//! Which of several servers is acceptable: `target_session_attrs`.

use crate::model::Result;

use super::place::invalid;

/// What kind of server is required.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Any,
    /// One where a transaction may write.
    ReadWrite,
    /// One where transactions are read-only.
    ReadOnly,
    Primary,
    Standby,
    /// A standby if there is one, or any server.
    PreferStandby,
}

impl Wanted {
    /// What to look for in turn.
    pub(super) fn rounds(self) -> &'static [Self] {
        match self {
            Self::Any => &[Self::Any],
            Self::ReadWrite => &[Self::ReadWrite],
            Self::ReadOnly => &[Self::ReadOnly],
            Self::Primary => &[Self::Primary],
            Self::Standby => &[Self::Standby],
            Self::PreferStandby => &[Self::Standby, Self::Any],
        }
    }

    /// The meaning of that word; the default is `any`.
    pub(super) fn named(word: Option<&str>) -> Result<Self> {
        let all = [Self::Any, Self::ReadWrite, Self::ReadOnly, Self::Primary, Self::Standby, Self::PreferStandby];
        let Some(word) = word else { return Ok(Self::Any) };
        all.into_iter().find(|one| one.word() == word).ok_or_else(|| {
            invalid("target_session_attrs", "any, read-write, read-only, primary, standby or prefer-standby")
        })
    }

    /// Its name in a connection string.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::ReadWrite => "read-write",
            Self::ReadOnly => "read-only",
            Self::Primary => "primary",
            Self::Standby => "standby",
            Self::PreferStandby => "prefer-standby",
        }
    }
}
