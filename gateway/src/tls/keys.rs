//! The certificates of the book, ready to be shown; each is made ready when a client first asks for it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use platform::certificates::Certifier;
use ports::Certificate;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// Ready certificates beyond those of the book, before the old ones are let go.
const SPARE: usize = 16;

pub(super) struct Keys {
    certifier: Arc<Certifier>,
    /// By the address of the certificate, which is kept beside it and so stays its own.
    ready: Mutex<HashMap<usize, Ready>>,
}

struct Ready {
    certificate: Arc<Certificate>,
    key: Arc<CertifiedKey>,
}

/// A certificate and key that rustls does not take. Files and orders were checked before, so this is ours to mend.
#[derive(Debug, thiserror::Error)]
#[error("a certificate cannot be shown")]
pub(super) struct Unusable(#[source] Box<dyn std::error::Error + Send + Sync>);

impl Keys {
    pub(super) fn new(certifier: Arc<Certifier>) -> Self {
        Self { certifier, ready: Mutex::default() }
    }

    /// Is there a certificate for this name, or, without one, for anybody?
    pub(super) fn has(&self, host: Option<&str>) -> bool {
        self.certificate(host).is_some()
    }

    fn certificate(&self, host: Option<&str>) -> Option<Arc<Certificate>> {
        let book = self.certifier.book();
        match host {
            Some(host) => book.find(host).cloned(),
            None => book.fallback().cloned(),
        }
    }

    fn key(&self, host: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let certificate = self.certificate(host).or_else(|| self.certificate(None))?;
        let address = Arc::as_ptr(&certificate).addr();
        let mut ready = self.ready.lock().expect("no holder panics");
        if let Some(found) = ready.get(&address) {
            return Some(found.key.clone());
        }
        let key = match make_ready(&certificate) {
            Ok(key) => Arc::new(key),
            Err(error) => {
                let cause = &error as &dyn std::error::Error;
                tracing::error!(names = ?certificate.names, cause, "failed to use a certificate");
                return None;
            }
        };
        let book = self.certifier.book();
        if ready.len() >= book.all().len() + SPARE {
            ready.retain(|_, kept| book.all().iter().any(|certificate| Arc::ptr_eq(certificate, &kept.certificate)));
        }
        ready.insert(address, Ready { certificate, key: key.clone() });
        Some(key)
    }
}

/// Whether the key belongs to the certificate was asked when it was read; that of a challenge could not be asked, because it
/// has an extension that must not be ignored.
pub(super) fn make_ready(certificate: &Certificate) -> Result<CertifiedKey, Unusable> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.chain_pem.as_bytes()).collect();
    let chain = chain.map_err(|error| Unusable(error.into()))?;
    let key = PrivateKeyDer::from_pem_slice(certificate.key_pem.as_bytes()).map_err(|error| Unusable(error.into()))?;
    let key = aws_lc_rs::sign::any_supported_type(&key).map_err(|error| Unusable(error.into()))?;
    Ok(CertifiedKey::new(chain, key))
}

impl ResolvesServerCert for Keys {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.key(hello.server_name().map(str::to_ascii_lowercase).as_deref())
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}
