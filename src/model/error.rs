//! The one error type: what went wrong, where, why, and what to do next.

use std::fmt;

use super::Span;

/// What an error means for the caller; each class is one exit code of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Something failed (exit 1).
    Failed,
    /// A hazard or an approval is missing, or a difference is unverified (exit 3).
    Refused,
    /// The database or the plan file is not what the plan was made for (exit 4).
    Stale,
    /// A lock could not be acquired; trying again may help (exit 5).
    Busy,
    /// Somebody stopped it: Ctrl-C or SIGTERM (exit 130).
    Interrupted,
    /// The command line is wrong (exit 64).
    Usage,
    /// The configuration or a schema file is wrong (exit 78).
    Config,
}

impl Class {
    /// The process exit code of this class.
    pub const fn exit_code(self) -> u8 {
        match self {
            Class::Failed => 1,
            Class::Refused => 3,
            Class::Stale => 4,
            Class::Busy => 5,
            Class::Interrupted => 130,
            Class::Usage => 64,
            Class::Config => 78,
        }
    }
}

/// An error with its class, its causes, its place and its remedy.
#[derive(Debug, Clone)]
pub struct Error {
    /// Decides the exit code.
    pub class: Class,
    /// One sentence: what went wrong.
    pub message: String,
    /// Where: a file and line, an object, a statement. Each entry is shown on a line of its own.
    pub details: Vec<String>,
    /// The next thing to try.
    pub remedy: Option<String>,
    /// The server's SQLSTATE where the server reported the error.
    pub sqlstate: Option<Box<str>>,
    /// What is wrong in the schema files, each with its place; code that has the files shows these instead of the message.
    pub in_files: Option<Box<InFiles>>,
}

/// All that is wrong in schema files.
#[derive(Debug, Clone)]
pub struct InFiles(pub Vec<Wrong>);

/// A mistake in a schema file that only shows when it is compared with a database.
#[derive(Debug, Clone)]
pub struct Wrong {
    /// Where it is written.
    pub span: Span,
    /// One sentence: what is wrong.
    pub message: String,
    /// What stands under the marked source.
    pub label: String,
    /// What to do.
    pub help: String,
}

impl Error {
    /// An error of any class.
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), details: Vec::new(), remedy: None, sqlstate: None, in_files: None }
    }

    /// A plain failure (exit 1).
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Class::Failed, message)
    }

    /// A refusal (exit 3).
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(Class::Refused, message)
    }

    /// Staleness (exit 4).
    pub fn stale(message: impl Into<String>) -> Self {
        Self::new(Class::Stale, message)
    }

    /// A wrong configuration or schema file (exit 78).
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(Class::Config, message)
    }

    /// Adds a line that says where or why.
    #[must_use]
    pub fn detail(mut self, line: impl Into<String>) -> Self {
        self.details.push(line.into());
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn remedy(mut self, text: impl Into<String>) -> Self {
        self.remedy = Some(text.into());
        self
    }

    /// Puts a command in the place of `SAME_COMMAND`, for callers that know which command resumes and goes no further.
    #[must_use]
    pub fn naming(mut self, command: &str) -> Self {
        for text in self.details.iter_mut().chain(&mut self.remedy) {
            if text.contains(SAME_COMMAND) {
                *text = text.replace(SAME_COMMAND, command);
            }
        }
        self
    }

    /// Keeps the server's SQLSTATE.
    #[must_use]
    pub fn sqlstate(mut self, code: impl Into<Box<str>>) -> Self {
        self.sqlstate = Some(code.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for line in &self.details {
            write!(f, "\n  {line}")?;
        }
        if let Some(remedy) = &self.remedy {
            write!(f, "\n  help: {remedy}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// How a remedy refers to the command that failed, if it does not know which one that was.
pub const SAME_COMMAND: &str = "the same command again";

/// The result of everything that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;
