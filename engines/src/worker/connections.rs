//! Connections to a process, kept for further requests.

use std::io;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use ports::BoxError;

use super::folder::Folder;
use super::{config, locked};

/// workerd closes a connection that was idle for 15 s; before that, no request can meet its end.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// Idle ones of one process.
const KEPT_MAX: usize = 64;
/// What we read of a head; workerd may send as much.
const HEAD_BYTES_MAX: usize = 128 << 10;
const HEADERS_MAX: usize = 1000;

pub(super) type RequestBody = UnsyncBoxBody<Bytes, BoxError>;

/// Why there is no reply.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("connect")]
    Connect(#[source] io::Error),
    #[error("exchange HTTP")]
    Http(#[source] hyper::Error),
}

impl Broken {
    /// Was it the head of the reply that was more than we read?
    pub(super) fn is_head_too_large(&self) -> bool {
        matches!(self, Self::Http(cause) if cause.is_parse_too_large())
    }
}

pub(super) type Connection = SendRequest<RequestBody>;

#[derive(Default)]
pub(super) struct Connections(Mutex<Vec<(Connection, Instant)>>);

impl Connections {
    /// Sends a request over an idle connection, or a new one. The connection comes with the reply; see [`Connections::keep`].
    pub(super) async fn send(
        &self,
        folder: &Folder,
        mut request: Request<RequestBody>,
    ) -> Result<(Response<Incoming>, Connection), Broken> {
        while let Some(mut connection) = self.idle() {
            match connection.try_send_request(request).await {
                Ok(reply) => return Ok((reply, connection)),
                Err(mut failed) => match failed.take_message() {
                    // Closed before anything was sent: nothing is lost.
                    Some(unsent) => request = unsent,
                    None => return Err(Broken::Http(failed.into_error())),
                },
            }
        }
        let mut connection = connect(folder).await?;
        let reply = connection.send_request(request).await.map_err(Broken::Http)?;
        Ok((reply, connection))
    }

    /// For the next request. One whose last request is not over yet is not used before it is.
    pub(super) fn keep(&self, connection: Connection) {
        let mut kept = locked(&self.0);
        if kept.len() < KEPT_MAX {
            kept.push((connection, Instant::now()));
        }
    }

    /// The youngest that is ready.
    fn idle(&self) -> Option<Connection> {
        let mut kept = locked(&self.0);
        kept.retain(|(connection, since)| since.elapsed() < IDLE_MAX && !connection.is_closed());
        let ready = kept.iter().rposition(|(connection, _)| connection.is_ready())?;
        Some(kept.swap_remove(ready).0)
    }
}

async fn connect(folder: &Folder) -> Result<Connection, Broken> {
    let stream = folder.connect(config::HTTP_SOCKET).await.map_err(Broken::Connect)?;
    let handshake =
        http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).max_headers(HEADERS_MAX).handshake(TokioIo::new(stream));
    let (connection, driver) = handshake.await.map_err(Broken::Http)?;
    // Beside who asks, so that a request changes no thread. It ends with the connection; how, is seen by who waits for a reply.
    tokio::spawn(async move { drop(driver.with_upgrades().await) });
    Ok(connection)
}
