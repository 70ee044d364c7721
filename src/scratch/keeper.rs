//! The superuser of a throwaway server, and who else may connect to it.

use std::fs::File;
use std::io::Read;

use crate::model::{Error, Result};

/// Who may connect to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Everybody who reaches its socket, as the superuser `postgres` too.
    Open,
    /// The superuser has a random name and a password; others have no privileges on the machine.
    Closed,
}

impl Access {
    /// The word in the cache.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

/// The superuser that a cluster was made with.
#[derive(Clone)]
pub(super) struct Keeper {
    pub name: String,
    /// `None`: no password is requested.
    pub password: Option<String>,
}

impl Keeper {
    /// Of a new cluster.
    ///
    /// # Errors
    /// Where the system has no random numbers.
    pub(super) fn new(access: Access) -> Result<Self> {
        Ok(match access {
            Access::Open => Self { name: "postgres".to_owned(), password: None },
            Access::Closed => Self { name: random_name("keeper")?, password: Some(random()?) },
        })
    }

    /// The server's rules for connections, if they are not those of the cluster. Others need no password: whoever runs there as one
    /// of them gains nothing by connecting as another.
    pub(super) fn rules(&self) -> Option<String> {
        self.password.as_ref().map(|_| format!("local all {} scram-sha-256\nlocal all all trust\n", self.name))
    }
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("name", &self.name).finish_non_exhaustive()
    }
}

/// An unpredictable name.
pub(super) fn random_name(purpose: &str) -> Result<String> {
    Ok(format!("{purpose}_{}", random()?))
}

/// 32 random hexadecimal digits.
fn random() -> Result<String> {
    let mut bytes = [0_u8; 16];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|error| Error::failed("the system has no random numbers").detail(error.to_string()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
