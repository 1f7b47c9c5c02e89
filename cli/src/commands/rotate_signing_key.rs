use super::connect;
use crate::args::Shared;
use crate::failure::Outcome;
use crate::{printable, screen};

/// Sign access tokens with a new key from now on; those signed before stay valid until they end
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_args: &Args, shared: &Shared) -> Outcome {
    let document = connect(shared)?.post("/v1/auth/signing-keys/rotate", &serde_json::json!({}))?;
    match shared.json {
        true => screen::json(&document),
        false => screen::line(&printable::line(document["kid"].as_str().unwrap_or_default())),
    }
    Ok(())
}
