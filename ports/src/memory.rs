//! In-memory versions of the ports, for tests: exact, unbounded, gone with the process.

mod clock;
mod engine;
mod keys;
mod records;
mod registry;
mod storage;

pub use clock::ManualClock;
pub use engine::{MemoryEngine, Script};
pub use keys::MemoryKeys;
pub use records::MemoryRecords;
pub use registry::MemoryRegistry;
pub use storage::MemoryStorage;
