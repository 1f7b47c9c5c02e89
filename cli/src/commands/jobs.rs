//! `orama function jobs`: calls in the background or at a time.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::{FunctionName, FunctionRef, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{connect, invoke};
use crate::args::{Shared, function_name, function_ref};
use crate::failure::{Failure, Outcome};
use crate::gateway::{self, Gateway, segment};
use crate::table::Table;
use crate::{printable, screen, units};

const STATUSES: [&str; 5] = ["pending", "running", "completed", "failed", "cancelled"];

#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    Enqueue(Enqueue),
    List(List),
    Get(Get),
    Cancel(Cancel),
}

/// Call a function in the background, or at a time
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama function jobs enqueue report --data '{\"month\": \"2026-01\"}'
  orama function jobs enqueue reminder --data @note.json --at 2026-03-01T09:00:00Z
  orama function jobs enqueue reminder --at 15m")]
pub struct Enqueue {
    /// Name, or name@N for one version
    #[arg(value_parser = function_ref)]
    name: FunctionRef,
    /// Input: text, @FILE, or - for stdin
    #[arg(long, value_name = "JSON|@FILE|-", default_value = "{}")]
    data: String,
    /// When to call it: a time, or how long from now [default: as soon as there is room]
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

/// List the jobs of a namespace, the last first
#[derive(Debug, clap::Args)]
pub struct List {
    /// Only those of this function
    #[arg(long, value_name = "NAME", value_parser = function_name)]
    function: Option<FunctionName>,
    /// Only those that are in this state
    #[arg(long, value_name = "STATUS", value_parser = STATUSES)]
    status: Option<String>,
    /// Only those that are older than this one
    #[arg(long, value_name = "ID")]
    after: Option<String>,
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=200))]
    limit: u32,
}

/// Show a job with its result
#[derive(Debug, clap::Args)]
pub struct Get {
    /// The id of the job
    id: String,
}

/// Cancel a job: one that waits is forgotten, one that runs is ended
#[derive(Debug, clap::Args)]
pub struct Cancel {
    /// The id of the job
    id: String,
}

pub fn run(verb: &Verb, shared: &Shared) -> Outcome {
    match verb {
        Verb::Enqueue(args) => enqueue(args, shared),
        Verb::List(args) => list(args, &connect(shared)?, shared),
        Verb::Get(args) => get(args, &connect(shared)?, shared),
        Verb::Cancel(args) => cancel(args, &connect(shared)?, shared),
    }
}

fn enqueue(args: &Enqueue, shared: &Shared) -> Outcome {
    let mut body = json!({ "payload_base64": STANDARD.encode(invoke::read_data(&args.data)?) });
    if let Some(at) = &args.at {
        body["run_at"] = json!(units::ahead(at, Timestamp::now()).map_err(Failure::usage)?.to_string());
    }
    let path = format!("/v1/functions/{}/jobs", args.name);
    let document = connect(shared)?.post(&path, &body)?;
    match shared.json {
        true => screen::json(&document),
        // The id alone goes to stdout: the next command takes it.
        false => screen::line(&printable::line(document["id"].as_str().unwrap_or("?"))),
    }
    Ok(())
}

#[derive(Deserialize)]
struct Listed {
    jobs: Vec<Job>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct Job {
    id: String,
    function: String,
    status: String,
    progress: u8,
    run_at: String,
    completed_at: Option<String>,
    error: Option<String>,
}

fn list(args: &List, gateway: &Gateway, shared: &Shared) -> Outcome {
    let mut query = vec![("limit", args.limit.to_string())];
    query.extend(args.function.iter().map(|name| ("function", name.to_string())));
    query.extend(args.status.iter().map(|status| ("status", status.clone())));
    query.extend(args.after.iter().map(|after| ("after", after.clone())));
    let document = gateway.get("/v1/jobs", &query)?;
    if shared.json {
        screen::json(&document);
        return Ok(());
    }
    let listed = gateway::read::<Listed>(&document)?;
    match listed.jobs.is_empty() {
        true => screen::talk("no jobs; ask for one with `orama function jobs enqueue NAME`"),
        false => screen::data(render(&listed.jobs).as_bytes()),
    }
    if let Some(next) = listed.next {
        screen::talk(&printable::line(&format!("there may be more: add `--after {next}`")));
    }
    Ok(())
}

fn render(jobs: &[Job]) -> String {
    let mut table = Table::new(["ID", "FUNCTION", "STATUS", "PROGRESS", "RUN AT", "ENDED", "ERROR"]);
    for job in jobs {
        table.row([
            job.id.clone(),
            job.function.clone(),
            job.status.clone(),
            format!("{}%", job.progress),
            units::second(&job.run_at),
            job.completed_at.as_deref().map_or("-".to_owned(), units::second),
            job.error.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    table.render()
}

fn get(args: &Get, gateway: &Gateway, shared: &Shared) -> Outcome {
    let document = gateway.get(&format!("/v1/jobs/{}", segment(&args.id)?), &[])?;
    match shared.json {
        true => screen::json(&document),
        false => screen::data(show(&document).as_bytes()),
    }
    Ok(())
}

/// Every field that has a value, the result last.
fn show(document: &Value) -> String {
    let fields =
        ["id", "function", "status", "progress", "run_at", "created_at", "started_at", "completed_at", "error"];
    let mut text = String::new();
    for (field, value) in fields.iter().map(|field| (field, &document[field])).filter(|(_, value)| !value.is_null()) {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        text.push_str(&format!("{:<13}{}\n", format!("{field}:"), printable::line(&value)));
    }
    for field in ["result", "result_base64"] {
        if let Some(result) = document[field].as_str() {
            text.push_str(&format!("{field}: {}\n", printable::line(result)));
        }
    }
    text
}

fn cancel(args: &Cancel, gateway: &Gateway, shared: &Shared) -> Outcome {
    let document = gateway.delete(&format!("/v1/jobs/{}", segment(&args.id)?))?;
    match shared.json {
        true => screen::json(&document),
        false => screen::line(&format!("cancelled {}", printable::line(&args.id))),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn the_table_shows_how_far_jobs_are() {
        let document = json!({ "count": 2, "next": null, "jobs": [
            { "id": "j2", "function": "f@2", "status": "running", "progress": 40, "run_at": "2026-01-01T00:00:00Z",
              "completed_at": null, "error": null },
            { "id": "j1", "function": "f", "status": "failed", "progress": 0, "run_at": "2026-01-01T00:00:00.5Z",
              "completed_at": "2026-01-01T00:00:01.5Z", "error": "it\u{1b}[2J cannot" },
        ]});
        let jobs = gateway::read::<Listed>(&document).expect("a list").jobs;
        expect![[r#"
            ID  FUNCTION  STATUS   PROGRESS  RUN AT                ENDED                 ERROR
            j2  f@2       running  40%       2026-01-01T00:00:00Z  -                     -
            j1  f         failed   0%        2026-01-01T00:00:00Z  2026-01-01T00:00:01Z  it\x1b[2J cannot
        "#]]
        .assert_eq(&render(&jobs));
    }

    #[test]
    fn a_job_is_shown_with_its_result() {
        let document = json!({ "id": "j1", "function": "f", "status": "completed", "progress": 100, "error": null,
            "run_at": "2026-01-01T00:00:00Z", "created_at": "2026-01-01T00:00:00Z", "result": "a\nb" });
        expect![[r#"
            id:          j1
            function:    f
            status:      completed
            progress:    100
            run_at:      2026-01-01T00:00:00Z
            created_at:  2026-01-01T00:00:00Z
            result: a\nb
        "#]]
        .assert_eq(&show(&document));
    }
}
