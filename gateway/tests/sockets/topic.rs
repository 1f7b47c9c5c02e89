//! One topic over a WebSocket.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::{Scope, Scopes};
use http::Method;
use ports::memory::Script;
use serde_json::{Value, json};
use std::time::Duration;

use crate::client::Client;
use crate::server::Server;
use crate::support::wallet::TestWallet;
use crate::support::{HISTORY, abroad, home, request, with_key};

fn data_of(envelope: &Value) -> Vec<u8> {
    STANDARD.decode(envelope["data"].as_str().expect("data")).expect("base64")
}

async fn publish(server: &Server, topic: &str, data: &[u8]) {
    let body = json!({ "topic": topic, "data_base64": STANDARD.encode(data) });
    assert_eq!(server.house.post("/v1/pubsub/publish", body).await.status, 200);
}

#[tokio::test]
async fn a_message_reaches_every_subscriber_once_its_sender_too() {
    let server = Server::start().await;
    let (mut one, mut two, mut other) = (server.topic("t").await, server.topic("t").await, server.topic("u").await);
    one.text("first").await;
    let first = one.next_json().await;
    assert_eq!(two.next_json().await, first);
    two.binary(vec![0xff, 0x00]).await;
    let keys: Vec<&String> = first.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["data", "position", "timestamp", "topic"]);
    assert_eq!((data_of(&first), &first["topic"]), (b"first".to_vec(), &json!("t")));
    assert_eq!(first["timestamp"], 1_767_225_600_000_i64);
    for client in [&mut one, &mut two] {
        assert_eq!(data_of(&client.next_json().await), [0xff, 0x00]);
    }
    publish(&server, "t", b"third").await;
    for client in [&mut one, &mut two] {
        assert_eq!(data_of(&client.next_json().await), b"third");
    }
    other.text("alone").await;
    assert_eq!(data_of(&other.next_json().await), b"alone");
}

#[tokio::test]
async fn an_empty_frame_is_a_message_and_a_heartbeat_is_none() {
    let server = Server::start().await;
    let mut client = server.topic("t").await;
    client.text(r#"{"type":"ping"}"#).await;
    client.binary(r#"{"type":"ping","n":1}"#).await;
    client.text("").await;
    client.binary(Bytes::new()).await;
    client.text(r#"{"type":"pong"}"#).await;
    for want in [&b""[..], b"", br#"{"type":"pong"}"#] {
        assert_eq!(data_of(&client.next_json().await), want);
    }
}

#[tokio::test]
async fn large_messages_pass_and_larger_ones_do_not() {
    let server = Server::start().await;
    let mut client = server.topic("t").await;
    let every_byte: Vec<u8> = (0..100 << 10).map(|number: usize| number as u8).collect();
    for message in [every_byte, vec![b'x'; 1 << 20]] {
        client.binary(message.clone()).await;
        assert!(data_of(&client.next_json().await) == message);
    }
    client.text("x".repeat(1 << 20)).await;
    assert_eq!(data_of(&client.next_json().await).len(), 1 << 20);
    let mut raw = server.raw_topic().await;
    raw.send(crate::client::Raw::head(0x82, (1 << 20) + 1)).await;
    raw.send([1, 2, 3, 4]).await;
    assert_eq!(raw.goodbye().await.0, 1009);
}

#[tokio::test]
async fn a_message_that_is_refused_is_answered() {
    let server = Server::start().await;
    let mut client = server.topic("t").await;
    let refused = client.ask_json(r#"{"_orama":"ephemeral.set","key":"x"}"#).await;
    assert_eq!((&refused["type"], &refused["code"]), (&json!("publish_error"), &json!("VALIDATION_FAILED")));
    assert!(refused["error"].as_str().is_some_and(|why| why.contains("_orama")), "{refused}");
    client.text("still open").await;
    assert_eq!(data_of(&client.next_json().await), b"still open");
}

#[tokio::test]
async fn who_comes_back_gets_what_it_missed_or_is_told_that_it_cannot() {
    let server = Server::start().await;
    let mut client = server.topic("t").await;
    client.text("seen").await;
    let position = client.next_json().await["position"].as_str().expect("a position").to_owned();
    client.leave().await;
    for missed in ["one", "two"] {
        publish(&server, "t", missed.as_bytes()).await;
    }
    let mut back = server.topic(&format!("t&after={position}")).await;
    back.text("three").await;
    for want in ["one", "two", "three"] {
        assert_eq!(data_of(&back.next_json().await), want.as_bytes());
    }
    // More than is kept.
    for number in 0..=HISTORY {
        publish(&server, "t", number.to_string().as_bytes()).await;
    }
    for lost in [position.as_str(), "1-1"] {
        let mut lost = server.topic(&format!("t&after={lost}")).await;
        assert_eq!(lost.next_json().await, json!({ "type": "cannot_resume", "topic": "t" }));
        lost.text("now").await;
        assert_eq!(data_of(&lost.next_json().await), b"now");
    }
}

#[tokio::test]
async fn presence_is_told_to_everybody_and_can_be_asked_for() {
    let server = Server::start().await;
    let path = "room&presence=true&member_id=ada&member_meta=%7B%22colour%22%3A%22red%22%7D";
    let mut ada = server.topic(path).await;
    let mut kinds = Vec::new();
    while !kinds.contains(&"presence.join".to_owned()) {
        let event = ada.next_json().await;
        kinds.push(event["type"].as_str().expect("a type").to_owned());
        assert_eq!((&event["member_id"], &event["topic"]), (&json!("ada"), &json!("room")));
        assert_eq!(event["timestamp"], 1_767_225_600_i64, "that of the event, in seconds");
        let inside: Value = serde_json::from_slice(&data_of(&event)).expect("the event itself");
        assert_eq!((&inside["type"], &inside["member_id"]), (&event["type"], &event["member_id"]));
    }
    let list = server.house.client(Method::GET, "/v1/pubsub/presence?topic=room", "").await.json();
    let ada_shown = json!({ "member_id": "ada", "memberId": "ada", "joined_at": 1_767_225_600, "joinedAt": 1_767_225_600,
        "meta": { "colour": "red" } });
    assert_eq!(list, json!({ "topic": "room", "members": [ada_shown], "count": 1 }));
    let bob = server.topic("room&presence=true&member_id=bob").await;
    let mut seen = Vec::new();
    while seen.last().map(String::as_str) != Some("presence.join bob") {
        let event = ada.next_json().await;
        seen.push(format!(
            "{} {}",
            event["type"].as_str().expect("a type"),
            event["member_id"].as_str().expect("a name")
        ));
    }
    bob.leave().await;
    let left = ada.next_json().await;
    assert_eq!((&left["type"], &left["member_id"]), (&json!("presence.leave"), &json!("bob")));
    // Its own joining came once.
    ada.text("end").await;
    assert_eq!(data_of(&ada.next_json().await), b"end");
    let foreign = with_key(request(Method::GET, "/v1/pubsub/presence?topic=room", ""), &server.house.stranger);
    assert_eq!(server.house.send(foreign).await.json()["count"], 0);
    assert_eq!(server.house.client(Method::GET, "/v1/pubsub/presence", "").await.status, 400);
}

#[tokio::test]
async fn an_event_of_ephemeral_state_shows_its_fields() {
    let server = Server::start().await;
    server.deploy_persistent("talk", Script::Echo, &[]).await;
    let mut watching = server.topic("typing").await;
    let mut typing = server.function("talk").await;
    assert_eq!(typing.ask("hold typing ada").await, "ok");
    let set = watching.next_json().await;
    assert_eq!(
        (&set["_orama"], &set["key"], &set["topic"]),
        (&json!("ephemeral.set"), &json!("ada"), &json!("typing"))
    );
    assert_eq!(set["timestamp"], 1_767_225_600_000_i64);
    assert_eq!(serde_json::from_slice::<Value>(&data_of(&set)).expect("the event")["key"], "ada");
    typing.leave().await;
    let cleared = watching.next_json().await;
    assert_eq!((&cleared["_orama"], &cleared["reason"]), (&json!("ephemeral.clear"), &json!("disconnect")));
}

#[tokio::test]
async fn a_slow_subscriber_is_told_where_to_go_on_and_costs_the_others_nothing() {
    let server = Server::start().await;
    let (mut slow, mut quick) = (server.topic("t").await, server.topic("t").await);
    let megabyte = vec![b'x'; 1 << 20];
    let count = 30;
    for _ in 0..count {
        publish(&server, "t", &megabyte).await;
        assert_eq!(quick.next_json().await["topic"], "t");
    }
    let mut last = String::new();
    let (code, reason) = loop {
        match slow.next().await {
            tokio_tungstenite::tungstenite::Message::Text(text) => {
                let envelope: Value = serde_json::from_str(&text).expect("JSON");
                last = envelope["position"].as_str().expect("a position").to_owned();
            }
            tokio_tungstenite::tungstenite::Message::Close(frame) => {
                let frame = frame.expect("a code");
                break (u16::from(frame.code), frame.reason.to_string());
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((code, reason), (1008, format!("too slow, resume behind {last}")));
    assert_eq!(server.metric(r#"orama_websockets_closed_total{how="1008"}"#).await, 1);
    // And it can.
    let mut back = server.topic(&format!("t&after={last}")).await;
    assert_eq!(back.next_json().await["topic"], "t");
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_ends_ends_the_socket() {
    let server = Server::start().await;
    let token = server.house.client(Method::POST, "/v1/auth/token", "").await.text("access_token");
    let mut by_token = Client::open(server.address, &format!("/v1/pubsub/ws?topic=t&token={token}"), "").await;
    let mut by_key = server.topic("t").await;
    // Fifteen minutes, and one of grace.
    server.house.clock.advance(Duration::from_secs(15 * 60 + 59));
    by_token.text("in time").await;
    assert_eq!(data_of(&by_token.next_json().await), b"in time");
    server.house.clock.advance(Duration::from_secs(2));
    let asked = tokio::time::Instant::now();
    let (code, reason) = by_token.goodbye().await;
    assert!(code == 4401 && reason.contains("expired"), "{code} {reason}");
    assert!(asked.elapsed().as_secs() <= 30, "with the next ping: {:?}", asked.elapsed());
    // At once, when it does something.
    assert_eq!(data_of(&by_key.next_json().await), b"in time");
    let keys = server.house.admin(Method::GET, "/v1/auth/keys", "").await.json();
    let data = |key: &&Value| key["scopes"] == json!(["data"]);
    let id = keys["keys"].as_array().and_then(|keys| keys.iter().find(data)).expect("the key")["id"].clone();
    let path = format!("/v1/auth/keys/{}", id.as_str().expect("an id"));
    assert_eq!(server.house.admin(Method::DELETE, &path, "").await.status, 200);
    by_key.text("too late").await;
    let (code, reason) = by_key.goodbye().await;
    assert!(code == 4401 && reason.contains("revoked"), "{code} {reason}");
}

#[tokio::test(start_paused = true)]
async fn who_may_use_topics_no_longer_is_sent_away() {
    let server = Server::start().await;
    let wallet = TestWallet::new(7);
    wallet.own(&server.house, Scopes::of([Scope::Data])).await;
    let token = wallet.sign_in(&server.house).await.text("access_token");
    let mut client = Client::open(server.address, &format!("/v1/pubsub/ws?topic=t&token={token}"), "").await;
    wallet.own(&server.house, Scopes::of([Scope::Invoke])).await;
    assert_eq!(client.goodbye().await.0, 4403);
}

#[tokio::test(start_paused = true)]
async fn a_topic_ends_with_its_namespace_and_a_socket_with_its_server() {
    let server = Server::start().await;
    let mut abroad_client = server.open("/v1/pubsub/ws?topic=t", &server.house.stranger).await;
    let mut client = server.topic("t").await;
    let deleted = server.house.operator(Method::DELETE, &format!("/v1/namespaces/{}", abroad()), "").await;
    assert_eq!(deleted.status, 200, "{}", home());
    assert_eq!(abroad_client.goodbye().await, (4404, "the topic is closed".to_owned()));
    let stop = server.stop.clone();
    let (goodbye, ()) = tokio::join!(client.goodbye(), async { stop.cancel() });
    assert_eq!(goodbye, (1012, "server restarting, reconnect".to_owned()));
    server.stopped().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_answer_the_goodbye_holds_up_the_stop_for_seconds_only() {
    let server = Server::start().await;
    let silent = server.raw_topic().await;
    let begun = tokio::time::Instant::now();
    server.stopped().await;
    assert!(begun.elapsed() <= Duration::from_secs(6), "{:?}", begun.elapsed());
    drop(silent);
}
