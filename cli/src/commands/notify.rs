//! `orama notify`: a message that finds its user: a live socket, a device, or the inbox.

use std::time::Duration;

use serde_json::Value;

use super::{connect, push};
use crate::args::Shared;
use crate::failure::Outcome;
use crate::{printable, screen, units};

/// Reach a user: over a live socket, else by push, else in the inbox, where the message waits
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama notify ada --title 'Order 7' --body 'is on its way'
  orama notify ada --body 'see you at noon' --expires 3h")]
pub struct Args {
    #[command(flatten)]
    message: push::Message,
    /// How long it waits in the inbox, such as `3h` or `7d` [default: 7 days]
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    expires: Option<Duration>,
}

pub fn run(args: &Args, shared: &Shared) -> Outcome {
    let mut message = args.message.document();
    if let Some(expires) = args.expires {
        message["expires_in_seconds"] = expires.as_secs().into();
    }
    let document = connect(shared)?.post("/v1/notify", &message)?;
    match shared.json {
        true => screen::json(&document),
        false => screen::line(&printable::line(&told(&document))),
    }
    Ok(())
}

fn told(document: &Value) -> String {
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    match document["via"].as_str() {
        Some("socket") => format!("reached over {} live sockets", number(&document["sockets"])),
        Some("push") => format!("pushed to {} devices", number(&document["push"]["devices_succeeded"])),
        _ => {
            let until = document["expires_at"].as_str().unwrap_or_default();
            format!("waits in the inbox until {}", units::second(until))
        }
    }
}
