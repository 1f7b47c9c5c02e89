//! (c) Start with 1,000 deployed functions and first calls; (d) memory at rest and per function.

use std::time::Instant;

use anyhow::{Context, Result};

use crate::report::Report;
use crate::server::{self, Server};

const FUNCTIONS: usize = 1000;
/// Different Go programs among them; the rest share their code.
const PROGRAMS: usize = 10;
const CALLS: usize = 10_000;

pub fn run() -> Result<Report> {
    let mut report = Report::new("Start, and memory");
    report.say("The functions are Go programs of several megabytes, ten of them different; the rest share their code.");
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let mut rows: Vec<[String; 2]> = Vec::new();
    let mut note = |what: String, figure: String| rows.push([what, figure]);

    let server = Server::start(&data)?;
    let rest = server::resident_mib(&server.pid())?;
    note("memory at rest, nothing deployed".into(), format!("{rest:.0} MiB"));
    let started = Instant::now();
    let go = server::guest("echo-go")?;
    for number in 0..FUNCTIONS {
        server.deploy(&format!("f{number}"), &manifest(number), &variant(&go, number % PROGRAMS))?;
    }
    note(
        format!("{FUNCTIONS} deploys, {PROGRAMS} of them compiled"),
        format!("{:.1} s", started.elapsed().as_secs_f64()),
    );
    let deployed = server::resident_mib(&server.pid())?;
    note(format!("memory after {FUNCTIONS} deploys"), format!("{deployed:.0} MiB"));
    note("memory per deployed function".into(), format!("{:.1} KiB", (deployed - rest) * 1024.0 / FUNCTIONS as f64));
    for call in 0..CALLS {
        server.call(&format!("f{}", call % FUNCTIONS))?;
    }
    note(
        format!("memory after {CALLS} more calls of all of them"),
        format!("{:.0} MiB", server::resident_mib(&server.pid())?),
    );
    drop(server);

    let started = Instant::now();
    let server = Server::start(&data)?;
    note(
        format!("start with {FUNCTIONS} functions, until ready"),
        format!("{:.0} ms", started.elapsed().as_secs_f64() * 1e3),
    );
    let mut first: Vec<f64> = Vec::new();
    for number in 0..PROGRAMS {
        let started = Instant::now();
        server.call(&format!("f{number}"))?;
        first.push(started.elapsed().as_secs_f64() * 1e3);
    }
    first.sort_by(f64::total_cmp);
    note(format!("first call of each of {PROGRAMS} programs, median"), format!("{:.1} ms", first[PROGRAMS / 2]));
    note("the slowest of them".into(), format!("{:.1} ms", first[PROGRAMS - 1]));
    note("memory after that".into(), format!("{:.0} MiB", server::resident_mib(&server.pid())?));
    report.table(["what", "figure"], &rows);
    Ok(report)
}

fn manifest(number: usize) -> String {
    format!("name: f{number}\npublic: true")
}

/// The same program with another custom section: another hash, so it is compiled and mapped on its own.
fn variant(module: &[u8], number: usize) -> Vec<u8> {
    const CUSTOM_SECTION: u8 = 0;
    let name = [3, b'v', b'a', b'r', number as u8];
    let mut module = module.to_vec();
    module.push(CUSTOM_SECTION);
    module.push(name.len() as u8);
    module.extend(name);
    module
}

impl Server {
    /// Deploys through the API.
    pub fn deploy(&self, name: &str, manifest: &str, module: &[u8]) -> Result<()> {
        let manifest = domain::Manifest::parse(manifest)?;
        let mut metadata = serde_json::json!({
            "name": manifest.name, "is_public": manifest.public, "concurrency": manifest.concurrency,
            "ws_persistent": manifest.websocket.persistent, "engine": manifest.engine,
            "memory_limit_mb": manifest.memory_mb, "timeout_seconds": manifest.timeout.as_secs(),
        });
        if let Some(language) = manifest.language {
            metadata["language"] = language.as_str().into();
        }
        let part = reqwest::blocking::multipart::Part::bytes(module.to_vec()).file_name("function.wasm");
        let form = reqwest::blocking::multipart::Form::new().text("metadata", metadata.to_string()).part("wasm", part);
        let request = self.client.post(format!("{}/v1/functions", self.url)).header("X-API-Key", &self.key);
        let reply = request.multipart(form).send().with_context(|| format!("deploy `{name}`"))?;
        reply.error_for_status().map(drop).with_context(|| format!("deploy `{name}`"))
    }

    pub fn call(&self, name: &str) -> Result<()> {
        let request = self.client.post(format!("{}/v1/invoke/default/{name}", self.url)).body(r#"{"name":"ada"}"#);
        request.send()?.error_for_status().map(drop).with_context(|| format!("call `{name}`"))
    }
}
