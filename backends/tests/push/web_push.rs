//! Browsers: a strict push service, and the browser's part played by libraries of others.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::PushKind;
use expect_test::expect;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::Jwk};
use ports::PushField::{VapidPrivateKey, VapidSubject};
use ports::PushProvider;
use rcgen::KeyPair;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::server::{Answer, Asked, Server};
use crate::support::{World, hello, line, message, send, settings};

const SUBJECT: &str = "mailto:ops@example.com";

/// What a browser keeps of a subscription.
struct Browser {
    key: KeyPair,
    auth: String,
}

impl Browser {
    fn new() -> Self {
        Self { key: KeyPair::generate().expect("a key"), auth: URL_SAFE_NO_PAD.encode([7; 16]) }
    }

    fn subscription(&self, endpoint: &str) -> String {
        let point = URL_SAFE_NO_PAD.encode(self.key.public_key_raw());
        json!({ "endpoint": endpoint, "expirationTime": null, "keys": { "p256dh": point, "auth": self.auth } })
            .to_string()
    }

    /// The private number, which stands in PKCS#8 behind `0x04 0x20`.
    fn private(&self) -> String {
        let der = self.key.serialize_der();
        let at = der.windows(2).position(|pair| pair == [4, 32]).expect("an EC key") + 2;
        URL_SAFE_NO_PAD.encode(&der[at..at + 32])
    }

    /// What the browser reads, and whether the sender is the one that it subscribed to: judged by `http_ece` and `py_vapid`.
    fn read(&self, asked: &Asked) -> Value {
        let given = json!({
            "body": URL_SAFE_NO_PAD.encode(&asked.body),
            "private": self.private(),
            "auth": self.auth,
            "authorization": asked.header("authorization"),
        });
        serde_json::from_slice(&judged(&given)).expect("the message is JSON")
    }
}

fn judged(given: &Value) -> Vec<u8> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/push/judge.py");
    let home = std::env::var_os("HOME").expect("a home");
    let python = PathBuf::from(home).join(".cache/orama-tools/python/bin/python");
    let mut judge = Command::new(python);
    judge.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut judge = judge.spawn().expect("the judge needs Python packages; run `cargo xtask setup`");
    judge.stdin.take().expect("piped").write_all(given.to_string().as_bytes()).expect("the judge reads");
    let judgement = judge.wait_with_output().expect("the judge ends");
    assert!(judgement.status.success(), "{}", String::from_utf8_lossy(&judgement.stderr));
    judgement.stdout
}

fn web_push(world: &World, private: &str) -> Arc<dyn PushProvider> {
    world.provider(PushKind::Webpush, &settings(&[(VapidPrivateKey, private), (VapidSubject, SUBJECT)]))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    aud: String,
    exp: i64,
    sub: String,
}

/// The token of a sender, checked with the key that stands beside it.
fn sender(asked: &Asked) -> (String, Claims) {
    let (token, key) = asked.credential("vapid").split_once(", k=").expect("a token and a key");
    let token = token.strip_prefix("t=").expect("a token");
    let header = decode_header(token).expect("a header");
    assert_eq!((header.typ.as_deref(), header.alg), (Some("JWT"), Algorithm::ES256));
    let point = URL_SAFE_NO_PAD.decode(key).expect("base64url");
    let part = |range: std::ops::Range<usize>| URL_SAFE_NO_PAD.encode(&point[range]);
    let jwk = json!({ "kty": "EC", "crv": "P-256", "x": part(1..33), "y": part(33..65) });
    let jwk: Jwk = serde_json::from_value(jwk).expect("a key");
    let mut validation = Validation::new(Algorithm::ES256);
    validation.validate_exp = false;
    validation.validate_aud = false;
    let claims = decode(token, &DecodingKey::from_jwk(&jwk).expect("a key"), &validation).expect("good").claims;
    (key.to_owned(), claims)
}

#[tokio::test]
async fn a_message_reaches_the_browser_and_nobody_else_reads_it() {
    let server = Server::start(|_| Answer::of(201, "").with("location", "/m/1")).await;
    let (world, browser) = (World::lenient(), Browser::new());
    let private = world.draw_vapid_key();
    let web_push = web_push(&world, &private);
    let full = message(
        r#"{"title":"Größe","body":"from Ada","priority":"high","data":{"call":7},"message_id":"call-7","target_provider":"webpush"}"#,
    );
    let subscription = browser.subscription(server.url("/s/secret?x=1").as_str());
    assert_eq!(line(&send(&web_push, &subscription, &full).await, &server), "sent 201");

    let asked = server.only_asked();
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/s/secret?x=1"));
    let names = ["content-encoding", "content-type", "ttl", "urgency", "topic"];
    let topic = "lCYQqxePIDkJkvVSpmB8wOoAt7fnBDf1";
    let shown = names.map(|name| asked.header(name));
    assert_eq!(shown[..4], ["aes128gcm", "application/octet-stream", "604800", "high"]);
    assert!(shown[4].len() == topic.len() && !shown[4].contains("call"), "{}", shown[4]);
    assert!(!asked.body.windows(4).any(|bytes| bytes == b"from"), "it is encrypted");

    let (key, claims) = sender(&asked);
    assert_eq!(key, world.vapid_public_key(&private));
    assert_eq!(claims.aud, format!("https://{}", server.address), "the origin, and nothing of the path");
    assert_eq!((claims.sub.as_str(), claims.exp - 1_767_225_600), (SUBJECT, 12 * 3600));

    let want = json!({
        "title": "Größe", "body": "from Ada", "priority": "high", "data": { "call": 7 }, "message_id": "call-7",
    });
    assert_eq!(browser.read(&asked), want);
}

#[tokio::test]
async fn every_length_is_read_up_to_the_longest() {
    let server = Server::start(|_| Answer::of(201, "")).await;
    let (world, browser) = (World::lenient(), Browser::new());
    let web_push = web_push(&world, &world.draw_vapid_key());
    let subscription = browser.subscription(server.url("/s").as_str());
    // Of the 3,993 bytes, eleven are the JSON around the text.
    for length in [1, 2, 3000, 3982] {
        let message = message(&json!({ "body": "x".repeat(length) }).to_string());
        assert!(send(&web_push, &subscription, &message).await.success, "{length}");
        let asked = server.asked().pop().expect("a request");
        assert_eq!(browser.read(&asked)["body"].as_str().map(str::len), Some(length));
        assert!(asked.body.len() <= 4096 && asked.header("urgency") == "normal" && asked.header("topic").is_empty());
    }
    let long = message(&json!({ "body": "x".repeat(3983) }).to_string());
    let refused = line(&send(&web_push, &subscription, &long).await, &server);
    assert_eq!(refused, "failed PayloadTooLarge \"the message is 3994 bytes, a browser takes 3993\"");
    assert_eq!(server.asked().len(), 4);
}

#[tokio::test]
async fn what_a_push_service_refuses_is_told() {
    let server = Server::start(|asked| {
        let status: u16 = asked.path.trim_start_matches('/').parse().expect("a status");
        let answer = Answer::of(status, "the key of https://push.example/s/secret is not known");
        if status == 429 { answer.with("retry-after", "11") } else { answer }
    })
    .await;
    let (world, browser) = (World::lenient(), Browser::new());
    let web_push = web_push(&world, &world.draw_vapid_key());
    let mut seen = String::new();
    for status in [200, 202, 400, 401, 403, 404, 410, 413, 429, 500] {
        let subscription = browser.subscription(server.url(&format!("/{status}")).as_str());
        seen += &(line(&send(&web_push, &subscription, &hello()).await, &server) + "\n");
    }
    expect![[r#"
        sent 200
        sent 202
        failed 400 Http400 "the provider answered 400"
        failed 401 Http401 "the provider answered 401"
        failed 403 Http403 "the provider answered 403"
        failed 404 Unregistered "the provider answered 404" unregistered
        failed 410 Unregistered "the provider answered 410" unregistered
        failed 413 Http413 "the provider answered 413"
        failed 429 Http429 "the provider answered 429" temporary after 11s
        failed 500 Http500 "the provider answered 500" temporary
    "#]]
    .assert_eq(&seen);
}

/// Whoever signs in registers a device, and with it an address.
#[tokio::test]
async fn a_subscription_cannot_lead_inside() {
    let server = Server::start(|_| Answer::of(201, "")).await;
    let (world, browser) = (World::strict(), Browser::new());
    let web_push = web_push(&world, &world.draw_vapid_key());
    let port = server.address.port();
    for endpoint in [
        format!("https://127.0.0.1:{port}/"),
        format!("https://inside.example:{port}/"),
        format!("https://localhost:{port}/"),
        format!("https://0x7f.1:{port}/"),
        format!("https://user:pass@127.0.0.1:{port}/"),
        "https://169.254.169.254/latest/meta-data/".to_owned(),
        "https://[fd00:ec2::254]/".to_owned(),
        "https://push.example:22/".to_owned(),
    ] {
        let outcome = send(&web_push, &browser.subscription(&endpoint), &hello()).await;
        assert_eq!(outcome.reason.as_deref(), Some("Refused"), "{endpoint}: {outcome:?}");
        assert!(!outcome.temporary && !outcome.message.expect("why").contains("127.0.0"), "{endpoint}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_point_that_is_none_is_no_subscription() {
    let server = Server::start(|_| Answer::of(201, "")).await;
    let (world, browser) = (World::lenient(), Browser::new());
    let web_push = web_push(&world, &world.draw_vapid_key());
    let good = browser.subscription(server.url("/s").as_str());
    let mut bad: Value = serde_json::from_str(&good).expect("JSON");
    let mut point = browser.key.public_key_raw().to_vec();
    point[64] ^= 1;
    bad["keys"]["p256dh"] = json!(URL_SAFE_NO_PAD.encode(point));
    let outcome = send(&web_push, &bad.to_string(), &hello()).await;
    assert_eq!((outcome.reason.as_deref(), outcome.unregistered), (Some("BadSubscription"), false));
    assert_eq!(server.asked().len(), 0);
}
