//! `orama auth keys`: the API keys of a namespace.

use std::time::Duration;

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
    Create(Create),
    List(List),
    Revoke(Revoke),
}

/// Make an API key; it is shown this once
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama auth keys create --name ci --scope deploy
  orama auth keys create --name app --scope invoke,data --expires 30d > app.key")]
pub struct Create {
    /// What people call it
    #[arg(long)]
    name: String,
    #[arg(long = "scope", help = scopes_help(), value_name = "SCOPE", value_delimiter = ',', required = true)]
    scopes: Vec<String>,
    /// When it ends: 12h, 30d [default: never]
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    expires: Option<Duration>,
}

/// List the API keys of the namespace
#[derive(Debug, clap::Args)]
pub struct List {}

/// Revoke an API key, from the next request on
#[derive(Debug, clap::Args)]
pub struct Revoke {
    /// Id of the key, as `list` shows it
    id: String,
}

pub fn run(verb: &Verb, shared: &Shared) -> Outcome {
    match verb {
        Verb::Create(args) => create(args, shared),
        Verb::List(_) => list(shared),
        Verb::Revoke(args) => revoke(args, shared),
    }
}

#[derive(Deserialize)]
struct Keys {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    id: String,
    name: String,
    scopes: Vec<String>,
    created_at: String,
    expires_at: Option<String>,
    last_used_at: Option<String>,
    revoked_at: Option<String>,
}

fn create(args: &Create, shared: &Shared) -> Outcome {
    let mut body = json!({ "name": args.name, "scopes": args.scopes });
    if let Some(lifetime) = args.expires {
        body["expires_in_seconds"] = json!(lifetime.as_secs());
    }
    let document = connect(shared)?.post("/v1/auth/keys", &body)?;
    if shared.json {
        screen::json(&document);
        return Ok(());
    }
    let key = gateway::read::<Key>(&document)?;
    screen::line(&printable::line(document["key"].as_str().unwrap_or_default()));
    screen::talk(&printable::line(&format!(
        "made the key {} with {}; it is not shown again",
        key.id,
        key.scopes.join(", ")
    )));
    Ok(())
}

fn list(shared: &Shared) -> Outcome {
    let document = connect(shared)?.get("/v1/auth/keys", &[])?;
    match shared.json {
        true => screen::json(&document),
        false => screen::data(render(gateway::read::<Keys>(&document)?.keys).as_bytes()),
    }
    Ok(())
}

fn render(keys: Vec<Key>) -> String {
    let time = |time: Option<String>| time.map_or("-".to_owned(), |time| units::second(&time));
    let mut table = Table::new(["ID", "NAME", "SCOPES", "CREATED", "EXPIRES", "LAST USED", "REVOKED"]);
    for Key { id, name, scopes, created_at, expires_at, last_used_at, revoked_at } in keys {
        let times = [Some(created_at), expires_at, last_used_at, revoked_at].map(time);
        let [created, expires, used, revoked] = times;
        table.row([id, name, scopes.join(","), created, expires, used, revoked]);
    }
    table.render()
}

fn revoke(args: &Revoke, shared: &Shared) -> Outcome {
    let document = connect(shared)?.delete(&format!("/v1/auth/keys/{}", segment(&args.id)?))?;
    match shared.json {
        true => screen::json(&document),
        false => screen::line(&format!("revoked {}", printable::line(&args.id))),
    }
    Ok(())
}
