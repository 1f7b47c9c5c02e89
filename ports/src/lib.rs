//! What the platform needs from the world, as traits; with an in-memory version of each for tests, decorators that apply
//! to every implementation, and the conformance suite that every implementation passes.
//!
//! *World* ports are implemented by `backends` and `engines`. *House* ports, which guests use to reach the platform, are
//! implemented by `platform` and travel inside [`Services`].

mod cache;
mod clock;
pub mod conformance;
mod database;
pub mod decorate;
mod egress;
mod engine;
mod keys;
pub mod memory;
mod records;
mod registry;
mod services;
mod storage;

pub use cache::{
    CACHE_ENTRY_BYTES, CACHE_KEY_BYTES_MAX, CACHE_MAP_BYTES_MAX, CACHE_VALUE_BYTES_MAX, Cache, CacheEntry, CacheError,
    CacheKey, CacheUsage, Caches, FUNCTION_MAP, cache_sum,
};
pub use clock::{Clock, SystemClock};
pub use database::{
    AppliedMigration, Database, Databases, Migration, MigrationError, SchemaObject, ScriptError, SqlBounds, SqlError,
    SqlStep, SqlStepResult, TransactionError,
};
pub use egress::{Egress, EgressError, FetchReply, FetchRequest};
pub use engine::{Call, Code, Ended, Engine, Failed, Observed, PrepareError, Prepared, Reply};
pub use keys::{KEY_BYTES, Keys, KeysError, MasterKey, NodeKey};
pub use records::{Gap, Records, RecordsError, Retention, StoredRecord};
pub use registry::{
    App, Audit, Claim, Claimed, Contents, Functions, Identities, Namespaces, NewVersion, Owned, Owner, RefreshToken,
    Registry, RegistryError, RevokedFamily, Rotated, SealedDataKey, SealedSecret, SealedSecrets, StoredFunction,
    StoredKey, StoredNamespace, StoredOutcome, StoredSigningKey,
};
pub use services::{CallContext, ContentInfo, Fetcher, Invoker, OwnedStorage, Secret, Secrets, Services};
pub use storage::{Content, Storage, StorageError, Upload};

/// The cause of an error, for the operator's log.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
