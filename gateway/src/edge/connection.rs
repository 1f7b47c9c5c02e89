//! One connection: its handshake, which protocol it speaks, its requests, its end, or the socket that it becomes.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Version, header};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::connections::Place;
use super::stream::{GuardedStream, Shared};
use super::transport::Transport;
use super::{EdgeConfig, Scheme, admission};
use crate::Gateway;
use crate::body::{RequestBody, Rest};
use crate::error::Refusal;
use crate::hosts::ByTls;
use crate::reply::Reply;
use crate::tls::Refused;
use crate::websocket::{Next, Switched};

/// What a client that speaks HTTP/2 by prior knowledge sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The bytes that are read before the protocol is decided: most heads fit.
const SNIFF_BYTES: usize = 1024;
/// Streams at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 100;
/// What a client may send before anybody has read it: for a request, and for all of a connection. Some requests that nobody reads must
/// not hold up the others.
const STREAM_WINDOW_BYTES: u32 = 512 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 4 * STREAM_WINDOW_BYTES;
const PING_AFTER: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

/// How a client's requests come to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Channel {
    Plain,
    Tls,
    /// To the listener of TLS, without TLS: told so, and no more.
    Astray,
}

/// Whose requests they are.
#[derive(Clone, Copy)]
struct Client {
    peer: IpAddr,
    channel: Channel,
}

/// Serves a connection to its end. How it ends is the client's affair: nothing here is an error of ours.
pub(super) async fn serve(
    tcp: TcpStream,
    place: Place,
    scheme: Scheme,
    gateway: Arc<Gateway>,
    shutdown: CancellationToken,
) {
    // Boxed: what serves requests is large, and gone when the connection has become a socket, which may live for days.
    let peer = place.peer;
    let switched = Box::pin(serve_requests(tcp, peer, scheme, gateway, shutdown.clone())).await;
    let Some((next, transport, early)) = switched else { return };
    (next.run)(Switched { transport, early, place, stopping: shutdown }).await;
}

/// What a connection has become: what is to be done with it, the stream, and what the client sent too early.
type Became = (Next, Transport, Bytes);

async fn serve_requests(
    tcp: TcpStream,
    peer: IpAddr,
    scheme: Scheme,
    gateway: Arc<Gateway>,
    shutdown: CancellationToken,
) -> Option<Became> {
    // Replies are written whole; waiting for more to send would only delay them.
    let _ = tcp.set_nodelay(true);
    let config = &gateway.config.edge;
    let opened = async {
        let (mut transport, channel) = open(tcp, scheme, &gateway).await?;
        let (protocol, bytes) = sniff(&mut transport, config).await.ok()?;
        Some((transport, channel, protocol, bytes))
    };
    let opened = tokio::select! {
        opened = opened => opened,
        () = shutdown.cancelled() => return None,
    };
    let (transport, channel, protocol, bytes) = opened?;
    let client = Client { peer, channel };
    let shared = Arc::new(Shared::default());
    let stream = GuardedStream::new(transport, bytes, protocol == Protocol::Http1, shared.clone(), gateway.clone());
    match protocol {
        Protocol::Http1 => serve_http1(stream, shared, client, &gateway, shutdown).await,
        Protocol::Http2 => {
            serve_http2(stream, shared, client, &gateway, shutdown).await;
            None
        }
    }
}

/// Makes the handshake where one is due.
async fn open(tcp: TcpStream, scheme: Scheme, gateway: &Gateway) -> Option<(Transport, Channel)> {
    let tls = match scheme {
        Scheme::Http => return Some((Transport::Tcp(tcp), Channel::Plain)),
        Scheme::Https => gateway.config.tls.as_ref()?,
    };
    match tls.accept(tcp, gateway.config.edge.first_byte).await {
        Ok(stream) => Some((Transport::tls(stream), Channel::Tls)),
        Err((Refused::PlainHttp, Some(tcp))) => Some((Transport::Tcp(tcp), Channel::Astray)),
        Err(_) => None,
    }
}

/// Reads until the bytes differ from the preface of HTTP/2, or are it.
async fn sniff(transport: &mut Transport, config: &EdgeConfig) -> io::Result<(Protocol, Vec<u8>)> {
    let mut bytes = Vec::with_capacity(SNIFF_BYTES);
    read_some(transport, &mut bytes, config.first_byte).await?;
    timeout(config.header, async {
        loop {
            let compared = bytes.len().min(PREFACE.len());
            match bytes[..compared] == PREFACE[..compared] {
                false => return Ok((Protocol::Http1, bytes)),
                true if compared == PREFACE.len() => return Ok((Protocol::Http2, bytes)),
                true => read_some(transport, &mut bytes, config.header).await?,
            }
        }
    })
    .await?
}

async fn read_some(transport: &mut Transport, bytes: &mut Vec<u8>, limit: Duration) -> io::Result<()> {
    match timeout(limit, transport.read_buf(bytes)).await?? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

async fn serve_http1(
    stream: GuardedStream,
    shared: Arc<Shared>,
    client: Client,
    gateway: &Arc<Gateway>,
    shutdown: CancellationToken,
) -> Option<Became> {
    let next = Mutex::new(None);
    let service = service_fn(async |request| {
        let mut reply = answer(gateway.clone(), shared.clone(), client, request).await;
        *next.lock().expect("no holder panics") = Next::of(&mut reply);
        Ok::<_, Infallible>(reply)
    });
    let mut builder = http1::Builder::new();
    // The stream has the timers: hyper's own would also end connections that merely rest between two requests.
    builder.timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(buffer_bytes(&gateway.config.edge));
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service).with_upgrades());
    let served = tokio::select! {
        biased;
        served = connection.as_mut() => served,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.as_mut().await
        }
    };
    let next = next.lock().expect("no holder panics").take()?;
    served.ok()?;
    take_over(next).await
}

/// Takes the stream back from the HTTP library, without any of its buffers.
async fn take_over(mut next: Next) -> Option<Became> {
    let upgraded = (&mut next.on_upgrade).await.ok()?;
    let parts = upgraded.downcast::<TokioIo<GuardedStream>>().ok()?;
    let (transport, unread) = parts.io.into_inner().into_parts();
    // Copied, so that a few bytes do not keep the buffer that they are in.
    let early = Bytes::from([parts.read_buf.as_ref(), &unread].concat());
    Some((next, transport, early))
}

/// Room for the largest head that `admission` lets through, and a little more, so that it is `admission` that refuses.
fn buffer_bytes(config: &EdgeConfig) -> usize {
    config.header_bytes_max + config.uri_bytes_max + (16 << 10)
}

async fn serve_http2(
    stream: GuardedStream,
    shared: Arc<Shared>,
    client: Client,
    gateway: &Arc<Gateway>,
    shutdown: CancellationToken,
) {
    let config = &gateway.config.edge;
    let for_requests = (gateway.clone(), shared.clone());
    let service = service_fn(move |request| {
        let (gateway, shared) = for_requests.clone();
        async move { Ok::<_, Infallible>(answer(gateway, shared, client, request).await) }
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(config.write)
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(u32::try_from(config.header_bytes_max).unwrap_or(u32::MAX));
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ = connection.as_mut() => return,
        () = shutdown.cancelled() => {}
        () = idle(&shared, config.keep_alive) => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        _ = connection => {}
        () = idle(&shared, config.write) => {}
    }
}

/// Ends when no request ran and none came for `limit`: pings alone do not keep a connection.
async fn idle(shared: &Shared, limit: Duration) {
    loop {
        let before = shared.begun();
        tokio::time::sleep(limit).await;
        if shared.running() == 0 && shared.begun() == before {
            return;
        }
    }
}

async fn answer(gateway: Arc<Gateway>, shared: Arc<Shared>, client: Client, request: Request<Incoming>) -> Reply {
    let running = shared.begin();
    let version = request.version();
    let rest = (version == Version::HTTP_2).then(|| Rest::of(&request, &gateway.config.edge)).flatten();
    let request = request.map(|body| RequestBody::arriving(body, rest.clone()));
    let mut reply = match admission::check(&request, running.ambiguous, &gateway.config.edge) {
        Ok(()) => answer_admitted(&gateway, client, request).await,
        Err(refusal) => gateway.refuse(refusal),
    };
    if version == Version::HTTP_2 {
        // There, connections end by frames.
        reply.headers_mut().remove(header::CONNECTION);
    }
    if let Some(rest) = rest {
        rest.before_the_end_of(&mut reply).await;
    }
    // While the client takes a long body the connection is not idle.
    reply.body_mut().hold(running);
    reply
}

/// What TLS has to say to a request comes before what the API has.
async fn answer_admitted(gateway: &Arc<Gateway>, client: Client, request: Request<RequestBody>) -> Reply {
    let Client { peer, channel } = client;
    let tls = gateway.config.tls.as_deref();
    match channel {
        Channel::Astray => gateway.refuse(Refusal::invalid("this port speaks TLS; use `https://`").close()),
        Channel::Plain => match tls.and_then(|tls| tls.answer_plain(&request, peer)) {
            Some(reply) => gateway.adopt(reply),
            None => gateway.handle(request, peer).await,
        },
        Channel::Tls => {
            let mut request = request;
            request.extensions_mut().insert(ByTls);
            let mut reply = gateway.handle(request, peer).await;
            if let Some(tls) = tls {
                tls.add_headers(&mut reply);
            }
            reply
        }
    }
}
