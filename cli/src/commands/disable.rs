use domain::FunctionName;

use super::enable;
use crate::args::{Shared, function_name};
use crate::failure::Outcome;

/// Refuse calls of a function, and keep it
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the function
    #[arg(value_parser = function_name)]
    name: FunctionName,
}

pub fn run(args: &Args, shared: &Shared) -> Outcome {
    enable::set(&args.name, "disable", shared)
}
