//! The sockets: our own accept loop, timers for everything a client can be slow at, and the checks that no HTTP library
//! makes for us.
//!
//! `axum::serve` and hyper alone keep a half-sent header open for ever, and answer requests that have no `Host`, two, or
//! both `Content-Length` and `Transfer-Encoding`. `transport.rs` is TCP or TLS, `stream.rs` has the timers, `framing.rs` sees what the parser hides,
//! `admission.rs` refuses, `connection.rs` serves one connection.

mod admission;
mod connection;
mod connections;
pub(crate) mod framing;
mod illegible;
mod listen;
mod stream;
mod transport;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Gateway;

pub(crate) use connections::{Connections, Place};
pub use listen::{Bound, bind};
pub(crate) use transport::Transport;

/// The limits and timers of the edge.
#[derive(Debug, Clone)]
pub struct EdgeConfig {
    /// From the connection to its first byte.
    pub first_byte: Duration,
    /// From the first byte of a head to its last.
    pub header: Duration,
    /// The longest pause inside a body.
    pub body_idle: Duration,
    /// The least rate of a body, apart from one `body_idle` at its start.
    pub body_bytes_per_second_min: u32,
    /// For all of a body that is read whole; one that streams has as long as its call.
    pub body_total: Duration,
    /// A client of HTTP/2 may pause for so long while a body that nobody reads is taken from it.
    pub unread_idle: Duration,
    /// Between two requests of a connection.
    pub keep_alive: Duration,
    /// How long a client may refuse to take bytes.
    pub write: Duration,
    /// The least rate at which it takes what waits for it, apart from one `write` at its start.
    pub write_bytes_per_second_min: u32,
    /// For running requests, once the server stops.
    pub drain: Duration,
    pub connections_max: usize,
    /// All local clients, and all behind one proxy, share an address.
    pub connections_per_address_max: usize,
    pub headers_max: usize,
    pub header_bytes_max: usize,
    pub uri_bytes_max: usize,
}

impl Default for EdgeConfig {
    fn default() -> Self {
        Self {
            first_byte: Duration::from_secs(10),
            header: Duration::from_secs(10),
            body_idle: Duration::from_secs(15),
            body_bytes_per_second_min: 8 << 10,
            body_total: Duration::from_secs(30 * 60),
            unread_idle: Duration::from_secs(1),
            keep_alive: Duration::from_secs(60),
            write: Duration::from_secs(30),
            write_bytes_per_second_min: 1 << 10,
            drain: Duration::from_secs(30),
            connections_max: 10_000,
            connections_per_address_max: 1000,
            headers_max: 100,
            header_bytes_max: 64 << 10,
            uri_bytes_max: 8 << 10,
        }
    }
}

/// The pause after an accept that failed, so that running out of descriptors does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS, as [`crate::GatewayConfig::tls`] says; without that, every connection is closed.
    Https,
}

/// Accepts and serves plain connections until `shutdown`, then waits for running requests, up to `drain`.
///
/// Run it once for each shard. Connections are tasks of the calling runtime, owned by this future: dropping it ends them.
pub async fn serve(listener: TcpListener, gateway: Arc<Gateway>, shutdown: CancellationToken) {
    serve_as(listener, Scheme::Http, gateway, shutdown).await;
}

/// The same for connections of either kind.
pub async fn serve_as(listener: TcpListener, scheme: Scheme, gateway: Arc<Gateway>, shutdown: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((tcp, peer)) => {
                    if let Some(place) = gateway.connections.admit(peer.ip()) {
                        connections.spawn(connection::serve(tcp, place, scheme, gateway.clone(), shutdown.clone()));
                    }
                }
                Err(error) => back_off(&error).await,
            },
            Some(_) = connections.join_next() => {}
            () = shutdown.cancelled() => break,
        }
    }
    // Whoever connects from here on is told at once that nobody listens.
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(gateway.config.edge.drain, drained).await.is_err() {
        tracing::warn!(open = connections.len(), "connections were closed before their requests ended");
    }
}

/// A client that was gone before we accepted it needs no pause; everything else does.
async fn back_off(error: &io::Error) {
    let client_gone = [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset, io::ErrorKind::Interrupted];
    if !client_gone.contains(&error.kind()) {
        tracing::warn!(cause = error as &dyn std::error::Error, "failed to accept a connection");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}
