//! Apple: HTTP/2, tokens that are signed and renewed, channels.

use std::sync::Arc;
use std::time::Duration;

use domain::PushKind;
use expect_test::expect;
use hyper::Version;
use jsonwebtoken::{Algorithm, DecodingKey, TokenData, Validation, decode};
use ports::PushField::{ApnsKeyId, ApnsKeyPem, ApnsSandbox, ApnsTeamId, ApnsTopic};
use ports::{PushField, PushProvider};
use rcgen::KeyPair;
use serde::Deserialize;
use serde_json::json;

use crate::server::{Answer, Asked, Server};
use crate::support::{World, hello, line, message, send, settings};

const KEY_ID: &str = "ABC123DEFG";
const TEAM_ID: &str = "TEAM456789";

fn token(digit: char) -> String {
    digit.to_string().repeat(64)
}

fn fields(key: &KeyPair) -> [(PushField, String); 4] {
    let topic = "com.example.app".to_owned();
    [(ApnsKeyPem, key.serialize_pem()), (ApnsKeyId, KEY_ID.into()), (ApnsTeamId, TEAM_ID.into()), (ApnsTopic, topic)]
}

fn apns(world: &World, key: &KeyPair, kind: PushKind) -> Arc<dyn PushProvider> {
    let fields = fields(key);
    let fields: Vec<(PushField, &str)> = fields.iter().map(|(field, text)| (*field, text.as_str())).collect();
    world.provider(kind, &settings(&fields))
}

fn world(server: &Server) -> World {
    World::strict().with(|endpoints| endpoints.apns = server.url("/"))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: String,
    iat: i64,
}

/// Who signed a request: checked by another library.
fn signer(asked: &Asked, key: &KeyPair) -> TokenData<Claims> {
    let mut validation = Validation::new(Algorithm::ES256);
    validation.validate_exp = false;
    validation.required_spec_claims.clear();
    let key = DecodingKey::from_ec_der(key.public_key_raw());
    decode(asked.credential("bearer"), &key, &validation).expect("the signature is good")
}

#[tokio::test]
async fn a_message_is_an_alert_over_http_2() {
    let server = Server::start_http2(|_| Answer::of(200, "").with("apns-id", "1")).await;
    let key = KeyPair::generate().expect("a key");
    let apns = apns(&world(&server), &key, PushKind::Apns);
    let full = message(
        r#"{"title":"Call","body":"from Ada","badge":3,"sound":"ring.caf","data":{"call":7,"aps":"mine"},"message_id":"call-7"}"#,
    );
    assert_eq!(line(&send(&apns, &token('a'), &full).await, &server), "sent 200");
    let asked = server.only_asked();
    assert_eq!(asked.version, Version::HTTP_2);
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", format!("/3/device/{}", token('a')).as_str()));
    let names = ["apns-push-type", "apns-topic", "apns-priority", "apns-collapse-id", "apns-expiration"];
    assert_eq!(names.map(|name| asked.header(name)), ["alert", "com.example.app", "10", "call-7", ""]);
    let aps = json!({ "alert": { "title": "Call", "body": "from Ada" }, "badge": 3, "sound": "ring.caf" });
    assert_eq!(asked.json(), json!({ "aps": aps, "call": 7 }), "nobody writes into Apple's part");

    let signed = signer(&asked, &key);
    assert_eq!(signed.header.kid.as_deref(), Some(KEY_ID));
    assert_eq!((signed.claims.iss.as_str(), signed.claims.iat), (TEAM_ID, 1_767_225_600));
}

#[tokio::test]
async fn a_call_goes_its_own_way_and_data_alone_stay_silent() {
    let server = Server::start_http2(|_| Answer::of(200, "")).await;
    let key = KeyPair::generate().expect("a key");
    let world = world(&server);
    let silent = message(r#"{"data":{"sync":true},"priority":"high"}"#);
    send(&apns(&world, &key, PushKind::ApnsVoip), &token('a'), &silent).await;
    send(&apns(&world, &key, PushKind::Apns), &token('b'), &silent).await;
    send(&apns(&world, &key, PushKind::Apns), &token('c'), &message(r#"{"body":"x","priority":"normal"}"#)).await;
    let names = ["apns-push-type", "apns-topic", "apns-priority", "apns-expiration"];
    let asked = server.asked();
    assert_eq!(names.map(|name| asked[0].header(name)), ["voip", "com.example.app.voip", "10", "0"]);
    assert_eq!(names.map(|name| asked[1].header(name)), ["background", "com.example.app", "5", ""]);
    assert_eq!(asked[1].json(), json!({ "aps": { "content-available": 1 }, "sync": true }));
    assert_eq!(names.map(|name| asked[2].header(name)), ["alert", "com.example.app", "5", ""]);
}

#[tokio::test]
async fn a_token_is_signed_once_in_a_while_and_the_connection_is_kept() {
    let server = Server::start_http2(|_| Answer::of(200, "")).await;
    let key = KeyPair::generate().expect("a key");
    let world = world(&server);
    let apns = apns(&world, &key, PushKind::Apns);
    for minutes in [0, 10, 34, 2] {
        world.clock.advance(Duration::from_secs(minutes * 60));
        assert!(send(&apns, &token('a'), &hello()).await.success);
    }
    let issued: Vec<i64> = server.asked().iter().map(|asked| signer(asked, &key).claims.iat - 1_767_225_600).collect();
    assert_eq!(issued, [0, 0, 0, 46 * 60], "new after 45 minutes");
    assert_eq!(server.connections(), 1);
}

/// When the clocks differ, Apple finds a token too old that is not for us.
#[tokio::test]
async fn a_token_that_apple_finds_too_old_is_replaced_but_never_too_soon() {
    let key = KeyPair::generate().expect("a key");
    let server = Server::start_http2({
        let public = DecodingKey::from_ec_der(key.public_key_raw());
        move |asked| {
            let mut validation = Validation::new(Algorithm::ES256);
            validation.validate_exp = false;
            validation.required_spec_claims.clear();
            let signed: TokenData<Claims> = decode(asked.credential("bearer"), &public, &validation).expect("good");
            match signed.claims.iat > 1_767_225_600 {
                true => Answer::of(200, ""),
                false => Answer::of(403, r#"{"reason":"ExpiredProviderToken"}"#),
            }
        }
    })
    .await;
    let world = world(&server);
    let apns = apns(&world, &key, PushKind::Apns);
    assert_eq!(send(&apns, &token('a'), &hello()).await.reason.as_deref(), Some("ExpiredProviderToken"));
    world.clock.advance(Duration::from_secs(21 * 60));
    assert!(send(&apns, &token('a'), &hello()).await.success);
}

#[tokio::test]
async fn what_apple_refuses_is_told_in_its_word() {
    let server = Server::start_http2(|asked| match asked.path.chars().last() {
        Some('1') => Answer::of(410, r#"{"reason":"Unregistered","timestamp":1767225600000}"#),
        Some('2') => Answer::of(400, r#"{"reason":"BadDeviceToken"}"#),
        Some('3') => Answer::of(429, r#"{"reason":"TooManyRequests"}"#).with("retry-after", "7"),
        Some('4') => Answer::of(503, r#"{"reason":"ServiceUnavailable"}"#),
        Some('5') => Answer::of(403, r#"{"reason":"InvalidProviderToken"}"#),
        Some('6') => Answer::of(413, r#"{"reason":"PayloadTooLarge"}"#),
        _ => Answer::of(400, "not JSON"),
    })
    .await;
    let apns = apns(&world(&server), &KeyPair::generate().expect("a key"), PushKind::Apns);
    let mut seen = String::new();
    for digit in '1'..='7' {
        seen += &(line(&send(&apns, &token(digit), &hello()).await, &server) + "\n");
    }
    expect![[r#"
        failed 410 Unregistered "the provider answered 410" unregistered
        failed 400 BadDeviceToken "the provider answered 400" unregistered
        failed 429 TooManyRequests "the provider answered 429" temporary after 7s
        failed 503 ServiceUnavailable "the provider answered 503" temporary
        failed 403 InvalidProviderToken "the provider answered 403"
        failed 413 PayloadTooLarge "the provider answered 413"
        failed 400 Http400 "the provider answered 400"
    "#]]
    .assert_eq(&seen);
}

#[tokio::test]
async fn an_app_from_xcode_is_in_the_sandbox() {
    let (production, sandbox) =
        (Server::start_http2(|_| Answer::of(200, "")), Server::start_http2(|_| Answer::of(200, "")));
    let (production, sandbox) = (production.await, sandbox.await);
    let world = World::strict().with(|endpoints| {
        endpoints.apns = production.url("/");
        endpoints.apns_sandbox = sandbox.url("/");
    });
    let fields = fields(&KeyPair::generate().expect("a key"));
    let mut settings = settings(&fields.each_ref().map(|(field, text)| (*field, text.as_str())));
    settings.set(ApnsSandbox, "true");
    assert!(send(&world.provider(PushKind::Apns, &settings), &token('a'), &hello()).await.success);
    assert_eq!((production.asked().len(), sandbox.asked().len()), (0, 1));
}

#[tokio::test]
async fn a_server_without_http_2_is_not_apple() {
    let server = Server::start(|_| Answer::of(200, "")).await;
    let apns = apns(&world(&server), &KeyPair::generate().expect("a key"), PushKind::Apns);
    let outcome = send(&apns, &token('a'), &hello()).await;
    assert!(!outcome.success && server.asked().is_empty(), "{outcome:?}");
}
