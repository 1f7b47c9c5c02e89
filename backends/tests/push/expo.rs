//! Expo: batches, tickets, receipts.

use std::sync::Arc;

use domain::PushKind;
use expect_test::expect;
use ports::{PushField, PushProvider};
use serde_json::{Value, json};

use crate::server::{Answer, Asked, Server};
use crate::support::{World, far, hello, line, message, send, settings};

fn expo(server: &Server) -> Arc<dyn PushProvider> {
    let world = World::strict().with(|endpoints| endpoints.expo = server.url("/"));
    world.provider(PushKind::Expo, &settings(&[(PushField::ExpoAccessToken, "expo_secret")]))
}

fn token(number: usize) -> String {
    format!("ExponentPushToken[{number}]")
}

/// A ticket for each message, as the protocol demands.
fn tickets(asked: &Asked) -> Answer {
    let messages = asked.json();
    let messages = messages.as_array().expect("a list of messages");
    assert!((1..=100).contains(&messages.len()), "Expo takes a hundred at once");
    let ticket = |message: &Value| match message["to"].as_str().expect("a token") {
        "ExponentPushToken[7]" => json!({
            "status": "error",
            "message": "\"ExponentPushToken[7]\" is not a registered push notification recipient",
            "details": { "error": "DeviceNotRegistered" },
        }),
        "ExponentPushToken[8]" => {
            json!({ "status": "error", "message": "too fast", "details": { "error": "MessageRateExceeded" } })
        }
        to => json!({ "status": "ok", "id": format!("receipt-of-{to}") }),
    };
    Answer::of(200, json!({ "data": messages.iter().map(ticket).collect::<Vec<_>>() }).to_string())
}

#[tokio::test]
async fn a_hundred_devices_are_one_request() {
    let server = Server::start(tickets).await;
    let expo = expo(&server);
    assert_eq!(expo.batch_max(), 100);
    let tokens: Vec<String> = (0..100).map(token).collect();
    let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
    let full = message(
        r#"{"title":"Call","body":"from Ada","channel":"calls","priority":"high","badge":3,"sound":"default","data":{"a":1}}"#,
    );
    let outcomes = expo.send(&tokens, &full, far()).await;
    let lines: Vec<String> = outcomes[6..10].iter().map(|outcome| line(outcome, &server)).collect();
    expect![[r#"
        sent 200 receipt receipt-of-ExponentPushToken[6]
        failed 200 DeviceNotRegistered ""…" is not a registered push notification recipient" unregistered
        failed 200 MessageRateExceeded "too fast" temporary
        sent 200 receipt receipt-of-ExponentPushToken[9]"#]]
    .assert_eq(&lines.join("\n"));
    assert_eq!(outcomes.iter().filter(|outcome| outcome.success).count(), 98);
    let asked = server.only_asked();
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/--/api/v2/push/send"));
    assert_eq!((asked.header("content-type"), asked.credential("Bearer")), ("application/json", "expo_secret"));
    let want = json!({
        "to": token(3), "title": "Call", "body": "from Ada", "channelId": "calls", "priority": "high", "badge": 3,
        "sound": "default", "data": { "a": 1 },
    });
    assert_eq!(asked.json()[3], want);
}

#[tokio::test]
async fn an_error_of_the_request_is_that_of_every_device() {
    let server = Server::start(|asked| match asked.json()[0]["title"].as_str() {
        Some("busy") => Answer::of(429, r#"{"errors":[{"code":"TOO_MANY_REQUESTS","message":"slow down"}]}"#),
        Some("other") => {
            Answer::of(200, r#"{"errors":[{"code":"PUSH_TOO_MANY_EXPERIENCE_IDS","message":"two apps"}]}"#)
        }
        Some("less") => Answer::of(200, r#"{"data":[]}"#),
        Some("none") => Answer::of(200, "<html>"),
        _ => Answer::of(401, r#"{"errors":[{"code":"UNAUTHORIZED","message":"expo_secret is not known"}]}"#),
    })
    .await;
    let expo = expo(&server);
    let mut seen = String::new();
    for title in ["busy", "other", "less", "none", "wrong"] {
        let message = message(&json!({ "title": title }).to_string());
        let outcomes = expo.send(&[&token(1), &token(2)], &message, far()).await;
        assert_eq!(outcomes[0], outcomes[1]);
        seen += &(line(&outcomes[0], &server) + "\n");
    }
    expect![[r#"
        failed 429 TOO_MANY_REQUESTS "slow down" temporary
        failed 200 PUSH_TOO_MANY_EXPERIENCE_IDS "two apps"
        failed 200 NotUnderstood "the provider's answer was not understood; it may have sent the message"
        failed 200 NotUnderstood "the provider's answer was not understood; it may have sent the message"
        failed 401 UNAUTHORIZED "… is not known"
    "#]]
    .assert_eq(&seen);
}

#[tokio::test]
async fn receipts_tell_later_who_is_gone() {
    let server = Server::start(|asked| {
        assert_eq!(asked.path, "/--/api/v2/push/getReceipts");
        assert_eq!(asked.json()["ids"].as_array().map(Vec::len), Some(3));
        let gone = json!({ "status": "error", "message": "gone", "details": { "error": "DeviceNotRegistered" } });
        Answer::of(200, json!({ "data": { "r1": { "status": "ok" }, "r2": gone, "foreign": gone } }).to_string())
    })
    .await;
    let receipts = ["r1", "r2", "r3"].map(str::to_owned);
    let known = expo(&server).receipts(&receipts, far()).await;
    let known: Vec<(&str, bool)> = known.iter().map(|(id, outcome)| (id.as_str(), outcome.unregistered)).collect();
    assert_eq!(known, [("r1", false), ("r2", true)], "nothing is known of the third");
}

#[tokio::test]
async fn data_alone_wake_the_app() {
    let server = Server::start(tickets).await;
    send(&expo(&server), &token(1), &message(r#"{"data":{"sync":true}}"#)).await;
    let want = json!([{ "to": token(1), "data": { "sync": true }, "_contentAvailable": true }]);
    assert_eq!(server.only_asked().json(), want);
    assert!(send(&expo(&server), &token(1), &hello()).await.success);
}
