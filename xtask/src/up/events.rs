//! What makes the examples with triggers run: a message, a night, a change of a table.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::command::{output, run, run_quietly};

/// A triggered call comes moments behind its cause, and its record moments behind that.
const PATIENCE: Duration = Duration::from_secs(20);

/// Causes what the example waits for, and waits until it was called.
pub fn cause(name: &str, client: &impl Fn() -> Command) -> Result<()> {
    match name {
        "call-push-handler" => seen(name, "pubsub", client, || invite(client)),
        "nightly-report" => seen(name, "cron", client, || night(client)),
        "audit-trail" => seen(name, "database", client, || change(client)),
        _ => Ok(()),
    }
}

fn invite(client: &impl Fn() -> Command) -> Result<()> {
    let triggers = output(client().args(["function", "triggers", "list", "call-push-handler"])).unwrap_or_default();
    if !triggers.contains("calls:invite") {
        run(client().args(["function", "triggers", "add", "call-push-handler", "--topic", "calls:invite"]))?;
    }
    let message = r#"{"calleeId": "grace", "callerName": "Ada", "callType": "video"}"#;
    println!("publish  calls:invite {message}");
    run(client().args(["pubsub", "publish", "calls:invite", message]))
}

fn night(client: &impl Fn() -> Command) -> Result<()> {
    println!("night    2026-01-02T02:00:00Z");
    run(client().args(["function", "triggers", "run", "nightly-report", "--at", "2026-01-02T02:00:00Z"]))
}

fn change(client: &impl Fn() -> Command) -> Result<()> {
    let table = "CREATE TABLE IF NOT EXISTS accounts (id INTEGER PRIMARY KEY, owner TEXT, balance INTEGER)";
    run_quietly(client().args(["db", "exec", table]))?;
    let insert = "INSERT INTO accounts (owner, balance) VALUES ('ada', 100)";
    println!("change   {insert}");
    run_quietly(client().args(["db", "exec", insert]))
}

/// Waits until one more call of this kind is in the log.
fn seen(name: &str, kind: &str, client: &impl Fn() -> Command, cause: impl FnOnce() -> Result<()>) -> Result<()> {
    let before = calls(name, kind, client)?;
    cause()?;
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if calls(name, kind, client)? > before {
            println!("called   {name}, by its trigger");
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
    bail!("`{name}` was not called within {} s", PATIENCE.as_secs())
}

fn calls(name: &str, kind: &str, client: &impl Fn() -> Command) -> Result<usize> {
    let log = output(client().args(["--json", "function", "logs", name, "--limit", "500"])).context("read the log")?;
    let wanted = [format!("\"trigger_type\":\"{kind}\""), format!("\"trigger_type\": \"{kind}\"")];
    Ok(wanted.iter().map(|wanted| log.matches(wanted.as_str()).count()).sum())
}
