//! Retention in slices: each is a short transaction, so that records go on being written in between.

use domain::Timestamp;
use ports::Retention;
use rusqlite::{Connection, OptionalExtension, params};

use crate::sql::{nanoseconds, signed};

/// Records that one transaction deletes.
const SLICE_RECORDS: i64 = 1000;
/// Pages that one step gives back to the file system.
const SLICE_PAGES: i64 = 256;

/// What a namespace may keep, in the terms of the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    oldest_at: i64,
    /// A record of later than this was written while the clock was wrong, and would stay for ever.
    newest_at: i64,
    bytes_max: i64,
}

impl Limits {
    /// Keeps nothing at all.
    pub(super) const NOTHING: Self = Self { oldest_at: i64::MAX, newest_at: i64::MAX, bytes_max: -1 };

    pub(super) fn of(keep: &Retention, now: Timestamp) -> Self {
        let now = nanoseconds(now);
        let age_max = i64::try_from(keep.age_max.as_nanos()).unwrap_or(i64::MAX);
        Self {
            oldest_at: now.saturating_sub(age_max),
            newest_at: now.saturating_add(age_max),
            bytes_max: signed(keep.bytes_max),
        }
    }
}

pub(super) fn namespaces(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    connection.prepare_cached("SELECT namespace FROM usage")?.query_map([], |row| row.get(0))?.collect()
}

/// Deletes up to a slice of what is too old or too much; 0 when nothing is.
pub(super) fn slice(connection: &mut Connection, namespace: &str, limits: Limits) -> rusqlite::Result<u64> {
    let transaction = connection.transaction()?;
    let mut deleted = delete_by_age(&transaction, namespace, limits)?;
    if deleted.is_empty() {
        deleted = delete_by_size(&transaction, namespace, limits.bytes_max)?;
    }
    let (records, bytes) = (deleted.len() as i64, deleted.iter().sum::<i64>());
    let mut usage = transaction
        .prepare_cached("UPDATE usage SET records = records - ?2, bytes = bytes - ?3 WHERE namespace = ?1")?;
    usage.execute(params![namespace, records, bytes])?;
    drop(usage);
    transaction.prepare_cached("DELETE FROM usage WHERE namespace = ?1 AND records = 0")?.execute([namespace])?;
    transaction.commit()?;
    Ok(records as u64)
}

/// Deletes a slice by age and returns the sizes of the records that went.
fn delete_by_age(connection: &Connection, namespace: &str, limits: Limits) -> rusqlite::Result<Vec<i64>> {
    let sql = "DELETE FROM records WHERE position IN
            (SELECT position FROM records WHERE namespace = ?1 AND started_at < ?2
             UNION ALL SELECT position FROM records WHERE namespace = ?1 AND started_at > ?3
             LIMIT ?4)
        RETURNING text_bytes";
    let values = params![namespace, limits.oldest_at, limits.newest_at, SLICE_RECORDS];
    connection.prepare_cached(sql)?.query_map(values, |row| row.get(0))?.collect()
}

/// Deletes a slice of the oldest records of a namespace that has too much.
fn delete_by_size(connection: &Connection, namespace: &str, bytes_max: i64) -> rusqlite::Result<Vec<i64>> {
    let used = connection
        .prepare_cached("SELECT bytes FROM usage WHERE namespace = ?1")?
        .query_row([namespace], |row| row.get::<_, i64>(0))
        .optional()?;
    let excess = used.unwrap_or(0) - bytes_max;
    if excess <= 0 {
        return Ok(Vec::new());
    }
    let sql = "DELETE FROM records WHERE position IN
            (SELECT position FROM
                (SELECT position, sum(text_bytes) OVER (ORDER BY position) - text_bytes AS older FROM
                    (SELECT position, text_bytes FROM records WHERE namespace = ?1 ORDER BY position LIMIT ?2))
             WHERE older < ?3)
        RETURNING text_bytes";
    connection.prepare_cached(sql)?.query_map(params![namespace, SLICE_RECORDS, excess], |row| row.get(0))?.collect()
}

pub(super) fn gaps(connection: &Connection, limits: Limits) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM gaps WHERE until_at < ?1", [limits.oldest_at]).map(drop)
}

pub(super) fn gaps_of(connection: &Connection, namespace: &str) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM gaps WHERE namespace = ?1", [namespace]).map(drop)
}

/// Gives unused pages back to the file system, up to a slice; false when enough was given back.
///
/// An eighth of the file stays as a reserve, so that a log at its limit does not shrink and grow all the time.
pub(super) fn give_back(connection: &mut Connection) -> rusqlite::Result<bool> {
    let unused: i64 = connection.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
    let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
    if unused <= (pages / 8).max(SLICE_PAGES) {
        return Ok(false);
    }
    let mut vacuum = connection.prepare(&format!("PRAGMA incremental_vacuum({SLICE_PAGES})"))?;
    let mut steps = vacuum.query([])?;
    while steps.next()?.is_some() {}
    Ok(true)
}
