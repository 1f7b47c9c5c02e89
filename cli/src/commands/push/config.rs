//! `orama push config`: what the providers of a namespace need to know.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::{file_text, hidden};
use crate::args::Shared;
use crate::commands::secrets::Hidden;
use crate::commands::whoami::plain;
use crate::commands::{confirm_deletion, connect};
use crate::failure::{Failure, Outcome};
use crate::screen;
use crate::table::Table;

#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    Get(Get),
    Set(Box<Set>),
    Clear(Clear),
}

/// Show the settings; of secrets, whether they are set
#[derive(Debug, clap::Args)]
pub struct Get {}

/// Set some settings and keep the others; an empty value clears one
///
/// Secrets may be `-`, which reads them from stdin.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama push config set --ntfy-base-url https://ntfy.sh
  orama push config set --apns-key AuthKey_ABC123DEFG.p8 --apns-key-id ABC123DEFG --apns-team-id TEAM456789 --apns-topic com.example.app
  orama push config set --fcm-service-account service-account.json
  orama push config set --generate-vapid-key --vapid-subject mailto:ops@example.com")]
pub struct Set {
    /// Server of ntfy
    #[arg(long, value_name = "URL")]
    ntfy_base_url: Option<String>,
    /// Access token of ntfy
    #[arg(long, value_name = "TOKEN|-")]
    ntfy_auth_token: Option<Hidden>,
    /// Access token of Expo
    #[arg(long, value_name = "TOKEN|-")]
    expo_access_token: Option<Hidden>,
    /// Signing key of Apple: the `.p8` file
    #[arg(long, value_name = "FILE")]
    apns_key: Option<PathBuf>,
    /// Id of that key
    #[arg(long, value_name = "ID")]
    apns_key_id: Option<String>,
    /// Id of the team at Apple
    #[arg(long, value_name = "ID")]
    apns_team_id: Option<String>,
    /// Bundle id of the app
    #[arg(long, value_name = "BUNDLE")]
    apns_topic: Option<String>,
    /// Use Apple's sandbox, as apps from Xcode do
    #[arg(long, value_name = "BOOL")]
    apns_sandbox: Option<bool>,
    /// Service account of Firebase: the JSON file
    #[arg(long, value_name = "FILE")]
    fcm_service_account: Option<PathBuf>,
    /// Key that browsers know you by; keep the one that they subscribed with
    #[arg(long, value_name = "KEY|-")]
    vapid_private_key: Option<Hidden>,
    /// Make that key, unless there is one
    #[arg(long, conflicts_with = "vapid_private_key")]
    generate_vapid_key: bool,
    /// Where push services reach you: `mailto:` or `https:`
    #[arg(long, value_name = "URL")]
    vapid_subject: Option<String>,
}

/// Clear every setting, or those of one provider
#[derive(Debug, clap::Args)]
pub struct Clear {
    /// ntfy, expo, apns, webpush or fcm
    #[arg(long, value_parser = ["ntfy", "expo", "apns", "webpush", "fcm"])]
    provider: Option<String>,
    /// Do not ask
    #[arg(long)]
    force: bool,
}

const CONFIG: &str = "/v1/push/config";

pub fn run(verb: &Verb, shared: &Shared) -> Outcome {
    match verb {
        Verb::Get(_) => get(shared),
        Verb::Set(args) => set(args, shared),
        Verb::Clear(args) => clear(args, shared),
    }
}

fn get(shared: &Shared) -> Outcome {
    show(&connect(shared)?.get(CONFIG, &[])?, shared);
    Ok(())
}

fn set(args: &Set, shared: &Shared) -> Outcome {
    let changes = changes(args)?;
    if changes.is_empty() && !args.generate_vapid_key {
        let hint = "name what to set, such as `--ntfy-base-url URL`; `--help` lists all";
        return Err(Failure::usage("nothing to set").hint(hint));
    }
    let gateway = connect(shared)?;
    if args.generate_vapid_key {
        gateway.post("/v1/push/vapid-key", &json!({}))?;
    }
    let document = match changes.is_empty() {
        true => gateway.get(CONFIG, &[])?,
        false => gateway.put(CONFIG, &changes)?,
    };
    show(&document, shared);
    Ok(())
}

/// The fields that were named.
fn changes(args: &Set) -> Outcome<Map<String, Value>> {
    let mut changes = Map::new();
    let plain = [
        ("ntfy_base_url", &args.ntfy_base_url),
        ("apns_key_id", &args.apns_key_id),
        ("apns_team_id", &args.apns_team_id),
        ("apns_topic", &args.apns_topic),
        ("vapid_subject", &args.vapid_subject),
    ];
    changes.extend(plain.into_iter().filter_map(|(name, text)| Some((name.to_owned(), json!(text.as_ref()?)))));
    changes.extend(args.apns_sandbox.map(|sandbox| ("apns_sandbox".to_owned(), json!(sandbox))));
    let secrets = [
        ("ntfy_auth_token", &args.ntfy_auth_token),
        ("expo_access_token", &args.expo_access_token),
        ("vapid_private_key", &args.vapid_private_key),
    ];
    for (name, secret) in secrets {
        if let Some(secret) = secret {
            changes.insert(name.to_owned(), json!(hidden(secret.expose())?));
        }
    }
    for (name, file) in [("apns_key_pem", &args.apns_key), ("fcm_service_account", &args.fcm_service_account)] {
        if let Some(file) = file {
            changes.insert(name.to_owned(), json!(file_text(file)?));
        }
    }
    Ok(changes)
}

fn show(document: &Value, shared: &Shared) {
    if shared.json {
        screen::json(document);
        return;
    }
    let mut table = Table::new(["SETTING", "VALUE"]);
    for (name, value) in document.as_object().into_iter().flatten() {
        let (name, value) = match (name.strip_prefix("has_"), value) {
            (Some(name), Value::Bool(true)) => (name, "(set)".to_owned()),
            (Some(name), _) => (name, "-".to_owned()),
            (None, Value::Null) => (name.as_str(), "-".to_owned()),
            (None, Value::String(text)) if text.is_empty() => (name.as_str(), "-".to_owned()),
            (None, Value::Array(items)) => (name.as_str(), items.iter().map(plain).collect::<Vec<_>>().join(", ")),
            (None, value) => (name.as_str(), plain(value)),
        };
        if !matches!(name, "status" | "namespace") {
            table.row([name.to_owned(), value]);
        }
    }
    screen::data(table.render().as_bytes());
}

fn clear(args: &Clear, shared: &Shared) -> Outcome {
    let gateway = connect(shared)?;
    let (path, what) = match &args.provider {
        Some(provider) => (format!("/v1/namespace/push-credentials/{provider}"), format!("the settings of {provider}")),
        None => (CONFIG.to_owned(), "the settings of push".to_owned()),
    };
    confirm_deletion(args.force, &what)?;
    let document = gateway.delete(&path)?;
    match shared.json {
        true => screen::json(&document),
        false => screen::line(&format!("cleared {what}")),
    }
    Ok(())
}
