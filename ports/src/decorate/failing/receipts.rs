use async_trait::async_trait;
use domain::{FunctionName, Namespace, Receipt, RequestId, Timestamp};

use super::Failing;
use crate::{ReceiptTail, Receipts, RecordsError, Retention};

#[async_trait]
impl<P: Receipts> Receipts for Failing<P> {
    async fn receipt_tail(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
    ) -> Result<Option<ReceiptTail>, RecordsError> {
        self.faults.check("receipt_tail").map_err(RecordsError::Unavailable)?;
        self.inner.receipt_tail(namespace, function).await
    }

    async fn append_receipts(&self, batch: &[Receipt]) -> Result<(), RecordsError> {
        self.faults.check("append_receipts").map_err(RecordsError::Unavailable)?;
        self.inner.append_receipts(batch).await
    }

    async fn receipt(&self, namespace: &Namespace, request_id: &RequestId) -> Result<Option<Receipt>, RecordsError> {
        self.faults.check("receipt").map_err(RecordsError::Unavailable)?;
        self.inner.receipt(namespace, request_id).await
    }

    async fn receipts(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Receipt>, RecordsError> {
        self.faults.check("receipts").map_err(RecordsError::Unavailable)?;
        self.inner.receipts(namespace, function, after, limit).await
    }

    async fn prune_receipts(&self, keep: &Retention, now: Timestamp) -> Result<u64, RecordsError> {
        self.faults.check("prune_receipts").map_err(RecordsError::Unavailable)?;
        self.inner.prune_receipts(keep, now).await
    }

    async fn remove_receipts(&self, namespace: &Namespace) -> Result<(), RecordsError> {
        self.faults.check("remove_receipts").map_err(RecordsError::Unavailable)?;
        self.inner.remove_receipts(namespace).await
    }
}
