//! Whether a server's certificate will do, by libpq's rules: who signed it, and for which name it is.
//!
//! Chains are checked by `rustls`. What it has no notion of, and libpq accepts, is added here: a self-signed certificate that
//! is itself the trusted one, certificates of X.509 version 1 (which the recipe in PostgreSQL's manual makes), names in the
//! common name.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, OtherError, SignatureScheme};
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, SubjectAltName};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::{Certificate, Version};

/// The attribute `CN` of a name.
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

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
            Self::UnknownAuthority { issuer, .. } => write!(f, "signed by {issuer}, which is not trusted"),
            Self::OtherHost { host, names } => write!(f, "for {}, not for {host}", names.join(", ")),
            Self::Expired { since } => write!(f, "expired since {since}"),
            Self::NotYet { from } => write!(f, "not valid before {from}"),
            Self::Revoked => f.write_str("revoked"),
            Self::Unfit { why } => f.write_str(why),
        }
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for rustls::Error {
    fn from(refusal: Refusal) -> Self {
        Self::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(refusal))))
    }
}

/// The refusal inside of an error of `rustls`.
pub(super) fn refusal(error: &rustls::Error) -> Option<&Refusal> {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => inner.downcast_ref(),
        _ => None,
    }
}

/// The trusted authorities.
#[derive(Debug)]
pub(super) struct Authorities {
    /// Checks chains, and lists of revoked certificates.
    pub(super) chains: Arc<WebPkiServerVerifier>,
    /// The certificates of the file, if they come from one.
    pub(super) known: Vec<CertificateDer<'static>>,
    /// True if there are lists of revoked certificates.
    pub(super) lists: bool,
}

/// Decides on a server's certificate.
#[derive(Debug)]
pub(super) struct Verifier {
    pub(super) algorithms: WebPkiSupportedAlgorithms,
    /// `None`: anybody will do.
    pub(super) authorities: Option<Authorities>,
    /// True if the host's name must be in the certificate.
    pub(super) names: bool,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(authorities) = &self.authorities else { return Ok(ServerCertVerified::assertion()) };
        let unreadable = || Refusal::Unfit { why: "not a certificate that can be read".to_owned() };
        let certificate = Certificate::from_der(end_entity).map_err(|_| unreadable())?;
        // It checks the chain first, so a wrong name means that the chain is good.
        match authorities.chains.verify_server_cert(end_entity, intermediates, server_name, &[], now) {
            Ok(_) => {}
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => {}
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(_)))
                if !authorities.lists && self.trusted_directly(authorities, end_entity, &certificate) =>
            {
                in_time(&certificate, now)?;
            }
            Err(error) => return Err(explain(error, &certificate)),
        }
        if self.names {
            fits(&certificate, &server_name.to_str())?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match old(cert) {
            Some(certificate) => self.signed_handshake(message, &certificate, dss, usize::MAX),
            None => verify_tls12_signature(message, cert, dss, &self.algorithms),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match old(cert) {
            Some(certificate) => self.signed_handshake(message, &certificate, dss, 1),
            None => verify_tls13_signature(message, cert, dss, &self.algorithms),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl Verifier {
    /// True if the certificate is itself among the trusted ones, or is an old one that a trusted authority signed directly.
    fn trusted_directly(&self, authorities: &Authorities, der: &CertificateDer<'_>, certificate: &Certificate) -> bool {
        if authorities.known.iter().any(|known| known.as_ref() == der.as_ref()) {
            return true;
        }
        let tbs = &certificate.tbs_certificate;
        let Ok(message) = tbs.to_der() else { return false };
        tbs.version == Version::V1
            && authorities.known.iter().filter_map(|known| Certificate::from_der(known).ok()).any(|authority| {
                authority.tbs_certificate.subject == tbs.issuer
                    && may_sign(&authority)
                    && self.signed(
                        &authority.tbs_certificate.subject_public_key_info,
                        &certificate.signature_algorithm,
                        &message,
                        certificate.signature.raw_bytes(),
                    )
            })
    }

    fn signed(
        &self,
        key: &SubjectPublicKeyInfoOwned,
        algorithm: &AlgorithmIdentifierOwned,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        let (Some(key_id), Some(id)) = (contents(&key.algorithm), contents(algorithm)) else { return false };
        self.algorithms.all.iter().any(|one| {
            one.signature_alg_id().as_ref() == id
                && one.public_key_alg_id().as_ref() == key_id
                && one.verify_signature(key.subject_public_key.raw_bytes(), message, signature).is_ok()
        })
    }

    /// Checks the handshake's signature with the key of a certificate of version 1, which `rustls` does not read.
    fn signed_handshake(
        &self,
        message: &[u8],
        certificate: &Certificate,
        dss: &DigitallySignedStruct,
        most: usize,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let key = &certificate.tbs_certificate.subject_public_key_info;
        let candidates = self.algorithms.mapping.iter().find(|(scheme, _)| *scheme == dss.scheme).map(|(_, all)| *all);
        let valid = contents(&key.algorithm).is_some_and(|id| {
            candidates.unwrap_or_default().iter().take(most).any(|one| {
                one.public_key_alg_id().as_ref() == id
                    && one.verify_signature(key.subject_public_key.raw_bytes(), message, dss.signature()).is_ok()
            })
        });
        if valid {
            Ok(HandshakeSignatureValid::assertion())
        } else {
            Err(rustls::Error::InvalidCertificate(CertificateError::BadSignature))
        }
    }
}

/// A certificate of X.509 version 1.
fn old(der: &CertificateDer<'_>) -> Option<Certificate> {
    Certificate::from_der(der).ok().filter(|certificate| certificate.tbs_certificate.version == Version::V1)
}

/// An algorithm's identifier as `rustls` has it: without the frame.
fn contents(algorithm: &AlgorithmIdentifierOwned) -> Option<Vec<u8>> {
    let der = algorithm.to_der().ok()?;
    // Identifiers are short: one byte of length.
    der.get(1).filter(|length| **length < 0x80)?;
    der.get(2..).map(<[u8]>::to_vec)
}

fn may_sign(authority: &Certificate) -> bool {
    let tbs = &authority.tbs_certificate;
    let signs = tbs.get::<KeyUsage>().is_ok_and(|usage| usage.is_none_or(|(_, usage)| usage.key_cert_sign()));
    let is_authority = match tbs.get::<BasicConstraints>() {
        Ok(Some((_, constraints))) => constraints.ca,
        Ok(None) => tbs.version == Version::V1 && tbs.issuer == tbs.subject,
        Err(_) => false,
    };
    signs && is_authority
}

fn in_time(certificate: &Certificate, now: UnixTime) -> Result<(), Refusal> {
    let validity = &certificate.tbs_certificate.validity;
    if now.as_secs() > validity.not_after.to_unix_duration().as_secs() {
        return Err(Refusal::Expired { since: validity.not_after.to_date_time().to_string() });
    }
    if now.as_secs() < validity.not_before.to_unix_duration().as_secs() {
        return Err(Refusal::NotYet { from: validity.not_before.to_date_time().to_string() });
    }
    Ok(())
}

fn explain(error: rustls::Error, certificate: &Certificate) -> rustls::Error {
    let rustls::Error::InvalidCertificate(cause) = error else { return error };
    let tbs = &certificate.tbs_certificate;
    match cause {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            Refusal::UnknownAuthority { subject: tbs.subject.to_string(), issuer: tbs.issuer.to_string() }
        }
        // `rustls` refuses these for their form alone; that they are not among the trusted ones was found out before.
        CertificateError::Other(_) if tbs.subject == tbs.issuer || tbs.version == Version::V1 => {
            Refusal::UnknownAuthority { subject: tbs.subject.to_string(), issuer: tbs.issuer.to_string() }
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            Refusal::Expired { since: tbs.validity.not_after.to_date_time().to_string() }
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Refusal::NotYet { from: tbs.validity.not_before.to_date_time().to_string() }
        }
        CertificateError::Revoked => Refusal::Revoked,
        CertificateError::UnknownRevocationStatus => {
            Refusal::Unfit { why: "sslcrl has no list of its authority".to_owned() }
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            Refusal::Unfit { why: "not made for a server (extended key usage)".to_owned() }
        }
        CertificateError::Other(OtherError(why)) => Refusal::Unfit { why: why.to_string() },
        other => Refusal::Unfit { why: other.to_string() },
    }
    .into()
}

/// libpq's rule: alternative names of the host's kind, else the common name; `*` stands for one first label.
fn fits(certificate: &Certificate, host: &str) -> Result<(), Refusal> {
    let address: Option<IpAddr> = host.parse().ok();
    let tbs = &certificate.tbs_certificate;
    let mut names = Vec::new();
    let mut same_kind = false;
    if let Ok(Some((_, SubjectAltName(alternatives)))) = tbs.get::<SubjectAltName>() {
        for alternative in alternatives {
            match alternative {
                GeneralName::DnsName(name) => {
                    same_kind |= address.is_none();
                    names.push(name.to_string());
                }
                GeneralName::IpAddress(bytes) => {
                    same_kind |= address.is_some();
                    let octets = bytes.as_bytes();
                    let four = <[u8; 4]>::try_from(octets).map(IpAddr::from);
                    let own = four.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from));
                    names.extend(own.map(|own| own.to_string()));
                    if own.is_ok() && own.ok() == address {
                        return Ok(());
                    }
                }
                _ => {}
            }
        }
    }
    if !same_kind {
        let common = tbs.subject.0.iter().flat_map(|part| part.0.iter()).find(|part| part.oid == COMMON_NAME);
        names.extend(common.and_then(|part| std::str::from_utf8(part.value.value()).ok()).map(str::to_owned));
    }
    if names.iter().any(|name| matches(name, host)) {
        return Ok(());
    }
    names.sort();
    names.dedup();
    Err(Refusal::OtherHost { host: host.to_owned(), names })
}

fn matches(name: &str, host: &str) -> bool {
    let (name, host) = (name.to_ascii_lowercase(), host.to_ascii_lowercase());
    match name.strip_prefix('*') {
        Some(rest) if rest.starts_with('.') => {
            host.split_once('.').is_some_and(|(first, _)| !first.is_empty() && host.get(first.len()..) == Some(rest))
        }
        _ => name == host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_in_libpq() {
        for (name, host, same) in [
            ("db.example", "DB.example", true),
            ("*.example", "db.example", true),
            ("*.example", "a.db.example", false),
            ("*.example", "example", false),
            ("*", "db", false),
            ("d*.example", "db.example", false),
            ("db.example", "db.example.org", false),
        ] {
            assert_eq!(matches(name, host), same, "{name} {host}");
        }
    }
}
