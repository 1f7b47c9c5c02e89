use std::io::IsTerminal;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use serde_json::{Value, json};

use crate::args::Shared;
use crate::connection::{self, Connection};
use crate::failure::{Failure, Outcome};
use crate::gateway::Gateway;
use crate::{credentials, printable, screen};

/// Check an API key and store it for this gateway
///
/// The key is kept in `$XDG_CONFIG_HOME/orama/credentials` (else `~/.config/orama/credentials`), readable by you alone.
/// Verbs use this gateway from then on, unless `--gateway` or `ORAMA_GATEWAY_URL` says otherwise.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama login --api-key - < orama-data/admin.key
  orama login --gateway https://orama.example.org")]
pub struct Args {}

pub fn run(_args: &Args, shared: &Shared) -> Outcome {
    let connection = connection(shared)?;
    let key = connection.api_key.clone().expect("a login has a key");
    let gateway = Gateway::connect(connection)?;
    let identity = gateway.get("/v1/auth/whoami", &[])?;
    let namespace = namespace(&identity, gateway.connection());
    let address = &gateway.connection().gateway;
    let file = credentials::store_login(address, &key, &namespace)?;
    if shared.json {
        screen::json(&json!({"gateway": address, "namespace": namespace, "credentials": file}));
    } else {
        screen::line(&format!("logged in to {address}, namespace {}", printable::line(&namespace)));
        screen::talk(&format!("the key is stored in {}", file.display()));
    }
    Ok(())
}

/// The connection with a key that was said now: a stored one needs no login.
fn connection(shared: &Shared) -> Outcome<Connection> {
    let mut flags = shared.connection.clone();
    let in_environment = std::env::var_os("ORAMA_API_KEY").is_some_and(|key| !key.is_empty());
    if flags.api_key.is_none() && flags.api_key_file.is_none() && !in_environment {
        flags.api_key = Some(ask_key()?);
    }
    Connection::of(&flags)
}

fn ask_key() -> Outcome<String> {
    let hidden = std::io::stdin().is_terminal().then(hide_typing).flatten();
    let answer = screen::ask("API key: ");
    if let Some(before) = hidden {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &before);
        screen::talk("");
    }
    let answer =
        answer.ok_or_else(|| Failure::usage("no API key was given").hint("write `orama login --api-key KEY`"))?;
    connection::parse_key(&answer)
}

/// Stops the terminal from showing what is typed; returns how to undo it.
fn hide_typing() -> Option<Termios> {
    let before = tcgetattr(std::io::stdin()).ok()?;
    let mut quiet = before.clone();
    quiet.local_modes.remove(LocalModes::ECHO);
    tcsetattr(std::io::stdin(), OptionalActions::Now, &quiet).ok()?;
    Some(before)
}

/// The namespace of the key as the gateway says it; `--namespace` chooses another, when the key may go there.
fn namespace(identity: &Value, connection: &Connection) -> String {
    let asked = connection.namespace.as_ref().map(|namespace| namespace.to_string());
    let said = || identity["namespace"].as_str().map(str::to_owned);
    asked.or_else(said).unwrap_or_else(|| "default".to_owned())
}
