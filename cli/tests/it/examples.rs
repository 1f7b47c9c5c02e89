//! The examples of the documents, built with the SDK of this tree, deployed and called as their authors would.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use crate::support::Server;

/// A copy of an example in a folder beside a copy of the SDK, so that the tests leave no modules in the tree.
pub fn copy(server: &Server, name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let sdk = server.folder().join("sdk/go");
    if !sdk.exists() {
        copy_folder(&root.join("sdk/go"), &sdk);
    }
    let folder = server.folder().join("examples").join(name);
    copy_folder(&root.join("examples").join(name), &folder);
    folder
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("the folder is there").flatten() {
        let target = to.join(entry.file_name());
        match entry.path() {
            path if path.is_dir() => copy_folder(&path, &target),
            path if path.extension().is_some_and(|extension| extension == "wasm") => {}
            path => drop(fs::copy(path, target).expect("copied")),
        }
    }
}

pub fn deploy(server: &Server, folder: &Path) {
    server.orama_in(folder, ["function", "build"]).ok();
    server.orama_in(folder, ["function", "deploy"]).ok();
}

fn call(server: &Server, name: &str, input: &str) -> serde_json::Value {
    let reply = server.http().post(&format!("/v1/functions/{name}/invoke"), input.as_bytes());
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json()
}

#[test]
fn the_guestbook_keeps_its_entries_in_sql() {
    let mut server = Server::start();
    let folder = copy(&server, "guestbook");
    deploy(&server, &folder);
    let first = call(&server, "guestbook", r#"{"name":"Ada","text":"it's \"quoted\"; DROP TABLE guestbook"}"#);
    assert_eq!(first["count"], 1, "{first}");
    assert_eq!(first["entries"][0]["text"], "it's \"quoted\"; DROP TABLE guestbook");
    assert_eq!(first["entries"][0]["wallet"], "default");
    let refused = server.http().post("/v1/functions/guestbook/invoke", br#"{"name":"","text":"nobody"}"#);
    assert_eq!(refused.status, 500);
    assert!(refused.body.contains("a name has 1 to 100 characters"), "{}", refused.body);
    server.kill();
    server.restart();
    let again = call(&server, "guestbook", "{}");
    assert_eq!((&again["count"], &again["signed"]), (&1.into(), &false.into()), "{again}");
    let rows = server.http().post("/v1/rqlite/query", br#"{"sql":"SELECT name FROM guestbook"}"#).json();
    assert_eq!(rows["items"], serde_json::json!([{"name": "Ada"}]));
}

#[test]
fn the_rate_limiter_counts_each_caller_for_itself() {
    let server = Server::start();
    let folder = copy(&server, "rate-limiter");
    // A window that no test outlasts.
    let manifest = fs::read_to_string(folder.join("function.yaml")).expect("a manifest");
    fs::write(folder.join("function.yaml"), manifest.replace("\"60\"", "\"1000000000\"")).expect("written");
    deploy(&server, &folder);
    let allowed = |key: &str| call(&server, "rate-limiter", &format!(r#"{{"key":"{key}"}}"#))["allowed"] == true;
    let ada: Vec<bool> = (0..7).map(|_| allowed("ada")).collect();
    assert_eq!(ada, [true, true, true, true, true, false, false]);
    assert!(allowed("grace"));
}

#[test]
fn the_hash_pipeline_stores_what_its_identifiers_say() {
    let server = Server::start();
    let folder = copy(&server, "hash-pipeline");
    deploy(&server, &folder);
    let made = call(&server, "hash-pipeline", r#"{"name":"note.txt","text":"hello"}"#);
    assert_eq!(made["sha256"], "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    // What `ipfs add --cid-version=1 --raw-leaves` prints for the same five bytes.
    assert_eq!(made["content"], "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq");
    let digest = made["digest"].as_str().expect("an identifier");
    let document = server.http().get(&format!("/v1/storage/get/{digest}")).json();
    assert_eq!((&document["bytes"], &document["start"]), (&5.into(), &"hello".into()), "{document}");
    assert_eq!(call(&server, "hash-pipeline", r#"{"name":"note.txt","text":"hello"}"#)["known"], true);
}

#[test]
fn the_webhook_caller_signs_what_it_sends() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let mut server = Server::prepared();
    server.set_environment([("ORAMA_EGRESS_PRIVATE", "127.0.0.0/8".as_ref())]);
    server.restart();
    let folder = copy(&server, "webhook-caller");
    let manifest = fs::read_to_string(folder.join("function.yaml")).expect("a manifest");
    let here = manifest.replace("https://hooks.example.com", &format!("http://{address}"));
    fs::write(folder.join("function.yaml"), here).expect("written");
    deploy(&server, &folder);
    let call = |input: &[u8]| server.http().post("/v1/functions/webhook-caller/invoke", input);

    let unset = call(b"{}");
    assert!(unset.body.contains("no secret `WEBHOOK_KEY`"), "{}", unset.body);
    server.orama(["function", "secrets", "set", "WEBHOOK_KEY", "key"]).ok();
    let refused = call(b"{}");
    assert!(refused.body.contains("egress"), "function.yaml lists another host: {}", refused.body);

    let listed = fs::read_to_string(folder.join("function.yaml")).expect("a manifest");
    fs::write(folder.join("function.yaml"), listed.replace("hooks.example.com", &address)).expect("written");
    server.orama_in(&folder, ["function", "deploy"]).ok();
    let received = std::thread::spawn(move || receive(&listener));
    let sent = call(br#"{"event":"signed-up"}"#);
    let (head, body) = received.join().expect("a request came");
    assert_eq!(body, r#"{"event":"signed-up"}"#);
    // HMAC-SHA256 of the body with the key `key`, as Python's `hmac` computes it.
    let signature = "sha256=fbdbf72ce3391c2527444cf6c9ba8f0032785b0aad49cef7c8ab2b31e26612d1";
    assert!(head.to_lowercase().contains(&format!("x-signature: {signature}")), "{head}");
    assert_eq!((sent.json()["status"].as_u64(), sent.json()["answer"].as_str()), (Some(202), Some("thanks")));
}

fn receive(listener: &TcpListener) -> (String, String) {
    let mut reader = BufReader::new(listener.accept().expect("somebody comes").0);
    let mut head = String::new();
    while reader.read_line(&mut head).expect("a head") > 2 {}
    let lower = head.to_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    let mut body = vec![0; length.trim().parse().expect("a number")];
    reader.read_exact(&mut body).expect("a body");
    let answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 6\r\nConnection: close\r\n\r\nthanks";
    reader.get_mut().write_all(answer).expect("answered");
    (head, String::from_utf8(body).expect("a text"))
}
