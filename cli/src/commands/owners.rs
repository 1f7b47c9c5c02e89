//! `orama namespace owners`: the wallets that may do something in a namespace.

use serde::Deserialize;
use serde_json::json;

use super::connect;
use crate::args::{Shared, scopes_help};
use crate::failure::Outcome;
use crate::gateway::{self, segment};
use crate::table::Table;
use crate::{printable, screen, units};

#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    List(List),
    Add(Add),
    Remove(Remove),
}

/// List the owners of the namespace
#[derive(Debug, clap::Args)]
pub struct List {}

/// Add a wallet, or replace what it may do
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama namespace owners add 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed
  orama namespace owners add 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed --scope invoke,data --namespace team")]
pub struct Add {
    /// Address of the wallet
    wallet: String,
    #[arg(long = "scope", help = scopes_help(), value_name = "SCOPE", value_delimiter = ',', default_value = "admin")]
    scopes: Vec<String>,
}

/// Remove a wallet: it may do nothing here any more
#[derive(Debug, clap::Args)]
pub struct Remove {
    /// Address of the wallet
    wallet: String,
}

#[derive(Deserialize)]
struct Owners {
    owners: Vec<Owner>,
}

#[derive(Deserialize)]
struct Owner {
    wallet: String,
    scopes: Vec<String>,
    added_at: String,
}

pub fn run(verb: &Verb, shared: &Shared) -> Outcome {
    let gateway = connect(shared)?;
    let all = format!("/v1/namespaces/{}/owners", segment(&gateway.namespace()?)?);
    let one = |wallet: &str| -> Outcome<String> { Ok(format!("{all}/{}", segment(wallet)?)) };
    let document = match verb {
        Verb::List(_) => gateway.get(&all, &[])?,
        Verb::Add(Add { wallet, scopes }) => gateway.put(&one(wallet)?, &json!({ "scopes": scopes }))?,
        Verb::Remove(Remove { wallet }) => gateway.delete(&one(wallet)?)?,
    };
    if shared.json {
        screen::json(&document);
        return Ok(());
    }
    match verb {
        Verb::List(_) => print(gateway::read::<Owners>(&document)?.owners),
        Verb::Add(args) => screen::line(&printable::line(&format!("{} may {}", args.wallet, args.scopes.join(", ")))),
        Verb::Remove(args) => screen::line(&printable::line(&format!("removed {}", args.wallet))),
    }
    Ok(())
}

fn print(owners: Vec<Owner>) {
    if owners.is_empty() {
        screen::talk("no wallet owns anything here");
        screen::hint("add one with `orama namespace owners add WALLET`");
        return;
    }
    let mut table = Table::new(["WALLET", "SCOPES", "ADDED"]);
    for Owner { wallet, scopes, added_at } in owners {
        table.row([wallet, scopes.join(","), units::second(&added_at)]);
    }
    screen::data(table.render().as_bytes());
}
