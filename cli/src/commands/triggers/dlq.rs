//! `orama function triggers dlq`: triggered calls that were given up.

use domain::FunctionName;
use serde::Deserialize;
use serde_json::json;

use super::{place, said};
use crate::args::{Shared, function_name};
use crate::commands::{confirm_deletion, connect};
use crate::failure::Outcome;
use crate::gateway::{self, segment};
use crate::table::Table;
use crate::{screen, units};

/// What a table shows of an input, in characters.
const SHOWN_MAX: usize = 60;

#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    List(List),
    Redrive(Named),
    Delete(Delete),
}

/// List the triggered calls of a function that were given up, the last first
#[derive(Debug, clap::Args)]
pub struct List {
    /// Name of the function
    #[arg(value_parser = function_name)]
    name: FunctionName,
    /// The most to show
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    limit: u32,
    /// Only those behind this id
    #[arg(long, value_name = "ID")]
    after: Option<String>,
}

/// Make given-up calls again, as if they were new
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama function triggers dlq redrive report
  orama function triggers dlq redrive report 0198c0de-…")]
pub struct Named {
    /// Name of the function
    #[arg(value_parser = function_name)]
    name: FunctionName,
    /// Ids as `list` shows them [default: all]
    ids: Vec<String>,
}

/// Forget given-up calls
#[derive(Debug, clap::Args)]
pub struct Delete {
    /// Name of the function
    #[arg(value_parser = function_name)]
    name: FunctionName,
    /// Ids as `list` shows them [default: all]
    ids: Vec<String>,
    /// Do not ask
    #[arg(long)]
    force: bool,
}

pub fn run(verb: &Verb, shared: &Shared) -> Outcome {
    match verb {
        Verb::List(args) => list(args, shared),
        Verb::Redrive(args) => redrive(args, shared),
        Verb::Delete(args) => delete(args, shared),
    }
}

#[derive(Deserialize)]
struct Dead {
    deliveries: Vec<Delivery>,
}

#[derive(Deserialize)]
struct Delivery {
    id: String,
    kind: String,
    failed_at: Option<String>,
    attempts: u32,
    error: Option<String>,
    input: String,
}

fn list(args: &List, shared: &Shared) -> Outcome {
    let mut query = vec![("limit", args.limit.to_string())];
    query.extend(args.after.clone().map(|after| ("after", after)));
    let document = connect(shared)?.get(&format!("{}/dlq", place(&args.name)), &query)?;
    if shared.json {
        screen::json(&document);
        return Ok(());
    }
    let Dead { deliveries } = gateway::read(&document)?;
    if deliveries.is_empty() {
        screen::talk("no call was given up");
        return Ok(());
    }
    let mut table = Table::new(["ID", "KIND", "FAILED", "ATTEMPTS", "ERROR", "INPUT"]);
    for Delivery { id, kind, failed_at, attempts, error, input } in deliveries {
        let failed = failed_at.map_or("-".to_owned(), |at| units::second(&at));
        let error = error.unwrap_or_default();
        table.row([id, kind, failed, attempts.to_string(), error, input.chars().take(SHOWN_MAX).collect()]);
    }
    screen::data(table.render().as_bytes());
    Ok(())
}

fn redrive(Named { name, ids }: &Named, shared: &Shared) -> Outcome {
    let body = if ids.is_empty() { json!({}) } else { json!({ "ids": ids }) };
    let document = connect(shared)?.post(&format!("{}/dlq/redrive", place(name)), &body)?;
    said(&document, shared, &format!("redriven: {}", document["redriven"]));
    Ok(())
}

fn delete(args: &Delete, shared: &Shared) -> Outcome {
    let gateway = connect(shared)?;
    let what = match args.ids.len() {
        0 => format!("every given-up call of `{}`", args.name),
        count => format!("{count} given-up calls of `{}`", args.name),
    };
    confirm_deletion(args.force, &what)?;
    let place = format!("{}/dlq", place(&args.name));
    let mut deleted = 0;
    if args.ids.is_empty() {
        deleted += gateway.delete(&place)?["deleted"].as_u64().unwrap_or(0);
    }
    for id in &args.ids {
        deleted += gateway.delete(&format!("{place}/{}", segment(id)?))?["deleted"].as_u64().unwrap_or(0);
    }
    said(&json!({ "deleted": deleted }), shared, &format!("deleted: {deleted}"));
    Ok(())
}
