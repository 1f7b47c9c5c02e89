//! What a call carries and what it may use.
//!
//! The traits here are *house* ports: `platform` implements them, scoped to the namespace of a function version, and engines
//! reach them through [`Services`]. That is how a function reaches the platform without `engines` knowing it.

mod realtime;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use domain::{Caller, Cid, Error, FunctionRef, FunctionVersion, RequestId, Timestamp, TriggerKind};

use crate::{Cache, Database, EgressError, FetchReply, FetchRequest};

pub use realtime::{
    Bus, DeviceResult, Ephemeral, EphemeralEntry, JOB_INPUT_BYTES_MAX, JobStatus, JobView, Jobs, NoHouse, Notified,
    Notifier, PUBLISH_BATCH_MAX, PUBLISHES_PER_CALL_MAX, PUSH_MESSAGE_BYTES_MAX, PushResult, Sockets,
};

/// Everything a function version may use, already scoped to its namespace: built once per version, shared by its calls.
pub struct Services {
    pub version: Arc<FunctionVersion>,
    pub database: Arc<dyn Database>,
    pub cache: Arc<dyn Cache>,
    pub storage: Arc<dyn OwnedStorage>,
    pub secrets: Arc<dyn Secrets>,
    pub fetcher: Arc<dyn Fetcher>,
    pub invoker: Arc<dyn Invoker>,
    pub bus: Arc<dyn Bus>,
    pub sockets: Arc<dyn Sockets>,
    pub ephemeral: Arc<dyn Ephemeral>,
    pub jobs: Arc<dyn Jobs>,
    pub notifier: Arc<dyn Notifier>,
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Services").field("version", &self.version).finish_non_exhaustive()
    }
}

/// Who and what one call is. Every attempt of a retried call has its own deadline.
#[derive(Debug, Clone)]
pub struct CallContext {
    pub request_id: RequestId,
    pub caller: Arc<Caller>,
    pub trigger: TriggerKind,
    /// How many calls stand above this one.
    pub depth: u8,
    /// How deep the call stands below a message that began it: 1 for what a client's message triggered, 0 for what no message did.
    pub trigger_depth: u8,
    /// The WebSocket that the call came from.
    pub socket: Option<Arc<str>>,
    /// The job that the call carries out.
    pub job: Option<Arc<str>>,
    pub deadline: Instant,
}

/// The value of a secret. Its `Debug` shows nothing; the bytes are overwritten when it is dropped.
#[derive(Clone)]
pub struct Secret(zeroize::Zeroizing<Vec<u8>>);

impl Secret {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(zeroize::Zeroizing::new(bytes))
    }

    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The secrets of one namespace.
pub trait Secrets: Send + Sync {
    /// The value of a secret; `None` when there is none of this name.
    fn get(&self, name: &str) -> Result<Option<Secret>, Error>;

    /// The text with every value of a secret of the namespace replaced by `***`; `None` when it holds none.
    fn mask(&self, text: &str) -> Option<String>;
}

/// What is known of a piece of content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentInfo {
    pub cid: Cid,
    pub name: String,
    pub bytes: u64,
    pub pinned: bool,
    pub created_at: Timestamp,
}

/// The content that belongs to one namespace.
#[async_trait]
pub trait OwnedStorage: Send + Sync {
    /// Stores and pins bytes under a name that is only for people.
    async fn put(&self, name: &str, bytes: Bytes) -> Result<ContentInfo, Error>;

    /// The bytes of `cid`, at most `bytes_max`; what the namespace does not own is not found.
    async fn get(&self, cid: &Cid, bytes_max: usize) -> Result<Bytes, Error>;

    async fn head(&self, cid: &Cid) -> Result<ContentInfo, Error>;
}

/// Outbound HTTP of one function version.
#[async_trait]
pub trait Fetcher: Send + Sync {
    async fn fetch(&self, call: &CallContext, request: FetchRequest) -> Result<FetchReply, EgressError>;
}

/// Calls to other functions of the namespace.
#[async_trait]
pub trait Invoker: Send + Sync {
    /// Calls `function` as the caller of `call`, within its deadline, and returns the output.
    async fn invoke(&self, call: &CallContext, function: &FunctionRef, input: Bytes) -> Result<Bytes, Error>;

    /// Accepts a call to be made without anybody waiting for it. It dies with the process.
    async fn invoke_async(&self, call: &CallContext, function: &FunctionRef, input: Bytes) -> Result<RequestId, Error>;
}
