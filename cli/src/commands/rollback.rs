use domain::{FunctionName, VersionNumber};
use reqwest::Method;
use serde_json::{Value, json};

use super::connect;
use crate::args::{Shared, function_name};
use crate::failure::Outcome;
use crate::screen;

/// Make an earlier version of a function the active one
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama function rollback hello                 # to the newest version below the active one
  orama function rollback hello 2")]
pub struct Args {
    /// Name of the function
    #[arg(value_parser = function_name)]
    name: FunctionName,
    /// The version to go to [default: the newest below the active one]
    #[arg(value_name = "N", value_parser = version)]
    version: Option<VersionNumber>,
}

fn version(text: &str) -> Result<VersionNumber, String> {
    VersionNumber::parse(text).map_err(|_| "must be a whole number from 1".to_owned())
}

pub fn run(args: &Args, shared: &Shared) -> Outcome {
    let gateway = connect(shared)?;
    let body = match args.version {
        Some(version) => json!({"version": version.get()}),
        None => json!({}),
    };
    let request = gateway.request(Method::POST, &format!("/v1/functions/{}/rollback", args.name), &[]);
    let document = gateway.document(request.json(&body))?;
    if shared.json {
        screen::json(&document);
    } else {
        screen::line(&format!("{} is now version {}", args.name, active_version(&document)));
    }
    Ok(())
}

/// The answer is the function, bare or under `function`.
fn active_version(document: &Value) -> String {
    let version = [&document["function"]["version"], &document["version"]].into_iter().find_map(Value::as_u64);
    version.map_or_else(|| "?".to_owned(), |version| version.to_string())
}
