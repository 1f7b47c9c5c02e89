//! What arrives of a request, and what is refused before it is sent.

use backends::egress::EgressConfig;
use expect_test::{Expect, expect};
use ports::{EgressError, FetchRequest};

use crate::server::{Answer, Server};
use crate::support::{fetch, get, lenient, line, post, send, text, with_headers};

/// The request as the server got it; the port is not shown.
async fn arrived(path: &str, make: impl FnOnce(&str) -> FetchRequest) -> String {
    let server = Server::start(|_| Answer::ok("")).await;
    fetch(make(&server.url(path))).await.expect("a reply");
    server.requests()[0].replace(&server.port().to_string(), "<port>").replace('\r', "")
}

#[tokio::test]
async fn a_plain_get_is_answered() {
    let server = Server::start(|_| Answer::ok("hello")).await;
    assert_eq!(text(&fetch(get(&server.url("/"))).await.expect("a reply")), "hello");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_request_arrives_as_it_was_written() {
    let make =
        |url: &str| with_headers(post(url, "{\"a\":1}"), [("Content-Type", "application/json"), ("X-A", "b, c")]);
    expect![[r#"
        POST /p%20q?x=1&y=%E4 HTTP/1.1
        content-type: application/json
        x-a: b, c
        user-agent: orama/0.1.0
        accept: */*
        accept-encoding: zstd,gzip,deflate,br
        host: 127.0.0.1:<port>
        content-length: 7

        {"a":1}"#]]
    .assert_eq(&arrived("/p%20q?x=1&y=%E4#fragment", make).await);
}

#[tokio::test]
async fn headers_of_the_connection_are_ours() {
    let make = |url: &str| {
        with_headers(
            post(url, "body"),
            [
                ("Host", "other.example"),
                ("Content-Length", "100"),
                ("Transfer-Encoding", "chunked"),
                ("Connection", "close, x-a"),
                ("Keep-Alive", "1"),
                ("Proxy-Authorization", "Basic eA=="),
                ("Proxy-Connection", "close"),
                ("TE", "trailers"),
                ("Trailer", "x"),
                ("Upgrade", "websocket"),
                ("Expect", "100-continue"),
                ("User-Agent", "of the function"),
                ("Accept-Encoding", "identity"),
                ("Accept", "text/plain"),
            ],
        )
    };
    expect![[r#"
        POST / HTTP/1.1
        user-agent: of the function
        accept-encoding: identity
        accept: text/plain
        host: 127.0.0.1:<port>
        content-length: 4

        body"#]]
    .assert_eq(&arrived("/", make).await);
}

#[tokio::test]
async fn methods_are_sent_as_they_are_meant() {
    let mut seen = String::new();
    for method in ["", "get", "Post", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "PROPFIND", "purge", "M-SEARCH"] {
        let make = |url: &str| FetchRequest { method: method.into(), url: url.into(), ..FetchRequest::default() };
        let request = arrived("/", make).await;
        let length = request.lines().find(|line| line.starts_with("content-length")).unwrap_or("no length");
        seen += &format!("{} ({length})\n", request.lines().next().expect("a line"));
    }
    expect![[r#"
        GET / HTTP/1.1 (no length)
        GET / HTTP/1.1 (no length)
        POST / HTTP/1.1 (content-length: 0)
        PUT / HTTP/1.1 (content-length: 0)
        PATCH / HTTP/1.1 (content-length: 0)
        DELETE / HTTP/1.1 (no length)
        HEAD / HTTP/1.1 (no length)
        OPTIONS / HTTP/1.1 (no length)
        PROPFIND / HTTP/1.1 (no length)
        purge / HTTP/1.1 (no length)
        M-SEARCH / HTTP/1.1 (no length)
    "#]]
    .assert_eq(&seen);
}

#[tokio::test]
async fn credentials_in_the_url_become_a_header_unless_there_is_one() {
    let basic = |request: String| {
        let line = request.lines().find(|line| line.starts_with("authorization")).expect("the header").to_owned();
        assert!(!request.contains("p%40ss") && !request.contains('@'), "nothing else has them: {request}");
        line
    };
    let with_credentials = |url: &str| url.replace("http://", "http://user:p%40ss@");
    let request = arrived("/", |url| get(&with_credentials(url))).await;
    expect!["authorization: Basic dXNlcjpwQHNz"].assert_eq(&basic(request));
    let request =
        arrived("/", |url| with_headers(get(&with_credentials(url)), [("Authorization", "Bearer own")])).await;
    expect!["authorization: Bearer own"].assert_eq(&basic(request));
}

#[track_caller]
fn check_refused(request: FetchRequest, want: Expect) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let outcome = runtime.block_on(fetch(request));
    assert!(matches!(outcome, Err(EgressError::Invalid(_))), "{outcome:?}");
    want.assert_eq(&line(&outcome, 65_535));
}

#[test]
fn what_is_no_request_is_refused() {
    let url = "http://127.0.0.1/";
    let method = |method: &str| FetchRequest { method: method.into(), ..get(url) };
    check_refused(method("CONNECT"), expect!["Invalid: the method `CONNECT` is not allowed"]);
    check_refused(method("trace"), expect!["Invalid: the method `trace` is not allowed"]);
    check_refused(
        method("GET / HTTP/1.1\r\nX: y\r\n"),
        expect![[r#"Invalid: "GET / HTTP/1.1\r\nX: y\r\n" is no method"#]],
    );
    check_refused(method(&"A".repeat(33)), expect![[r#"Invalid: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" is no method"#]]);
    check_refused(get(""), expect![[r#"Invalid: "" is no URL: relative URL without a base"#]]);
    check_refused(get("/relative"), expect![[r#"Invalid: "/relative" is no URL: relative URL without a base"#]]);
    check_refused(get("http://"), expect![[r#"Invalid: "http://" is no URL: empty host"#]]);
    check_refused(
        get("http://ex ample.com/"),
        expect![[r#"Invalid: "http://ex ample.com/" is no URL: invalid international domain name"#]],
    );
    check_refused(
        get("http://example.com:99999/"),
        expect![[r#"Invalid: "http://example.com:99999/" is no URL: invalid port number"#]],
    );
    check_refused(
        get(&format!("{url}{}", "a".repeat(16 << 10))),
        expect!["Invalid: the URL is 16401 bytes, the limit is 16384"],
    );
    check_refused(
        with_headers(get(url), [("X-A", "b\r\nX-C: d")]),
        expect!["Invalid: the value of the header `x-a` has characters that no header may have"],
    );
    check_refused(
        with_headers(get(url), [("X-A", "b\0")]),
        expect!["Invalid: the value of the header `x-a` has characters that no header may have"],
    );
    check_refused(
        with_headers(get(url), [("X-A: b\r\nX-C", "d")]),
        expect![[r#"Invalid: "X-A: b\r\nX-C" is no name of a header"#]],
    );
    check_refused(with_headers(get(url), [("", "d")]), expect![[r#"Invalid: "" is no name of a header"#]]);
    check_refused(
        with_headers(get(url), [("Cookie", &"c".repeat(64 << 10))]),
        expect!["Invalid: the headers are 65546 bytes, the limit is 65536"],
    );
    let large = FetchRequest { body: vec![0; (10 << 20) + 1].into(), ..get(url) };
    check_refused(large, expect!["Invalid: the body is 10485761 bytes, the limit is 10485760"]);
}

#[tokio::test]
async fn a_body_of_the_largest_size_arrives_whole() {
    let server = Server::start(|_| Answer::ok("")).await;
    let request = FetchRequest { method: "PUT".into(), body: vec![b'x'; 10 << 20].into(), ..get(&server.url("/")) };
    fetch(request).await.expect("a reply");
    let (_, body) =
        server.requests()[0].split_once("\r\n\r\n").map(|(head, body)| (head.len(), body.len())).expect("a body");
    assert_eq!(body, 10 << 20);
}

/// Text outside of ASCII is allowed in values, and sent as it is.
#[tokio::test]
async fn a_value_in_utf8_arrives() {
    let request = arrived("/", |url| with_headers(get(url), [("X-A", "\u{e9}t\u{e9}")])).await;
    assert!(request.contains("x-a: \u{e9}t\u{e9}\n"), "{request}");
}

#[tokio::test]
async fn the_name_of_the_program_is_the_operators() {
    let server = Server::start(|_| Answer::ok("")).await;
    let user_agent = "node/1".parse().expect("a value");
    let egress = backends::egress::open(EgressConfig { user_agent, ..lenient() }).expect("open");
    send(&egress, get(&server.url("/"))).await.expect("a reply");
    assert!(server.requests()[0].contains("user-agent: node/1\r\n"));
}
