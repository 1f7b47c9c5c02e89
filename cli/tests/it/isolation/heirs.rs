//! A namespace that is deleted and made again by somebody else while requests of the old one are under way: none of them finishes in
//! the new one.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::world::FUNCTION_MAP;
use crate::support::{FORM, Http, PATIENCE, Reply, Server, Tenant, compiled, fixture};

const NAME: &str = "ten-ant";

/// Somebody else gets the name, and has what the old tenant had.
#[track_caller]
fn pass_on(server: &Server) -> Tenant {
    let deleted = server.http().send("DELETE", &format!("/v1/namespaces/{NAME}"), &[], b"");
    assert_eq!(deleted.status, 200, "{}", deleted.body);
    let heir = Tenant::found(server, NAME);
    furnish(&heir);
    heir
}

#[track_caller]
fn furnish(tenant: &Tenant) {
    tenant.set_secret("TOKEN", "what only its owner knows");
    tenant.ask("POST", "/v1/rqlite/exec", &json!({ "sql": "CREATE TABLE t(a TEXT)" }));
}

#[track_caller]
fn nothing_arrived(heir: &Tenant) {
    let rows = heir.ask("POST", "/v1/rqlite/query", &json!({ "sql": "SELECT * FROM t" }));
    assert_eq!(rows["count"], 0, "{rows}");
    let objects = heir.ask("GET", "/v1/rqlite/schema", &Value::Null);
    assert_eq!(objects["count"], 1, "{objects}");
    assert_eq!(heir.ask("GET", "/v1/storage/list", &Value::Null)["count"], 0);
    let entries = heir.ask("POST", "/v1/cache/scan", &json!({ "dmap": FUNCTION_MAP }));
    assert_eq!(entries["count"], 0, "{entries}");
}

#[test]
fn a_call_that_runs_ends_with_its_namespace() {
    let server = Server::start();
    let old = Tenant::found(&server, NAME);
    furnish(&old);
    let lingers = compiled(include_str!("../guests/lingers.wat"));
    old.deploy("lingers", &lingers, &[("timeout", "60")]);
    old.deploy("spins", &fixture("infinite_loop"), &[("timeout", "60")]);
    let call = |name: &str| old.http().open("POST", &format!("/v1/functions/{name}/invoke"), &[], b"").expect("sent");
    let calls = [call("lingers"), call("spins")];
    server.wait_for_running(2);
    let rows = || old.ask("POST", "/v1/rqlite/query", &json!({ "sql": "SELECT * FROM t" }))["count"].as_u64();
    let deadline = Instant::now() + PATIENCE;
    while rows().expect("a number") < 2 {
        assert!(Instant::now() < deadline, "it never writes");
    }
    let begun = Instant::now();
    let heir = pass_on(&server);
    for call in calls {
        let reply = call.reply().expect("answered");
        let error = &reply.json()["error"];
        assert_eq!((reply.status, &error["message"]), (404, &json!("the namespace was deleted")), "{reply:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(30), "they were not cut, it took {:?}", begun.elapsed());
    heir.deploy("lingers", &fixture("echo"), &[]);
    assert_eq!(heir.records("lingers", 0), [] as [Value; 0], "its log is not that of the old one");
    nothing_arrived(&heir);
}

/// The operator may send into every namespace, before and after.
#[test]
fn a_body_that_arrives_late_is_not_for_the_heir() {
    let server = Server::start();
    furnish(&Tenant::found(&server, NAME));
    let form = "--of-this-form\r\ncontent-disposition: form-data; name=\"file\"; filename=\"late\"\r\n\r\nlate\r\n\
                --of-this-form--\r\n";
    let script = "INSERT INTO t VALUES ('late'); CREATE TABLE late(a);";
    let upload = Begun::request(&server.http(), "/v1/storage/upload", FORM, form);
    let import = Begun::request(&server.http(), "/v1/rqlite/import", "application/sql", script);
    let heir = pass_on(&server);
    for (begun, message) in
        [(upload, "the namespace was deleted"), (import, "line 1: the database was removed with its namespace")]
    {
        let reply = begun.finished();
        assert_eq!((reply.status, &reply.json()["error"]), (404, &json!(message)), "{reply:?}");
    }
    nothing_arrived(&heir);
}

/// A request whose handler waits for the body.
struct Begun {
    stream: TcpStream,
    body: String,
}

impl Begun {
    #[track_caller]
    fn request(http: &Http, path: &str, content_type: &str, body: &str) -> Self {
        let length = body.len().to_string();
        let headers = [("content-type", content_type), ("content-length", &length), ("expect", "100-continue")];
        let mut stream = http.connect().expect("connected");
        let head = http.head("POST", &format!("{path}?namespace={NAME}"), &headers);
        stream.write_all(head.as_bytes()).expect("sent");
        // The server asks for the body when its handler does.
        let mut answer = [0; 25];
        stream.read_exact(&mut answer).expect("answered");
        assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
        Self { stream, body: body.to_owned() }
    }

    fn finished(mut self) -> Reply {
        self.stream.write_all(self.body.as_bytes()).expect("sent");
        let mut answer = Vec::new();
        self.stream.read_to_end(&mut answer).expect("answered");
        Reply::parse(&answer).expect("a whole answer")
    }
}
