//! Verifies signatures: with the algorithms of `ring`, and on the curve P-521, which `ring` lacks.

use std::fmt;
use std::sync::{Arc, LazyLock};

use p521::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
use p521::ecdsa::{Signature, SigningKey, VerifyingKey};
use p521::pkcs8::{DecodePrivateKey, EncodePublicKey};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{
    AlgorithmIdentifier, InvalidSignature, PrivateKeyDer, SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer,
    alg_id,
};
use rustls::{SignatureAlgorithm, SignatureScheme};
use sha2::digest::Digest;
use sha2::{Sha256, Sha384, Sha512};
use x509_cert::der::Encode;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

type Algorithm = &'static dyn SignatureVerificationAlgorithm;

/// ECDSA on P-521 with a hash function.
#[derive(Debug)]
struct P521 {
    identifier: AlgorithmIdentifier,
    hash: fn(&[u8]) -> Vec<u8>,
}

static P521_SHA256: P521 = P521 { identifier: alg_id::ECDSA_SHA256, hash: |data| Sha256::digest(data).to_vec() };
static P521_SHA384: P521 = P521 { identifier: alg_id::ECDSA_SHA384, hash: |data| Sha384::digest(data).to_vec() };
static P521_SHA512: P521 = P521 { identifier: alg_id::ECDSA_SHA512, hash: |data| Sha512::digest(data).to_vec() };

/// The length of a number on the curve.
const FIELD: usize = 66;

impl SignatureVerificationAlgorithm for P521 {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let key = VerifyingKey::from_sec1_bytes(key).map_err(|_| InvalidSignature)?;
        let signature = Signature::from_der(signature).map_err(|_| InvalidSignature)?;
        // As a number of full length: the hash is shorter, and the library minds where it is much so.
        let hash = (self.hash)(message);
        let number = [vec![0; FIELD.saturating_sub(hash.len())], hash].concat();
        key.verify_prehash(&number, &signature).map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P521
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.identifier
    }
}

/// All that signatures are checked with.
pub(super) fn algorithms() -> WebPkiSupportedAlgorithms {
    static ALL: LazyLock<Vec<Algorithm>> = LazyLock::new(|| {
        let ring = rustls::crypto::ring::default_provider().signature_verification_algorithms;
        ring.all.iter().copied().chain([&P521_SHA256 as Algorithm, &P521_SHA384, &P521_SHA512]).collect()
    });
    static MAPPING: LazyLock<Vec<(SignatureScheme, &'static [Algorithm])>> = LazyLock::new(|| {
        static ONE: [Algorithm; 1] = [&P521_SHA512];
        let ring = rustls::crypto::ring::default_provider().signature_verification_algorithms;
        ring.mapping.iter().copied().chain([(SignatureScheme::ECDSA_NISTP521_SHA512, &ONE[..])]).collect()
    });
    WebPkiSupportedAlgorithms { all: &ALL, mapping: &MAPPING }
}

/// True if that key signed a message.
pub(super) fn signed(
    algorithms: &WebPkiSupportedAlgorithms,
    key: &SubjectPublicKeyInfoOwned,
    algorithm: &AlgorithmIdentifierOwned,
    message: &[u8],
    signature: &[u8],
) -> bool {
    let (Some(key_id), Some(id)) = (contents(&key.algorithm), contents(algorithm)) else { return false };
    algorithms.all.iter().any(|one| {
        one.signature_alg_id().as_ref() == id
            && one.public_key_alg_id().as_ref() == key_id
            && one.verify_signature(key.subject_public_key.raw_bytes(), message, signature).is_ok()
    })
}

/// An algorithm's identifier as `rustls` has it: without the frame.
pub(super) fn contents(algorithm: &AlgorithmIdentifierOwned) -> Option<Vec<u8>> {
    let der = algorithm.to_der().ok()?;
    // Identifiers are short: one byte of length.
    der.get(1).filter(|length| **length < 0x80)?;
    der.get(2..).map(<[u8]>::to_vec)
}

/// The private key, if it is one on P-521.
pub(super) fn p521_key(key: &PrivateKeyDer<'_>) -> Option<Arc<dyn rustls::sign::SigningKey>> {
    let secret = match key {
        PrivateKeyDer::Pkcs8(key) => p521::SecretKey::from_pkcs8_der(key.secret_pkcs8_der()).ok()?,
        PrivateKeyDer::Sec1(key) => p521::SecretKey::from_sec1_der(key.secret_sec1_der()).ok()?,
        _ => return None,
    };
    Some(Arc::new(P521Key(SigningKey::from(secret))))
}

/// A private key on P-521.
#[derive(Clone)]
struct P521Key(SigningKey);

impl fmt::Debug for P521Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("P521Key")
    }
}

impl rustls::sign::SigningKey for P521Key {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn rustls::sign::Signer>> {
        offered.contains(&SignatureScheme::ECDSA_NISTP521_SHA512).then(|| Box::new(self.clone()) as _)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        let key = p521::PublicKey::from(self.0.verifying_key()).to_public_key_der().ok()?;
        Some(SubjectPublicKeyInfoDer::from(key.as_bytes().to_vec()))
    }
}

impl rustls::sign::Signer for P521Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let failed = |_| rustls::Error::General("signing failed".to_owned());
        let signature: Signature = self.0.sign_prehash(&Sha512::digest(message)).map_err(failed)?;
        Ok(signature.to_der().as_bytes().to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP521_SHA512
    }
}
