use std::path::PathBuf;

use crate::args::Shared;
use crate::config::{ConfigFlags, ServeConfig, Settings};
use crate::failure::Outcome;
use crate::{node, screen};

/// Make a data folder of a backup, and check it
///
/// The folder must be new or empty. Credentials that the backup had are valid again, those made since are not.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama restore /backups/orama.tar --data /var/lib/orama")]
pub struct Args {
    /// Folder or .tar that `orama backup` made
    from: PathBuf,
    #[command(flatten)]
    config: ConfigFlags,
}

pub fn run(args: &Args, shared: &Shared) -> Outcome {
    let config = ServeConfig::from(&Settings::load(&args.config)?);
    node::restore(&args.from, &config.data)?;
    screen::talk(&format!("restored to {}; checking it", config.data.display()));
    super::fsck::show(&config.data, shared)
}
