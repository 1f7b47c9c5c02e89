//! In-memory versions of the ports, for tests: exact, unbounded, gone with the process.

mod cache;
mod certificates;
mod chain;
mod clock;
mod database;
mod egress;
mod engine;
mod keys;
mod names;
mod pubsub;
mod push;
mod realtime;
mod receipts;
mod records;
mod registry;
mod services;
mod storage;

pub use cache::MemoryCaches;
pub use certificates::{MemoryCertificates, ScriptedAuthority};
pub use chain::MemoryChain;
pub use clock::ManualClock;
pub use database::{ScriptedDatabases, SqlAnswer};
pub use egress::{AskedFetch, MemoryEgress};
pub use engine::{MemoryEngine, Script};
pub use keys::MemoryKeys;
pub use names::MemoryNames;
pub use pubsub::MemoryPubSub;
pub use push::{AskedPush, MemoryPush};
pub use realtime::{HouseAnswers, RecordingHouse};
pub use records::MemoryRecords;
pub use registry::MemoryRegistry;
pub use services::{MemoryOwnedStorage, MemorySecrets, ScriptedFetcher, ScriptedInvoker, TestServices};
pub use storage::MemoryStorage;
