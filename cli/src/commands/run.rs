use std::path::PathBuf;

use domain::EngineKind;
use serde_json::json;

use super::build;
use super::invoke::{body_json, print_body, read_data};
use crate::args::Shared;
use crate::failure::{Failure, Outcome};
use crate::node::{self, RunOutcome, RunReply, RunRequest};
use crate::{printable, screen};

/// Run a function here once, without a server, under the limits it would have there
///
/// The reply goes to stdout, what the function logs to stderr. A folder is built first when that is necessary.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama function run --data '{\"name\": \"World\"}'
  orama function run ./echo.wasm --data @request.json")]
pub struct Args {
    /// Folder of the function, or a module
    #[arg(default_value = ".", value_name = "DIR|FILE.wasm")]
    target: PathBuf,
    /// Input: text, @FILE, or - for stdin
    #[arg(long, value_name = "JSON|@FILE|-", default_value = "{}")]
    data: String,
}

pub fn run(args: &Args, shared: &Shared) -> Outcome {
    let input = read_data(&args.data)?;
    let (manifest, code) = build::load(&args.target)?;
    if manifest.engine == EngineKind::Worker {
        return Err(Failure::usage("a worker runs on a server")
            .hint("start one with `orama serve`, then `orama function deploy` and `orama function invoke`"));
    }
    let outcome = node::run(RunRequest { code, manifest, input })?;
    print_logs(&outcome);
    let ms = outcome.duration.as_secs_f64() * 1000.0;
    let reply = outcome.result.as_ref().map_err(|error| {
        let failure = Failure::failed(format!("{} ({})", error.message, error.code));
        error.hint.iter().fold(failure, |failure, hint| failure.hint(hint.clone()))
    })?;
    if shared.json {
        let mut document = json!({"request_id": outcome.request_id, "duration_ms": ms,
            "cpu_ms": outcome.usage.cpu.as_secs_f64() * 1000.0, "memory_peak_bytes": outcome.usage.memory_peak_bytes,
            "logs": outcome.logs});
        body_json(&mut document, &reply.body);
        screen::json(&document);
    } else {
        talk_head(reply);
        print_body(&reply.body);
        screen::talk(&format!(
            "ran {ms:.1} ms, {:.1} ms on a core, {} at most",
            outcome.usage.cpu.as_secs_f64() * 1000.0,
            crate::units::size(outcome.usage.memory_peak_bytes)
        ));
    }
    Ok(())
}

fn print_logs(outcome: &RunOutcome) {
    for line in &outcome.logs {
        screen::talk(&format!("[{}] {}", line.level.as_str(), printable::line(&line.message)));
    }
}

/// A reply that the function composed itself has a head worth seeing.
fn talk_head(reply: &RunReply) {
    let Some(head) = &reply.head else { return };
    screen::talk(&format!("HTTP {}", head.status));
    for (name, value) in &head.headers {
        let text = format!("{}: {}", String::from_utf8_lossy(name), String::from_utf8_lossy(value));
        screen::talk(&printable::line(&text));
    }
}
