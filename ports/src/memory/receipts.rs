use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;
use domain::{FunctionName, Namespace, Receipt, RequestId, Timestamp};

use super::MemoryRecords;
use crate::{ReceiptTail, Receipts, RecordsError, Retention};

/// Receipts in a list, oldest first.
#[derive(Debug, Default)]
pub(super) struct KeptReceipts {
    inner: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    receipts: Vec<Receipt>,
    tails: HashMap<(Namespace, FunctionName), ReceiptTail>,
}

#[async_trait]
impl Receipts for MemoryRecords {
    async fn receipt_tail(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
    ) -> Result<Option<ReceiptTail>, RecordsError> {
        let kept = self.receipts.inner.lock().expect("no holder panics");
        Ok(kept.tails.get(&(namespace.clone(), function.clone())).copied())
    }

    async fn append_receipts(&self, batch: &[Receipt]) -> Result<(), RecordsError> {
        let mut kept = self.receipts.inner.lock().expect("no holder panics");
        for receipt in batch {
            let chain = (receipt.facts.namespace.clone(), receipt.facts.function.clone());
            kept.tails.insert(chain, ReceiptTail { sequence: receipt.link.sequence, digest: receipt.digest() });
            kept.receipts.push(receipt.clone());
        }
        Ok(())
    }

    async fn receipt(&self, namespace: &Namespace, request_id: &RequestId) -> Result<Option<Receipt>, RecordsError> {
        let kept = self.receipts.inner.lock().expect("no holder panics");
        let wanted =
            |receipt: &&Receipt| receipt.facts.request_id == *request_id && receipt.facts.namespace == *namespace;
        Ok(kept.receipts.iter().find(wanted).cloned())
    }

    async fn receipts(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Receipt>, RecordsError> {
        let kept = self.receipts.inner.lock().expect("no holder panics");
        let wanted = |receipt: &&Receipt| {
            let facts = &receipt.facts;
            facts.namespace == *namespace && facts.function == *function && receipt.link.sequence > after
        };
        Ok(kept.receipts.iter().filter(wanted).take(limit).cloned().collect())
    }

    async fn prune_receipts(&self, keep: &Retention, now: Timestamp) -> Result<u64, RecordsError> {
        let mut kept = self.receipts.inner.lock().expect("no holder panics");
        let before = kept.receipts.len();
        let now = now.as_second();
        let age = |receipt: &Receipt| now.abs_diff(i64::try_from(receipt.facts.timestamp).unwrap_or(i64::MAX));
        kept.receipts.retain(|receipt| age(receipt) <= keep.age_max.as_secs());
        let mut bytes = HashMap::<Namespace, u64>::new();
        let mut newest_first = std::mem::take(&mut kept.receipts);
        newest_first.reverse();
        newest_first.retain(|receipt| {
            let used = bytes.entry(receipt.facts.namespace.clone()).or_default();
            *used += receipt.to_json().len() as u64;
            *used <= keep.bytes_max
        });
        newest_first.reverse();
        kept.receipts = newest_first;
        Ok((before - kept.receipts.len()) as u64)
    }

    async fn remove_receipts(&self, namespace: &Namespace) -> Result<(), RecordsError> {
        let mut kept = self.receipts.inner.lock().expect("no holder panics");
        kept.receipts.retain(|receipt| receipt.facts.namespace != *namespace);
        kept.tails.retain(|(owner, _), _| owner != namespace);
        Ok(())
    }
}
