//! Ordered certificates, each with its key in one file, so that neither can be there without the other.

use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use ports::{Certificate, CertificateSource, Certificates, CertificatesError};
use zeroize::Zeroizing;

use super::parse;
use crate::durable;

const EXTENSION: &str = ".pem";
/// What separates the chain from the key, in front of it.
const KEY_BEGINS: &str = "-----BEGIN PRIVATE KEY-----";

/// Certificates in a folder, `<name>.pem` each, readable by the owner alone.
#[derive(Debug)]
pub struct FileCertificates {
    folder: PathBuf,
}

/// Opens the certificates in `folder`, which is created when it does not exist.
pub fn open(folder: &Path) -> io::Result<FileCertificates> {
    durable::create_folder(folder)?;
    Ok(FileCertificates { folder: folder.to_owned() })
}

impl FileCertificates {
    fn path(&self, name: &str) -> Result<PathBuf, CertificatesError> {
        match is_host_name(name) {
            true => Ok(self.folder.join(format!("{name}{EXTENSION}"))),
            false => Err(unusable(name, "its name is no host name")),
        }
    }

    /// Runs blocking work elsewhere.
    async fn on_disk<T: Send + 'static>(
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, CertificatesError> {
        let done = tokio::task::spawn_blocking(work).await.map_err(|error| unavailable(io::Error::other(error)))?;
        done.map_err(unavailable)
    }
}

#[async_trait]
impl Certificates for FileCertificates {
    async fn list(&self) -> Result<(Vec<Certificate>, Vec<CertificatesError>), CertificatesError> {
        let folder = self.folder.clone();
        Self::on_disk(move || kept_in(&folder)).await
    }

    async fn store(&self, certificate: &Certificate) -> Result<(), CertificatesError> {
        let path = self.path(certificate.names.first().map_or("", String::as_str))?;
        let Certificate { chain_pem, key_pem, .. } = certificate;
        let text = Zeroizing::new(format!("{}\n{}\n", chain_pem.trim_end(), key_pem.trim_end()));
        Self::on_disk(move || durable::write_private(&path, text.as_bytes())).await
    }

    async fn remove(&self, name: &str) -> Result<(), CertificatesError> {
        let path = self.path(name)?;
        Self::on_disk(move || match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
        .await
    }
}

/// The ordered certificates in `folder`, which need not exist, and what is wrong with those that cannot be used. Blocks.
pub fn kept_in(folder: &Path) -> io::Result<(Vec<Certificate>, Vec<CertificatesError>)> {
    let (mut certificates, mut unusable) = (Vec::new(), Vec::new());
    for path in durable::files_in(folder)? {
        let Some(name) = name_of(&path) else { continue };
        match read(&name, &path) {
            Ok(certificate) => certificates.push(certificate),
            Err(error) => unusable.push(error),
        }
    }
    Ok((certificates, unusable))
}

fn read(name: &str, path: &Path) -> Result<Certificate, CertificatesError> {
    let text = Zeroizing::new(std::fs::read_to_string(path).map_err(unavailable)?);
    let (chain, key) = text.split_at(text.find(KEY_BEGINS).ok_or_else(|| unusable(name, "it has no key"))?);
    // A line's end belongs to the file, not to what is in it.
    let (chain, key) = (chain.to_owned(), Zeroizing::new(key.to_owned()));
    parse(chain, key, CertificateSource::Acme).map_err(|reason| unusable(name, &format!("it {reason}")))
}

/// The host name whose certificate a file holds.
fn name_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?.strip_suffix(EXTENSION)?;
    is_host_name(name).then(|| name.to_owned())
}

/// Is this the name of a file that belongs here: a certificate, or the account that they were ordered with?
pub(crate) fn is_kept_name(file: &str) -> bool {
    let account = file.strip_prefix("account-").and_then(|rest| rest.strip_suffix(".json"));
    let is_digest = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    account.is_some_and(is_digest) || file.strip_suffix(EXTENSION).is_some_and(is_host_name)
}

/// Lower-case labels with dots between them; it becomes a file's name, so it cannot lead elsewhere.
fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=63).contains(&label.len()) && label.bytes().all(allowed)
    };
    text.len() <= 200 && text.split('.').all(is_label)
}

fn unusable(name: &str, reason: &str) -> CertificatesError {
    CertificatesError::Unusable { name: name.to_owned(), reason: reason.to_owned() }
}

fn unavailable(error: io::Error) -> CertificatesError {
    CertificatesError::Unavailable(error.into())
}
