//! Orama beside its peers, in the same run on the same machine. The ratios count; the absolute figures are this machine's.
//!
//! `cargo run --profile fast -p bench [-- engine|http|data|sockets|workers|start|memory]` prints tables and writes `bench/results/`.
//! Needs the guests (`cargo xtask guests`), the binary `orama` of the same profile, and `wrk`, `redis-server`, `nats-server`, and `workerd` on `PATH` (`cargo xtask setup`).

mod bare;
mod data;
mod engine;
mod http;
mod report;
mod server;
mod sockets;
mod start;
mod workers;

use anyhow::{Result, bail};

use report::Report;

fn main() -> Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if wanted.first().is_some_and(|first| first == http::PEER) {
        return http::serve_peer();
    }
    if wanted.first().is_some_and(|first| first == sockets::CLIENT) {
        return sockets::run_client(&wanted[1..]);
    }
    if let Some(unknown) = wanted
        .iter()
        .find(|name| !["engine", "http", "data", "sockets", "workers", "start", "memory"].contains(&name.as_str()))
    {
        bail!("unknown benchmark `{unknown}`; there are engine, http, data, sockets, workers, start, memory");
    }
    // The HTTP client wants a provider, also for plain HTTP.
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    let all = wanted.is_empty();
    let asked = |name: &str| all || wanted.iter().any(|wanted| wanted == name);
    if asked("engine") {
        Report::write("engine", engine::run()?)?;
    }
    if asked("http") {
        Report::write("http", http::run()?)?;
    }
    if asked("data") {
        Report::write("data", data::run()?)?;
    }
    if asked("sockets") {
        Report::write("sockets", sockets::run()?)?;
    }
    if asked("workers") {
        Report::write("workers", workers::run()?)?;
    }
    if asked("start") || asked("memory") {
        Report::write("start-and-memory", start::run()?)?;
    }
    Ok(())
}
