//! `orama db`: the SQL database of a namespace.

mod complete;
mod migrate;
mod rows;
mod shell;
mod transfer;

use reqwest::Method;
use serde::Serialize;
use serde_json::value::RawValue;

use super::connect;
use crate::args::Shared;
use crate::failure::Outcome;
use crate::gateway::Gateway;
use crate::{printable, screen};

#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    Shell(shell::Args),
    Query(Query),
    Exec(Exec),
    Schema(Schema),
    Migrate(migrate::Args),
    Export(transfer::Export),
    Import(transfer::Import),
    Backup(transfer::Backup),
}

/// Print the rows of a statement
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama db query 'SELECT * FROM users LIMIT 10'
  orama db query 'SELECT name FROM users WHERE id = ?' --args '[7]' --json")]
pub struct Query {
    /// One statement
    #[arg(allow_hyphen_values = true)]
    sql: String,
    /// Its arguments, as a JSON list
    #[arg(long = "args", value_name = "JSON", value_parser = arguments)]
    arguments: Option<Box<RawValue>>,
}

/// Run a statement and say what it changed
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama db exec 'CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL)'
  orama db exec 'INSERT INTO users (name) VALUES (?)' --args '[\"Ada\"]'")]
pub struct Exec {
    /// One statement
    #[arg(allow_hyphen_values = true)]
    sql: String,
    /// Its arguments, as a JSON list
    #[arg(long = "args", value_name = "JSON", value_parser = arguments)]
    arguments: Option<Box<RawValue>>,
}

/// Print the statements that make the tables, views, indexes and triggers
#[derive(Debug, clap::Args)]
pub struct Schema {}

/// A list that goes out as it was written, so that numbers keep every digit.
fn arguments(text: &str) -> Result<Box<RawValue>, String> {
    let list = serde_json::from_str::<Vec<&RawValue>>(text).map_err(|error| format!("no JSON list: {error}"))?;
    serde_json::value::to_raw_value(&list).map_err(|error| error.to_string())
}

#[derive(Serialize)]
struct Statement<'a> {
    sql: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<&'a RawValue>,
}

pub fn run(verb: &Verb, shared: &Shared) -> Outcome {
    let gateway = connect(shared)?;
    match verb {
        Verb::Shell(_) => shell::run(&gateway, shared),
        Verb::Query(args) => query(&gateway, shared, &args.sql, args.arguments.as_deref()),
        Verb::Exec(args) => exec(&gateway, shared, &args.sql, args.arguments.as_deref()),
        Verb::Schema(_) => schema(&gateway, shared),
        Verb::Migrate(args) => migrate::run(args, &gateway, shared),
        Verb::Export(args) => transfer::export(args, &gateway, shared),
        Verb::Import(args) => transfer::import(args, &gateway, shared),
        Verb::Backup(args) => transfer::backup(args, &gateway, shared),
    }
}

fn query(gateway: &Gateway, shared: &Shared, sql: &str, args: Option<&RawValue>) -> Outcome {
    let request = gateway.request(Method::POST, "/v1/rqlite/query", &[]).json(&Statement { sql, args });
    let body = gateway.text(request)?;
    if shared.json {
        screen::document(&body);
        return Ok(());
    }
    let items = gateway.parse::<rows::Items>(&body)?.items;
    match items.is_empty() {
        true => screen::talk("no rows"),
        false => screen::data(rows::render(&items).as_bytes()),
    }
    Ok(())
}

fn exec(gateway: &Gateway, shared: &Shared, sql: &str, args: Option<&RawValue>) -> Outcome {
    let document = gateway.post("/v1/rqlite/exec", &Statement { sql, args })?;
    if shared.json {
        screen::json(&document);
        return Ok(());
    }
    let id = &document["last_insert_id"];
    let id = if id.is_null() { String::new() } else { format!(", last id {id}") };
    let rows = &document["rows_affected"];
    screen::line(&format!("{rows} {} changed{id}", if rows == 1 { "row" } else { "rows" }));
    Ok(())
}

fn schema(gateway: &Gateway, shared: &Shared) -> Outcome {
    let document = gateway.get("/v1/rqlite/schema", &[])?;
    if shared.json {
        screen::json(&document);
        return Ok(());
    }
    let objects = document["tables"].as_array().into_iter().flatten();
    let statements: Vec<&str> = objects.filter_map(|object| object["sql"].as_str()).collect();
    if statements.is_empty() {
        screen::talk("no tables yet");
    }
    statements.iter().for_each(|sql| screen::line(&format!("{};", printable::block(sql))));
    Ok(())
}

/// The names of what may be selected from.
fn tables(gateway: &Gateway, shared: &Shared) -> Outcome {
    let document = gateway.get("/v1/rqlite/schema", &[])?;
    let objects = document["tables"].as_array().into_iter().flatten();
    let of_rows = |kind: &serde_json::Value| kind == "table" || kind == "view";
    let names: Vec<&str> =
        objects.filter(|object| of_rows(&object["type"])).filter_map(|o| o["name"].as_str()).collect();
    match shared.json {
        true => screen::json(&serde_json::json!({ "tables": names, "count": names.len() })),
        false => names.iter().for_each(|name| screen::line(&printable::line(name))),
    }
    Ok(())
}
