//! What the operator reads: lines on standard error.

use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};
use crate::screen;

/// Starts writing the log. Guests' own lines are not in it: they belong to the records of their calls.
pub(super) fn start(config: &LogConfig) {
    let filter = EnvFilter::new(&config.level);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.format {
        LogFormat::Json => builder.json().init(),
        LogFormat::Text => builder.with_ansi(screen::stderr_is_terminal()).with_target(false).init(),
    }
}
