//! The log of calls in a SQLite file of its own, `logs.db`.
//!
//! Records are written in batches, one transaction each. A killed process loses nothing of what [`ports::Records::append`]
//! acknowledged; a power cut may take the last batches, because the log is not worth a disk flush for each of them
//! (`synchronous=NORMAL`). What remains is never torn. Logs are read on a connection of their own, so that a long query
//! does not hold up the writer. A second product would become a `Config` variant in this file.

pub(crate) mod migrations;
mod prune;
mod query;
mod receipts;
mod rows;

use std::path::Path;

use async_trait::async_trait;
use domain::{Namespace, Record, RecordQuery, Timestamp};
use ports::{BoxError, Gap, Records, RecordsError, Retention, StoredRecord};

use crate::OpenError;
use crate::sql::sqlite::{self, Database, Kind, Synchronous};
use crate::sql::{nanoseconds, schema};

pub(crate) const KIND: Kind = Kind { application_id: i32::from_be_bytes(*b"OraL"), synchronous: Synchronous::Normal };

/// The log of calls in a database file.
#[derive(Debug)]
pub struct SqliteRecords {
    // The reader is dropped first: the last connection, the writer, then empties the write-ahead log.
    reader: Database,
    writer: Database,
}

/// Opens the log in the SQLite file at `path`; creates it, or brings it up to date.
pub async fn open(path: &Path) -> Result<SqliteRecords, OpenError> {
    let writer = Database::open("log-writer", path, |path| sqlite::open_writer(path, KIND)).await?;
    schema::migrate(&writer, &path.display().to_string(), migrations::MIGRATIONS).await?;
    let reader = Database::open("log-reader", path, sqlite::open_reader).await?;
    Ok(SqliteRecords { reader, writer })
}

#[async_trait]
impl Records for SqliteRecords {
    async fn append(&self, batch: &[Record]) -> Result<(), RecordsError> {
        if batch.is_empty() {
            return Ok(());
        }
        let batch = batch.to_vec();
        let written = self.writer.run(move |connection| {
            let transaction = connection.transaction()?;
            rows::insert(&transaction, &batch)?;
            transaction.commit()
        });
        written.await.map_err(RecordsError::Unavailable)
    }

    async fn append_gap(&self, gap: &Gap) -> Result<(), RecordsError> {
        let gap = gap.clone();
        let written = self.writer.run(move |connection| rows::insert_gap(connection, &gap));
        written.await.map_err(RecordsError::Unavailable)
    }

    async fn query(&self, query: &RecordQuery) -> Result<Vec<StoredRecord>, RecordsError> {
        let query = query.clone();
        let found = self.reader.run(move |connection| query::run(connection, &query));
        found.await.map_err(RecordsError::Unavailable)
    }

    async fn gaps(&self, namespace: &Namespace, since: Option<Timestamp>) -> Result<Vec<Gap>, RecordsError> {
        let (namespace, since) = (namespace.clone(), since.map_or(i64::MIN, nanoseconds));
        let found = self.reader.run(move |connection| {
            let sql = "SELECT namespace, from_at, until_at, calls FROM gaps
                WHERE namespace = ?1 AND until_at >= ?2 ORDER BY id";
            connection.prepare_cached(sql)?.query_map((namespace.as_str(), since), rows::gap)?.collect()
        });
        found.await.map_err(RecordsError::Unavailable)
    }

    async fn prune(&self, keep: &Retention, now: Timestamp) -> Result<u64, RecordsError> {
        self.prune_in_slices(prune::Limits::of(keep, now)).await.map_err(RecordsError::Unavailable)
    }

    async fn remove(&self, namespace: &Namespace) -> Result<(), RecordsError> {
        self.remove_in_slices(namespace.to_string()).await.map_err(RecordsError::Unavailable)
    }
}

impl SqliteRecords {
    async fn prune_in_slices(&self, limits: prune::Limits) -> Result<u64, BoxError> {
        let mut deleted = 0;
        for namespace in self.writer.run(|connection| prune::namespaces(connection)).await? {
            deleted += self.prune_namespace(namespace, limits).await?;
        }
        self.writer.run(move |connection| prune::gaps(connection, limits)).await?;
        while self.writer.run(prune::give_back).await? {}
        Ok(deleted)
    }

    async fn remove_in_slices(&self, namespace: String) -> Result<(), BoxError> {
        self.prune_namespace(namespace.clone(), prune::Limits::NOTHING).await?;
        self.writer.run(move |connection| prune::gaps_of(connection, &namespace)).await?;
        while self.writer.run(prune::give_back).await? {}
        Ok(())
    }

    async fn prune_namespace(&self, namespace: String, limits: prune::Limits) -> Result<u64, BoxError> {
        let mut deleted = 0;
        loop {
            let name = namespace.clone();
            let slice = self.writer.run(move |connection| prune::slice(connection, &name, limits)).await?;
            deleted += slice;
            if slice == 0 {
                return Ok(deleted);
            }
        }
    }
}
