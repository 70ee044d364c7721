//! The client's own certificate and its key, which may be protected by a passphrase.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aes::{Aes128, Aes192, Aes256};
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt, KeyInit, KeyIvInit};
use des::TdesEde3;
use md5::{Digest, Md5};
use pkcs8::EncryptedPrivateKeyInfoRef;
use rustls::crypto::KeyProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};

use crate::model::{Error, Result};

use super::place::invalid;
use super::signature;

/// Whether we show a certificate of ours: `sslcertmode`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Shows {
    Never,
    /// If there is one, and the server asks for it.
    #[default]
    Perhaps,
    /// The server must ask for it.
    Always,
}

impl Shows {
    /// What a word of `sslcertmode` means.
    pub(super) fn named(word: Option<&str>) -> Result<Self> {
        match word {
            Some("disable") => Ok(Self::Never),
            None | Some("allow") => Ok(Self::Perhaps),
            Some("require") => Ok(Self::Always),
            Some(_) => Err(invalid("sslcertmode", "disable, allow or require")),
        }
    }
}

/// Where our certificate and its key are, and whether they are shown.
#[derive(Default)]
pub(super) struct Identity {
    pub(super) shows: Shows,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) passphrase: Option<String>,
}

impl Identity {
    /// Reads them, if there is a certificate.
    ///
    /// # Errors
    /// `Config` if the key is missing, locked, open to others, or that of another certificate; and if there is no certificate where
    /// one must be shown.
    pub(super) fn load(&self, keys: &dyn KeyProvider) -> Result<Option<CertifiedKey>> {
        let file = self.certificate.as_ref().filter(|file| file.exists() && self.shows != Shows::Never);
        let Some(file) = file else {
            return if self.shows == Shows::Always { Err(self.missing()) } else { Ok(None) };
        };
        let chain = certificates(file, "sslcert")?;
        let Some(key_file) = self.key.as_ref().filter(|key| key.exists()) else {
            let missing = self.key.as_ref().map_or_else(|| "sslkey".to_owned(), |key| key.display().to_string());
            return Err(Error::config(format!("there is a client certificate, but not its key {missing}"))
                .detail(format!("the certificate is in {}", file.display()))
                .remedy("name the key's file: sslkey=FILE"));
        };
        is_private(key_file)?;
        let key = self.read(key_file)?;
        let unusable = |why: &dyn std::fmt::Display| {
            Error::config(format!("the client certificate in {} cannot be used: {why}", file.display()))
                .remedy("check that sslcert and sslkey belong together")
        };
        let key: Arc<dyn SigningKey> = match signature::p521_key(&key) {
            Some(key) => key,
            None => keys.load_private_key(key).map_err(|error| unusable(&error))?,
        };
        // `rustls` would check this, but reads no certificates of version 1.
        let own = chain.first().and_then(|first| Certificate::from_der(first).ok());
        let own = own.and_then(|own| own.tbs_certificate.subject_public_key_info.to_der().ok());
        match (own, key.public_key()) {
            (None, _) => Err(unusable(&"it is malformed")),
            (Some(own), Some(public)) if own != public.as_ref() => {
                Err(unusable(&"the key belongs to another certificate"))
            }
            _ => Ok(Some(CertifiedKey::new(chain, key))),
        }
    }

    fn missing(&self) -> Error {
        let error = Error::config("sslcertmode=require presents a certificate to the server, and there is none");
        let error = match &self.certificate {
            Some(file) => error.detail(format!("there is no file {}", file.display())),
            None => error,
        };
        error.remedy("name it and its key: sslcert=FILE sslkey=FILE; or leave sslcertmode out")
    }

    /// Reads the key: as text or bare, locked or not.
    fn read(&self, file: &Path) -> Result<PrivateKeyDer<'static>> {
        let bytes = fs::read(file).map_err(|error| unreadable(file, "sslkey", &error))?;
        let text = String::from_utf8_lossy(&bytes);
        if !text.contains("-----BEGIN") {
            let bare = "neither PEM nor a private key in DER format";
            return PrivateKeyDer::try_from(bytes.clone()).map_err(|_| unreadable(file, "sslkey", &bare));
        }
        let old = text.contains("Proc-Type: 4,ENCRYPTED");
        if !old && !text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
            return PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| unreadable(file, "sslkey", &error));
        }
        let Some(passphrase) = &self.passphrase else {
            return Err(Error::config(format!("the private key {} has a passphrase", file.display())).remedy(format!(
                "give it: sslpassword=…; or keep a copy without one, readable by you alone: openssl pkey -in {} -out FILE",
                file.display()
            )));
        };
        let locked = || {
            Error::config(format!("sslpassword does not decrypt the private key {}", file.display()))
                .remedy(format!("check it: openssl pkey -in {} -noout asks for the passphrase", file.display()))
        };
        let opened = if old { unlock_old(&text, passphrase) } else { unlock(&text, passphrase) };
        opened.ok_or_else(locked)
    }
}

/// libpq's rule: only its owner may read it, or a group if it is root's.
fn is_private(file: &Path) -> Result<()> {
    let meta = fs::metadata(file).map_err(|error| unreadable(file, "sslkey", &error))?;
    let others = if meta.uid() == 0 { 0o037 } else { 0o077 };
    if meta.mode() & others != 0 {
        return Err(Error::config(format!("other users can read the private key {}", file.display()))
            .remedy(format!("chmod 600 {}", file.display())));
    }
    Ok(())
}

/// Opens what PKCS #8 calls an encrypted private key.
fn unlock(text: &str, passphrase: &str) -> Option<PrivateKeyDer<'static>> {
    let plain = text.replace("ENCRYPTED PRIVATE KEY", "PRIVATE KEY");
    let locked = PrivatePkcs8KeyDer::from_pem_slice(plain.as_bytes()).ok()?;
    let opened = EncryptedPrivateKeyInfoRef::try_from(locked.secret_pkcs8_der()).ok()?.decrypt(passphrase).ok()?;
    Some(PrivatePkcs8KeyDer::from(opened.as_bytes().to_vec()).into())
}

/// Opens a key that is locked in the manner of old: lines before its text say how.
fn unlock_old(text: &str, passphrase: &str) -> Option<PrivateKeyDer<'static>> {
    let (_, from_header) = text.split_once("Proc-Type:")?;
    let (header, body) = from_header.split_once("\n\n").or_else(|| from_header.split_once("\r\n\r\n"))?;
    let (_, info) = header.split_once("DEK-Info:")?;
    let (cipher, start) = info.lines().next()?.trim().split_once(',')?;
    let start: Vec<u8> = (0..start.len() / 2)
        .map(|at| start.get(at * 2..at * 2 + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok()))
        .collect::<Option<_>>()?;
    let (body, _) = body.split_once("-----END")?;
    // Any label will do to have the text turned into bytes.
    let framed = format!("-----BEGIN PRIVATE KEY-----\n{body}-----END PRIVATE KEY-----\n");
    let locked = PrivatePkcs8KeyDer::from_pem_slice(framed.as_bytes()).ok()?;
    let locked = locked.secret_pkcs8_der();
    let opened = match cipher {
        "AES-128-CBC" => decrypt::<Aes128>(locked, passphrase, &start, 16),
        "AES-192-CBC" => decrypt::<Aes192>(locked, passphrase, &start, 24),
        "AES-256-CBC" => decrypt::<Aes256>(locked, passphrase, &start, 32),
        "DES-EDE3-CBC" => decrypt::<TdesEde3>(locked, passphrase, &start, 24),
        _ => None,
    }?;
    PrivateKeyDer::try_from(opened).ok()
}

fn decrypt<C: BlockCipherDecrypt + KeyInit>(
    locked: &[u8],
    passphrase: &str,
    start: &[u8],
    length: usize,
) -> Option<Vec<u8>> {
    let key = stretch(passphrase.as_bytes(), start.get(..8)?, length);
    cbc::Decryptor::<C>::new_from_slices(&key, start).ok()?.decrypt_padded_vec::<Pkcs7>(locked).ok()
}

/// OpenSSL's way from a passphrase to a key: rounds of MD5.
fn stretch(passphrase: &[u8], salt: &[u8], length: usize) -> Vec<u8> {
    let mut key: Vec<u8> = Vec::new();
    let mut round: Vec<u8> = Vec::new();
    while key.len() < length {
        round = Md5::digest([&round, passphrase, salt].concat()).to_vec();
        key.extend(&round);
    }
    key.truncate(length);
    key
}

/// The certificates of a file.
pub(super) fn certificates(file: &Path, parameter: &str) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found: Vec<CertificateDer<'static>> = read.map_err(|error| unreadable(file, parameter, &error))?;
    if found.is_empty() {
        return Err(unreadable(file, parameter, &"it holds no certificate"));
    }
    Ok(found)
}

pub(super) fn unreadable(file: &Path, parameter: &str, why: &dyn std::fmt::Display) -> Error {
    Error::config(format!("{} cannot be read ({parameter}): {why}", file.display()))
        .remedy("it must be a file in PEM format, which begins with -----BEGIN")
}
