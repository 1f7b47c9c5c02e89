//! The audit log: every management action, done or refused.

use domain::{Scope, Scopes};
use http::Method;
use ports::memory::Script;
use serde_json::{Value, json};

use crate::support::wallet::TestWallet;
use crate::support::{Form, House, abroad, request, with_header, with_key};

async fn events(house: &House, query: &str) -> Vec<Value> {
    let seen = house.operator(Method::GET, &format!("/v1/audit?{query}"), "").await;
    assert_eq!(seen.status, 200, "{seen:?}");
    seen.json()["events"].as_array().cloned().expect("a list")
}

/// Action, resource and outcome, oldest first.
fn told(events: &[Value]) -> Vec<String> {
    let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let one =
        |event: &Value| format!("{} {} {}", text(event, "action"), text(event, "resource"), text(event, "outcome"));
    events.iter().rev().map(one).collect()
}

#[tokio::test]
async fn what_was_done_is_written_down_with_who_and_where() {
    let house = House::open().await;
    house.deploy("hello", &Script::Echo.code(), &[]).await;
    house.admin(Method::POST, "/v1/functions/hello/disable", "").await;
    house.admin(Method::PUT, "/v1/functions/secrets", json!({ "name": "TOKEN", "value": "v" }).to_string()).await;
    house.admin(Method::DELETE, "/v1/functions/missing@2", "").await;
    let refused = with_key(request(Method::DELETE, "/v1/functions/hello", ""), &house.invoker);
    house.send(with_header(refused, "x-forwarded-for", "192.0.2.1")).await;
    let found = events(&house, "").await;
    assert_eq!(
        told(&found),
        [
            "function.deploy hello ok",
            "function.disable hello ok",
            "secret.set TOKEN ok",
            "function.delete missing@2 NOT_FOUND",
            "function.delete hello FORBIDDEN",
        ]
    );
    let last = &found[0];
    assert_eq!((&last["ip"], &last["namespace"]), (&json!("203.0.113.7"), &json!("default")));
    assert!(last["actor"].as_str().is_some_and(|actor| actor.starts_with("key:")));
    assert_eq!(last["request_id"].as_str().map(str::len), Some(36));
    assert_eq!(told(&events(&house, "action=function.delete").await).len(), 2);
    assert_eq!(told(&events(&house, "limit=1").await), ["function.delete hello FORBIDDEN"]);
    assert!(events(&house, "since=2026-01-02T00:00:00Z").await.is_empty());
}

#[tokio::test]
async fn reading_and_calling_are_no_management() {
    let house = House::open().await;
    house.deploy("hello", &Script::Echo.code(), &[]).await;
    house.admin(Method::GET, "/v1/functions", "").await;
    house.admin(Method::POST, "/v1/invoke/default/hello", "{}").await;
    house.post("/v1/cache/put", json!({ "dmap": "m", "key": "k", "value": 1 })).await;
    house.client(Method::GET, "/v1/rqlite/export", "").await;
    assert_eq!(told(&events(&house, "all=1").await), ["function.deploy hello ok"]);
}

#[tokio::test]
async fn a_wallet_that_signs_in_is_named_and_one_that_does_not_is_nobody() {
    let house = House::open().await;
    let wallet = TestWallet::new(6);
    wallet.own(&house, Scopes::of([Scope::Data])).await;
    wallet.sign_in(&house).await;
    house.nobody(Method::POST, "/v1/auth/verify", json!({ "message": "m", "signature": "s" }).to_string()).await;
    let found = events(&house, "action=auth&all=1").await;
    let actors: Vec<&Value> = found.iter().rev().map(|event| &event["actor"]).collect();
    assert_eq!(actors, [&json!(format!("wallet:{}", wallet.address())), &json!("anonymous")]);
    assert_eq!((&found[1]["namespace"], &found[0]["namespace"]), (&json!("default"), &Value::Null));
    assert_ne!(found[0]["outcome"], "ok");
}

#[tokio::test]
async fn nobody_writes_into_the_log_of_others() {
    let house = House::open().await;
    house.deploy("hello", &Script::Echo.code(), &[]).await;
    let tried = with_key(request(Method::DELETE, "/v1/functions/hello?namespace=default", ""), &house.stranger);
    assert_eq!(house.send(tried).await.status, 404);
    let of = async |namespace: &str| told(&events(&house, &format!("namespace={namespace}")).await);
    assert_eq!(of("default").await, ["function.deploy hello ok"]);
    assert_eq!(of(abroad().as_str()).await, ["function.delete hello NOT_FOUND"]);
    // An operator who works in a namespace is in the log of that namespace.
    house.operator(Method::PUT, "/v1/namespaces/abroad/settings", "{}").await;
    assert_eq!(of("abroad").await.last().map(String::as_str), Some("namespace.settings  ok"));
}

#[tokio::test]
async fn the_log_is_for_admins_of_the_namespace() {
    let house = House::open().await;
    let status =
        async |path: &str, key: &str| house.send(with_key(request(Method::GET, path, ""), key)).await.status.as_u16();
    assert_eq!(status("/v1/audit", &house.admin).await, 200);
    assert_eq!(status("/v1/audit", &house.deployer).await, 403);
    assert_eq!(status("/v1/audit?namespace=default", &house.stranger).await, 404);
    assert_eq!(status("/v1/audit?all=1", &house.admin).await, 403);
    assert_eq!(status("/v1/audit?limit=0", &house.admin).await, 400);
    assert_eq!(status("/v1/audit?since=soon", &house.admin).await, 400);
}

#[tokio::test]
async fn refused_strangers_do_not_fill_the_log() {
    let house = House::open().await;
    for _ in 0..100 {
        house.send(Form::default().text("name", "x").post("/v1/functions")).await;
    }
    assert_eq!(events(&house, "all=1&limit=1000").await.len(), 60);
    // Who has a credential is always written down.
    house.admin(Method::DELETE, "/v1/functions/missing", "").await;
    assert_eq!(told(&events(&house, "all=1&limit=1").await), ["function.delete missing NOT_FOUND"]);
}

#[tokio::test]
async fn who_goes_away_stops_neither_the_change_nor_its_event() {
    let house = House::open().await;
    house.deploy("hello", &Script::Echo.code(), &[]).await;
    let gateway = house.gateway.clone();
    let remove = with_key(request(Method::DELETE, "/v1/functions/hello", ""), &house.admin);
    let mut given_up = Box::pin(gateway.handle(remove, "203.0.113.7".parse().expect("an address")));
    let polled = futures_util::poll!(given_up.as_mut());
    drop(polled);
    drop(given_up);
    while told(&events(&house, "action=function.delete").await).is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(told(&events(&house, "action=function.delete").await), ["function.delete hello ok"]);
    assert_eq!(house.gateway.platform().metrics().functions, 0);
}
