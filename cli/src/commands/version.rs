use serde_json::json;

use crate::args::Shared;
use crate::failure::Outcome;
use crate::screen;

/// Print the version of this program
#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_args: &Args, shared: &Shared) -> Outcome {
    let version = env!("CARGO_PKG_VERSION");
    if shared.json {
        screen::json(&json!({"name": "orama", "version": version}));
    } else {
        screen::line(&format!("orama {version}"));
    }
    Ok(())
}
