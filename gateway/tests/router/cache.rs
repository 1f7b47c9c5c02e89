//! The cache by HTTP.

use std::time::Duration;

use bytes::Bytes;
use expect_test::expect;
use http::Method;
use ports::{CacheKey, Caches};
use serde_json::{Value, json};

use crate::support::{House, home};

async fn ok(house: &House, verb: &str, body: Value) -> Value {
    let seen = house.post(&format!("/v1/cache/{verb}"), body).await;
    assert_eq!(seen.status, 200, "{verb}: {seen:?}");
    seen.json()
}

/// What a function writes is bytes, not JSON.
async fn written_by_a_function(house: &House, key: &str, value: &'static [u8]) {
    let cache = house.caches.of(&home());
    cache.set(CacheKey { map: "m", key }, Bytes::from_static(value), None).await.expect("memory keeps");
}

#[tokio::test]
async fn the_cache_is_there_under_the_name_that_clients_ask_for() {
    let house = House::open().await;
    let seen = house.client(Method::GET, "/v1/cache/health", "").await;
    assert_eq!(seen.json(), json!({ "status": "ok", "service": "olric" }));
}

#[tokio::test]
async fn values_keep_their_types_and_digits() {
    let house = House::open().await;
    for (key, value) in [
        ("object", r#"{"b":1,"a":[1.0,null]}"#),
        ("number", "12345678901234567890123"),
        ("text", r#""17""#),
        ("false", "false"),
        ("list", "[]"),
    ] {
        let put = format!(r#"{{ "dmap": "m", "key": "{key}", "value": {value} }}"#);
        let seen = house.client(Method::POST, "/v1/cache/put", put).await;
        assert_eq!(seen.json(), json!({ "status": "ok", "key": key, "dmap": "m" }));
        let seen = house.post("/v1/cache/get", json!({ "dmap": "m", "key": key })).await;
        let want = format!(r#"{{"key":"{key}","value":{value},"dmap":"m"}}"#);
        assert_eq!(String::from_utf8_lossy(&seen.body), want);
    }
}

#[tokio::test]
async fn what_functions_wrote_is_shown_as_json() {
    let house = House::open().await;
    for (key, bytes, shown) in [
        ("a", &b"17"[..], json!(17)),
        ("b", b"plain text", json!("plain text")),
        ("c", b"{\"a\": 1}", json!({ "a": 1 })),
        ("d", &[0xff, 0x00], json!({ "base64": "/wA=" })),
    ] {
        written_by_a_function(&house, key, bytes).await;
        assert_eq!(ok(&house, "get", json!({ "dmap": "m", "key": key })).await["value"], shown);
    }
}

#[tokio::test]
async fn entries_expire() {
    let house = House::open().await;
    ok(&house, "put", json!({ "dmap": "m", "key": "k", "value": 1, "ttl": "1m30s" })).await;
    ok(&house, "put", json!({ "dmap": "m", "key": "stays", "value": 1, "ttl": "" })).await;
    house.clock.advance(Duration::from_secs(89));
    ok(&house, "get", json!({ "dmap": "m", "key": "k" })).await;
    house.clock.advance(Duration::from_secs(1));
    assert_eq!(house.post("/v1/cache/get", json!({ "dmap": "m", "key": "k" })).await.status, 404);
    ok(&house, "get", json!({ "dmap": "m", "key": "stays" })).await;
}

#[tokio::test]
async fn several_are_read_at_once_and_only_hits_are_answered() {
    let house = House::open().await;
    for key in ["a", "b"] {
        ok(&house, "put", json!({ "dmap": "m", "key": key, "value": { "is": key } })).await;
    }
    let found = ok(&house, "mget", json!({ "dmap": "m", "keys": ["b", "missing", "a"] })).await;
    let want = json!({ "results": [{ "key": "b", "value": { "is": "b" } }, { "key": "a", "value": { "is": "a" } }], "dmap": "m" });
    assert_eq!(found, want);
    assert_eq!(ok(&house, "mget", json!({ "dmap": "m", "keys": ["missing"] })).await["results"], json!([]));
}

#[tokio::test]
async fn keys_are_found_by_pattern_page_by_page() {
    let house = House::open().await;
    for key in ["user:1", "user:2", "user:3", "other"] {
        ok(&house, "put", json!({ "dmap": "m", "key": key, "value": 1 })).await;
    }
    let all = ok(&house, "scan", json!({ "dmap": "m" })).await;
    assert_eq!(all, json!({ "keys": ["other", "user:1", "user:2", "user:3"], "count": 4, "dmap": "m" }));
    let first = ok(&house, "scan", json!({ "dmap": "m", "match": "^user:", "limit": 2 })).await;
    assert_eq!(first, json!({ "keys": ["user:1", "user:2"], "count": 2, "dmap": "m", "next": "user:2" }));
    let rest = ok(&house, "scan", json!({ "dmap": "m", "match": "^user:", "limit": 2, "after": "user:2" })).await;
    assert_eq!(rest, json!({ "keys": ["user:3"], "count": 1, "dmap": "m" }));
    assert_eq!(ok(&house, "scan", json!({ "dmap": "empty" })).await["keys"], json!([]));
}

#[tokio::test]
async fn counters_count_and_keep_what_is_no_number() {
    let house = House::open().await;
    let incr = async |body| house.post("/v1/cache/incr", body).await;
    assert_eq!(incr(json!({ "dmap": "m", "key": "n" })).await.json(), json!({ "key": "n", "value": 1, "dmap": "m" }));
    assert_eq!(incr(json!({ "dmap": "m", "key": "n", "delta": -5 })).await.json()["value"], -4);
    assert_eq!(ok(&house, "get", json!({ "dmap": "m", "key": "n" })).await["value"], -4);
    ok(&house, "put", json!({ "dmap": "m", "key": "t", "value": "text" })).await;
    let seen = incr(json!({ "dmap": "m", "key": "t" })).await;
    assert_eq!((seen.status.as_u16(), seen.text("error")), (409, "the value is not a whole number".to_owned()));
    incr(json!({ "dmap": "m", "key": "max", "delta": i64::MAX })).await;
    let over = incr(json!({ "dmap": "m", "key": "max" })).await;
    assert_eq!((over.status.as_u16(), over.text("error")), (409, "the counter would overflow".to_owned()));
    assert_eq!(
        incr(json!({ "dmap": "m", "key": "n", "delta": 1.5 })).await.text("error"),
        "`delta` must be a whole number of 64 bits"
    );
}

#[tokio::test]
async fn a_swap_happens_if_nothing_changed_meanwhile() {
    let house = House::open().await;
    let cas = async |expected: Value, value: Value| {
        ok(&house, "cas", json!({ "dmap": "m", "key": "k", "expected": expected, "value": value })).await["swapped"]
            == true
    };
    assert!(!cas(json!(1), json!(2)).await, "there is none");
    assert!(cas(Value::Null, json!({ "a": 1, "b": [1, 2] })).await);
    assert!(!cas(Value::Null, json!(2)).await, "there is one");
    // Another order of keys means the same.
    let reordered = r#"{"dmap":"m","key":"k","expected":{ "b": [1,2], "a": 1 },"value":"next"}"#;
    let seen = house.client(Method::POST, "/v1/cache/cas", reordered).await;
    assert_eq!(seen.json(), json!({ "swapped": true, "key": "k", "dmap": "m" }));
    assert!(!cas(json!("other"), json!(3)).await);
    written_by_a_function(&house, "k", b"plain text").await;
    assert!(cas(json!("plain text"), json!(4)).await);
    assert_eq!(ok(&house, "get", json!({ "dmap": "m", "key": "k" })).await["value"], 4);
}

#[tokio::test]
async fn entries_and_maps_are_deleted() {
    let house = House::open().await;
    for key in ["a", "b/c", "d"] {
        ok(&house, "put", json!({ "dmap": "m", "key": key, "value": 1 })).await;
    }
    assert_eq!(
        ok(&house, "delete", json!({ "dmap": "m", "key": "a" })).await,
        json!({ "status": "ok", "key": "a", "dmap": "m" })
    );
    let again = house.post("/v1/cache/delete", json!({ "dmap": "m", "key": "a" })).await;
    expect![[r#"
        404
        {
          "code": "NOT_FOUND",
          "error": "key not found",
          "message": "key not found",
          "ok": false,
          "request_id": "<id>",
          "retryable": false
        }
    "#]]
    .assert_eq(&again.snapshot());
    let by_path = async || house.client(Method::DELETE, "/v1/cache/dmap/m/key/b%2Fc", "").await;
    assert_eq!((by_path().await.status.as_u16(), by_path().await.status.as_u16()), (200, 404));
    let cleared = house.client(Method::DELETE, "/v1/cache/dmap/m", "").await;
    assert_eq!(cleared.json(), json!({ "status": "ok", "dmap": "m", "deleted": 1 }));
}

#[tokio::test]
async fn requests_that_are_wrong_say_how() {
    let house = House::open().await;
    let long = "k".repeat(10_000);
    let large = "v".repeat((1 << 20) + 1);
    for (verb, body, status, error) in [
        ("put", json!({ "key": "k", "value": 1 }), 400, "dmap and key are required"),
        ("get", json!({ "dmap": "m", "key": "" }), 400, "dmap and key are required"),
        ("put", json!({ "dmap": "m", "key": "k" }), 400, "value is required, and must not be null"),
        ("put", json!({ "dmap": "m", "key": "k", "value": null }), 400, "value is required, and must not be null"),
        (
            "put",
            json!({ "dmap": "m", "key": "k", "value": 1, "ttl": "-1s" }),
            400,
            "`ttl` must be a duration such as `90s`, `15m` or `1h30m`, up to ten years",
        ),
        ("put", json!({ "dmap": "m", "key": "k", "value": 1, "ttl": 60 }), 400, "`ttl` must be a text"),
        ("mget", json!({ "dmap": "m" }), 400, "dmap and keys are required"),
        ("mget", json!({ "dmap": "m", "keys": "k" }), 400, "`keys` must be a list of texts"),
        ("scan", json!({}), 400, "dmap is required"),
        ("scan", json!({ "dmap": "m", "match": "(" }), 400, "`match` is not a regular expression"),
        ("scan", json!({ "dmap": "m", "match": "(a{1000}){1000}" }), 400, "`match` is not a regular expression"),
        ("get", json!({ "dmap": "m", "key": long }), 413, "the key is 10000 bytes, the limit is 1024"),
        (
            "get",
            json!({ "dmap": "m".repeat(256), "key": "k" }),
            413,
            "the name of the map is 256 bytes, the limit is 255",
        ),
        (
            "put",
            json!({ "dmap": "m", "key": "k", "value": large }),
            413,
            "the value is 1048579 bytes, the limit is 1048576",
        ),
    ] {
        let seen = house.post(&format!("/v1/cache/{verb}"), body).await;
        assert_eq!((seen.status.as_u16(), seen.text("error").as_str()), (status, error), "{verb}");
    }
}
