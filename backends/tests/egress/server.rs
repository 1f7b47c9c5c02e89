//! Servers that answer what a test says, byte for byte.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// What a server sends for one request, and what it does then.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    bytes: Vec<u8>,
    then: Then,
}

#[derive(Debug, Clone)]
enum Then {
    Keep,
    Close,
    Reset,
    Hang,
    /// Sends this again and again, as fast as it is read.
    Repeat(Vec<u8>),
    /// The same, slowly.
    Trickle(Vec<u8>),
}

impl Answer {
    pub(crate) fn ok(body: &str) -> Self {
        Self::raw(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
    }

    pub(crate) fn redirect(status: u16, location: &str) -> Self {
        Self::raw(format!("HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"))
    }

    pub(crate) fn encoded(encoding: &str, body: &[u8]) -> Self {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {}\r\n\r\n", body.len());
        Self::raw([head.as_bytes(), body].concat())
    }

    pub(crate) fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), then: Then::Keep }
    }

    pub(crate) fn then_close(self) -> Self {
        Self { then: Then::Close, ..self }
    }

    pub(crate) fn then_reset(self) -> Self {
        Self { then: Then::Reset, ..self }
    }

    pub(crate) fn then_hang(self) -> Self {
        Self { then: Then::Hang, ..self }
    }

    pub(crate) fn then_repeat(self, bytes: impl Into<Vec<u8>>) -> Self {
        Self { then: Then::Repeat(bytes.into()), ..self }
    }

    pub(crate) fn then_trickle(self, bytes: impl Into<Vec<u8>>) -> Self {
        Self { then: Then::Trickle(bytes.into()), ..self }
    }
}

#[derive(Debug)]
struct Seen {
    requests: Mutex<Vec<String>>,
    connections: AtomicUsize,
    /// A permit for each connection that the client closed while the server still had something to say.
    broken_off: Semaphore,
    /// A permit for each request.
    asked: Semaphore,
}

/// A server on a port of its own; it stops when it is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    seen: Arc<Seen>,
    serving: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Server {
    /// Answers every request by `answer`, which gets its head and body.
    pub(crate) async fn start(answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST.into(), 0, answer).await.expect("loopback has a free port")
    }

    pub(crate) async fn start_at(
        ip: IpAddr,
        port: u16,
        answer: impl Fn(&str) -> Answer + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind((ip, port)).await?;
        let address = listener.local_addr()?;
        let seen = Arc::new(Seen {
            requests: Mutex::default(),
            connections: AtomicUsize::new(0),
            broken_off: Semaphore::new(0),
            asked: Semaphore::new(0),
        });
        let serving = tokio::spawn(accept(listener, seen.clone(), Arc::new(answer)));
        Ok(Self { address, seen, serving })
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// The requests so far, as they came.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().expect("no holder panics").clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// Waits until a client closed its connection in the middle of an answer.
    pub(crate) async fn broken_off(&self) {
        let waiting = tokio::time::timeout(Duration::from_secs(20), self.seen.broken_off.acquire());
        waiting.await.expect("the client breaks off").expect("the semaphore is open").forget();
    }

    /// Waits for the next request.
    pub(crate) async fn asked(&self) {
        let waiting = tokio::time::timeout(Duration::from_secs(20), self.seen.asked.acquire());
        waiting.await.expect("a request comes").expect("the semaphore is open").forget();
    }
}

type AnswerFn = Arc<dyn Fn(&str) -> Answer + Send + Sync>;

async fn accept(listener: TcpListener, seen: Arc<Seen>, answer: AnswerFn) {
    while let Ok((stream, _)) = listener.accept().await {
        seen.connections.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(serve(stream, seen.clone(), answer.clone()));
    }
}

async fn serve(mut stream: TcpStream, seen: Arc<Seen>, answer: AnswerFn) {
    while let Some(request) = read_request(&mut stream).await {
        let Answer { bytes, then } = answer(&request);
        seen.requests.lock().expect("no holder panics").push(request);
        seen.asked.add_permits(1);
        if stream.write_all(&bytes).await.is_err() {
            return seen.broken_off.add_permits(1);
        }
        match then {
            Then::Keep => {}
            Then::Close => return,
            Then::Reset => return stream.set_zero_linger().expect("a TCP socket"),
            Then::Hang => {
                while stream.read_u8().await.is_ok() {}
                return seen.broken_off.add_permits(1);
            }
            Then::Repeat(bytes) => {
                while stream.write_all(&bytes).await.is_ok() {}
                return seen.broken_off.add_permits(1);
            }
            Then::Trickle(bytes) => {
                let mut pace = tokio::time::interval(Duration::from_millis(10));
                while stream.write_all(&bytes).await.is_ok() {
                    pace.tick().await;
                }
                return seen.broken_off.add_permits(1);
            }
        }
    }
}

/// A head, and a body as long as `Content-Length` says.
pub(crate) async fn read_request(stream: &mut (impl AsyncReadExt + Unpin)) -> Option<String> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8_lossy(&request).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    request.extend(body);
    Some(String::from_utf8_lossy(&request).into_owned())
}
