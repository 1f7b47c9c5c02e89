use clap::ValueEnum;

use crate::failure::Outcome;
use crate::{reference, screen};

/// Print a generated document
#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(value_enum)]
    document: Document,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Document {
    /// The reference of the command line
    Cli,
    /// The reference of a server's settings
    Config,
}

pub fn run(args: &Args) -> Outcome {
    let text = match args.document {
        Document::Cli => reference::cli_reference(),
        Document::Config => reference::config_reference(),
    };
    screen::data(text.as_bytes());
    Ok(())
}
