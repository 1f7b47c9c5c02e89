//! Certificates of the node: what one is, where those are kept that were ordered, who issues them, and who may have one.
//!
//! The platform decides when one is ordered, an authority gets it (RFC 8555), the gateway shows it in its handshakes. Authority
//! and gateway meet at the [`ChallengeBoard`]: what the authority must be able to fetch from us is posted there.
//! Implementations of [`Certificates`]: [`crate::memory::MemoryCertificates`], `backends::certificates`; both pass
//! [`crate::conformance::certificates`].

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use domain::Timestamp;
use zeroize::Zeroizing;

use crate::BoxError;

/// Where a certificate came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateSource {
    /// A file that the operator named.
    File,
    /// Ordered by the node itself.
    Acme,
}

impl CertificateSource {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Acme => "acme",
        }
    }
}

/// A certificate with its key. Its `Debug` does not show the key.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The host names it holds for, in lower case; `*.example.com` for every name one label deeper.
    pub names: Vec<String>,
    /// Who issued it, as a person reads it.
    pub issuer: String,
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    pub source: CertificateSource,
    /// The certificate, then those that lead to its root, as PEM.
    pub chain_pem: String,
    /// The private key, as PEM.
    pub key_pem: Zeroizing<String>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { names, issuer, not_before, not_after, source, .. } = self;
        write!(f, "Certificate({names:?} by {issuer:?}, {not_before} to {not_after}, {})", source.as_str())
    }
}

impl Certificate {
    /// Does it hold for this host name, given in lower case?
    pub fn is_for(&self, host: &str) -> bool {
        self.names.iter().any(|name| covers(name, host))
    }
}

/// Does a name of a certificate cover a host? A wildcard stands for one label (RFC 9525, section 6.3).
fn covers(name: &str, host: &str) -> bool {
    match name.strip_prefix("*.") {
        None => name == host,
        Some(parent) => {
            host.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && label != "*" && rest == parent)
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum CertificatesError {
    /// What is kept cannot be read as a certificate.
    #[error("the kept certificate of `{name}` cannot be used: {reason}")]
    Unusable { name: String, reason: String },
    #[error("the certificates are unavailable")]
    Unavailable(#[source] BoxError),
}

/// Where ordered certificates are kept, each under the one name it was ordered for. What was stored survives a restart.
#[async_trait]
pub trait Certificates: Send + Sync {
    /// Every certificate that can be used, and what is wrong with those that cannot.
    async fn list(&self) -> Result<(Vec<Certificate>, Vec<CertificatesError>), CertificatesError>;

    /// Keeps `certificate` under its first name, in place of the one that was there.
    async fn store(&self, certificate: &Certificate) -> Result<(), CertificatesError>;

    /// Forgets the certificate of `name`; forgetting what is not there is no error.
    async fn remove(&self, name: &str) -> Result<(), CertificatesError>;
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// The authority says no; asking again soon would only use up its patience.
    #[error("the authority refused: {0}")]
    Refused(String),
    /// The authority cannot be reached, or is in trouble itself.
    #[error("the authority is unavailable")]
    Unavailable(#[source] BoxError),
}

/// Who issues certificates.
#[async_trait]
pub trait CertificateAuthority: Send + Sync {
    /// Proves that `name` is ours by what it posts on `board`, and gets a certificate for it. Bounded in time.
    async fn order(&self, name: &str, board: &Arc<ChallengeBoard>) -> Result<Certificate, OrderError>;
}

/// Which names exist here. Who asks for a certificate of another name asks in vain.
pub trait NameAuthority: Send + Sync {
    /// May the node order a certificate for this host name (lower case, without a dot at its end)? Answered from memory.
    fn may_have_certificate(&self, name: &str) -> bool;
}

/// What an authority looks for to see that a name is ours, while an order is under way.
#[derive(Debug, Default)]
pub struct ChallengeBoard {
    posted: Mutex<Posted>,
}

#[derive(Debug, Default)]
struct Posted {
    /// By token (RFC 8555, section 8.3).
    http: HashMap<String, String>,
    /// By host name (RFC 8737).
    tls: HashMap<String, Arc<Certificate>>,
}

/// Something on the board; dropping it takes it down.
#[derive(Debug)]
pub struct Posting {
    board: Arc<ChallengeBoard>,
    key: PostingKey,
}

#[derive(Debug)]
enum PostingKey {
    Http(String),
    Tls(String),
}

impl ChallengeBoard {
    /// Answers `GET /.well-known/acme-challenge/{token}` with `answer`.
    pub fn post_http(self: &Arc<Self>, token: &str, answer: &str) -> Posting {
        self.lock().http.insert(token.to_owned(), answer.to_owned());
        Posting { board: self.clone(), key: PostingKey::Http(token.to_owned()) }
    }

    /// Shows `certificate` to who asks for `name` by the protocol `acme-tls/1`.
    pub fn post_tls(self: &Arc<Self>, name: &str, certificate: Certificate) -> Posting {
        self.lock().tls.insert(name.to_owned(), Arc::new(certificate));
        Posting { board: self.clone(), key: PostingKey::Tls(name.to_owned()) }
    }

    pub fn http_answer(&self, token: &str) -> Option<String> {
        self.lock().http.get(token).cloned()
    }

    pub fn tls_answer(&self, name: &str) -> Option<Arc<Certificate>> {
        self.lock().tls.get(name).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Posted> {
        self.posted.lock().expect("no holder panics")
    }
}

impl Drop for Posting {
    fn drop(&mut self) {
        let mut posted = self.board.lock();
        match &self.key {
            PostingKey::Http(token) => drop(posted.http.remove(token)),
            PostingKey::Tls(name) => drop(posted.tls.remove(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_for_one_label() {
        for (name, host, covered) in [
            ("example.com", "example.com", true),
            ("example.com", "a.example.com", false),
            ("*.example.com", "a.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "a.b.example.com", false),
            ("*.example.com", ".example.com", false),
            ("*.example.com", "*.example.com", false),
        ] {
            assert_eq!(covers(name, host), covered, "{name} {host}");
        }
    }

    #[test]
    fn what_is_posted_is_there_until_it_is_dropped() {
        let board = Arc::new(ChallengeBoard::default());
        let posting = board.post_http("token", "answer");
        assert_eq!(board.http_answer("token").as_deref(), Some("answer"));
        drop(posting);
        assert_eq!(board.http_answer("token"), None);
    }
}
