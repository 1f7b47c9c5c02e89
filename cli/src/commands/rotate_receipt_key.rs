use super::connect;
use crate::args::Shared;
use crate::failure::Outcome;
use crate::{printable, screen};

/// Sign receipts, or replies, with a new key from now on; the earlier keys stay published
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What the key signs
    #[arg(long = "use", value_name = "USE", default_value = "receipts", value_parser = ["receipts", "oyster"])]
    purpose: String,
}

pub fn run(args: &Args, shared: &Shared) -> Outcome {
    let body = serde_json::json!({ "use": args.purpose });
    let document = connect(shared)?.post("/v1/auth/receipt-keys/rotate", &body)?;
    match shared.json {
        true => screen::json(&document),
        false => screen::line(&printable::line(document["kid"].as_str().unwrap_or_default())),
    }
    Ok(())
}
