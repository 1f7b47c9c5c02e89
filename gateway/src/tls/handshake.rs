//! One handshake, from the first byte to an encrypted stream, or to the reason why there is none.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{Acceptor, ClientHello};
use rustls::sign::SingleCertAndKey;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake};

use super::{Tls, keys};

/// What an ACME server speaks that looks at our certificate (RFC 8737, section 6.2).
const ACME_TLS: &[u8] = b"acme-tls/1";
/// The first byte of a record with a handshake (RFC 8446, section 5.1).
const HANDSHAKE_RECORD: u8 = 22;

/// Why a connection did not become an encrypted one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The client went away.
    Closed,
    TooSlow,
    /// It speaks plain HTTP, and can be told so.
    PlainHttp,
    /// It speaks something else.
    NotTls,
    /// TLS, but not one that we speak: too old, nothing in common, or broken.
    Protocol,
    NoCertificate,
    /// Nothing is wrong: it was the question of an ACME server, which is answered.
    Challenge,
}

impl Refused {
    pub(super) const ALL: [Self; 7] = [
        Self::Closed,
        Self::TooSlow,
        Self::PlainHttp,
        Self::NotTls,
        Self::Protocol,
        Self::NoCertificate,
        Self::Challenge,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::TooSlow => "too_slow",
            Self::PlainHttp => "plain_http",
            Self::NotTls => "not_tls",
            Self::Protocol => "protocol",
            Self::NoCertificate => "no_certificate",
            Self::Challenge => "acme_challenge",
        }
    }
}

impl Tls {
    /// Makes the handshake. A client that turns out to speak plain HTTP is given back, to be told.
    pub(crate) async fn accept(
        &self,
        tcp: TcpStream,
        first_byte: Duration,
    ) -> Result<TlsStream<TcpStream>, (Refused, Option<TcpStream>)> {
        let accepted = match check_first_byte(&tcp, first_byte).await {
            Ok(()) => self.shake_hands(tcp).await.map_err(|why| (why, None)),
            Err(why) => Err((why, Some(tcp))),
        };
        match &accepted {
            Ok(_) => self.counts.done(),
            Err((why, _)) => self.counts.refused(*why),
        }
        accepted
    }

    async fn shake_hands(&self, tcp: TcpStream) -> Result<TlsStream<TcpStream>, Refused> {
        let hello = LazyConfigAcceptor::new(Acceptor::default(), tcp);
        let start = match timeout(self.config.handshake, hello).await {
            Err(_) => return Err(Refused::TooSlow),
            Ok(start) => start.map_err(|error| why(&error))?,
        };
        let name = start.client_hello().server_name().map(str::to_ascii_lowercase);
        if is_acme(&start.client_hello()) {
            return self.answer_challenge(start, name.as_deref()).await;
        }
        self.obtain(name.as_deref()).await?;
        // What the client still has to do, it does in the same time again: the wait before was ours.
        self.finish(start, self.service.clone()).await
    }

    async fn finish(
        &self,
        start: StartHandshake<TcpStream>,
        config: Arc<ServerConfig>,
    ) -> Result<TlsStream<TcpStream>, Refused> {
        match timeout_at(Instant::now() + self.config.handshake, start.into_stream(config)).await {
            Err(_) => Err(Refused::TooSlow),
            Ok(finished) => finished.map_err(|error| why(&error)),
        }
    }

    /// Waits for the order where a name has no certificate yet.
    async fn obtain(&self, name: Option<&str>) -> Result<(), Refused> {
        if self.keys.has(name) {
            return Ok(());
        }
        if let Some(name) = name {
            // How it ended shows in the book.
            let _ = timeout(self.config.order_wait, self.certifier.obtain(name)).await;
        }
        match self.keys.has(name) || self.keys.has(None) {
            true => Ok(()),
            false => Err(Refused::NoCertificate),
        }
    }

    /// The handshake itself is the answer.
    async fn answer_challenge(
        &self,
        start: StartHandshake<TcpStream>,
        name: Option<&str>,
    ) -> Result<TlsStream<TcpStream>, Refused> {
        let posted = name.and_then(|name| self.certifier.board().tls_answer(name));
        let config = posted.and_then(|certificate| challenge_config(&certificate));
        let mut stream = self.finish(start, config.ok_or(Refused::NoCertificate)?).await?;
        let _ = timeout(self.config.handshake, stream.shutdown()).await;
        Err(Refused::Challenge)
    }
}

async fn check_first_byte(tcp: &TcpStream, limit: Duration) -> Result<(), Refused> {
    let mut first = [0];
    match timeout(limit, tcp.peek(&mut first)).await {
        Err(_) => Err(Refused::TooSlow),
        Ok(Err(_) | Ok(0)) => Err(Refused::Closed),
        Ok(Ok(_)) => match first[0] {
            HANDSHAKE_RECORD => Ok(()),
            b'A'..=b'Z' => Err(Refused::PlainHttp),
            _ => Err(Refused::NotTls),
        },
    }
}

fn is_acme(hello: &ClientHello<'_>) -> bool {
    hello.alpn().is_some_and(|mut protocols| protocols.any(|protocol| protocol == ACME_TLS))
}

fn challenge_config(certificate: &ports::Certificate) -> Option<Arc<ServerConfig>> {
    let key = keys::make_ready(certificate).ok()?;
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().ok()?.with_no_client_auth();
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
    config.alpn_protocols = vec![ACME_TLS.to_vec()];
    Some(Arc::new(config))
}

fn why(error: &io::Error) -> Refused {
    match error.get_ref().is_some_and(|cause| cause.is::<rustls::Error>()) {
        true => Refused::Protocol,
        false => Refused::Closed,
    }
}
