//! `orama push`: the providers of a namespace, the devices of users, messages to them.

mod config;

use serde::Deserialize;
use serde_json::{Value, json};

use super::connect;
use crate::args::Shared;
use crate::failure::{Failure, Outcome};
use crate::table::Table;
use crate::{gateway, printable, screen, units};

#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// The settings of a namespace's providers
    #[command(subcommand)]
    Config(config::Verb),
    Devices(Devices),
    Send(Box<Send>),
}

/// List your devices, or those of a user
///
/// Your own are those of the wallet that you signed in with. Tokens are never shown.
#[derive(Debug, clap::Args)]
pub struct Devices {
    /// Wallet or account of the user
    #[arg(long)]
    user: Option<String>,
}

/// Send a message to every device of a user
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama push send 0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed --title Call --body 'from Ada' --priority high
  orama push send ada --data '{\"sync\": true}' --target-provider fcm")]
pub struct Send {
    #[command(flatten)]
    message: Message,
}

/// A message, and who gets it.
#[derive(Debug, clap::Args)]
pub struct Message {
    /// Wallet or account of the user
    user: String,
    /// Title
    #[arg(long)]
    title: Option<String>,
    /// Text
    #[arg(long)]
    body: Option<String>,
    /// Data for the app: a JSON object
    #[arg(long, value_name = "JSON", value_parser = object)]
    data: Option<Value>,
    /// How urgent it is
    #[arg(long, value_parser = ["high", "normal"])]
    priority: Option<String>,
    /// Number on the icon of the app
    #[arg(long)]
    badge: Option<u32>,
    /// Sound of the app
    #[arg(long)]
    sound: Option<String>,
    /// Channel of notifications, on Android
    #[arg(long)]
    channel: Option<String>,
    /// Only devices of this provider: ntfy, expo, apns, apns_voip, webpush or fcm
    #[arg(long, value_name = "PROVIDER")]
    target_provider: Option<String>,
    /// No devices of this provider
    #[arg(long, value_name = "PROVIDER")]
    exclude_provider: Option<String>,
    /// A later message with the same id takes the place of this one
    #[arg(long, value_name = "ID")]
    message_id: Option<String>,
}

/// Reads a JSON object.
fn object(text: &str) -> Result<Value, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    if value.is_object() { Ok(value) } else { Err("it is not a JSON object".to_owned()) }
}

impl Message {
    /// The message as the gateway takes it; what was not given is left to it.
    pub fn document(&self) -> Value {
        json!({
            "user_id": self.user,
            "title": self.title,
            "body": self.body,
            "data": self.data,
            "priority": self.priority,
            "badge": self.badge,
            "sound": self.sound,
            "channel": self.channel,
            "target_provider": self.target_provider,
            "exclude_provider": self.exclude_provider,
            "message_id": self.message_id,
        })
    }
}

pub fn run(verb: &Verb, shared: &Shared) -> Outcome {
    match verb {
        Verb::Config(verb) => config::run(verb, shared),
        Verb::Devices(args) => devices(args, shared),
        Verb::Send(args) => send(args, shared),
    }
}

#[derive(Deserialize)]
struct Listed {
    devices: Vec<Device>,
}

#[derive(Deserialize)]
struct Device {
    id: String,
    device_id: String,
    provider: String,
    #[serde(default)]
    platform: String,
    updated_at: String,
}

fn devices(args: &Devices, shared: &Shared) -> Outcome {
    let query: Vec<_> = args.user.iter().map(|user| ("user_id", user.clone())).collect();
    let document = connect(shared)?.get("/v1/push/devices", &query)?;
    if shared.json {
        screen::json(&document);
        return Ok(());
    }
    let devices = gateway::read::<Listed>(&document)?.devices;
    if devices.is_empty() {
        screen::talk("no devices");
        return Ok(());
    }
    let mut table = Table::new(["DEVICE", "PROVIDER", "PLATFORM", "SEEN", "ID"]);
    for Device { id, device_id, provider, platform, updated_at } in devices {
        table.row([device_id, provider, platform, units::second(&updated_at), id]);
    }
    screen::data(table.render().as_bytes());
    Ok(())
}

#[derive(Deserialize)]
struct Sent {
    devices_attempted: u64,
    devices_succeeded: u64,
    results: Vec<DeviceResult>,
}

#[derive(Deserialize)]
struct DeviceResult {
    device_id: String,
    unregistered: Option<bool>,
}

fn send(args: &Send, shared: &Shared) -> Outcome {
    let document = connect(shared)?.post("/v1/push/send", &args.message.document())?;
    match shared.json {
        true => screen::json(&document),
        false => report(&args.message.user, &gateway::read::<Sent>(&document)?),
    }
    Ok(())
}

fn report(user: &str, sent: &Sent) {
    let user = printable::line(user);
    if sent.devices_attempted == 0 {
        screen::warning(&format!("{user} has no device that could get it"));
        return;
    }
    screen::line(&format!("sent to {} of {} devices of {user}", sent.devices_succeeded, sent.devices_attempted));
    for device in sent.results.iter().filter(|device| device.unregistered == Some(true)) {
        screen::talk(&format!("{} is gone and was removed", printable::line(&device.device_id)));
    }
}

/// What is given as `-` comes from stdin, without the end of its line.
fn hidden(text: &str) -> Outcome<String> {
    match text {
        "-" => Ok(super::read_stdin_text()?.trim_end_matches(['\r', '\n']).to_owned()),
        text => Ok(text.to_owned()),
    }
}

/// The text of a file; an empty name means an empty text, which clears.
fn file_text(file: &std::path::Path) -> Outcome<String> {
    match file.as_os_str().is_empty() {
        true => Ok(String::new()),
        false => std::fs::read_to_string(file).map_err(Failure::file("read", file)),
    }
}
