//! Starts Orama with the examples deployed, calls each, and says what to try next.

mod events;
mod oyster;
mod webhook;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::command::{output, run, run_quietly};
use crate::guests;
use crate::places::Places;
use crate::server::{self, Server};
use crate::setup::{self, Scope};

const ADDRESS: &str = "127.0.0.1:6001";
/// A record is written moments behind the reply.
const LOG_WAIT: Duration = Duration::from_secs(10);

pub fn run_up(places: &Places, check: bool) -> Result<()> {
    setup::run(places, Scope::Run)?;
    server::build(places)?;
    match check {
        true => check_examples(places),
        false => stay(places),
    }
}

/// On a free port and in a folder that goes away.
fn check_examples(places: &Places) -> Result<()> {
    let folder = tempfile::tempdir().context("make a folder")?;
    let config_home = Some(folder.path().join("config"));
    let server = Server::start(places, "127.0.0.1:0", &folder.path().join("data"), config_home)?;
    let called = deploy_and_call_all(places, &server)?;
    server.stop()?;
    println!("up --check: {called} examples deployed and called");
    Ok(())
}

fn stay(places: &Places) -> Result<()> {
    outlive_ctrl_c()?;
    let mut server = Server::start(places, ADDRESS, &places.root.join("orama-data"), None)?;
    deploy_and_call_all(places, &server)?;
    println!("{}", what_next(places, &server));
    server.wait()
}

/// Ctrl-C reaches the server too, which then ends in good order; we wait for it.
fn outlive_ctrl_c() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")?;
    // Registered at the first poll, for the rest of our life.
    runtime.block_on(async {
        tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => {}
            () = std::future::ready(()) => {}
        }
    });
    Ok(())
}

fn deploy_and_call_all(places: &Places, server: &Server) -> Result<usize> {
    let mut called = 0;
    for example in examples(places)? {
        if is_rust(&example) && !guests::has_rust_target(places) {
            println!("\n== {} is left out: the target wasm32-wasip1 is missing", name(&example));
            continue;
        }
        deploy_and_call(places, server, &example).with_context(|| format!("the example `{}`", name(&example)))?;
        called += 1;
    }
    oyster::deploy_and_call(places, server)?;
    Ok(called)
}

/// The folders in `examples/`, by name.
fn examples(places: &Places) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(places.root.join("examples")).context("read the folder `examples`")?;
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    folders.retain(|folder| folder.join("function.yaml").is_file() && !name(folder).starts_with('.'));
    folders.sort();
    Ok(folders)
}

fn name(example: &Path) -> String {
    example.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn is_rust(example: &Path) -> bool {
    example.join("Cargo.toml").is_file()
}

fn deploy_and_call(places: &Places, server: &Server, example: &Path) -> Result<()> {
    let name = name(example);
    println!("\n== {name}");
    match name.as_str() {
        "webhook-caller" => webhook::call(example, |here| deploy_and_call_in(places, server, here, &name)),
        _ => deploy_and_call_in(places, server, example, &name),
    }
}

fn deploy_and_call_in(places: &Places, server: &Server, example: &Path, name: &str) -> Result<()> {
    let client = || -> Command { server.client(places, example) };
    if name == "webhook-caller" {
        run(client().args(["function", "secrets", "set", "WEBHOOK_KEY", "a key for this machine alone"]))?;
    }
    run_quietly(client().args(["function", "build"]))?;
    run(client().args(["function", "deploy", "--if-changed"]))?;
    let sample = fs::read_to_string(example.join("sample.json")).context("read sample.json")?;
    println!("call     {}", sample.trim());
    let reply = output(client().args(["function", "invoke", name, "--data", "@sample.json"]));
    println!("reply    {}", shortened(&reply.with_context(|| format!("call `{name}`"))?));
    let log = log_of(|| output(client().args(["function", "logs", name, "--limit", "1"])))?;
    println!("log      {}", log.replace('\n', "\n         "));
    events::cause(name, &client)
}

/// The beginning of a long reply.
fn shortened(reply: &str) -> String {
    match reply.char_indices().nth(600) {
        Some((end, _)) => format!("{} …", &reply[..end]),
        None => reply.to_owned(),
    }
}

/// The log of a call that has just ended.
fn log_of(read: impl Fn() -> Option<String>) -> Result<String> {
    let started = Instant::now();
    while started.elapsed() < LOG_WAIT {
        match read() {
            Some(log) if log.lines().count() > 1 => return Ok(log),
            _ => thread::sleep(Duration::from_millis(50)),
        }
    }
    bail!("no record of the call appeared within {} s", LOG_WAIT.as_secs())
}

fn what_next(places: &Places, server: &Server) -> String {
    let (address, chain) = (&server.address, server.chain());
    let folder = places.orama();
    let folder = folder.parent().unwrap_or(&places.root).display();
    format!(
        "
Orama is running at {address}. Try in another terminal:

  export PATH=\"{folder}:$PATH\"
  orama function list
  orama function invoke guestbook --data '{{\"name\": \"Grace\", \"text\": \"Second page\"}}'
  orama db query 'SELECT * FROM guestbook'
  orama function invoke word-count-rust --data '{{\"text\": \"to be or not to be\"}}'
  orama function logs word-count-rust -f
  curl -H \"Authorization: Bearer $(cat orama-data/admin.key)\" -d hello '{address}/v1/functions/http-echo-c/invoke?x=1'
  orama pubsub subscribe chat:lobby
  orama function triggers list
  curl http://factor-worker.default.localhost:6001/ -d '{{\"num\": 60000}}'
  orama oyster deploy examples/factor-worker/index.js --rpc {chain}
  orama function init my-function && cd my-function && orama function deploy

Talk to yourself in two pages of a browser:

  {address}/v1/invoke/default/chat-room?user=ada
  {address}/v1/invoke/default/chat-room?user=grace

Ctrl-C stops it; what was deployed stays in orama-data."
    )
}
