//! Namespaces, owners, settings.

use domain::{Scope, Scopes};
use expect_test::expect;
use http::Method;
use serde_json::json;

use crate::support::wallet::TestWallet;
use crate::support::{House, request, with_key};

#[tokio::test]
async fn an_operator_makes_and_ends_namespaces() {
    let house = House::open().await;
    let made = house.operator(Method::POST, "/v1/namespaces", json!({ "name": "shop" }).to_string()).await;
    expect![[r#"
        201
        {
          "created_at": "2026-01-01T00:00:00Z",
          "created_by": "key:<id>",
          "functions": 0,
          "name": "shop",
          "settings": {}
        }
    "#]]
    .assert_eq(&made.snapshot());
    assert_eq!(
        house.operator(Method::GET, "/v1/namespaces/shop", "").await.snapshot().replace("200", "201"),
        made.snapshot()
    );
    let names = async |key: &str| {
        let list = house.send(with_key(request(Method::GET, "/v1/namespaces", ""), key)).await.json();
        let names =
            list["namespaces"].as_array().expect("a list").iter().map(|one| one["name"].clone()).collect::<Vec<_>>();
        assert_eq!(list["count"], names.len());
        json!(names)
    };
    assert_eq!(names(&house.operator).await, json!(["abroad", "default", "shop"]));
    assert_eq!(names(&house.admin).await, json!(["default"]));
    for (name, status) in [("shop", 409), ("", 400), ("a/b", 400), ("a:b", 400)] {
        let again = house.operator(Method::POST, "/v1/namespaces", json!({ "name": name }).to_string()).await;
        assert_eq!(again.status, status, "{name}");
    }
    assert_eq!(house.admin(Method::POST, "/v1/namespaces", json!({ "name": "mine" }).to_string()).await.status, 403);
    let deleted = house.operator(Method::DELETE, "/v1/namespaces/shop", "").await;
    assert_eq!(deleted.json(), json!({ "message": "Namespace deleted" }));
    assert_eq!(house.operator(Method::GET, "/v1/namespaces/shop", "").await.status, 404);
    assert_eq!(house.admin(Method::DELETE, "/v1/namespaces/default", "").await.status, 409);
}

#[tokio::test]
async fn owners_are_wallets_with_scopes() {
    let house = House::open().await;
    let wallet = TestWallet::new(4);
    let path = format!("/v1/namespaces/default/owners/{}", wallet.address());
    let added = house.admin(Method::PUT, &path, "").await;
    assert_eq!(
        added.json(),
        json!({ "wallet": wallet.address(), "scopes": ["admin"], "added_at": "2026-01-01T00:00:00Z" })
    );
    wallet.own(&house, Scopes::of([Scope::Data])).await;
    let owners = house.admin(Method::GET, "/v1/namespaces/default/owners", "").await.json();
    assert_eq!((&owners["count"], &owners["owners"][0]["scopes"]), (&json!(1), &json!(["data"])));
    assert_eq!(house.admin(Method::PUT, &path, json!({ "scopes": ["root"] }).to_string()).await.status, 400);
    assert_eq!(house.admin(Method::DELETE, &path, "").await.json(), json!({ "message": "Owner removed" }));
    assert_eq!(house.admin(Method::DELETE, &path, "").await.status, 404);
    assert_eq!(house.admin(Method::PUT, "/v1/namespaces/default/owners/nonsense", "").await.status, 400);
}

#[tokio::test]
async fn settings_are_an_operators_to_set() {
    let house = House::open().await;
    let path = "/v1/namespaces/default/settings";
    assert_eq!(house.admin(Method::GET, path, "").await.json(), json!({}));
    let settings = json!({ "functions_max": 10, "egress": { "allow": ["api.example.com"] } });
    assert_eq!(house.admin(Method::PUT, path, settings.to_string()).await.status, 403);
    assert_eq!(house.operator(Method::PUT, path, settings.to_string()).await.json(), settings);
    assert_eq!(house.admin(Method::GET, path, "").await.json(), settings);
    for wrong in [r#"{"functions_max":-1}"#, r#"{"function_max":1}"#, r#"{"egress":{"allow":[""]}}"#, "", "[1"] {
        let seen = house.operator(Method::PUT, path, wrong).await;
        assert_eq!((seen.status.as_u16(), seen.code().as_str()), (400, "VALIDATION_FAILED"), "{wrong}");
    }
    assert_eq!(house.operator(Method::PUT, "/v1/namespaces/missing/settings", "{}").await.status, 404);
}

#[tokio::test]
async fn rates_are_set_alone_and_leave_the_rest() {
    let house = House::open().await;
    let settings = "/v1/namespaces/default/settings";
    house.operator(Method::PUT, settings, json!({ "functions_max": 10 }).to_string()).await;
    let path = "/v1/namespace/rate-limit";
    let none = json!({ "requests_per_minute": 0, "caller_requests_per_minute": 0 });
    assert_eq!(house.admin(Method::GET, path, "").await.json(), none);
    let change = json!({ "requests_per_minute": 600 }).to_string();
    assert_eq!(house.admin(Method::PUT, path, change.clone()).await.status, 403);
    let set = house.operator(Method::PUT, path, change).await;
    assert_eq!(set.json(), json!({ "requests_per_minute": 600, "caller_requests_per_minute": 0 }));
    let kept = house.admin(Method::GET, settings, "").await.json();
    assert_eq!(kept, json!({ "functions_max": 10, "requests_per_minute": 600 }));
    assert_eq!(house.operator(Method::PUT, path, "{}").await.status, 400);
    assert_eq!(house.operator(Method::PUT, path, r#"{"requests_per_minute":"many"}"#).await.status, 400);
    assert_eq!(house.operator(Method::DELETE, path, "").await.json(), none);
}
