//! The receipts that signed exchanges leave behind: for each function a chain, of which the oldest part may be gone.
//!
//! They are kept with the records of calls, for as long. Implementations: [`crate::memory::MemoryRecords`], `backends::records`.
//! All of them pass [`crate::conformance::receipts`].

use async_trait::async_trait;
use domain::{ContentDigest, FunctionName, Namespace, Receipt, RequestId, Timestamp};

use crate::{RecordsError, Retention};

/// The end of a chain: what the next receipt of the function follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiptTail {
    pub sequence: u64,
    /// See [`Receipt::digest`].
    pub digest: ContentDigest,
}

#[async_trait]
pub trait Receipts: Send + Sync {
    /// The end of a function's chain; `None` before its first receipt. It outlives the receipts themselves.
    async fn receipt_tail(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
    ) -> Result<Option<ReceiptTail>, RecordsError>;

    /// Writes a batch with the ends of its chains, all of it or none. Receipts of a function come in their order.
    async fn append_receipts(&self, batch: &[Receipt]) -> Result<(), RecordsError>;

    /// The receipt of a call in this namespace.
    async fn receipt(&self, namespace: &Namespace, request_id: &RequestId) -> Result<Option<Receipt>, RecordsError>;

    /// The receipts of a function behind a number, in their order.
    async fn receipts(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Receipt>, RecordsError>;

    /// Deletes what is older or larger than `keep` allows at time `now`; returns how many receipts went. Sizes are those of
    /// the JSON form.
    async fn prune_receipts(&self, keep: &Retention, now: Timestamp) -> Result<u64, RecordsError>;

    /// Deletes every receipt of a namespace, and the ends of its chains.
    async fn remove_receipts(&self, namespace: &Namespace) -> Result<(), RecordsError>;
}
