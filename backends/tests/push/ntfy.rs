//! ntfy, whose server a namespace names itself.

use domain::PushKind;
use expect_test::expect;
use ports::PushField::{NtfyAuthToken, NtfyBaseUrl};
use serde_json::json;

use crate::server::{Answer, Server};
use crate::support::{World, hello, line, message, operators, send, settings};

#[tokio::test]
async fn a_message_is_published_on_the_topic_of_the_device() {
    let server = Server::start(|_| Answer::of(200, r#"{"id":"1"}"#)).await;
    let own = settings(&[(NtfyBaseUrl, server.url("/").as_str()), (NtfyAuthToken, "tk_secret")]);
    let ntfy = World::lenient().provider(PushKind::Ntfy, &own);
    let full = message(
        r#"{"title":"Größe","body":"a\nb","priority":"high","data":{"click":"https://example.com/7","x":1},"sound":"s"}"#,
    );
    assert_eq!(line(&send(&ntfy, "alerts", &full).await, &server), "sent 200");
    let asked = server.only_asked();
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/"));
    assert_eq!((asked.header("content-type"), asked.credential("Bearer")), ("application/json", "tk_secret"));
    let want = json!({
        "topic": "alerts", "title": "Größe", "message": "a\nb", "priority": 4, "click": "https://example.com/7",
    });
    assert_eq!(asked.json(), want);
}

#[tokio::test]
async fn a_server_may_live_on_a_path_and_need_no_token() {
    let server = Server::start(|_| Answer::of(200, "{}")).await;
    let ntfy = World::lenient().provider(PushKind::Ntfy, &settings(&[(NtfyBaseUrl, server.url("/ntfy/").as_str())]));
    send(&ntfy, "alerts", &message(r#"{"data":{"a":1}}"#)).await;
    let asked = server.only_asked();
    assert_eq!((asked.path.as_str(), asked.header("authorization")), ("/ntfy/", ""));
    assert_eq!(asked.json(), json!({ "topic": "alerts", "message": "{\"a\":1}" }), "data are all there is");
}

#[tokio::test]
async fn what_ntfy_refuses_is_told_without_the_token() {
    let server = Server::start(|asked| match asked.json()["topic"].as_str() {
        Some("busy") => {
            Answer::of(429, r#"{"code":42901,"http":429,"error":"limit reached"}"#).with("retry-after", "3")
        }
        Some("broken") => Answer::of(500, "<html>"),
        _ => Answer::of(403, r#"{"code":40301,"error":"tk_secret may not write to private"}"#),
    })
    .await;
    let own = settings(&[(NtfyBaseUrl, server.url("/").as_str()), (NtfyAuthToken, "tk_secret")]);
    let ntfy = World::lenient().provider(PushKind::Ntfy, &own);
    let mut seen = String::new();
    for topic in ["private", "busy", "broken"] {
        seen += &(line(&send(&ntfy, topic, &hello()).await, &server) + "\n");
    }
    expect![[r#"
        failed 403 Http403 "… may not write to …"
        failed 429 Http429 "limit reached" temporary after 3s
        failed 500 Http500 "the provider answered 500" temporary
    "#]]
    .assert_eq(&seen);
}

#[tokio::test]
async fn a_namespace_cannot_point_it_at_the_inside() {
    let server = Server::start(|_| Answer::of(200, "{}")).await;
    let port = server.address.port();
    let mut seen = String::new();
    for url in [
        format!("https://127.0.0.1:{port}/"),
        format!("https://localhost:{port}/"),
        format!("https://2130706433:{port}/"),
        format!("https://[::ffff:127.0.0.1]:{port}/"),
        "http://169.254.169.254/".to_owned(),
        "http://metadata.google.internal/".to_owned(),
        "https://10.0.0.1/".to_owned(),
        "https://ntfy.example:22/".to_owned(),
    ] {
        let refused = World::strict().try_open(&settings(&[(NtfyBaseUrl, &url)])).err().expect("refused");
        let text = refused.to_string();
        assert!(text.starts_with("`ntfy_base_url` must not be reached: only public addresses may"), "{url}: {text}");
    }
    // A name is judged by its address, when there is a connection to be made.
    let inside = settings(&[(NtfyBaseUrl, &format!("https://inside.example:{port}/"))]);
    let ntfy = World::strict().provider(PushKind::Ntfy, &inside);
    seen += &line(&send(&ntfy, "alerts", &hello()).await, &server);
    expect![[
        r#"failed Refused "the address must not be reached: only public addresses may, unless the operator permits others with `egress.private` and the namespace lists them in its `egress`""#
    ]]
    .assert_eq(&seen);
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn the_operator_may_choose_a_server_of_his_own_network() {
    let server = Server::start(|_| Answer::of(200, "{}")).await;
    let ntfy = World::strict().provider(PushKind::Ntfy, &operators(&[(NtfyBaseUrl, server.url("/").as_str())]));
    assert!(send(&ntfy, "alerts", &hello()).await.success);
}

#[tokio::test]
async fn a_certificate_of_nobody_is_not_trusted() {
    let server = Server::start(|_| Answer::of(200, "{}")).await;
    let url = server.url("/").as_str().replace("127.0.0.1", "stranger.example");
    let ntfy = World::strict().provider(PushKind::Ntfy, &operators(&[(NtfyBaseUrl, &url)]));
    let outcome = line(&send(&ntfy, "alerts", &hello()).await, &server);
    assert!(outcome.starts_with("failed Unreachable ") && outcome.contains("stranger.example"), "{outcome}");
    assert!(server.asked().is_empty());
}
