//! The digest of a server's certificate that binds a login to the TLS connection (`tls-server-end-point`, RFC 5929).
//!
//! There is always one. Without it, the driver would tell the server that it does not support channel binding, and the server would not
//! notice that a man in the middle had removed SCRAM-SHA-256-PLUS from its offer.

use sha2::digest::Digest;
use sha2::{Sha224, Sha256, Sha384, Sha512, Sha512_224, Sha512_256};
use sha3::{Sha3_224, Sha3_256, Sha3_384, Sha3_512};
use x509_cert::der::asn1::{Any, ObjectIdentifier};
use x509_cert::der::{Decode, Reader, SliceReader};
use x509_cert::spki::AlgorithmIdentifierOwned;

/// A hash function.
type Hash = fn(&[u8]) -> Vec<u8>;

fn hash<D: Digest>(data: &[u8]) -> Vec<u8> {
    D::digest(data).to_vec()
}

/// Signature algorithms and hash functions by their identifiers. MD5 and SHA-1 give way to SHA-256, as the RFC has it.
const HASHES: &[(&str, Hash)] = &[
    // Hash functions, as the parameters of RSA-PSS name them.
    ("1.2.840.113549.2.5", hash::<Sha256>),
    ("1.3.14.3.2.26", hash::<Sha256>),
    ("2.16.840.1.101.3.4.2.1", hash::<Sha256>),
    ("2.16.840.1.101.3.4.2.2", hash::<Sha384>),
    ("2.16.840.1.101.3.4.2.3", hash::<Sha512>),
    ("2.16.840.1.101.3.4.2.4", hash::<Sha224>),
    ("2.16.840.1.101.3.4.2.5", hash::<Sha512_224>),
    ("2.16.840.1.101.3.4.2.6", hash::<Sha512_256>),
    ("2.16.840.1.101.3.4.2.7", hash::<Sha3_224>),
    ("2.16.840.1.101.3.4.2.8", hash::<Sha3_256>),
    ("2.16.840.1.101.3.4.2.9", hash::<Sha3_384>),
    ("2.16.840.1.101.3.4.2.10", hash::<Sha3_512>),
    // RSA (PKCS #1).
    ("1.2.840.113549.1.1.4", hash::<Sha256>),
    ("1.2.840.113549.1.1.5", hash::<Sha256>),
    ("1.3.14.3.2.29", hash::<Sha256>),
    ("1.2.840.113549.1.1.11", hash::<Sha256>),
    ("1.2.840.113549.1.1.12", hash::<Sha384>),
    ("1.2.840.113549.1.1.13", hash::<Sha512>),
    ("1.2.840.113549.1.1.14", hash::<Sha224>),
    ("1.2.840.113549.1.1.15", hash::<Sha512_224>),
    ("1.2.840.113549.1.1.16", hash::<Sha512_256>),
    ("2.16.840.1.101.3.4.3.13", hash::<Sha3_224>),
    ("2.16.840.1.101.3.4.3.14", hash::<Sha3_256>),
    ("2.16.840.1.101.3.4.3.15", hash::<Sha3_384>),
    ("2.16.840.1.101.3.4.3.16", hash::<Sha3_512>),
    // ECDSA.
    ("1.2.840.10045.4.1", hash::<Sha256>),
    ("1.2.840.10045.4.3.1", hash::<Sha224>),
    ("1.2.840.10045.4.3.2", hash::<Sha256>),
    ("1.2.840.10045.4.3.3", hash::<Sha384>),
    ("1.2.840.10045.4.3.4", hash::<Sha512>),
    ("2.16.840.1.101.3.4.3.9", hash::<Sha3_224>),
    ("2.16.840.1.101.3.4.3.10", hash::<Sha3_256>),
    ("2.16.840.1.101.3.4.3.11", hash::<Sha3_384>),
    ("2.16.840.1.101.3.4.3.12", hash::<Sha3_512>),
    // DSA.
    ("1.2.840.10040.4.3", hash::<Sha256>),
    ("2.16.840.1.101.3.4.3.1", hash::<Sha224>),
    ("2.16.840.1.101.3.4.3.2", hash::<Sha256>),
    ("2.16.840.1.101.3.4.3.3", hash::<Sha384>),
    ("2.16.840.1.101.3.4.3.4", hash::<Sha512>),
];

/// `id-RSASSA-PSS`: its parameters name the hash function.
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");

/// The digest of a certificate, and whether it is the one that its signature algorithm asks for. If that names none
/// (Ed25519, for example), servers do not have one either and refuse the login; nothing is given away by trying.
pub(super) fn end_point(certificate: &[u8]) -> (Vec<u8>, bool) {
    let known = algorithm(certificate).and_then(|algorithm| hash_of(&algorithm));
    (known.unwrap_or(hash::<Sha256>)(certificate), known.is_some())
}

/// The algorithm that a certificate is signed with. Nothing else of it is read: it may be one that is odd elsewhere.
fn algorithm(certificate: &[u8]) -> Option<AlgorithmIdentifierOwned> {
    let outer: Any = Any::from_der(certificate).ok()?;
    let mut parts = SliceReader::new(outer.value()).ok()?;
    let _signed: Any = parts.decode().ok()?;
    parts.decode().ok()
}

fn hash_of(algorithm: &AlgorithmIdentifierOwned) -> Option<Hash> {
    if algorithm.oid != RSA_PSS {
        return named(algorithm.oid);
    }
    // [0] holds the hash function; it is SHA-1 where it is left out.
    let parameters = algorithm.parameters.as_ref()?;
    let Ok(mut parts) = SliceReader::new(parameters.value()) else { return None };
    if parts.is_finished() || parts.peek_byte() != Some(0xA0) {
        return Some(hash::<Sha256>);
    }
    let tagged: Any = parts.decode().ok()?;
    named(AlgorithmIdentifierOwned::from_der(tagged.value()).ok()?.oid)
}

fn named(identifier: ObjectIdentifier) -> Option<Hash> {
    let text = identifier.to_string();
    HASHES.iter().find(|(known, _)| *known == text).map(|(_, hash)| *hash)
}
