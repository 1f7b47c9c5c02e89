//! Every certificate of a moment, found by host name.

use std::collections::HashMap;
use std::sync::Arc;

use ports::{Certificate, CertificateSource};

/// Certificates that do not change; the node takes a new book when one does.
#[derive(Debug, Default)]
pub struct Book {
    all: Vec<Arc<Certificate>>,
    by_name: HashMap<String, Arc<Certificate>>,
}

impl Book {
    pub(super) fn new(all: Vec<Arc<Certificate>>) -> Self {
        let mut by_name: HashMap<String, Arc<Certificate>> = HashMap::new();
        for certificate in &all {
            for name in &certificate.names {
                let better = by_name.get(name).is_none_or(|known| rank(certificate) > rank(known));
                if better {
                    by_name.insert(name.clone(), certificate.clone());
                }
            }
        }
        Self { all, by_name }
    }

    /// All of them, in no particular order but that of the files among each other.
    pub fn all(&self) -> &[Arc<Certificate>] {
        &self.all
    }

    /// The certificate for a host in lower case: one of its own before a wildcard, one of a file before an ordered one.
    pub fn find(&self, host: &str) -> Option<&Arc<Certificate>> {
        if host.starts_with('*') {
            return None;
        }
        self.by_name.get(host).or_else(|| {
            let (label, parent) = host.split_once('.')?;
            (!label.is_empty()).then(|| self.by_name.get(&format!("*.{parent}"))).flatten()
        })
    }

    /// For who asks for no name, or for one that is not here: the first of the files. One that was ordered would only tell
    /// a stranger who else is here.
    pub fn fallback(&self) -> Option<&Arc<Certificate>> {
        self.all.iter().find(|certificate| certificate.source == CertificateSource::File)
    }
}

fn rank(certificate: &Certificate) -> (bool, domain::Timestamp) {
    (certificate.source == CertificateSource::File, certificate.not_after)
}
