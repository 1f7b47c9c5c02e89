//! Deploying.

use expect_test::{Expect, expect};
use http::Method;
use ports::memory::Script;

use crate::support::{Form, House, Seen, request, with_header, with_key};

async fn post(form: Form, path: &str) -> Seen {
    let house = House::open().await;
    house.send(with_key(form.post(path), &house.admin)).await
}

async fn check(form: Form, want: Expect) {
    want.assert_eq(&post(form, "/v1/functions").await.snapshot());
}

fn echo() -> Form {
    Form::default().file("wasm", b"echo").text("name", "hello")
}

#[tokio::test]
async fn a_deploy_answers_with_the_function_and_what_it_did_not_understand() {
    let metadata = r#"{"memroy":1,"env_vars":{"A":"1"},"pubsub_topics":["t","t"],"cron_expressions":["* * * * *"],
        "db_triggers":[{"table":"x","operation":"INSERT","condition":"y"}],"ws_persistent":true,"version":7}"#;
    check(
        echo().text("metadata", metadata).text("is_public", "true").text("colour", "red"),
        expect![[r#"
            201
            {
              "changed": true,
              "function": {
                "active": true,
                "concurrency": 100,
                "created_at": "2026-01-01T00:00:00Z",
                "created_by": "default",
                "engine": "wasm",
                "env_vars": {
                  "A": "1"
                },
                "http": false,
                "id": "<id>",
                "is_internal": false,
                "is_public": true,
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
                "triggers": [
                  {
                    "cron": "* * * * *"
                  },
                  {
                    "on": [
                      "insert"
                    ],
                    "table": "x"
                  },
                  {
                    "topic": "t"
                  }
                ],
                "updated_at": "2026-01-01T00:00:00Z",
                "version": 1,
                "wasm_cid": "bafkreiajfr46r6aokwpeas6pmyger42sfnt2xkp7csclant6djg5552ddu",
                "ws_persistent": true
              },
              "message": "Function deployed successfully",
              "warnings": [
                "the condition of the trigger on table \"x\" was ignored",
                "the unknown key \"memroy\" was ignored; did you mean `memory`?",
                "the unknown key \"colour\" was ignored"
              ]
            }
        "#]],
    )
    .await;
}

#[tokio::test]
async fn fields_win_over_metadata_but_not_for_names() {
    let form = echo().text("metadata", r#"{"name":"other","memory_limit_mb":32}"#).text("memory_limit_mb", "96");
    let seen = post(form, "/v1/functions").await;
    let function = &seen.json()["function"];
    assert_eq!((&function["name"], &function["memory_limit_mb"]), (&"other".into(), &96.into()));
    let zeros = echo().text("memory_limit_mb", "0").text("timeout_seconds", "0").text("retry_delay_seconds", "");
    let seen = post(zeros, "/v1/functions").await;
    let function = &seen.json()["function"];
    let defaults = (&function["memory_limit_mb"], &function["timeout_seconds"], &function["retry_delay_seconds"]);
    assert_eq!(defaults, (&64.into(), &30.into(), &5.into()));
}

#[tokio::test]
async fn wrong_values_name_their_field_and_range() {
    let mut messages = String::new();
    for (field, value) in [
        ("memory_limit_mb", "257"),
        ("memory_limit_mb", "-1"),
        ("memory_limit_mb", "64MB"),
        ("timeout_seconds", "301"),
        ("timeout_seconds", "1.5"),
        ("retry_count", "6"),
        ("retry_delay_seconds", "99999999999999999999"),
        ("concurrency", "-5"),
        ("is_public", "maybe"),
        ("engine", "php"),
        ("ws_auth", "x"),
        ("metadata", "[]"),
        ("metadata", r#"{"memory_limit_mb":"64"}"#),
        ("metadata", r#"{"env_vars":{"A":1}}"#),
        ("metadata", r#"{"pubsub_topics":"t"}"#),
        ("metadata", r#"{"egress":["api.example.com"]}"#),
        ("metadata", r#"{"egress":{}}"#),
        ("metadata", r#"{"egress":{"allow":["https://example.com"]}}"#),
        ("egress", r#"{"allow":["api.example.com"],"deny":[]}"#),
        ("metadata", r#"{"is_public":1}"#),
        ("namespace", "a:b"),
    ] {
        let seen = post(echo().text(field, value), "/v1/functions").await;
        assert_eq!((seen.status.as_u16(), seen.code().as_str()), (400, "VALIDATION_FAILED"), "{field}={value}");
        messages.push_str(seen.json()["message"].as_str().expect("a message"));
        messages.push('\n');
    }
    expect![[r#"
        `memory_limit_mb` must be 1 to 256 MB
        `memory_limit_mb` must be 1 to 256 MB
        `memory_limit_mb` must be a whole number, 1 to 256
        `timeout_seconds` must be 1 to 300 seconds
        `timeout_seconds` must be a whole number, 1 to 300
        `retry_count` must be 0 to 5 attempts
        `retry_delay_seconds` must be a whole number, 0 to 300
        `concurrency` must be 1 to 1000 calls at once
        `is_public` must be `true` or `false`
        `engine` is `php`; known are `wasm` and `worker`
        `ws_auth` is `x`; known are `` and `capability`
        `metadata` is not a JSON object: invalid type: sequence, expected a map at line 1 column 0
        `memory_limit_mb` must be a whole number, 1 to 256
        `env_vars` must be an object of texts
        `pubsub_topics` must be a list of texts
        `egress` must be an object, such as `{"allow": ["api.example.com"]}`
        `egress` must be an object, such as `{"allow": ["api.example.com"]}`
        `egress`: `https://example.com` is no rule for outbound HTTP: leave out the scheme and the path
        `egress` must be an object, such as `{"allow": ["api.example.com"]}`
        `is_public` must be `true` or `false`
        the namespace is refused: the name contains ':'; use only letters, digits, `-` and `_`
    "#]]
    .assert_eq(&messages);
}

#[tokio::test]
async fn names_that_cannot_be_are_refused() {
    for name in ["", "..", "a/b", "secrets", "v1", "f@1", "-f", "h\u{e9}", &"a".repeat(300)] {
        let seen = post(Form::default().file("wasm", b"echo").text("name", name), "/v1/functions").await;
        assert_eq!(seen.code(), "VALIDATION_FAILED", "{name}");
    }
}

#[tokio::test]
async fn what_is_not_a_whole_upload_is_refused() {
    let house = House::open().await;
    let mut many = echo();
    for number in 0..31 {
        many = many.text(&format!("field{number}"), "x");
    }
    let raw = |content_type: &str, body: &'static str| {
        with_header(request(Method::POST, "/v1/functions", body), "content-type", content_type)
    };
    let cases = [
        ("no file", Form::default().text("name", "hello").post("/v1/functions")),
        ("no name", Form::default().file("wasm", b"echo").post("/v1/functions")),
        ("empty file", Form::default().file("wasm", b"").text("name", "hello").post("/v1/functions")),
        ("file twice", echo().file("wasm", b"fail").post("/v1/functions")),
        ("field twice", echo().text("name", "other").post("/v1/functions")),
        ("metadata twice", echo().text("metadata", "{}").text("metadata", "{}").post("/v1/functions")),
        ("33 parts", many.post("/v1/functions")),
        ("large field", echo().text("x", &"y".repeat((256 << 10) + 1)).post("/v1/functions")),
        ("cut off", echo().post_cut("/v1/functions")),
        ("no boundary", raw("multipart/form-data", "x")),
        ("wrong boundary", raw("multipart/form-data; boundary=b", "--c\r\n\r\nx\r\n--c--")),
        ("empty", raw("multipart/form-data; boundary=b", "")),
        ("json", raw("application/json", "{}")),
        ("base64", raw("application/json", r#"{"wasm_base64":"AA=="}"#)),
        ("nothing", request(Method::POST, "/v1/functions", "")),
        ("announced 300 MB", with_header(echo().post("/v1/functions"), "content-length", "314572800")),
        ("refused code", Form::default().file("wasm", &Script::Refuse.code()).text("name", "f").post("/v1/functions")),
    ];
    let mut messages = String::new();
    for (case, request) in cases {
        let seen = house.send(with_key(request, &house.admin)).await;
        let message = seen.json()["message"].as_str().expect("a message").to_owned();
        messages.push_str(&format!("{case}: {} {message}\n", seen.status.as_u16()));
    }
    expect![[r#"
        no file: 400 WASM file required: send the module as the part `wasm`
        no name: 400 Function name required: send it as `name`, in `metadata` or as a field
        empty file: 400 the upload is empty; send the compiled module as the part `wasm`
        file twice: 400 the part "wasm" stands twice in the upload
        field twice: 400 the part "name" stands twice in the upload
        metadata twice: 400 the part "metadata" stands twice in the upload
        33 parts: 400 the upload has more than 32 parts
        large field: 413 the part "x" is larger than 262144 bytes
        cut off: 400 the upload is not valid multipart/form-data: field "name" received with incomplete data
        no boundary: 400 the `Content-Type` has no boundary; use the one that your HTTP library makes
        wrong boundary: 400 the upload is not valid multipart/form-data: incomplete multipart stream
        empty: 400 the upload is not valid multipart/form-data: incomplete multipart stream
        json: 400 WASM bytecode required: send multipart/form-data with the module as the part `wasm`
        base64: 400 Base64 WASM upload not supported, use multipart/form-data
        nothing: 400 WASM bytecode required: send multipart/form-data with the module as the part `wasm`
        announced 300 MB: 413 the upload is 314572800 bytes, the limit is 67108864
        refused code: 400 the code says `refuse`
    "#]]
    .assert_eq(&messages);
    assert_eq!(house.admin(Method::GET, "/v1/functions", "").await.json()["count"], 0);
}

#[tokio::test]
async fn a_file_over_the_limit_is_refused_while_it_arrives() {
    let seen = post(Form::default().file("wasm", &vec![0; (64 << 20) + 1]).text("name", "big"), "/v1/functions").await;
    assert_eq!((seen.status.as_u16(), seen.code().as_str()), (413, "PAYLOAD_TOO_LARGE"));
}

#[tokio::test]
async fn a_dry_run_stores_nothing() {
    let house = House::open().await;
    for form in [echo().post("/v1/functions?dry_run=1"), echo().text("dry_run", "true").post("/v1/functions")] {
        let seen = house.send(with_key(form, &house.admin)).await;
        assert_eq!(seen.status, 200);
        assert_eq!(seen.json()["dry_run"], true);
    }
    assert_eq!(house.admin(Method::GET, "/v1/functions", "").await.json()["count"], 0);
}

#[tokio::test]
async fn if_changed_keeps_what_is_there() {
    let house = House::open().await;
    let deploy = async |form: Form| house.send(with_key(form.post("/v1/functions?if_changed=1"), &house.admin)).await;
    let first = deploy(echo()).await;
    assert_eq!((first.status.as_u16(), &first.json()["changed"]), (201, &true.into()));
    let kept = deploy(echo()).await;
    assert_eq!((kept.status.as_u16(), &kept.json()["changed"]), (200, &false.into()));
    let other = deploy(echo().text("timeout_seconds", "9")).await;
    assert_eq!((other.status.as_u16(), &other.json()["function"]["version"]), (201, &2.into()));
}

#[tokio::test]
async fn nobody_deploys_into_a_foreign_namespace_but_the_operator() {
    let house = House::open().await;
    let abroad = || echo().text("namespace", "abroad").post("/v1/functions");
    assert_eq!(house.send(with_key(abroad(), &house.admin)).await.status, 404);
    assert_eq!(house.send(with_key(abroad(), &house.operator)).await.status, 201);
    assert_eq!(house.send(with_key(echo().post("/v1/functions"), &house.invoker)).await.status, 403);
}
