use crate::config::{ConfigFlags, ServeConfig, Settings};
use crate::failure::Outcome;
use crate::node;

/// Run a server on this machine
///
/// Needs nothing else: everything is kept in one folder. Settings come from `orama.yaml`, then the environment
/// (`ORAMA_LIMITS_QUEUE_MAX` is `limits.queue_max`), then the flags below; `orama config show --origin` shows them all.
/// The first start makes an admin key, writes it to `admin.key` in the data folder, and stores it for `orama` of this user.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  orama serve
  orama serve --data /var/lib/orama --listen 0.0.0.0:6001
  orama serve --listen 127.0.0.1:0              # take a free port; the first line on stdout names it")]
pub struct Args {
    #[command(flatten)]
    config: ConfigFlags,
}

pub fn run(args: &Args) -> Outcome {
    let settings = Settings::load(&args.config)?;
    Ok(node::serve(ServeConfig::from(&settings))?)
}
