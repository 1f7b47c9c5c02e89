//! `orama domains`: names of yours that lead to functions.

use serde_json::{Value, json};

use super::connect;
use super::whoami::plain;
use crate::args::Shared;
use crate::failure::Outcome;
use crate::gateway::segment;
use crate::screen;
use crate::table::Table;

#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    Add(Add),
    /// Look for the proof of a domain in the DNS
    Verify(Named),
    /// List the domains of the namespace
    List,
    /// Give a domain up
    Remove(Named),
}

/// Claim a domain for a function, or lead it to another one
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama domains add shop.example.com --function shop")]
pub struct Add {
    /// The domain, such as `shop.example.com`
    domain: String,
    /// Function that answers on it
    #[arg(long)]
    function: String,
}

#[derive(Debug, clap::Args)]
pub struct Named {
    /// The domain
    domain: String,
}

pub fn run(verb: &Verb, shared: &Shared) -> Outcome {
    let gateway = connect(shared)?;
    let place = |named: &Named| -> Outcome<String> { Ok(format!("/v1/domains/{}", segment(&named.domain)?)) };
    let document = match verb {
        Verb::Add(Add { domain, function }) => {
            gateway.post("/v1/domains", &json!({ "domain": domain, "function": function }))?
        }
        Verb::Verify(named) => gateway.post(&format!("{}/verify", place(named)?), &json!({}))?,
        Verb::List => gateway.get("/v1/domains", &[])?,
        Verb::Remove(named) => gateway.delete(&place(named)?)?,
    };
    match verb {
        _ if shared.json => screen::json(&document),
        Verb::Add(_) | Verb::Verify(_) => tell(&document),
        Verb::List => list(&document),
        Verb::Remove(named) => screen::talk(&format!("`{}` leads here no longer", named.domain)),
    }
    Ok(())
}

fn tell(document: &Value) {
    let text = |key: &str| plain(&document[key]);
    if text("status") == "verified" {
        screen::talk(&format!("`{}` leads to `{}`", text("domain"), text("function")));
        return;
    }
    screen::talk("set this record, then run `orama domains verify` with the domain");
    screen::data(format!("{} TXT {}\n", text("record"), text("token")).as_bytes());
}

fn list(document: &Value) {
    let domains = document["domains"].as_array().map(Vec::as_slice).unwrap_or_default();
    if domains.is_empty() {
        screen::talk("no domains; claim one with `orama domains add DOMAIN --function NAME`");
        return;
    }
    let mut table = Table::new(["DOMAIN", "FUNCTION", "STATUS", "RECORD", "TOKEN"]);
    for domain in domains {
        table.row(["domain", "function", "status", "record", "token"].map(|key| plain(&domain[key])));
    }
    screen::data(table.render().as_bytes());
}
