//! `orama function triggers`: what calls a function besides people.

mod dlq;

use clap::ArgGroup;
use domain::{FunctionName, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::connect;
use crate::args::{Shared, function_name};
use crate::failure::Outcome;
use crate::gateway::{self, segment};
use crate::table::Table;
use crate::{printable, screen, units};

#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    Add(Add),
    List(List),
    Delete(One),
    Pause(OneToPause),
    Resume(OneToResume),
    Run(Run),
    /// Triggered calls that were given up
    #[command(subcommand)]
    Dlq(dlq::Verb),
}

/// Call a function for messages, at times, or when a table changes
///
/// A pattern of topics has `*` for anything but `:`, `**` for anything, `?` for one character, `[abc]` for one of these and `[!abc]` for
/// none of them. A cron expression has five fields, or six with seconds first; when both day fields are restricted, either matches,
/// unless `--day-rule and` is given.
#[derive(Debug, clap::Args)]
#[command(
    group(ArgGroup::new("kind").required(true).args(["topic", "cron", "once", "table"])),
    after_help = "\
Examples:
  orama function triggers add call-push-handler --topic calls:invite
  orama function triggers add audit --topic 'orders:**' --window 1000 --batch 50
  orama function triggers add report --cron '0 3 * * *' --tz Europe/Paris
  orama function triggers add remind --once 2026-12-24T18:00:00Z
  orama function triggers add audit --table orders --on insert,delete"
)]
pub struct Add {
    /// Name of the function
    #[arg(value_parser = function_name)]
    name: FunctionName,
    /// Messages of a topic, or of all topics of a pattern
    #[arg(long)]
    topic: Option<String>,
    /// Collect messages for so many milliseconds into one call
    #[arg(long, value_name = "MS", requires = "topic")]
    window: Option<u32>,
    /// The most messages of one such call [default: 100]
    #[arg(long, value_name = "N", requires = "window")]
    batch: Option<u32>,
    /// A schedule
    #[arg(long, visible_alias = "schedule", value_name = "EXPRESSION")]
    cron: Option<String>,
    /// Time zone of the schedule [default: UTC]
    #[arg(long, value_name = "ZONE", requires = "cron")]
    tz: Option<String>,
    /// What to do while the call before still runs: skip, queue, allow [default: skip]
    #[arg(long, value_name = "POLICY", requires = "cron", value_parser = ["skip", "queue", "allow"])]
    overlap: Option<String>,
    /// What to do about times that passed while the server was stopped: skip, last, all [default: last]
    #[arg(long, value_name = "POLICY", requires = "cron", value_parser = ["skip", "last", "all"])]
    catch_up: Option<String>,
    /// Whether either of two restricted day fields is enough: or, and [default: or]
    #[arg(long, value_name = "RULE", requires = "cron", value_parser = ["or", "and"])]
    day_rule: Option<String>,
    /// One moment: 30s, 15m, 2h, 7d from now, or a time such as 2026-12-24T18:00:00Z
    #[arg(long, value_name = "TIME", value_parser = |text: &str| units::ahead(text, Timestamp::now()))]
    once: Option<Timestamp>,
    /// Changes of a table
    #[arg(long)]
    table: Option<String>,
    /// Which changes: insert, update, delete [default: all]
    #[arg(long, value_name = "CHANGES", value_delimiter = ',', requires = "table")]
    on: Vec<String>,
}

/// List the triggers of a function, or of the namespace
#[derive(Debug, clap::Args)]
pub struct List {
    /// Name of the function
    #[arg(value_parser = function_name)]
    name: Option<FunctionName>,
}

/// Delete a trigger and what it has not delivered yet
#[derive(Debug, clap::Args)]
pub struct One {
    /// Name of the function
    #[arg(value_parser = function_name)]
    name: FunctionName,
    /// Id of the trigger, as `list` shows it
    id: String,
}

/// Pause a trigger: what happens until it resumes is not seen
#[derive(Debug, clap::Args)]
pub struct OneToPause {
    #[command(flatten)]
    which: One,
}

/// Resume a paused trigger
#[derive(Debug, clap::Args)]
pub struct OneToResume {
    #[command(flatten)]
    which: One,
}

/// Run the schedules of a function that are due at a moment, as if it were then
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama function triggers run report --at 2026-03-29T03:00:00Z")]
pub struct Run {
    /// Name of the function
    #[arg(value_parser = function_name)]
    name: FunctionName,
    /// The moment: 30s, 15m, 2h, 7d from now, or a time such as 2026-03-29T03:00:00Z
    #[arg(long, value_name = "TIME", value_parser = |text: &str| units::ahead(text, Timestamp::now()))]
    at: Timestamp,
    /// Only this schedule
    #[arg(long, value_name = "ID")]
    trigger: Option<String>,
}

pub fn run(verb: &Verb, shared: &Shared) -> Outcome {
    match verb {
        Verb::Add(args) => add(args, shared),
        Verb::List(args) => list(args, shared),
        Verb::Delete(One { name, id }) => {
            let document = connect(shared)?.delete(&format!("{}/{}", place(name), segment(id)?))?;
            said(&document, shared, &format!("deleted {id}"));
            Ok(())
        }
        Verb::Pause(OneToPause { which }) => switch(which, "pause", "paused", shared),
        Verb::Resume(OneToResume { which }) => switch(which, "resume", "resumed", shared),
        Verb::Run(args) => run_schedules(args, shared),
        Verb::Dlq(verb) => dlq::run(verb, shared),
    }
}

fn place(name: &FunctionName) -> String {
    format!("/v1/functions/{name}/triggers")
}

fn said(document: &Value, shared: &Shared, line: &str) {
    match shared.json {
        true => screen::json(document),
        false => screen::line(&printable::line(line)),
    }
}

fn add(args: &Add, shared: &Shared) -> Outcome {
    let document = connect(shared)?.post(&place(&args.name), &body(args))?;
    said(&document, shared, &format!("added {}", document["trigger_id"].as_str().unwrap_or_default()));
    for hint in document["hints"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        eprintln!("hint: {}", printable::line(hint));
    }
    Ok(())
}

/// Older servers want `topic` and `cron_expression` both, the unused one empty.
fn body(args: &Add) -> Value {
    let mut body = match (&args.once, &args.table) {
        (Some(once), _) => json!({ "once": once }),
        (None, Some(table)) => json!({ "table": table }),
        (None, None) => json!({
            "topic": args.topic.as_deref().unwrap_or_default(),
            "cron_expression": args.cron.as_deref().unwrap_or_default(),
        }),
    };
    let options = [
        ("aggregation_window_ms", args.window.map(Value::from)),
        ("aggregation_max_batch_size", args.batch.map(Value::from)),
        ("tz", args.tz.clone().map(Value::from)),
        ("overlap", args.overlap.clone().map(Value::from)),
        ("catch_up", args.catch_up.clone().map(Value::from)),
        ("day_rule", args.day_rule.clone().map(Value::from)),
        ("on", (!args.on.is_empty()).then(|| Value::from(args.on.clone()))),
    ];
    for (key, value) in options {
        if let Some(value) = value {
            body[key] = value;
        }
    }
    body
}

fn list(args: &List, shared: &Shared) -> Outcome {
    let path = args.name.as_ref().map_or("/v1/triggers".to_owned(), place);
    let document = connect(shared)?.get(&path, &[])?;
    if shared.json {
        screen::json(&document);
        return Ok(());
    }
    let Triggers { triggers } = gateway::read(&document)?;
    if triggers.is_empty() {
        screen::talk("no triggers; add one with `orama function triggers add NAME --topic TOPIC`");
        return Ok(());
    }
    screen::data(render(triggers).as_bytes());
    Ok(())
}

#[derive(Deserialize)]
struct Triggers {
    triggers: Vec<Trigger>,
}

#[derive(Deserialize)]
struct Trigger {
    id: String,
    kind: String,
    function: Option<String>,
    enabled: bool,
    topic: Option<String>,
    #[serde(default)]
    aggregation_window_ms: u32,
    cron_expression: Option<String>,
    tz: Option<String>,
    once: Option<String>,
    table: Option<String>,
    #[serde(default)]
    on: Vec<String>,
    next_run_at: Option<String>,
    last_run_at: Option<String>,
}

impl Trigger {
    /// What it waits for, in a word or two.
    fn waits_for(&self) -> String {
        let Self { topic, cron_expression, tz, once, table, .. } = self;
        match (topic, cron_expression, once, table) {
            (Some(topic), ..) if self.aggregation_window_ms > 0 => {
                format!("{topic} (every {} ms)", self.aggregation_window_ms)
            }
            (Some(topic), ..) => topic.clone(),
            (None, Some(cron), ..) => tz.as_ref().map_or(cron.clone(), |tz| format!("{cron} {tz}")),
            (None, None, Some(once), _) => units::second(once),
            (None, None, None, Some(table)) => format!("{table}: {}", self.on.join(", ")),
            (None, None, None, None) => "-".to_owned(),
        }
    }
}

fn render(triggers: Vec<Trigger>) -> String {
    let time = |time: &Option<String>| time.as_ref().map_or("-".to_owned(), |time| units::second(time));
    let mut table = Table::new(["ID", "FUNCTION", "KIND", "WAITS FOR", "STATUS", "NEXT RUN", "LAST RUN"]);
    for trigger in triggers {
        let (waits_for, next, last) = (trigger.waits_for(), time(&trigger.next_run_at), time(&trigger.last_run_at));
        let status = if trigger.enabled { "active" } else { "paused" };
        let function = trigger.function.unwrap_or_else(|| "-".to_owned());
        table.row([trigger.id, function, trigger.kind, waits_for, status.to_owned(), next, last]);
    }
    table.render()
}

fn switch(One { name, id }: &One, verb: &str, done: &str, shared: &Shared) -> Outcome {
    let document = connect(shared)?.post(&format!("{}/{}/{verb}", place(name), segment(id)?), &json!({}))?;
    said(&document, shared, &format!("{done} {id}"));
    Ok(())
}

fn run_schedules(args: &Run, shared: &Shared) -> Outcome {
    let mut body = json!({ "at": args.at });
    if let Some(id) = &args.trigger {
        body["trigger_id"] = json!(id);
    }
    let document = connect(shared)?.post(&format!("{}/run", place(&args.name)), &body)?;
    if shared.json {
        screen::json(&document);
        return Ok(());
    }
    for fired in document["fired"].as_array().into_iter().flatten() {
        screen::line(&printable::line(&format!("fired {}", fired["trigger_id"].as_str().unwrap_or_default())));
    }
    Ok(())
}
