//! `orama cache`: values in the maps of a namespace's cache.

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

use super::connect;
use crate::args::Shared;
use crate::failure::Outcome;
use crate::gateway::Gateway;
use crate::{printable, screen, units};

/// Keys that one question of `scan` brings.
const PAGE: usize = 1000;

#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    Get(Get),
    Set(Set),
    Delete(Delete),
    Scan(Scan),
    Incr(Incr),
}

#[derive(Debug, clap::Args)]
pub struct Map {
    /// The map that the key is in
    #[arg(long = "map", value_name = "MAP")]
    name: String,
}

/// Print a value: a text as it is, anything else as JSON
#[derive(Debug, clap::Args)]
pub struct Get {
    /// The key
    key: String,
    #[command(flatten)]
    map: Map,
}

/// Set a value: JSON where it can be read as such, else a text
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama cache set greeting hello --map demo --ttl 1h
  orama cache set user:1 '{\"name\": \"Ada\"}' --map demo
  orama cache set report - --map demo < report.json")]
pub struct Set {
    /// The key
    key: String,
    /// The value, or - for stdin
    #[arg(value_name = "VALUE|-")]
    value: String,
    #[command(flatten)]
    map: Map,
    /// How long it lives: 30s, 15m, 2h, 7d [default: for ever]
    #[arg(long, value_name = "TIME", value_parser = ttl)]
    ttl: Option<String>,
}

/// Delete a value
#[derive(Debug, clap::Args)]
pub struct Delete {
    /// The key
    key: String,
    #[command(flatten)]
    map: Map,
}

/// Print the keys of a map, in order, one a line
#[derive(Debug, clap::Args)]
pub struct Scan {
    /// Only keys that this regular expression matches
    pattern: Option<String>,
    #[command(flatten)]
    map: Map,
    /// The most keys to print
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
}

/// Add to a counter and print what it is now
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama cache incr visits --map demo
  orama cache incr stock --map demo --by=-1")]
pub struct Incr {
    /// The key
    key: String,
    #[command(flatten)]
    map: Map,
    /// What to add
    #[arg(long, value_name = "N", default_value_t = 1, allow_negative_numbers = true)]
    by: i64,
}

/// The gateway takes durations in the form of Go, which knows no days.
fn ttl(text: &str) -> Result<String, String> {
    match units::duration(text) {
        Ok(duration) => Ok(format!("{}s", duration.as_secs())),
        Err(wrong) if text.ends_with('d') => Err(wrong),
        Err(_) => Ok(text.to_owned()),
    }
}

pub fn run(verb: &Verb, shared: &Shared) -> Outcome {
    let gateway = connect(shared)?;
    match verb {
        Verb::Get(args) => get(args, &gateway, shared),
        Verb::Set(args) => set(args, &gateway, shared),
        Verb::Delete(args) => delete(args, &gateway, shared),
        Verb::Scan(args) => scan(args, &gateway, shared),
        Verb::Incr(args) => incr(args, &gateway, shared),
    }
}

#[derive(Deserialize)]
struct Value {
    value: Box<RawValue>,
}

fn get(args: &Get, gateway: &Gateway, shared: &Shared) -> Outcome {
    let request = gateway.request(Method::POST, "/v1/cache/get", &[]);
    let body = gateway.text(request.json(&json!({ "dmap": args.map.name, "key": args.key })))?;
    if shared.json {
        screen::document(&body);
        return Ok(());
    }
    let value = gateway.parse::<Value>(&body)?.value;
    match serde_json::from_str::<String>(value.get()) {
        Ok(text) => super::invoke::print_body(text.as_bytes()),
        Err(_) => screen::line(value.get()),
    }
    Ok(())
}

#[derive(Serialize)]
struct Put<'a> {
    dmap: &'a str,
    key: &'a str,
    /// As it was written: a number keeps every digit.
    value: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<&'a str>,
}

fn set(args: &Set, gateway: &Gateway, shared: &Shared) -> Outcome {
    let text = match args.value.as_str() {
        "-" => super::read_stdin_text()?,
        text => text.to_owned(),
    };
    let value = RawValue::from_string(text.trim().to_owned());
    let value = value.or_else(|_| to_raw_value(&text)).expect("texts serialize");
    let put = Put { dmap: &args.map.name, key: &args.key, value, ttl: args.ttl.as_deref() };
    let document = gateway.post("/v1/cache/put", &put)?;
    match shared.json {
        true => screen::json(&document),
        false => screen::talk(&printable::line(&format!("set {}", args.key))),
    }
    Ok(())
}

fn delete(args: &Delete, gateway: &Gateway, shared: &Shared) -> Outcome {
    let document = gateway.post("/v1/cache/delete", &json!({ "dmap": args.map.name, "key": args.key }))?;
    match shared.json {
        true => screen::json(&document),
        false => screen::talk(&printable::line(&format!("deleted {}", args.key))),
    }
    Ok(())
}

#[derive(Deserialize)]
struct Keys {
    keys: Vec<String>,
    /// Where to go on.
    #[serde(default)]
    next: Option<String>,
}

fn scan(args: &Scan, gateway: &Gateway, shared: &Shared) -> Outcome {
    let mut left = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let (mut all, mut after) = (Vec::new(), None::<String>);
    while left > 0 {
        let mut question =
            json!({ "dmap": args.map.name, "match": args.pattern.as_deref().unwrap_or(""), "limit": left.min(PAGE) });
        if let Some(after) = &after {
            question["after"] = json!(after);
        }
        let Keys { keys, next } = crate::gateway::read(&gateway.post("/v1/cache/scan", &question)?)?;
        left -= keys.len().min(left);
        match shared.json {
            true => all.extend(keys),
            false => keys.iter().for_each(|key| screen::line(&printable::line(key))),
        }
        after = next;
        if after.is_none() {
            break;
        }
    }
    if shared.json {
        screen::json(&json!({ "dmap": args.map.name, "keys": all, "count": all.len(), "more": after.is_some() }));
    } else if after.is_some() {
        screen::hint("there are more keys; see them with a larger `--limit`");
    }
    Ok(())
}

fn incr(args: &Incr, gateway: &Gateway, shared: &Shared) -> Outcome {
    let document =
        gateway.post("/v1/cache/incr", &json!({ "dmap": args.map.name, "key": args.key, "delta": args.by }))?;
    match shared.json {
        true => screen::json(&document),
        false => screen::line(&document["value"].to_string()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_seconds_and_other_forms_are_left_to_the_gateway() {
        assert_eq!(ttl("7d").as_deref(), Ok("604800s"));
        assert_eq!(ttl("1h").as_deref(), Ok("3600s"));
        assert_eq!(ttl("1h30m").as_deref(), Ok("1h30m"));
        assert!(ttl("1h2d").is_err());
    }
}
