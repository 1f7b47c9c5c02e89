//! The records that calls leave behind, kept for a time and up to a size.
//!
//! Implementations: [`crate::memory::MemoryRecords`], `backends::records`. All of them pass [`crate::conformance::records`].

use std::time::Duration;

use async_trait::async_trait;
use domain::{Namespace, Record, RecordQuery, Timestamp};

use crate::{BoxError, Receipts};

#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    #[error("the log is unavailable")]
    Unavailable(#[source] BoxError),
}

/// A record with its position: positions grow in the order in which records were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    pub position: i64,
    pub record: Record,
}

/// Calls of which no record could be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    pub namespace: Namespace,
    pub from: Timestamp,
    pub until: Timestamp,
    /// How many records are missing.
    pub calls: u64,
}

/// How long records are kept: whichever limit is reached first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    pub age_max: Duration,
    /// Per namespace, of texts and log lines.
    pub bytes_max: u64,
}

/// The log of calls, with the receipts of those that were signed.
#[async_trait]
pub trait Records: Receipts + Send + Sync {
    /// Writes a batch, all of it or none.
    async fn append(&self, batch: &[Record]) -> Result<(), RecordsError>;

    /// Notes that records are missing.
    async fn append_gap(&self, gap: &Gap) -> Result<(), RecordsError>;

    /// The records that `query` asks for: newest first, or oldest first when following (`query.after`).
    async fn query(&self, query: &RecordQuery) -> Result<Vec<StoredRecord>, RecordsError>;

    /// The gaps of a namespace since a time, oldest first.
    async fn gaps(&self, namespace: &Namespace, since: Option<Timestamp>) -> Result<Vec<Gap>, RecordsError>;

    /// Deletes what is older or larger than `keep` allows at time `now`; returns how many records went.
    async fn prune(&self, keep: &Retention, now: Timestamp) -> Result<u64, RecordsError>;

    /// Deletes every record and gap of a namespace.
    async fn remove(&self, namespace: &Namespace) -> Result<(), RecordsError>;
}
