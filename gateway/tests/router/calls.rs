//! Calling functions.

use expect_test::expect;
use http::Method;
use ports::memory::Script;

use crate::support::{HEAD, House, PANIC, RAW, request, with_header, with_key};

async fn house() -> House {
    let house = House::open().await;
    house.deploy("echo", &Script::Echo.code(), &[("is_public", "true")]).await;
    house.deploy("private", &Script::Echo.code(), &[]).await;
    house
}

#[tokio::test]
async fn output_that_looks_like_json_goes_out_as_it_is() {
    let house = house().await;
    for input in [r#"{"a":1}"#, "[1,2]", "{not json"] {
        let seen = house.nobody(Method::POST, "/v1/invoke/default/echo", input).await;
        assert_eq!((seen.status.as_u16(), &seen.body[..]), (200, input.as_bytes()));
        assert_eq!(seen.header("content-type"), "application/json");
        assert_eq!(seen.header("x-duration-ms"), "0");
        assert_eq!(seen.header("x-request-id").len(), 36);
    }
}

#[tokio::test]
async fn other_output_is_wrapped() {
    let house = house().await;
    let seen = house.nobody(Method::POST, "/v1/functions/echo/invoke", "plain").await;
    assert_eq!(seen.json()["request_id"], seen.header("x-request-id"));
    expect![[r#"
        200
        {
          "duration_ms": 0,
          "output": "plain",
          "request_id": "<id>",
          "status": "success"
        }
    "#]]
    .assert_eq(&seen.snapshot());
    expect![[r#"
        200
        {
          "duration_ms": 0,
          "output": "",
          "request_id": "<id>",
          "status": "success"
        }
    "#]]
    .assert_eq(&house.nobody(Method::POST, "/v1/functions/echo/invoke", "").await.snapshot());
    let bytes = house.nobody(Method::POST, "/v1/functions/echo/invoke", vec![0xff, 0x00]).await;
    expect![[r#"
        200
        {
          "duration_ms": 0,
          "output": "",
          "output_base64": "/wA=",
          "request_id": "<id>",
          "status": "success"
        }
    "#]]
    .assert_eq(&bytes.snapshot());
}

#[tokio::test]
async fn private_functions_are_for_who_may_call_them() {
    let house = house().await;
    let anonymous = house.nobody(Method::POST, "/v1/invoke/default/private", "{}").await;
    expect![[r#"
        401
        {
          "code": "UNAUTHORIZED",
          "error": {
            "code": "UNAUTHORIZED",
            "hint": "the function is private; send an API key",
            "message": "unauthorized",
            "request_id": "<id>",
            "retryable": false
          },
          "message": "unauthorized",
          "ok": false
        }
    "#]]
    .assert_eq(&anonymous.snapshot());
    assert_eq!(anonymous.header("www-authenticate"), "Bearer realm=\"orama\"");
    let with = async |key: &str| {
        house.send(with_key(request(Method::POST, "/v1/invoke/default/private", "{}"), key)).await.status.as_u16()
    };
    assert_eq!(with(&house.invoker).await, 200);
    assert_eq!(with(&house.deployer).await, 403);
    assert_eq!(with(&house.stranger).await, 404);
    assert_eq!(with("ak_wrong:default").await, 401);
    // On a public function an invalid credential is as good as none.
    let public = with_key(request(Method::POST, "/v1/invoke/default/echo", "{}"), "ak_wrong:default");
    assert_eq!(house.send(public).await.status, 200);
}

#[tokio::test]
async fn a_key_may_stand_in_five_places() {
    let house = house().await;
    let key = house.invoker.clone();
    let plain = |path: &str| request(Method::POST, path, "{}");
    let private = "/v1/invoke/default/private";
    let requests = [
        with_key(plain(private), &key),
        with_header(plain(private), "authorization", &format!("Bearer {key}")),
        with_header(plain(private), "authorization", &format!("ApiKey {key}")),
        with_header(plain(private), "authorization", &key),
        plain(&format!("{private}?api_key={key}")),
        plain(&format!("{private}?token={}", key.replace(':', "%3A"))),
        // The first valid one counts.
        with_header(with_key(plain(private), "ak_wrong:x"), "authorization", &key),
    ];
    for (number, request) in requests.into_iter().enumerate() {
        assert_eq!(house.send(request).await.status, 200, "way {number}");
    }
    for header in ["Bearer ", "Bearer", &key.to_lowercase()] {
        let request = with_header(plain(private), "authorization", header);
        assert_eq!(house.send(request).await.status, 401, "{header}");
    }
}

#[tokio::test]
async fn the_namespace_is_found_in_four_places() {
    let house = house().await;
    let path = "/v1/functions/echo/invoke";
    let status = async |request| house.send(request).await.status.as_u16();
    assert_eq!(status(request(Method::POST, path, "")).await, 200);
    assert_eq!(status(request(Method::POST, &format!("{path}?namespace=abroad"), "")).await, 404);
    assert_eq!(status(with_header(request(Method::POST, path, ""), "x-namespace", "abroad")).await, 404);
    assert_eq!(status(with_header(request(Method::POST, path, ""), "x-namespace", "a/b")).await, 400);
    assert_eq!(status(with_key(request(Method::POST, path, ""), &house.stranger)).await, 404);
    // The credential's namespace comes before the header.
    let own = with_header(with_key(request(Method::POST, path, ""), &house.invoker), "x-namespace", "abroad");
    assert_eq!(status(own).await, 200);
}

#[tokio::test]
async fn who_may_not_call_is_refused_before_the_body_is_read() {
    let house = House::open().await;
    house.deploy("private", HEAD, &[]).await;
    // Were the body read first, its size would be the refusal.
    for (function, status) in [("private", 401), ("missing", 404)] {
        let path = format!("/v1/invoke/default/{function}");
        assert_eq!(house.nobody(Method::POST, &path, vec![b'['; (1 << 20) + 1]).await.status, status, "{function}");
    }
}

#[tokio::test]
async fn input_over_the_limit_is_refused_and_never_cut() {
    let house = house().await;
    let most = 1 << 20;
    let seen = house.nobody(Method::POST, "/v1/invoke/default/echo", vec![b'['; most]).await;
    assert_eq!((seen.status.as_u16(), seen.body.len()), (200, most));
    let over = house.nobody(Method::POST, "/v1/invoke/default/echo", vec![b'['; most + 1]).await;
    expect![[r#"
        413
        {
          "code": "PAYLOAD_TOO_LARGE",
          "error": {
            "code": "PAYLOAD_TOO_LARGE",
            "message": "the body has 1048577 bytes or more, the limit is 1048576",
            "request_id": "<id>",
            "retryable": false
          },
          "message": "the body has 1048577 bytes or more, the limit is 1048576",
          "ok": false
        }
    "#]]
    .assert_eq(&over.snapshot());
    // Refused by what it announces, before a byte is read.
    let announced = with_header(request(Method::POST, "/v1/invoke/default/echo", ""), "content-length", "314572800");
    assert_eq!(house.send(announced).await.code(), "PAYLOAD_TOO_LARGE");
}

#[tokio::test]
async fn only_post_calls_an_ordinary_function() {
    let house = house().await;
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH] {
        for path in ["/v1/invoke/default/echo", "/v1/functions/echo/invoke", "/v1/invoke/default/unknown"] {
            let seen = house.nobody(method.clone(), path, "").await;
            assert_eq!((seen.status.as_u16(), seen.header("allow")), (405, "POST, OPTIONS"));
            assert_eq!(seen.code(), "VALIDATION_FAILED");
        }
    }
    assert_eq!(house.nobody(Method::HEAD, "/v1/invoke/default/echo", "").await.body.len(), 0);
    assert_eq!(house.nobody(Method::POST, "/v1/invoke/default/echo/more", "").await.status, 404);
    for path in ["/v1/invoke", "/v1/invoke/", "/v1/invoke/default"] {
        assert_eq!(house.nobody(Method::POST, path, "").await.status, 400, "{path}");
    }
}

#[tokio::test]
async fn a_function_that_speaks_http_sees_the_request_but_not_our_credential() {
    let house = House::open().await;
    house.deploy("site", HEAD, &[("http", "true")]).await;
    let ask = with_header(request(Method::GET, "/v1/invoke/default/site/a%2fb/c?x=1&x=2", ""), "x-two", "1");
    let ask = with_header(with_header(ask, "x-two", "2"), "x-internal-depth", "0");
    let seen = house.send(with_header(ask, "authorization", &format!("Bearer {}", house.invoker))).await;
    expect![[r#"
        200
        {
          "duration_ms": 0,
          "output": "GET /a%2fb/c?x=1&x=2 [(b\"x-two\", b\"1\"), (b\"x-two\", b\"2\")]",
          "request_id": "<id>",
          "status": "success"
        }
    "#]]
    .assert_eq(&seen.snapshot());
    let path = format!("/v1/functions/site/invoke?api_key={}&q=a", house.invoker);
    let seen = house.send(request(Method::DELETE, &path, "")).await;
    expect![[r#"
        200
        {
          "duration_ms": 0,
          "output": "DELETE /?q=a []",
          "request_id": "<id>",
          "status": "success"
        }
    "#]]
    .assert_eq(&seen.snapshot());
}

#[tokio::test]
async fn no_copy_of_a_key_reaches_a_function_and_what_is_its_own_does() {
    let house = House::open().await;
    house.deploy("site", HEAD, &[("http", "true"), ("is_public", "true")]).await;
    let path = format!("/v1/invoke/default/site?token={0}&api_key={0}&q=a", house.invoker);
    let twice = with_header(request(Method::GET, &path, ""), "x-api-key", &house.invoker);
    let seen = house.send(with_header(twice, "authorization", &format!("Bearer {}", house.admin))).await;
    assert!(String::from_utf8_lossy(&seen.body).contains("GET /?q=a []"), "{seen:?}");
    let own = with_header(request(Method::GET, "/v1/invoke/default/site?token=t", ""), "authorization", "Basic dTpw");
    let seen = house.send(own).await;
    assert!(String::from_utf8_lossy(&seen.body).contains("token=t [(b\\\"authorization\\\""), "{seen:?}");
}

#[tokio::test]
async fn a_composed_reply_is_replayed_without_the_headers_that_are_ours() {
    let house = House::open().await;
    house.deploy("raw", RAW, &[("raw_http_response", "true"), ("is_public", "true")]).await;
    let seen = house.nobody(Method::POST, "/v1/invoke/default/raw", "body").await;
    assert_eq!((seen.status.as_u16(), &seen.body[..]), (201, &b"body"[..]));
    assert_eq!((seen.header("content-type"), seen.header("x-mine")), ("text/plain", "kept"));
    assert_eq!(seen.header("x-request-id").len(), 36);
}

#[tokio::test]
async fn failures_keep_the_envelope_and_a_panic_is_one_of_them() {
    let house = House::open().await;
    house.deploy("fails", &Script::Fail.code(), &[("is_public", "true")]).await;
    house.deploy("panics", PANIC, &[("is_public", "true")]).await;
    let failed = house.nobody(Method::POST, "/v1/invoke/default/fails", "{}").await;
    assert_eq!(failed.header("x-duration-ms"), "0");
    assert_eq!(failed.json()["error"]["request_id"], failed.header("x-request-id"));
    expect![[r#"
        500
        {
          "code": "FUNCTION_EXECUTION_FAILED",
          "error": {
            "code": "FUNCTION_EXECUTION_FAILED",
            "message": "the code says `fail`",
            "request_id": "<id>",
            "retryable": false
          },
          "message": "the code says `fail`",
          "ok": false
        }
    "#]]
    .assert_eq(&failed.snapshot());
    let panicked = house.nobody(Method::POST, "/v1/invoke/default/panics", "{}").await;
    expect![[r#"
        500
        {
          "code": "INTERNAL",
          "error": {
            "code": "INTERNAL",
            "message": "something went wrong on our side",
            "request_id": "<id>",
            "retryable": false
          },
          "message": "something went wrong on our side",
          "ok": false
        }
    "#]]
    .assert_eq(&panicked.snapshot());
    assert_eq!(house.nobody(Method::POST, "/v1/invoke/default/fails", "{}").await.code(), "FUNCTION_EXECUTION_FAILED");
}

#[tokio::test]
async fn the_same_idempotency_key_runs_once() {
    let house = house().await;
    let nobody = |key: &str, body: &'static str| {
        with_header(request(Method::POST, "/v1/invoke/default/echo", body), "idempotency-key", key)
    };
    let call = |key: &str, body: &'static str| with_header(nobody(key, body), "x-api-key", &house.invoker);
    assert_eq!(house.send(nobody("k1", "{1")).await.code(), "VALIDATION_FAILED");
    let first = house.send(call("k1", "{1")).await;
    let again = house.send(call("k1", "{1")).await;
    assert_eq!(first.header("x-request-id"), again.header("x-request-id"));
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), ("", "true"));
    assert_eq!(house.send(call("k1", "{2")).await.code(), "CONFLICT");
    assert_ne!(house.send(call("k2", "{1")).await.header("x-request-id"), first.header("x-request-id"));
    for wrong in ["", "two words", &"k".repeat(256)] {
        assert_eq!(house.send(call(wrong, "{1")).await.code(), "VALIDATION_FAILED", "{wrong:?}");
    }
    let doubled = with_header(call("k3", "{1"), "idempotency-key", "k4");
    assert_eq!(house.send(doubled).await.code(), "VALIDATION_FAILED");
}
