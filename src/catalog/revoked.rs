//! Finds the lists of revoked certificates: `sslcrl` names a file, `sslcrldir` names folders laid out for OpenSSL.

use std::fs;
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;

use crate::model::{Error, Result};

use super::authorities::Authorities;
use super::identity::unreadable;
use super::parameters::Parameters;

/// The file and the folders in which lists are.
#[derive(Debug, Default)]
pub(super) struct Lists {
    /// The flag says whether it was named explicitly.
    file: Option<(PathBuf, bool)>,
    folders: Vec<PathBuf>,
}

impl Lists {
    /// As the parameters say; the usual file is looked for only if they say nothing.
    pub(super) fn from_parameters(found: &Parameters, usual: Option<PathBuf>) -> Self {
        // OpenSSL splits what names a folder.
        let folders: Vec<PathBuf> = found
            .get("sslcrldir")
            .map_or_else(Vec::new, |text| text.split(':').filter(|part| !part.is_empty()).map(PathBuf::from).collect());
        let file = match found.get("sslcrl") {
            Some(file) => Some((PathBuf::from(file), true)),
            None => usual.filter(|_| folders.is_empty()).map(|file| (file, false)),
        };
        Self { file, folders }
    }

    /// Has authorities heed these lists.
    ///
    /// # Errors
    /// `Config` if a file or folder is missing, or if the file has no list, or a malformed one.
    pub(super) fn heed(&self, authorities: &mut Authorities) -> Result<()> {
        if let Some((file, named)) = &self.file
            && (*named || file.exists())
        {
            let lists = read(file).map_err(|error| unreadable(file, "sslcrl", &error))?;
            if lists.is_empty() {
                return Err(unreadable(file, "sslcrl", &"it holds no list of revoked certificates"));
            }
            for list in lists {
                let unread =
                    || unreadable(file, "sslcrl", &"a list is malformed, or does not say when the next one comes");
                authorities.take_back(&list).ok_or_else(unread)?;
            }
        }
        for folder in &self.folders {
            let unlisted = |error: std::io::Error| {
                Error::config(format!("the folder {} cannot be read (sslcrldir): {error}", folder.display()))
                    .remedy("name a folder with revocation lists, prepared with: openssl rehash FOLDER")
            };
            authorities.insist_on_lists();
            for entry in fs::read_dir(folder).map_err(unlisted)? {
                let entry = entry.map_err(unlisted)?;
                if !is_hashed(&entry.file_name().to_string_lossy()) {
                    continue;
                }
                // As in OpenSSL, one that cannot be read counts as none: certificates that need it are refused.
                for list in read(&entry.path()).unwrap_or_default() {
                    let _ = authorities.take_back(&list);
                }
            }
        }
        Ok(())
    }
}

fn read(file: &Path) -> std::result::Result<Vec<CertificateRevocationListDer<'static>>, rustls::pki_types::pem::Error> {
    CertificateRevocationListDer::pem_file_iter(file)?.collect()
}

/// True for the names that `openssl rehash` gives to lists: eight hexadecimal digits, `.r`, a number.
fn is_hashed(name: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    name.split_once(".r").is_some_and(|(hash, number)| {
        hash.len() == 8 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) && digits(number)
    })
}
