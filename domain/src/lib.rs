//! The vocabulary of Orama: what a function, a trigger, a call, a caller and an error *are*.
//!
//! Pure computation: no clock, no I/O, no runtime, no other crate of this workspace. Whatever two crates must agree on
//! without knowing each other is a type here.

mod audit;
mod call;
mod caller;
mod content;
mod egress;
mod error;
mod function;
#[doc(hidden)]
pub mod fuzzing;
mod manifest;
mod name;
mod namespace;
pub mod oyster;
mod push;
mod receipt;
mod record;
mod spelling;
mod sql;
mod topic;
mod trigger;
pub mod yaml;

pub use audit::{AuditEvent, AuditQuery};
pub use call::{Attempt, HttpHead, Level, LogLine, ReplyHead, RequestId, Usage};
pub use caller::{Caller, Credential, Scope, Scopes};
pub use content::{CHUNK_BYTES, Cid, CidBuilder, FANOUT, InvalidCid, Leaf};
pub use egress::{AddressRange, EgressPolicy, EgressRule, InvalidAddressRange, InvalidEgressRule};
pub use error::{Error, ErrorCode, FailureKind};
pub use function::{FunctionState, FunctionVersion, VersionId};
pub use jiff::Timestamp;
pub use manifest::{
    Draft, EngineKind, InvalidField, InvalidManifest, LIMITS, Language, Manifest, ManifestLimits, Retry,
    WORKER_COMPATIBILITY_DATE, WORKER_MAIN, WebSocketLimits, is_module_path,
};
pub use name::{FunctionName, FunctionRef, InvalidName, Namespace, RESERVED_NAMES, VersionNumber};
pub use namespace::NamespaceSettings;
pub use push::{
    InvalidPushMessage, PUSH_MESSAGE_BYTES_MAX, PushKind, PushMessage, PushPriority, PushSubscription, UnknownPushKind,
};
pub use receipt::{
    ContentDigest, InvalidDigest, InvalidReceipt, KeyUse, PublishedKey, PublishedKeys, RECEIPT_ALGORITHM,
    RECEIPT_LABEL, Receipt, ReceiptFacts, ReceiptLink, authority_text, printable_text, split_target,
};
pub use record::{Record, RecordQuery, Status};
pub use spelling::nearest;
pub use sql::{InvalidArguments, JsonRows, SqlChanged, SqlRows, SqlStatement, SqlValue, arguments_from_json};
pub use topic::{
    InvalidPattern, InvalidPosition, InvalidTopic, PATTERN_CHARS_MAX, Pattern, Position, TOPIC_BYTES_MAX, Topic,
};
pub use trigger::{
    AGGREGATION_BATCH_DEFAULT, AGGREGATION_BATCH_MAX, AGGREGATION_WINDOW_MS_MAX, CatchUp, DayRule, Overlap,
    TRIGGER_DEPTH_MAX, Trigger, TriggerKind, TriggerSpec,
};
