//! The proof of a plan, from running it on a throwaway server: kept in its file, after its hash, and valid for that hash alone.

use crate::model::Digest;

/// One of the three ways: up, down, up again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leg {
    /// It leads where it should.
    Proved,
    /// It does not; what differs, one line each, or why it stopped.
    Failed(Vec<String>),
    /// It leads there except for what cannot be restored; the steps, one line each.
    Irreversible(Vec<String>),
    /// It was not tried, or could not be; the reason.
    Unproved(String),
}

/// The overall result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Proved,
    /// Up, and down as far as possible.
    InPart,
    Failed,
    Unproved,
}

impl Verdict {
    /// The word in files and in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Proved => "proved",
            Self::InPart => "proved-in-part",
            Self::Failed => "failed",
            Self::Unproved => "not-proved",
        }
    }
}

/// A run of a plan up, down and up again on a scratch database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The plan's hash at that time.
    pub plan: Digest,
    /// When, in UTC: `2026-01-31T12:00:00Z`.
    pub at: String,
    /// The server: `15.18`.
    pub server: String,
    /// What compared besides our own model: `pg_dump 15.18`; `None`: nothing did.
    pub witness: Option<String>,
    /// The rows in its tables; `None`: they were empty.
    pub rows: Option<Rows>,
    pub up: Leg,
    pub down: Leg,
    pub again: Leg,
}

/// The rows that went up, down and up again with a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    /// How many there were.
    pub count: u64,
    /// In how many tables.
    pub tables: u64,
    /// What was not tried with rows, and why, one line each: tables that could not be filled, rules that no rows of before satisfy.
    pub without: Vec<String>,
}

impl Rows {
    /// `240 rows in 5 tables`.
    pub fn shown(&self) -> String {
        let many = |n: u64, one: &str| if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") };
        match self.count {
            0 => "no rows".to_owned(),
            count => format!("{} in {}", many(count, "row"), many(self.tables, "table")),
        }
    }
}

impl Proof {
    /// The three ways with their names.
    pub fn legs(&self) -> [(&'static str, &Leg); 3] {
        [("up", &self.up), ("down", &self.down), ("again", &self.again)]
    }

    /// The overall result: the worst of the three.
    pub fn verdict(&self) -> Verdict {
        let any = |test: fn(&Leg) -> bool| self.legs().iter().any(|(_, leg)| test(leg));
        if any(|leg| matches!(leg, Leg::Failed(_))) {
            Verdict::Failed
        } else if matches!(self.up, Leg::Unproved(_)) {
            Verdict::Unproved
        } else if any(|leg| !matches!(leg, Leg::Proved)) {
            Verdict::InPart
        } else {
            Verdict::Proved
        }
    }
}

impl Leg {
    /// The word in files and in JSON.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Proved => "proved",
            Self::Failed(_) => "failed",
            Self::Irreversible(_) => "irreversible",
            Self::Unproved(_) => "not-proved",
        }
    }

    /// Details about it.
    pub fn lines(&self) -> Vec<&str> {
        match self {
            Self::Proved => Vec::new(),
            Self::Failed(lines) | Self::Irreversible(lines) => lines.iter().map(String::as_str).collect(),
            Self::Unproved(reason) => vec![reason],
        }
    }

    /// The leg with that name, if there is one.
    pub fn of(word: &str, lines: Vec<String>) -> Option<Self> {
        Some(match word {
            "proved" => Self::Proved,
            "failed" => Self::Failed(lines),
            "irreversible" => Self::Irreversible(lines),
            "not-proved" => Self::Unproved(lines.join("; ")),
            _ => return None,
        })
    }
}
