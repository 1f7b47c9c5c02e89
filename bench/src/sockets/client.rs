//! The process with the subscribers. It says `ready`, then answers each line on stdin with the milliseconds that one message
//! took to reach all of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::{Notify, mpsc};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// Handshakes at once.
const CONNECTING: usize = 64;
/// How long all sockets rest before they count as idle.
const REST: Duration = Duration::from_secs(3);
const ROUND_MAX: Duration = Duration::from_secs(60);
const PAYLOAD: &str = "sixty-four bytes of text, which is what a small event amounts to";

/// `kind` is `websocket` or `nats`.
pub fn run(arguments: &[String]) -> Result<()> {
    let [kind, address, count] = arguments else { bail!("kind, address and count are missing") };
    let count = count.parse().context("read the count")?;
    tokio::runtime::Runtime::new()?.block_on(subscribe(kind.clone(), address.clone(), count))
}

/// Who has the message of this round.
#[derive(Default)]
struct Seen {
    count: AtomicU32,
    all: Notify,
    wanted: u32,
}

impl Seen {
    fn one(&self) {
        if self.count.fetch_add(1, Ordering::AcqRel) + 1 == self.wanted {
            self.all.notify_one();
        }
    }
}

async fn subscribe(kind: String, address: String, count: u32) -> Result<()> {
    let seen = Arc::new(Seen { wanted: count, ..Seen::default() });
    let (publisher, mut publish) = mpsc::channel::<()>(1);
    let connecting = Arc::new(tokio::sync::Semaphore::new(CONNECTING));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..count {
        let (kind, address, seen, connecting) = (kind.clone(), address.clone(), seen.clone(), connecting.clone());
        tasks.spawn(async move {
            let _place = connecting.acquire_owned().await?;
            // All but the first only listen.
            match kind.as_str() {
                "nats" => Connection::nats(&address, seen).await,
                _ => Connection::websocket(&address, seen).await,
            }
            .with_context(|| format!("connect subscriber {number}"))
        });
    }
    let mut connections = Vec::new();
    while let Some(connected) = tasks.join_next().await {
        connections.push(connected??);
    }
    tokio::time::sleep(REST).await;
    println!("ready");
    tokio::spawn(async move {
        let mut lines = BufReader::new(tokio::io::stdin()).lines();
        while let Ok(Some(_)) = lines.next_line().await {
            if publisher.send(()).await.is_err() {
                return;
            }
        }
    });
    while publish.recv().await.is_some() {
        seen.count.store(0, Ordering::Release);
        let started = Instant::now();
        connections[0].publish().await?;
        let all = tokio::time::timeout(ROUND_MAX, seen.all.notified()).await;
        ensure!(all.is_ok(), "{} of {count} have the message after {ROUND_MAX:?}", seen.count.load(Ordering::Acquire));
        println!("{:.3}", started.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(())
}

/// A subscriber; what it reads is counted by a task of its own.
enum Connection {
    WebSocket(mpsc::Sender<Message>),
    Nats(Box<OwnedWriteHalf>),
}

impl Connection {
    async fn websocket(url: &str, seen: Arc<Seen>) -> Result<Self> {
        let config = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(4096);
        let host = url.trim_start_matches("ws://").split('/').next().context("an address has a host")?;
        let stream = TcpStream::connect(host).await?;
        stream.set_nodelay(true)?;
        let (socket, _) = tokio_tungstenite::client_async_with_config(url, stream, Some(config)).await?;
        let (mut sink, mut stream) = socket.split();
        let (sender, mut outgoing) = mpsc::channel(1);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    message = stream.next() => match message {
                        Some(Ok(Message::Text(_) | Message::Binary(_))) => seen.one(),
                        Some(Ok(_)) => {}
                        _ => return,
                    },
                    Some(message) = outgoing.recv() => if sink.send(message).await.is_err() { return },
                }
            }
        });
        Ok(Self::WebSocket(sender))
    }

    async fn nats(address: &str, seen: Arc<Seen>) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (read, mut write) = stream.into_split();
        let mut read = BufReader::with_capacity(4096, read);
        write.write_all(b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\nSUB all 1\r\nPING\r\n").await?;
        let mut line = String::new();
        while line.trim() != "PONG" {
            line.clear();
            ensure!(read.read_line(&mut line).await? > 0, "NATS closed the connection");
            ensure!(!line.starts_with("-ERR"), "NATS said {line}");
        }
        tokio::spawn(async move {
            let mut payload = Vec::new();
            loop {
                line.clear();
                match read.read_line(&mut line).await {
                    Ok(1..) => {}
                    _ => return,
                }
                let Some(header) = line.strip_prefix("MSG ") else { continue };
                let length: usize = header.trim().rsplit(' ').next().and_then(|size| size.parse().ok()).unwrap_or(0);
                payload.resize(length + 2, 0);
                if read.read_exact(&mut payload).await.is_err() {
                    return;
                }
                seen.one();
            }
        });
        Ok(Self::Nats(Box::new(write)))
    }

    async fn publish(&mut self) -> Result<()> {
        match self {
            Self::WebSocket(sender) => Ok(sender.send(Message::text(PAYLOAD)).await?),
            Self::Nats(write) => {
                let command = format!("PUB all {}\r\n{PAYLOAD}\r\n", PAYLOAD.len());
                Ok(write.write_all(command.as_bytes()).await?)
            }
        }
    }
}
