//! Host names of functions, and domains of others, on the real binary.

#[path = "../../../backends/tests/names/server.rs"]
mod name_server;

use std::ffi::OsStr;
use std::io::{Read, Write};

use crate::support::{Reply, Server, fixture};

use name_server::NameServer;

/// What the server answers to a request for a host.
#[track_caller]
pub fn ask(server: &Server, method: &str, host: &str, path: &str, body: &str) -> Reply {
    let mut stream = server.http().connect().expect("the server accepts");
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all([head, body.to_owned()].concat().as_bytes()).expect("the server reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the server answers");
    Reply::parse(&answer).expect("a whole reply")
}

#[test]
fn a_function_answers_on_its_own_host_name() {
    let server = Server::start();
    server.deploy("web", &fixture("raw_response"), [("http", "true"), ("is_public", "true"), ("by_hash", "true")]);
    let hash = domain::Cid::of(&fixture("raw_response"));
    let label = domain::oyster::label_of_hash(hash.digest().try_into().expect("32 bytes"));
    for host in ["web.default.localhost", "WEB--default.localhost:6001", &format!("{label}.localhost")] {
        let reply = ask(&server, "PURGE", host, "/any/%2Fpath?x=1", "body");
        assert_eq!((reply.status, reply.body.as_str()), (201, "made here"), "{host}");
        assert_eq!((reply.header("x-one"), reply.header("x-request-id")), (Some("1"), None), "{host}");
    }
    // By its hash it is signed, by its name it did not ask to be.
    let signed = ask(&server, "POST", &format!("{label}.localhost"), "/", "{}");
    assert_eq!(signed.header("x-oyster-signature").map(str::len), Some(130));
    assert_eq!(ask(&server, "POST", "web.default.localhost", "/", "{}").header("x-oyster-signature"), None);
    assert_eq!(ask(&server, "GET", "none.default.localhost", "/", "").status, 404);
    assert_eq!(ask(&server, "GET", "localhost", "/health", "").status, 200);
    assert_eq!(ask(&server, "GET", "short.localhost", "/", "").status, 400);
    assert_eq!(server.records("web", 5).len(), 5);
}

#[test]
fn a_domain_is_proved_and_leads_to_its_function() {
    let names = NameServer::start();
    let mut server = Server::prepared();
    let address = names.address.to_string();
    server.set_environment([("ORAMA_GATEWAY_NAME_SERVER", OsStr::new(&address))]);
    server.restart();
    server.deploy("web", &fixture("raw_response"), [("http", "true"), ("is_public", "true")]);
    let domain = "shop.example.com";
    let claimed = server.orama(["domains", "add", domain, "--function", "web"]);
    let record = claimed.ok().trim().to_owned();
    let token = record.strip_prefix("_orama-challenge.shop.example.com TXT ").expect("the record").to_owned();
    assert_ne!(server.orama(["domains", "verify", domain]).code, Some(0), "there is no proof");
    names.set("_orama-challenge.shop.example.com", &[&[&token]]);
    server.orama(["domains", "verify", domain]).ok();
    assert_eq!(ask(&server, "GET", domain, "/", "").body, "made here");
    // What was proved outlives the process.
    server.kill();
    server.restart();
    assert_eq!(ask(&server, "GET", domain, "/", "").body, "made here");
    assert!(server.http().get("/v1/domains").body.contains("verified"));
    assert_eq!(server.http().send("DELETE", &format!("/v1/domains/{domain}"), &[], b"").status, 200);
    assert_eq!(ask(&server, "GET", domain, "/", "").status, 404);
}
