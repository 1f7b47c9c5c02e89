//! One invocation as facts: the HTTP head that came with it, what it printed, what it used.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Status, Timestamp};

/// The id of an invocation (UUIDv7, always ours): `X-Request-ID`, `get_request_id`, the key of records.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(Arc<str>);

impl RequestId {
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The head of an HTTP request, byte for byte: what a function that speaks HTTP may see.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HttpHead {
    pub method: String,
    /// Path and query as they were received.
    pub target: String,
    /// In the order received, duplicates kept.
    pub headers: Vec<(Bytes, Bytes)>,
}

/// The head of an HTTP reply that a function composed itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyHead {
    /// 100 to 599.
    pub status: u16,
    pub headers: Vec<(Bytes, Bytes)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    pub const ALL: [Level; 4] = [Level::Debug, Level::Info, Level::Warn, Level::Error];

    pub fn as_str(self) -> &'static str {
        match self {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == text)
    }
}

/// A line that a function logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    pub level: Level,
    pub message: String,
    #[serde(rename = "timestamp")]
    pub at: Timestamp,
}

/// What one call used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Time on a core; waiting is not counted.
    pub cpu: Duration,
    /// The most memory the instance held, all memories and tables together.
    pub memory_peak_bytes: u64,
}

/// One attempt of a call that was retried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub started_at: Timestamp,
    pub duration_ms: u64,
    pub status: Status,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
