//! The configuration of a server: a file, then environment variables, then flags; read once, at the start.
//!
//! Every setting has a default, a range and a place in the table of `config/schema.rs`. [`Settings`] holds the values
//! with their origins; [`ServeConfig`] is what the rest of the program sees.

mod file;
#[doc(hidden)]
pub mod fuzzing;
mod schema;
mod settings;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use schema::{Kind, SETTINGS, Setting};
pub use settings::{ConfigFlags, Origin, Settings};

/// Everything a server is told at its start, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeConfig {
    pub listen: SocketAddr,
    pub data: PathBuf,
    pub log: LogConfig,
    pub limits: LimitsConfig,
    pub retention: RetentionConfig,
    /// How long running calls may take to finish after SIGTERM.
    pub drain: Duration,
    pub gateway: GatewayConfig,
    pub engine: EngineConfig,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    pub format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitsConfig {
    pub node_concurrency: usize,
    pub namespace_concurrency: usize,
    pub queue_max: usize,
    pub queue_wait: Duration,
    pub input_bytes_max: usize,
    pub code_bytes_max: usize,
    pub connections_max: usize,
    pub connections_per_address_max: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionConfig {
    pub age_max: Duration,
    pub bytes_max_per_namespace: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayConfig {
    /// Answer 429 RATE_LIMITED instead of 504 TIMEOUT, as the reference does.
    pub timeout_as_rate_limited: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineConfig {
    /// How many runtimes run guests; `None` means one a core.
    pub shards: Option<usize>,
    pub memory_keep_resident_bytes: usize,
    pub instances_max: usize,
}

impl From<&Settings> for ServeConfig {
    fn from(settings: &Settings) -> Self {
        Self {
            listen: settings.address("listen"),
            data: settings.text("data").into(),
            log: LogConfig { level: settings.text("log.level").to_owned(), format: log_format(settings) },
            limits: LimitsConfig {
                node_concurrency: settings.count("limits.node_concurrency"),
                namespace_concurrency: settings.count("limits.namespace_concurrency"),
                queue_max: settings.count("limits.queue_max"),
                queue_wait: Duration::from_millis(settings.number("limits.queue_wait_ms")),
                input_bytes_max: settings.count("limits.input_bytes_max"),
                code_bytes_max: settings.count("limits.code_bytes_max"),
                connections_max: settings.count("limits.connections_max"),
                connections_per_address_max: settings.count("limits.connections_per_address_max"),
            },
            retention: RetentionConfig {
                age_max: Duration::from_secs(settings.number("retention.age_days") * 86_400),
                bytes_max_per_namespace: settings.number("retention.bytes_max_per_namespace"),
            },
            drain: Duration::from_secs(settings.number("drain_seconds")),
            gateway: GatewayConfig { timeout_as_rate_limited: settings.switch("gateway.timeout_as_rate_limited") },
            engine: EngineConfig {
                shards: Some(settings.count("engine.shards")).filter(|shards| *shards > 0),
                memory_keep_resident_bytes: settings.count("engine.memory_keep_resident_bytes"),
                instances_max: settings.count("engine.instances_max"),
            },
        }
    }
}

fn log_format(settings: &Settings) -> LogFormat {
    match settings.text("log.format") {
        "json" => LogFormat::Json,
        _ => LogFormat::Text,
    }
}

#[cfg(test)]
mod tests;
