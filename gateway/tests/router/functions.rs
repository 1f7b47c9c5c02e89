//! Reading and managing functions.

use expect_test::{Expect, expect};
use http::Method;
use ports::memory::Script;

use crate::support::{House, LOG, Seen, request, with_header, with_key};

#[track_caller]
fn check(seen: &Seen, want: &Expect) {
    want.assert_eq(&seen.snapshot());
}

async fn with_two_versions() -> House {
    let house = House::open().await;
    house.deploy("hello", &Script::Echo.code(), &[]).await;
    house.deploy("hello", &Script::Fail.code(), &[("memory_limit_mb", "128")]).await;
    house
}

#[tokio::test]
async fn a_function_is_shown_with_every_field() {
    let house = with_two_versions().await;
    check(
        &house.admin(Method::GET, "/v1/functions/hello@1", "").await,
        &expect![[r#"
        200
        {
          "active": false,
          "concurrency": 100,
          "created_at": "2026-01-01T00:00:00Z",
          "created_by": "default",
          "engine": "wasm",
          "env_vars": {},
          "http": false,
          "id": "<id>",
          "is_internal": false,
          "is_public": false,
          "memory_limit_mb": 64,
          "name": "hello",
          "namespace": "default",
          "raw_http_response": false,
          "reactor": false,
          "retry_count": 0,
          "retry_delay_seconds": 5,
          "size_bytes": 4,
          "status": "active",
          "timeout_seconds": 30,
          "updated_at": "2026-01-01T00:00:00Z",
          "version": 1,
          "wasm_cid": "bafkreiajfr46r6aokwpeas6pmyger42sfnt2xkp7csclant6djg5552ddu"
        }
    "#]],
    );
}

#[tokio::test]
async fn lists_are_never_null() {
    let house = House::open().await;
    check(
        &house.admin(Method::GET, "/v1/functions", "").await,
        &expect![[r#"
        200
        {
          "count": 0,
          "functions": []
        }
    "#]],
    );
    check(
        &house.admin(Method::GET, "/v1/functions/unknown/versions", "").await,
        &expect![[r#"
        200
        {
          "count": 0,
          "versions": []
        }
    "#]],
    );
}

#[tokio::test]
async fn versions_come_newest_first_and_a_rollback_moves_the_active_one() {
    let house = with_two_versions().await;
    let numbers = |seen: &Seen| -> Vec<String> {
        let document = seen.json();
        let versions = document["versions"].as_array().expect("a list").clone();
        versions.iter().map(|version| format!("{} {}", version["version"], version["active"])).collect()
    };
    assert_eq!(numbers(&house.admin(Method::GET, "/v1/functions/hello/versions", "").await), ["2 true", "1 false"]);
    let back = house.admin(Method::POST, "/v1/functions/hello/rollback", "").await;
    assert_eq!((back.status.as_u16(), &back.json()["function"]["version"]), (200, &1.into()));
    assert_eq!(house.admin(Method::POST, "/v1/invoke/default/hello", "{}").await.status, 200);
    let forth = house.admin(Method::POST, "/v1/functions/hello/rollback", r#"{"version":2}"#).await;
    assert_eq!(forth.json()["message"], "Function rolled back to version 2");
    assert_eq!(numbers(&house.admin(Method::GET, "/v1/functions/hello/versions", "").await), ["2 true", "1 false"]);
    for wrong in [r#"{"version":0}"#, r#"{"version":-1}"#, "nonsense", r#"{"to":1}"#, "[]"] {
        assert_eq!(house.admin(Method::POST, "/v1/functions/hello/rollback", wrong).await.status, 400, "{wrong}");
    }
    assert_eq!(house.admin(Method::POST, "/v1/functions/hello/rollback", r#"{"version":9}"#).await.status, 404);
}

#[tokio::test]
async fn a_function_that_is_off_answers_that_it_is() {
    let house = with_two_versions().await;
    check(
        &house.admin(Method::POST, "/v1/functions/hello/disable", "").await,
        &expect![[r#"
        200
        {
          "enabled": false,
          "function": "hello",
          "status": "ok"
        }
    "#]],
    );
    check(
        &house.admin(Method::POST, "/v1/functions/hello/invoke", "").await,
        &expect![[r#"
        503
        {
          "code": "FUNCTION_UNAVAILABLE",
          "error": {
            "code": "FUNCTION_UNAVAILABLE",
            "hint": "switch it on with `orama function enable hello`",
            "message": "function `hello` is disabled",
            "request_id": "<id>",
            "retryable": true
          },
          "message": "function `hello` is disabled",
          "ok": false
        }
    "#]],
    );
    let shown = house.admin(Method::GET, "/v1/functions/hello", "").await;
    assert_eq!(shown.json()["status"], "inactive");
    assert_eq!(house.admin(Method::POST, "/v1/functions/hello/enable", "").await.json()["enabled"], true);
}

#[tokio::test]
async fn deleting_takes_a_version_or_all() {
    let house = with_two_versions().await;
    assert_eq!(house.admin(Method::DELETE, "/v1/functions/hello@2", "").await.code(), "CONFLICT");
    assert_eq!(house.admin(Method::DELETE, "/v1/functions/hello@1", "").await.status, 200);
    check(
        &house.admin(Method::DELETE, "/v1/functions/hello", "").await,
        &expect![[r#"
        200
        {
          "message": "Function deleted successfully"
        }
    "#]],
    );
    check(
        &house.admin(Method::DELETE, "/v1/functions/hello", "").await,
        &expect![[r#"
        404
        {
          "code": "NOT_FOUND",
          "error": {
            "code": "NOT_FOUND",
            "message": "function `hello` not found",
            "request_id": "<id>",
            "retryable": false
          },
          "message": "function `hello` not found",
          "ok": false
        }
    "#]],
    );
}

#[tokio::test]
async fn logs_serve_old_and_new_clients() {
    let house = House::open().await;
    house.deploy("chatty", LOG, &[("is_public", "true")]).await;
    let call = request(Method::POST, "/v1/invoke/default/chatty", "12345");
    let call = with_header(call, "x-request-id", "mine-1");
    house.send(with_header(call, "traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")).await;
    check(
        &house.admin(Method::GET, "/v1/functions/chatty/logs", "").await,
        &expect![[r#"
        200
        {
          "count": 1,
          "gaps": [],
          "invocations": [
            {
              "client_request_id": "mine-1",
              "completed_at": "2026-01-01T00:00:00Z",
              "cpu_ms": 0.0,
              "duration_ms": 0,
              "id": "<id>",
              "input_size": 5,
              "memory_used_mb": 0.0,
              "output_size": 0,
              "request_id": "<id>",
              "started_at": "2026-01-01T00:00:00Z",
              "status": "success",
              "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
              "trigger_type": "http",
              "version": 1,
              "wasm_logs": [
                {
                  "level": "info",
                  "message": "one",
                  "timestamp": "2026-01-01T00:00:00Z"
                },
                {
                  "level": "error",
                  "message": "two",
                  "timestamp": "2026-01-01T00:00:00Z"
                }
              ]
            }
          ],
          "logs": [
            {
              "level": "info",
              "message": "one",
              "request_id": "<id>",
              "timestamp": "2026-01-01T00:00:00Z"
            },
            {
              "level": "error",
              "message": "two",
              "request_id": "<id>",
              "timestamp": "2026-01-01T00:00:00Z"
            }
          ],
          "name": "chatty",
          "namespace": "default",
          "next": 1
        }
    "#]],
    );
    check(
        &house.admin(Method::GET, "/v1/functions/chatty/logs?wasm_only=1", "").await,
        &expect![[r#"
        200
        {
          "count": 2,
          "logs": [
            {
              "level": "info",
              "message": "one",
              "request_id": "<id>",
              "timestamp": "2026-01-01T00:00:00Z"
            },
            {
              "level": "error",
              "message": "two",
              "request_id": "<id>",
              "timestamp": "2026-01-01T00:00:00Z"
            }
          ],
          "name": "chatty",
          "namespace": "default"
        }
    "#]],
    );
    let next = house.admin(Method::GET, "/v1/functions/chatty/logs?limit=1", "").await.json()["next"].clone();
    let followed = house.admin(Method::GET, &format!("/v1/functions/chatty/logs?after={next}"), "").await;
    assert_eq!((followed.json()["count"].clone(), followed.json()["next"].clone()), (0.into(), next));
}

#[tokio::test]
async fn what_logs_are_asked_for_is_checked() {
    let house = with_two_versions().await;
    for wrong in ["limit=0", "limit=x", "limit=-1", "since=soon", "after=-1", "after=x", "level=loud"] {
        let seen = house.admin(Method::GET, &format!("/v1/functions/hello/logs?{wrong}"), "").await;
        assert_eq!(seen.code(), "VALIDATION_FAILED", "{wrong}");
    }
    for good in ["limit=9999", "since=15m", "since=2026-01-01T00:00:00Z", "after=0", "level=error", "request_id=x"] {
        let seen = house.admin(Method::GET, &format!("/v1/functions/hello/logs?{good}"), "").await;
        assert_eq!(seen.status, 200, "{good}");
    }
    assert_eq!(house.admin(Method::GET, "/v1/functions/unknown/logs", "").await.status, 404);
}

#[tokio::test]
async fn names_are_checked_after_decoding() {
    let house = with_two_versions().await;
    let long = "a".repeat(300);
    let names = [
        "..",
        ".",
        "%2e%2e",
        "a%2fb",
        "%00",
        "%ff",
        "%zz",
        "%",
        "-rf",
        "health",
        "h%C3%A9llo",
        &long,
        "f@",
        "@2",
        "hello@0",
        "hello@-1",
        "hello@2@3",
        "hello@99999999999",
        "hello@latest",
        "hello@%202",
        "hello@2%00",
        "hello@%D9%A2",
        "hello@01",
        "hello@+1",
    ];
    for name in names {
        for (method, path) in [
            (Method::GET, format!("/v1/functions/{name}")),
            (Method::DELETE, format!("/v1/functions/{name}")),
            (Method::POST, format!("/v1/functions/{name}/invoke")),
            (Method::POST, format!("/v1/invoke/default/{name}")),
            (Method::POST, format!("/v1/invoke/{name}/hello")),
        ] {
            let seen = house.admin(method.clone(), &path, "").await;
            let refused = seen.status == 400 || seen.status == 404;
            assert!(refused, "{method} {path}: {}", seen.snapshot());
            assert!(["VALIDATION_FAILED", "NOT_FOUND"].contains(&seen.code().as_str()));
        }
    }
    // Where the word has routes of its own, no function is meant.
    for path in ["/v1/functions/secrets/invoke", "/v1/functions/secrets/versions", "/v1/invoke/default/secrets"] {
        let seen = house.admin(Method::POST, path, "").await;
        assert!([404, 405].contains(&seen.status.as_u16()), "{path}: {}", seen.snapshot());
    }
    check(
        &house.admin(Method::GET, "/v1/functions/", "").await,
        &expect![[r#"
        400
        {
          "code": "VALIDATION_FAILED",
          "error": {
            "code": "VALIDATION_FAILED",
            "message": "Function name required",
            "request_id": "<id>",
            "retryable": false
          },
          "message": "Function name required",
          "ok": false
        }
    "#]],
    );
}

#[tokio::test]
async fn a_namespace_is_the_credentials_own() {
    let house = with_two_versions().await;
    let ask = async |key: &str, path: &str| house.send(with_key(request(Method::GET, path, ""), key)).await;
    // A foreign function and one that does not exist look alike.
    let foreign = ask(&house.stranger, "/v1/functions/hello?namespace=default").await;
    let missing = ask(&house.stranger, "/v1/functions/nothing?namespace=default").await;
    assert_eq!(foreign.snapshot(), missing.snapshot());
    assert_eq!(ask(&house.stranger, "/v1/functions").await.json()["count"], 0);
    assert_eq!(ask(&house.operator, "/v1/functions?namespace=abroad").await.json()["count"], 0);
    assert_eq!(ask(&house.admin, "/v1/functions?namespace=a%2fb").await.status, 400);
}
