//! Bytes by content identifier. What was put is durable when `put` returns, and what is got is what was put.
//!
//! Implementations: [`crate::memory::MemoryStorage`], `backends::storage`. All of them pass [`crate::conformance::storage`].

use async_trait::async_trait;
use bytes::Bytes;
use domain::Cid;

use crate::BoxError;

#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error("no content with the identifier {0}")]
    NotFound(Cid),
    /// The stored bytes are not those that the identifier names.
    #[error("the content of {0} is damaged")]
    Corrupt(Cid),
    #[error("the storage is full")]
    Full(#[source] BoxError),
    #[error("the storage is unavailable")]
    Unavailable(#[source] BoxError),
}

/// Content-addressed storage.
#[async_trait]
pub trait Storage: Send + Sync {
    /// Stores `bytes` and returns their identifier; durable on return. Storing the same bytes again changes nothing.
    async fn put(&self, bytes: Bytes) -> Result<Cid, StorageError>;

    /// The bytes of `cid`, verified against it.
    async fn get(&self, cid: &Cid) -> Result<Bytes, StorageError>;

    /// Forgets `cid`; forgetting what is not there is no error.
    async fn delete(&self, cid: &Cid) -> Result<(), StorageError>;

    /// Begins to store content of a size that is not known yet; nothing is kept unless it is finished.
    async fn begin(&self) -> Result<Box<dyn Upload>, StorageError>;

    /// Opens `cid` for reading in pieces.
    async fn open(&self, cid: &Cid) -> Result<Box<dyn Content>, StorageError>;

    /// Every identifier, in no particular order.
    async fn list(&self) -> Result<Vec<Cid>, StorageError>;
}

/// Content on its way in. Dropping it forgets what was written.
#[async_trait]
pub trait Upload: Send {
    async fn write(&mut self, piece: Bytes) -> Result<(), StorageError>;

    /// Makes the content durable and returns its identifier and size.
    async fn finish(self: Box<Self>) -> Result<(Cid, u64), StorageError>;
}

/// Content on its way out, in pieces that are verified as they are read.
#[async_trait]
pub trait Content: Send + Sync {
    /// The size of the whole, in bytes.
    fn bytes(&self) -> u64;

    /// Up to `bytes_max` bytes from `offset`, perhaps fewer; empty only at the end.
    async fn read(&self, offset: u64, bytes_max: usize) -> Result<Bytes, StorageError>;
}
