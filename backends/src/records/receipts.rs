//! Receipts beside the records: in the same file, by the same two connections, pruned in slices as these are.

use async_trait::async_trait;
use domain::{ContentDigest, FunctionName, Namespace, Receipt, RequestId, Timestamp};
use ports::{BoxError, ReceiptTail, Receipts, RecordsError, Retention};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::SqliteRecords;
use crate::sql::signed;

/// Receipts that one transaction deletes.
const SLICE_RECEIPTS: i64 = 1000;

#[async_trait]
impl Receipts for SqliteRecords {
    async fn receipt_tail(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
    ) -> Result<Option<ReceiptTail>, RecordsError> {
        let (namespace, function) = (namespace.to_string(), function.to_string());
        let found = self.reader.run(move |connection| {
            let sql = "SELECT sequence, digest FROM receipt_tails WHERE namespace = ?1 AND function = ?2";
            connection.prepare_cached(sql)?.query_row([namespace, function], tail).optional()
        });
        found.await.map_err(RecordsError::Unavailable)
    }

    async fn append_receipts(&self, batch: &[Receipt]) -> Result<(), RecordsError> {
        if batch.is_empty() {
            return Ok(());
        }
        let batch = batch.to_vec();
        let written = self.writer.run(move |connection| {
            let transaction = connection.transaction()?;
            insert(&transaction, &batch)?;
            transaction.commit()
        });
        written.await.map_err(RecordsError::Unavailable)
    }

    async fn receipt(&self, namespace: &Namespace, request_id: &RequestId) -> Result<Option<Receipt>, RecordsError> {
        let (namespace, request_id) = (namespace.to_string(), request_id.to_string());
        let found = self.reader.run(move |connection| {
            let sql = "SELECT json FROM receipts WHERE request_id = ?1 AND namespace = ?2";
            connection.prepare_cached(sql)?.query_row([request_id, namespace], receipt).optional()
        });
        found.await.map_err(RecordsError::Unavailable)
    }

    async fn receipts(
        &self,
        namespace: &Namespace,
        function: &FunctionName,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Receipt>, RecordsError> {
        let (namespace, function) = (namespace.to_string(), function.to_string());
        let found = self.reader.run(move |connection| {
            let sql = "SELECT json FROM receipts WHERE namespace = ?1 AND function = ?2 AND sequence > ?3
                ORDER BY sequence LIMIT ?4";
            let values = params![namespace, function, signed(after), signed(limit as u64)];
            connection.prepare_cached(sql)?.query_map(values, receipt)?.collect()
        });
        found.await.map_err(RecordsError::Unavailable)
    }

    async fn prune_receipts(&self, keep: &Retention, now: Timestamp) -> Result<u64, RecordsError> {
        self.prune_all(Limits::of(keep, now)).await.map_err(RecordsError::Unavailable)
    }

    async fn remove_receipts(&self, namespace: &Namespace) -> Result<(), RecordsError> {
        let namespace = namespace.to_string();
        let removed = async {
            self.prune_one(namespace.clone(), Limits::NOTHING).await?;
            let sql = "DELETE FROM receipt_tails WHERE namespace = ?1";
            self.writer.run(move |connection| connection.execute(sql, [namespace]).map(drop)).await
        };
        removed.await.map_err(RecordsError::Unavailable)
    }
}

/// What a namespace may keep. What is from later than the newest was written while the clock was wrong.
#[derive(Debug, Clone, Copy)]
struct Limits {
    oldest_second: i64,
    newest_second: i64,
    bytes_max: i64,
}

impl Limits {
    const NOTHING: Self = Self { oldest_second: i64::MAX, newest_second: i64::MAX, bytes_max: -1 };

    fn of(keep: &Retention, now: Timestamp) -> Self {
        let (now, age_max) = (now.as_second(), signed(keep.age_max.as_secs()));
        Self {
            oldest_second: now.saturating_sub(age_max),
            newest_second: now.saturating_add(age_max),
            bytes_max: signed(keep.bytes_max),
        }
    }
}

impl SqliteRecords {
    async fn prune_all(&self, limits: Limits) -> Result<u64, BoxError> {
        let sql = "SELECT DISTINCT namespace FROM receipt_tails";
        let namespaces: Vec<String> = self
            .writer
            .run(move |connection| connection.prepare_cached(sql)?.query_map([], |row| row.get(0))?.collect())
            .await?;
        let mut deleted = 0;
        for namespace in namespaces {
            deleted += self.prune_one(namespace, limits).await?;
        }
        Ok(deleted)
    }

    async fn prune_one(&self, namespace: String, limits: Limits) -> Result<u64, BoxError> {
        let mut deleted = 0;
        loop {
            let name = namespace.clone();
            match self.writer.run(move |connection| slice(connection, &name, limits)).await? {
                0 => return Ok(deleted),
                some => deleted += some as u64,
            }
        }
    }
}

/// Deletes up to a slice of what is too old or too much; 0 when nothing is.
fn slice(connection: &Connection, namespace: &str, limits: Limits) -> rusqlite::Result<usize> {
    let by_age = "DELETE FROM receipts WHERE position IN
        (SELECT position FROM receipts WHERE namespace = ?1 AND at_second < ?2
         UNION ALL SELECT position FROM receipts WHERE namespace = ?1 AND at_second > ?3 LIMIT ?4)";
    let values = params![namespace, limits.oldest_second, limits.newest_second, SLICE_RECEIPTS];
    match connection.prepare_cached(by_age)?.execute(values)? {
        0 => by_size(connection, namespace, limits.bytes_max),
        some => Ok(some),
    }
}

fn by_size(connection: &Connection, namespace: &str, bytes_max: i64) -> rusqlite::Result<usize> {
    let used = "SELECT coalesce(sum(length(json)), 0) FROM receipts WHERE namespace = ?1";
    let used: i64 = connection.prepare_cached(used)?.query_row([namespace], |row| row.get(0))?;
    let excess = used.saturating_sub(bytes_max);
    if excess <= 0 || used == 0 {
        return Ok(0);
    }
    let sql = "DELETE FROM receipts WHERE position IN
        (SELECT position FROM
            (SELECT position, sum(length(json)) OVER (ORDER BY position) - length(json) AS older FROM
                (SELECT position, json FROM receipts WHERE namespace = ?1 ORDER BY position LIMIT ?2))
         WHERE older < ?3)";
    connection.prepare_cached(sql)?.execute(params![namespace, SLICE_RECEIPTS, excess])
}

fn insert(connection: &Connection, batch: &[Receipt]) -> rusqlite::Result<()> {
    let mut rows = connection.prepare_cached(
        "INSERT INTO receipts (namespace, function, sequence, request_id, at_second, json)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let mut tails = connection.prepare_cached(
        "INSERT INTO receipt_tails (namespace, function, sequence, digest) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (namespace, function) DO UPDATE SET sequence = excluded.sequence, digest = excluded.digest",
    )?;
    for receipt in batch {
        let facts = &receipt.facts;
        let (namespace, function) = (facts.namespace.as_str(), facts.function.as_str());
        let (sequence, second) = (signed(receipt.link.sequence), signed(facts.timestamp));
        rows.execute(params![namespace, function, sequence, facts.request_id.as_str(), second, receipt.to_json()])?;
        tails.execute(params![namespace, function, sequence, receipt.digest().to_string()])?;
    }
    Ok(())
}

fn tail(row: &Row<'_>) -> rusqlite::Result<ReceiptTail> {
    let sequence: i64 = row.get(0)?;
    let sequence = u64::try_from(sequence).map_err(|error| damaged(0, error))?;
    let digest = ContentDigest::try_from(row.get::<_, String>(1)?).map_err(|error| damaged(1, error))?;
    Ok(ReceiptTail { sequence, digest })
}

fn receipt(row: &Row<'_>) -> rusqlite::Result<Receipt> {
    Receipt::parse(row.get_ref(0)?.as_str()?.as_bytes()).map_err(|error| damaged(0, error))
}

fn damaged(column: usize, cause: impl Into<BoxError>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, cause.into())
}
