//! Replies, and servers that mean harm.

use std::io::Write;
use std::time::{Duration, Instant};

use backends::egress::{EgressConfig, open};
use expect_test::expect;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use ports::{Egress, EgressError, FetchRequest};

use crate::server::{Answer, Server};
use crate::support::{PlannedNames, everything, far, fetch, fetch_within, get, lenient, line, namespace, send, text};

const BRIEF: Duration = Duration::from_millis(300);

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).expect("memory");
    encoder.finish().expect("memory")
}

fn zlib(body: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).expect("memory");
    encoder.finish().expect("memory")
}

/// `hello`, in Brotli and in Zstandard.
const BROTLI_HELLO: &[u8] = b"\x0b\x02\x80hello\x03";
const ZSTD_HELLO: &[u8] = b"\x28\xb5\x2f\xfd\x04h\x29\x00\x00hello\xa3m\x9f\x88";
/// 8 MiB of zeros in 14 bytes.
const BROTLI_BOMB: &[u8] = b"\x9b\xff\xff\x7f\xf8\x27\x00\xe2\xb1\x40\x20\xf7\xfe\x0f";

#[tokio::test]
async fn status_headers_and_body_come_as_they_were_sent() {
    let answer = b"HTTP/1.1 404 Nope\r\nX-A: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-B: \xe9\r\nContent-Length: 3\r\n\r\n\xff\0\xfe";
    let server = Server::start(|_| Answer::raw(answer.as_slice())).await;
    let reply = fetch(get(&server.url("/"))).await.expect("a reply");
    expect![[r#"
        FetchReply {
            status: 404,
            headers: [
                (
                    "x-a",
                    b"1",
                ),
                (
                    "set-cookie",
                    b"a=1",
                ),
                (
                    "set-cookie",
                    b"b=2",
                ),
                (
                    "x-b",
                    b"\xe9",
                ),
                (
                    "content-length",
                    b"3",
                ),
            ],
            body: b"\xff\0\xfe",
        }
    "#]]
    .assert_debug_eq(&reply);
}

#[tokio::test]
async fn compressed_bodies_are_decompressed() {
    let (gzip, zlib) = (gzip(b"hello"), zlib(b"hello"));
    for (encoding, body) in [("gzip", &gzip[..]), ("deflate", &zlib), ("br", BROTLI_HELLO), ("zstd", ZSTD_HELLO)] {
        let body = body.to_vec();
        let server = Server::start(move |_| Answer::encoded(encoding, &body)).await;
        let reply = fetch(get(&server.url("/"))).await.unwrap_or_else(|error| panic!("{encoding}: {error}"));
        let names: Vec<&str> = reply.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((text(&reply), names), ("hello", vec![]), "{encoding}: the headers of the packing are gone");
    }
}

#[tokio::test]
async fn a_bomb_is_stopped_at_the_limit() {
    let bomb = gzip(&vec![0; 64 << 20]);
    for (encoding, body) in [("gzip", bomb), ("br", BROTLI_BOMB.to_vec())] {
        let server = Server::start(move |_| Answer::encoded(encoding, &body)).await;
        let egress = open(EgressConfig { reply_bytes_max: 1 << 20, ..lenient() }).expect("open");
        let outcome = send(&egress, get(&server.url("/"))).await;
        assert!(matches!(outcome, Err(EgressError::TooLarge { limit: 1_048_576 })), "{encoding}: {outcome:?}");
    }
}

#[tokio::test]
async fn the_limit_is_inclusive_and_a_length_beyond_it_is_not_read() {
    let server = Server::start(|request| match request {
        request if request.contains("/ten") => Answer::ok("0123456789"),
        _ => Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 10737418240\r\n\r\n").then_repeat(vec![0; 1 << 16]),
    })
    .await;
    let egress = open(EgressConfig { reply_bytes_max: 10, ..lenient() }).expect("open");
    assert_eq!(text(&send(&egress, get(&server.url("/ten"))).await.expect("ten bytes fit")), "0123456789");
    let outcome = send(&egress, get(&server.url("/"))).await;
    assert!(matches!(outcome, Err(EgressError::TooLarge { limit: 10 })), "{outcome:?}");
    server.broken_off().await;
}

#[tokio::test]
async fn endless_chunks_are_stopped_at_the_limit() {
    let server = Server::start(|_| {
        Answer::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").then_repeat("5\r\nhello\r\n".repeat(1000))
    })
    .await;
    let outcome = fetch(get(&server.url("/"))).await;
    assert!(matches!(outcome, Err(EgressError::TooLarge { .. })), "{outcome:?}");
    server.broken_off().await;
}

#[tokio::test]
async fn a_body_that_trickles_is_stopped_in_time() {
    let server =
        Server::start(|_| Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n").then_trickle("x")).await;
    let started = Instant::now();
    let outcome = fetch_within(BRIEF, get(&server.url("/"))).await;
    assert!(matches!(outcome, Err(EgressError::Deadline)), "{outcome:?}");
    assert!(started.elapsed() < Duration::from_secs(10));
    server.broken_off().await;
}

#[tokio::test]
async fn a_head_that_trickles_is_stopped_in_time() {
    let server = Server::start(|_| Answer::raw("HTTP/1.1 200 OK\r\nX-A: ").then_trickle("x")).await;
    let outcome = fetch_within(BRIEF, get(&server.url("/"))).await;
    assert!(matches!(outcome, Err(EgressError::Deadline)), "{outcome:?}");
    server.broken_off().await;
}

#[tokio::test]
async fn a_server_that_says_nothing_is_left_at_the_deadline_of_the_call() {
    let server = Server::start(|_| Answer::raw("").then_hang()).await;
    let egress = open(lenient()).expect("open");
    let soon = Instant::now() + BRIEF;
    let outcome = egress.fetch(&namespace("one"), &[&everything()], get(&server.url("/")), soon).await;
    assert!(matches!(outcome, Err(EgressError::Deadline)), "{outcome:?}");
    server.broken_off().await;
    let past = Instant::now();
    let outcome = egress.fetch(&namespace("one"), &[&everything()], get(&server.url("/")), past).await;
    assert!(matches!(outcome, Err(EgressError::Deadline)), "{outcome:?}");
}

#[tokio::test]
async fn interim_replies_are_skipped_and_a_flood_of_them_ends() {
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    let server = Server::start(move |request| match request {
        request if request.contains("/flood") => Answer::raw("").then_repeat(early.repeat(100)),
        _ => Answer::raw(format!("HTTP/1.1 100 Continue\r\n\r\n{early}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")),
    })
    .await;
    assert_eq!(text(&fetch(get(&server.url("/"))).await.expect("a reply")), "ok");
    let outcome = fetch_within(BRIEF, get(&server.url("/flood"))).await;
    assert!(matches!(outcome, Err(EgressError::Deadline | EgressError::Failed(_))), "{outcome:?}");
    server.broken_off().await;
}

#[tokio::test]
async fn endless_headers_are_stopped() {
    for repeated in ["X-A: b\r\n".repeat(100), format!("X-A: {}\r\n", "b".repeat(100_000))] {
        let server = Server::start(move |_| Answer::raw("HTTP/1.1 200 OK\r\n").then_repeat(repeated.clone())).await;
        let outcome = fetch(get(&server.url("/"))).await;
        assert!(matches!(outcome, Err(EgressError::Failed(_))), "{outcome:?}");
        server.broken_off().await;
    }
    let large = format!("HTTP/1.1 200 OK\r\nX-A: {}\r\nContent-Length: 0\r\n\r\n", "b".repeat(300 << 10));
    let server = Server::start(move |_| Answer::raw(large.clone())).await;
    let outcome = fetch(get(&server.url("/"))).await;
    assert!(matches!(outcome, Err(EgressError::TooLarge { limit: 262_144 })), "{outcome:?}");
}

/// Each answer is broken in its way; none makes a panic, and none names an address that the caller did not write.
#[tokio::test]
async fn broken_answers_are_failures() {
    let names = PlannedNames::new([("api.example.com", &[&["127.0.0.1"]])]);
    let mut seen = String::new();
    for (what, answer) in [
        ("closed at once", Answer::raw("").then_close()),
        ("reset", Answer::raw("").then_reset()),
        ("reset in the body", Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab").then_reset()),
        ("short body", Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab").then_close()),
        ("cut chunk", Answer::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab").then_close()),
        (
            "no end of chunks",
            Answer::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n").then_close(),
        ),
        (
            "huge chunk",
            Answer::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n").then_close(),
        ),
        (
            "two lengths",
            Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab").then_close(),
        ),
        ("wrong length", Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nab").then_close()),
        ("another protocol", Answer::raw("SSH-2.0-OpenSSH_9.0\r\n").then_close()),
        ("no status", Answer::raw("HTTP/1.1 OK\r\n\r\n").then_close()),
        ("noise", Answer::raw(vec![0xff; 100]).then_close()),
        ("broken gzip", Answer::encoded("gzip", b"not gzip at all")),
        ("cut gzip", Answer::encoded("gzip", &gzip(b"hello hello hello")[..20])),
        ("broken zstd", Answer::encoded("zstd", b"not zstd at all")),
    ] {
        let server = Server::start(move |_| answer.clone()).await;
        let egress = open(EgressConfig { resolver: names.clone(), ..lenient() }).expect("open");
        let outcome = send(&egress, get(&format!("http://api.example.com:{}/", server.port()))).await;
        let Err(EgressError::Failed(reason)) = &outcome else { panic!("{what}: {outcome:?}") };
        assert!(!reason.contains("127.0.0.1"), "{what}: {reason}");
        seen += &format!("{what}: {}\n", line(&outcome, server.port()));
    }
    expect![[r#"
        closed at once: Failed: `api.example.com:<port>` broke off, or answered something else than HTTP
        reset: Failed: `api.example.com:<port>` broke off, or answered something else than HTTP
        reset in the body: Failed: the body of the reply of `api.example.com:<port>` is broken or cut short
        short body: Failed: the body of the reply of `api.example.com:<port>` is broken or cut short
        cut chunk: Failed: the body of the reply of `api.example.com:<port>` is broken or cut short
        no end of chunks: Failed: the body of the reply of `api.example.com:<port>` is broken or cut short
        huge chunk: Failed: the body of the reply of `api.example.com:<port>` is broken or cut short
        two lengths: Failed: `api.example.com:<port>` broke off, or answered something else than HTTP
        wrong length: Failed: `api.example.com:<port>` broke off, or answered something else than HTTP
        another protocol: Failed: `api.example.com:<port>` broke off, or answered something else than HTTP
        no status: Failed: `api.example.com:<port>` broke off, or answered something else than HTTP
        noise: Failed: `api.example.com:<port>` broke off, or answered something else than HTTP
        broken gzip: Failed: the body of the reply of `api.example.com:<port>` is broken or cut short
        cut gzip: Failed: the body of the reply of `api.example.com:<port>` is broken or cut short
        broken zstd: Failed: the body of the reply of `api.example.com:<port>` is broken or cut short
    "#]]
    .assert_eq(&seen);
}

#[tokio::test]
async fn what_follows_a_reply_is_not_the_next_one() {
    let poisoned = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned";
    let server = Server::start(move |request| match request {
        request if request.contains("/first") => Answer::raw(poisoned),
        _ => Answer::ok("second"),
    })
    .await;
    let egress = open(lenient()).expect("open");
    assert_eq!(text(&send(&egress, get(&server.url("/first"))).await.expect("a reply")), "ok");
    assert_eq!(text(&send(&egress, get(&server.url("/second"))).await.expect("a reply")), "second");
}

#[tokio::test]
async fn replies_without_a_body_have_none() {
    let server = Server::start(|request| match request {
        request if request.contains("/204") => Answer::raw("HTTP/1.1 204 No Content\r\nContent-Encoding: gzip\r\n\r\n"),
        request if request.contains("/304") => Answer::raw("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
        _ => Answer::raw("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 500\r\n\r\n"),
    })
    .await;
    let head = |url: &str| FetchRequest { method: "HEAD".into(), ..get(url) };
    for (request, status) in
        [(head(&server.url("/")), 200), (get(&server.url("/204")), 204), (get(&server.url("/304")), 304)]
    {
        let reply = fetch(request).await.expect("a reply");
        assert_eq!((reply.status, reply.body.len()), (status, 0));
    }
}

#[tokio::test]
async fn who_is_not_there_is_told_without_addresses() {
    let closed = Server::start(|_| Answer::ok("")).await.port();
    let names = PlannedNames::new([("api.example.com", &[&["127.0.0.1"]]), ("empty.example.com", &[&[]])]);
    let egress = open(EgressConfig { resolver: names, ..lenient() }).expect("open");
    let mut seen = String::new();
    for host in ["api.example.com", "empty.example.com", "unknown.example.com", "127.0.0.1"] {
        let outcome =
            egress.fetch(&namespace("one"), &[&everything()], get(&format!("http://{host}:{closed}/")), far()).await;
        seen += &(line(&outcome, closed) + "\n");
    }
    expect![[r#"
        Failed: no connection to `api.example.com:<port>`
        Failed: the name `empty.example.com` cannot be resolved
        Failed: the name `unknown.example.com` cannot be resolved
        Failed: no connection to `127.0.0.1:<port>`
    "#]]
    .assert_eq(&seen);
}
