//! (g) JavaScript workers: a hello through Orama beside workerd alone, the first request, memory, and a neighbour that spins.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::http::{Load, load_with};
use crate::report::{Report, us};
use crate::server::Server;

const HELLO: &str = "export default { async fetch() { return new Response(\"hello\\n\"); } };\n";
const SPIN: &str = "export default { async fetch() { for (;;) {} } };\n";
const HOARD: &str =
    "export default { async fetch() { const all = []; for (;;) all.push(new Array(100000).fill(all.length)); } };\n";
/// What workerd alone is given; the same limits as ours, which are none of its own.
const CONFIG: &str = r#"using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = (modules = [(name = "index.js", esModule = embed "index.js")], compatibilityDate = "2023-03-07")),
              (name = "internet", network = (allow = []))],
  sockets = [(name = "http", http = (), service = "main")]
);
"#;
const ROUNDS: usize = 20;
/// The most that may come between the start of a runtime and its first answer.
const PATIENCE: Duration = Duration::from_secs(10);

pub fn run() -> Result<Report> {
    let mut report = Report::new("JavaScript workers");
    report.say("A hello, keep-alive, by `wrk` on the same machine. `orama` is the worker on its own host name: jail, limits, deadline, log and record of each call. The ratio is to workerd alone, one process, in the same run.");
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("index.js"), HELLO)?;
    fs::write(folder.path().join("config.capnp"), CONFIG)?;
    let server = Server::start_with(&folder.path().join("data"), &[("ORAMA_ENGINE_WORKERS_MAX", "200")])?;
    server.deploy("hello", &manifest("hello"), HELLO.as_bytes())?;
    first_reply(&server, "hello")?;
    let mut rows = Vec::new();
    for connections in [1, 16, 64] {
        rows.extend(compare(&server, folder.path(), connections)?);
    }
    report.table(["server", "connections", "requests/s", "ratio", "p50 us", "p99 us"], &rows);
    let mut alone: Vec<f64> = (0..ROUNDS).map(|_| cold_start(folder.path())).collect::<Result<_>>()?;
    let (mut deployed, mut reserved) = (Vec::new(), Vec::new());
    for number in 0..ROUNDS {
        // The process that looked at the code is there for the first call, unless younger ones are in its place.
        let names = ["first", "other", "third", "fourth"].map(|name| format!("{name}{number}"));
        for name in &names {
            server.deploy(name, &manifest(name), format!("{HELLO}// {name}\n").as_bytes())?;
        }
        for (name, replies) in [(&names[3], &mut deployed), (&names[0], &mut reserved)] {
            quiet()?;
            replies.push(first_reply(&server, name)?);
        }
    }
    report.table(
        ["the first reply", "median ms", "slowest ms"],
        &[
            summary("workerd, from its start", &mut alone),
            summary("orama, of a worker just deployed", &mut deployed),
            summary("orama, of a worker never called, by a process in reserve", &mut reserved),
        ],
    );
    let (processes, mib) = runtimes()?;
    report.table(
        ["processes of workerd", "MiB each, shared pages divided"],
        &[[processes.to_string(), us(mib / processes as f64)]],
    );
    report.table(
        ["p99 us of the hello, 16 connections", "alone", "beside it", "ratio"],
        &[
            neighbour(&server, "a worker that spins", "spin", SPIN)?,
            neighbour(&server, "one that takes all its memory, over and over", "hoard", HOARD)?,
        ],
    );
    Ok(report)
}

fn manifest(name: &str) -> String {
    format!("name: {name}\nengine: worker\nlanguage: js\npublic: true\nconcurrency: 1000\ntimeout: 2")
}

fn host(name: &str) -> String {
    format!("{name}.default.localhost")
}

fn compare(server: &Server, folder: &Path, connections: u32) -> Result<[[String; 6]; 2]> {
    let (mut child, url) = alone(folder)?;
    let theirs = load_with(&url, &[], connections, &child.id().to_string());
    child.kill()?;
    child.wait()?;
    let theirs = theirs?;
    let ours = load_with(&server.url, &[("Host", &host("hello"))], connections, &server.pid())?;
    let row = |name: &str, load: &Load| {
        let number = |value: f64| format!("{value:.0}");
        let ratio = us(load.rate / theirs.rate);
        [name.to_owned(), connections.to_string(), number(load.rate), ratio, number(load.p50), number(load.p99)]
    };
    Ok([row("workerd", &theirs), row("orama", &ours)])
}

/// workerd without us, once it listens, and where.
fn alone(folder: &Path) -> Result<(Child, String)> {
    let mut workerd = Command::new("workerd");
    workerd.args(["serve", "config.capnp", "--socket-addr", "http=127.0.0.1:0", "--control-fd=1"]).current_dir(folder);
    let started = workerd.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child =
        started.context("start workerd; it is in `tools/node_modules/.wanted` after `cargo xtask setup`")?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("workerd has an output")?).read_line(&mut line)?;
    let event: serde_json::Value = serde_json::from_str(&line).context("read where workerd listens")?;
    let port = event["port"].as_u64().context("read the port of workerd")?;
    Ok((child, format!("http://127.0.0.1:{port}/")))
}

/// Milliseconds from the start of workerd to the end of its first reply.
fn cold_start(folder: &Path) -> Result<f64> {
    let client = reqwest::blocking::Client::builder().no_proxy().timeout(PATIENCE).build()?;
    let started = Instant::now();
    let (mut child, url) = alone(folder)?;
    let replied = client.get(&url).send().and_then(|reply| reply.error_for_status()?.text());
    let took = started.elapsed();
    child.kill()?;
    child.wait()?;
    ensure!(replied? == "hello\n", "workerd says hello");
    Ok(took.as_secs_f64() * 1e3)
}

/// Returns when this machine has nothing to do: what a deploy begins goes on behind it.
fn quiet() -> Result<()> {
    const LOOK: Duration = Duration::from_millis(100);
    let busy = || -> Result<u64> {
        let stat = fs::read_to_string("/proc/stat").context("read what the machine does")?;
        let ticks: Vec<u64> = stat.split_whitespace().skip(1).take(8).filter_map(|tick| tick.parse().ok()).collect();
        // All but idle and waiting for disks, in hundredths of a second (proc_stat(5)).
        Ok(ticks.iter().sum::<u64>() - ticks[3] - ticks[4])
    };
    for _ in 0..100 {
        let before = busy()?;
        std::thread::sleep(LOOK);
        if busy()? - before <= 1 {
            return Ok(());
        }
    }
    bail!("this machine has other things to do")
}

/// Milliseconds of one request to a worker on its host name.
fn first_reply(server: &Server, name: &str) -> Result<f64> {
    let started = Instant::now();
    let request = server.client.get(&server.url).header("host", host(name));
    let text = request.send()?.error_for_status()?.text()?;
    ensure!(text == "hello\n", "the worker says hello");
    Ok(started.elapsed().as_secs_f64() * 1e3)
}

fn summary(name: &str, times: &mut [f64]) -> [String; 3] {
    times.sort_by(f64::total_cmp);
    [name.to_owned(), us(times[times.len() / 2]), us(times[times.len() - 1])]
}

/// All processes of workerd here, and their memory, where what several share counts in parts.
fn runtimes() -> Result<(usize, f64)> {
    let mut all = (0, 0.0);
    for entry in fs::read_dir("/proc")?.flatten() {
        let is_runtime = fs::read_to_string(entry.path().join("comm")).is_ok_and(|name| name.trim() == "workerd");
        let Some(text) = is_runtime.then(|| fs::read_to_string(entry.path().join("smaps_rollup")).ok()).flatten()
        else {
            continue;
        };
        let share =
            text.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        all = (all.0 + 1, all.1 + share.unwrap_or_default() / 1024.0);
    }
    ensure!(all.0 > 0, "some worker runs");
    Ok(all)
}

fn neighbour(server: &Server, what: &str, name: &str, code: &str) -> Result<[String; 4]> {
    server.deploy(name, &manifest(name), code.as_bytes())?;
    quiet()?;
    let hello = || load_with(&server.url, &[("Host", &host("hello"))], 16, &server.pid());
    let before = hello()?.p99;
    let over = AtomicBool::new(false);
    let beside = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                // It is ended at its deadline or its limit, which is what we are here for.
                let _ = server.client.get(&server.url).header("host", host(name)).send();
            }
        });
        let beside = hello();
        over.store(true, Ordering::Relaxed);
        beside
    })?
    .p99;
    Ok([what.to_owned(), format!("{before:.0}"), format!("{beside:.0}"), us(beside / before)])
}
