//! Bodies on their way: as they come, at the pace of the slower side, and cut where they must be.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use gateway::{EdgeConfig, GatewayConfig};
use http::Method;
use tokio::io::AsyncWriteExt;

use crate::server::{GUARD, Reply, SHORT, Server};
use crate::support::mirror::{self, Told};

/// The records of a function, newest first: status, error, and the bytes in and out.
async fn records(server: &Server, function: &str, count: usize) -> Vec<(String, String, u64, u64)> {
    let path = format!("/v1/functions/{function}/logs?limit=50");
    let asking = async {
        loop {
            let seen = server.house.admin(Method::GET, &path, "").await.json();
            let logs = seen["invocations"].as_array().or(seen["logs"].as_array()).cloned().unwrap_or_default();
            if logs.len() >= count {
                return logs;
            }
            // A record is written behind the reply: poll until it is there.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let logs = tokio::time::timeout(GUARD, asking).await.expect("the record comes");
    let text = |entry: &serde_json::Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let number = |entry: &serde_json::Value, key: &str| entry[key].as_u64().unwrap_or_default();
    logs.iter()
        .map(|one| {
            (text(one, "status"), text(one, "error_message"), number(one, "input_size"), number(one, "output_size"))
        })
        .collect()
}

#[tokio::test]
async fn both_bodies_stream_at_once() {
    let server = Server::start().await;
    server.worker("stream", mirror::STREAM, &[]).await;
    let mut client = server.connect().await;
    client.send("POST / HTTP/1.1\r\nhost: stream.default.apps.test\r\ntransfer-encoding: chunked\r\n\r\n").await;
    for word in ["one", "two", "three"] {
        // Each comes back before the next is sent.
        client.send(format!("{:x}\r\n{word}\r\n", word.len())).await;
        client.until(word.as_bytes()).await;
    }
    client.send("0\r\n\r\n").await;
    client.until(b"0\r\n\r\n").await;
    let (status, _, input, output) = records(&server, "stream", 1).await.remove(0);
    assert_eq!((status.as_str(), input, output), ("success", 11, 11));
}

#[tokio::test]
async fn trailers_go_both_ways() {
    let server = Server::with_mirror().await;
    let field = |name: &'static str, value: &'static str| {
        (Bytes::from_static(name.as_bytes()), Bytes::from_static(value.as_bytes()))
    };
    server.house.engine.mirror.answer(Told {
        status: 200,
        headers: vec![field("trailer", "x-sum")],
        pieces: vec![Bytes::from_static(b"body")],
        trailers: Some(vec![field("x-sum", "9")]),
    });
    let head = "POST / HTTP/1.1\r\nhost: mirror.default.apps.test\r\nte: trailers\r\nconnection: close\r\n";
    let body = "transfer-encoding: chunked\r\ntrailer: x-check\r\n\r\n3\r\nabc\r\n0\r\nx-check: 7\r\n\r\n";
    let reply = server.says(format!("{head}{body}")).await;
    assert_eq!((reply.text().as_str(), reply.trailers), ("body", vec![("x-sum".to_owned(), b"9".to_vec())]));
    let asked = server.house.engine.mirror.asked();
    assert_eq!((asked.body.as_ref(), asked.trailers), (&b"abc"[..], vec![field("x-check", "7")]));
}

#[tokio::test]
async fn a_client_that_waits_for_100_is_told_when_somebody_reads() {
    let server = Server::with_mirror().await;
    server.worker("deaf", mirror::DEAF, &[]).await;
    let head = |function| {
        format!(
            "POST / HTTP/1.1\r\nhost: {function}.default.apps.test\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n"
        )
    };
    let mut client = server.connect().await;
    client.send(head("mirror")).await;
    client.until(b"HTTP/1.1 100 Continue\r\n\r\n").await;
    client.send("abc").await;
    client.until(b"abc").await;
    assert!(format!("{:?}", server.house.engine.mirror.asked().head).contains("100-continue"));
    // Nobody reads here, and nobody says so.
    let mut client = server.connect().await;
    client.send(head("deaf")).await;
    let said = String::from_utf8_lossy(&client.until(b"deaf").await).into_owned();
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
}

#[tokio::test]
async fn clients_of_http_1_0_are_answered_as_they_read() {
    let server = Server::with_mirror().await;
    server.house.engine.mirror.answer(Told {
        status: 200,
        pieces: vec![Bytes::from_static(b"body")],
        ..Told::default()
    });
    let reply = server.says("GET /old?x HTTP/1.0\r\nhost: mirror.default.apps.test\r\n\r\n").await;
    assert_eq!((reply.header("transfer-encoding"), reply.text().as_str()), ("", "body"));
    assert_eq!(server.house.engine.mirror.asked().head.target, "/old?x");
}

#[tokio::test]
async fn a_connection_can_become_something_else() {
    let server = Server::start().await;
    server.worker("switch", mirror::SWITCH, &[]).await;
    let host = "host: switch.default.apps.test\r\n";
    let mut client = server.connect().await;
    // What is sent too early is not lost.
    client
        .send(format!("GET / HTTP/1.1\r\n{host}connection: keep-alive, Upgrade\r\nupgrade: shouting\r\n\r\nearly"))
        .await;
    let head = String::from_utf8_lossy(&client.until(b"EARLY").await).into_owned();
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("upgrade: shouting"), "{head}");
    assert!(head.contains("x-mine: kept") && !head.contains("x-request-id"), "{head}");
    client.send("late").await;
    client.until(b"LATE").await;
    client.0.shutdown().await.expect("it is open");
    assert_eq!(client.rest().await, b"");
    assert_eq!(records(&server, "switch", 1).await[0].0, "success");
    // Without asking, and by a client that cannot.
    for head in
        ["GET / HTTP/1.1\r\nupgrade: shouting\r\n", "GET / HTTP/1.0\r\nconnection: upgrade\r\nupgrade: shouting\r\n"]
    {
        let reply = server.says(format!("{head}{host}connection: close\r\n\r\n")).await;
        assert_eq!((reply.status, reply.text().as_str()), (200, "not asked"));
    }
}

#[tokio::test]
async fn a_reply_without_end_is_cut_at_the_deadline() {
    let server = Server::start().await;
    server.worker("endless", mirror::ENDLESS, &[("timeout_seconds", "1")]).await;
    let reply = server.get("endless.default.apps.test", "/", "").await;
    assert!(reply.status == 200 && !reply.whole && !reply.body.is_empty(), "{}", reply.status);
    server.house.engine.mirror.gone().await;
    let (status, error, _, output) = records(&server, "endless", 1).await.remove(0);
    assert_eq!((status.as_str(), error.as_str()), ("timeout", "the function did not finish in time"));
    assert!(output > 0);
}

#[tokio::test]
async fn a_reply_that_never_comes_is_a_timeout() {
    let server = Server::start().await;
    server.worker("never", mirror::NEVER, &[("timeout_seconds", "1"), ("by_hash", "true")]).await;
    let reply = server.get("never.default.apps.test", "/", "").await;
    assert_eq!((reply.status, reply.header("content-type")), (504, "application/json"));
    let label = domain::oyster::label_of_hash(domain::Cid::of(mirror::NEVER).digest().try_into().expect("a hash"));
    let reply = server.get(&format!("{label}.apps.test"), "/", "").await;
    assert_eq!((reply.status, reply.header("content-type")), (408, "text/plain; charset=utf-8"));
    assert_eq!(reply.text(), "worker timed out\n\nCaused by:\n    deadline has elapsed");
    let reply = server.get(&format!("{label}.apps.test"), "/", "accept: application/json\r\n").await;
    assert!(reply.status == 408 && reply.text().contains(r#""code":"TIMEOUT""#), "{}", reply.text());
    assert!(records(&server, "never", 3).await.iter().all(|record| record.0 == "timeout"));
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_call() {
    let server = Server::start().await;
    server.worker("never", mirror::NEVER, &[]).await;
    server.worker("endless", mirror::ENDLESS, &[]).await;
    for function in ["never", "endless"] {
        let mut client = server.connect().await;
        client.send(format!("GET / HTTP/1.1\r\nhost: {function}.default.apps.test\r\n\r\n")).await;
        if function == "endless" {
            client.until(b"xxxx").await;
        } else {
            // The call has begun when the node counts it.
            let begun = async {
                while server.house.gateway.platform().metrics().calls_running == 0 {
                    tokio::task::yield_now().await
                }
            };
            tokio::time::timeout(GUARD, begun).await.expect("it begins");
        }
        drop(client);
        server.house.engine.mirror.gone().await;
        let (status, error, ..) = records(&server, function, 1).await.remove(0);
        assert_eq!((status.as_str(), error.as_str()), ("error", "the client went away before the function finished"));
    }
    assert_eq!(server.house.gateway.platform().metrics().calls_running, 0, "the places are free");
}

#[tokio::test]
async fn a_client_that_reads_slowly_fills_no_memory_and_is_dropped() {
    let edge = EdgeConfig { write: SHORT, ..EdgeConfig::default() };
    let server = Server::start_with(edge).await;
    server.worker("endless", mirror::ENDLESS, &[]).await;
    let mut client = server.connect().await;
    client.send("GET / HTTP/1.1\r\nhost: endless.default.apps.test\r\n\r\n").await;
    client.until(b"xxxx").await;
    // It reads no more, and stays.
    server.house.engine.mirror.gone().await;
    // What sockets and one piece on either side hold.
    assert!(server.house.engine.mirror.pieces.load(Ordering::SeqCst) < 400);
    drop(client);
}

#[tokio::test]
async fn slow_requests_are_cut() {
    let edge = EdgeConfig { header: SHORT, first_byte: SHORT, body_idle: SHORT, ..EdgeConfig::default() };
    let server = Server::start_as(GatewayConfig { edge, ..GatewayConfig::default() }).await;
    server.worker("mirror", mirror::MIRROR, &[]).await;
    server.house.deploy("plain", b"echo", &[("is_public", "true")]).await;
    let mut client = server.connect().await;
    client.send("POST / HTTP/1.1\r\nhost: mirror.default.apps.test\r\nx-slow").await;
    assert_eq!(client.rest().await, b"");
    for function in ["mirror", "plain"] {
        let head = format!("POST / HTTP/1.1\r\nhost: {function}.default.apps.test\r\ncontent-length: 9\r\n\r\nabc");
        let reply = server.says(head).await;
        assert!(matches!(reply.status, 408 | 504), "{function}: {}", reply.status);
        assert!(reply.text().contains("TIMEOUT"), "{function}: {}", reply.text());
    }
    // A body that is read before the call began leaves no record, and held no place.
    assert_eq!(records(&server, "plain", 0).await.len(), 0);
}

#[tokio::test]
async fn requests_that_two_servers_could_read_differently_are_refused() {
    let server = Server::with_mirror().await;
    let host = "host: mirror.default.apps.test\r\n";
    for (head, why) in [
        (format!("POST / HTTP/1.1\r\n{host}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"), "both"),
        (format!("POST / HTTP/1.1\r\n{host}content-length: 2\r\ncontent-length: 2\r\n\r\nab"), "twice"),
        (format!("POST / HTTP/1.1\r\n{host}content-length: 2\r\ncontent-length: 3\r\n\r\nabc"), "two"),
        (format!("POST / HTTP/1.1\r\n{host}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n"), "coding"),
        (format!("POST / HTTP/1.1\r\n{host}transfer-encoding : chunked\r\n\r\n0\r\n\r\n"), "space"),
        (format!("GET / HTTP/1.1\r\n{host}{host}\r\n"), "two hosts"),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "no host"),
        (format!("GET http://other.default.apps.test/ HTTP/1.1\r\n{host}\r\n"), "another host"),
        (format!("GET / HTTP/1.1\r\n{host}x: a\r\n folded\r\n\r\n"), "folded"),
        (format!("GET /a b HTTP/1.1\r\n{host}\r\n"), "a space"),
    ] {
        let reply = server.says(&head).await;
        assert_eq!(reply.status, 400, "{why}: {}", reply.text());
        // Behind a good request in the same packet.
        let both = [format!("GET /good HTTP/1.1\r\n{host}\r\n"), head].concat();
        let mut client = server.connect().await;
        client.send(both).await;
        let said = client.rest().await;
        assert_eq!(Reply::of(said.clone()).status, 200, "{why}");
        assert!(String::from_utf8_lossy(&said).contains("HTTP/1.1 400 "), "{why}");
        assert_eq!(server.house.engine.mirror.asked().head.target, "/good", "{why}");
    }
    // The whole URI, with the same host in another case.
    let same = format!("GET http://MIRROR.default.apps.test/same?x HTTP/1.1\r\n{host}connection: close\r\n\r\n");
    assert_eq!(server.says(same).await.status, 200);
    assert_eq!(server.house.engine.mirror.asked().head.target, "/same?x");
}
