//! Certificates in files: those that the operator names (`certificates/operator.rs`), those that the node ordered
//! (`certificates/folder.rs`), and the client that orders them (`certificates/acme.rs`).
//!
//! This file reads a certificate as it lies in a file, and says what is wrong with it in words that say what to do.

mod acme;
mod folder;
mod operator;

use domain::Timestamp;
use ports::{Certificate, CertificateSource};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate, X509Name};
use zeroize::Zeroizing;

pub use acme::{AcmeAuthority, AcmeChallenge, AcmeConfig, AcmeOpenError};
pub(crate) use folder::is_kept_name;
pub use folder::{FileCertificates, kept_in, open};
pub use operator::{CertificateFiles, InvalidCertificateFile, PairOfFiles};

/// More than any chain that a browser accepts.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads a chain and its key, both as PEM. The error is the end of a sentence about the certificate.
fn parse(chain_pem: String, key_pem: Zeroizing<String>, source: CertificateSource) -> Result<Certificate, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain_pem.as_bytes()).collect();
    let chain = chain.map_err(|error| format!("is not PEM: {error}"))?;
    let first =
        chain.first().ok_or("holds no `BEGIN CERTIFICATE`; it must be PEM, the certificate of the host first")?;
    let facts = Facts::of(first)?;
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(|_| {
        "has a key that is not PEM; it must hold one `BEGIN PRIVATE KEY`, without a password".to_owned()
    })?;
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(unfit)?;
    let Facts { names, issuer, not_before, not_after } = facts;
    Ok(Certificate { names, issuer, not_before, not_after, source, chain_pem, key_pem })
}

fn unfit(error: rustls::Error) -> String {
    match error {
        rustls::Error::InconsistentKeys(_) => "does not belong to the key: their public keys differ".to_owned(),
        error => format!("has a key that cannot be used: {error}"),
    }
}

struct Facts {
    names: Vec<String>,
    issuer: String,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl Facts {
    fn of(der: &CertificateDer<'_>) -> Result<Self, String> {
        let (_, read) = X509Certificate::from_der(der).map_err(|_| "is not an X.509 certificate")?;
        let moment = |seconds| Timestamp::from_second(seconds).map_err(|_| "has a date out of range".to_owned());
        let names = match read.subject_alternative_name() {
            Ok(Some(extension)) => extension.value.general_names.iter().filter_map(host_name).collect(),
            _ => Vec::new(),
        };
        Ok(Self {
            names,
            issuer: short(read.issuer()),
            not_before: moment(read.validity().not_before.timestamp())?,
            not_after: moment(read.validity().not_after.timestamp())?,
        })
    }
}

fn host_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    }
}

/// The common name, else the organisation, else all of it; one line of printable text.
fn short(name: &X509Name<'_>) -> String {
    let text = |attribute: Option<&x509_parser::x509::AttributeTypeAndValue<'_>>| {
        attribute.and_then(|attribute| attribute.as_str().ok()).map(str::to_owned)
    };
    let common = text(name.iter_common_name().next());
    let text = common.or_else(|| text(name.iter_organization().next())).unwrap_or_else(|| name.to_string());
    text.chars().filter(|character| !character.is_control()).take(100).collect()
}

#[cfg(test)]
mod tests;
