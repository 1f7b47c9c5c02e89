//! The published example of code on a chain: stored there, called by the hash of its transaction, its signed reply verified.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::command::{command, output, run};
use crate::places::Places;
use crate::server::Server;

const QUESTION: &str = r#"{"num": 60000}"#;
const ANSWER: &str = "2,2,2,2,2,3,5,5,5,5";

pub fn deploy_and_call(places: &Places, server: &Server) -> Result<()> {
    println!("\n== code from a chain");
    let folder = tempfile::tempdir().context("make a folder")?;
    let client = || server.client(places, folder.path());
    let code = places.root.join("examples/factor-worker/index.js");
    let deployed =
        output(client().args(["oyster", "deploy", "--json"]).arg(code)).context("store code on the chain")?;
    let deployed: Value = serde_json::from_str(&deployed).context("read what was deployed")?;
    let label = deployed["label"].as_str().context("a label")?;
    let address = server.address.trim_start_matches("http://");
    let (host, port) = address.rsplit_once(':').context("an address has a port")?;
    let url = format!("http://{label}.localhost:{port}/");
    println!("call     {url} {QUESTION}");
    let mut curl = command(places, "curl", folder.path());
    curl.args(["-sS", "-i", "--noproxy", "*", "--resolve", &format!("{label}.localhost:{port}:{host}")]);
    run(curl.args(["-d", QUESTION, "-o", "reply.txt", &url]))?;
    let reply = fs::read_to_string(folder.path().join("reply.txt")).context("read the reply")?;
    println!("reply    {}", reply.replace('\n', "\n         "));
    ensure!(reply.ends_with(ANSWER), "the factors of 60000 are {ANSWER}");
    let keys = output(client().args(["receipts", "keys"])).context("read the keys of the node")?;
    fs::write(folder.path().join("keys.json"), keys).context("write keys.json")?;
    run(client().args(["verify", "reply.txt", "--url", &url, "--data", QUESTION, "--keys", "keys.json"]))
}
