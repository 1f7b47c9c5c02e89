//! HTTP/2 over TLS: what `curl` and browsers speak, and what they never would.

use std::sync::Arc;

use bytes::Bytes;
use gateway::EdgeConfig;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;

use crate::server::{Client, GUARD, HOME, SHORT, Server, Wish};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Frames without flags or with one (RFC 9113, section 6).
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
const GOAWAY: u8 = 7;

async fn raw(server: &Server) -> Client<TlsStream<TcpStream>> {
    let config = server.authority.client(&[b"h2"], rustls::ALL_VERSIONS);
    let mut client = server.connect_with(Arc::new(config), HOME).await.expect("a handshake");
    assert_eq!(client.protocol(), Some(&b"h2"[..]));
    client.send([PREFACE, &SETTINGS].concat()).await;
    client
}

async fn connect(server: &Server) -> (SendRequest<Full<Bytes>>, JoinHandle<hyper::Result<()>>) {
    let config = server.authority.client(&[b"h2", b"http/1.1"], rustls::ALL_VERSIONS);
    let client = server.connect_with(Arc::new(config), HOME).await.expect("a handshake");
    let shaking = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(client.0));
    let (sender, connection) = shaking.await.expect("a connection");
    (sender, tokio::spawn(connection))
}

fn echo(body: &[u8]) -> http::request::Builder {
    let length = body.len();
    http::Request::post(format!("https://{HOME}/v1/invoke/default/echo")).header("content-length", length)
}

#[tokio::test]
async fn calls_run_side_by_side_on_one_connection() {
    let edge = EdgeConfig { keep_alive: SHORT, ..EdgeConfig::default() };
    let server = Server::start_as(Wish { edge, ..Wish::default() }).await;
    let (sender, connection) = connect(&server).await;
    let calls = (0..50).map(|number| {
        let mut sender = sender.clone();
        async move {
            let body = format!("{{\"number\":{number}}}");
            let request = echo(body.as_bytes()).body(Full::from(body.clone())).expect("a request");
            let reply = sender.send_request(request).await.expect("a reply");
            assert_eq!((reply.status().as_u16(), reply.version()), (200, http::Version::HTTP_2));
            assert_eq!(reply.into_body().collect().await.expect("a body").to_bytes(), body);
        }
    });
    futures_util::future::join_all(calls).await;
    // At rest, it is closed like any other.
    assert!(tokio::time::timeout(GUARD, connection).await.expect("the server closes").is_ok());
}

#[tokio::test]
async fn heads_have_the_same_limits_as_in_http_1() {
    let server = Server::start().await;
    let (mut sender, _connection) = connect(&server).await;
    let mut many = echo(b"{}");
    for number in 0..101 {
        many = many.header(format!("x-{number}"), "1");
    }
    let long = echo(b"{}").uri(format!("https://{HOME}/{}", "a".repeat(9000)));
    let large = echo(b"{}").header("x-large", "a".repeat(60_000)).header("x-more", "a".repeat(10_000));
    for (request, status) in [(many, 431), (long, 414), (large, 431)] {
        let request = request.body(Full::from("{}")).expect("a request");
        let reply = sender.send_request(request).await.expect("a reply");
        assert_eq!(reply.status(), status);
    }
    let good = echo(b"{}").body(Full::from("{}")).expect("a request");
    assert_eq!(sender.send_request(good).await.expect("a reply").status(), 200);
}

#[tokio::test]
async fn a_slow_body_is_cut() {
    let edge = EdgeConfig { body_idle: SHORT, ..EdgeConfig::default() };
    let server = Server::start_as(Wish { edge, ..Wish::default() }).await;
    let mut client = raw(&server).await;
    // A head that announces a body, and then none.
    client.send(headers(1, &head(b"POST", b"/v1/invoke/default/echo"), false)).await;
    let reply = tokio::time::timeout(GUARD, until(&mut client, |kind, stream| kind == 1 && stream == 1)).await;
    assert!(reply.expect("the server answers"), "a reply");
}

#[tokio::test]
async fn requests_that_are_withdrawn_at_once_end_the_connection() {
    let server = Server::start().await;
    let mut client = raw(&server).await;
    let head = head(b"GET", b"/health");
    let mut sent = 0_u32;
    let endless = async {
        for stream in (1..2_000_000).step_by(2) {
            let mut frames = headers(stream, &head, true);
            frames.extend([0, 0, 4, 3, 0]);
            frames.extend(u32::to_be_bytes(stream));
            frames.extend([0, 0, 0, 8]);
            sent += 1;
            if client.0.write_all(&frames).await.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(GUARD, endless).await.expect("the server closes");
    assert!(sent < 500_000, "{sent} were taken");
    assert!(server.says(&crate::server::get_last("/health")).await.contains(" 200 "));
}

#[tokio::test]
async fn a_head_without_end_ends_the_connection() {
    let server = Server::start().await;
    let mut client = raw(&server).await;
    let mut first = headers(1, &head(b"GET", b"/health"), true);
    // Not the last piece of the head.
    first[4] &= !0x04;
    client.send(first).await;
    let piece = [&[0x00, 0x01, b'x', 0x7f, 0x80, 0x01][..], &[b'x'; 255]].concat();
    let length = u32::try_from(piece.len()).expect("small").to_be_bytes();
    let continuation = [&length[1..], &[9, 0, 0, 0, 0, 1], &piece].concat();
    let endless = async {
        for _ in 0..1_000_000 {
            if client.0.write_all(&continuation).await.is_err() {
                return true;
            }
        }
        false
    };
    assert!(tokio::time::timeout(GUARD, endless).await.expect("the server closes"));
}

#[tokio::test]
async fn noise_is_answered_with_a_goodbye() {
    let server = Server::start().await;
    for noise in [&[0xff_u8; 64][..], &[0, 0, 1, 1, 0, 0, 0, 0, 0, 0x82], b"GET / HTTP/1.1\r\n\r\n"] {
        let mut client = raw(&server).await;
        client.send(noise).await;
        let ended = tokio::time::timeout(GUARD, until(&mut client, |kind, _| kind == GOAWAY)).await;
        assert!(ended.expect("the server closes"), "{noise:?}");
    }
}

/// The fields of a request, compressed with the static table alone (RFC 7541, appendix A).
fn head(method: &[u8], path: &[u8]) -> Vec<u8> {
    let literal = |index: u8, value: &[u8]| {
        let length = u8::try_from(value.len()).expect("short");
        [&[index, length][..], value].concat()
    };
    [literal(0x02, method), literal(0x04, path), vec![0x87], literal(0x01, HOME.as_bytes())].concat()
}

fn headers(stream: u32, head: &[u8], last: bool) -> Vec<u8> {
    let length = u32::try_from(head.len()).expect("short").to_be_bytes();
    let flags = 0x04 | u8::from(last);
    [&length[1..], &[1, flags], &stream.to_be_bytes(), head].concat()
}

/// Reads frames until one is as wanted; false when the connection ends before.
async fn until(client: &mut Client<TlsStream<TcpStream>>, wanted: impl Fn(u8, u32) -> bool) -> bool {
    use tokio::io::AsyncReadExt;
    loop {
        let mut frame = [0; 9];
        if client.0.read_exact(&mut frame).await.is_err() {
            return false;
        }
        let length = usize::from(frame[0]) << 16 | usize::from(frame[1]) << 8 | usize::from(frame[2]);
        let mut payload = vec![0; length];
        if client.0.read_exact(&mut payload).await.is_err() {
            return false;
        }
        let stream = u32::from_be_bytes([frame[5] & 0x7f, frame[6], frame[7], frame[8]]);
        if wanted(frame[3], stream) {
            return true;
        }
    }
}
