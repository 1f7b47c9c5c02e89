//! Two clients: one of a library, which keeps the rules, and one that sends whatever bytes a test likes.

use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::server::GUARD;

/// The key of the standard's example.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

pub struct Client(pub WebSocketStream<TcpStream>);

impl Client {
    pub async fn open(address: SocketAddr, path: &str, key: &str) -> Self {
        Self::try_open(address, path, key).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub async fn try_open(address: SocketAddr, path: &str, key: &str) -> Result<Self, Error> {
        let tcp = connect(address).await;
        let mut request = format!("ws://{address}{path}").into_client_request().expect("an address");
        if !key.is_empty() {
            request.headers_mut().insert("x-api-key", key.parse().expect("a header value"));
        }
        tokio_tungstenite::client_async(request, tcp).await.map(|(socket, _)| Self(socket))
    }

    pub async fn text(&mut self, text: impl Into<String>) {
        self.send(Message::text(text.into())).await;
    }

    pub async fn binary(&mut self, bytes: impl Into<Bytes>) {
        self.send(Message::Binary(bytes.into())).await;
    }

    pub async fn send(&mut self, message: Message) {
        self.0.send(message).await.expect("the server reads");
    }

    /// The next message that is not about the connection itself.
    pub async fn next(&mut self) -> Message {
        loop {
            let message = tokio::time::timeout(GUARD, self.0.next()).await.expect("something comes");
            match message.expect("the socket is open").expect("the server keeps the rules") {
                Message::Ping(_) | Message::Pong(_) => {}
                message => return message,
            }
        }
    }

    pub async fn next_text(&mut self) -> String {
        match self.next().await {
            Message::Text(text) => text.to_string(),
            other => panic!("not a text: {other:?}"),
        }
    }

    pub async fn next_json(&mut self) -> Value {
        let text = self.next_text().await;
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("not JSON: {text}"))
    }

    /// Says something and hears the answer.
    pub async fn ask(&mut self, text: &str) -> String {
        self.text(text).await;
        self.next_text().await
    }

    pub async fn ask_json(&mut self, text: &str) -> Value {
        self.text(text).await;
        self.next_json().await
    }

    /// Code and reason of the goodbye, and then the end of the connection.
    pub async fn goodbye(&mut self) -> (u16, String) {
        let Message::Close(frame) = self.next().await else { panic!("not a goodbye") };
        let frame = frame.expect("it has a code");
        // Answers it, and waits for the end.
        let ended = async { while let Some(Ok(_)) = self.0.next().await {} };
        tokio::time::timeout(GUARD, ended).await.expect("the server closes");
        (frame.code.into(), frame.reason.to_string())
    }

    /// Leaves as a client should.
    pub async fn leave(mut self) {
        self.0.close(None).await.expect("it is open");
        let ended = async { while let Some(Ok(_)) = self.0.next().await {} };
        tokio::time::timeout(GUARD, ended).await.expect("the server answers");
    }
}

/// Sends at once: on a paused clock, nothing waits for the other end to acknowledge.
async fn connect(address: SocketAddr) -> TcpStream {
    let tcp = TcpStream::connect(address).await.expect("the server accepts");
    tcp.set_nodelay(true).expect("it is open");
    tcp
}

/// A connection without any rules.
pub struct Raw(pub TcpStream);

impl Raw {
    pub async fn connect(address: SocketAddr) -> Self {
        Self(connect(address).await)
    }

    /// A good request for a socket, with further headers.
    pub fn request(path: &str, headers: &[(&str, &str)]) -> String {
        let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!(
            "GET {path} HTTP/1.1\r\nhost: orama.example\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n{more}\r\n"
        )
    }

    /// Asks for a socket; the head of the reply, and the body if it is refused.
    pub async fn upgrade(&mut self, path: &str, headers: &[(&str, &str)]) -> String {
        self.send(Self::request(path, headers)).await;
        self.reply().await
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.expect("the server reads");
    }

    /// One reply, by its `content-length`.
    pub async fn reply(&mut self) -> String {
        let mut bytes = Vec::new();
        let read = async {
            loop {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                if let Some((head, body)) = text.split_once("\r\n\r\n") {
                    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                    let length: usize = length.map_or(0, |length| length.parse().expect("a length"));
                    if body.len() >= length {
                        return text;
                    }
                }
                // One at a time: what follows a head of 101 is frames.
                let byte = self.0.read_u8().await.unwrap_or_else(|_| panic!("closed after {text:?}"));
                bytes.push(byte);
            }
        };
        tokio::time::timeout(GUARD, read).await.expect("the server answers")
    }

    /// A masked frame: `first` has the last-frame bit, the reserved bits and the kind.
    pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [0x11, 0x22, 0x33, 0x44];
        let mut bytes = Self::head(first, payload.len() as u64);
        bytes.extend_from_slice(&mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    /// The head of a masked frame, without the mask.
    pub fn head(first: u8, length: u64) -> Vec<u8> {
        let mut bytes = vec![first];
        match length {
            0..126 => bytes.push(0x80 | length as u8),
            126..65536 => {
                bytes.push(0x80 | 126);
                bytes.extend_from_slice(&(length as u16).to_be_bytes());
            }
            _ => {
                bytes.push(0x80 | 127);
                bytes.extend_from_slice(&length.to_be_bytes());
            }
        }
        bytes
    }

    pub async fn send_frame(&mut self, first: u8, payload: &[u8]) {
        self.send(Self::frame(first, payload)).await;
    }

    /// The next frame: its first byte and its payload.
    pub async fn next_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let read = async {
            let first = self.0.read_u8().await.ok()?;
            let length = match self.0.read_u8().await.ok()? {
                126 => u64::from(self.0.read_u16().await.ok()?),
                127 => self.0.read_u64().await.ok()?,
                short => u64::from(short),
            };
            let mut payload = vec![0; usize::try_from(length).expect("it fits")];
            self.0.read_exact(&mut payload).await.ok()?;
            Some((first, payload))
        };
        tokio::time::timeout(GUARD, read).await.expect("the server says something or closes")
    }

    /// Code and reason of the goodbye, whatever comes before, and then the end; 0 for an end without a goodbye.
    pub async fn goodbye(&mut self) -> (u16, String) {
        let mut said = (0, String::new());
        while let Some((first, payload)) = self.next_frame().await {
            if first == 0x88 {
                let (code, reason) = payload.split_at(2);
                let reason = String::from_utf8(reason.to_vec()).expect("text");
                said = (u16::from_be_bytes([code[0], code[1]]), reason);
            }
        }
        said
    }
}
