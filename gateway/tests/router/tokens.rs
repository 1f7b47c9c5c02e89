//! Access tokens: where they may stand, what they say, how they end.

use std::time::Duration;

use domain::{Scope, Scopes};
use expect_test::expect;
use http::Method;
use ports::memory::Script;
use serde_json::json;

use crate::support::wallet::TestWallet;
use crate::support::{HEAD, House, Seen, request, with_header, with_key};

const WHOAMI: &str = "/v1/auth/whoami";

async fn with_token(house: &House, token: &str) -> Seen {
    house.send(with_header(request(Method::GET, WHOAMI, ""), "authorization", &format!("Bearer {token}"))).await
}

async fn token_of_key(house: &House, key: &str) -> String {
    let seen = house.send(with_key(request(Method::POST, "/v1/auth/token", ""), key)).await;
    assert_eq!(seen.status, 200, "{seen:?}");
    seen.text("access_token")
}

#[tokio::test]
async fn a_key_is_exchanged_for_a_token_that_can_do_the_same() {
    let house = House::open().await;
    let seen = house.client(Method::POST, "/v1/auth/token", "").await;
    let fields: Vec<String> = seen.json().as_object().expect("an object").keys().cloned().collect();
    assert_eq!(fields, ["access_token", "expires_in", "namespace", "token_type"]);
    let token = seen.text("access_token");
    assert_eq!(token.matches('.').count(), 2);
    let known = with_token(&house, &token).await;
    assert_eq!(known.json()["scopes"], json!(["data"]));
    // A token is no key to make further tokens from.
    let again = house.send(with_header(request(Method::POST, "/v1/auth/token", ""), "authorization", &token)).await;
    assert_eq!(again.status, 401);
}

#[tokio::test]
async fn whoami_tells_what_a_token_says() {
    let house = House::open().await;
    let wallet = TestWallet::new(1);
    wallet.own(&house, Scopes::of([Scope::Data])).await;
    let token = wallet.sign_in(&house).await.text("access_token");
    let seen = with_token(&house, &token).await;
    let shown = seen.snapshot().replace(&wallet.address(), "<wallet>");
    expect![[r#"
        200
        {
          "audience": "gateway",
          "authenticated": true,
          "expires_at": "2026-01-01T00:15:00Z",
          "issued_at": "2026-01-01T00:00:00Z",
          "issuer": "orama-gateway",
          "method": "jwt",
          "namespace": "default",
          "not_before": "2026-01-01T00:00:00Z",
          "scopes": [
            "data"
          ],
          "subject": "<wallet>",
          "wallet": "<wallet>"
        }
    "#]]
    .assert_eq(&shown);
    assert!(!String::from_utf8_lossy(&seen.body).contains(&token));
}

#[tokio::test]
async fn a_token_may_stand_wherever_a_key_may() {
    let house = House::open().await;
    let token = token_of_key(&house, &house.client).await;
    let plain = || request(Method::GET, WHOAMI, "");
    let requests = [
        with_key(plain(), &token),
        with_header(plain(), "authorization", &format!("Bearer {token}")),
        with_header(plain(), "authorization", &token),
        request(Method::GET, &format!("{WHOAMI}?token={token}"), ""),
        request(Method::GET, &format!("{WHOAMI}?api_key={token}"), ""),
        // A key that is no token comes after one that fails.
        with_header(with_key(plain(), "a.b.c"), "authorization", &house.client),
    ];
    for (number, request) in requests.into_iter().enumerate() {
        assert_eq!(house.send(request).await.status, 200, "way {number}");
    }
}

#[tokio::test]
async fn a_credential_that_ended_says_how() {
    let house = House::open().await;
    let token = token_of_key(&house, &house.client).await;
    let revoked = TestWallet::new(1).sign_in(&house).await;
    let revoked_token = revoked.text("access_token");
    let bearer = |request| with_header(request, "authorization", &format!("Bearer {revoked_token}"));
    let out = house.send(bearer(request(Method::POST, "/v1/auth/logout", "{}"))).await;
    assert_eq!((out.status.as_u16(), out.json()), (200, json!({ "status": "ok" })));
    assert_eq!(with_token(&house, &revoked_token).await.text("error"), "the token has been revoked");
    house.clock.advance(Duration::from_secs(20 * 60));
    expect![[r#"
        401
        {
          "code": "UNAUTHORIZED",
          "error": "the token has expired",
          "hint": "get a new one at `POST /v1/auth/refresh`, or sign in again",
          "message": "the token has expired",
          "ok": false,
          "request_id": "<id>",
          "retryable": false
        }
    "#]]
    .assert_eq(&with_token(&house, &token).await.snapshot());
    let nonsense = with_token(&house, "a.b.c").await;
    assert_eq!((nonsense.status.as_u16(), nonsense.text("error")), (401, "invalid API key".to_owned()));
    // Where anybody may come, a credential that ended is as good as none.
    house.deploy("open", &Script::Echo.code(), &[("is_public", "true")]).await;
    let call = request(Method::POST, "/v1/invoke/default/open", "{}");
    assert_eq!(house.send(with_header(call, "authorization", &format!("Bearer {token}"))).await.status, 200);
}

#[tokio::test]
async fn a_function_never_sees_a_token() {
    let house = House::open().await;
    house.deploy("sees", HEAD, &[("is_public", "true"), ("http", "true")]).await;
    let token = token_of_key(&house, &house.invoker).await;
    let asks = |path: &str| with_header(request(Method::GET, path, ""), "x-kept", "kept");
    for request in [
        with_header(asks("/v1/invoke/default/sees/a"), "authorization", &format!("Bearer {token}")),
        with_key(asks("/v1/invoke/default/sees/a"), &token),
        asks(&format!("/v1/invoke/default/sees/a?token={token}&b=1")),
    ] {
        let seen = house.send(request).await;
        let text = String::from_utf8_lossy(&seen.body).into_owned();
        assert!(text.contains("kept") && !text.contains(&token), "{text}");
    }
    // Nor one that has expired: it tells who its bearer is.
    house.clock.advance(Duration::from_secs(3600));
    let late = with_header(asks("/v1/invoke/default/sees/a"), "authorization", &format!("Bearer {token}"));
    let text = String::from_utf8_lossy(&house.send(late).await.body).into_owned();
    assert!(text.contains("kept") && !text.contains(&token), "{text}");
}

#[tokio::test]
async fn a_refresh_token_is_used_once() {
    let house = House::open().await;
    let wallet = TestWallet::new(1);
    let first = wallet.sign_in(&house).await.text("refresh_token");
    let refresh = async |token: &str| {
        let body = json!({ "refresh_token": token, "namespace": "default" }).to_string();
        house.nobody(Method::POST, "/v1/auth/refresh", body).await
    };
    let next = refresh(&first).await;
    let fields: Vec<String> = next.json().as_object().expect("an object").keys().cloned().collect();
    assert_eq!(fields, ["access_token", "expires_in", "namespace", "refresh_token", "subject", "token", "token_type"]);
    assert_eq!(next.text("token"), next.text("access_token"));
    assert_eq!(with_token(&house, &next.text("token")).await.status, 200);
    assert_eq!(refresh(&first).await.status, 401);
    // Whoever used it first: all that came of it has ended.
    assert_eq!(refresh(&next.text("refresh_token")).await.status, 401);
    assert_eq!(with_token(&house, &next.text("token")).await.status, 401);
    let nothing = house.nobody(Method::POST, "/v1/auth/refresh", "").await;
    assert_eq!((nothing.status.as_u16(), nothing.text("error")), (400, "refresh_token is required".to_owned()));
}

#[tokio::test]
async fn logout_of_all_needs_a_token() {
    let house = House::open().await;
    let wallet = TestWallet::new(1);
    let (one, two) = (wallet.sign_in(&house).await, wallet.sign_in(&house).await);
    let all = json!({ "all": true }).to_string();
    assert_eq!(house.nobody(Method::POST, "/v1/auth/logout", all.clone()).await.status, 401);
    assert_eq!(house.client(Method::POST, "/v1/auth/logout", all.clone()).await.status, 401);
    let bearer = format!("Bearer {}", one.text("access_token"));
    let out = house.send(with_header(request(Method::POST, "/v1/auth/logout", all), "authorization", &bearer)).await;
    assert_eq!(out.status, 200);
    for ended in [&one, &two] {
        assert_eq!(with_token(&house, &ended.text("access_token")).await.status, 401);
        let body = json!({ "refresh_token": ended.text("refresh_token") }).to_string();
        assert_eq!(house.nobody(Method::POST, "/v1/auth/refresh", body).await.status, 401);
    }
}

#[tokio::test]
async fn the_keys_that_verify_tokens_are_public_and_rotate() {
    let house = House::open().await;
    let before = house.nobody(Method::GET, "/.well-known/jwks.json", "").await;
    assert_eq!(before.json(), house.nobody(Method::GET, "/v1/auth/jwks", "").await.json());
    let key = &before.json()["keys"][0];
    assert_eq!(
        (&key["kty"], &key["crv"], &key["alg"], &key["use"]),
        (&json!("OKP"), &json!("Ed25519"), &json!("EdDSA"), &json!("sig"))
    );
    assert_eq!(key["x"].as_str().map(str::len), Some(43));
    assert_eq!(before.header("cache-control"), "public, max-age=300");
    let token = token_of_key(&house, &house.client).await;
    assert_eq!(house.admin(Method::POST, "/v1/auth/signing-keys/rotate", "").await.status, 403);
    let rotated = house.operator(Method::POST, "/v1/auth/signing-keys/rotate", "").await;
    let after = house.nobody(Method::GET, "/v1/auth/jwks", "").await.json();
    let kids: Vec<&str> =
        after["keys"].as_array().expect("a list").iter().filter_map(|key| key["kid"].as_str()).collect();
    assert!(kids.len() == 2 && kids.contains(&rotated.text("kid").as_str()), "{kids:?}");
    assert_eq!(with_token(&house, &token).await.status, 200);
}
