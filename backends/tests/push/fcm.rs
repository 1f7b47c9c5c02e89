//! Firebase, HTTP v1: a service account gets access tokens, which send.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use domain::PushKind;
use expect_test::expect;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use ports::{PushField, PushProvider};
use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::server::{Answer, Asked, Server};
use crate::support::{World, hello, line, message, operators, send, settings};

const START: i64 = 1_767_225_600;

pub(crate) fn key() -> &'static KeyPair {
    static KEY: std::sync::OnceLock<KeyPair> = std::sync::OnceLock::new();
    KEY.get_or_init(|| KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).expect("a key"))
}

pub(crate) fn account(token_uri: &str) -> Value {
    json!({
        "type": "service_account",
        "project_id": "example-1",
        "private_key_id": "kid-1",
        "private_key": key().serialize_pem(),
        "client_email": "push@example-1.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": token_uri,
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: String,
    scope: String,
    aud: String,
    iat: i64,
    exp: i64,
}

/// The signed request for a token, as a strict server checks it.
fn checked_claims(asked: &Asked) -> Claims {
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/token"));
    assert_eq!(asked.header("content-type"), "application/x-www-form-urlencoded");
    let form: HashMap<String, String> = url::form_urlencoded::parse(&asked.body).into_owned().collect();
    assert_eq!((form.len(), form["grant_type"].as_str()), (2, "urn:ietf:params:oauth:grant-type:jwt-bearer"));
    let header = decode_header(&form["assertion"]).expect("a header");
    assert_eq!((header.typ.as_deref(), header.kid.as_deref()), (Some("JWT"), Some("kid-1")));
    let mut validation = Validation::new(Algorithm::RS256);
    // The time stands still in these tests.
    validation.validate_exp = false;
    validation.validate_aud = false;
    let public = DecodingKey::from_rsa_der(key().public_key_raw());
    decode(&form["assertion"], &public, &validation).expect("the signature is good").claims
}

/// Gives a new token for every good request.
async fn token_server() -> Server {
    let given = AtomicUsize::new(0);
    Server::start(move |asked| {
        let claims = checked_claims(asked);
        assert_eq!(claims.iss, "push@example-1.iam.gserviceaccount.com");
        assert_eq!(claims.scope, "https://www.googleapis.com/auth/firebase.messaging");
        assert!(claims.aud.starts_with("https://127.0.0.1:") && claims.aud.ends_with("/token"), "{}", claims.aud);
        assert_eq!(claims.exp - claims.iat, 3600);
        let token = format!("access-{}", given.fetch_add(1, Ordering::SeqCst));
        Answer::of(200, json!({ "access_token": token, "expires_in": 3599, "token_type": "Bearer" }).to_string())
    })
    .await
}

fn fcm(world: &World, tokens: &Server) -> Arc<dyn PushProvider> {
    let account = account(tokens.url("/token").as_str()).to_string();
    world.provider(PushKind::Fcm, &settings(&[(PushField::FcmServiceAccount, &account)]))
}

fn world(server: &Server) -> World {
    World::lenient().with(|endpoints| endpoints.fcm = server.url("/"))
}

#[tokio::test]
async fn a_message_goes_to_the_project_with_a_token_that_was_signed_for() {
    let (tokens, server) = (token_server().await, Server::start(|_| Answer::of(200, r#"{"name":"m/1"}"#)).await);
    let fcm = fcm(&world(&server), &tokens);
    let full = message(
        r#"{"title":"Call","body":"from Ada","channel":"calls","priority":"high","badge":3,"sound":"ring",
            "data":{"call":7,"who":"Ada","more":{"a":[1]}},"message_id":"call-7"}"#,
    );
    assert_eq!(line(&send(&fcm, "device:1", &full).await, &server), "sent 200");
    assert_eq!(checked_claims(&tokens.only_asked()).iat, START);
    let asked = server.only_asked();
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/v1/projects/example-1/messages:send"));
    assert_eq!((asked.header("content-type"), asked.credential("Bearer")), ("application/json", "access-0"));
    let want = json!({ "message": {
        "token": "device:1",
        "notification": { "title": "Call", "body": "from Ada" },
        "data": { "call": "7", "who": "Ada", "more": "{\"a\":[1]}" },
        "android": {
            "priority": "HIGH",
            "collapse_key": "call-7",
            "notification": { "channel_id": "calls", "sound": "ring", "notification_count": 3 },
        },
    } });
    assert_eq!(asked.json(), want);
    send(&fcm, "device:1", &message(r#"{"data":{"sync":true}}"#)).await;
    let want = json!({ "message": { "token": "device:1", "data": { "sync": "true" } } });
    assert_eq!(server.asked()[1].json(), want);
}

#[tokio::test]
async fn a_token_serves_until_it_ends_and_for_all_at_once() {
    let (tokens, server) = (token_server().await, Server::start(|_| Answer::of(200, "{}")).await);
    let world = world(&server);
    let fcm = fcm(&world, &tokens);
    let hello = hello();
    let sent = futures_util::future::join_all((0..8).map(|_| send(&fcm, "device:1", &hello))).await;
    assert!(sent.iter().all(|outcome| outcome.success));
    assert_eq!(tokens.asked().len(), 1, "eight waited for one");
    for (minutes, known) in [(58, 1), (1, 2)] {
        world.clock.advance(Duration::from_secs(minutes * 60));
        send(&fcm, "device:1", &hello).await;
        assert_eq!(tokens.asked().len(), known, "{minutes} minutes later");
    }
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced_once() {
    let tokens = token_server().await;
    let server = Server::start(|asked| match asked.credential("Bearer") {
        "access-0" => Answer::of(401, r#"{"error":{"code":401,"status":"UNAUTHENTICATED","message":"expired"}}"#),
        _ => Answer::of(200, "{}"),
    })
    .await;
    assert!(send(&fcm(&world(&server), &tokens), "device:1", &hello()).await.success);
    assert_eq!((tokens.asked().len(), server.asked().len()), (2, 2));

    let never = Server::start(|_| Answer::of(401, r#"{"error":{"status":"UNAUTHENTICATED","message":"no"}}"#)).await;
    let outcome = send(&fcm(&world(&never), &tokens), "device:1", &hello()).await;
    assert_eq!(line(&outcome, &never), "failed 401 UNAUTHENTICATED \"no\"");
    assert_eq!(never.asked().len(), 2);
}

#[tokio::test]
async fn what_firebase_refuses_is_told_in_its_word() {
    let tokens = token_server().await;
    let error = |status: u16, name: &str, code: &str| {
        let kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError";
        let details = json!([{ "@type": kind, "errorCode": code }]);
        let message = "device:1 is not what it was";
        Answer::of(
            status,
            json!({ "error": { "code": status, "message": message, "status": name, "details": details } }).to_string(),
        )
    };
    let server = Server::start(move |asked| match asked.json()["message"]["notification"]["title"].as_str() {
        Some("gone") => error(404, "NOT_FOUND", "UNREGISTERED"),
        Some("sender") => error(403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"),
        Some("busy") => error(429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED").with("retry-after", "9"),
        Some("down") => error(503, "UNAVAILABLE", "UNAVAILABLE"),
        Some("plain") => {
            Answer::of(404, r#"{"error":{"status":"NOT_FOUND","message":"Requested entity was not found."}}"#)
        }
        _ => Answer::of(400, r#"{"error":{"status":"INVALID_ARGUMENT","message":"The payload is too big"}}"#),
    })
    .await;
    let fcm = fcm(&world(&server), &tokens);
    let mut seen = String::new();
    for title in ["gone", "sender", "busy", "down", "plain", "large"] {
        let message = message(&json!({ "title": title }).to_string());
        seen += &(line(&send(&fcm, "device:1", &message).await, &server) + "\n");
    }
    expect![[r#"
        failed 404 UNREGISTERED "… is not what it was" unregistered
        failed 403 SENDER_ID_MISMATCH "… is not what it was"
        failed 429 QUOTA_EXCEEDED "… is not what it was" temporary after 9s
        failed 503 UNAVAILABLE "… is not what it was" temporary
        failed 404 NOT_FOUND "Requested entity was not found." unregistered
        failed 400 INVALID_ARGUMENT "The payload is too big"
    "#]]
    .assert_eq(&seen);
}

#[tokio::test]
async fn an_account_that_is_refused_is_told_so() {
    let tokens =
        Server::start(|_| Answer::of(400, r#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#))
            .await;
    let server = Server::start(|_| Answer::of(200, "{}")).await;
    let outcome = send(&fcm(&world(&server), &tokens), "device:1", &hello()).await;
    let want = "failed 400 invalid_grant \"no access token: Invalid JWT Signature.\"";
    assert_eq!((line(&outcome, &server).as_str(), server.asked().len()), (want, 0));

    let odd = Server::start(|_| Answer::of(200, r#"{"access_token":"a\r\nb","expires_in":3600}"#)).await;
    let outcome = send(&fcm(&world(&server), &odd), "device:1", &hello()).await;
    assert_eq!((outcome.reason.as_deref(), server.asked().len()), (Some("NotUnderstood"), 0));
}

/// A namespace names the place where its account gets tokens; an operator may name another for all.
#[tokio::test]
async fn a_namespace_cannot_ask_for_tokens_at_the_inside() {
    let (tokens, server) = (token_server().await, Server::start(|_| Answer::of(200, "{}")).await);
    let inside = account(tokens.url("/token").as_str()).to_string();
    let field = PushField::FcmServiceAccount;
    let refused = World::strict().try_open(&settings(&[(field, &inside)])).err().expect("refused");
    assert_eq!(refused.to_string(), "`fcm_service_account` has a `token_uri` that must not be reached");

    let named = account(&format!("https://inside.example:{}/token", tokens.address.port())).to_string();
    let strict = World::strict().with(|endpoints| endpoints.fcm = server.url("/"));
    let fcm = strict.provider(PushKind::Fcm, &settings(&[(field, &named)]));
    assert_eq!(send(&fcm, "device:1", &hello()).await.reason.as_deref(), Some("Refused"));
    assert_eq!(tokens.connections(), 0);

    let world = World::strict().with(|endpoints| endpoints.fcm = server.url("/"));
    let fcm = world.provider(PushKind::Fcm, &operators(&[(field, &inside)]));
    assert!(send(&fcm, "device:1", &hello()).await.success, "the operator's own account may be anywhere");
}
