//! (f) Ten thousand WebSockets: what an idle one costs, and how long a message to all of them takes, beside NATS.
//!
//! The subscribers live in a process of their own (`client.rs`), one for both servers, so that the ratio is that of the servers.

mod client;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::report::{Report, us};
use crate::server::{Server, resident_mib};

pub use client::run as run_client;

/// The first argument of the process with the subscribers.
pub const CLIENT: &str = "__subscribers";
const SOCKETS: u32 = 10_000;
const ROUNDS: u32 = 21;
/// All come from one address.
const LIMITS: [(&str, &str); 3] = [
    ("ORAMA_LIMITS_CONNECTIONS_MAX", "20000"),
    ("ORAMA_LIMITS_CONNECTIONS_PER_ADDRESS_MAX", "20000"),
    ("ORAMA_LIMITS_SOCKETS_PER_NAMESPACE_MAX", "10000"),
];
/// A function that holds its socket and answers nothing.
const GUEST: &str = r#"(module
    (memory (export "memory") 1)
    (func (export "malloc") (param i32) (result i32) (i32.const 1024))
    (func (export "_initialize"))
    (func (export "ws_open") (param i32 i32) (result i32) (i32.const 0))
    (func (export "ws_frame") (param i32 i32) (result i32) (i32.const 0))
    (func (export "ws_close") (param i32 i32)))"#;

pub fn run() -> Result<Report> {
    let mut report = Report::new("Ten thousand WebSockets");
    report.say("Memory is that of the server process, resident, before and after the sockets were opened and had rested. A round is one message of 64 bytes, from the moment that one of the clients sends it to the moment that the last of all has it; the median of the rounds. Clients are a process of their own, the same for both servers.");
    let folder = tempfile::tempdir()?;
    let server = Server::start_with(&folder.path().join("data"), &LIMITS)?;
    let host = server.url.trim_start_matches("http://");
    let mut memory = Vec::new();
    let subscribed = format!("ws://{host}/v1/pubsub/ws?topic=all&api_key={}", server.key);
    let (ours, idle) = measure(&server.pid(), Target::Orama(&subscribed))?;
    memory.push(["a subscriber of a topic".to_owned(), us(idle), "10".to_owned()]);
    let guest = wat::parse_str(GUEST).context("assemble the guest")?;
    server.deploy("hold", "name: hold\npublic: true\nws_persistent: true\nconcurrency: 1000", &guest)?;
    let held = format!("ws://{host}/v1/functions/hold/ws?namespace=default&api_key={}", server.key);
    memory.push(["one with an open function".to_owned(), us(idle_only(&server.pid(), &held)?), "25".to_owned()]);
    drop(server);
    report.table(["idle socket", "KiB each", "to reach, KiB"], &memory);
    let nats = Nats::start(folder.path())?;
    let (theirs, idle) = measure(&nats.child.id().to_string(), Target::Nats(&nats.address))?;
    report.table(
        ["a message to all of 10,000", "ms", "to NATS", "KiB a client"],
        &[
            ["NATS core".to_owned(), us(theirs), "1.00".to_owned(), us(idle)],
            ["orama, WebSocket".to_owned(), us(ours), us(ours / theirs), memory[0][1].clone()],
        ],
    );
    Ok(report)
}

#[derive(Clone, Copy)]
enum Target<'a> {
    Orama(&'a str),
    Nats(&'a str),
}

/// Milliseconds for a message to all, and KiB for each idle socket.
fn measure(pid: &str, target: Target) -> Result<(f64, f64)> {
    let before = resident_mib(pid)?;
    let mut clients = Clients::start(target, SOCKETS)?;
    let idle = kib_each(before, resident_mib(pid)?);
    let mut rounds: Vec<f64> = (0..ROUNDS).map(|_| clients.round()).collect::<Result<_>>()?;
    rounds.sort_by(f64::total_cmp);
    Ok((rounds[rounds.len() / 2], idle))
}

fn idle_only(pid: &str, url: &str) -> Result<f64> {
    let before = resident_mib(pid)?;
    let _clients = Clients::start(Target::Orama(url), SOCKETS)?;
    Ok(kib_each(before, resident_mib(pid)?))
}

fn kib_each(before_mib: f64, after_mib: f64) -> f64 {
    (after_mib - before_mib) * 1024.0 / f64::from(SOCKETS)
}

/// The process with the subscribers; ended when dropped.
struct Clients {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Clients {
    /// Returns when all are connected.
    fn start(target: Target, count: u32) -> Result<Self> {
        let (kind, address) = match target {
            Target::Orama(url) => ("websocket", url),
            Target::Nats(address) => ("nats", address),
        };
        let mut command = Command::new(std::env::current_exe().context("find this program")?);
        command.args([CLIENT, kind, address, &count.to_string()]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("start the subscribers")?;
        let orders = child.stdin.take().context("write to the subscribers")?;
        let answers = BufReader::new(child.stdout.take().context("read from the subscribers")?);
        let mut clients = Self { child, orders, answers };
        let ready = clients.answer()?;
        ensure!(ready == "ready", "the subscribers said {ready:?}");
        Ok(clients)
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    /// Milliseconds until all had one message.
    fn round(&mut self) -> Result<f64> {
        self.orders.write_all(b"publish\n")?;
        let answer = self.answer()?;
        answer.parse().with_context(|| format!("the subscribers said {answer:?}"))
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        // Already gone is as good.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A NATS server of our own; ended when dropped.
struct Nats {
    child: Child,
    address: String,
}

impl Nats {
    fn start(folder: &Path) -> Result<Self> {
        let mut command = Command::new("nats-server");
        // It chooses a free port and writes it down.
        command.args(["--addr", "127.0.0.1", "--port", "-1", "--ports_file_dir"]).arg(folder);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().context("run nats-server; install it: cargo xtask setup")?;
        let file = folder.join(format!("nats-server_{}.ports", child.id()));
        for _ in 0..500 {
            if let Some(address) = std::fs::read_to_string(&file).ok().and_then(|text| address_in(&text)) {
                return Ok(Self { child, address });
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        child.kill().ok();
        anyhow::bail!("nats-server wrote no `{}`", file.display())
    }
}

fn address_in(ports: &str) -> Option<String> {
    let ports: serde_json::Value = serde_json::from_str(ports).ok()?;
    ports["nats"][0].as_str()?.strip_prefix("nats://").map(str::to_owned)
}

impl Drop for Nats {
    fn drop(&mut self) {
        // Already gone is as good.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
