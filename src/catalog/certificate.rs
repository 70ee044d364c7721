//! Decides whether to accept a server's certificate, and verifies the signature that proves the server has the key.
//!
//! `rustls` does not read certificates of X.509 version 1, which the recipe in PostgreSQL's manual makes: their keys are read here.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, SignatureScheme};
use x509_cert::der::Decode;
use x509_cert::{Certificate, Version};

use super::authorities::Authorities;
use super::names::Names;
use super::purpose;
use super::signature::contents;
use super::verdict::Refusal;

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
        authorities.vouch(end_entity, intermediates, now, &self.algorithms)?;
        if self.names {
            let certificate = Certificate::from_der(end_entity).map_err(|_| Refusal::unreadable())?;
            let limited = authorities.limit_names(intermediates) || purpose::limits_names(&certificate);
            Names::of(&certificate)?.fit(&server_name.to_str(), limited)?;
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
