//! What a certificate may be used for, by OpenSSL's rules: signing other certificates, or identifying a server.

use x509_cert::der::Decode;
use x509_cert::der::asn1::{BitString, ObjectIdentifier};
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, NameConstraints, SubjectKeyIdentifier,
};
use x509_cert::{Certificate, Version};

const NAME_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.30");

/// Netscape's kinds of certificates. OpenSSL still looks at them.
const NETSCAPE_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.113730.1.1");
const NETSCAPE_SERVER: u8 = 0x40;

/// `serverAuth`, and the two “server gated” forms of old.
const SERVERS: &[&str] = &["1.3.6.1.5.5.7.3.1", "1.3.6.1.4.1.311.10.3.3", "2.16.840.1.113730.4.1"];

/// The extensions that may be critical: those that OpenSSL reads.
const READ: &[&str] = &[
    "2.5.29.15",
    "2.5.29.17",
    "2.5.29.19",
    "2.5.29.30",
    "2.5.29.31",
    "2.5.29.32",
    "2.5.29.33",
    "2.5.29.36",
    "2.5.29.37",
    "2.5.29.54",
    "1.3.6.1.5.5.7.1.7",
    "1.3.6.1.5.5.7.1.8",
    "2.16.840.1.113730.1.1",
];

/// Why a certificate cannot be used for something, to be read after “it”.
pub(super) type Unfit = String;

/// Refuses a certificate that is not a root, or may not sign those of servers.
pub(super) fn is_root(root: &Certificate) -> Result<(), Unfit> {
    if !signs_itself(root) {
        return Err(format!("is not a root: its own authority “{}” is needed as well", root.tbs_certificate.issuer));
    }
    let tbs = &root.tbs_certificate;
    let usage = key_usage(root)?;
    may_sign(usage.as_ref())?;
    let named = match tbs.get::<BasicConstraints>() {
        Ok(Some((_, constraints))) => constraints.ca,
        // Without the extension: those of old, and those that say so in the other place.
        Ok(None) => tbs.version == Version::V1 || usage.is_some(),
        Err(_) => return Err("has basic constraints that cannot be read".to_owned()),
    };
    if !named {
        return Err("is not an authority (basic constraints)".to_owned());
    }
    is_readable(root)?;
    for_servers(root)
}

/// Refuses a certificate between root and server that may not sign; `rustls` has looked at the rest of it.
pub(super) fn is_between(certificate: &Certificate) -> Result<(), Unfit> {
    may_sign(key_usage(certificate)?.as_ref())?;
    is_readable(certificate)
}

/// Refuses a server's certificate that is for other purposes.
pub(super) fn is_server(certificate: &Certificate) -> Result<(), Unfit> {
    is_readable(certificate)?;
    for_servers(certificate)?;
    if key_usage(certificate)?
        .is_some_and(|usage| !(usage.digital_signature() || usage.key_encipherment() || usage.key_agreement()))
    {
        return Err("may not be used for TLS (key usage)".to_owned());
    }
    if let Some(value) = value(certificate, NETSCAPE_TYPE) {
        let kinds = BitString::from_der(value).ok();
        let first = kinds.as_ref().and_then(|kinds| kinds.raw_bytes().first().copied());
        if first.unwrap_or(0) & NETSCAPE_SERVER == 0 {
            return Err("is not made for a server (Netscape's type)".to_owned());
        }
    }
    Ok(())
}

/// True if it may sign lists of revoked certificates.
pub(super) fn signs_lists(certificate: &Certificate) -> bool {
    key_usage(certificate).is_ok_and(|usage| usage.is_none_or(|usage| usage.crl_sign()))
}

/// True if it is issued by itself, as far as names and key identifiers tell.
pub(super) fn signs_itself(certificate: &Certificate) -> bool {
    let tbs = &certificate.tbs_certificate;
    tbs.subject == tbs.issuer && may_issue(certificate, certificate)
}

/// True if the certificate, by the key identifiers in both, may be issued by that authority. Without an identifier, nothing can differ.
pub(super) fn may_issue(authority: &Certificate, certificate: &Certificate) -> bool {
    let own = authority.tbs_certificate.get::<SubjectKeyIdentifier>().ok().flatten().map(|(_, own)| own.0);
    let issuer = certificate.tbs_certificate.get::<AuthorityKeyIdentifier>().ok().flatten();
    own.zip(issuer.and_then(|(_, issuer)| issuer.key_identifier)).is_none_or(|(own, issuer)| own == issuer)
}

/// How many authorities may appear below it.
pub(super) fn depth(certificate: &Certificate) -> Option<usize> {
    let constraints = certificate.tbs_certificate.get::<BasicConstraints>().ok().flatten();
    constraints.and_then(|(_, constraints)| constraints.path_len_constraint).map(usize::from)
}

/// True if it limits the names of those below it.
pub(super) fn limits_names(certificate: &Certificate) -> bool {
    value(certificate, NAME_CONSTRAINTS).is_some()
}

/// The limits that it sets to the names of those below it.
pub(super) fn limits(certificate: &Certificate) -> Result<Option<NameConstraints>, Unfit> {
    let read = certificate.tbs_certificate.get::<NameConstraints>();
    read.map(|limits| limits.map(|(_, limits)| limits))
        .map_err(|_| "has name constraints that cannot be read".to_owned())
}

fn may_sign(usage: Option<&KeyUsage>) -> Result<(), Unfit> {
    if usage.is_some_and(|usage| !usage.key_cert_sign()) {
        return Err("may not sign certificates (key usage)".to_owned());
    }
    Ok(())
}

fn for_servers(certificate: &Certificate) -> Result<(), Unfit> {
    match certificate.tbs_certificate.get::<ExtendedKeyUsage>() {
        Ok(None) => Ok(()),
        Ok(Some((_, usage))) if usage.0.iter().any(|one| SERVERS.contains(&one.to_string().as_str())) => Ok(()),
        _ => Err("is not made for servers (extended key usage)".to_owned()),
    }
}

fn is_readable(certificate: &Certificate) -> Result<(), Unfit> {
    let extensions = certificate.tbs_certificate.extensions.as_deref().unwrap_or_default();
    match extensions.iter().find(|one| one.critical && !READ.contains(&one.extn_id.to_string().as_str())) {
        Some(one) => Err(format!("has an unknown critical extension ({})", one.extn_id)),
        None => Ok(()),
    }
}

fn key_usage(certificate: &Certificate) -> Result<Option<KeyUsage>, Unfit> {
    let read = certificate.tbs_certificate.get::<KeyUsage>();
    read.map(|usage| usage.map(|(_, usage)| usage)).map_err(|_| "has a key usage that cannot be read".to_owned())
}

fn value(certificate: &Certificate, kind: ObjectIdentifier) -> Option<&[u8]> {
    let extensions = certificate.tbs_certificate.extensions.as_deref().unwrap_or_default();
    extensions.iter().find(|one| one.extn_id == kind).map(|one| one.extn_value.as_bytes())
}
