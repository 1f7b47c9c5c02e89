//! What the platform needs from the world, as traits; with an in-memory version of each for tests, decorators that apply
//! to every implementation, and the conformance suite that every implementation passes.
//!
//! *World* ports are implemented by `backends` and `engines`. *House* ports, which guests use to reach the platform, are
//! implemented by `platform` and travel inside [`Services`]; they arrive with the services that need them.

mod clock;
pub mod conformance;
pub mod decorate;
mod engine;
mod keys;
pub mod memory;
mod records;
mod registry;
mod services;
mod storage;

pub use clock::{Clock, SystemClock};
pub use engine::{Call, Code, Ended, Engine, Failed, PrepareError, Prepared, Reply};
pub use keys::{KEY_BYTES, Keys, KeysError, NodeKey};
pub use records::{Gap, Records, RecordsError, Retention, StoredRecord};
pub use registry::{Claim, Claimed, NewVersion, Registry, RegistryError, StoredFunction, StoredKey, StoredOutcome};
pub use services::{CallContext, Services};
pub use storage::{Storage, StorageError};

/// The cause of an error, for the operator's log.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
