//! `orama function secrets`: set, named, deleted; a value is never shown.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::connect;
use crate::args::Shared;
use crate::failure::{Failure, Outcome};
use crate::gateway::{self, segment};
use crate::table::Table;
use crate::{printable, screen, units};

#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    Set(Set),
    List(List),
    Delete(Delete),
    Rotate(Rotate),
}

/// Set a secret that functions of the namespace read
///
/// What comes from a file or from stdin is taken byte for byte, the line end too. Without a value it is asked for.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama function secrets set STRIPE_KEY sk_live_…
  orama function secrets set TLS_KEY --from-file key.pem
  printf %s \"$TOKEN\" | orama function secrets set TOKEN -")]
pub struct Set {
    /// Name of the secret
    name: String,
    /// The value, or - for stdin
    #[arg(value_name = "VALUE|-", conflicts_with = "from_file", allow_hyphen_values = true)]
    value: Option<Hidden>,
    /// File that holds the value
    #[arg(long, value_name = "FILE")]
    from_file: Option<PathBuf>,
}

/// List the names of the secrets; values are never shown
#[derive(Debug, clap::Args)]
pub struct List {}

/// Delete a secret
#[derive(Debug, clap::Args)]
pub struct Delete {
    /// Name of the secret
    name: String,
    /// Do not ask
    #[arg(long)]
    force: bool,
}

/// Seal every secret of the node with a new key; nothing stops meanwhile
#[derive(Debug, clap::Args)]
pub struct Rotate {}

/// A value that is not printed by accident.
#[derive(Clone)]
pub struct Hidden(String);

impl Hidden {
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Hidden {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

pub fn run(verb: &Verb, shared: &Shared) -> Outcome {
    match verb {
        Verb::Set(args) => set(args, shared),
        Verb::List(_) => list(shared),
        Verb::Delete(args) => delete(args, shared),
        Verb::Rotate(_) => rotate(shared),
    }
}

fn set(args: &Set, shared: &Shared) -> Outcome {
    let value = value(args)?;
    if value.is_empty() {
        return Err(Failure::usage("the value is empty").hint("delete a secret with `orama function secrets delete`"));
    }
    let body = match std::str::from_utf8(&value) {
        Ok(text) => json!({ "name": args.name, "value": text }),
        Err(_) => json!({ "name": args.name, "value_base64": BASE64.encode(&value) }),
    };
    let document = connect(shared)?.put("/v1/functions/secrets", &body)?;
    match shared.json {
        true => screen::json(&document),
        false => screen::line(&format!("set {}", printable::line(&args.name))),
    }
    Ok(())
}

fn value(args: &Set) -> Outcome<Vec<u8>> {
    match (&args.value, &args.from_file) {
        (Some(Hidden(dash)), _) if dash == "-" => super::read_stdin(),
        (Some(Hidden(value)), _) => Ok(value.clone().into_bytes()),
        (None, Some(file)) => std::fs::read(file).map_err(Failure::file("read", file)),
        (None, None) => {
            let answer = screen::ask_hidden(&format!("Value of {}: ", args.name));
            let none =
                || Failure::usage("no value was given").hint("write it, or use `--from-file FILE`, or `-` for stdin");
            answer.map(String::into_bytes).ok_or_else(none)
        }
    }
}

#[derive(Deserialize)]
struct Secrets {
    details: Vec<Secret>,
}

#[derive(Deserialize)]
struct Secret {
    name: String,
    created_at: String,
    updated_at: String,
}

fn list(shared: &Shared) -> Outcome {
    let document = connect(shared)?.get("/v1/functions/secrets", &[])?;
    if shared.json {
        screen::json(&document);
        return Ok(());
    }
    let secrets = gateway::read::<Secrets>(&document)?.details;
    if secrets.is_empty() {
        screen::talk("no secrets yet");
        screen::hint("set one with `orama function secrets set NAME VALUE`");
        return Ok(());
    }
    let mut table = Table::new(["NAME", "CREATED", "UPDATED"]);
    for Secret { name, created_at, updated_at } in secrets {
        table.row([name, units::second(&created_at), units::second(&updated_at)]);
    }
    screen::data(table.render().as_bytes());
    Ok(())
}

fn delete(args: &Delete, shared: &Shared) -> Outcome {
    let gateway = connect(shared)?;
    let path = format!("/v1/functions/secrets/{}", segment(&args.name)?);
    super::confirm_deletion(args.force, &format!("the secret {}", args.name))?;
    let document = gateway.delete(&path)?;
    match shared.json {
        true => screen::json(&document),
        false => screen::line(&format!("deleted {}", printable::line(&args.name))),
    }
    Ok(())
}

fn rotate(shared: &Shared) -> Outcome {
    let gateway = connect(shared)?;
    let document = gateway.document_at_last(gateway.request(Method::POST, "/v1/functions/secrets/rotate", &[]))?;
    match shared.json {
        true => screen::json(&document),
        false => screen::line(&format!(
            "sealed anew: {} secrets, {} keys of namespaces",
            document["secrets"], document["data_keys"]
        )),
    }
    Ok(())
}
