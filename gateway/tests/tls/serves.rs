//! What clients are served: protocols, names, changed certificates, redirects.

use std::sync::Arc;
use std::time::Duration;

use gateway::TlsConfig;
use rustls::HandshakeKind;
use rustls::version::{TLS12, TLS13};
use tokio::io::AsyncReadExt;

use crate::server::{GUARD, HOME, Server, Wish, get, get_last};

#[tokio::test]
async fn the_api_is_served_by_tls_1_2_and_1_3() {
    let server = Server::start().await;
    for version in [&TLS12, &TLS13] {
        let config = server.authority.client(&[b"http/1.1"], &[version]);
        let mut client = server.connect_with(Arc::new(config), HOME).await.expect("a handshake");
        assert_eq!(client.protocol(), Some(&b"http/1.1"[..]));
        for _ in 0..3 {
            client.send(get("/health")).await;
            assert!(client.reply().await.starts_with("HTTP/1.1 200 "), "{version:?}");
        }
    }
    // Without a word about protocols, it is HTTP/1.1.
    let config = server.authority.client(&[], rustls::ALL_VERSIONS);
    let mut client = server.connect_with(Arc::new(config), HOME).await.expect("a handshake");
    client.send(get_last("/health")).await;
    assert!(client.rest().await.starts_with("HTTP/1.1 200 "));
    assert_eq!(server.metric(r#"orama_tls_handshakes_total{how="done"}"#).await, 3);
}

#[tokio::test]
async fn a_client_that_wants_another_protocol_is_refused() {
    let server = Server::start().await;
    let config = server.authority.client(&[b"smtp"], rustls::ALL_VERSIONS);
    assert!(server.connect_with(Arc::new(config), HOME).await.is_err());
    assert_eq!(server.metric(r#"orama_tls_handshakes_total{how="protocol"}"#).await, 1);
}

#[tokio::test]
async fn the_name_decides_which_certificate_is_shown() {
    let files = vec![vec![HOME], vec!["a.example", "b.example"], vec!["*.wild.example"]];
    let server = Server::start_as(Wish { files, ..Wish::default() }).await;
    let shown = async |name: &str| server.connect(name).await.map(|client| client.shown()).ok();
    let (home, two, wild) = (shown(HOME).await, shown("a.example").await, shown("x.wild.example").await);
    assert!(home.is_some() && two.is_some() && wild.is_some());
    assert_eq!(shown("B.Example").await, two);
    assert_eq!(shown("y.wild.example").await, wild);
    assert!(home != two && two != wild);
    // A name that is not here is shown the first file, which is for another: clients say so themselves.
    assert_eq!(shown("elsewhere.example").await, None);
    assert_eq!(shown("x.y.wild.example").await, None);
    assert_eq!(server.metric(r#"orama_tls_certificates{days_left="more"}"#).await, 3);
}

#[tokio::test]
async fn a_replaced_certificate_holds_for_new_connections_and_disturbs_no_old_one() {
    let server = Server::start().await;
    let mut before = server.connect(HOME).await.expect("a handshake");
    server.replace_files(&[&[HOME]]);
    let after = server.connect(HOME).await.expect("a handshake");
    assert_ne!(before.shown(), after.shown());
    before.send(get_last("/health")).await;
    assert!(before.rest().await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_client_that_comes_back_resumes_its_session() {
    let server = Server::start().await;
    for version in [&TLS12, &TLS13] {
        let config = Arc::new(server.authority.client(&[b"http/1.1"], &[version]));
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let mut client = server.connect_with(config.clone(), HOME).await.expect("a handshake");
            client.send(get_last("/health")).await;
            assert!(client.rest().await.contains(" 200 "));
            kinds.push(client.0.get_ref().1.handshake_kind());
        }
        assert_eq!(kinds, [Some(HandshakeKind::Full), Some(HandshakeKind::Resumed)], "{version:?}");
    }
}

#[tokio::test]
async fn the_end_is_said_so_that_nobody_takes_a_cut_for_it() {
    let server = Server::start().await;
    let mut client = server.connect(HOME).await.expect("a handshake");
    client.send(get_last("/health")).await;
    let mut bytes = Vec::new();
    // Without a `close_notify` this is an error.
    tokio::time::timeout(GUARD, client.0.read_to_end(&mut bytes)).await.expect("it closes").expect("cleanly");
    // So it is for who waits when the server stops.
    let mut idle = server.connect(HOME).await.expect("a handshake");
    idle.send(get("/health")).await;
    idle.reply().await;
    server.stop.cancel();
    tokio::time::timeout(GUARD, idle.0.read_to_end(&mut bytes)).await.expect("it closes").expect("cleanly");
    for serving in server.serving {
        tokio::time::timeout(GUARD, serving).await.expect("it ends").expect("without a panic");
    }
}

#[tokio::test]
async fn a_stop_waits_for_what_runs() {
    let server = Server::start().await;
    let mut running = server.connect(HOME).await.expect("a handshake");
    let call = format!("POST /v1/invoke/default/block HTTP/1.1\r\nhost: {HOME}\r\ncontent-length: 2\r\n\r\n{{}}");
    running.send(call).await;
    while server.house.engine.plain.running() == 0 {
        tokio::task::yield_now().await;
    }
    server.stop.cancel();
    server.house.engine.plain.release();
    assert!(running.rest().await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn plain_http_is_sent_on_but_for_probes_and_acme() {
    let tls = TlsConfig { redirect_to: Some(443), hsts: Some(Duration::from_secs(600)), ..TlsConfig::default() };
    let server = Server::start_as(Wish { tls, ..Wish::default() }).await;
    let sent_on = server.says_plain(&get("/v1/functions?x=%2f")).await;
    assert!(sent_on.starts_with("HTTP/1.1 308 "), "{sent_on}");
    let there = format!("\r\nlocation: https://{HOME}:{}/v1/functions?x=%2f\r\n", server.secure.port());
    assert!(sent_on.contains(&there) && sent_on.contains("x-request-id: "), "{sent_on}");
    let post = format!("POST /v1/invoke/default/echo HTTP/1.1\r\nhost: {HOME}\r\ncontent-length: 9\r\n\r\n123456789");
    assert!(server.says_plain(&post).await.starts_with("HTTP/1.1 308 "));

    assert!(server.says_plain(&get_last("/health")).await.starts_with("HTTP/1.1 200 "));
    let here = "GET /v1/version HTTP/1.1\r\nhost: 127.0.0.1:6001\r\nconnection: close\r\n\r\n";
    assert!(server.says_plain(here).await.starts_with("HTTP/1.1 200 "), "this machine itself");
    let _posted = server.certifier.board().post_http("token", "token.thumb");
    let answered = server.says_plain(&get_last("/.well-known/acme-challenge/token")).await;
    assert!(answered.starts_with("HTTP/1.1 200 ") && answered.ends_with("\r\n\r\ntoken.thumb"), "{answered}");
    assert!(server.says_plain(&get("/.well-known/acme-challenge/other")).await.starts_with("HTTP/1.1 308 "));
}

#[tokio::test]
async fn browsers_are_told_to_use_tls_alone_by_tls_alone() {
    let tls = TlsConfig { hsts: Some(Duration::from_secs(600)), ..TlsConfig::default() };
    let server = Server::start_as(Wish { tls, ..Wish::default() }).await;
    let told = "\r\nstrict-transport-security: max-age=600\r\n";
    assert!(server.says(&get_last("/health")).await.contains(told));
    assert!(server.says(&get_last("/nowhere")).await.contains(told));
    assert!(!server.says_plain(&get_last("/health")).await.contains("strict-transport-security"));
    assert!(!Server::start().await.says(&get_last("/health")).await.contains("strict-transport-security"));
}

#[tokio::test]
async fn operators_see_the_certificates_and_nobody_else_does() {
    use http::Method;
    let server = Server::start_as(Wish { files: vec![vec!["a.example", "b.example"]], ..Wish::default() }).await;
    let listed = server.house.operator(Method::GET, "/v1/certificates", "").await;
    let document = listed.json();
    let certificate = &document["certificates"][0];
    assert_eq!(document["count"], 1);
    assert_eq!(certificate["names"], serde_json::json!(["a.example", "b.example"]));
    assert_eq!((&certificate["source"], &certificate["issuer"]), (&"file".into(), &"authority of the test".into()));
    assert!(!document.to_string().contains("PRIVATE"));
    assert_eq!(server.house.admin(Method::GET, "/v1/certificates", "").await.status, 403);
    assert_eq!(server.house.nobody(Method::GET, "/v1/certificates", "").await.status, 401);
}
