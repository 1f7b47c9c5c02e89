use clap::Subcommand;
use domain::FunctionName;
use serde_json::Value;

use super::connect;
use super::whoami::plain;
use crate::args::{Shared, function_name};
use crate::failure::Outcome;
use crate::gateway::{Gateway, segment};
use crate::screen;
use crate::table::Table;

/// How many receipts are asked for at once.
const PAGE: usize = 1000;

#[derive(Debug, Subcommand)]
pub enum Verb {
    Get(GetArgs),
    Export(ExportArgs),
    Keys(KeysArgs),
}

/// Show the receipt of a call
#[derive(Debug, clap::Args)]
pub struct GetArgs {
    /// The `X-Request-ID` of the reply
    request_id: String,
}

/// Print the receipts of a function, one a line, in the order of their chain
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama receipts export factors > receipts.jsonl
  orama receipts keys > keys.json
  orama verify --receipts receipts.jsonl --keys keys.json")]
pub struct ExportArgs {
    #[arg(value_parser = function_name)]
    function: FunctionName,
    /// Only those behind this number
    #[arg(long, value_name = "N", default_value_t = 0)]
    after: u64,
}

/// Print the public keys of the node, as `orama verify` reads them
#[derive(Debug, clap::Args)]
pub struct KeysArgs {}

pub fn run(verb: &Verb, shared: &Shared) -> Outcome {
    let gateway = connect(shared)?;
    match verb {
        Verb::Get(args) => get(args, &gateway, shared),
        Verb::Export(args) => export(args, &gateway),
        Verb::Keys(KeysArgs {}) => {
            screen::json(&gateway.get("/.well-known/orama-keys.json", &[])?);
            Ok(())
        }
    }
}

fn get(args: &GetArgs, gateway: &Gateway, shared: &Shared) -> Outcome {
    let document = gateway.get(&format!("/v1/receipts/{}", segment(&args.request_id)?), &[])?;
    if shared.json {
        screen::json(&document);
        return Ok(());
    }
    let mut table = Table::plain();
    for (name, value) in document.as_object().into_iter().flatten() {
        table.row([name.clone(), plain(value)]);
    }
    screen::data(table.render().as_bytes());
    Ok(())
}

fn export(args: &ExportArgs, gateway: &Gateway) -> Outcome {
    let mut after = args.after;
    loop {
        let query =
            [("function", args.function.to_string()), ("after", after.to_string()), ("limit", PAGE.to_string())];
        let document = gateway.get("/v1/receipts", &query)?;
        let receipts = document["receipts"].as_array().map(Vec::as_slice).unwrap_or_default();
        for receipt in receipts {
            screen::line(&receipt.to_string());
        }
        match document["next"].as_u64().filter(|next| *next > after && !receipts.is_empty()) {
            Some(next) => after = next,
            None => return Ok(()),
        }
    }
}

/// Used by `orama verify` as well: the receipts in a file, of any of the forms that are printed here.
pub fn read_all(text: &[u8]) -> Result<Vec<domain::Receipt>, domain::InvalidReceipt> {
    let listed = |document: &Value| document["receipts"].as_array().cloned();
    if let Ok(document) = serde_json::from_slice::<Value>(text) {
        let receipts = listed(&document).unwrap_or_else(|| vec![document]);
        return receipts.iter().map(|receipt| domain::Receipt::parse(receipt.to_string().as_bytes())).collect();
    }
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    lines.map(domain::Receipt::parse).collect()
}
