//! Slow, broken and hostile clients of TLS: they cost what the limits allow, and disturb nobody.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway::{EdgeConfig, TlsConfig};
use rustls::version::TLS12;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

use crate::server::{Client, GUARD, HOME, SHORT, Server, Wish, get, get_last};

/// The beginning of a record that promises a `ClientHello` and never keeps it.
const HALF_HELLO: &[u8] = &[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3];
/// A whole `ClientHello` of TLS 1.0: its random is zeros, it knows one cipher, and no extension.
const OLD_HELLO: &[u8] = &[
    22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 2, 0xc0, 0x13, 1, 0,
];
const ALERT: u8 = 21;

fn hurried() -> Wish {
    let edge = EdgeConfig { first_byte: SHORT, header: SHORT, keep_alive: SHORT, ..EdgeConfig::default() };
    Wish { edge, tls: TlsConfig { handshake: SHORT, ..TlsConfig::default() }, ..Wish::default() }
}

#[tokio::test]
async fn who_says_nothing_or_half_a_hello_is_closed() {
    let server = Server::start_as(hurried()).await;
    for said in [&b""[..], &[22], &HALF_HELLO[..5], HALF_HELLO] {
        let mut client = server.connect_raw().await;
        client.send(said).await;
        assert_eq!(client.rest().await, "", "{said:?}");
    }
    assert_eq!(server.metric(r#"orama_tls_handshakes_total{how="too_slow"}"#).await, 4);
}

#[tokio::test]
async fn a_drip_of_handshake_bytes_does_not_buy_time() {
    let server = Server::start_as(hurried()).await;
    let mut client = server.connect_raw().await;
    let began = Instant::now();
    client.send(&HALF_HELLO[..5]).await;
    let mut pace = tokio::time::interval(SHORT / 10);
    let dripping = async {
        loop {
            pace.tick().await;
            if client.0.write_all(&[1]).await.is_err() {
                break;
            }
        }
    };
    tokio::time::timeout(GUARD, dripping).await.expect("the server closes");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[tokio::test]
async fn plain_http_is_told_where_it_came() {
    let server = Server::start().await;
    let mut client = server.connect_raw().await;
    client.send(get("/health")).await;
    let said = client.rest().await;
    assert!(said.starts_with("HTTP/1.1 400 ") && said.contains("https://"), "{said}");
    assert!(said.contains("x-request-id: ") && said.contains(r#""ok":false"#), "{said}");
    assert_eq!(server.metric(r#"orama_tls_handshakes_total{how="plain_http"}"#).await, 1);
}

#[tokio::test]
async fn other_protocols_are_closed_without_a_word() {
    let server = Server::start().await;
    for said in [&b"\0\0\0\0"[..], b"\x80\x2e\x01\0\x02", b"ssh-2.0", &[0xff; 300]] {
        let mut client = server.connect_raw().await;
        client.send(said).await;
        assert_eq!(client.rest().await, "", "{said:?}");
    }
    assert_eq!(server.metric(r#"orama_tls_handshakes_total{how="not_tls"}"#).await, 4);
}

#[tokio::test]
async fn old_versions_are_refused_by_an_alert() {
    let server = Server::start().await;
    let mut client = server.connect_raw().await;
    client.send(OLD_HELLO).await;
    let mut said = Vec::new();
    tokio::time::timeout(GUARD, client.0.read_to_end(&mut said)).await.expect("it closes").expect("cleanly");
    assert_eq!(said.first(), Some(&ALERT), "{said:?}");
    assert_eq!(server.metric(r#"orama_tls_handshakes_total{how="protocol"}"#).await, 1);
}

#[tokio::test]
async fn a_handshake_inside_a_session_ends_it() {
    let server = Server::start().await;
    let config = server.authority.client(&[b"http/1.1"], &[&TLS12]);
    let mut client = server.connect_with(Arc::new(config), HOME).await.expect("a handshake");
    client.send(get("/health")).await;
    client.reply().await;
    // Once in the clear, as nobody may who has keys.
    client.0.get_mut().0.write_all(OLD_HELLO).await.expect("the server reads");
    assert_eq!(client.rest().await, "");
    assert!(server.says(&get_last("/health")).await.contains(" 200 "));
}

#[tokio::test]
async fn noise_in_handshakes_disturbs_nobody() {
    let server = Server::start_as(hurried()).await;
    let mut state = 17_u64;
    let mut conversations = Vec::new();
    for _ in 0..300 {
        let mut bytes = OLD_HELLO.to_vec();
        for _ in 0..4 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = 1 + (state >> 33) as usize % (bytes.len() - 1);
            bytes[at] = (state >> 24) as u8;
        }
        conversations.push(async {
            let mut client = server.connect_raw().await;
            client.send(bytes).await;
            client.rest().await
        });
    }
    futures_util::future::join_all(conversations).await;
    assert!(server.says(&get_last("/health")).await.contains(" 200 "));
}

#[tokio::test]
async fn timers_and_framing_are_those_of_plain_http() {
    let server = Server::start_as(hurried()).await;
    for half in ["", "GET / HTTP/1.1\r\nhost: a\r\nx-slow"] {
        assert_eq!(server.says(half).await, "", "{half:?}");
    }
    let post = format!("POST /v1/invoke/default/echo HTTP/1.1\r\nhost: {HOME}\r\n");
    for head in [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "content-length: 2\r\ncontent-length: 2\r\n\r\nab",
        "host: b\r\ncontent-length: 0\r\n\r\n",
    ] {
        let said = server.says(&format!("{post}content-length: 2\r\n\r\n{{}}{post}{head}")).await;
        let (first, second) = said.split_at(said.rfind("HTTP/1.1 ").expect("two replies"));
        assert!(first.starts_with("HTTP/1.1 200") && second.starts_with("HTTP/1.1 400"), "{said}");
    }
}

#[tokio::test]
async fn a_drip_of_header_bytes_does_not_buy_time() {
    let server = Server::start_as(hurried()).await;
    let mut client = server.connect(HOME).await.expect("a handshake");
    client.send("GET / HTTP/1.1\r\nx: ").await;
    let mut pace = tokio::time::interval(SHORT / 10);
    let dripping = async {
        loop {
            pace.tick().await;
            if client.0.write_all(b"x").await.is_err() || client.0.flush().await.is_err() {
                break;
            }
        }
    };
    tokio::time::timeout(GUARD, dripping).await.expect("the server closes");
}

/// A tenth of them would be too many for one address; all of them are opened, and a good client elsewhere waits for nobody.
#[tokio::test]
async fn ten_thousand_half_open_connections_cost_what_the_limits_allow() {
    const ALL: usize = 10_000;
    const PER_ADDRESS: usize = 200;
    const AT_ONCE: usize = 400;
    let edge = EdgeConfig { connections_per_address_max: PER_ADDRESS, ..EdgeConfig::default() };
    let server = Server::start_as(Wish { edge, ..Wish::default() }).await;
    let mut held = Vec::new();
    for _ in 0..ALL / AT_ONCE {
        let open = (0..AT_ONCE).map(|_| half_open(&server));
        held.extend(futures_util::future::join_all(open).await.into_iter().flatten());
        // One that was let in stays, one over the limit is closed at once: so we never hold many more than the limit.
        held.retain_mut(|tcp| !is_closed(tcp));
    }
    assert!(server.metric("orama_connections_open").await <= PER_ADDRESS as u64);
    let began = Instant::now();
    assert!(says_from("127.0.0.2", &server).await.contains(" 200 "));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let (accepted, refused) =
        (server.metric("orama_connections_total").await, server.metric("orama_connections_refused_total").await);
    assert!(accepted + refused >= ALL as u64, "{accepted} were accepted, {refused} refused");
}

async fn half_open(server: &Server) -> Option<TcpStream> {
    let mut tcp = TcpStream::connect(server.secure).await.ok()?;
    tcp.write_all(HALF_HELLO).await.ok()?;
    Some(tcp)
}

fn is_closed(tcp: &mut TcpStream) -> bool {
    !tcp.try_read(&mut [0]).is_err_and(|blocked| blocked.kind() == std::io::ErrorKind::WouldBlock)
}

async fn says_from(address: &str, server: &Server) -> String {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(format!("{address}:0").parse().expect("an address")).expect("it is of this machine");
    let tcp = socket.connect(server.secure).await.expect("the server accepts");
    let name = HOME.try_into().expect("a name");
    let mut client = Client(TlsConnector::from(server.client()).connect(name, tcp).await.expect("a handshake"));
    client.send(get_last("/health")).await;
    client.rest().await
}
