use std::thread;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use domain::{FunctionName, Timestamp};
use serde_json::Value;

use super::connect;
use crate::args::{Shared, function_name};
use crate::failure::{Failure, Outcome};
use crate::gateway::{self, Gateway};
use crate::wire::{Gap, Invocation, Logs};
use crate::{printable, screen, units};

/// How often a follower asks for new records.
const POLL: Duration = Duration::from_millis(500);
/// The most records that one question of a follower brings.
const FOLLOW_LIMIT: u32 = 500;

/// Show the calls of a function and what they logged, newest last
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama function logs hello
  orama function logs hello -f
  orama function logs hello --since 15m --level error
  orama function logs hello --request-id 0198c0de-… --json")]
pub struct Args {
    /// Name of the function
    #[arg(value_parser = function_name)]
    name: FunctionName,
    /// The most calls to show
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
    limit: u32,
    /// Go on showing calls as they end; with --json, one document a line
    #[arg(short, long)]
    follow: bool,
    /// Only the call with this id
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// Only calls since then: 30s, 15m, 2h, 7d, or a time such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = |text: &str| units::since(text, Timestamp::now()))]
    since: Option<Timestamp>,
    /// Only failed calls, and calls with a line of at least this level
    #[arg(long, value_name = "LEVEL", value_parser = PossibleValuesParser::new(["debug", "info", "warn", "error"]))]
    level: Option<String>,
}

pub fn run(args: &Args, shared: &Shared) -> Outcome {
    let gateway = connect(shared)?;
    let document = fetch(&gateway, args, args.limit, None)?;
    if args.follow {
        return follow(&gateway, args, shared, document);
    }
    if shared.json {
        screen::json(&document);
        return Ok(());
    }
    let logs = gateway::read::<Logs>(&document)?;
    logs.gaps.iter().for_each(warn_gap);
    if logs.invocations.is_empty() {
        return nothing_found(args);
    }
    let mut text = header();
    text.extend(logs.invocations.iter().rev().map(render));
    screen::data(text.as_bytes());
    Ok(())
}

fn nothing_found(args: &Args) -> Outcome {
    match &args.request_id {
        Some(id) => Err(Failure::failed(format!("`{}` has no record of a call `{id}`", args.name))
            .hint("records are written within moments of a call and kept as long as the server's `retention` says")),
        None => {
            screen::talk("no calls found");
            Ok(())
        }
    }
}

fn fetch(gateway: &Gateway, args: &Args, limit: u32, after: Option<i64>) -> Outcome<Value> {
    let query = [
        Some(("limit", limit.to_string())),
        args.request_id.clone().map(|id| ("request_id", id)),
        args.since.map(|since| ("since", since.to_string())),
        args.level.clone().map(|level| ("level", level)),
        after.map(|position| ("after", position.to_string())),
    ];
    gateway.get(&format!("/v1/functions/{}/logs", args.name), &query.into_iter().flatten().collect::<Vec<_>>())
}

/// The first answer is newest first; what comes after a position is oldest first.
fn follow(gateway: &Gateway, args: &Args, shared: &Shared, mut first: Value) -> Outcome {
    if !shared.json {
        screen::data(header().as_bytes());
    }
    if let Some(calls) = first["invocations"].as_array_mut() {
        calls.reverse();
    }
    let mut next = show(&first, shared)?.unwrap_or(0);
    loop {
        thread::sleep(POLL);
        let document = fetch(gateway, args, FOLLOW_LIMIT, Some(next))?;
        next = show(&document, shared)?.unwrap_or(next);
    }
}

/// Prints the calls of an answer in their order; returns where to go on.
fn show(document: &Value, shared: &Shared) -> Outcome<Option<i64>> {
    let logs = gateway::read::<Logs>(document)?;
    if shared.json {
        document["invocations"].as_array().into_iter().flatten().for_each(screen::json);
    } else {
        logs.invocations.iter().for_each(|call| screen::data(render(call).as_bytes()));
    }
    Ok(logs.next)
}

fn warn_gap(gap: &Gap) {
    let (from, until) = (units::second(&gap.from), units::second(&gap.until));
    screen::warning(&format!("{} calls between {from} and {until} left no record", gap.calls));
}

/// Fixed columns, so that a follower's lines stand below each other.
fn columns(cells: [&str; 6]) -> String {
    let [time, id, status, ms, input, output] = cells;
    format!("{time:<24}  {id:<36}  {status:<7}  {ms:>9}  {input:>8}  {output:>8}\n")
}

fn header() -> String {
    columns(["TIME", "REQUEST-ID", "STATUS", "MS", "IN", "OUT"])
}

/// A call as a line, its error and its log lines indented below.
fn render(call: &Invocation) -> String {
    let mut text = columns([
        &printable::line(&units::millisecond(&call.started_at)),
        &printable::line(&call.request_id),
        &printable::line(&call.status),
        &milliseconds(call.duration_ms),
        &call.input_size.to_string(),
        &call.output_size.to_string(),
    ]);
    if let Some(message) = &call.error_message {
        text.push_str(&format!("    error: {}\n", printable::line(message)));
    }
    for line in &call.wasm_logs {
        text.push_str(&format!("    [{}] {}\n", printable::line(&line.level), printable::line(&line.message)));
    }
    text
}

fn milliseconds(ms: f64) -> String {
    if ms.fract() == 0.0 { format!("{ms}") } else { format!("{ms:.2}") }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_of_a_call_stand_below_it_and_cannot_leave_their_place() {
        let document = json!({"count": 2, "invocations": [
            {"request_id": "0198c0de-0000-7000-8000-000000000002", "started_at": "2026-01-31T12:00:01.5Z",
             "duration_ms": 1.25, "status": "error", "input_size": 2, "output_size": 0,
             "error_message": "exit code 3\nboom", "wasm_logs": []},
            {"request_id": "0198c0de-0000-7000-8000-000000000001", "started_at": "2026-01-31T12:00:00Z",
             "duration_ms": 412, "status": "success", "input_size": 17, "output_size": 19, "wasm_logs": [
                {"level": "info", "message": "\u{1b}[2Jhi", "timestamp": "2026-01-31T12:00:00Z"},
                {"level": "error", "message": "one\n2026-01-31T12:00:00Z forged", "timestamp": "2026-01-31T12:00:00Z"}]},
        ]});
        let logs = gateway::read::<Logs>(&document).expect("logs");
        let text: String = std::iter::once(header()).chain(logs.invocations.iter().rev().map(render)).collect();
        expect![[r#"
            TIME                      REQUEST-ID                            STATUS          MS        IN       OUT
            2026-01-31T12:00:00.000Z  0198c0de-0000-7000-8000-000000000001  success        412        17        19
                [info] \x1b[2Jhi
                [error] one\n2026-01-31T12:00:00Z forged
            2026-01-31T12:00:01.500Z  0198c0de-0000-7000-8000-000000000002  error         1.25         2         0
                error: exit code 3\nboom
        "#]]
        .assert_eq(&text);
    }
}
