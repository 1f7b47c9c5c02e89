//! What every implementation of a port must do, as functions that any test can call with a fresh implementation.

mod cache;
mod certificates;
mod database;
mod pubsub;
mod receipts;
mod records;
mod registry;
mod storage;

pub use cache::cache;
pub use certificates::certificates;
pub use database::database;
pub use pubsub::pubsub;
pub use receipts::receipts;
pub use records::records;
pub use registry::registry;
pub use storage::storage;
