use std::path::PathBuf;

use serde_json::json;

use crate::args::Shared;
use crate::config::{ConfigFlags, ServeConfig, Settings};
use crate::failure::Outcome;
use crate::node::{self, Summary};
use crate::table::Table;
use crate::{screen, units};

/// Copy the data folder of a server, also while it runs
///
/// The copy holds the registry, every database, the log, code, content and keys: whoever has it can be the node. It is
/// made whole or not at all. A `.tar` needs its size twice while it is made.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama backup /backups/orama-monday
  orama backup /backups/orama.tar --data /var/lib/orama")]
pub struct Args {
    /// Folder to make, or file when the name ends in .tar
    #[arg(value_name = "FOLDER|FILE.tar")]
    to: PathBuf,
    #[command(flatten)]
    config: ConfigFlags,
}

pub fn run(args: &Args, shared: &Shared) -> Outcome {
    let config = ServeConfig::from(&Settings::load(&args.config)?);
    let summary = node::backup(&config.data, &args.to)?;
    screen::warning("the copy holds the keys of the node: keep it where nobody else can read it");
    if !summary.has_master_key {
        screen::warning("the master key is not in it, because the server has it from elsewhere: keep that one, too");
    }
    let Summary { databases, code_files, content_files, bytes, has_master_key } = summary;
    if shared.json {
        screen::json(&json!({
            "data": config.data, "backup": args.to, "databases": databases, "code_files": code_files,
            "content_files": content_files, "bytes": bytes, "has_master_key": has_master_key,
        }));
        return Ok(());
    }
    let mut table = Table::plain();
    table.row(["backup".to_owned(), args.to.display().to_string()]);
    table.row(["databases".to_owned(), databases.to_string()]);
    table.row(["code files".to_owned(), code_files.to_string()]);
    table.row(["content files".to_owned(), content_files.to_string()]);
    table.row(["size".to_owned(), units::size(bytes)]);
    screen::data(table.render().as_bytes());
    Ok(())
}
