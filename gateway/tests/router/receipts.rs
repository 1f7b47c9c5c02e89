//! Signed replies and their receipts, judged by libraries of others.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::Method;
use ports::memory::Script;
use serde_json::{Value, json};

use crate::support::{House, Seen, request, with_header, with_key};

const HOST: &str = "Node.Example.org:6001";
const TARGET: &str = "/v1/functions/signs/invoke?x=a%20b&y";
const BODY: &str = r#"{"num": 60000}"#;

async fn house() -> House {
    let house = House::open().await;
    let deployed = house.deploy("signs", &Script::Echo.code(), &[("sign", "true")]).await;
    assert_eq!(deployed.status, 201, "{deployed:?}");
    assert_eq!(deployed.json()["function"]["sign"], json!(true));
    house.deploy("silent", &Script::Echo.code(), &[]).await;
    house
}

async fn call(house: &House, target: &str, body: &str) -> Seen {
    house.send(with_header(with_key(request(Method::POST, target, body.to_owned()), &house.admin), "host", HOST)).await
}

async fn receipt_of(house: &House, seen: &Seen) -> Value {
    let found = house.admin(Method::GET, &format!("/v1/receipts/{}", seen.header("x-request-id")), "").await;
    assert_eq!(found.status, 200, "{found:?}");
    found.json()
}

async fn keys(house: &House) -> Value {
    house.nobody(Method::GET, "/.well-known/orama-keys.json", "").await.json()
}

fn address(keys: &Value) -> &str {
    let keys = keys["keys"].as_array().expect("a list");
    keys.iter().rev().find_map(|key| key["ethereum_address"].as_str()).expect("a key for replies")
}

/// What the judge is told about an exchange.
fn told(seen: &Seen, receipt: &Value, keys: &Value) -> Value {
    json!({
        "receipt": receipt, "keys": keys, "method": "POST", "url": format!("http://{HOST}{TARGET}"), "host": HOST,
        "target": TARGET, "request": BASE64.encode(BODY), "status": seen.status.as_u16(),
        "reply": BASE64.encode(&seen.body), "signature": seen.header("x-oyster-signature"),
        "timestamp": seen.header("x-oyster-timestamp"),
    })
}

/// The address that the judge found, or why it found none.
fn judged(told: &Value) -> Result<String, String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/router/judge.py");
    let home = std::env::var_os("HOME").expect("a home");
    let python = PathBuf::from(home).join(".cache/orama-tools/python/bin/python");
    let mut judge = Command::new(python);
    judge.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut judge = judge.spawn().expect("the judge needs Python packages; run `cargo xtask setup`");
    judge.stdin.take().expect("piped").write_all(told.to_string().as_bytes()).expect("the judge reads");
    let judgement = judge.wait_with_output().expect("the judge ends");
    match judgement.status.success() {
        true => Ok(String::from_utf8_lossy(&judgement.stdout).trim().to_owned()),
        false => Err(String::from_utf8_lossy(&judgement.stderr).into_owned()),
    }
}

#[tokio::test]
async fn a_signed_reply_and_its_receipt_are_good_for_other_libraries() {
    let house = house().await;
    call(&house, TARGET, "{}").await;
    let seen = call(&house, TARGET, BODY).await;
    let (receipt, keys) = (receipt_of(&house, &seen).await, keys(&house).await);
    assert_eq!((&receipt["sequence"], &receipt["query"]), (&json!(2), &json!("?x=a%20b&y")));
    let told = told(&seen, &receipt, &keys);
    assert_eq!(judged(&told).as_deref(), Ok(address(&keys)));
    let changes: [(&str, Value); 4] = [
        ("status", json!(201)),
        ("request", json!(BASE64.encode("{}"))),
        ("reply", json!(BASE64.encode("{}"))),
        ("url", json!(format!("http://{HOST}/"))),
    ];
    for (part, value) in changes {
        let mut changed = told.clone();
        changed[part] = value;
        let refused = judged(&changed).expect_err("it was changed");
        assert!(refused.contains("InvalidSignature"), "{part}: {refused}");
    }
}

#[tokio::test]
async fn a_reply_that_is_given_again_is_signed_again_and_has_the_receipt_of_the_first() {
    let house = house().await;
    let again = async || {
        let request = with_key(request(Method::POST, TARGET, BODY.to_owned()), &house.admin);
        house.send(with_header(with_header(request, "host", HOST), "idempotency-key", "k1")).await
    };
    let first = again().await;
    let replayed = again().await;
    assert_eq!(replayed.header("idempotency-replayed"), "true");
    let (receipt, keys) = (receipt_of(&house, &first).await, keys(&house).await);
    assert_eq!(receipt_of(&house, &replayed).await, receipt);
    for seen in [&first, &replayed] {
        assert_eq!(judged(&told(seen, &receipt, &keys)).as_deref(), Ok(address(&keys)));
    }
    let all = house.admin(Method::GET, "/v1/receipts?function=signs", "").await.json();
    assert_eq!(all["count"], json!(1));
}

#[tokio::test]
async fn only_who_asks_for_it_is_signed_and_no_error_is() {
    let house = house().await;
    let silent = call(&house, "/v1/functions/silent/invoke", BODY).await;
    assert!(silent.status.is_success() && !silent.headers.contains_key("x-oyster-signature"));
    let id = silent.header("x-request-id").to_owned();
    assert_eq!(house.admin(Method::GET, &format!("/v1/receipts/{id}"), "").await.status, 404);
    house.deploy("fails", &Script::Fail.code(), &[("sign", "true")]).await;
    let failed = call(&house, "/v1/functions/fails/invoke", BODY).await;
    assert!(failed.status.is_server_error(), "{failed:?}");
    for header in ["x-oyster-signature", "x-oyster-timestamp"] {
        assert!(!failed.headers.contains_key(header), "{header}");
    }
}

#[tokio::test]
async fn a_chain_is_exported_in_its_order_and_page_by_page() {
    let house = house().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(call(&house, TARGET, BODY).await.header("x-request-id").to_owned());
    }
    let first = house.admin(Method::GET, "/v1/receipts?function=signs&limit=3", "").await.json();
    assert_eq!((&first["count"], &first["next"]), (&json!(3), &json!(3)));
    let rest = house.admin(Method::GET, "/v1/receipts?function=signs&limit=3&after=3", "").await.json();
    let listed = |page: &Value| page["receipts"].as_array().expect("a list").clone();
    let all = [listed(&first), listed(&rest)].concat();
    let listed: Vec<&str> = all.iter().map(|receipt| receipt["request_id"].as_str().expect("text")).collect();
    assert_eq!(listed, ids);
    let none = house.admin(Method::GET, "/v1/receipts?function=silent", "").await.json();
    assert_eq!(none["receipts"], json!([]));
    assert_eq!(house.admin(Method::GET, "/v1/receipts", "").await.status, 400);
    assert_eq!(house.admin(Method::GET, "/v1/receipts?function=signs&after=x", "").await.status, 400);
    // What is another's and what is not there look the same.
    for id in [ids[0].as_str(), "0190f7a1-0000-7000-8000-000000000004"] {
        let path = format!("/v1/receipts/{id}");
        let abroad = house.send(with_key(request(Method::GET, &path, ""), &house.stranger)).await;
        assert_eq!((abroad.status.as_u16(), abroad.text("error").is_empty()), (404, true), "{abroad:?}");
    }
}

#[tokio::test]
async fn a_credential_in_the_query_is_in_no_receipt() {
    let house = house().await;
    let target = format!("/v1/functions/signs/invoke?a=1&api_key={}", house.admin);
    let seen = house.send(with_header(request(Method::POST, &target, BODY), "host", HOST)).await;
    assert_eq!(seen.status, 200, "{seen:?}");
    let receipt = receipt_of(&house, &seen).await;
    assert_eq!(receipt["query"], json!("?a=1"));
    assert!(!receipt.to_string().contains(&house.admin));
}

#[tokio::test]
async fn a_new_key_signs_from_now_on_and_the_one_before_stays_published() {
    let house = house().await;
    let (before, first) = (keys(&house).await, call(&house, TARGET, BODY).await);
    for purpose in ["receipts", "oyster"] {
        let body = json!({ "use": purpose }).to_string();
        assert_eq!(house.admin(Method::POST, "/v1/auth/receipt-keys/rotate", body.clone()).await.status, 403);
        let made = house.operator(Method::POST, "/v1/auth/receipt-keys/rotate", body).await;
        assert_eq!(made.text("use"), purpose);
    }
    let wrong = house.operator(Method::POST, "/v1/auth/receipt-keys/rotate", json!({ "use": "x" }).to_string()).await;
    assert_eq!(wrong.status, 400);
    let (after, second) = (keys(&house).await, call(&house, TARGET, BODY).await);
    assert_eq!(after["keys"].as_array().map(Vec::len), Some(4));
    assert_ne!(address(&before), address(&after));
    for (seen, signer) in [(&first, address(&before)), (&second, address(&after))] {
        let receipt = receipt_of(&house, seen).await;
        assert_eq!(judged(&told(seen, &receipt, &after)).as_deref(), Ok(signer));
    }
}
