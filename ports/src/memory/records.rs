use std::sync::Mutex;

use async_trait::async_trait;
use domain::{Level, Namespace, Record, RecordQuery, Status, Timestamp};

use super::receipts::KeptReceipts;
use crate::{Gap, Records, RecordsError, Retention, StoredRecord};

/// Records in a list, and receipts in another one.
#[derive(Debug, Default)]
pub struct MemoryRecords {
    kept: Mutex<Kept>,
    pub(super) receipts: KeptReceipts,
}

#[derive(Debug, Default)]
struct Kept {
    next: i64,
    records: Vec<StoredRecord>,
    gaps: Vec<Gap>,
}

#[async_trait]
impl Records for MemoryRecords {
    async fn append(&self, batch: &[Record]) -> Result<(), RecordsError> {
        let mut kept = self.kept.lock().expect("no holder panics");
        for record in batch {
            kept.next += 1;
            let position = kept.next;
            kept.records.push(StoredRecord { position, record: record.clone() });
        }
        Ok(())
    }

    async fn append_gap(&self, gap: &Gap) -> Result<(), RecordsError> {
        self.kept.lock().expect("no holder panics").gaps.push(gap.clone());
        Ok(())
    }

    async fn query(&self, query: &RecordQuery) -> Result<Vec<StoredRecord>, RecordsError> {
        let kept = self.kept.lock().expect("no holder panics");
        let matching = kept.records.iter().filter(|stored| matches(query, stored));
        Ok(match query.after {
            Some(_) => matching.take(query.limit).cloned().collect(),
            None => matching.rev().take(query.limit).cloned().collect(),
        })
    }

    async fn gaps(&self, namespace: &Namespace, since: Option<Timestamp>) -> Result<Vec<Gap>, RecordsError> {
        let kept = self.kept.lock().expect("no holder panics");
        let wanted = |gap: &&Gap| gap.namespace == *namespace && since.is_none_or(|since| gap.until >= since);
        Ok(kept.gaps.iter().filter(wanted).cloned().collect())
    }

    async fn prune(&self, keep: &Retention, now: Timestamp) -> Result<u64, RecordsError> {
        let mut kept = self.kept.lock().expect("no holder panics");
        let before = kept.records.len();
        kept.records.retain(|stored| now.duration_since(stored.record.started_at).unsigned_abs() <= keep.age_max);
        let mut bytes = std::collections::HashMap::<Namespace, u64>::new();
        let mut newest_first = std::mem::take(&mut kept.records);
        newest_first.reverse();
        newest_first.retain(|stored| {
            let used = bytes.entry(stored.record.namespace.clone()).or_default();
            *used += stored.record.text_bytes();
            *used <= keep.bytes_max
        });
        newest_first.reverse();
        kept.records = newest_first;
        Ok((before - kept.records.len()) as u64)
    }

    async fn remove(&self, namespace: &Namespace) -> Result<(), RecordsError> {
        let mut kept = self.kept.lock().expect("no holder panics");
        kept.records.retain(|stored| stored.record.namespace != *namespace);
        kept.gaps.retain(|gap| gap.namespace != *namespace);
        Ok(())
    }
}

fn matches(query: &RecordQuery, stored: &StoredRecord) -> bool {
    let record = &stored.record;
    let loud_enough =
        |level: Level| record.status != Status::Success || record.logs.iter().any(|line| line.level >= level);
    record.namespace == query.namespace
        && query.function.as_ref().is_none_or(|name| *name == record.function)
        && query.request_id.as_ref().is_none_or(|id| *id == record.request_id)
        && query.since.is_none_or(|since| record.started_at >= since)
        && query.after.is_none_or(|after| stored.position > after)
        && query.level.is_none_or(loud_enough)
}
