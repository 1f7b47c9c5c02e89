//! Code that nobody deployed here: stored on a real chain, called by the hash of its transaction, signed, and verified.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::{Reply, Server};

/// A chain of our own, which ends with the test.
struct Chain {
    node: Child,
    rpc: String,
}

impl Chain {
    fn start() -> Self {
        let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let program = format!("../tools/node_modules/@foundry-rs/anvil-linux-{machine}/bin/anvil");
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(program);
        let mut anvil = Command::new(program);
        anvil.args(["--host", "127.0.0.1", "--port", "0"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut node = anvil.spawn().expect("the chain needs a package of npm; run `cargo xtask setup`");
        let mut lines = BufReader::new(node.stdout.take().expect("stdout is a pipe")).lines();
        let listening = lines.by_ref().find_map(|line| {
            line.expect("stdout is text").strip_prefix("Listening on ").map(|address| format!("http://{address}"))
        });
        // What else it prints must not block it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { node, rpc: listening.expect("it says where it listens") }
    }

    /// A server that takes code from this chain.
    fn server(&self) -> Server {
        let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "64" };
        let workerd = format!("../tools/node_modules/@cloudflare/workerd-linux-{machine}/bin/workerd");
        let workerd = Path::new(env!("CARGO_MANIFEST_DIR")).join(workerd);
        let mut server = Server::prepared();
        server.set_environment([("ORAMA_CHAIN_RPC", self.rpc.as_ref()), ("ORAMA_ENGINE_WORKERD", workerd.as_os_str())]);
        server.restart();
        server
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.node.kill();
        let _ = self.node.wait();
    }
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/factor-worker/index.js")
}

/// The bytes of an answer, head and body, to a request for a host.
fn ask(server: &Server, host: &str, extra: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let request = format!(
        "POST / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n{extra}\r\n{body}"
    );
    let mut stream = server.http().connect().expect("the server listens");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers");
    answer
}

fn port(server: &Server) -> &str {
    server.address().rsplit(':').next().expect("a port")
}

#[test]
fn the_documents_own_example_works_from_the_chain_to_the_verified_reply() {
    let chain = Chain::start();
    let server = chain.server();
    let file = example().display().to_string();
    let deployed = server.orama(["oyster", "deploy", &file, "--rpc", &chain.rpc, "--json"]);
    let deployed: Value = serde_json::from_str(deployed.ok()).expect("JSON");
    let label = deployed["label"].as_str().expect("a label");
    let host = format!("{label}.localhost:{}", port(&server));

    let answer = ask(&server, &host, "", r#"{"num": 60000}"#);
    let reply = Reply::parse(&answer).expect("a whole answer");
    assert_eq!((reply.status, reply.body.as_str()), (200, "2,2,2,2,2,3,5,5,5,5"), "{reply:?}");
    assert_eq!(reply.header("x-oyster-signature").map(str::len), Some(130));
    assert!(reply.header("x-oyster-timestamp").is_some_and(|seconds| seconds.parse::<u64>().is_ok()));
    let lower = ask(&server, &host.to_lowercase(), "", r#"{"num": 7}"#);
    assert_eq!(Reply::parse(&lower).map(|reply| reply.body).as_deref(), Some("7"));

    let keys = server.http().without_key().get("/.well-known/orama-keys.json");
    fs::write(server.folder().join("keys.json"), &keys.body).expect("written");
    fs::write(server.folder().join("reply.txt"), &answer).expect("written");
    let url = format!("http://{host}/");
    let verify = |data: &str| {
        server.orama(["verify", "reply.txt", "--url", &url, "--data", data, "--keys", "keys.json", "--json"])
    };
    let verified: Value = serde_json::from_str(verify(r#"{"num": 60000}"#).ok()).expect("JSON");
    let published = keys.json();
    let addresses = published["keys"].as_array().expect("a list").iter().map(|key| &key["ethereum_address"]);
    assert!({ addresses }.any(|address| *address == verified["signer"]), "{verified} {published}");
    assert_eq!(verify(r#"{"num": 60001}"#).code, Some(1));
}

#[test]
fn what_is_on_no_chain_is_told_as_the_original_tells_it() {
    let chain = Chain::start();
    let server = chain.server();
    let unknown = format!("{}.localhost", "A".repeat(52));
    let told = |host: &str, extra: &str| Reply::parse(&ask(&server, host, extra, "")).expect("a whole answer");
    let plain = told(&unknown, "");
    assert_eq!(
        (plain.status, plain.body.trim_end()),
        (400, "failed to create code file\n\nCaused by:\n    tx not found")
    );
    assert!(plain.header("x-oyster-signature").is_none());
    let envelope = told(&unknown, "Accept: application/json\r\n");
    assert_eq!((envelope.status, &envelope.json()["ok"]), (400, &Value::Bool(false)));
}

#[test]
fn a_key_in_a_file_pays_as_well() {
    let chain = Chain::start();
    let server = Server::start();
    // The first account of every chain of this kind, for tests only.
    let key = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
    let path = server.folder().join("wallet.key");
    fs::write(&path, key).expect("written");
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("changed");
    let file = example().display().to_string();
    let deployed = server.orama(["oyster", "deploy", &file, "--rpc", &chain.rpc, "--key-file", "wallet.key", "--json"]);
    let deployed: Value = serde_json::from_str(deployed.ok()).expect("JSON");
    let transaction = deployed["transaction"].as_str().expect("a hash");
    let label = server.orama(["oyster", "label", transaction]);
    assert_eq!(Some(label.ok().trim_end()), deployed["label"].as_str());
}
