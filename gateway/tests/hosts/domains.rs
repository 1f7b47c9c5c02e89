//! Domains of others: claimed, proved by DNS, taken over by a later proof, and never by an old one.

use http::Method;
use serde_json::json;

use crate::server::Server;
use crate::support::{Seen, mirror, request, with_key};

const DOMAIN: &str = "shop.example.com";
const RECORD: &str = "_orama-challenge.shop.example.com";

/// Both namespaces have a function `shop`.
async fn server() -> Server {
    let server = Server::start().await;
    server.house.deploy("shop", b"echo", &[("is_public", "true")]).await;
    server.house.deploy("till", mirror::DEAF, &[("is_public", "true"), ("engine", "worker")]).await;
    let form = crate::support::Form::default().file("wasm", mirror::DEAF).text("name", "shop");
    let form = form.text("engine", "worker").text("is_public", "true").post("/v1/functions");
    assert_eq!(server.house.send(with_key(form, &server.house.stranger)).await.status, 201);
    server
}

async fn add(server: &Server, key: &str, domain: &str, function: &str) -> Seen {
    let body = json!({ "domain": domain, "function": function }).to_string();
    server.house.send(with_key(request(Method::POST, "/v1/domains", body), key)).await
}

async fn verify(server: &Server, key: &str) -> Seen {
    let path = format!("/v1/domains/{DOMAIN}/verify");
    server.house.send(with_key(request(Method::POST, &path, ""), key)).await
}

/// What answers on the domain: `echo` says what was sent, the other function `deaf`, and the API has no such route.
async fn answers(server: &Server) -> String {
    let reply = server.post("Shop.EXAMPLE.com:6001", "/any", "", b"sent").await;
    if reply.status == 404 { "api".to_owned() } else { reply.text() }
}

#[tokio::test]
async fn a_domain_leads_here_once_it_is_proved() {
    let server = server().await;
    let key = server.house.admin.clone();
    let claimed = add(&server, &key, "Shop.Example.com.", "shop").await;
    assert_eq!((claimed.status.as_u16(), claimed.text("domain").as_str()), (201, DOMAIN));
    assert_eq!((claimed.text("status").as_str(), claimed.text("record").as_str()), ("pending", RECORD));
    let token = claimed.text("token");
    assert_eq!(answers(&server).await, "api");
    // Nothing there, then something else, then something too long.
    let unproved = verify(&server, &key).await;
    assert_eq!((unproved.status.as_u16(), unproved.code().as_str()), (409, "CONFLICT"));
    assert!(unproved.json()["error"]["hint"].as_str().is_some_and(|hint| hint.contains(&token)));
    server.house.names.set(RECORD, &["v=spf1 -all", &format!("{token}0")]);
    assert_eq!(verify(&server, &key).await.status, 409);
    assert_eq!(answers(&server).await, "api");
    server.house.names.set(RECORD, &["v=spf1 -all", &token]);
    let proved = verify(&server, &key).await;
    assert_eq!((proved.status.as_u16(), proved.text("status").as_str()), (200, "verified"));
    assert_eq!(answers(&server).await, "sent");
    // To another function, without another proof.
    let moved = add(&server, &key, DOMAIN, "till").await;
    assert_eq!((moved.text("status").as_str(), moved.text("token")), ("verified", token));
    assert_eq!(answers(&server).await, "deaf");
    let removed = server.house.admin(Method::DELETE, &format!("/v1/domains/{DOMAIN}"), "").await;
    assert_eq!((removed.status.as_u16(), answers(&server).await.as_str()), (200, "api"));
}

#[tokio::test]
async fn an_old_proof_proves_nothing_and_a_new_one_takes_the_domain() {
    let server = server().await;
    let (home, abroad) = (server.house.admin.clone(), server.house.stranger.clone());
    let first = add(&server, &home, DOMAIN, "shop").await.text("token");
    server.house.names.set(RECORD, &[&first]);
    assert_eq!(verify(&server, &home).await.status, 200);
    // Another namespace may claim it, and has another token.
    let second = add(&server, &abroad, DOMAIN, "shop").await;
    assert_eq!((second.status.as_u16(), second.text("status").as_str()), (201, "pending"));
    assert_ne!(second.text("token"), first);
    assert_eq!(verify(&server, &abroad).await.status, 409, "what the first left in the DNS is not its proof");
    assert_eq!(answers(&server).await, "sent");
    server.house.names.set(RECORD, &[&first, &second.text("token")]);
    assert_eq!(verify(&server, &abroad).await.status, 200);
    assert_eq!(answers(&server).await, "deaf");
    // The first has no claim any more, and its old token is worth nothing.
    assert_eq!(verify(&server, &home).await.status, 404);
    let again = add(&server, &home, DOMAIN, "shop").await;
    assert_ne!(again.text("token"), first);
    assert_eq!(verify(&server, &home).await.status, 409);
    // Giving a claim up takes nothing from who has proved the domain.
    assert_eq!(server.house.admin(Method::DELETE, &format!("/v1/domains/{DOMAIN}"), "").await.status, 200);
    assert_eq!(answers(&server).await, "deaf");
}

#[tokio::test]
async fn a_domain_ends_with_its_namespace() {
    let server = server().await;
    let abroad = server.house.stranger.clone();
    let token = add(&server, &abroad, DOMAIN, "shop").await.text("token");
    server.house.names.set(RECORD, &[&token]);
    assert_eq!(verify(&server, &abroad).await.status, 200);
    assert_eq!(answers(&server).await, "deaf");
    let deleted = server.house.operator(Method::DELETE, "/v1/namespaces/abroad", "").await;
    assert!(deleted.status.is_success(), "{deleted:?}");
    assert_eq!(answers(&server).await, "api");
}

#[tokio::test]
async fn what_is_no_domain_of_others_is_refused() {
    let server = server().await;
    let key = server.house.admin.clone();
    for (domain, status) in [
        ("apps.test", 409),
        ("x.default.apps.test", 409),
        ("APPS.test.", 409),
        ("localhost", 400),
        ("127.0.0.1", 400),
        ("a..b", 400),
        ("shop.example.com:443", 400),
        ("*.example.com", 400),
        ("", 400),
    ] {
        assert_eq!(add(&server, &key, domain, "shop").await.status, status, "{domain}");
    }
    assert_eq!(add(&server, &key, DOMAIN, "no name").await.status, 400);
    server.house.names.fall_silent();
    add(&server, &key, DOMAIN, "shop").await;
    let silent = verify(&server, &key).await;
    assert_eq!((silent.status.as_u16(), silent.code().as_str()), (503, "SERVICE_UNAVAILABLE"));
    for number in 1..platform::DOMAINS_MAX {
        assert_eq!(add(&server, &key, &format!("d{number}.example.com"), "shop").await.status, 201);
    }
    assert_eq!(add(&server, &key, "one.more.example.com", "shop").await.status, 409);
    let listed = server.house.admin(Method::GET, "/v1/domains", "").await;
    assert_eq!(listed.json()["count"], platform::DOMAINS_MAX);
}
