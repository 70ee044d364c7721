//! Which certificate authorities are trusted to vouch for a server, from a file or from this system, and the chains from them to a
//! certificate.
//!
//! Chains are built and checked by `webpki`, the library below `rustls`. It treats every certificate in its store as a root that may sign, so
//! only those that OpenSSL would let sign enter the store; what OpenSSL accepts and `webpki` does not read is checked here.

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, TrustAnchor, UnixTime};
use webpki::{
    BorrowedCertRevocationList, CertRevocationList, EndEntityCert, ExpirationPolicy, KeyUsage, RevocationCheckDepth,
    RevocationOptionsBuilder, VerifiedPath, anchor_from_trusted_cert,
};
use x509_cert::crl::CertificateList;
use x509_cert::der::{Decode, Encode};
use x509_cert::{Certificate, Version};

use super::names::Names;
use super::purpose;
use super::signature::signed;
use super::verdict::Refusal;

/// The trusted authorities.
#[derive(Debug)]
pub(super) struct Authorities {
    known: Vec<Known>,
    lists: Vec<List>,
    /// True if a certificate is refused whose authority has no list.
    listed: bool,
}

/// A certificate of the file.
#[derive(Debug)]
struct Known {
    der: CertificateDer<'static>,
    read: Certificate,
    /// As `webpki` has it, if it can have it.
    anchor: Option<TrustAnchor<'static>>,
}

/// A list of revoked certificates.
#[derive(Debug)]
struct List {
    from: UnixTime,
    until: Option<UnixTime>,
    read: CertificateList,
    checked: CertRevocationList<'static>,
}

/// Those who may sign now.
struct Fit<'a> {
    roots: Vec<&'a Known>,
    anchors: Vec<TrustAnchor<'a>>,
    /// Trusted certificates that are not roots, and what the server sent.
    between: Vec<CertificateDer<'a>>,
    now: UnixTime,
}

impl Authorities {
    /// From the certificates of a file. Those that cannot be read are not authorities.
    pub(super) fn new(certificates: Vec<CertificateDer<'static>>) -> Self {
        let known = certificates.into_iter().filter_map(|der| {
            let read = Certificate::from_der(&der).ok()?;
            let anchor = anchor_from_trusted_cert(&der).ok().map(|anchor| anchor.to_owned());
            Some(Known { read, anchor, der })
        });
        Self { known: known.collect(), lists: Vec::new(), listed: false }
    }

    /// True if there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Adds a list of revoked certificates; `None` if it cannot be read.
    pub(super) fn take_back(&mut self, der: &CertificateRevocationListDer<'_>) -> Option<()> {
        let read = CertificateList::from_der(der).ok()?;
        let checked = BorrowedCertRevocationList::from_der(der).ok()?.to_owned().ok()?.into();
        let from = UnixTime::since_unix_epoch(read.tbs_cert_list.this_update.to_unix_duration());
        let until = read.tbs_cert_list.next_update.map(|time| UnixTime::since_unix_epoch(time.to_unix_duration()));
        self.lists.push(List { from, until, read, checked });
        self.listed = true;
        // Of two lists of one authority the newer one counts; of two as old, the one that lasts.
        let age = |list: &List| (list.from.as_secs(), list.until.map(|until| until.as_secs()));
        self.lists.sort_by_key(|list| std::cmp::Reverse(age(list)));
        Some(())
    }

    /// Refuses every certificate whose authority has no list, even if there is none at all.
    pub(super) fn insist_on_lists(&mut self) {
        self.listed = true;
    }

    /// Decides whether one of the authorities vouches for a server's certificate.
    pub(super) fn vouch(
        &self,
        der: &CertificateDer<'_>,
        sent: &[CertificateDer<'_>],
        now: UnixTime,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<(), Refusal> {
        let certificate = Certificate::from_der(der).map_err(|_| Refusal::unreadable())?;
        let names = Names::of(&certificate)?;
        let itself = self.known.iter().any(|known| known.der.as_ref() == der.as_ref());
        if itself && purpose::signs_itself(&certificate) {
            in_time(&certificate, now)?;
            self.without_lists()?;
            return purpose::is_server(&certificate).map_err(Refusal::unfit);
        }
        let fit = self.fit(sent, now);
        let outcome = match EndEntityCert::try_from(der) {
            Ok(end) => self.chain(&fit, &end, &names, algorithms),
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) => {}
            Err(webpki::Error::UnsupportedCertVersion | webpki::Error::CaUsedAsEndEntity) => {
                self.directly(&fit, &certificate, &names, algorithms)?;
            }
            Err(error) => return Err(self.explain(&error, &certificate, sent, now)),
        }
        purpose::is_server(&certificate).map_err(Refusal::unfit)
    }

    /// True if an authority that could be involved limits the names of those below it.
    pub(super) fn limit_names(&self, sent: &[CertificateDer<'_>]) -> bool {
        let limits =
            |der: &CertificateDer<'_>| Certificate::from_der(der).map_or(true, |read| purpose::limits_names(&read));
        self.known.iter().any(|known| purpose::limits_names(&known.read)) || sent.iter().any(limits)
    }

    fn fit<'a>(&'a self, sent: &'a [CertificateDer<'a>], now: UnixTime) -> Fit<'a> {
        let (mut roots, mut anchors, mut between) = (Vec::new(), Vec::new(), Vec::new());
        for known in &self.known {
            if !purpose::signs_itself(&known.read) {
                between.push(CertificateDer::from(known.der.as_ref()));
            } else if let Some(anchor) = known.anchor.as_ref().filter(|_| self.unfit(known, now).is_none()) {
                roots.push(known);
                anchors.push(anchor.clone());
            }
        }
        between.extend(sent.iter().map(|der| CertificateDer::from(der.as_ref())));
        Fit { roots, anchors, between, now }
    }

    /// Why a certificate of the file may not sign.
    fn unfit(&self, known: &Known, now: UnixTime) -> Option<String> {
        let valid = || in_time(&known.read, now).map_err(|refusal| refusal.to_string());
        if let Err(why) = purpose::is_root(&known.read).and_then(|()| valid()) {
            return Some(why);
        }
        let tbs = &known.read.tbs_certificate;
        let own = self.lists.iter().filter(|list| list.read.tbs_cert_list.issuer == tbs.subject);
        let mut numbers = own.flat_map(|list| list.read.tbs_cert_list.revoked_certificates.iter().flatten());
        if numbers.any(|one| one.serial_number == tbs.serial_number) {
            return Some("was revoked by itself".to_owned());
        }
        known.anchor.is_none().then(|| "cannot be read".to_owned())
    }

    fn chain(
        &self,
        fit: &Fit<'_>,
        end: &EndEntityCert<'_>,
        names: &Names,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<(), webpki::Error> {
        let lists: Vec<&CertRevocationList<'_>> =
            self.lists.iter().filter(|list| list.from <= fit.now).map(|list| &list.checked).collect();
        let revocation = match RevocationOptionsBuilder::new(&lists) {
            Ok(builder) => Some(
                builder
                    .with_depth(RevocationCheckDepth::Chain)
                    .with_expiration_policy(ExpirationPolicy::Enforce)
                    .build(),
            ),
            Err(_) if !self.listed => None,
            Err(_) => return Err(webpki::Error::UnknownRevocationStatus),
        };
        let check = |path: &VerifiedPath<'_>| self.check(fit, path, names);
        end.verify_for_usage(
            algorithms.all,
            &fit.anchors,
            &fit.between,
            fit.now,
            KeyUsage::server_auth(),
            revocation,
            Some(&check),
        )?;
        Ok(())
    }

    /// What `webpki` does not check in a chain with valid signatures.
    fn check(&self, fit: &Fit<'_>, path: &VerifiedPath<'_>, names: &Names) -> Result<(), webpki::Error> {
        let same = |(_, anchor): &(&&Known, &TrustAnchor<'_>)| {
            std::ptr::eq(*anchor, path.anchor()) || **anchor == *path.anchor()
        };
        let root = fit.roots.iter().zip(&fit.anchors).find(same).map(|(known, _)| &known.read);
        let root = root.ok_or(webpki::Error::UnknownIssuer)?;
        let mut below = 0;
        let der = path.end_entity().der();
        let mut issued = Certificate::from_der(&der).map_err(|_| webpki::Error::BadDer)?;
        for between in path.intermediate_certificates() {
            let read = Certificate::from_der(&between.der()).map_err(|_| webpki::Error::BadDer)?;
            purpose::is_between(&read).map_err(|_| webpki::Error::EndEntityUsedAsCa)?;
            names.keep_to(&read).map_err(|_| webpki::Error::NameConstraintViolation)?;
            if read.tbs_certificate.subject != read.tbs_certificate.issuer {
                below += 1;
            }
            if !purpose::may_issue(&read, &issued) {
                return Err(webpki::Error::UnknownIssuer);
            }
            issued = read;
        }
        if !purpose::may_issue(root, &issued) {
            return Err(webpki::Error::UnknownIssuer);
        }
        if purpose::depth(root).is_some_and(|depth| below > depth) {
            return Err(webpki::Error::PathLenConstraintViolated);
        }
        if self.listed && !purpose::signs_lists(root) {
            return Err(webpki::Error::IssuerNotCrlSigner);
        }
        names.keep_to(root).map_err(|_| webpki::Error::NameConstraintViolation)
    }

    /// What OpenSSL accepts as a server's certificate and `webpki` does not: one of version 1, which the recipe in PostgreSQL's
    /// manual makes, and one that could be an authority. A root has to have signed it.
    fn directly(
        &self,
        fit: &Fit<'_>,
        certificate: &Certificate,
        names: &Names,
        algorithms: &WebPkiSupportedAlgorithms,
    ) -> Result<(), Refusal> {
        let tbs = &certificate.tbs_certificate;
        in_time(certificate, fit.now)?;
        let message = tbs.to_der().map_err(|_| Refusal::unreadable())?;
        let signer = fit.roots.iter().map(|root| &root.read).find(|root| {
            let key = &root.tbs_certificate.subject_public_key_info;
            let signature = certificate.signature.raw_bytes();
            root.tbs_certificate.subject == tbs.issuer
                && purpose::may_issue(root, certificate)
                && signed(algorithms, key, &certificate.signature_algorithm, &message, signature)
        });
        let Some(root) = signer else {
            return Err(self.explain(&webpki::Error::UnknownIssuer, certificate, &[], fit.now));
        };
        self.without_lists()?;
        names.keep_to(root)?;
        // Only the common name of it was held against them.
        if tbs.version != Version::V1 && purpose::limits_names(root) {
            return Err(Refusal::unfit("is an authority below one that has name constraints"));
        }
        Ok(())
    }

    fn without_lists(&self) -> Result<(), Refusal> {
        if !self.listed {
            return Ok(());
        }
        Err(Refusal::unfit(
            "is of a kind that cannot be looked up in the lists of revoked certificates (sslcrl, sslcrldir)",
        ))
    }

    fn explain(
        &self,
        error: &webpki::Error,
        certificate: &Certificate,
        sent: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Refusal {
        let tbs = &certificate.tbs_certificate;
        match error {
            webpki::Error::UnknownIssuer | webpki::Error::InvalidSignatureForPublicKey => {
                self.unknown(certificate, sent, now)
            }
            // Of the certificate or of one above it.
            webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. } => in_time(certificate, now)
                .err()
                .unwrap_or_else(|| Refusal::unfit("has an authority that is not valid now")),
            webpki::Error::CertRevoked => Refusal::Revoked,
            webpki::Error::UnknownRevocationStatus => Refusal::Unfit {
                why: "the revocation lists (sslcrl, sslcrldir) have none of its authority that is valid now".to_owned(),
            },
            webpki::Error::CrlExpired { .. } => {
                Refusal::Unfit { why: "the revocation list of its authority is out of date".to_owned() }
            }
            webpki::Error::IssuerNotCrlSigner => {
                Refusal::Unfit { why: "its authority may not sign revocation lists (key usage)".to_owned() }
            }
            webpki::Error::RequiredEkuNotFoundContext(_) | webpki::Error::EmptyEkuExtension => {
                Refusal::unfit("is not made for a server (extended key usage)")
            }
            webpki::Error::EndEntityUsedAsCa => Refusal::unfit("is signed by a certificate that may not sign others"),
            webpki::Error::PathLenConstraintViolated => {
                Refusal::unfit("has more authorities above it than their root allows (path length)")
            }
            webpki::Error::NameConstraintViolation => {
                Refusal::unfit("has a name that the name constraints of its authority do not allow")
            }
            _ if tbs.subject == tbs.issuer => self.unknown(certificate, sent, now),
            other => Refusal::Unfit { why: format!("{other:?}") },
        }
    }

    /// No root signed it: perhaps one in the file has the right name, and cannot be used.
    fn unknown(&self, certificate: &Certificate, sent: &[CertificateDer<'_>], now: UnixTime) -> Refusal {
        let tbs = &certificate.tbs_certificate;
        let above: Vec<Certificate> = sent.iter().filter_map(|der| Certificate::from_der(der).ok()).collect();
        let issuers = || std::iter::once(&tbs.issuer).chain(above.iter().map(|one| &one.tbs_certificate.issuer));
        let named =
            self.known.iter().filter(|known| issuers().any(|issuer| *issuer == known.read.tbs_certificate.subject));
        match named.filter_map(|known| Some((known, self.unfit(known, now)?))).next() {
            Some((known, why)) => Refusal::Unfit {
                why: format!(
                    "its authority “{}” is among the trusted ones, but {why}",
                    known.read.tbs_certificate.subject
                ),
            },
            None => Refusal::UnknownAuthority { subject: tbs.subject.to_string(), issuer: tbs.issuer.to_string() },
        }
    }
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
