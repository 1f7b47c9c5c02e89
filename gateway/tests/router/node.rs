//! What the node tells about itself, and what every reply has.

use expect_test::expect;
use gateway::ROUTES;
use http::Method;

use crate::support::{House, request, with_header, with_key};

#[tokio::test]
async fn health_is_the_same_by_every_name() {
    let house = House::open().await;
    let bodies = ["/health", "/v1/health", "/status", "/v1/status"];
    for path in bodies {
        let seen = house.nobody(Method::GET, path, "").await;
        assert_eq!((seen.status.as_u16(), &seen.json()["status"]), (200, &"ok".into()));
    }
    expect![[r#"
        200
        {
          "client": {
            "status": "ok"
          },
          "server": {
            "started_at": "2026-01-01T00:00:00Z",
            "status": "ok",
            "uptime": "0s"
          },
          "status": "ok"
        }
    "#]]
    .assert_eq(&house.nobody(Method::GET, "/v1/health", "").await.snapshot());
    expect![[r#"
        200
        {
          "build_time": "unknown",
          "commit": "unknown",
          "started_at": "2026-01-01T00:00:00Z",
          "uptime": "0s",
          "version": "0.1.0"
        }
    "#]]
    .assert_eq(&house.nobody(Method::GET, "/v1/version", "").await.snapshot());
    expect![[r#"
        200
        {
          "data": {
            "body_bytes": 4194304,
            "cache": {
              "key_bytes": 1024,
              "map_bytes": 255,
              "mget_keys": 1000,
              "scan_keys": 10000,
              "value_bytes": 1048576
            },
            "database": {
              "result_bytes": 33554432,
              "rows": 10000,
              "script_bytes": 67108864,
              "script_seconds": 300,
              "seconds": 30,
              "transaction_statements": 100
            },
            "pubsub": {
              "batch_body_bytes": 16777216,
              "batch_messages": 100,
              "message_bytes": 1048576,
              "subscriber_burst_messages": 16384,
              "subscriber_bytes": 4194304,
              "subscriber_lag_seconds": 1.0,
              "subscriber_messages": 128,
              "topic_bytes": 256,
              "topics_per_stream": 32
            },
            "storage": {
              "json_upload_bytes": 33554432,
              "list": 1000,
              "name_bytes": 255
            }
          },
          "function": {
            "concurrency": {
              "default": 100,
              "max": 1000,
              "min": 1
            },
            "env_bytes": 65536,
            "env_vars": 100,
            "memory_limit_mb": {
              "default": 64,
              "max": 256,
              "min": 1
            },
            "retry_count": {
              "default": 0,
              "max": 5,
              "min": 0
            },
            "retry_delay_seconds": {
              "default": 5,
              "max": 300,
              "min": 0
            },
            "timeout_seconds": {
              "default": 30,
              "max": 300,
              "min": 1
            },
            "triggers": 100,
            "worker_memory_limit_mb": {
              "default": 256,
              "max": 1024,
              "min": 128
            },
            "ws_idle_timeout_sec": {
              "default": 0,
              "max": 86400,
              "min": 0
            },
            "ws_max_frame_bytes": {
              "default": 262144,
              "max": 16777216,
              "min": 0
            },
            "ws_max_inflight_per_conn": {
              "default": 64,
              "max": 1024,
              "min": 0
            }
          },
          "http": {
            "connections": 10000,
            "connections_per_address": 1000,
            "header_bytes": 65536,
            "headers": 100,
            "uri_bytes": 8192
          },
          "jobs": {
            "kept": 10000,
            "kept_result_bytes": 268435456,
            "kept_seconds": 604800,
            "payload_bytes": 1048576,
            "result_bytes": 1048576,
            "run_at_seconds_ahead": 315619200,
            "waiting": 10000
          },
          "node": {
            "code_bytes": 67108864,
            "concurrency": 1000,
            "input_bytes": 1048576,
            "namespace_concurrency": 200,
            "namespace_sockets": 2000,
            "queue": 1000,
            "queue_wait_seconds": 10.0,
            "sockets": 10000
          },
          "triggers": {
            "aggregation_batch": 1000,
            "aggregation_window_ms": 60000,
            "dead_bytes_per_namespace": 67108864,
            "dead_calls_per_namespace": 10000,
            "dead_kept_seconds": 2592000,
            "depth": 5,
            "pattern_characters": 256,
            "patterns_per_namespace": 1000,
            "per_function": 100,
            "per_namespace": 2000,
            "waiting_bytes_per_namespace": 268435456,
            "waiting_calls_per_namespace": 100000
          },
          "websocket": {
            "message_bytes": 1048576,
            "message_seconds": 60.0,
            "ping_seconds": 30.0,
            "pong_wait_seconds": 60.0,
            "write_seconds": 30.0
          }
        }
    "#]]
    .assert_eq(&house.nobody(Method::GET, "/v1/limits", "").await.snapshot());
}

#[tokio::test]
async fn head_has_the_length_and_no_body() {
    let house = House::open().await;
    let (get, head) = (house.nobody(Method::GET, "/health", "").await, house.nobody(Method::HEAD, "/health", "").await);
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), get.body.len().to_string());
}

#[tokio::test]
async fn unknown_paths_and_methods_have_the_envelope() {
    let house = House::open().await;
    expect![[r#"
        404
        {
          "code": "NOT_FOUND",
          "error": {
            "code": "NOT_FOUND",
            "hint": "`GET /v1/openapi.json` lists every route",
            "message": "no such route",
            "request_id": "<id>",
            "retryable": false
          },
          "message": "no such route",
          "ok": false
        }
    "#]]
    .assert_eq(&house.nobody(Method::GET, "/v1/nothing", "").await.snapshot());
    let seen = house.nobody(Method::POST, "/health", "").await;
    assert_eq!(seen.header("allow"), "GET, HEAD, OPTIONS");
    expect![[r#"
        405
        {
          "code": "VALIDATION_FAILED",
          "error": {
            "code": "VALIDATION_FAILED",
            "message": "POST is not allowed here; use GET, HEAD",
            "request_id": "<id>",
            "retryable": false
          },
          "message": "POST is not allowed here; use GET, HEAD",
          "ok": false
        }
    "#]]
    .assert_eq(&seen.snapshot());
    let sub = house.admin(Method::GET, "/v1/functions/f/unknown", "").await;
    assert_eq!((sub.status.as_u16(), sub.code().as_str()), (404, "NOT_FOUND"));
}

#[tokio::test]
async fn browsers_may_ask_from_anywhere() {
    let house = House::open().await;
    for path in ["/v1/functions", "/v1/invoke/default/f", "/nowhere"] {
        let ask = with_header(request(Method::OPTIONS, path, ""), "access-control-request-method", "POST");
        let seen = house.send(with_header(ask, "origin", "https://a.example")).await;
        assert_eq!((seen.status.as_u16(), seen.body.len()), (204, 0));
        assert_eq!(seen.header("access-control-allow-origin"), "*");
        assert_eq!(seen.header("access-control-allow-methods"), "GET, PUT, POST, DELETE, OPTIONS");
        for name in ["X-API-Key", "Range", "If-None-Match", "Idempotency-Key"] {
            assert!(seen.header("access-control-allow-headers").contains(name), "{name}");
        }
        for name in ["RateLimit-Remaining", "ETag", "Content-Range", "Retry-After"] {
            assert!(seen.header("access-control-expose-headers").contains(name), "{name}");
        }
        assert_eq!(seen.header("access-control-max-age"), "600");
        assert_eq!(seen.header("access-control-allow-credentials"), "");
    }
    assert_eq!(house.nobody(Method::OPTIONS, "/v1/functions", "").await.status, 204);
}

#[tokio::test]
async fn whoami_tells_the_caller_and_never_the_key() {
    let house = House::open().await;
    let missing = house.nobody(Method::GET, "/v1/auth/whoami", "").await;
    assert_eq!(missing.header("www-authenticate"), "Bearer realm=\"orama\"");
    expect![[r#"
        401
        {
          "code": "UNAUTHORIZED",
          "error": "missing API key",
          "hint": "send an API key as `X-API-Key`, or run `orama login`",
          "message": "missing API key",
          "ok": false,
          "request_id": "<id>",
          "retryable": false
        }
    "#]]
    .assert_eq(&missing.snapshot());
    let wrong = house.send(with_key(request(Method::GET, "/v1/auth/whoami", ""), "ak_x:default")).await;
    expect![[r#"
        401
        {
          "code": "UNAUTHORIZED",
          "error": "invalid API key",
          "hint": "check the key; keys are case-sensitive and look like `ak_…:namespace`",
          "message": "invalid API key",
          "ok": false,
          "request_id": "<id>",
          "retryable": false
        }
    "#]]
    .assert_eq(&wrong.snapshot());
    let known = house.admin(Method::GET, "/v1/auth/whoami", "").await;
    assert!(!String::from_utf8_lossy(&known.body).contains(&house.admin));
    expect![[r#"
        200
        {
          "authenticated": true,
          "key_id": "<id>",
          "method": "api_key",
          "namespace": "default",
          "scopes": [
            "admin"
          ],
          "wallet": "default"
        }
    "#]]
    .assert_eq(&known.snapshot());
}

#[tokio::test]
async fn metrics_are_for_this_machine_and_for_operators() {
    let house = House::open().await;
    let ask = || request(Method::GET, "/metrics", "");
    assert_eq!(house.send(ask()).await.status, 401);
    assert_eq!(house.send(with_key(ask(), &house.admin)).await.status, 403);
    assert_eq!(house.send(with_key(ask(), &house.operator)).await.status, 200);
    // A proxy on this machine speaks for somebody else.
    let proxied = with_header(ask(), "x-forwarded-for", "203.0.113.9, 127.0.0.1");
    assert_eq!(house.send_from("127.0.0.1", proxied).await.status, 401);
    let forged = with_header(ask(), "x-forwarded-for", "127.0.0.1");
    assert_eq!(house.send(forged).await.status, 401);
    let local = house.send_from("127.0.0.1", ask()).await;
    expect![[r##"
        # HELP orama_calls_total Calls of functions, by how they ended.
        # TYPE orama_calls_total counter
        orama_calls_total{status="success"} 0
        orama_calls_total{status="error"} 0
        orama_calls_total{status="timeout"} 0
        orama_calls_total{status="refused"} 0
        # HELP orama_call_duration_seconds How long calls took.
        # TYPE orama_call_duration_seconds histogram
        orama_call_duration_seconds_bucket{le="0.0001"} 0
        orama_call_duration_seconds_bucket{le="0.0005"} 0
        orama_call_duration_seconds_bucket{le="0.001"} 0
        orama_call_duration_seconds_bucket{le="0.005"} 0
        orama_call_duration_seconds_bucket{le="0.01"} 0
        orama_call_duration_seconds_bucket{le="0.05"} 0
        orama_call_duration_seconds_bucket{le="0.1"} 0
        orama_call_duration_seconds_bucket{le="0.5"} 0
        orama_call_duration_seconds_bucket{le="1"} 0
        orama_call_duration_seconds_bucket{le="5"} 0
        orama_call_duration_seconds_bucket{le="30"} 0
        orama_call_duration_seconds_bucket{le="300"} 0
        orama_call_duration_seconds_bucket{le="+Inf"} 0
        orama_call_duration_seconds_sum 0
        orama_call_duration_seconds_count 0
        # HELP orama_calls_running Calls running now.
        # TYPE orama_calls_running gauge
        orama_calls_running 0
        # HELP orama_calls_queued Calls waiting for a place.
        # TYPE orama_calls_queued gauge
        orama_calls_queued 0
        # HELP orama_records_written_total Records of calls written.
        # TYPE orama_records_written_total counter
        orama_records_written_total 0
        # HELP orama_records_lost_total Records of calls lost.
        # TYPE orama_records_lost_total counter
        orama_records_lost_total 0
        # HELP orama_records_pending Records of calls not written yet.
        # TYPE orama_records_pending gauge
        orama_records_pending 0
        # HELP orama_functions Functions deployed.
        # TYPE orama_functions gauge
        orama_functions 0
        # HELP orama_pubsub_published_total Messages published on topics.
        # TYPE orama_pubsub_published_total counter
        orama_pubsub_published_total 0
        # HELP orama_pubsub_delivered_total Messages taken by subscribers, each once for each.
        # TYPE orama_pubsub_delivered_total counter
        orama_pubsub_delivered_total 0
        # HELP orama_pubsub_subscriptions Subscriptions open now.
        # TYPE orama_pubsub_subscriptions gauge
        orama_pubsub_subscriptions 0
        # HELP orama_pubsub_dropped_slow_total Subscribers dropped because too much waited for them.
        # TYPE orama_pubsub_dropped_slow_total counter
        orama_pubsub_dropped_slow_total 0
        # HELP orama_schedule_slots_total Slots of schedules, by what came of them.
        # TYPE orama_schedule_slots_total counter
        orama_schedule_slots_total{what="fired"} 0
        orama_schedule_slots_total{what="left_out"} 0
        # HELP orama_jobs_running Timers and background jobs that run now.
        # TYPE orama_jobs_running gauge
        orama_jobs_running 0
        # HELP orama_jobs_total Timers and background jobs, by how they ended.
        # TYPE orama_jobs_total counter
        orama_jobs_total{how="completed"} 0
        orama_jobs_total{how="failed"} 0
        orama_jobs_total{how="cancelled"} 0
        # HELP orama_triggers Triggers of functions, paused ones too.
        # TYPE orama_triggers gauge
        orama_triggers 0
        # HELP orama_deliveries_waiting Triggered calls that wait or run.
        # TYPE orama_deliveries_waiting gauge
        orama_deliveries_waiting 0
        # HELP orama_deliveries_running Triggered calls that run.
        # TYPE orama_deliveries_running gauge
        orama_deliveries_running 0
        # HELP orama_deliveries_total Triggered calls, by what became of them.
        # TYPE orama_deliveries_total counter
        orama_deliveries_total{became="owed"} 0
        orama_deliveries_total{became="made"} 0
        orama_deliveries_total{became="failed"} 0
        orama_deliveries_total{became="put_off"} 0
        orama_deliveries_total{became="dead"} 0
        # HELP orama_publishes_refused_total Publishes refused because the namespace is owed too many calls.
        # TYPE orama_publishes_refused_total counter
        orama_publishes_refused_total 0
        # HELP orama_triggers_cut_total Triggers that did not fire, too deep below others.
        # TYPE orama_triggers_cut_total counter
        orama_triggers_cut_total 0
        # HELP orama_connections_open Connections open now.
        # TYPE orama_connections_open gauge
        orama_connections_open 0
        # HELP orama_connections_total Connections accepted.
        # TYPE orama_connections_total counter
        orama_connections_total 0
        # HELP orama_connections_refused_total Connections over a limit.
        # TYPE orama_connections_refused_total counter
        orama_connections_refused_total 0
        # HELP orama_websockets_open WebSockets open now, by what they are for.
        # TYPE orama_websockets_open gauge
        orama_websockets_open{kind="topic"} 0
        orama_websockets_open{kind="stateless"} 0
        orama_websockets_open{kind="persistent"} 0
        # HELP orama_websockets_total WebSockets opened, by what they are for.
        # TYPE orama_websockets_total counter
        orama_websockets_total{kind="topic"} 0
        orama_websockets_total{kind="stateless"} 0
        orama_websockets_total{kind="persistent"} 0
        # HELP orama_websockets_closed_total WebSockets closed, by whom or with which code.
        # TYPE orama_websockets_closed_total counter
        orama_websockets_closed_total{how="1000"} 0
        orama_websockets_closed_total{how="1001"} 0
        orama_websockets_closed_total{how="1002"} 0
        orama_websockets_closed_total{how="1007"} 0
        orama_websockets_closed_total{how="1008"} 0
        orama_websockets_closed_total{how="1009"} 0
        orama_websockets_closed_total{how="1011"} 0
        orama_websockets_closed_total{how="1012"} 0
        orama_websockets_closed_total{how="1013"} 0
        orama_websockets_closed_total{how="4401"} 0
        orama_websockets_closed_total{how="4403"} 0
        orama_websockets_closed_total{how="4404"} 0
        orama_websockets_closed_total{how="client"} 0
        orama_websockets_closed_total{how="lost"} 0
        # HELP orama_websocket_messages_total Messages of WebSockets, in and out.
        # TYPE orama_websocket_messages_total counter
        orama_websocket_messages_total{direction="in"} 0
        orama_websocket_messages_total{direction="out"} 0
        # HELP orama_function_sockets WebSockets that functions can reach.
        # TYPE orama_function_sockets gauge
        orama_function_sockets 0
        # HELP orama_socket_instances WebSockets with an instance of their own.
        # TYPE orama_socket_instances gauge
        orama_socket_instances 0
        # HELP orama_http_requests_total Requests answered, by route and class of status.
        # TYPE orama_http_requests_total counter
        orama_http_requests_total{method="GET",route="/metrics",class="2xx"} 1
        orama_http_requests_total{method="GET",route="/metrics",class="4xx"} 4
    "##]]
    .assert_eq(&String::from_utf8_lossy(&local.body));
}

#[tokio::test]
async fn readiness_ends_when_the_platform_closes() {
    let house = House::open().await;
    assert_eq!(house.nobody(Method::GET, "/ready", "").await.status, 200);
    house.gateway.platform().close(std::time::Duration::ZERO).await;
    expect![[r#"
        503
        {
          "code": "SERVICE_UNAVAILABLE",
          "error": {
            "code": "SERVICE_UNAVAILABLE",
            "message": "the server is shutting down",
            "request_id": "<id>",
            "retryable": true
          },
          "message": "the server is shutting down",
          "ok": false
        }
    "#]]
    .assert_eq(&house.nobody(Method::GET, "/ready", "").await.snapshot());
}

#[tokio::test]
async fn the_document_has_every_route() {
    let house = House::open().await;
    let document = house.nobody(Method::GET, "/v1/openapi.json", "").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    for route in ROUTES {
        let operations = &document["paths"][route.path.replace("{*", "{")];
        assert!(operations.is_object(), "{}", route.path);
    }
    expect![[r##"
        {
          "get": {
            "parameters": [],
            "responses": {
              "200": {
                "description": "`functions`, `count`"
              },
              "default": {
                "content": {
                  "application/json": {
                    "schema": {
                      "$ref": "#/components/schemas/Error"
                    }
                  }
                },
                "description": "a refusal"
              }
            },
            "security": [
              {
                "apiKey": []
              },
              {
                "bearer": []
              }
            ],
            "summary": "List the functions of the namespace",
            "x-access": "scope deploy"
          },
          "post": {
            "parameters": [],
            "requestBody": {
              "content": {
                "multipart/form-data": {}
              },
              "description": "multipart/form-data: `wasm` (file), `metadata` (JSON) and text fields"
            },
            "responses": {
              "201": {
                "description": "`message`, `function`, `warnings`, `changed`"
              },
              "default": {
                "content": {
                  "application/json": {
                    "schema": {
                      "$ref": "#/components/schemas/Error"
                    }
                  }
                },
                "description": "a refusal"
              }
            },
            "security": [
              {
                "apiKey": []
              },
              {
                "bearer": []
              }
            ],
            "summary": "Deploy a new version",
            "x-access": "scope deploy",
            "x-audit": "function.deploy"
          }
        }"##]]
    .assert_eq(&serde_json::to_string_pretty(&document["paths"]["/v1/functions"]).expect("JSON"));
}
