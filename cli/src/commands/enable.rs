use domain::FunctionName;
use reqwest::Method;

use super::connect;
use crate::args::{Shared, function_name};
use crate::failure::Outcome;
use crate::screen;

/// Let a function be called again
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the function
    #[arg(value_parser = function_name)]
    name: FunctionName,
}

pub fn run(args: &Args, shared: &Shared) -> Outcome {
    set(&args.name, "enable", shared)
}

/// Enables or disables; `disable` is the same call with another word.
pub(super) fn set(name: &FunctionName, verb: &str, shared: &Shared) -> Outcome {
    let gateway = connect(shared)?;
    let request = gateway.request(Method::POST, &format!("/v1/functions/{name}/{verb}"), &[]);
    let document = gateway.document(request)?;
    if shared.json {
        screen::json(&document);
    } else {
        screen::line(&format!("{verb}d {name}"));
    }
    Ok(())
}
