use domain::FunctionRef;
use reqwest::Method;

use super::{confirm_deletion, connect};
use crate::args::{Shared, function_ref};
use crate::failure::Outcome;
use crate::screen;

/// Delete a function with all its versions, or one version
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama function delete hello
  orama function delete hello@2 --force")]
pub struct Args {
    /// Name, or name@N for one version
    #[arg(value_parser = function_ref)]
    name: FunctionRef,
    /// Do not ask
    #[arg(long)]
    force: bool,
}

pub fn run(args: &Args, shared: &Shared) -> Outcome {
    let gateway = connect(shared)?;
    let what = if args.name.version.is_some() { "" } else { " and all its versions" };
    confirm_deletion(args.force, &format!("{}{what}", args.name))?;
    let request = gateway.request(Method::DELETE, &format!("/v1/functions/{}", args.name), &[]);
    let document = gateway.document(request)?;
    if shared.json {
        screen::json(&document);
    } else {
        screen::line(&format!("deleted {}", args.name));
    }
    Ok(())
}
