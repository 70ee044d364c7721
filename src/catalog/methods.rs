//! `require_auth`: the authentication methods that a server may request.

use crate::model::{Error, Result};

/// A way of logging in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// The password in clear.
    Password,
    /// Its MD5 hash.
    Md5,
    /// Kerberos.
    Gss,
    /// Windows.
    Sspi,
    /// SCRAM-SHA-256.
    Scram,
    /// A token.
    Oauth,
}

impl Method {
    const ALL: [Self; 6] = [Self::Password, Self::Md5, Self::Gss, Self::Sspi, Self::Scram, Self::Oauth];

    /// Its name in `require_auth`.
    fn word(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Md5 => "md5",
            Self::Gss => "gss",
            Self::Sspi => "sspi",
            Self::Scram => "scram-sha-256",
            Self::Oauth => "oauth",
        }
    }

    /// What it is, for people.
    pub(super) fn shown(self) -> &'static str {
        match self {
            Self::Password => "the password in clear",
            Self::Md5 => "an MD5 hash of the password",
            Self::Gss => "GSSAPI",
            Self::Sspi => "SSPI",
            Self::Scram => "SCRAM-SHA-256",
            Self::Oauth => "OAuth",
        }
    }
}

/// The ways that are left. By default all of them, and none is as good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Methods {
    allowed: Vec<Method>,
    /// True if a server must not let us in without any.
    demands: bool,
    /// What was written, for errors.
    said: String,
}

impl Default for Methods {
    fn default() -> Self {
        Self { allowed: Method::ALL.to_vec(), demands: false, said: String::new() }
    }
}

impl Methods {
    /// Reads `require_auth`, as libpq does: methods, or methods with a `!` before each.
    ///
    /// # Errors
    /// `Config` for what libpq refuses: unknown methods, some with and some without `!`, one that is there twice.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut parts = text.split(',').peekable();
        let negative = parts.peek().is_some_and(|part| part.starts_with('!'));
        let allowed = if negative { Method::ALL.to_vec() } else { Vec::new() };
        let mut out = Self { allowed, demands: !negative, said: text.to_owned() };
        for part in parts {
            let word = part.strip_prefix('!').unwrap_or(part);
            if part.starts_with('!') != negative {
                return Err(wrong("either all of its methods have a “!” before them, or none"));
            }
            if word == "none" {
                if out.demands == negative {
                    return Err(wrong("it names a method twice"));
                }
                out.demands = negative;
                continue;
            }
            let Some(method) = Method::ALL.into_iter().find(|method| method.word() == word) else {
                return Err(wrong("it names a method that does not exist"));
            };
            if out.allowed.contains(&method) != negative {
                return Err(wrong("it names a method twice"));
            }
            if negative {
                out.allowed.retain(|one| *one != method);
            } else {
                out.allowed.push(method);
            }
        }
        Ok(out)
    }

    /// True if a server may ask for that.
    pub(super) fn allows(&self, method: Method) -> bool {
        self.allowed.contains(&method)
    }

    /// True if a server must ask for something.
    pub(super) fn demands(&self) -> bool {
        self.demands
    }

    /// What was written.
    pub(super) fn said(&self) -> &str {
        &self.said
    }
}

fn wrong(why: &str) -> Error {
    let words = Method::ALL.map(Method::word).join(", ");
    Error::config(format!("the connection parameter require_auth is not valid: {why}"))
        .remedy(format!("separate methods by commas: {words}, none; with a “!” before each, they are ruled out"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_by_libpq() {
        let allowed = |text: &str| {
            let methods = Methods::parse(text).expect("is valid");
            let words: Vec<&str> = methods.allowed.iter().map(|method| method.word()).collect();
            format!("{}{}", if methods.demands { "" } else { "none " }, words.join(" "))
        };
        assert_eq!(allowed("scram-sha-256"), "scram-sha-256");
        assert_eq!(allowed("none"), "none ");
        assert_eq!(allowed("none,md5"), "none md5");
        assert_eq!(allowed("!password,!md5"), "none gss sspi scram-sha-256 oauth");
        assert_eq!(allowed("!none"), "password md5 gss sspi scram-sha-256 oauth");
        assert_eq!(allowed("!none,!password"), "md5 gss sspi scram-sha-256 oauth");
        for text in
            ["md5,!password", "!md5,password", "md5,md5", "none,none", "!none,!none", "scram", "md5, gss", "md5,"]
        {
            assert!(Methods::parse(text).is_err(), "{text}");
        }
    }
}
