//! A record as a row, and back.

use std::collections::HashMap;

use domain::{Attempt, Level, LogLine, Namespace, Record, RequestId, VersionNumber};
use ports::{Gap, StoredRecord};
use rusqlite::types::Type;
use rusqlite::{Connection, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::sql::{nanoseconds, signed, timestamp};

/// The columns in the order in which [`stored_record`] reads them.
pub(super) const COLUMNS: &str = "position, namespace, function, version, request_id, client_request_id, trace_id, \
    trigger, caller_wallet, input_bytes, output_bytes, started_at, duration_us, cpu_us, memory_peak_bytes, status, \
    error_code, error_message, attempts, logs";

const INSERT: &str = "INSERT INTO records (namespace, function, version, request_id, client_request_id, trace_id, \
    trigger, caller_wallet, input_bytes, output_bytes, started_at, duration_us, cpu_us, memory_peak_bytes, status, \
    error_code, error_message, attempts, logs, level, text_bytes) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)";

/// The number that stands for no log line at all.
const NO_LEVEL: i64 = -1;

pub(super) fn level_number(level: Level) -> i64 {
    level as i64
}

pub(super) fn insert(connection: &Connection, batch: &[Record]) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(INSERT)?;
    for record in batch {
        statement.execute(params![
            record.namespace.as_str(),
            record.function.as_str(),
            record.version.get(),
            record.request_id.as_str(),
            record.client_request_id,
            record.trace_id,
            record.trigger.as_str(),
            record.caller_wallet,
            signed(record.input_bytes),
            signed(record.output_bytes),
            nanoseconds(record.started_at),
            signed(record.duration_us),
            signed(record.cpu_us),
            signed(record.memory_peak_bytes),
            record.status.as_str(),
            record.error_code.map(domain::ErrorCode::as_str),
            record.error_message,
            list(&record.attempts),
            list(&record.logs),
            record.logs.iter().map(|line| level_number(line.level)).max().unwrap_or(NO_LEVEL),
            signed(record.text_bytes()),
        ])?;
    }
    add_usage(connection, batch)
}

fn add_usage(connection: &Connection, batch: &[Record]) -> rusqlite::Result<()> {
    let mut added: HashMap<&Namespace, (i64, i64)> = HashMap::new();
    for record in batch {
        let (records, bytes) = added.entry(&record.namespace).or_default();
        *records += 1;
        *bytes += signed(record.text_bytes());
    }
    let mut statement = connection.prepare_cached(
        "INSERT INTO usage (namespace, records, bytes) VALUES (?1, ?2, ?3) ON CONFLICT (namespace)
         DO UPDATE SET records = records + excluded.records, bytes = bytes + excluded.bytes",
    )?;
    for (namespace, (records, bytes)) in added {
        statement.execute(params![namespace.as_str(), records, bytes])?;
    }
    Ok(())
}

pub(super) fn insert_gap(connection: &Connection, gap: &Gap) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare_cached("INSERT INTO gaps (namespace, from_at, until_at, calls) VALUES (?1, ?2, ?3, ?4)")?;
    let times = (nanoseconds(gap.from), nanoseconds(gap.until));
    statement.execute(params![gap.namespace.as_str(), times.0, times.1, signed(gap.calls)]).map(drop)
}

pub(super) fn gap(row: &Row<'_>) -> rusqlite::Result<Gap> {
    Ok(Gap {
        namespace: parsed(row, 0)?,
        from: timestamp(row.get(1)?),
        until: timestamp(row.get(2)?),
        calls: natural(row, 3)?,
    })
}

pub(super) fn stored_record(row: &Row<'_>) -> rusqlite::Result<StoredRecord> {
    let record = Record {
        namespace: parsed(row, 1)?,
        function: parsed(row, 2)?,
        version: VersionNumber::new(row.get(3)?).ok_or_else(|| damaged(3, "a version is not 0"))?,
        request_id: RequestId::new(row.get::<_, String>(4)?),
        client_request_id: row.get(5)?,
        trace_id: row.get(6)?,
        trigger: word(row, 7)?.ok_or_else(|| damaged(7, "every call has a trigger"))?,
        caller_wallet: row.get(8)?,
        input_bytes: natural(row, 9)?,
        output_bytes: natural(row, 10)?,
        started_at: timestamp(row.get(11)?),
        duration_us: natural(row, 12)?,
        cpu_us: natural(row, 13)?,
        memory_peak_bytes: natural(row, 14)?,
        status: word(row, 15)?.ok_or_else(|| damaged(15, "every call has a status"))?,
        error_code: word(row, 16)?,
        error_message: row.get(17)?,
        attempts: read_list::<Attempt>(row, 18)?,
        logs: read_list::<LogLine>(row, 19)?,
    };
    Ok(StoredRecord { position: row.get(0)?, record })
}

/// `None` for an empty list: most calls were not retried and print nothing.
fn list<T: Serialize>(items: &[T]) -> Option<String> {
    let json = || serde_json::to_string(items).expect("our own types have text keys, and serialize");
    (!items.is_empty()).then(json)
}

fn read_list<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<Vec<T>> {
    match row.get::<_, Option<String>>(column)? {
        None => Ok(Vec::new()),
        Some(json) => serde_json::from_str(&json).map_err(|error| damaged(column, error)),
    }
}

/// A value of a closed set, kept as its word.
fn word<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    let word: Option<String> = row.get(column)?;
    let read = |word| serde_json::from_value(serde_json::Value::String(word)).map_err(|error| damaged(column, error));
    word.map(read).transpose()
}

fn parsed<T: std::str::FromStr<Err = domain::InvalidName>>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    row.get_ref(column)?.as_str()?.parse().map_err(|error: domain::InvalidName| damaged(column, error))
}

fn natural(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|error| damaged(column, error))
}

fn damaged(column: usize, cause: impl Into<ports::BoxError>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, cause.into())
}
