//! Connections to a process, kept for further requests.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderValue, Method, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use ports::BoxError;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::runtime::{self, Handle};
use tokio::task::AbortHandle;

use super::folder::Folder;
use super::{config, locked};

/// workerd closes a connection that was idle for 15 s; before that, no request can meet its end.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// Idle ones of one process, for each runtime that asks.
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

/// A connection, and the task that drives it. Dropped, it is closed, whatever is still under way: the rest of a request's body too.
pub(super) struct Connection {
    sender: SendRequest<RequestBody>,
    driver: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

#[derive(Default)]
pub(super) struct Connections(Mutex<HashMap<runtime::Id, Vec<(Connection, Instant)>>>);

impl Connections {
    /// Sends a request over an idle connection, or a new one. The connection comes with the reply; see [`Connections::keep`].
    pub(super) async fn send(
        &self,
        folder: &Folder,
        mut request: Request<RequestBody>,
    ) -> Result<(Response<Incoming>, Connection), Broken> {
        while let Some(mut connection) = self.idle() {
            match connection.sender.try_send_request(request).await {
                Ok(reply) => return Ok((reply, connection)),
                Err(mut failed) => match failed.take_message() {
                    // Closed before anything was sent: nothing is lost.
                    Some(unsent) => request = unsent,
                    None => return Err(Broken::Http(failed.into_error())),
                },
            }
        }
        let mut connection = connect(folder, config::HTTP_SOCKET).await?;
        let reply = connection.sender.send_request(request).await.map_err(Broken::Http)?;
        Ok((reply, connection))
    }

    /// For the next request from this runtime, which drives the connection: another would have to wake it for every piece.
    /// One whose last request is not over yet is not used before it is.
    pub(super) fn keep(&self, connection: Connection) {
        let mut kept = locked(&self.0);
        let kept = kept.entry(Handle::current().id()).or_default();
        if kept.len() < KEPT_MAX {
            kept.push((connection, Instant::now()));
        }
    }

    /// The youngest that is ready.
    fn idle(&self) -> Option<Connection> {
        let mut kept = locked(&self.0);
        let kept = kept.get_mut(&Handle::current().id())?;
        kept.retain(|(connection, since)| since.elapsed() < IDLE_MAX && !connection.sender.is_closed());
        let ready = kept.iter().rposition(|(connection, _)| connection.sender.is_ready())?;
        Some(kept.swap_remove(ready).0)
    }
}

/// Asks for nothing in particular over a connection of its own.
pub(super) async fn is_answered(folder: &Folder, socket: &str) -> Result<(), Broken> {
    let mut request = Request::new(RequestBody::new(Empty::new().map_err(|never| match never {})));
    *request.method_mut() = Method::HEAD;
    request.headers_mut().insert(HOST, HeaderValue::from_static("orama"));
    let mut connection = connect(folder, socket).await?;
    let reply = connection.sender.send_request(request).await;
    reply.map(drop).map_err(Broken::Http)
}

async fn connect(folder: &Folder, socket: &str) -> Result<Connection, Broken> {
    let stream = folder.connect(socket).await.map_err(Broken::Connect)?;
    let stream = TokioIo::new(Lenient { stream, is_deaf: false });
    let handshake = http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).max_headers(HEADERS_MAX).handshake(stream);
    let (sender, driver) = handshake.await.map_err(Broken::Http)?;
    // Beside who asks, so that a request changes no thread. It ends with the connection; how, is seen by who waits for a reply.
    let driver = tokio::spawn(async move { drop(driver.with_upgrades().await) });
    Ok(Connection { sender, driver: driver.abort_handle() })
}

/// A stream to a process that may answer without reading all that it is sent: what it does not take is thrown away, so that its
/// answer is read.
struct Lenient {
    stream: UnixStream,
    is_deaf: bool,
}

impl Lenient {
    fn forgive(&mut self, written: Poll<io::Result<usize>>, bytes: usize) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Err(error))
                if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) =>
            {
                self.is_deaf = true;
                Poll::Ready(Ok(bytes))
            }
            other => other,
        }
    }
}

impl AsyncRead for Lenient {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Lenient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_deaf {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.forgive(written, bytes.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all = slices.iter().map(|slice| slice.len()).sum();
        if self.is_deaf {
            return Poll::Ready(Ok(all));
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.forgive(written, all)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
