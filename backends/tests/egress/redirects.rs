//! Redirects are followed, and each is judged like the first URL.

use std::net::Ipv4Addr;
use std::sync::{Arc, OnceLock};

use backends::egress::{EgressConfig, open};
use expect_test::expect;
use ports::{Egress, EgressError, FetchRequest};

use crate::server::{Answer, Server};
use crate::support::{
    PlannedNames, everything, far, fetch, get, lenient, line, namespace, policy, post, send, text, with_headers,
};

/// `/` answers `status` with this Location; everything else answers its request line.
async fn redirecting(status: u16, location: &str) -> Server {
    let location = location.to_owned();
    Server::start(move |request| {
        let line = request.lines().next().unwrap_or_default().to_owned();
        if line.contains(" / ") { Answer::redirect(status, &location) } else { Answer::ok(&line) }
    })
    .await
}

#[tokio::test]
async fn a_relative_location_is_followed() {
    for (location, want) in [
        ("/next", "GET /next HTTP/1.1"),
        ("next?x=1", "GET /next?x=1 HTTP/1.1"),
        ("./a/../b#there", "GET /b HTTP/1.1"),
        ("?q", "GET /?q HTTP/1.1"),
    ] {
        let server = redirecting(302, location).await;
        let reply = fetch(get(&server.url("/"))).await.expect("a reply");
        assert_eq!(text(&reply), want, "{location}");
    }
}

#[tokio::test]
async fn the_method_follows_the_status() {
    let mut seen = String::new();
    for status in [300, 301, 302, 303, 304, 305, 307, 308] {
        for method in ["GET", "HEAD", "POST", "PUT"] {
            let server = redirecting(status, "/next").await;
            let request = FetchRequest { method: method.into(), ..post(&server.url("/"), "body") };
            let request = with_headers(request, [("Content-Type", "text/plain")]);
            let reply = fetch(request).await.expect("a reply");
            let last = server.requests().pop().expect("a request");
            let body = if last.ends_with("body") { "with its body" } else { "without body" };
            assert_eq!(last.contains("content-type"), last.ends_with("body"), "the type goes with the body: {last}");
            seen += &format!("{status} {method}: {} {}, {body}\n", reply.status, last.lines().next().expect("a line"));
        }
    }
    expect![[r#"
        300 GET: 300 GET / HTTP/1.1, with its body
        300 HEAD: 300 HEAD / HTTP/1.1, with its body
        300 POST: 300 POST / HTTP/1.1, with its body
        300 PUT: 300 PUT / HTTP/1.1, with its body
        301 GET: 200 GET /next HTTP/1.1, with its body
        301 HEAD: 200 HEAD /next HTTP/1.1, with its body
        301 POST: 200 GET /next HTTP/1.1, without body
        301 PUT: 200 PUT /next HTTP/1.1, with its body
        302 GET: 200 GET /next HTTP/1.1, with its body
        302 HEAD: 200 HEAD /next HTTP/1.1, with its body
        302 POST: 200 GET /next HTTP/1.1, without body
        302 PUT: 200 PUT /next HTTP/1.1, with its body
        303 GET: 200 GET /next HTTP/1.1, with its body
        303 HEAD: 200 HEAD /next HTTP/1.1, with its body
        303 POST: 200 GET /next HTTP/1.1, without body
        303 PUT: 200 GET /next HTTP/1.1, without body
        304 GET: 304 GET / HTTP/1.1, with its body
        304 HEAD: 304 HEAD / HTTP/1.1, with its body
        304 POST: 304 POST / HTTP/1.1, with its body
        304 PUT: 304 PUT / HTTP/1.1, with its body
        305 GET: 305 GET / HTTP/1.1, with its body
        305 HEAD: 305 HEAD / HTTP/1.1, with its body
        305 POST: 305 POST / HTTP/1.1, with its body
        305 PUT: 305 PUT / HTTP/1.1, with its body
        307 GET: 200 GET /next HTTP/1.1, with its body
        307 HEAD: 200 HEAD /next HTTP/1.1, with its body
        307 POST: 200 POST /next HTTP/1.1, with its body
        307 PUT: 200 PUT /next HTTP/1.1, with its body
        308 GET: 200 GET /next HTTP/1.1, with its body
        308 HEAD: 200 HEAD /next HTTP/1.1, with its body
        308 POST: 200 POST /next HTTP/1.1, with its body
        308 PUT: 200 PUT /next HTTP/1.1, with its body
    "#]]
    .assert_eq(&seen);
}

#[tokio::test]
async fn a_redirect_without_a_location_is_a_reply() {
    let server = Server::start(|_| Answer::raw("HTTP/1.1 302 Found\r\nContent-Length: 4\r\n\r\nhere")).await;
    let reply = fetch(get(&server.url("/"))).await.expect("a reply");
    assert_eq!((reply.status, text(&reply)), (302, "here"));
}

#[tokio::test]
async fn a_redirect_to_a_private_address_is_refused() {
    let inside =
        Server::start_at(Ipv4Addr::new(127, 0, 0, 2).into(), 0, |_| Answer::ok("inside")).await.expect("a port");
    let port = inside.port();
    let names = PlannedNames::new([("inside.example", &[&["127.0.0.2"]]), ("good.example", &[&["127.0.0.1"]])]);
    let mut seen = String::new();
    for location in [
        &format!("http://127.0.0.2:{port}/"),
        &format!("//127.0.0.2:{port}/"),
        &format!("http://2130706434:{port}/"),
        &format!("http://[::ffff:127.0.0.2]:{port}/"),
        &format!("http://good.example@127.0.0.2:{port}/"),
        &format!("http://inside.example:{port}/"),
        "http://169.254.169.254/latest/meta-data/",
        "http://localhost/",
        "http://good.example:22/",
        "file:///etc/passwd",
        "http://[::1",
        "\u{ff}",
    ] {
        let server = redirecting(302, location).await;
        let egress = open(EgressConfig { resolver: names.clone(), ..lenient() }).expect("open");
        let outcome = send(&egress, get(&server.url("/"))).await;
        seen += &(line(&outcome, port) + "\n");
    }
    assert_eq!(inside.connections(), 0);
    expect![[r#"
        Refused: a redirect leads to a private address; the operator must permit its range with `egress.private` and function.yaml must list the address under `egress.allow`
        Refused: a redirect leads to a private address; the operator must permit its range with `egress.private` and function.yaml must list the address under `egress.allow`
        Refused: a redirect leads to a private address; the operator must permit its range with `egress.private` and function.yaml must list the address under `egress.allow`
        Refused: a redirect leads to a private address; the operator must permit its range with `egress.private` and function.yaml must list the address under `egress.allow`
        Refused: a redirect leads to a private address; the operator must permit its range with `egress.private` and function.yaml must list the address under `egress.allow`
        Refused: `inside.example:<port>` leads to a private address; the operator must permit its range with `egress.private` and function.yaml must list `inside.example` under `egress.allow`
        Refused: a redirect leads to a private address; the operator must permit its range with `egress.private` and function.yaml must list the address under `egress.allow`
        Refused: `localhost:80` leads to a private address; the operator must permit its range with `egress.private` and function.yaml must list `localhost` under `egress.allow`
        Refused: port 22 is kept for another protocol than HTTP; serve HTTP on another port
        Refused: `file` is not allowed; use `http` or `https`
        Failed: a redirect leads to no URL
        200 GET /%C3%BF HTTP/1.1
    "#]].assert_eq(&seen);
}

#[tokio::test]
async fn a_redirect_to_what_a_policy_does_not_list_is_refused() {
    let other = Server::start(|_| Answer::ok("other")).await;
    let server = redirecting(307, &format!("http://other.example:{}/", other.port())).await;
    let names = PlannedNames::new([("other.example", &[&["127.0.0.1"]])]);
    let egress = open(EgressConfig { resolver: names.clone(), ..lenient() }).expect("open");
    let rule = format!("127.0.0.1:{}", server.port());
    let outcome = egress.fetch(&namespace("one"), &[&policy(&[&rule])], get(&server.url("/")), far()).await;
    assert!(matches!(outcome, Err(EgressError::Refused(_))), "{outcome:?}");
    assert_eq!((other.connections(), names.asked()), (0, Vec::new()));
}

#[tokio::test]
async fn the_node_itself_is_not_reached_by_a_redirect() {
    let node = Server::start(|_| Answer::ok("the node")).await;
    let server = redirecting(302, &node.url("/v1/functions")).await;
    let egress = open(EgressConfig { own_addresses: vec![node.address], ..lenient() }).expect("open");
    let outcome = send(&egress, get(&server.url("/"))).await;
    assert!(matches!(outcome, Err(EgressError::Refused(_))), "{outcome:?}");
    assert_eq!(node.connections(), 0);
}

#[tokio::test]
async fn secrets_stay_with_their_origin() {
    let other = Server::start(|_| Answer::ok("")).await;
    let first = redirecting(307, &other.url("/there")).await;
    let headers = [("Authorization", "Bearer secret"), ("Cookie", "a=secret"), ("X-Other", "kept")];
    fetch(with_headers(get(&first.url("/")), headers)).await.expect("a reply");
    assert!(first.requests()[0].contains("Bearer secret") && first.requests()[0].contains("a=secret"));
    let arrived = &other.requests()[0];
    assert!(!arrived.contains("secret") && arrived.contains("x-other: kept"), "{arrived}");

    let same = redirecting(307, "/there").await;
    fetch(with_headers(get(&same.url("/")), headers)).await.expect("a reply");
    assert!(same.requests()[1].contains("Bearer secret"), "the same origin gets them");

    let planted = redirecting(302, &other.url("/there").replace("http://", "http://user:planted@")).await;
    fetch(get(&planted.url("/"))).await.expect("a reply");
    assert!(!other.requests()[1].contains("authorization"), "a server cannot plant credentials");
}

/// Back at the first origin by way of another, the secrets are gone: the other chose what is asked for.
#[tokio::test]
async fn secrets_do_not_come_back() {
    let away = Arc::new(OnceLock::<String>::new());
    let home = Server::start({
        let away = away.clone();
        move |request| match away.get() {
            Some(away) if request.contains(" / ") => Answer::redirect(307, away),
            _ => Answer::ok("home again"),
        }
    })
    .await;
    let other = redirecting(307, &home.url("/admin")).await;
    away.set(other.url("/")).expect("it is set once");
    let reply = fetch(with_headers(get(&home.url("/")), [("Authorization", "Bearer secret")])).await.expect("a reply");
    assert_eq!(text(&reply), "home again");
    let arrived = home.requests();
    assert!(arrived[0].contains("secret") && !arrived[1].contains("secret"), "{arrived:?}");
}

#[tokio::test]
async fn redirects_end() {
    let endless = Server::start(|request| {
        let at: usize = request.split(['/', ' ']).nth(2).and_then(|at| at.parse().ok()).unwrap_or(0);
        Answer::redirect(302, &format!("/{}", at + 1))
    })
    .await;
    let outcome = fetch(get(&endless.url("/0"))).await;
    expect!["Failed: there are more than 10 redirects"].assert_eq(&line(&outcome, endless.port()));
    assert_eq!(endless.requests().len(), 11);

    let ten = Server::start(|request| match request.split(['/', ' ']).nth(2).and_then(|at| at.parse::<usize>().ok()) {
        Some(at) if at < 10 => Answer::redirect(302, &format!("/{}", at + 1)),
        _ => Answer::ok("the end"),
    })
    .await;
    assert_eq!(text(&fetch(get(&ten.url("/0"))).await.expect("ten are allowed")), "the end");
}

#[tokio::test]
async fn the_time_is_that_of_all_hops() {
    let slow = Server::start(|_| Answer::raw("").then_hang()).await;
    let first = redirecting(302, &slow.url("/")).await;
    let egress = open(lenient()).expect("open");
    let soon = std::time::Instant::now() + std::time::Duration::from_millis(200);
    let outcome = egress.fetch(&namespace("one"), &[&everything()], get(&first.url("/")), soon).await;
    assert!(matches!(outcome, Err(EgressError::Deadline)), "{outcome:?}");
    assert_eq!(slow.requests().len(), 1);
}
