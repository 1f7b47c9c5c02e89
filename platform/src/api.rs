//! What goes into the platform and what comes out.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::{
    Caller, Error, FunctionName, FunctionRef, FunctionState, FunctionVersion, HttpHead, Level, Manifest, Namespace,
    NamespaceSettings, ReplyHead, RequestId, Timestamp, TriggerKind,
};
use ports::{BoxError, Gap, PushSettings, Retention, StoredRecord};

/// How a node behaves; every value has a default.
#[derive(Debug, Clone)]
pub struct Config {
    pub limits: NodeLimits,
    pub retention: Retention,
    /// What holds in a namespace that does not set it itself.
    pub namespace_defaults: NamespaceSettings,
    /// May any wallet that signs make a namespace?
    pub registration_open: bool,
    /// Challenges and their answers that one address may send a minute; 0 means no limit.
    pub sign_ins_per_minute: u64,
    /// How long audit events are kept.
    pub audit_age_max: Duration,
    /// What holds for push messages of a namespace that does not set it itself.
    pub push: PushSettings,
}

impl Default for Config {
    fn default() -> Self {
        let retention = Retention { age_max: Duration::from_secs(7 * 24 * 3600), bytes_max: 1 << 30 };
        Self {
            limits: NodeLimits::default(),
            retention,
            namespace_defaults: NamespaceSettings::default(),
            registration_open: false,
            sign_ins_per_minute: 600,
            audit_age_max: Duration::from_secs(365 * 24 * 3600),
            push: PushSettings::default(),
        }
    }
}

/// The limits of a node, apart from those a manifest sets.
#[derive(Debug, Clone)]
pub struct NodeLimits {
    /// Calls at once on this node.
    pub node_concurrency: usize,
    /// Calls at once in one namespace.
    pub namespace_concurrency: usize,
    /// Calls that may wait for a place, in one namespace.
    pub queue_max: usize,
    /// The longest wait for a place.
    pub queue_wait: Duration,
    /// The largest input of a call, in bytes.
    pub input_bytes_max: usize,
    /// The largest upload of code, in bytes.
    pub code_bytes_max: usize,
    /// WebSockets with an instance of their own, on this node.
    pub node_sockets: usize,
    /// The same in one namespace.
    pub namespace_sockets: usize,
}

impl Default for NodeLimits {
    fn default() -> Self {
        Self {
            node_concurrency: 1000,
            namespace_concurrency: 200,
            queue_max: 1000,
            queue_wait: Duration::from_secs(10),
            input_bytes_max: 1 << 20,
            code_bytes_max: 64 << 20,
            node_sockets: 10_000,
            namespace_sockets: 2000,
        }
    }
}

/// Why a platform could not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("read the {what}")]
    Read {
        what: &'static str,
        #[source]
        source: BoxError,
    },
}

/// Code and manifest on their way to becoming a version.
#[derive(Debug, Clone)]
pub struct Deploy {
    pub namespace: Namespace,
    pub manifest: Manifest,
    pub code: Bytes,
    /// Keep the active version when code and manifest equal it.
    pub if_changed: bool,
    /// Check and compile, and store nothing.
    pub dry_run: bool,
}

/// What became of a deploy.
#[derive(Debug, Clone)]
pub struct Deployed {
    /// `None` for a dry run.
    pub function: Option<FunctionView>,
    pub code: domain::Cid,
    /// False when `if_changed` kept the version there was, and for a dry run.
    pub changed: bool,
    pub warnings: Vec<String>,
}

/// A version, and the state of the function that it belongs to.
#[derive(Debug, Clone)]
pub struct FunctionView {
    pub version: Arc<FunctionVersion>,
    pub state: FunctionState,
}

impl FunctionView {
    /// Is this the version that `name` alone means?
    pub fn active(&self) -> bool {
        self.version.version == self.state.active
    }
}

/// A call about to be made.
#[derive(Debug, Clone)]
pub struct Invoke {
    /// A UUIDv7, made at the edge.
    pub request_id: RequestId,
    pub namespace: Namespace,
    pub function: FunctionRef,
    pub caller: Arc<Caller>,
    pub trigger: TriggerKind,
    pub cause: Cause,
    pub http: Option<Arc<HttpHead>>,
    pub input: Bytes,
    /// The client's own id for the request, if it was well formed.
    pub client_request_id: Option<String>,
    pub trace_id: Option<String>,
    pub idempotency_key: Option<String>,
}

/// What led to a call, as far as the platform itself knows it; nothing of it can come from a client.
#[derive(Debug, Clone, Default)]
pub struct Cause {
    /// See [`ports::CallContext::trigger_depth`].
    pub depth: u8,
    /// The WebSocket that the call came from.
    pub socket: Option<Arc<str>>,
    /// The job that the call carries out.
    pub job: Option<Arc<str>>,
}

/// How a call ended.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The id of the invocation; for a replayed outcome, the id of the original.
    pub request_id: RequestId,
    pub duration: Duration,
    pub result: Result<Success, Error>,
    /// The outcome was stored by an earlier call with the same `Idempotency-Key`.
    pub replayed: bool,
    /// The version that ran, or for a replayed outcome the one that would now; `None` when none did.
    pub version: Option<Arc<FunctionVersion>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Success {
    /// Set when the function composed its own HTTP reply.
    pub head: Option<ReplyHead>,
    pub body: Bytes,
}

/// Which logs are wanted; see [`domain::RecordQuery`].
#[derive(Debug, Clone)]
pub struct LogsQuery {
    pub namespace: Namespace,
    pub function: FunctionName,
    pub request_id: Option<RequestId>,
    pub since: Option<Timestamp>,
    /// Only records behind this position, oldest first: for following.
    pub after: Option<i64>,
    pub level: Option<Level>,
    pub limit: usize,
}

#[derive(Debug, Clone)]
pub struct Logs {
    pub records: Vec<StoredRecord>,
    /// Where records are missing.
    pub gaps: Vec<Gap>,
}
