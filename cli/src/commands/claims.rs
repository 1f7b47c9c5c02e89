//! `orama auth claims`: what the next tokens of a wallet say about it.

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
    Set(Set),
    List(List),
    Delete(Delete),
}

/// Set a claim that the next tokens of a wallet carry
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama auth claims set 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed plan pro")]
pub struct Set {
    /// Address of the wallet
    wallet: String,
    /// Name of the claim
    key: String,
    /// Its value
    value: String,
}

/// List the claims of a wallet
#[derive(Debug, clap::Args)]
pub struct List {
    /// Address of the wallet
    wallet: String,
}

/// Delete a claim of a wallet
#[derive(Debug, clap::Args)]
pub struct Delete {
    /// Address of the wallet
    wallet: String,
    /// Name of the claim
    key: String,
}

pub fn run(verb: &Verb, shared: &Shared) -> Outcome {
    let gateway = connect(shared)?;
    let place = |wallet: &str, key: &str| -> Outcome<String> {
        Ok(format!("/v1/auth/claims/{}/{}", segment(wallet)?, segment(key)?))
    };
    let document = match verb {
        Verb::Set(Set { wallet, key, value }) => gateway.put(&place(wallet, key)?, &json!({ "value": value }))?,
        Verb::List(List { wallet }) => gateway.get(&format!("/v1/auth/claims/{}", segment(wallet)?), &[])?,
        Verb::Delete(Delete { wallet, key }) => gateway.delete(&place(wallet, key)?)?,
    };
    match shared.json {
        true => screen::json(&document),
        false => print(&document),
    }
    Ok(())
}

/// What the wallet has now.
fn print(document: &Value) {
    let claims: Vec<_> = document["claims"].as_object().into_iter().flatten().collect();
    if claims.is_empty() {
        screen::talk("the wallet has no claims");
        return;
    }
    let mut table = Table::new(["CLAIM", "VALUE"]);
    for (name, value) in claims {
        table.row([name.clone(), plain(value)]);
    }
    screen::data(table.render().as_bytes());
}
