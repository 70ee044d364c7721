//! Explains why a server's certificate was refused.

use std::fmt;
use std::sync::Arc;

use rustls::{CertificateError, OtherError};

use crate::model::in_line;

/// Why a certificate was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No trusted authority signed it.
    UnknownAuthority { subject: String, issuer: String },
    /// It is for other names.
    OtherHost { host: String, names: Vec<String> },
    /// It was valid until then.
    Expired { since: String },
    /// It will be valid from then on.
    NotYet { from: String },
    /// Its authority has taken it back.
    Revoked,
    /// Anything else.
    Unfit { why: String },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownAuthority { issuer, .. } => write!(f, "is signed by {issuer}, which is not trusted"),
            Self::OtherHost { host, names } => write!(f, "is for {}, not for {host}", names.join(", ")),
            Self::Expired { since } => write!(f, "expired on {since}"),
            Self::NotYet { from } => write!(f, "is not valid before {from}"),
            Self::Revoked => f.write_str("was revoked"),
            Self::Unfit { why } => write!(f, "cannot be trusted: {why}"),
        }
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    /// Anything else, said of the certificate: “is …”, “has …”.
    pub(super) fn unfit(why: impl fmt::Display) -> Self {
        Self::Unfit { why: format!("it {why}") }
    }

    /// With names made safe to display: whoever made the certificate chose them.
    fn harmless(self) -> Self {
        match self {
            Self::UnknownAuthority { subject, issuer } => {
                Self::UnknownAuthority { subject: harmless(&subject), issuer: harmless(&issuer) }
            }
            Self::OtherHost { host, mut names } => {
                let more = names.len().saturating_sub(MOST_NAMES);
                names.truncate(MOST_NAMES);
                let mut names: Vec<String> = names.iter().map(|name| harmless(name)).collect();
                names.extend((more > 0).then(|| format!("{more} more")));
                Self::OtherHost { host, names }
            }
            Self::Unfit { why } => Self::Unfit { why: harmless(&why) },
            plain => plain,
        }
    }

    /// It is malformed.
    pub(super) fn unreadable() -> Self {
        Self::unfit("is not a certificate that can be read")
    }
}

impl From<Refusal> for rustls::Error {
    fn from(refusal: Refusal) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refusal.harmless()))))
    }
}

/// The refusal inside of an error of `rustls`.
pub(super) fn refusal(error: &rustls::Error) -> Option<&Refusal> {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => inner.downcast_ref(),
        _ => None,
    }
}

/// How many names of a certificate an error shows, and how long each of them may be.
const MOST_NAMES: usize = 10;
const LONGEST: usize = 300;

/// A text of somebody else's that stays in its line and within bounds.
pub(super) fn harmless(text: &str) -> String {
    let cut: String = text.chars().take(LONGEST).collect();
    let more = if text.chars().nth(LONGEST).is_some() { "…" } else { "" };
    format!("{}{more}", in_line(&cut))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_as_what_they_are() {
        let shown = harmless("CN=dö\u{1b}[2J\u{202e}x\n");
        assert!(shown.starts_with("CN=dö") && shown.contains("<U+202E>"), "{shown}");
        assert!(!shown.contains(['\u{1b}', '\u{202e}', '\n']), "{shown}");
        assert_eq!(harmless(&"x".repeat(1000)).chars().count(), LONGEST + 1);
    }
}
