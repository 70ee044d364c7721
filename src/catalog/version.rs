//! Server versions.

/// The newest major version that all of this was tested with.
pub const NEWEST: u32 = 18;

/// `server_version_num`: 150018 is 15.18.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u32);

impl Version {
    /// The first release of a major version.
    pub const fn major_release(major: u32) -> Self {
        Self(major * 10_000)
    }

    /// The major version.
    pub const fn major(self) -> u32 {
        self.0 / 10_000
    }

    /// True for servers that are not tested yet.
    pub const fn is_untested(self) -> bool {
        self.major() > NEWEST
    }

    /// True from that major version on.
    pub const fn at_least(self, major: u32) -> bool {
        self.major() >= major
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major(), self.0 % 10_000)
    }
}
