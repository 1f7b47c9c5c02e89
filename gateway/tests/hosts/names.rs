//! Which name leads where, and who is let in.

use domain::Cid;
use domain::oyster::label_of_hash;
use serde_json::Value;

use crate::server::Server;
use crate::support::mirror::{self, MIRROR};
use crate::support::{HEAD, RAW};

fn label(code: &[u8]) -> String {
    label_of_hash(Cid::of(code).digest().try_into().expect("32 bytes"))
}

fn json(reply: &crate::server::Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap_or_else(|_| panic!("not JSON: {}", reply.text()))
}

#[tokio::test]
async fn a_function_has_its_names_and_the_api_the_others() {
    let server = Server::with_mirror().await;
    for host in [
        "mirror.default.apps.test",
        "MIRROR.Default.apps.TEST:6001",
        "mirror--default.apps.test",
        "mirror.default.apps.test.",
    ] {
        let reply = server.post(host, "/v1/functions", "", b"mine").await;
        assert_eq!((reply.status, reply.text().as_str()), (200, "mine"), "{host}");
        assert_eq!(reply.header("x-request-id"), "", "{host}: nothing of ours");
    }
    for host in ["apps.test", "localhost", "127.0.0.1:6001", "[::1]", "mirror.default.example.org", "mirrordefault"] {
        let reply = server.get(host, "/health", "").await;
        assert!(reply.status == 200 && !reply.header("x-request-id").is_empty(), "{host}: {}", reply.text());
    }
    let nowhere = [
        "none.default.apps.test",
        "mirror.none.apps.test",
        "a.mirror.default.apps.test",
        "mirror--.apps.test",
        "ns-.apps.test",
    ];
    for host in nowhere {
        let reply = server.get(host, "/", "").await;
        assert_eq!(reply.status, 404, "{host}");
        assert_eq!(json(&reply)["error"]["message"], "nothing answers on this host name", "{host}");
    }
}

#[tokio::test]
async fn what_is_private_is_not_there() {
    let server = Server::start().await;
    server.house.deploy("private", MIRROR, &[("engine", "worker")]).await;
    let strip = |reply: &crate::server::Reply| {
        let mut document = json(reply);
        document["error"]["request_id"] = Value::Null;
        (reply.status, document)
    };
    let private = server.get("private.default.apps.test", "/", "").await;
    let missing = server.get("missing.default.apps.test", "/", "").await;
    assert_eq!(strip(&private), strip(&missing));
    let key = |key: &str| format!("x-api-key: {key}\r\n");
    let foreign = server.get("private.default.apps.test", "/", &key(&server.house.stranger)).await;
    assert_eq!(strip(&foreign), strip(&missing));
    assert_eq!(server.get("private.default.apps.test", "/", &key(&server.house.invoker)).await.status, 200);
    assert_eq!(server.get("private.default.apps.test", "/", &key(&server.house.client)).await.status, 403);
    // A version is not part of a host name.
    assert_eq!(server.get("private@1.default.apps.test", "/", &key(&server.house.invoker)).await.status, 400);
}

#[tokio::test]
async fn a_hash_names_what_was_published_under_it_and_nothing_else() {
    let server = Server::with_mirror().await;
    let host = format!("{}.apps.test", label(MIRROR));
    let unpublished = server.get(&host, "/", "").await;
    assert_eq!((unpublished.status, unpublished.text().as_str()), (404, "no code with this hash is published here"));
    server.worker("mirror", MIRROR, &[("by_hash", "true")]).await;
    for host in [host.clone(), host.to_ascii_lowercase(), format!("{host}:6001")] {
        let reply = server.post(&host, "/p?q", "", b"{}").await;
        assert_eq!((reply.status, reply.text().as_str()), (200, "{}"), "{host}");
        assert_eq!(server.house.engine.mirror.asked().head.target, "/p?q");
    }
    // The version was published, whatever is active now; and not once it is gone.
    server.worker("mirror", mirror::DEAF, &[]).await;
    assert_eq!(server.post(&host, "/", "", b"{}").await.text(), "{}");
    server.house.admin(http::Method::DELETE, "/v1/functions/mirror?version=2", "").await;
    server.house.admin(http::Method::DELETE, "/v1/functions/mirror", "").await;
    assert_eq!(server.get(&host, "/", "").await.status, 404);
    // Private code is not there for who may not call it.
    server.house.deploy("hidden", MIRROR, &[("engine", "worker"), ("by_hash", "true")]).await;
    assert_eq!(server.get(&host, "/", "").await.text(), unpublished.text());
}

#[tokio::test]
async fn a_label_that_is_no_hash_is_told_why() {
    let server = Server::start().await;
    let good = label(MIRROR);
    let text = |position: usize, kind: &str| {
        format!("invalid tx hash encoding: DecodeError {{ position: {position}, kind: {kind} }}")
    };
    for (label, want) in [
        (good[..51].to_owned(), text(51, "Length")),
        (format!("{good}A"), text(52, "Length")),
        ("www".to_owned(), text(3, "Length")),
        (format!("{}1", &good[..51]), text(51, "Symbol")),
        (format!("{}_{}", &good[..9], &good[10..]), text(9, "Symbol")),
        (format!("{}B", &good[..51]), text(51, "Trailing")),
    ] {
        let reply = server.get(&format!("{label}.apps.test"), "/", "").await;
        assert_eq!((reply.status, reply.text().as_str()), (400, want.as_str()), "{label}");
        assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8");
        let reply = server.get(&format!("{label}.apps.test"), "/", "accept: application/json\r\n").await;
        let document = json(&reply);
        let seen = (reply.status, &document["error"]["code"], &document["error"]["message"]);
        assert_eq!(seen, (400, &"VALIDATION_FAILED".into(), &want.into()), "{label}");
    }
}

#[tokio::test]
async fn a_namespace_has_its_api() {
    let server = Server::with_mirror().await;
    let key = |key: &str| format!("x-api-key: {key}\r\n");
    let (home, abroad) = ("ns-default.apps.test", "ns-abroad.apps.test");
    let list = |host: &'static str, headers: String| {
        let server = &server;
        async move { server.get(host, "/v1/functions", &headers).await }
    };
    assert_eq!(list(home, key(&server.house.admin)).await.status, 200);
    assert_eq!(list(abroad, key(&server.house.stranger)).await.status, 200);
    assert_eq!(list("NS-Default.apps.test", key(&server.house.admin)).await.status, 200, "names have no case");
    // A credential of another namespace is none, not even that of the operator.
    for (host, foreign) in
        [(home, &server.house.stranger), (abroad, &server.house.admin), (abroad, &server.house.operator)]
    {
        let reply = list(host, key(foreign)).await;
        assert_eq!((reply.status, &json(&reply)["error"]["code"]), (401, &"UNAUTHORIZED".into()), "{host}");
    }
    // Nor does the host of one lead into another.
    for path in ["/v1/invoke/default/mirror", "/v1/functions/mirror/invoke?namespace=default"] {
        let reply = server.post(abroad, path, &key(&server.house.stranger), b"{}").await;
        assert_eq!(reply.status, 404, "{path}: {}", reply.text());
    }
    let reply = server.post(abroad, "/v1/functions/mirror/invoke", "x-namespace: default\r\n", b"{}").await;
    assert_eq!(reply.status, 404, "{}", reply.text());
    // Its own name is what it means without one.
    server.house.deploy("plain", b"echo", &[("is_public", "true")]).await;
    assert_eq!(server.post(home, "/v1/functions/plain/invoke", "", b"[1]").await.text(), "[1]");
    assert_eq!(server.post(abroad, "/v1/functions/plain/invoke", "", b"[1]").await.status, 404);
}

#[tokio::test]
async fn functions_that_do_not_stream_answer_there_too() {
    let server = Server::start().await;
    server.house.deploy("plain", b"echo", &[("is_public", "true")]).await;
    server.house.deploy("raw", RAW, &[("is_public", "true"), ("http", "true")]).await;
    server.house.deploy("head", HEAD, &[("is_public", "true"), ("http", "true")]).await;
    for (body, kind) in
        [("[1]", "application/json"), ("2,3", "text/plain; charset=utf-8"), ("\u{0}é", "text/plain; charset=utf-8")]
    {
        let reply = server.post("plain.default.apps.test", "/any/path", "", body.as_bytes()).await;
        assert_eq!((reply.status, reply.text().as_str(), reply.header("content-type")), (200, body, kind));
    }
    let reply = server.post("raw.default.apps.test", "/", "", b"tea").await;
    assert_eq!((reply.status, reply.text().as_str()), (201, "tea"));
    assert_eq!((reply.header("x-mine"), reply.header("x-request-id")), ("kept", "forged"));
    let seen = server.get("head.default.apps.test", "/v1/x%2Fy?a=%20", "x-a: 1\r\n").await.text();
    assert!(seen.starts_with("GET /v1/x%2Fy?a=%20 ") && seen.contains("x-a"), "{seen}");
    // More than an input may have.
    let large = vec![b'x'; (1 << 20) + 1];
    assert_eq!(server.post("plain.default.apps.test", "/", "", &large).await.status, 413);
}

#[tokio::test]
async fn the_request_id_is_told_where_the_operator_wants_it() {
    let config = gateway::GatewayConfig { forward_headers: true, ..gateway::GatewayConfig::default() };
    let server = Server::start_as(config).await;
    server.worker("mirror", MIRROR, &[]).await;
    let reply = server.get("mirror.default.apps.test", "/", "").await;
    assert_eq!(reply.header("x-request-id").len(), 36);
}
