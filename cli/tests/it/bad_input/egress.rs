//! Requests of functions to where they must not go, in every spelling, and by way of a redirect.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::support::{Server, Tenant, fixture, packed};

fn fetch(tenant: &Tenant, function: &str, url: &str) -> Value {
    let input = packed(&[b"GET", url.as_bytes(), b"{}", b""]);
    let reply = tenant.invoke(function, &input);
    assert_eq!(reply.status, 200, "{url}: {reply:?}");
    reply.json()
}

/// Hosts that lead into the machine, into its network, or to the keys of a cloud.
const PRIVATE: &[&str] = &[
    "127.0.0.1",
    "127.1",
    "127.255.255.254",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "017700000001",
    "0",
    "0.0.0.0",
    "localhost",
    "LOCALHOST.",
    "a.localhost",
    "%6c%6f%63alhost",
    "①②⑦.⓪.⓪.①",
    "example.com@127.0.0.1",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::127.0.0.1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:0:7f00:1::]",
    "[fe80::1]",
    "[fd00:ec2::254]",
    "[fc00::1]",
    "[fec0::1]",
    "[ff02::1]",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "169.254.170.2",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
];

#[test]
fn a_private_address_is_refused_in_every_spelling() {
    let server = Server::start();
    let tenant = Tenant::found(&server, "home");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    let port = listener.local_addr().expect("an address").port();
    // The author's own list opens nothing private, however it is written.
    let listed =
        json!({ "egress": { "allow": ["127.0.0.1", "localhost", "0.0.0.0/0", "::/0", "*.localhost"] } }).to_string();
    tenant.deploy("plain", &fixture("http_fetch"), &[]);
    tenant.deploy("listed", &fixture("http_fetch"), &[("metadata", &listed)]);
    for function in ["plain", "listed"] {
        for host in PRIVATE {
            let reply = fetch(&tenant, function, &format!("http://{host}:{port}/"));
            assert_eq!(reply["status"], 0, "{function} {host}: {reply}");
            let error = reply["error"].as_str().expect("a text");
            let says_what_would_allow_it = error.contains("egress.allow") && error.contains("egress.private");
            // A name that is listed is looked up, and not every machine knows all of these.
            let unknown = function == "listed" && error.contains("cannot be resolved");
            assert!(says_what_would_allow_it || unknown, "{function} {host}: {error}");
        }
    }
    assert!(listener.accept().is_err(), "nobody came");
}

#[test]
fn what_is_not_listed_and_what_is_no_web_address_is_refused() {
    let server = Server::start();
    let tenant = Tenant::found(&server, "home");
    let listed = json!({ "egress": { "allow": ["api.example.com:443", "*.example.org"] } }).to_string();
    tenant.deploy("listed", &fixture("http_fetch"), &[("metadata", &listed)]);
    let elsewhere = [
        "https://example.com/",
        "https://api.example.com:8443/",
        "http://example.org/",
        "https://api.example.com.example.net/",
    ];
    for url in elsewhere {
        let error = fetch(&tenant, "listed", url)["error"].as_str().expect("a text").to_owned();
        assert!(error.contains("is not allowed; list `"), "{url}: {error}");
    }
    for url in [
        "",
        "example.com",
        "/path",
        "file:///etc/passwd",
        "ftp://example.com/",
        "gopher://127.0.0.1:6379/_x",
        "http://",
        "http:///x",
        "http://[::1",
        "http://a b/",
        "unix:///run/docker.sock",
        "data:,x",
    ] {
        let reply = fetch(&tenant, "listed", url);
        assert!(reply["status"] == 0 && reply["error"].is_string(), "{url}: {reply}");
    }
    let own = fetch(&tenant, "listed", &format!("{}/v1/functions", server.address()));
    assert_eq!(own["status"], 0, "the node itself: {own}");
}

fn read_head(stream: &mut TcpStream) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
        head.extend(byte);
    }
}

/// Answers each connection with the reply that is set.
fn serve(reply: Arc<Mutex<String>>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            read_head(&mut stream);
            let reply = reply.lock().expect("no holder panics").clone();
            let _ = stream.write_all(reply.as_bytes());
        }
    });
    port
}

#[test]
fn a_redirect_is_judged_like_a_request() {
    let mut server = Server::prepared();
    server.set_environment([("ORAMA_EGRESS_PRIVATE", OsStr::new("127.0.0.1/32"))]);
    server.restart();
    let tenant = Tenant::found(&server, "home");
    let reply = Arc::new(Mutex::new("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok".to_owned()));
    let port = serve(reply.clone());
    let listed =
        json!({ "egress": { "allow": [format!("127.0.0.1:{port}"), "169.254.0.0/16", "10.0.0.0/8"] } }).to_string();
    tenant.deploy("listed", &fixture("http_fetch"), &[("metadata", &listed)]);
    let url = format!("http://127.0.0.1:{port}/");
    assert_eq!(fetch(&tenant, "listed", &url)["body"], "ok", "what both permit is reached");
    let there = [
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://10.0.0.1/".to_owned(),
        format!("http://127.0.0.2:{port}/"),
        format!("http://localhost:{port}/"),
        format!("http://[::1]:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{}/", port ^ 1),
        "http://metadata.google.internal/".to_owned(),
        server.address().to_owned(),
        "file:///etc/passwd".to_owned(),
        "//169.254.169.254/".to_owned(),
    ];
    for place in &there {
        for status in ["301 Moved", "302 Found", "303 See Other", "307 Again", "308 Always"] {
            *reply.lock().expect("no holder panics") =
                format!("HTTP/1.1 {status}\r\nlocation: {place}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let seen = fetch(&tenant, "listed", &url);
            let error = seen["error"].as_str().unwrap_or_default();
            let judged = error.contains("egress.private") || error.contains("use `http` or `https`");
            assert!(seen["status"] == 0 && judged, "{status} to {place}: {seen}");
        }
    }
    *reply.lock().expect("no holder panics") =
        format!("HTTP/1.1 302 Found\r\nlocation: {url}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let seen = fetch(&tenant, "listed", &url);
    assert_eq!(seen["status"], 0, "a circle: {seen}");
    let widely = json!({ "egress": { "allow": ["127.0.0.1"] } }).to_string();
    tenant.deploy("widely", &fixture("http_fetch"), &[("metadata", &widely)]);
    let error = fetch(&tenant, "widely", server.address())["error"].as_str().expect("a text").to_owned();
    assert!(error.contains("is this node itself"), "{error}");
}
