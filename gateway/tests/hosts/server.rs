//! A gateway that listens, with functions of every kind, and a client that sends whatever bytes a test likes.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use gateway::{EdgeConfig, GatewayConfig, bind, serve};
use hyper::body::Body;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use platform::{ChainConfig, Config};
use ports::BoxError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{House, mirror};

/// The base domain of these tests.
pub const BASE: &str = "apps.test";
/// Nothing here may take this long.
pub const GUARD: Duration = Duration::from_secs(60);
/// Short enough to wait for, long enough for everything else.
pub const SHORT: Duration = Duration::from_millis(300);

pub struct Server {
    pub house: House,
    address: SocketAddr,
    _stop: CancellationToken,
    _serving: JoinHandle<()>,
}

impl Server {
    pub async fn start() -> Self {
        Self::start_with(EdgeConfig::default()).await
    }

    pub async fn start_with(edge: EdgeConfig) -> Self {
        Self::start_as(GatewayConfig { edge, ..GatewayConfig::default() }).await
    }

    pub async fn start_as(config: GatewayConfig) -> Self {
        Self::start_on(config, None).await
    }

    /// With code from a chain.
    pub async fn start_on(config: GatewayConfig, chain: Option<ChainConfig>) -> Self {
        let config = GatewayConfig { base_domain: BASE.to_owned(), ..config };
        let house = House::open_on(config, Config::default(), chain).await;
        let mut bound = bind("127.0.0.1:0".parse().expect("an address"), 1).expect("a free port");
        let listener = bound.listeners.pop().expect("one shard");
        let listener = TcpListener::from_std(listener).expect("it is not blocking");
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, house.gateway.clone(), stop.clone()));
        Self { house, address: bound.address, _stop: stop, _serving: serving }
    }

    /// Deploys a public worker of one of the words of [`mirror`], or with further fields.
    pub async fn worker(&self, name: &str, word: &[u8], more: &[(&str, &str)]) {
        let fields = [&[("engine", "worker"), ("is_public", "true")], more].concat();
        let seen = self.house.deploy(name, word, &fields).await;
        assert_eq!(seen.status, 201, "{seen:?}");
    }

    /// A server with the function `mirror`.
    pub async fn with_mirror() -> Self {
        let server = Self::start().await;
        server.worker("mirror", mirror::MIRROR, &[]).await;
        server
    }

    /// A client of HTTP/2 by prior knowledge.
    pub async fn http2<B>(&self) -> http2::SendRequest<B>
    where
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
    {
        let tcp = TcpStream::connect(self.address).await.expect("the server accepts");
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(tcp)).await.expect("both speak HTTP/2");
        tokio::spawn(connection);
        sender
    }

    pub async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.address).await.expect("the server accepts"))
    }

    /// Everything the server says to `bytes`, until it closes.
    pub async fn says(&self, bytes: impl AsRef<[u8]>) -> Reply {
        let mut client = self.connect().await;
        client.send(bytes).await;
        Reply::of(client.rest().await)
    }

    /// The reply to a request without a body.
    pub async fn get(&self, host: &str, path: &str, headers: &str) -> Reply {
        self.says(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}\r\n")).await
    }

    /// The reply to a request with a body.
    pub async fn post(&self, host: &str, path: &str, headers: &str, body: &[u8]) -> Reply {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n"
        );
        self.says([head.as_bytes(), body].concat()).await
    }
}

pub struct Client(pub TcpStream);

impl Client {
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.expect("the server reads");
    }

    /// Everything up to the end of the connection, a reset included.
    pub async fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let read = async { while self.0.read_buf(&mut bytes).await.is_ok_and(|count| count > 0) {} };
        tokio::time::timeout(GUARD, read).await.expect("the server closes");
        bytes
    }

    /// Up to the bytes that a test waits for, and no further than the last read.
    pub async fn until(&mut self, wanted: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let read = async {
            while !bytes.windows(wanted.len()).any(|window| window == wanted) {
                let count = self.0.read_buf(&mut bytes).await.expect("the server answers");
                assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&bytes));
            }
        };
        tokio::time::timeout(GUARD, read).await.expect("it comes");
        bytes
    }
}

/// A reply, taken apart.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Without the framing of chunks.
    pub body: Vec<u8>,
    pub trailers: Vec<(String, Vec<u8>)>,
    /// Did the body end as its framing says?
    pub whole: bool,
}

impl Reply {
    pub fn of(bytes: Vec<u8>) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no head: {:?}", String::from_utf8_lossy(&bytes)));
        let (head, raw) = (&bytes[..end], &bytes[end + 4..]);
        let (line, lines) = split_once(head, b"\r\n");
        let status = std::str::from_utf8(&line[9..12]).expect("text").parse().expect("a status");
        let mut reply = Self { status, headers: fields(lines), body: raw.to_vec(), trailers: vec![], whole: true };
        if reply.header("transfer-encoding") == "chunked" {
            reply.unchunk();
        } else if let Ok(length) = reply.header("content-length").parse::<usize>() {
            reply.whole = reply.body.len() == length;
        }
        reply
    }

    fn unchunk(&mut self) {
        let raw = std::mem::take(&mut self.body);
        let mut rest = raw.as_slice();
        loop {
            let (size, after) = split_once(rest, b"\r\n");
            let Some(size) = std::str::from_utf8(size).ok().and_then(|size| usize::from_str_radix(size, 16).ok())
            else {
                self.whole = false;
                return;
            };
            if size == 0 {
                self.trailers = fields(after.strip_suffix(b"\r\n\r\n").unwrap_or_default());
                return;
            }
            let piece = &after[..size.min(after.len())];
            self.body.extend_from_slice(piece);
            rest = after.get(size + 2..).unwrap_or_default();
        }
    }

    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| std::str::from_utf8(value).expect("text"))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

fn split_once<'a>(bytes: &'a [u8], by: &[u8]) -> (&'a [u8], &'a [u8]) {
    match bytes.windows(by.len()).position(|window| window == by) {
        Some(at) => (&bytes[..at], &bytes[at + by.len()..]),
        None => (bytes, b""),
    }
}

fn fields(mut lines: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut fields = Vec::new();
    while !lines.is_empty() {
        let (line, rest) = split_once(lines, b"\r\n");
        let (name, value) = split_once(line, b":");
        fields.push((String::from_utf8_lossy(name).to_lowercase(), value.trim_ascii().to_vec()));
        lines = rest;
    }
    fields
}
