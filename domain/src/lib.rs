//! The vocabulary of Orama: what a function, a trigger, a call, a caller and an error *are*.
//!
//! Pure computation: no clock, no I/O, no runtime, no other crate of this workspace. Whatever two crates must agree on
//! without knowing each other is a type here.

mod call;
mod caller;
mod content;
mod error;
mod function;
#[doc(hidden)]
pub mod fuzzing;
mod manifest;
mod name;
mod record;
mod spelling;
mod trigger;
pub mod yaml;

pub use call::{Attempt, HttpHead, Level, LogLine, ReplyHead, RequestId, Usage};
pub use caller::{Caller, Credential, Scope, Scopes};
pub use content::{CHUNK_BYTES, Cid, FANOUT, InvalidCid};
pub use error::{Error, ErrorCode, FailureKind};
pub use function::{FunctionState, FunctionVersion, VersionId};
pub use jiff::Timestamp;
pub use manifest::{
    Draft, EngineKind, InvalidField, InvalidManifest, LIMITS, Language, Manifest, ManifestLimits, Retry,
    WebSocketLimits,
};
pub use name::{FunctionName, FunctionRef, InvalidName, Namespace, RESERVED_NAMES, VersionNumber};
pub use record::{Record, RecordQuery, Status};
pub use spelling::nearest;
pub use trigger::{TriggerKind, TriggerSpec};
