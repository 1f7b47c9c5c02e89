//! Connections are kept within a namespace, and places are shared out.

use std::sync::Arc;

use backends::egress::{EgressConfig, open};
use ports::{Egress, EgressError};

use crate::server::{Answer, Server};
use crate::support::{PlannedNames, everything, far, get, lenient, namespace, policy, send, text};

#[tokio::test]
async fn a_connection_is_reused_within_a_namespace_and_not_across() {
    let server = Server::start(|_| Answer::ok("hello")).await;
    let egress = open(lenient()).expect("open");
    let fetch = async |name: &str| {
        let reply = egress.fetch(&namespace(name), &[&everything()], get(&server.url("/")), far()).await;
        assert_eq!(text(&reply.expect("a reply")), "hello");
        server.connections()
    };
    assert_eq!([fetch("one").await, fetch("one").await, fetch("one").await], [1, 1, 1]);
    assert_eq!([fetch("two").await, fetch("two").await], [2, 2]);
    assert_eq!(fetch("one").await, 2, "each has its own");
    egress.forget(&namespace("one"));
    assert_eq!([fetch("two").await, fetch("one").await], [2, 3], "only those of the namespace are closed");
}

#[tokio::test]
async fn the_least_recently_used_client_makes_room() {
    let server = Server::start(|_| Answer::ok("hello")).await;
    let egress = open(EgressConfig { clients_max: 2, ..lenient() }).expect("open");
    let mut seen = Vec::new();
    for name in ["one", "two", "one", "three", "one", "two"] {
        egress.fetch(&namespace(name), &[&everything()], get(&server.url("/")), far()).await.expect("a reply");
        seen.push(server.connections());
    }
    assert_eq!(seen, [1, 2, 2, 3, 3, 4], "`two` went when `three` came");
}

#[tokio::test]
async fn a_redirect_within_an_origin_uses_the_same_connection() {
    let server = Server::start(|request| match request {
        request if request.contains(" / ") => Answer::redirect(302, "/next"),
        _ => Answer::ok("there"),
    })
    .await;
    let egress = open(lenient()).expect("open");
    assert_eq!(text(&send(&egress, get(&server.url("/"))).await.expect("a reply")), "there");
    assert_eq!(server.connections(), 1);
}

/// A namespace that has all of its places waits for itself; the others go on.
#[tokio::test]
async fn a_namespace_that_waits_for_slow_servers_does_not_hold_up_another() {
    let slow = Server::start(|_| Answer::raw("").then_hang()).await;
    let quick = Server::start(|_| Answer::ok("quick")).await;
    let egress = Arc::new(open(EgressConfig { namespace_exchanges_max: 1, ..lenient() }).expect("open"));
    let waiting = tokio::spawn({
        let (egress, url) = (egress.clone(), slow.url("/"));
        async move { egress.fetch(&namespace("one"), &[&everything()], get(&url), far()).await }
    });
    slow.asked().await;
    let soon = std::time::Instant::now() + std::time::Duration::from_millis(100);
    let outcome = egress.fetch(&namespace("one"), &[&everything()], get(&quick.url("/")), soon).await;
    assert!(matches!(outcome, Err(EgressError::Deadline)), "it waits for its place: {outcome:?}");
    let reply = egress.fetch(&namespace("two"), &[&everything()], get(&quick.url("/")), far()).await;
    assert_eq!(text(&reply.expect("a reply")), "quick");
    waiting.abort();
    slow.broken_off().await;
    let reply = egress.fetch(&namespace("one"), &[&everything()], get(&quick.url("/")), far()).await;
    assert_eq!(text(&reply.expect("the place is free again")), "quick");
}

/// What is refused needs no place.
#[tokio::test]
async fn a_refusal_does_not_wait() {
    let egress = open(EgressConfig { exchanges_max: 0, ..lenient() }).expect("open");
    let outcome = egress.fetch(&namespace("one"), &[&policy(&[])], get("http://example.com/"), far()).await;
    assert!(matches!(outcome, Err(EgressError::Refused(_))), "{outcome:?}");
}

#[tokio::test]
async fn one_name_is_looked_up_once_for_each_connection() {
    let server = Server::start(|_| Answer::ok("hello")).await;
    let names = PlannedNames::new([("api.example.com", &[&["127.0.0.1"]])]);
    let egress = open(EgressConfig { resolver: names.clone(), ..lenient() }).expect("open");
    let url = format!("http://api.example.com:{}/", server.port());
    for _ in 0..3 {
        send(&egress, get(&url)).await.expect("a reply");
    }
    assert_eq!((names.asked().len(), server.connections()), (1, 1));
}
