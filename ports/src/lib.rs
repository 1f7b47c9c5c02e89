//! What the platform needs from the world, as traits; with an in-memory version of each for tests, decorators that apply
//! to every implementation, and the conformance suite that every implementation passes.
//!
//! *World* ports are implemented by `backends` and `engines`. *House* ports, which guests use to reach the platform, are
//! implemented by `platform` and travel inside [`Services`].

mod cache;
mod certificates;
mod chain;
mod clock;
pub mod conformance;
mod database;
pub mod decorate;
mod egress;
mod engine;
mod exchange;
mod keys;
pub mod memory;
mod names;
mod pubsub;
mod push;
mod receipts;
mod records;
mod registry;
mod services;
mod storage;

pub use cache::{
    CACHE_ENTRY_BYTES, CACHE_KEY_BYTES_MAX, CACHE_MAP_BYTES_MAX, CACHE_VALUE_BYTES_MAX, Cache, CacheEntry, CacheError,
    CacheKey, CacheUsage, Caches, FUNCTION_MAP, cache_sum,
};
pub use certificates::{
    Certificate, CertificateAuthority, CertificateSource, Certificates, CertificatesError, ChallengeBoard,
    NameAuthority, OrderError, Posting,
};
pub use chain::{ChainTransaction, CodeSource, CodeSourceError};
pub use clock::{Clock, SystemClock};
pub use database::{
    AppliedMigration, CHANGE_ROW_BYTES_MAX, CHANGES_KEPT_MAX, Change, ChangeListener, Changes, Database, Databases,
    Migration, MigrationError, RowOperation, SchemaObject, ScriptError, SqlBounds, SqlError, SqlStep, SqlStepResult,
    TableWatch, TransactionError, WATCHES_MAX,
};
pub use egress::{Egress, EgressError, FetchReply, FetchRequest};
pub use engine::{
    Call, Code, Ended, Engine, Failed, Flow, Observed, PrepareError, Prepared, Reply, Session, SocketCall,
    SocketOpening,
};
pub use exchange::{Answer, Body, BodyStream, Duplex, Exchange, Piece, exchange_whole};
pub use keys::{KEY_BYTES, Keys, KeysError, MasterKey, NodeKey};
pub use names::{Names, NamesError};
pub use pubsub::{
    MESSAGE_BYTES_MAX, Message, NewMessage, Origin, PubSub, PubSubCounts, PubSubError, SUBSCRIBER_BURST_MAX,
    SUBSCRIBER_BYTES_MAX, SUBSCRIBER_LAG_MAX, SUBSCRIBER_MESSAGES_MAX, Since, Subscription, SubscriptionEnd, TopicView,
};
pub use push::{
    DeviceOutcome, InvalidPushField, PushField, PushProvider, PushProviderMap, PushProviders, PushSettings,
};
pub use receipts::{ReceiptTail, Receipts};
pub use records::{Gap, Records, RecordsError, Retention, StoredRecord};
pub use registry::{
    App, Asked, Audit, Begun, Cancelled, ChainCodes, Claim, Claimed, Contents, CustomDomains, Death, Deliveries,
    Delivery, DeliveryEnd, Functions, Identities, InboxMessage, JobEnd, JobRows, JobsQuery, Lane, Namespaces,
    NewVersion, Owned, Owner, Push, RefreshToken, Registry, RegistryError, RevokedFamily, Rotated, RowLimits,
    SealedDataKey, SealedSecret, SealedSecrets, StoredChainCode, StoredDevice, StoredDomain, StoredFunction, StoredKey,
    StoredNamespace, StoredOutcome, StoredSigningKey, Triggers,
};
pub use services::{
    Bus, CallContext, ContentInfo, DeviceResult, Ephemeral, EphemeralEntry, Fetcher, Invoker, JOB_INPUT_BYTES_MAX,
    JobStatus, JobView, Jobs, NoHouse, Notified, Notifier, OwnedStorage, PUBLISH_BATCH_MAX, PUBLISHES_PER_CALL_MAX,
    PUSH_MESSAGE_BYTES_MAX, PushResult, Secret, Secrets, Services, Sockets,
};
pub use storage::{Content, Storage, StorageError, Upload};

/// The cause of an error, for the operator's log.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
