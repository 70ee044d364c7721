//! Statements that rooms make: their SQL, their locks, and how they relate to transactions.

use crate::model::{ObjectId, Text};

/// One SQL statement and how it has to be run.
#[derive(Debug, Clone)]
pub struct Statement {
    /// Without a final semicolon.
    pub sql: String,
    /// The strongest lock on something that existed before.
    pub lock: Option<(LockMode, ObjectId)>,
    /// Locks on other objects.
    pub also: Vec<(LockMode, ObjectId)>,
    /// How it relates to transactions.
    pub mode: Mode,
    /// The column that it fills in existing rows, with a value that only a person can supply. By itself, it changes nothing.
    pub fill: Option<ObjectId>,
    /// It reads whole tables under locks that let others write: nothing that blocks them shares its transaction.
    pub scans: bool,
    /// The environment variables whose values it takes from settings of the session (`foreign_options::setting`).
    pub secrets: Vec<Text>,
}

/// How a statement relates to transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// In any transaction.
    Normal,
    /// In a transaction that has to be committed before the next step (`ALTER TYPE … ADD VALUE`).
    CommitAfter,
    /// Outside of transactions (`CREATE INDEX CONCURRENTLY`).
    Alone,
}

impl Statement {
    /// An ordinary statement without a lock worth showing.
    pub fn new(sql: impl Into<String>) -> Self {
        Self {
            sql: sql.into(),
            lock: None,
            also: Vec::new(),
            mode: Mode::Normal,
            fill: None,
            scans: false,
            secrets: Vec::new(),
        }
    }

    /// Sets which lock it takes, and on what.
    #[must_use]
    pub fn locks(mut self, mode: LockMode, on: &ObjectId) -> Self {
        self.lock = Some((mode, on.clone()));
        self
    }

    /// Marks that it fills a column.
    #[must_use]
    pub fn fills(mut self, column: &ObjectId) -> Self {
        self.fill = Some(column.clone());
        self
    }

    /// Sets which lock it takes on something else as well.
    #[must_use]
    pub fn also_locks(mut self, mode: LockMode, on: &ObjectId) -> Self {
        self.also.push((mode, on.clone()));
        self
    }

    /// Marks that it reads a whole table while others write.
    #[must_use]
    pub fn scans(mut self) -> Self {
        self.scans = true;
        self
    }

    /// Sets how it relates to transactions.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }
}

/// Table-level lock modes (PostgreSQL documentation, 13.3.1), weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LockMode {
    AccessShare,
    RowShare,
    RowExclusive,
    ShareUpdateExclusive,
    Share,
    ShareRowExclusive,
    Exclusive,
    AccessExclusive,
}

impl LockMode {
    /// All modes, weakest first.
    pub const ALL: [LockMode; 8] = [
        Self::AccessShare,
        Self::RowShare,
        Self::RowExclusive,
        Self::ShareUpdateExclusive,
        Self::Share,
        Self::ShareRowExclusive,
        Self::Exclusive,
        Self::AccessExclusive,
    ];

    /// PostgreSQL's words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::AccessShare => "ACCESS SHARE",
            Self::RowShare => "ROW SHARE",
            Self::RowExclusive => "ROW EXCLUSIVE",
            Self::ShareUpdateExclusive => "SHARE UPDATE EXCLUSIVE",
            Self::Share => "SHARE",
            Self::ShareRowExclusive => "SHARE ROW EXCLUSIVE",
            Self::Exclusive => "EXCLUSIVE",
            Self::AccessExclusive => "ACCESS EXCLUSIVE",
        }
    }
}
