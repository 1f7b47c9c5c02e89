//! RFC 6455, and what it leaves to the server: sizes, times and floods.

use std::time::Duration;

use gateway::SocketConfig;
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::Message;

use crate::client::Raw;
use crate::server::{GUARD, Server};

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const PING: u8 = 0x89;
const CLOSE: u8 = 0x88;

/// What the server says to these bytes at last.
async fn goodbye_to(server: &Server, bytes: impl AsRef<[u8]>) -> (u16, String) {
    let mut raw = server.raw_topic().await;
    // It may close while we still send.
    raw.0.write_all(bytes.as_ref()).await.ok();
    raw.goodbye().await
}

#[tokio::test]
async fn frames_against_the_rules_end_the_socket_with_1002() {
    let server = Server::start().await;
    let masked = Raw::frame;
    let cases: [(&str, Vec<u8>); 12] = [
        ("unmasked", vec![TEXT, 2, b'h', b'i']),
        ("a reserved bit", masked(TEXT | 0x40, b"hi")),
        ("another reserved bit", masked(TEXT | 0x10, b"hi")),
        ("a reserved kind", masked(0x83, b"hi")),
        ("a reserved control frame", masked(0x8b, b"hi")),
        ("the rest of nothing", masked(0x80, b"hi")),
        ("a message within a message", [masked(0x01, b"a"), masked(TEXT, b"b")].concat()),
        ("a ping in pieces", masked(0x09, b"")),
        ("a ping too large", masked(PING, &[b'x'; 126])),
        ("a goodbye of one byte", masked(CLOSE, &[3])),
        ("a goodbye with a code that nobody may say", masked(CLOSE, &1005_u16.to_be_bytes())),
        ("a goodbye with a code that is none", masked(CLOSE, &7_u16.to_be_bytes())),
    ];
    for (what, bytes) in cases {
        assert_eq!(goodbye_to(&server, bytes).await.0, 1002, "{what}");
    }
    // What was done before counts.
    assert_eq!(server.metric(r#"orama_websockets_closed_total{how="1002"}"#).await, 10);
}

#[tokio::test]
async fn text_must_be_utf8_wherever_it_is_cut() {
    let server = Server::start().await;
    let masked = Raw::frame;
    let euro = "€".as_bytes();
    let cases: [Vec<u8>; 5] = [
        masked(TEXT, &[0xff]),
        masked(TEXT, &[b'a', 0xc0, 0xaf]),
        masked(TEXT, &[0xed, 0xa0, 0x80]),
        masked(TEXT, &euro[..2]),
        [masked(0x01, &euro[..1]), masked(0x80, b"a")].concat(),
    ];
    for bytes in cases {
        assert_eq!(goodbye_to(&server, &bytes).await, (1007, "a text frame is not UTF-8".to_owned()), "{bytes:x?}");
    }
    assert_eq!(goodbye_to(&server, masked(CLOSE, &[3, 232, 0xff])).await.0, 1007);
    // Cut inside of a character, it is still one message.
    let mut client = server.raw_topic().await;
    client.send([masked(0x01, &euro[..1]), masked(0x00, &euro[1..2]), masked(0x80, &euro[2..])].concat()).await;
    let (_, payload) = client.next_frame().await.expect("a message");
    assert!(String::from_utf8_lossy(&payload).contains("4oKs"));
    // Binary frames carry any bytes.
    client.send_frame(BINARY, &[0xff, 0]).await;
    let (_, payload) = client.next_frame().await.expect("a message");
    assert!(String::from_utf8_lossy(&payload).contains("/wA="));
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_it_arrives() {
    let server = Server::start().await;
    let mut huge = Raw::head(BINARY, 64 << 20);
    huge.extend([1, 2, 3, 4]);
    assert_eq!(goodbye_to(&server, huge).await, (1009, "a message may have 1048576 bytes".to_owned()));
    let mut endless = Raw::head(BINARY, u64::MAX);
    endless.extend([1, 2, 3, 4]);
    assert_eq!(goodbye_to(&server, endless).await.0, 1009);
    let half = vec![7; 600 << 10];
    let pieces = [Raw::frame(0x02, &half), Raw::frame(0x80, &half)].concat();
    assert_eq!(goodbye_to(&server, pieces).await.0, 1009);
}

#[tokio::test]
async fn a_message_in_a_million_pieces_is_not_waited_for() {
    let server = Server::start().await;
    let mut bytes = Raw::frame(0x01, b"x");
    let piece = Raw::frame(0x00, b"x");
    for _ in 0..20_000 {
        bytes.extend_from_slice(&piece);
    }
    assert_eq!(goodbye_to(&server, bytes).await, (1008, "the message has too many frames".to_owned()));
}

#[tokio::test]
async fn a_flood_of_pings_is_cut() {
    let server = Server::start().await;
    let flood = Raw::frame(PING, b"x").repeat(1000);
    assert_eq!(goodbye_to(&server, flood).await, (1008, "too many pings".to_owned()));
    let pongs = Raw::frame(0x8a, b"").repeat(1000);
    assert_eq!(goodbye_to(&server, pongs).await.0, 1008);
}

#[tokio::test]
async fn a_ping_is_answered_with_what_it_says() {
    let server = Server::start().await;
    let mut raw = server.raw_topic().await;
    raw.send_frame(PING, b"are you there").await;
    assert_eq!(raw.next_frame().await, Some((0x8a, b"are you there".to_vec())));
    // Also inside of a message.
    raw.send([Raw::frame(0x01, b"a"), Raw::frame(PING, b"now"), Raw::frame(0x80, b"b")].concat()).await;
    assert_eq!(raw.next_frame().await, Some((0x8a, b"now".to_vec())));
    let (_, payload) = raw.next_frame().await.expect("a message");
    assert!(String::from_utf8_lossy(&payload).contains("YWI="));
}

#[tokio::test]
async fn the_closing_handshake_is_answered_and_the_server_closes_first() {
    let server = Server::start().await;
    for (goodbye, answer) in [
        ([3, 232, b'b', b'y', b'e'].as_slice(), (1000, "bye".to_owned())),
        (&4000_u16.to_be_bytes(), (4000, String::new())),
    ] {
        let mut raw = server.raw_topic().await;
        raw.send_frame(CLOSE, goodbye).await;
        assert_eq!(raw.goodbye().await, answer);
    }
    let mut silent = server.raw_topic().await;
    silent.send_frame(CLOSE, &[]).await;
    assert_eq!(silent.next_frame().await, Some((0x88, Vec::new())));
    assert_eq!(silent.next_frame().await, None);
    // What comes behind the goodbye is not read.
    let mut late = server.raw_topic().await;
    late.send([Raw::frame(CLOSE, &[3, 232]), Raw::frame(TEXT, b"too late")].concat()).await;
    assert_eq!(late.goodbye().await.0, 1000);
    server.until_metric(r#"orama_websockets_open{kind="topic"}"#, 0).await;
}

#[tokio::test]
async fn a_connection_that_breaks_is_over() {
    let server = Server::start().await;
    for bytes in [Vec::new(), vec![0x81], Raw::frame(0x01, b"half a message")] {
        let mut raw = server.raw_topic().await;
        raw.send(bytes).await;
        drop(raw);
    }
    server.until_metric(r#"orama_websockets_closed_total{how="lost"}"#, 3).await;
    server.until_metric("orama_connections_open", 0).await;
}

#[tokio::test(start_paused = true)]
async fn the_server_pings_and_who_never_answers_is_gone() {
    let server = Server::start().await;
    let started = tokio::time::Instant::now();
    let mut silent = server.raw_topic().await;
    assert_eq!(silent.next_frame().await, Some((0x89, Vec::new())));
    assert_eq!(started.elapsed().as_secs(), 30);
    assert_eq!(silent.goodbye().await, (0, String::new()));
    assert_eq!(started.elapsed().as_secs(), 60);
    assert_eq!(server.metric(r#"orama_websockets_closed_total{how="lost"}"#).await, 1);
    // Who answers stays.
    let mut client = server.topic("t").await;
    let heard = async {
        loop {
            client.next().await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(600), heard).await.is_err(), "it only heard pings");
    client.text("hi").await;
    assert_eq!(client.next_json().await["data"], "aGk=");
}

#[tokio::test(start_paused = true)]
async fn a_message_has_its_time() {
    let server = Server::start().await;
    let mut raw = server.raw_topic().await;
    let begun = tokio::time::Instant::now();
    raw.send_frame(0x01, b"a").await;
    let (mut reading, mut writing) = raw.0.into_split();
    let dripping = tokio::spawn(async move {
        let mut pace = tokio::time::interval(Duration::from_secs(1));
        loop {
            pace.tick().await;
            if writing.write_all(&Raw::frame(0x00, b"x")).await.is_err() {
                return;
            }
        }
    });
    let mut said = Vec::new();
    let read = async { while tokio::io::AsyncReadExt::read_buf(&mut reading, &mut said).await.is_ok_and(|n| n > 0) {} };
    tokio::time::timeout(GUARD, read).await.expect("the server closes");
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(said.contains("the message took too long to arrive"), "{said}");
    assert!((60..70).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    dripping.abort();
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_dropped() {
    let timers = SocketConfig { write: Duration::from_millis(300), ..SocketConfig::default() };
    let server = Server::start_timed(timers).await;
    // It never reads its own messages.
    let mut raw = server.raw_topic().await;
    let large = Raw::frame(BINARY, &vec![7; 1 << 20]);
    let endless = async { while raw.0.write_all(&large).await.is_ok() {} };
    tokio::time::timeout(GUARD, endless).await.expect("the server gives up");
    server.until_metric(r#"orama_websockets_open{kind="topic"}"#, 0).await;
}

#[tokio::test]
async fn large_messages_of_all_clients_together_have_a_bound() {
    let server = Server::start_timed(SocketConfig { bytes_max: 1 << 20, ..SocketConfig::default() }).await;
    // Announced, and not sent; the answer to the ping tells that it was read.
    let mut first = server.raw_topic().await;
    first.send([Raw::frame(PING, b""), Raw::head(BINARY, 900 << 10), vec![0; 4]].concat()).await;
    assert_eq!(first.next_frame().await, Some((0x8a, Vec::new())));
    let (mut second, mut third) = (server.raw_topic().await, server.raw_topic().await);
    third.send([Raw::head(BINARY, 900 << 10), vec![0; 4]].concat()).await;
    assert_eq!(third.goodbye().await, (1013, "too many large messages at once, try again".to_owned()));
    drop(third);
    // Small ones pass, and large ones again when there is room.
    second.send_frame(TEXT, b"small").await;
    assert!(second.next_frame().await.is_some());
    drop(first);
    server.until_metric("orama_websockets_open{kind=\"topic\"}", 1).await;
    second.send_frame(BINARY, &vec![7; 900 << 10]).await;
    assert!(second.next_frame().await.expect("a message").1.len() > 900 << 10);
}

#[tokio::test]
async fn ten_thousand_frames_in_one_packet_are_ten_thousand_messages() {
    let server = Server::start().await;
    let mut client = server.topic("busy").await;
    let count = 2000;
    let (mut sink, mut stream) = futures_util::StreamExt::split(client.0);
    let sending = tokio::spawn(async move {
        for number in 0..count {
            let message = Message::text(number.to_string());
            futures_util::SinkExt::feed(&mut sink, message).await.expect("the server reads");
        }
        futures_util::SinkExt::flush(&mut sink).await.expect("the server reads");
        sink
    });
    for number in 0..count {
        let next = tokio::time::timeout(GUARD, futures_util::StreamExt::next(&mut stream)).await.expect("it comes");
        let text = next.expect("open").expect("a frame").into_text().expect("text");
        let envelope: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let data = envelope["data"].as_str().expect("data");
        use base64::Engine as _;
        let data = base64::engine::general_purpose::STANDARD.decode(data).expect("base64");
        assert_eq!(data, number.to_string().as_bytes());
    }
    drop(sending.await.expect("no panic"));
    client = server.topic("busy").await;
    client.leave().await;
}
