//! The record that every call leaves behind, and how records are asked for.

use serde::{Deserialize, Serialize};

use crate::{
    Attempt, ErrorCode, FunctionName, Level, LogLine, Namespace, RequestId, Timestamp, TriggerKind, VersionNumber,
};

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Success,
    Error,
    Timeout,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Success => "success",
            Status::Error => "error",
            Status::Timeout => "timeout",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Status::Success, Status::Error, Status::Timeout].into_iter().find(|status| status.as_str() == text)
    }
}

/// What one call did. `request_id` is its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub request_id: RequestId,
    /// The `X-Request-ID` that the client sent, if it was well formed.
    pub client_request_id: Option<String>,
    pub trace_id: Option<String>,
    pub namespace: Namespace,
    pub function: FunctionName,
    pub version: VersionNumber,
    pub trigger: TriggerKind,
    pub caller_wallet: Option<String>,
    pub input_bytes: u64,
    pub output_bytes: u64,
    pub started_at: Timestamp,
    pub duration_us: u64,
    pub cpu_us: u64,
    pub memory_peak_bytes: u64,
    pub status: Status,
    pub error_code: Option<ErrorCode>,
    pub error_message: Option<String>,
    /// Every attempt, when there was more than one; else empty.
    pub attempts: Vec<Attempt>,
    pub logs: Vec<LogLine>,
}

impl Record {
    /// The bytes of its texts and log lines: what retention by size counts.
    pub fn text_bytes(&self) -> u64 {
        let lines: usize = self.logs.iter().map(|line| line.message.len() + 32).sum();
        let error = self.error_message.as_ref().map_or(0, String::len);
        (lines + error + 256) as u64
    }
}

/// Which records of one namespace are wanted; the newest come first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordQuery {
    pub namespace: Namespace,
    pub function: Option<FunctionName>,
    pub request_id: Option<RequestId>,
    /// Only records that started at or after this time.
    pub since: Option<Timestamp>,
    /// Only records written after the one with this position (see `Records::query`), oldest first: for following.
    pub after: Option<i64>,
    /// Only failed calls, and calls with a log line of at least this level.
    pub level: Option<Level>,
    pub limit: usize,
}
