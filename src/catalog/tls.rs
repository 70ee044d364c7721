//! TLS as libpq does it: what the parameters require, whom to trust, and which certificate to present. No file is read before it is needed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, SupportedProtocolVersion};

use crate::model::{Error, Result};

use super::authorities::Authorities;
use super::certificate::Verifier;
use super::identity::{Identity, Shows, certificates, unreadable};
use super::parameters::Parameters;
use super::place::{Place, invalid};
use super::revoked::Lists;
use super::signature;
use super::stream::Tls;

/// How much protection the connection must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// No TLS unless the server insists.
    Allow,
    /// TLS where the server offers it.
    Prefer,
    /// TLS, without checking who the server is.
    Require,
    /// TLS, with a certificate that a trusted authority signed.
    VerifyCa,
    /// TLS, with a trusted certificate for this very host.
    VerifyFull,
}

impl SslMode {
    /// Its name in a connection string.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Allow => "allow",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }

    pub(super) fn named(word: &str) -> Result<Self> {
        let modes = [Self::Disable, Self::Allow, Self::Prefer, Self::Require, Self::VerifyCa, Self::VerifyFull];
        match modes.into_iter().find(|mode| mode.word() == word) {
            Some(mode) => Ok(mode),
            // Drivers of Node's world call it so.
            None if word == "no-verify" => Ok(Self::Require),
            None => Err(invalid("sslmode", "disable, allow, prefer, require, verify-ca or verify-full")),
        }
    }

    fn verifies(self) -> bool {
        matches!(self, Self::VerifyCa | Self::VerifyFull)
    }
}

/// Where the trusted authorities are.
#[derive(Debug, Clone)]
enum Roots {
    /// The operating system's.
    System,
    /// A file; the flag says whether it was named explicitly.
    File(PathBuf, bool),
    /// Nowhere: there is no home directory.
    Nowhere,
}

/// What the connection parameters say about TLS.
pub(super) struct TlsSettings {
    mode: SslMode,
    direct: bool,
    sni: bool,
    oldest: u8,
    newest: u8,
    roots: Roots,
    revoked: Lists,
    identity: Identity,
    // Made once: reading the system's authorities takes a while, and a command opens several sessions.
    made: OnceLock<Result<ClientConfig>>,
}

impl TlsSettings {
    /// No TLS.
    pub(super) fn none() -> Self {
        Self {
            mode: SslMode::Disable,
            direct: false,
            sni: true,
            oldest: 2,
            newest: 3,
            roots: Roots::Nowhere,
            revoked: Lists::default(),
            identity: Identity::default(),
            made: OnceLock::new(),
        }
    }

    pub(super) fn from_parameters(found: &Parameters, home: Option<&str>) -> Result<Self> {
        let get = |key: &str| found.get(key).map(String::as_str);
        let usual = |name: &str| home.map(|home| Path::new(home).join(".postgresql").join(name));
        let system = get("sslrootcert") == Some("system");
        let mode = match get("sslmode") {
            Some(word) => SslMode::named(word)?,
            None if system => SslMode::VerifyFull,
            None => SslMode::Prefer,
        };
        // Anybody can get a certificate for some name from a public authority.
        if system && mode != SslMode::VerifyFull {
            let said = format!("sslmode={} is too weak for sslrootcert=system", mode.word());
            return Err(Error::config(said).remedy("use sslmode=verify-full, or leave sslmode out"));
        }
        let direct = match get("sslnegotiation") {
            None | Some("postgres") => false,
            Some("direct") => true,
            Some(_) => return Err(invalid("sslnegotiation", "postgres or direct")),
        };
        if direct && matches!(mode, SslMode::Disable | SslMode::Allow | SslMode::Prefer) {
            let said = format!("sslmode={} is too weak for sslnegotiation=direct", mode.word());
            return Err(Error::config(said).remedy("use sslmode=require, verify-ca or verify-full"));
        }
        let sni = match get("sslsni") {
            None | Some("1") => true,
            Some("0") => false,
            Some(_) => return Err(invalid("sslsni", "0 or 1")),
        };
        let version = |key: &str, open: u8| match get(key).map(str::to_ascii_lowercase).as_deref() {
            None => Ok(open),
            // Older ones are not spoken: as a lower bound they change nothing.
            Some("tlsv1" | "tlsv1.1") if key == "ssl_min_protocol_version" => Ok(2),
            Some("tlsv1.2") => Ok(2),
            Some("tlsv1.3") => Ok(3),
            Some(_) => Err(invalid(key, "TLSv1.2 or TLSv1.3")),
        };
        let (oldest, newest) = (version("ssl_min_protocol_version", 2)?, version("ssl_max_protocol_version", 3)?);
        if oldest > newest {
            return Err(Error::config("ssl_min_protocol_version is above ssl_max_protocol_version")
                .remedy("leave one of them out"));
        }
        let roots = match get("sslrootcert") {
            Some("system") => Roots::System,
            Some(file) => Roots::File(PathBuf::from(file), true),
            None => usual("root.crt").map_or(Roots::Nowhere, |file| Roots::File(file, false)),
        };
        let revoked = Lists::from_parameters(found, usual("root.crl"));
        let shows = Shows::named(get("sslcertmode"))?;
        if shows == Shows::Always && mode == SslMode::Disable {
            return Err(Error::config("sslmode=disable leaves no way to show a certificate (sslcertmode=require)")
                .remedy("leave one of them out"));
        }
        let identity = Identity {
            shows,
            certificate: get("sslcert").map(PathBuf::from).or_else(|| usual("postgresql.crt")),
            key: get("sslkey").map(PathBuf::from).or_else(|| usual("postgresql.key")),
            passphrase: get("sslpassword").map(str::to_owned),
        };
        let made = OnceLock::new();
        Ok(Self { mode, direct, sni, oldest, newest, roots, revoked, identity, made })
    }

    /// The protection asked for.
    pub(super) fn mode(&self) -> SslMode {
        self.mode
    }

    /// True if the handshake comes first, without asking.
    pub(super) fn direct(&self) -> bool {
        self.direct
    }

    /// Where the trusted authorities are, in words.
    pub(super) fn trusted(&self) -> String {
        match &self.roots {
            Roots::System => "those of this system".to_owned(),
            Roots::File(file, _) => format!("those in {}", file.display()),
            Roots::Nowhere => "none".to_owned(),
        }
    }

    /// The file in which a certificate of ours would be.
    pub(super) fn certificate(&self) -> Option<&Path> {
        self.identity.certificate.as_deref()
    }

    /// True if a server must ask for our certificate: `sslcertmode=require`.
    pub(super) fn must_ask(&self) -> bool {
        self.identity.shows == Shows::Always
    }

    /// Makes connections to a server use TLS.
    ///
    /// # Errors
    /// `Config` if a file is missing or malformed.
    pub(super) fn connector(&self, place: &Place) -> Result<Tls> {
        if self.mode == SslMode::VerifyFull && place.nameless {
            return Err(Error::config("sslmode=verify-full compares the host's name, and only hostaddr is given")
                .remedy("give the name as well: host=NAME"));
        }
        Ok(Tls::new(self.made.get_or_init(|| self.client()).as_ref().map_err(Clone::clone)?))
    }

    fn client(&self) -> Result<ClientConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions: Vec<&'static SupportedProtocolVersion> =
            [(2, &rustls::version::TLS12), (3, &rustls::version::TLS13)]
                .into_iter()
                .filter(|(number, _)| (self.oldest..=self.newest).contains(number))
                .map(|(_, version)| version)
                .collect();
        let keys = provider.key_provider;
        let verifier = Verifier {
            algorithms: signature::algorithms(),
            authorities: self.authorities()?,
            names: self.mode == SslMode::VerifyFull,
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .map_err(|error| Error::failed(format!("TLS cannot be set up: {error}")))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match self.identity.load(keys)? {
            Some(own) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own))),
            None => builder.with_no_client_auth(),
        };
        config.enable_sni = self.sni;
        config.resumption = rustls::client::Resumption::disabled();
        if self.direct {
            config.alpn_protocols = vec![b"postgresql".to_vec()];
        }
        Ok(config)
    }

    /// Whom to trust; `None` means anybody. As in libpq, a file of authorities that exists is heeded in every mode.
    fn authorities(&self) -> Result<Option<Authorities>> {
        let mut authorities = match &self.roots {
            Roots::System => {
                let found = Authorities::new(rustls_native_certs::load_native_certs().certs);
                if found.is_empty() {
                    return Err(Error::config("this system has no trusted authorities (sslrootcert=system)")
                        .remedy("install them (package ca-certificates), or name a file: sslrootcert=FILE"));
                }
                found
            }
            Roots::File(file, _) if file.exists() => {
                let found = Authorities::new(certificates(file, "sslrootcert")?);
                if found.is_empty() {
                    return Err(unreadable(file, "sslrootcert", &"its certificates are malformed"));
                }
                found
            }
            Roots::File(_, _) | Roots::Nowhere if !self.mode.verifies() => return Ok(None),
            Roots::File(file, named) => return Err(self.no_roots(Some((file, *named)))),
            Roots::Nowhere => return Err(self.no_roots(None)),
        };
        self.revoked.heed(&mut authorities)?;
        Ok(Some(authorities))
    }

    fn no_roots(&self, file: Option<(&Path, bool)>) -> Error {
        let mode = self.mode.word();
        let error = match file {
            Some((file, true)) => Error::config(format!("there is no file {} (sslrootcert)", file.display()))
                .detail(format!("sslmode={mode} takes from it which authorities to trust")),
            Some((file, false)) => {
                Error::config(format!("sslmode={mode} needs to know which authorities to trust, and none are given"))
                    .detail(format!("sslrootcert is not given, and there is no {}", file.display()))
            }
            None => {
                Error::config(format!("sslmode={mode} needs to know which authorities to trust, and none are given"))
                    .detail("sslrootcert is not given")
            }
        };
        error.remedy(
            "name the file with your server's authority: sslrootcert=FILE; or trust the public ones that this system knows: \
             sslrootcert=system",
        )
    }
}
