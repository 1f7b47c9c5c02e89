//! What lasts: WebSockets, events, large bodies; the same over TLS as without.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use gateway::EdgeConfig;
use ports::memory::Script;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::server::{GUARD, HOME, SHORT, Server, Wish};
use crate::support::{Form, with_key};

/// More than a record, than what is read at once, and than what waits for a slow client.
const SIZES: [usize; 4] = [5, 20_000, 100_000, 700_000];
/// Those with what is around them.
const FRAME_BYTES_MAX: &str = "1000000";

#[tokio::test]
async fn a_websocket_carries_messages_of_every_size_both_ways() {
    let server = Server::start().await;
    let fields = [("is_public", "true"), ("ws_max_frame_bytes", FRAME_BYTES_MAX)];
    assert_eq!(server.house.deploy("large", &Script::Echo.code(), &fields).await.status, 201);
    let client = server.connect(HOME).await.expect("a handshake");
    let address = format!("ws://{HOME}/v1/functions/large/ws");
    let (mut socket, reply) = tokio_tungstenite::client_async(address, client.0).await.expect("an upgrade");
    assert_eq!(reply.status(), 101);
    let talk = async {
        for size in SIZES {
            let said = json!("x".repeat(size)).to_string();
            socket.send(Message::text(said.clone())).await.expect("it is taken");
            let answer = socket.next().await.expect("an answer").expect("a frame").into_text().expect("text");
            let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
            assert_eq!(answer["output"].to_string(), said, "{size}");
        }
        // One that waits for what comes next is woken by it.
        socket.send(Message::Ping("p".into())).await.expect("it is taken");
        assert!(matches!(socket.next().await, Some(Ok(Message::Pong(said))) if said == "p"));
        let goodbye = CloseFrame { code: 1000.into(), reason: "done".into() };
        socket.close(Some(goodbye)).await.expect("it is taken");
        while let Some(Ok(_)) = socket.next().await {}
    };
    tokio::time::timeout(GUARD, talk).await.expect("it ends");
}

#[tokio::test]
async fn what_comes_together_with_the_upgrade_is_not_lost() {
    let server = Server::start().await;
    let mut client = server.connect(HOME).await.expect("a handshake");
    let head = format!(
        "GET /v1/functions/echo/ws HTTP/1.1\r\nhost: {HOME}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    // A text frame of `7` with a mask of nothing.
    client.send([head.as_bytes(), &[0x81, 0x81, 0, 0, 0, 0, b'7']].concat()).await;
    let mut seen = Vec::new();
    let listen = async {
        while !String::from_utf8_lossy(&seen).contains(r#""output":7"#) {
            assert!(client.0.read_buf(&mut seen).await.expect("an answer") > 0);
        }
    };
    tokio::time::timeout(GUARD, listen).await.expect("it comes");
    assert!(seen.starts_with(b"HTTP/1.1 101 "));
}

#[tokio::test]
async fn events_arrive_as_they_happen() {
    let server = Server::start().await;
    let mut client = server.connect(HOME).await.expect("a handshake");
    let key = &server.house.client;
    client.send(format!("GET /v1/pubsub/sse?topic=t HTTP/1.1\r\nhost: {HOME}\r\nx-api-key: {key}\r\n\r\n")).await;
    let mut seen = Vec::new();
    let listen = async {
        while !String::from_utf8_lossy(&seen).contains("\r\n\r\n") {
            assert!(client.0.read_buf(&mut seen).await.expect("a head") > 0);
        }
        for number in 0..3 {
            let data = format!("message-{number}");
            let body = json!({ "topic": "t", "data_base64": STANDARD.encode(&data) });
            assert_eq!(server.house.post("/v1/pubsub/publish", body).await.status, 200);
            let wanted = [data.clone(), STANDARD.encode(&data)];
            while !wanted.iter().any(|wanted| String::from_utf8_lossy(&seen).contains(wanted)) {
                assert!(client.0.read_buf(&mut seen).await.expect("an event") > 0);
            }
        }
    };
    tokio::time::timeout(GUARD, listen).await.expect("they come");
}

#[tokio::test]
async fn large_bodies_go_both_ways_byte_for_byte() {
    let server = Server::start().await;
    let bytes: Vec<u8> = (0..8_u32 << 20).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let key = &server.house.client;
    let file = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n";
    let form = [file.as_bytes(), &bytes, b"\r\n--b--\r\n"].concat();
    let mut client = server.connect(HOME).await.expect("a handshake");
    let head = format!(
        "POST /v1/storage/upload HTTP/1.1\r\nhost: {HOME}\r\nx-api-key: {key}\r\n\
         content-type: multipart/form-data; boundary=b\r\ncontent-length: {}\r\n\r\n",
        form.len()
    );
    client.send([head.as_bytes(), &form].concat()).await;
    let reply = client.reply().await;
    let cid = reply.split(r#""cid":""#).nth(1).and_then(|rest| rest.split('"').next()).expect("an identifier");
    let get =
        format!("GET /v1/storage/get/{cid} HTTP/1.1\r\nhost: {HOME}\r\nx-api-key: {key}\r\nconnection: close\r\n\r\n");
    client.send(get).await;
    let mut all = Vec::new();
    tokio::time::timeout(GUARD, client.0.read_to_end(&mut all)).await.expect("it ends").expect("cleanly");
    assert!(all.ends_with(&bytes), "{} bytes came", all.len());
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_dropped() {
    let edge = EdgeConfig { write: SHORT, ..EdgeConfig::default() };
    let server = Server::start_as(Wish { edge, ..Wish::default() }).await;
    let form = Form::default().file("file", &vec![b'x'; 24 << 20]).post("/v1/storage/upload");
    let cid = server.house.send(with_key(form, &server.house.client)).await.text("cid");
    let key = &server.house.client;
    let mut client = server.connect(HOME).await.expect("a handshake");
    client.send(format!("GET /v1/storage/get/{cid} HTTP/1.1\r\nhost: {HOME}\r\nx-api-key: {key}\r\n\r\n")).await;
    // It closes although we neither read nor go away; then writing fails.
    let mut pace = tokio::time::interval(SHORT / 10);
    let endless = async {
        loop {
            pace.tick().await;
            if client.0.write_all(b"x").await.is_err() || client.0.flush().await.is_err() {
                break;
            }
        }
    };
    tokio::time::timeout(GUARD, endless).await.expect("the server gives up");
}
