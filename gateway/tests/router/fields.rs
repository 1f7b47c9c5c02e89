//! Which fields of JSON bodies are refused, and which are ignored.

use http::Method;

use crate::support::House;

/// Routes of ours: a slip must not change what a request means.
const STRICT: &[(Method, &str, &str, &str)] = &[
    (
        Method::POST,
        "/v1/auth/keys",
        r#"{"name":"x","scopes":["data"],"expires":"1h"}"#,
        "unknown field `expires`; known are `name`, `scopes`, `expires_in_seconds`",
    ),
    (Method::PUT, "/v1/auth/claims/0x00/a", r#"{"vaule":"x"}"#, "unknown field `vaule`; did you mean `value`?"),
    (Method::POST, "/v1/namespaces", r#"{"name":"team","nmae":"x"}"#, "unknown field `nmae`; did you mean `name`?"),
    (
        Method::PUT,
        "/v1/namespaces/default/settings",
        r#"{"function_max":1}"#,
        "unknown field `function_max`; did you mean `functions_max`?",
    ),
    (
        Method::PUT,
        "/v1/namespaces/default/owners/0x00",
        r#"{"scope":["data"]}"#,
        "unknown field `scope`; did you mean `scopes`?",
    ),
    (
        Method::PUT,
        "/v1/namespace/rate-limit",
        r#"{"requests_per_minute":5,"callers_requests_per_minute":1}"#,
        "unknown field `callers_requests_per_minute`; did you mean `caller_requests_per_minute`?",
    ),
    (
        Method::PUT,
        "/v1/functions/secrets",
        r#"{"name":"A","value":"x","value_base_64":"x"}"#,
        "unknown field `value_base_64`; did you mean `value_base64`?",
    ),
    (Method::POST, "/v1/functions/f/rollback", r#"{"to":1}"#, "unknown field `to`; known are `version`"),
    (
        Method::POST,
        "/v1/rqlite/migrate",
        r#"{"migrations":[],"dryrun":true}"#,
        "unknown field `dryrun`; did you mean `dry_run`?",
    ),
    (
        Method::POST,
        "/v1/cache/put",
        r#"{"dmap":"m","key":"k","value":1,"TTL":"1h"}"#,
        "unknown field `TTL`; did you mean `ttl`?",
    ),
    (Method::POST, "/v1/cache/get", r#"{"dmap":"m","keys":"k"}"#, "unknown field `keys`; did you mean `key`?"),
    (
        Method::POST,
        "/v1/cache/mget",
        r#"{"dmap":"m","keys":["k"],"limit":1}"#,
        "unknown field `limit`; known are `dmap`, `keys`",
    ),
    (
        Method::POST,
        "/v1/cache/delete",
        r#"{"dmap":"m","key":"k","ttl":"1h"}"#,
        "unknown field `ttl`; known are `dmap`, `key`",
    ),
    (Method::POST, "/v1/cache/scan", r#"{"dmap":"m","macth":"^a"}"#, "unknown field `macth`; did you mean `match`?"),
    (
        Method::POST,
        "/v1/cache/incr",
        r#"{"dmap":"m","key":"k","by":2}"#,
        "unknown field `by`; known are `dmap`, `key`, `delta`",
    ),
    (
        Method::POST,
        "/v1/cache/cas",
        r#"{"dmap":"m","key":"k","value":1,"expect":2}"#,
        "unknown field `expect`; did you mean `expected`?",
    ),
];

#[tokio::test]
async fn routes_of_ours_know_every_field() {
    let house = House::open().await;
    for (method, path, body, want) in STRICT {
        let seen = house.operator(method.clone(), path, *body).await;
        let document = seen.json();
        let message = document["message"].as_str().unwrap_or_default();
        assert_eq!((seen.status.as_u16(), message), (400, *want), "{method} {path}");
        assert_eq!(document["code"], "VALIDATION_FAILED", "{method} {path}");
    }
}

/// Routes of the client libraries, which send fields of their own: what is wrong with these requests is something else.
#[tokio::test]
async fn routes_of_the_libraries_ignore_what_they_do_not_know() {
    let house = House::open().await;
    for (path, body) in [
        ("/v1/auth/challenge", r#"{"sdk":1}"#),
        ("/v1/auth/verify", r#"{"sdk":1}"#),
        ("/v1/auth/api-key", r#"{"sdk":1}"#),
        ("/v1/auth/register", r#"{"sdk":1}"#),
        ("/v1/auth/refresh", r#"{"sdk":1}"#),
        ("/v1/rqlite/query", r#"{"sdk":1}"#),
        ("/v1/rqlite/exec", r#"{"sdk":1}"#),
        ("/v1/rqlite/find", r#"{"sdk":1}"#),
        ("/v1/rqlite/select", r#"{"sdk":1}"#),
        ("/v1/rqlite/transaction", r#"{"sdk":1}"#),
        ("/v1/rqlite/create-table", r#"{"sdk":1}"#),
        ("/v1/rqlite/drop-table", r#"{"sdk":1}"#),
        ("/v1/network/connect", r#"{"sdk":1}"#),
        ("/v1/network/disconnect", r#"{"sdk":1}"#),
        ("/v1/proxy/anon", r#"{"sdk":1}"#),
        ("/v1/storage/upload", r#"{"sdk":1}"#),
        ("/v1/storage/pin", r#"{"sdk":1}"#),
    ] {
        let seen = house.client(Method::POST, path, body).await;
        assert!(seen.text("error").contains("required"), "{path}: {seen:?}");
    }
}

#[tokio::test]
async fn a_field_that_stands_twice_is_refused_everywhere() {
    let house = House::open().await;
    for (path, body) in [
        ("/v1/cache/incr", r#"{"dmap":"m","key":"k","delta":1,"delta":2}"#),
        ("/v1/rqlite/query", r#"{"sql":"SELECT 1","sql":"SELECT 2"}"#),
        ("/v1/rqlite/find", r#"{"table":"t","criteria":{"id":1,"id":2}}"#),
        ("/v1/rqlite/transaction", r#"{"ops":[{"kind":"exec","sql":"A","sql":"B"}]}"#),
    ] {
        let seen = house.client(Method::POST, path, body).await;
        assert_eq!(seen.status, 400, "{path}");
        assert!(seen.text("error").ends_with("` stands twice in one object"), "{path}: {seen:?}");
    }
    assert!(house.databases.asked().is_empty());
}
