//! What a request for a socket must say, and how the connection changes hands.

use std::time::Duration;

use gateway::{EdgeConfig, GatewayConfig};
use ports::memory::Script;
use tokio::io::AsyncReadExt;

use crate::client::{Client, Raw};
use crate::server::{GUARD, Server};

const SHORT: Duration = Duration::from_millis(200);
const PATH: &str = "/v1/pubsub/ws?topic=t";

#[track_caller]
fn refused(reply: &str, status: u16, why: &str) {
    assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{reply}");
    assert!(reply.contains(why), "{reply}");
}

#[tokio::test]
async fn a_request_that_is_none_for_a_socket_learns_how_to_ask() {
    let server = Server::start().await;
    let key = format!("x-api-key: {}\r\n", server.house.client);
    let good = [
        "upgrade: websocket\r\n",
        "connection: Upgrade\r\n",
        "sec-websocket-version: 13\r\n",
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    ];
    let ask = async |lines: &[&str], version: &str| {
        let mut raw = Raw::connect(server.address).await;
        raw.send(format!("GET {PATH} HTTP/{version}\r\nhost: a\r\n{key}{}\r\n", lines.concat())).await;
        raw.reply().await
    };
    assert!(ask(&good, "1.1").await.starts_with("HTTP/1.1 101 "));
    let plain = ask(&[], "1.1").await;
    refused(&plain, 426, "ask for it over HTTP/1.1");
    assert!(plain.contains("\r\nupgrade: websocket\r\n") && plain.contains("\r\nsec-websocket-version: 13\r\n"));
    refused(&ask(&good[1..], "1.1").await, 426, "Upgrade: websocket");
    refused(&ask(&[good[0], good[2], good[3]], "1.1").await, 426, "Upgrade: websocket");
    refused(&ask(&["upgrade: h2c\r\n", good[1], good[2], good[3]], "1.1").await, 426, "Upgrade: websocket");
    refused(&ask(&[good[0], good[1], good[3]], "1.1").await, 426, "must be 13");
    refused(&ask(&[good[0], good[1], "sec-websocket-version: 8\r\n", good[3]], "1.1").await, 426, "must be 13");
    refused(&ask(&good[..3], "1.1").await, 400, "Sec-WebSocket-Key");
    refused(&ask(&[good[0], good[1], good[2], "sec-websocket-key: short\r\n"], "1.1").await, 400, "Sec-WebSocket-Key");
    refused(&ask(&[good[0], good[1], good[2], good[3], good[3]], "1.1").await, 400, "Sec-WebSocket-Key");
    let junk = "sec-websocket-protocol: a, \"b\"\r\n";
    refused(&ask(&[good[0], good[1], good[2], good[3], junk], "1.1").await, 400, "Sec-WebSocket-Protocol");
    let body = "content-length: 2\r\n";
    refused(&ask(&[good[0], good[1], good[2], good[3], body], "1.1").await, 400, "no body");
    // A protocol that nobody speaks is not chosen; the client decides whether it goes on.
    let offered = ask(&[good[0], good[1], good[2], good[3], "sec-websocket-protocol: chat, v2\r\n"], "1.1").await;
    assert!(offered.starts_with("HTTP/1.1 101 ") && !offered.contains("sec-websocket-protocol"), "{offered}");
    assert!(offered.contains("\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{offered}");
    let mut post = Raw::connect(server.address).await;
    post.send(format!("POST {PATH} HTTP/1.1\r\nhost: a\r\n{key}content-length: 0\r\n\r\n")).await;
    refused(&post.reply().await, 405, "POST is not allowed here");
}

#[tokio::test]
async fn what_is_wrong_with_the_topic_is_said_before_the_upgrade() {
    let server = Server::start().await;
    let house = &server.house;
    let ask = async |query: &str, key: &str| {
        let headers: &[(&str, &str)] = if key.is_empty() { &[] } else { &[("x-api-key", key)] };
        server.refusal(&format!("/v1/pubsub/ws{query}"), headers).await
    };
    refused(&ask("", &house.client).await, 400, "missing 'topic'");
    refused(&ask("?topic=", &house.client).await, 400, "missing 'topic'");
    refused(&ask("?topic=a%00b", &house.client).await, 400, "control character");
    refused(&ask("?topic=t&presence=true", &house.client).await, 400, "missing 'member_id' for presence");
    refused(&ask("?topic=t&presence=true&member_id=a&member_meta=%7B", &house.client).await, 400, "not JSON");
    refused(&ask("?topic=t&after=yesterday", &house.client).await, 400, "is no position");
    refused(&ask("?topic=t", "").await, 401, "missing API key");
    refused(&ask("?topic=t", "ak_wrong:default").await, 401, "invalid API key");
    refused(&ask("?topic=t", &house.invoker).await, 403, "lacks the scope");
    refused(&ask("?topic=t&namespace=default", &house.stranger).await, 404, "not found");
}

#[tokio::test]
async fn a_credential_may_stand_in_the_query_where_a_browser_can_put_it() {
    let server = Server::start().await;
    let (address, key) = (server.address, server.house.client.clone());
    let token = server.house.client(http::Method::POST, "/v1/auth/token", "").await.text("access_token");
    for query in [format!("api_key={key}"), format!("token={}", key.replace(':', "%3A")), format!("token={token}")] {
        let mut client = Client::open(address, &format!("{PATH}&{query}"), "").await;
        client.text("hi").await;
        assert_eq!(client.next_json().await["data"], "aGk=", "{query}");
    }
}

#[tokio::test]
async fn pages_of_other_origins_are_refused() {
    let allowed = GatewayConfig { allowed_origins: vec!["https://app.example".to_owned()], ..GatewayConfig::default() };
    let server = Server::start_with(allowed).await;
    server.deploy("echo", Script::Echo, &[]).await;
    let ask = async |path: &str, key: &str, origin: &str| {
        server.refusal(path, &[("x-api-key", key), ("origin", origin)]).await
    };
    let function = "/v1/functions/echo/ws";
    for (path, key) in [(PATH, &server.house.client), (function, &server.house.invoker)] {
        refused(&ask(path, key, "https://evil.example").await, 403, "pages of this origin");
        refused(&ask(path, key, "null").await, 403, "pages of this origin");
        for good in ["https://orama.example", "http://chat.orama.example:3000", "https://app.example"] {
            assert!(ask(path, key, good).await.starts_with("HTTP/1.1 101 "), "{good}");
        }
    }
}

#[tokio::test]
async fn a_head_that_never_ends_is_cut_although_it_wants_a_socket() {
    let edge = EdgeConfig { header: SHORT, ..EdgeConfig::default() };
    let server = Server::start_with(GatewayConfig { edge, ..GatewayConfig::default() }).await;
    let mut raw = Raw::connect(server.address).await;
    let whole = Raw::request(PATH, &[("x-api-key", &server.house.client)]);
    raw.send(&whole[..whole.len() - 2]).await;
    let mut bytes = Vec::new();
    let closed = tokio::time::timeout(GUARD, raw.0.read_to_end(&mut bytes)).await.expect("the server closes");
    assert!(closed.is_ok() && bytes.is_empty(), "{bytes:?}");
}

#[tokio::test(start_paused = true)]
async fn the_timers_of_requests_do_not_end_sockets() {
    let second = Duration::from_secs(1);
    let edge = EdgeConfig {
        first_byte: second,
        header: second,
        body_idle: second,
        keep_alive: second,
        write: second,
        ..EdgeConfig::default()
    };
    let server = Server::start_with(GatewayConfig { edge, ..GatewayConfig::default() }).await;
    let mut client = server.topic("t").await;
    // On a paused clock, a long rest takes no time.
    tokio::time::sleep(20 * second).await;
    client.text("still here").await;
    assert_eq!(client.next_json().await["topic"], "t");
}

#[tokio::test]
async fn sockets_count_as_connections_until_they_are_gone() {
    let edge = EdgeConfig { connections_per_address_max: 1, ..EdgeConfig::default() };
    let server = Server::start_with(GatewayConfig { edge, ..GatewayConfig::default() }).await;
    let client = server.topic("t").await;
    assert!(Client::try_open(server.address, PATH, &server.house.client).await.is_err());
    assert_eq!(server.metric(r#"orama_websockets_open{kind="topic"}"#).await, 1);
    client.leave().await;
    server.until_metric("orama_connections_open", 0).await;
    server.topic("t").await.leave().await;
    server.until_metric(r#"orama_websockets_open{kind="topic"}"#, 0).await;
    assert_eq!(server.metric(r#"orama_websockets_total{kind="topic"}"#).await, 2);
    server.until_metric(r#"orama_websockets_closed_total{how="client"}"#, 2).await;
}

#[tokio::test]
async fn frames_that_come_with_the_request_are_read() {
    let server = Server::start().await;
    let mut raw = Raw::connect(server.address).await;
    let mut bytes = Raw::request(PATH, &[("x-api-key", &server.house.client)]).into_bytes();
    bytes.extend(Raw::frame(0x81, b"early"));
    bytes.extend(Raw::frame(0x81, b"bird"));
    raw.send(bytes).await;
    assert!(raw.reply().await.starts_with("HTTP/1.1 101 "));
    for data in ["ZWFybHk=", "YmlyZA=="] {
        let (first, payload) = raw.next_frame().await.expect("a message");
        let text = String::from_utf8(payload).expect("text");
        assert!(first == 0x81 && text.contains(&format!("\"data\":\"{data}\"")), "{text}");
    }
}

#[tokio::test]
async fn http2_has_no_sockets() {
    let server = Server::start().await;
    let tcp = tokio::net::TcpStream::connect(server.address).await.expect("the server accepts");
    let io = hyper_util::rt::TokioIo::new(tcp);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.expect("a handshake");
    let connection = tokio::spawn(connection);
    let request =
        http::Request::get(format!("http://{}{PATH}", server.address)).header("x-api-key", &server.house.client);
    let request = request.body(http_body_util::Empty::<bytes::Bytes>::new()).expect("a request");
    let reply = sender.send_request(request).await.expect("a reply");
    assert_eq!(reply.status(), 426);
    connection.abort();
}
