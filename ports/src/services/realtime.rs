//! The house ports of what reacts and reaches out: topics, sockets, ephemeral state, timers and jobs, push.
//!
//! Every method begins with the call that asks: namespace, function and socket come from there and from the version that the
//! services belong to, never from an argument of the guest.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use domain::{Error, ErrorCode, FunctionRef, Position, Timestamp};
use serde::{Deserialize, Serialize};

use crate::CallContext;

/// The most messages of one batch.
pub const PUBLISH_BATCH_MAX: usize = 100;
/// The most messages that one call may publish, batches included.
pub const PUBLISHES_PER_CALL_MAX: u32 = 1000;

/// The largest input of a job, in bytes.
pub const JOB_INPUT_BYTES_MAX: usize = 1 << 20;
/// The largest push message, in bytes of its JSON.
pub const PUSH_MESSAGE_BYTES_MAX: usize = 16 << 10;

/// Publishing on the topics of the namespace. Triggers stand one deeper than the call.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Publishes all messages, or none if one of them is refused. Acknowledged means: their triggers will run.
    async fn publish(&self, call: &CallContext, messages: Vec<(String, Bytes)>) -> Result<Vec<Position>, Error>;
}

/// The WebSockets of the namespace's functions.
#[async_trait]
pub trait Sockets: Send + Sync {
    /// Sends a frame: text if it is UTF-8, else binary. An empty `client` is the socket that the call came from.
    async fn send(&self, call: &CallContext, client: &str, data: Bytes) -> Result<(), Error>;

    /// Sends a frame to every socket that is bridged to the topic; returns to how many. Not a publish: no history, no trigger.
    async fn broadcast(&self, call: &CallContext, topic: &str, data: Bytes) -> Result<usize, Error>;

    /// Forwards the messages of a topic to a socket from now on. Bridging twice is bridging once.
    async fn bridge(&self, call: &CallContext, client: &str, topic: &str) -> Result<(), Error>;

    async fn unbridge(&self, call: &CallContext, client: &str, topic: &str) -> Result<(), Error>;
}

/// State that somebody's WebSocket holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EphemeralEntry {
    pub key: String,
    pub client_id: Arc<str>,
    pub payload: Bytes,
    pub expires_in_ms: u64,
}

/// State that dies with the WebSocket that the call came from.
#[async_trait]
pub trait Ephemeral: Send + Sync {
    /// `ttl_ms` from 0 down means a minute, more than half an hour means half an hour.
    async fn set(&self, call: &CallContext, topic: &str, key: &str, payload: Bytes, ttl_ms: i64) -> Result<(), Error>;

    /// Clears what this socket owns; success also when there is nothing.
    async fn clear(&self, call: &CallContext, topic: &str, key: &str) -> Result<(), Error>;

    /// What is alive on a topic, by key.
    async fn list(&self, call: &CallContext, topic: &str) -> Result<Vec<EphemeralEntry>, Error>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobStatus {
    Pending,
    Running,
    Completed,
    Failed,
    Cancelled,
}

impl JobStatus {
    pub const ALL: [JobStatus; 5] =
        [JobStatus::Pending, JobStatus::Running, JobStatus::Completed, JobStatus::Failed, JobStatus::Cancelled];

    pub fn as_str(self) -> &'static str {
        match self {
            JobStatus::Pending => "pending",
            JobStatus::Running => "running",
            JobStatus::Completed => "completed",
            JobStatus::Failed => "failed",
            JobStatus::Cancelled => "cancelled",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    pub fn has_ended(self) -> bool {
        !matches!(self, JobStatus::Pending | JobStatus::Running)
    }
}

/// A call that was asked for, to be made later or in the background.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobView {
    /// A UUID.
    pub id: String,
    pub function: FunctionRef,
    pub status: JobStatus,
    /// 0 to 100, as the job itself says.
    pub progress: u8,
    pub run_at: Timestamp,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub result: Option<Bytes>,
    pub error: Option<String>,
}

/// Timers and background jobs of the namespace. What was acknowledged survives a crash.
#[async_trait]
pub trait Jobs: Send + Sync {
    /// Calls a function of the namespace once, at `run_at` or as soon as there is room when it is `None`; returns the job's id.
    async fn enqueue(
        &self,
        call: &CallContext,
        function: &FunctionRef,
        input: Bytes,
        run_at: Option<Timestamp>,
    ) -> Result<String, Error>;

    async fn get(&self, call: &CallContext, job: &str) -> Result<JobView, Error>;

    /// Ends a job that runs, or forgets one that waits. One that has ended is a conflict.
    async fn cancel(&self, call: &CallContext, job: &str) -> Result<(), Error>;

    /// Says how far the job is that this call runs, in percent.
    async fn report(&self, call: &CallContext, percent: u8) -> Result<(), Error>;
}

/// What became of a push message on one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceResult {
    pub device_id: String,
    pub provider: String,
    pub success: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unregistered: bool,
}

/// What became of a push message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushResult {
    pub ok: bool,
    pub devices_attempted: usize,
    pub devices_succeeded: usize,
    pub results: Vec<DeviceResult>,
}

/// How a notification reached its user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "via", rename_all = "lowercase")]
pub enum Notified {
    /// Over so many live sockets.
    Socket {
        sockets: usize,
    },
    Push {
        push: PushResult,
    },
    /// It waits in the inbox until it expires.
    Inbox {
        id: String,
        expires_at: Timestamp,
    },
}

/// Reaching people of the namespace.
#[async_trait]
pub trait Notifier: Send + Sync {
    /// Sends a push message, a JSON object (title, body, …), to every device of a user. Nothing configured is a success without devices.
    async fn push(&self, call: &CallContext, user: &str, message: &[u8]) -> Result<PushResult, Error>;

    /// Over a live socket if the user has one, else push, else the inbox.
    async fn notify(&self, call: &CallContext, user: &str, message: &[u8]) -> Result<Notified, Error>;
}

/// All of them where there is no node: every method answers that the service is not available.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHouse;

fn absent<T>(what: &str) -> Result<T, Error> {
    Err(Error::new(ErrorCode::ServiceUnavailable, format!("{what} needs a running server")))
}

#[async_trait]
impl Bus for NoHouse {
    async fn publish(&self, _: &CallContext, _: Vec<(String, Bytes)>) -> Result<Vec<Position>, Error> {
        absent("pub/sub")
    }
}

#[async_trait]
impl Sockets for NoHouse {
    async fn send(&self, _: &CallContext, _: &str, _: Bytes) -> Result<(), Error> {
        absent("a WebSocket")
    }

    async fn broadcast(&self, _: &CallContext, _: &str, _: Bytes) -> Result<usize, Error> {
        absent("a WebSocket")
    }

    async fn bridge(&self, _: &CallContext, _: &str, _: &str) -> Result<(), Error> {
        absent("a WebSocket")
    }

    async fn unbridge(&self, _: &CallContext, _: &str, _: &str) -> Result<(), Error> {
        absent("a WebSocket")
    }
}

#[async_trait]
impl Ephemeral for NoHouse {
    async fn set(&self, _: &CallContext, _: &str, _: &str, _: Bytes, _: i64) -> Result<(), Error> {
        absent("ephemeral state")
    }

    async fn clear(&self, _: &CallContext, _: &str, _: &str) -> Result<(), Error> {
        absent("ephemeral state")
    }

    async fn list(&self, _: &CallContext, _: &str) -> Result<Vec<EphemeralEntry>, Error> {
        absent("ephemeral state")
    }
}

#[async_trait]
impl Jobs for NoHouse {
    async fn enqueue(&self, _: &CallContext, _: &FunctionRef, _: Bytes, _: Option<Timestamp>) -> Result<String, Error> {
        absent("a job")
    }

    async fn get(&self, _: &CallContext, _: &str) -> Result<JobView, Error> {
        absent("a job")
    }

    async fn cancel(&self, _: &CallContext, _: &str) -> Result<(), Error> {
        absent("a job")
    }

    async fn report(&self, _: &CallContext, _: u8) -> Result<(), Error> {
        absent("a job")
    }
}

#[async_trait]
impl Notifier for NoHouse {
    async fn push(&self, _: &CallContext, _: &str, _: &[u8]) -> Result<PushResult, Error> {
        absent("push")
    }

    async fn notify(&self, _: &CallContext, _: &str, _: &[u8]) -> Result<Notified, Error> {
        absent("push")
    }
}
