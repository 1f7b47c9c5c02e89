//! TLS for those who call (rustls): which certificate a client gets, the handshake, and what plain HTTP does beside it.
//!
//! A handshake is part of its connection's own task, in a bounded time, and counts among the connections: nothing of it happens
//! where connections are accepted. `tls/handshake.rs` makes it, `tls/keys.rs` finds the certificate in the node's book
//! ([`Certifier`]), `tls/plain.rs` answers ACME's question and sends others on to `https`, `tls/counts.rs` counts.
//!
//! A client that asks for a name without a certificate waits for the order, where the name exists and orders are made on demand
//! ([`TlsConfig::order_wait`]). It is shown no certificate that was made up meanwhile: browsers would only warn of it. When there
//! is none in the end, it gets the first of the operator's files, which at least says whose server this is; without
//! files the handshake is refused.

mod counts;
mod handshake;
mod keys;
mod names;
mod plain;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::Timestamp;
use http::{HeaderName, HeaderValue, Request, header};
use platform::certificates::Certifier;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;

use crate::reply::Reply;
use keys::Keys;

pub(crate) use counts::HandshakeCounts;
pub(crate) use handshake::Refused;
pub use names::HostNames;

const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// What an operator decides about TLS.
#[derive(Debug, Clone)]
pub struct TlsConfig {
    /// For the whole handshake, apart from the wait for an order.
    pub handshake: Duration,
    /// The longest that a handshake waits for a certificate that is being ordered.
    pub order_wait: Duration,
    /// The port of `https`, where plain HTTP sends its clients on (308), but for ACME, probes and this machine itself.
    pub redirect_to: Option<u16>,
    /// `Strict-Transport-Security` of all replies over TLS, for so long.
    pub hsts: Option<Duration>,
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self { handshake: Duration::from_secs(10), order_wait: Duration::from_secs(30), redirect_to: None, hsts: None }
    }
}

/// Why TLS cannot be offered.
#[derive(Debug, thiserror::Error)]
#[error("prepare TLS")]
pub struct TlsError(#[source] rustls::Error);

/// TLS of one node, for all of its listeners.
pub struct Tls {
    config: TlsConfig,
    certifier: Arc<Certifier>,
    keys: Arc<Keys>,
    /// For everybody who calls.
    service: Arc<ServerConfig>,
    hsts: Option<HeaderValue>,
    pub(crate) counts: HandshakeCounts,
}

impl Tls {
    /// TLS 1.2 and 1.3, with session tickets, HTTP/2 and HTTP/1.1.
    pub fn new(certifier: Arc<Certifier>, config: TlsConfig) -> Result<Arc<Self>, TlsError> {
        let keys = Arc::new(Keys::new(certifier.clone()));
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().map_err(TlsError)?;
        let mut service = builder.with_no_client_auth().with_cert_resolver(keys.clone());
        service.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
        service.ticketer = aws_lc_rs::Ticketer::new().map_err(TlsError)?;
        let hsts = config.hsts.map(|life| crate::reply::text_value(&format!("max-age={}", life.as_secs())));
        Ok(Arc::new(Self {
            config,
            certifier,
            keys,
            service: Arc::new(service),
            hsts,
            counts: HandshakeCounts::default(),
        }))
    }

    pub(crate) fn certifier(&self) -> &Certifier {
        &self.certifier
    }

    /// The answer to a plain request that is not for the API: ACME's question, or the way to `https`.
    pub(crate) fn answer_plain<B>(&self, request: &Request<B>, peer: IpAddr) -> Option<Reply> {
        plain::challenge(self.certifier.board(), request)
            .or_else(|| plain::redirect(self.config.redirect_to?, request, peer))
    }

    /// What every reply over TLS carries. A function that says it itself knows better.
    pub(crate) fn add_headers(&self, reply: &mut Reply) {
        const HSTS: HeaderName = header::STRICT_TRANSPORT_SECURITY;
        if let Some(hsts) = self.hsts.as_ref().filter(|_| !reply.headers().contains_key(HSTS)) {
            reply.headers_mut().insert(HSTS, hsts.clone());
        }
    }

    /// How many certificates have so many days left: labels of a metric, bounded.
    pub(crate) fn certificates_by_days_left(&self, now: Timestamp) -> [(&'static str, u64); 5] {
        let mut counted = [("0", 0), ("1", 0), ("7", 0), ("30", 0), ("more", 0)];
        for certificate in self.certifier.book().all() {
            let hours = certificate.not_after.duration_since(now).as_hours();
            let bucket = match hours {
                ..=0 => 0,
                1..=24 => 1,
                25..=168 => 2,
                169..=720 => 3,
                _ => 4,
            };
            counted[bucket].1 += 1;
        }
        counted
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.config.fmt(f)
    }
}
