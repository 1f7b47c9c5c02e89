//! API keys and claims of wallets.

use std::time::Duration;

use domain::Scopes;
use expect_test::expect;
use http::Method;
use serde_json::json;

use crate::support::wallet::TestWallet;
use crate::support::{House, request, with_header, with_key};

const PATH: &str = "/v1/auth/keys";

#[tokio::test]
async fn a_key_is_told_once_listed_and_revoked() {
    let house = House::open().await;
    let body = json!({ "name": "ci", "scopes": ["deploy", "invoke"], "expires_in_seconds": 3600 }).to_string();
    let created = house.admin(Method::POST, PATH, body).await;
    assert_eq!((created.status.as_u16(), created.header("cache-control")), (201, "no-store"));
    let (key, id) = (created.text("key"), created.text("id"));
    let shown = created.snapshot().replace(&key, "<key>");
    expect![[r#"
        201
        {
          "created_at": "2026-01-01T00:00:00Z",
          "expires_at": "2026-01-01T01:00:00Z",
          "id": "<id>",
          "key": "<key>",
          "name": "ci",
          "namespace": "default",
          "scopes": [
            "deploy",
            "invoke"
          ]
        }
    "#]]
    .assert_eq(&shown);
    let works = async || house.send(with_key(request(Method::GET, "/v1/functions", ""), &key)).await.status.as_u16();
    assert_eq!(works().await, 200);
    let list = house.admin(Method::GET, PATH, "").await;
    assert!(!String::from_utf8_lossy(&list.body).contains(&key));
    let listed =
        list.json()["keys"].as_array().and_then(|keys| keys.iter().find(|one| one["id"] == id.as_str()).cloned());
    assert_eq!(listed.map(|one| one["last_used_at"].clone()), Some(json!("2026-01-01T00:00:00Z")));
    let revoke = async || house.admin(Method::DELETE, &format!("{PATH}/{id}"), "").await;
    assert_eq!(revoke().await.json(), json!({ "message": "Key revoked" }));
    assert_eq!(works().await, 401);
    assert_eq!(house.admin(Method::DELETE, &format!("{PATH}/missing"), "").await.status, 404);
}

#[tokio::test]
async fn a_key_expires() {
    let house = House::open().await;
    let body = json!({ "name": "short", "scopes": ["deploy"], "expires_in_seconds": 60 }).to_string();
    let key = house.admin(Method::POST, PATH, body).await.text("key");
    house.clock.advance(Duration::from_secs(61));
    assert_eq!(house.send(with_key(request(Method::GET, "/v1/functions", ""), &key)).await.status, 401);
}

#[tokio::test]
async fn a_key_gives_no_more_than_it_has() {
    let house = House::open().await;
    for (body, status) in [
        (json!({ "name": "x", "scopes": ["operator"] }), 403),
        (json!({ "name": "x", "scopes": ["root"] }), 400),
        (json!({ "name": "x", "scopes": "data" }), 400),
        (json!({ "scopes": ["data"] }), 400),
        (json!({ "name": "x", "scopes": ["data"], "expires_in_seconds": -1 }), 400),
    ] {
        assert_eq!(house.admin(Method::POST, PATH, body.to_string()).await.status, status, "{body}");
    }
    let unknown = house.admin(Method::POST, PATH, json!({ "name": "x", "scopes": ["root"] }).to_string()).await;
    assert_eq!(unknown.text("error"), "`scopes` may hold `operator`, `admin`, `deploy`, `invoke`, `data`, `pubsub`");
}

#[tokio::test]
async fn claims_go_into_the_next_token() {
    let house = House::open().await;
    let wallet = TestWallet::new(5);
    wallet.own(&house, Scopes::of([domain::Scope::Invoke])).await;
    let path = format!("/v1/auth/claims/{}", wallet.address());
    assert_eq!(house.admin(Method::GET, &path, "").await.json(), json!({ "wallet": wallet.address(), "claims": {} }));
    let set = house.admin(Method::PUT, &format!("{path}/plan"), json!({ "value": "gold" }).to_string()).await;
    assert_eq!(set.json(), json!({ "wallet": wallet.address(), "claims": { "plan": "gold" } }));
    assert_eq!(house.admin(Method::PUT, &format!("{path}/plan"), "{}").await.text("error"), "value is required");
    let token = wallet.sign_in(&house).await.text("access_token");
    let bearer = format!("Bearer {token}");
    assert_eq!(
        house.send(with_header(request(Method::GET, "/v1/auth/whoami", ""), "authorization", &bearer)).await.status,
        200
    );
    let gone = house.admin(Method::DELETE, &format!("{path}/plan"), "").await;
    assert_eq!(gone.json()["claims"], json!({}));
    assert_eq!(house.admin(Method::DELETE, &format!("{path}/plan"), "").await.status, 404);
    assert_eq!(house.admin(Method::GET, "/v1/auth/claims/nonsense", "").await.status, 400);
}
