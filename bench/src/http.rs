//! (b) The whole path over HTTP, beside a bare axum echo: `wrk` from the same machine, CPU a call of the server alone.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::routing::post;

use crate::report::{Report, us};
use crate::server::{self, Server};

/// The first argument with which this program is its own peer.
pub const PEER: &str = "__axum_echo";
const SECONDS: u32 = 4;
const BODY: &str = r#"{"name":"ada","data":{"a":1,"b":[1,2,3],"c":{"d":"e"}}}"#;

/// The peer: axum as its documentation shows it, on one runtime with a thread a core.
pub fn serve_peer() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("listening on http://{}", listener.local_addr()?);
        let app = Router::new().route("/echo", post(|body: bytes::Bytes| async move { body }));
        axum::serve(listener, app).await.context("serve")
    })
}

pub fn run() -> Result<Report> {
    let mut report = Report::new("HTTP echo, from the socket to the record");
    report.say("POST of 55 bytes, keep-alive. `orama` finds the function, checks limits, runs a fresh instance of a Zig guest, and writes the record of the call; `with key` also checks an API key. CPU is that of the server process, a request, in microseconds; the ratio is to axum in the same run.");
    let mut rows = Vec::new();
    for connections in [1, 16, 64] {
        rows.extend(compare(connections)?);
    }
    report.table(["server", "connections", "requests/s", "p50 us", "p99 us", "CPU us", "CPU ratio"], &rows);
    Ok(report)
}

fn compare(connections: u32) -> Result<Vec<[String; 7]>> {
    let (mut peer, url) = server::start(Command::new(std::env::current_exe()?).arg(PEER), "listening on ")?;
    let axum = load(&format!("{url}/echo"), None, connections, &peer.id().to_string());
    peer.kill()?;
    peer.wait()?;
    let axum = axum?;

    let folder = tempfile::tempdir()?;
    let server = Server::start(&folder.path().join("data"))?;
    server.deploy("echo", "name: echo\npublic: true\nconcurrency: 1000", &server::guest("echo-zig")?)?;
    let url = format!("{}/v1/invoke/default/echo", server.url);
    let plain = load(&url, None, connections, &server.pid())?;
    let keyed = load(&url, Some(&server.key), connections, &server.pid())?;
    let row = |name: &str, load: &Load| {
        let number = |value: f64| format!("{value:.0}");
        [
            name.to_owned(),
            connections.to_string(),
            number(load.rate),
            number(load.p50),
            number(load.p99),
            us(load.cpu),
            us(load.cpu / axum.cpu),
        ]
    };
    Ok(vec![row("axum", &axum), row("orama", &plain), row("orama with key", &keyed)])
}

/// What one round measured.
pub struct Load {
    /// Requests a second.
    pub rate: f64,
    /// Microseconds.
    pub p50: f64,
    pub p99: f64,
    /// CPU of the server, in microseconds a request.
    pub cpu: f64,
}

/// One bounded round of `wrk` against loopback.
pub fn load(url: &str, key: Option<&str>, connections: u32, pid: &str) -> Result<Load> {
    let headers: Vec<(&str, &str)> = key.iter().map(|key| ("X-API-Key", *key)).collect();
    load_with(url, &headers, connections, pid)
}

/// The same, with these headers.
pub fn load_with(url: &str, headers: &[(&str, &str)], connections: u32, pid: &str) -> Result<Load> {
    let folder = tempfile::tempdir()?;
    let script = folder.path().join("post.lua");
    let headers: String = headers.iter().map(|(name, value)| format!("wrk.headers['{name}']='{value}'\n")).collect();
    let report = "done = function(s, l, r) local e = s.errors; print('RESULT', s.requests, s.duration, l:percentile(50), l:percentile(99), e.status + e.connect + e.read + e.write + e.timeout) end";
    std::fs::write(&script, format!("wrk.method='POST'\nwrk.body='{BODY}'\n{headers}{report}\n"))?;
    let before = server::process_cpu(pid)?;
    let output = Command::new("wrk")
        .args(["-t1", &format!("-c{connections}"), &format!("-d{SECONDS}s"), "-s"])
        .arg(&script)
        .arg(url)
        .output()
        .context("run wrk; install it: cargo xtask setup")?;
    let cpu = server::process_cpu(pid)? - before;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line =
        text.lines().find_map(|line| line.strip_prefix("RESULT")).with_context(|| format!("wrk said: {text}"))?;
    let fields: Vec<f64> = line.split_whitespace().filter_map(|field| field.parse().ok()).collect();
    let [requests, duration, p50, p99, errors] = fields[..] else { anyhow::bail!("wrk said: {text}") };
    ensure!(errors == 0.0, "{errors} requests failed: {text}");
    Ok(Load { rate: requests / duration * 1e6, p50, p99, cpu: cpu.as_secs_f64() * 1e6 / requests })
}
