//! What every implementation of a port must do, as functions that any test can call with a fresh implementation.

mod cache;
mod database;
mod pubsub;
mod records;
mod registry;
mod storage;

pub use cache::cache;
pub use database::database;
pub use pubsub::pubsub;
pub use records::records;
pub use registry::registry;
pub use storage::storage;
