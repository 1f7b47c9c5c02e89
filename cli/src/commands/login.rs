use std::path::PathBuf;

use domain::Namespace;
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::args::Shared;
use crate::connection::{self, Connection};
use crate::credentials::{self, Credential};
use crate::failure::{Failure, Outcome};
use crate::gateway::{self, Gateway, Tokens};
use crate::wallet::{Chain, Wallet};
use crate::{printable, screen};

/// Sign in to a gateway with an API key, or with a wallet whose key is in a file
///
/// An API key is checked and stored. A wallet signs a challenge of the gateway here; the key stays in its file, and the
/// sign-in is stored and renewed by itself for as long as it is used once in 30 days. Either is kept in
/// `$XDG_CONFIG_HOME/orama/credentials` (else `~/.config/orama/credentials`), readable by you alone.
/// Verbs use this gateway from then on, unless `--gateway` or `ORAMA_GATEWAY_URL` says otherwise.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama login --api-key - < orama-data/admin.key
  orama login --gateway https://orama.example.org
  orama login --wallet --key-file wallet.key --namespace team")]
pub struct Args {
    /// Sign in with a wallet
    #[arg(long, requires = "key_file", conflicts_with_all = ["api_key", "api_key_file"])]
    wallet: bool,
    /// File with the key of the wallet, as `orama wallet new` makes it; nobody else may read it
    #[arg(long, value_name = "FILE", requires = "wallet")]
    key_file: Option<PathBuf>,
    /// The chain of the wallet [default: what the key says]
    #[arg(long, requires = "wallet")]
    chain: Option<Chain>,
}

pub fn run(args: &Args, shared: &Shared) -> Outcome {
    match &args.key_file {
        Some(file) => with_wallet(&Wallet::read(file, args.chain)?, shared),
        None => with_key(shared),
    }
}

fn with_key(shared: &Shared) -> Outcome {
    let connection = connection(shared)?;
    let key = connection.api_key.clone().expect("a login has a key");
    let gateway = Gateway::connect(connection)?;
    let identity = gateway.get("/v1/auth/whoami", &[])?;
    let namespace = namespace(&identity, gateway.connection());
    store(&gateway, Credential::key(&key, &namespace), &namespace, "the key", shared)
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
    let answer = screen::ask_hidden("API key: ");
    let answer =
        answer.ok_or_else(|| Failure::usage("no API key was given").hint("write `orama login --api-key KEY`"))?;
    connection::parse_key(&answer)
}

/// The namespace of the key as the gateway says it; `--namespace` chooses another, when the key may go there.
fn namespace(identity: &Value, connection: &Connection) -> String {
    let asked = connection.namespace.as_ref().map(|namespace| namespace.to_string());
    let said = || identity["namespace"].as_str().map(str::to_owned);
    asked.or_else(said).unwrap_or_else(|| "default".to_owned())
}

#[derive(Deserialize)]
struct Challenge {
    message: String,
}

/// Signs the message, not the bare nonce: it names the gateway, so that no other one can use the signature.
fn with_wallet(wallet: &Wallet, shared: &Shared) -> Outcome {
    let gateway = Gateway::connect(Connection::of(&shared.connection)?.anonymous())?;
    let namespace = gateway.connection().namespace.clone().unwrap_or_else(Namespace::default_namespace);
    let address = wallet.address();
    let question = json!({ "wallet": address, "namespace": namespace, "purpose": "sign-in" });
    let Challenge { message } = gateway::read(&gateway.post("/v1/auth/challenge", &question)?)?;
    check_message(&message, &gateway.connection().gateway, &address)?;
    let chain = match wallet.chain() {
        Chain::Eth => "ETH",
        Chain::Sol => "SOL",
    };
    let signature = wallet.sign(message.as_bytes());
    let proof = json!({ "message": message, "signature": signature, "chain_type": chain, "namespace": namespace });
    let tokens = gateway::read::<Tokens>(&gateway.post("/v1/auth/verify", &proof)?)?;
    let credential = Credential::session(tokens.session(&address), namespace.as_str());
    store(&gateway, credential, namespace.as_str(), "the sign-in", shared)
}

/// A gateway could pass on the challenge of another one, to sign in there as us.
fn check_message(message: &str, gateway: &str, address: &str) -> Outcome {
    let url = Url::parse(gateway).expect("a connection holds a checked address");
    let host = url.host_str().unwrap_or_default();
    let authority = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let mut lines = message.lines();
    let wanted = format!("{authority} wants you to sign in with your ");
    let first =
        lines.next().is_some_and(|line| line.strip_prefix(&*wanted).is_some_and(|rest| rest.ends_with(" account:")));
    match first && lines.next() == Some(address) {
        true => Ok(()),
        false => Err(Failure::failed(format!(
            "the challenge is not one of {authority} for this wallet, so it was not signed"
        ))
        .hint("check the address of the gateway")),
    }
}

fn store(gateway: &Gateway, credential: Credential, namespace: &str, what: &str, shared: &Shared) -> Outcome {
    let address = &gateway.connection().gateway;
    let wallet = credential.session.as_ref().map(|session| session.wallet.clone());
    let file = credentials::store_login(address, credential)?;
    if shared.json {
        let mut document = json!({ "gateway": address, "namespace": namespace, "credentials": file });
        if let Some(wallet) = wallet {
            document["wallet"] = json!(wallet);
        }
        screen::json(&document);
        return Ok(());
    }
    let who = wallet.map_or(String::new(), |wallet| format!(" as {wallet}"));
    screen::line(&format!("logged in to {address}, namespace {}{who}", printable::line(namespace)));
    screen::talk(&format!("{what} is stored in {}", file.display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_of_another_gateway_is_not_signed() {
        let message = |host: &str, wallet: &str| {
            format!("{host} wants you to sign in with your Ethereum account:\n{wallet}\n\nx")
        };
        let check = |text: &str, gateway: &str| check_message(text, gateway, "0xA").is_ok();
        assert!(check(&message("127.0.0.1:6001", "0xA"), "http://127.0.0.1:6001"));
        assert!(check(&message("example.org", "0xA"), "https://example.org/base"));
        assert!(check(&message("[::1]:6001", "0xA"), "http://[::1]:6001"));
        assert!(!check(&message("other.org", "0xA"), "https://example.org"));
        assert!(!check(&message("example.org.evil", "0xA"), "https://example.org"));
        assert!(!check(&message("example.org", "0xB"), "https://example.org"));
        assert!(!check("", "https://example.org"));
    }
}
