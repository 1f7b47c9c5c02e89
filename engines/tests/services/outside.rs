//! Outbound HTTP, content, and other functions.

use std::sync::Arc;

use bytes::Bytes;
use domain::{Cid, Error, ErrorCode};
use expect_test::expect;
use ports::memory::{ScriptedFetcher, ScriptedInvoker};
use ports::{EgressError, FetchReply};

use crate::support::{Bench, ask, ask_number, fixture, show};

#[tokio::test]
async fn http_fetch() {
    let mut bench = Bench::new();
    bench.services.fetcher = Arc::new(ScriptedFetcher::new(|request| match request.url.as_str() {
        "http://bytes/" => Ok(FetchReply { status: 200, headers: Vec::new(), body: Bytes::from_static(b"\0\xff") }),
        "http://private/" => {
            Err(EgressError::Refused("10.0.0.1 is not allowed; `egress: {allow: [10.0.0.1]}` would".into()))
        }
        "http://slow/" => Err(EgressError::Deadline),
        _ => {
            let header = |name: &str, value: &'static [u8]| (name.to_owned(), Bytes::from_static(value));
            let headers = vec![
                header("content-type", b"text/plain"),
                header("set-cookie", b"a=1"),
                header("x-latin", b"caf\xe9"),
                header("Set-Cookie", b"b=2"),
            ];
            Ok(FetchReply { status: 418, headers, body: format!("{request:?}").into() })
        }
    }));
    let mut seen = String::new();
    for (method, url, headers, body) in [
        (&b"POST"[..], &b"http://a/?b"[..], &br#"{"X-One":"1","X-Two":["a","b"]}"#[..], &b"\0body"[..]),
        (b"GET", b"http://bytes/", b"", b""),
        (b"GET", b"http://private/", b"{}", b""),
        (b"GET", b"http://slow/", b"", b""),
        (b"GET", b"http://a/", b"[]", b""),
        (b"GET", b"http://a/", br#"{"X":1}"#, b""),
        (b"GET", b"http://\xff/", b"", b""),
        (b"\xff", b"http://a/", b"", b""),
    ] {
        let reply = ask(&bench, "http_fetch", &[method, url, headers, body]).await.expect("an error is an answer");
        seen += &format!("{}\n", String::from_utf8_lossy(&reply.body));
    }
    expect![[r#"
        {"status":418,"headers":{"Content-Type":["text/plain"],"Set-Cookie":["a=1","b=2"],"X-Latin":["café"]},"body":"FetchRequest { method: \"POST\", url: \"http://a/?b\", headers: [(\"X-One\", \"1\"), (\"X-Two\", \"a\"), (\"X-Two\", \"b\")], body: b\"\\0body\" }"}
        {"status":200,"headers":{},"body":"","body_base64":"AP8="}
        {"error":"10.0.0.1 is not allowed; `egress: {allow: [10.0.0.1]}` would","status":0}
        {"error":"no reply in time","status":0}
        {"error":"the headers are not a JSON object of at most 64 texts or lists of texts: {\"Accept\":\"text/plain\"}","status":0}
        {"error":"the headers are not a JSON object of at most 64 texts or lists of texts: {\"Accept\":\"text/plain\"}","status":0}
        {"error":"the URL is not valid UTF-8","status":0}
        {"error":"the method is not valid UTF-8","status":0}
    "#]].assert_eq(&seen);
}

#[tokio::test]
async fn storage_put() {
    let bench = Bench::new();
    show(
        ask(&bench, "storage_put", &[b"a name", b"content"]).await,
        expect![[r#"
            {"cid":"bafkreihnoabliopjvscf6irvpwbcxlauirzq7pnwafwt5skdekl3t3e7om","size":7}
        "#]],
    );
    show(
        ask(&bench, "storage_put", &[b"\xff", b"content"]).await,
        expect![[r#"
            {"error":"the name is not valid UTF-8","code":"VALIDATION_FAILED"}
        "#]],
    );
}

#[tokio::test]
async fn content_above_16_mib_is_refused() {
    let bench = Bench::new();
    let content = vec![b'x'; (16 << 20) + 1];
    show(
        ask(&bench, "storage_put", &[b"large", &content]).await,
        expect![[r#"
            {"error":"the content is larger than 16777216 bytes","code":"PAYLOAD_TOO_LARGE"}
        "#]],
    );
    let info = bench.services.storage.put("large", content.into()).await.expect("stored");
    show(
        ask(&bench, "storage_get", &[info.cid.to_string().as_bytes()]).await,
        expect![[r#"

            log warn: `storage_get`: the content is 16777217 bytes, the limit is 16777216
        "#]],
    );
}

#[tokio::test]
async fn storage_get() {
    let bench = Bench::new();
    ask(&bench, "storage_put", &[b"name", b"\0\xff"]).await.expect("success");
    let cid = Cid::of(b"\0\xff").to_string();
    assert_eq!(ask(&bench, "storage_get", &[cid.as_bytes()]).await.expect("success").body, &b"\0\xff"[..]);
    let missing = Cid::of(b"somebody else's").to_string();
    for nothing in [missing.as_bytes(), b"QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG", b"", b"\xff"] {
        assert_eq!(ask(&bench, "storage_get", &[nothing]).await.expect("success").body, "");
    }
}

#[tokio::test]
async fn storage_head() {
    let bench = Bench::new();
    ask(&bench, "storage_put", &["ä \"name\"".as_bytes(), b"content"]).await.expect("success");
    let cid = Cid::of(b"content").to_string();
    show(
        ask(&bench, "storage_head", &[cid.as_bytes()]).await,
        expect![[r#"
            {"cid":"bafkreihnoabliopjvscf6irvpwbcxlauirzq7pnwafwt5skdekl3t3e7om","name":"ä \"name\"","size":7,"pinned":true}
        "#]],
    );
    let missing = Cid::of(b"somebody else's").to_string();
    assert_eq!(ask(&bench, "storage_head", &[missing.as_bytes()]).await.expect("success").body, "");
}

fn with_functions() -> Bench {
    let mut bench = Bench::new();
    bench.services.invoker = Arc::new(ScriptedInvoker::new(|function, input| match function.to_string().as_str() {
        "echo" | "echo@2" => Ok(input),
        "bytes" => Ok(Bytes::from_static(b"\xff")),
        _ => Err(Error::new(ErrorCode::FunctionExecutionFailed, "exit code 1")),
    }));
    bench
}

#[tokio::test]
async fn function_invoke() {
    let bench = with_functions();
    assert_eq!(ask(&bench, "function_invoke", &[b"echo@2", b"\0input"]).await.expect("success").body, "\0input");
    let mut seen = String::new();
    for name in [&b"fails"[..], b"no such name", b"", b"echo@x", b"\xff"] {
        let reply = ask(&bench, "function_invoke", &[name, b""]).await.expect("a failure is an answer");
        assert_eq!(reply.body, "");
        seen += &format!("{}\n", reply.ended.logs[0].message);
    }
    expect![[r#"
        `function_invoke` of `fails`: exit code 1
        `function_invoke` of `no such name`: the name contains ' '; use only letters, digits, `-` and `_`
        `function_invoke` of ``: the name is empty; use 1 to 63 letters, digits, `-` or `_`
        `function_invoke` of `echo@x`: the version "x" is not a whole number from 1; write `name@2`, or `name` for the active version
        `function_invoke` of `�`: the name of the function is not valid UTF-8
    "#]].assert_eq(&seen);
}

#[tokio::test]
async fn function_invoke_v2() {
    let bench = with_functions();
    let mut seen = String::new();
    for (name, input) in [("echo", "{\"a\":1}"), ("echo", ""), ("bytes", ""), ("fails", ""), ("-", "")] {
        let reply = ask(&bench, "function_invoke_v2", &[name.as_bytes(), input.as_bytes()]).await;
        seen += &format!("{}\n", String::from_utf8_lossy(&reply.expect("a failure is an answer").body));
    }
    expect![[r#"
        {"output":"{\"a\":1}"}
        {"output":""}
        {"output":"","output_base64":"/w=="}
        {"output":"","error":"exit code 1","code":"FUNCTION_EXECUTION_FAILED"}
        {"output":"","error":"the name starts with `-`; start with a letter, a digit or `_`","code":"VALIDATION_FAILED"}
    "#]]
    .assert_eq(&seen);
}

#[tokio::test]
async fn function_invoke_async() {
    let bench = with_functions();
    assert_eq!(ask_number(&bench, "function_invoke_async", &[b"echo", b"x"]).await, 1);
    assert_eq!(ask_number(&bench, "function_invoke_async", &[b"fails", b"x"]).await, 0);
    assert_eq!(ask_number(&bench, "function_invoke_async", &[b"", b"x"]).await, 0);
}

#[tokio::test]
async fn calls_itself() {
    let mut bench = Bench::new();
    let code = bench.deploy(&fixture("calls_itself"), "").await;
    bench.invoke_here(code);
    assert_eq!(bench.call_code(&code, "", b"9").await.expect("success").body, "bottom");
}
