use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use domain::FunctionRef;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::connect;
use crate::args::{Shared, function_ref};
use crate::failure::{Exit, Failure, Outcome};
use crate::gateway::{Answer, Gateway};
use crate::{printable, screen};

/// Call a function and print its reply
///
/// The reply goes to stdout as it is. A failed call says why, and under which request id its log can be found.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama function invoke hello --data '{\"name\": \"World\"}'
  orama function invoke hello@2 --data @request.json
  cat request.json | orama function invoke hello --data -
  orama function invoke hello --repeat 100 --concurrency 10")]
pub struct Args {
    /// Name, or name@N for one version
    #[arg(value_parser = function_ref)]
    name: FunctionRef,
    /// Input: text, @FILE, or - for stdin
    #[arg(long, value_name = "JSON|@FILE|-", default_value = "{}")]
    data: String,
    /// Call this many times; each reply on a line of its own, a summary at the end
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    repeat: Option<u32>,
    /// Calls at once
    #[arg(long, value_name = "C", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    concurrency: u32,
}

pub fn run(args: &Args, shared: &Shared) -> Outcome {
    let input = read_data(&args.data)?;
    let gateway = connect(shared)?;
    match args.repeat {
        None => once(args, shared, &gateway, input),
        Some(count) => many(args, shared, &gateway, input, count),
    }
}

fn once(args: &Args, shared: &Shared, gateway: &Gateway, input: Bytes) -> Outcome {
    let answer = gateway.block_on(call(args, gateway, input))?;
    if !answer.status.is_success() {
        return Err(call_failure(&args.name, &answer));
    }
    if shared.json {
        screen::json(&document(&answer))
    } else {
        print_body(&answer.body)
    }
    Ok(())
}

async fn call(args: &Args, gateway: &Gateway, input: Bytes) -> Outcome<Answer> {
    let kind = match serde_json::from_slice::<serde::de::IgnoredAny>(&input) {
        Ok(_) => "application/json",
        Err(_) => "application/octet-stream",
    };
    let request = gateway.request(Method::POST, &format!("/v1/functions/{}/invoke", args.name), &[]);
    gateway.answer(request.header("content-type", kind).body(input)).await
}

fn call_failure(name: &FunctionRef, answer: &Answer) -> Failure {
    let mut failure = answer.failure();
    if let Some(id) = answer.id() {
        failure.message.push_str(&format!("\nrequest id {id}"));
        if failure.exit == Exit::Failed && answer.status.as_u16() != 404 {
            // What was refused before it ran has no log; the gateway's own hint says what to do.
            failure.hint.get_or_insert_with(|| format!("run `orama function logs {} --request-id {id}`", name.name));
        }
    }
    if answer.status.as_u16() == 404 {
        failure.hint.get_or_insert("run `orama function list` to see what there is".to_owned());
    }
    failure
}

/// How a series of calls went.
#[derive(Default)]
struct Tally {
    times: Vec<Duration>,
    failed: u32,
    /// The first failure stands for all of them.
    first_failure: Option<Failure>,
}

fn many(args: &Args, shared: &Shared, gateway: &Gateway, input: Bytes, count: u32) -> Outcome {
    let left = AtomicU32::new(count);
    let workers = (0..args.concurrency.min(count)).map(|_| work(args, shared, gateway, &input, &left));
    let started = Instant::now();
    let tallies = gateway.block_on(join_all(workers));
    let tally = tallies.into_iter().reduce(merge).unwrap_or_default();
    screen::talk(&summary(&tally, started.elapsed()));
    match tally.first_failure {
        None => Ok(()),
        Some(first) => Err(Failure {
            message: format!("{} of {count} calls failed; the first: {}", tally.failed, first.message),
            ..first
        }),
    }
}

/// One of the callers: takes calls until none is left.
async fn work(args: &Args, shared: &Shared, gateway: &Gateway, input: &Bytes, left: &AtomicU32) -> Tally {
    let mut tally = Tally::default();
    let take = || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
    while take() {
        let started = Instant::now();
        let result = call(args, gateway, input.clone()).await;
        tally.times.push(started.elapsed());
        let failure = match result {
            Err(failure) => failure,
            Ok(answer) => {
                print_line(shared, &answer);
                if answer.status.is_success() {
                    continue;
                }
                call_failure(&args.name, &answer)
            }
        };
        tally.failed += 1;
        tally.first_failure.get_or_insert(failure);
    }
    tally
}

fn merge(mut one: Tally, other: Tally) -> Tally {
    one.times.extend(other.times);
    one.failed += other.failed;
    one.first_failure = one.first_failure.or(other.first_failure);
    one
}

fn summary(tally: &Tally, elapsed: Duration) -> String {
    let mut times = tally.times.clone();
    times.sort();
    let at = |share: usize| times.get((times.len() * share / 100).min(times.len().saturating_sub(1)));
    let ms = |time: Option<&Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1000.0);
    let ok = times.len() - tally.failed as usize;
    format!(
        "{ok} ok, {} failed, p50 {:.1} ms, p99 {:.1} ms, {:.0} calls/s",
        tally.failed,
        ms(at(50)),
        ms(at(99)),
        times.len() as f64 / elapsed.as_secs_f64().max(f64::EPSILON)
    )
}

fn print_line(shared: &Shared, answer: &Answer) {
    if shared.json {
        screen::json(&document(answer));
    } else if answer.status.is_success() {
        let mut line = shown(&answer.body).into_owned();
        line.push(b'\n');
        screen::data(&line);
    }
}

fn document(answer: &Answer) -> Value {
    let mut document =
        json!({"status": answer.status.as_u16(), "request_id": answer.id(), "duration_ms": answer.duration_ms});
    body_json(&mut document, &answer.body);
    document
}

/// Adds a reply to a document: as JSON, as text, or as base64 when it is neither.
pub fn body_json(document: &mut Value, body: &[u8]) {
    let (key, value) = match (serde_json::from_slice::<Value>(body), std::str::from_utf8(body)) {
        (Ok(value), _) => ("body", value),
        (_, Ok(text)) => ("body", json!(text)),
        _ => ("body_base64", json!(BASE64.encode(body))),
    };
    document[key] = value;
}

/// A terminal gets text and a line end; anything else gets the bytes.
pub fn print_body(body: &[u8]) {
    screen::data(&shown(body));
    if screen::stdout_is_terminal() && !body.ends_with(b"\n") {
        screen::data(b"\n");
    }
}

fn shown(body: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    match screen::stdout_is_terminal() {
        true => printable::block(&String::from_utf8_lossy(body)).into_bytes().into(),
        false => body.into(),
    }
}

/// The input that `--data` names: stdin for `-`, a file for `@path`, else the text itself.
pub fn read_data(argument: &str) -> Outcome<Bytes> {
    let bytes = match argument.strip_prefix('@') {
        None if argument == "-" => super::read_stdin()?,
        None => argument.as_bytes().to_vec(),
        Some(path) => std::fs::read(path).map_err(Failure::file("read", Path::new(path)))?,
    };
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_text_a_file_or_stdin() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("request.json");
        std::fs::write(&path, b"\xff{}").expect("written");
        assert_eq!(read_data("{\"a\": 1}").expect("text"), "{\"a\": 1}");
        assert_eq!(read_data("").expect("text"), "");
        assert_eq!(read_data(&format!("@{}", path.display())).expect("a file"), &b"\xff{}"[..]);
        assert!(read_data("@/nonexistent").expect_err("no file").message.starts_with("failed to read `/nonexistent`"));
    }

    #[test]
    fn a_reply_is_json_text_or_base64() {
        let document = |body: &[u8]| {
            let mut document = json!({});
            body_json(&mut document, body);
            document.to_string()
        };
        assert_eq!(document(b"{\"a\":1}"), r#"{"body":{"a":1}}"#);
        assert_eq!(document(b"hi \x1b[2J"), r#"{"body":"hi \u001b[2J"}"#);
        assert_eq!(document(b"\xff"), r#"{"body_base64":"/w=="}"#);
        assert_eq!(document(b"\xff\xfe"), r#"{"body_base64":"//4="}"#);
        assert_eq!(document(b"\xff\xfe\xfd"), r#"{"body_base64":"//79"}"#);
    }

    #[test]
    fn the_summary_has_the_middle_and_the_slowest() {
        let times = (1..=100).map(Duration::from_millis).collect();
        let tally = Tally { times, failed: 2, first_failure: None };
        assert_eq!(summary(&tally, Duration::from_secs(1)), "98 ok, 2 failed, p50 51.0 ms, p99 100.0 ms, 100 calls/s");
        assert!(summary(&Tally::default(), Duration::ZERO).starts_with("0 ok, 0 failed"));
    }

    #[test]
    fn a_failed_call_names_its_log() {
        let body = Bytes::from_static(
            br#"{"error":{"code":"TIMEOUT","message":"the function did not finish in time","request_id":"r1"}}"#,
        );
        let answer = Answer { status: reqwest::StatusCode::GATEWAY_TIMEOUT, request_id: None, duration_ms: None, body };
        let name = FunctionRef::parse("hello@2").expect("a name");
        let failure = call_failure(&name, &answer);
        assert_eq!(failure.message, "the function did not finish in time (TIMEOUT)\nrequest id r1");
        assert_eq!(failure.hint.as_deref(), Some("run `orama function logs hello --request-id r1`"));
    }
}
