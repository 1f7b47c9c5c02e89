//! Wallets that sign in.

use domain::{Scope, Scopes};
use expect_test::expect;
use http::Method;
use serde_json::json;

use crate::support::wallet::{TestWallet, with_host};
use crate::support::{House, home, request};

async fn post(house: &House, path: &str, body: serde_json::Value) -> crate::support::Seen {
    house.send(with_host(request(Method::POST, path, body.to_string()))).await
}

fn keys(document: &serde_json::Value) -> Vec<String> {
    document.as_object().expect("an object").keys().cloned().collect()
}

#[tokio::test]
async fn a_challenge_has_everything_that_a_wallet_needs() {
    let house = House::open().await;
    let wallet = TestWallet::new(1);
    let ask = json!({ "wallet": wallet.address(), "namespace": "default", "purpose": "login", "chain": "ignored" });
    let seen = post(&house, "/v1/auth/challenge", ask).await;
    assert_eq!(seen.status, 200);
    assert_eq!(keys(&seen.json()), ["expires_at", "message", "namespace", "nonce", "purpose", "wallet"]);
    assert_eq!(seen.text("expires_at"), "2026-01-01T00:05:00Z");
    assert!(seen.text("message").contains("orama.example") && seen.text("message").contains(&seen.text("nonce")));
    let missing = post(&house, "/v1/auth/challenge", json!({ "namespace": "default" })).await;
    expect![[r#"
        400
        {
          "code": "VALIDATION_FAILED",
          "error": "wallet is required",
          "message": "wallet is required",
          "ok": false,
          "request_id": "<id>",
          "retryable": false
        }
    "#]]
    .assert_eq(&missing.snapshot());
    let mistyped = post(&house, "/v1/auth/challenge", json!({ "wallet": 7 })).await;
    assert_eq!(mistyped.text("error"), "`wallet` must be a text");
}

#[tokio::test]
async fn a_signature_opens_a_session() {
    let house = House::open().await;
    let wallet = TestWallet::new(1);
    wallet.own(&house, Scopes::of([Scope::Data])).await;
    let seen = wallet.sign_in(&house).await;
    assert_eq!(seen.status, 200, "{seen:?}");
    assert_eq!(
        keys(&seen.json()),
        [
            "access_token",
            "api_key",
            "expires_in",
            "namespace",
            "nonce",
            "refresh_token",
            "signature_verified",
            "subject",
            "token_type"
        ]
    );
    assert_eq!((seen.text("subject"), seen.text("token_type")), (wallet.address(), "Bearer".to_owned()));
    assert_eq!(seen.json()["expires_in"], 900);
    assert!(seen.text("api_key").starts_with("ak_"));
    assert_eq!(seen.header("cache-control"), "no-store");
}

#[tokio::test]
async fn a_nonce_that_was_signed_itself_works_as_well() {
    let house = House::open().await;
    let wallet = TestWallet::new(1);
    let ask = json!({ "wallet": wallet.address(), "namespace": "default" });
    let nonce = post(&house, "/v1/auth/challenge", ask).await.text("nonce");
    let proof = json!({
        "wallet": wallet.address(), "nonce": nonce, "signature": wallet.sign(&nonce), "namespace": "default", "chain_type": "SOL",
    });
    let seen = post(&house, "/v1/auth/verify", proof.clone()).await;
    assert_eq!(seen.status, 200, "{seen:?}");
    // A wallet that owns nothing here may sign in and gets no key.
    assert!(seen.json().get("api_key").is_none());
    let again = post(&house, "/v1/auth/verify", proof).await;
    assert_eq!((again.status.as_u16(), again.code().as_str()), (401, "UNAUTHORIZED"));
    assert_eq!(again.header("www-authenticate"), "Bearer realm=\"orama\"");
}

#[tokio::test]
async fn what_is_not_signed_opens_nothing() {
    let house = House::open().await;
    let wallet = TestWallet::new(1);
    for path in ["/v1/auth/verify", "/v1/auth/api-key", "/v1/auth/register"] {
        for missing in [
            json!({}),
            json!({ "wallet": wallet.address() }),
            json!({ "wallet": wallet.address(), "nonce": "n" }),
            json!({ "message": "m" }),
            json!({ "signature": "s", "nonce": "n" }),
        ] {
            let seen = post(&house, path, missing).await;
            assert_eq!(seen.status, 400, "{path}");
            assert_eq!(seen.text("error"), "wallet, nonce and signature are required, or message and signature");
        }
        let mut proof = wallet.proof(&house, &home(), "").await;
        proof["signature"] = json!(TestWallet::new(2).sign(proof["message"].as_str().expect("a message")));
        proof["name"] = json!("shop");
        assert_eq!(post(&house, path, proof).await.status, 401, "{path}");
    }
}

#[tokio::test]
async fn a_wallet_gets_its_key_and_registers_its_application() {
    let house = House::open().await;
    let wallet = TestWallet::new(3);
    wallet.own(&house, Scopes::of([Scope::Data])).await;
    let key = post(&house, "/v1/auth/api-key", wallet.proof(&house, &home(), "").await).await;
    assert_eq!(key.status, 200, "{key:?}");
    assert_eq!(keys(&key.json()), ["api_key", "namespace", "plan", "wallet"]);
    assert_eq!((key.text("plan"), key.text("wallet")), ("free".to_owned(), wallet.address()));
    let mut proof = wallet.proof(&house, &home(), "").await;
    proof["name"] = json!("shop");
    let app = post(&house, "/v1/auth/register", proof).await;
    assert_eq!(app.status, 201, "{app:?}");
    let shown = app.json();
    assert_eq!(keys(&shown), ["app", "client_id", "signature_verified"]);
    assert_eq!(keys(&shown["app"]), ["app_id", "name", "namespace", "wallet"]);
    assert_eq!(shown["app"]["name"], "shop");
}

#[tokio::test]
async fn there_is_no_key_without_a_signature() {
    let house = House::open().await;
    let seen = post(&house, "/v1/auth/simple-key", json!({ "wallet": TestWallet::new(1).address() })).await;
    expect![[r#"
        404
        {
          "code": "NOT_FOUND",
          "error": "there are no keys without a signature",
          "hint": "sign the message of `POST /v1/auth/challenge`, then send it to `POST /v1/auth/api-key`",
          "message": "there are no keys without a signature",
          "ok": false,
          "request_id": "<id>",
          "retryable": false
        }
    "#]]
    .assert_eq(&seen.snapshot());
}

#[tokio::test]
async fn the_page_for_people_runs_nothing_and_repeats_nothing() {
    let house = House::open().await;
    let seen = house.nobody(Method::GET, "/v1/auth/login?callback=%3Cscript%3Ealert(1)%3C/script%3E", "").await;
    let page = String::from_utf8_lossy(&seen.body);
    assert_eq!((seen.status.as_u16(), seen.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.contains("/v1/auth/challenge") && !page.contains("script"), "{page}");
    assert!(seen.header("content-security-policy").starts_with("default-src 'none'"));
}
