//! A SQLite database with a thread of its own.
//!
//! SQLite blocks, so each connection belongs to one thread, and work is sent to it through a bounded queue: whoever comes
//! when the queue is full waits. Work that was accepted is done even if nobody waits for it any more.

use std::io;
use std::path::Path;
use std::thread::JoinHandle;

use async_trait::async_trait;
use ports::BoxError;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags, ToSql, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::{Answer, Driver, OpenError, Statement, Value};
use crate::durable;

/// Pieces of work that may wait for a connection.
const QUEUE_MAX: usize = 256;
/// Prepared statements that a connection keeps.
const STATEMENTS_MAX: usize = 64;

/// What distinguishes one kind of database file from another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    /// Stamped into the file, so that files that were swapped are noticed.
    pub(crate) application_id: i32,
    pub(crate) synchronous: Synchronous,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Synchronous {
    /// What was acknowledged survives a power cut.
    Full,
    /// What was acknowledged survives the death of the process; a power cut may take the last transactions.
    Normal,
}

/// Opens a database file for writing; creates it, readable by its owner alone, when there is none.
pub(crate) fn open_writer(path: &Path, kind: Kind) -> Result<Connection, OpenError> {
    durable::create_private(path).map_err(|source| unavailable(path, source))?;
    let connection = Connection::open_with_flags(path, flags(OpenFlags::SQLITE_OPEN_READ_WRITE))
        .and_then(|connection| prepare_writer(&connection, kind.synchronous).map(|()| connection))
        .map_err(|error| open_error(path, error))?;
    match stamp(&connection, kind.application_id) {
        Ok(true) => Ok(connection),
        Ok(false) => Err(OpenError::Foreign { database: path.display().to_string() }),
        Err(error) => Err(open_error(path, error)),
    }
}

/// Opens an existing database file for reading.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, OpenError> {
    let connection = Connection::open_with_flags(path, flags(OpenFlags::SQLITE_OPEN_READ_ONLY));
    let connection = connection.map_err(|error| open_error(path, error))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.execute_batch("PRAGMA query_only = ON").map_err(|error| open_error(path, error))?;
    Ok(connection)
}

/// `NO_MUTEX`: a connection never leaves its thread while it is used.
fn flags(mode: OpenFlags) -> OpenFlags {
    mode | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE
}

/// `auto_vacuum` comes first: it can only be chosen while the file is empty.
fn prepare_writer(connection: &Connection, synchronous: Synchronous) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.execute_batch(
        "PRAGMA auto_vacuum = INCREMENTAL;
         PRAGMA journal_mode = WAL;
         PRAGMA journal_size_limit = 67108864;
         PRAGMA foreign_keys = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA temp_store = MEMORY;",
    )?;
    connection.execute_batch(match synchronous {
        Synchronous::Full => "PRAGMA synchronous = FULL",
        Synchronous::Normal => "PRAGMA synchronous = NORMAL",
    })
}

/// Stamps a new file; false when the file has the stamp of something else.
fn stamp(connection: &Connection, application_id: i32) -> rusqlite::Result<bool> {
    let found = read_stamp(connection)?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if found == 0 && tables == 0 {
        connection.pragma_update(None, "application_id", application_id)?;
        return Ok(true);
    }
    Ok(found == application_id)
}

pub(crate) fn read_stamp(connection: &Connection) -> rusqlite::Result<i32> {
    connection.pragma_query_value(None, "application_id", |row| row.get(0))
}

fn open_error(path: &Path, error: rusqlite::Error) -> OpenError {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    let database = path.display().to_string();
    match error.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => OpenError::Damaged { database, source: error.into() },
        _ => OpenError::Unavailable { database, source: error.into() },
    }
}

/// Was a change refused because the disk, or what the file may use of it, is full?
pub(crate) fn is_full(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    let sqlite = error.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error);
    // The shared-memory file of the write-ahead log is the one place where a full disk reads as an input/output error.
    let sqlite = sqlite.is_some_and(|error| {
        error.code == rusqlite::ErrorCode::DiskFull || error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE
    });
    sqlite || error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::StorageFull)
}

pub(crate) fn unavailable(path: &Path, source: impl Into<BoxError>) -> OpenError {
    OpenError::Unavailable { database: path.display().to_string(), source: source.into() }
}

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// A connection and its thread. Dropping it finishes the accepted work and closes the file.
#[derive(Debug)]
pub(crate) struct Database {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// The thread of a database ended, which only a bug of ours can cause.
#[derive(Debug, thiserror::Error)]
#[error("the thread of the database has ended")]
struct Ended;

impl Database {
    /// Opens a connection and gives it a thread called `name`.
    pub(crate) async fn open(
        name: &'static str,
        path: &Path,
        open: impl FnOnce(&Path) -> Result<Connection, OpenError> + Send + 'static,
    ) -> Result<Self, OpenError> {
        let owned = path.to_owned();
        let opened = tokio::task::spawn_blocking(move || open(&owned)).await;
        let connection = opened.map_err(|error| unavailable(path, error))??;
        Self::start(name, connection).map_err(|error| unavailable(path, error))
    }

    fn start(name: &str, mut connection: Connection) -> io::Result<Self> {
        let (jobs, mut queue) = mpsc::channel::<Job>(QUEUE_MAX);
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            while let Some(job) = queue.blocking_recv() {
                job(&mut connection);
            }
        })?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Runs `job` on the thread of the connection.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, BoxError> {
        let (reply, result) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // Nobody waits any more: the work is done all the same.
            let _ = reply.send(job(connection));
        });
        self.jobs.as_ref().ok_or(Ended)?.send(job).await.map_err(|_| Ended)?;
        Ok(result.await.map_err(|_| Ended)??)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A panic on that thread was printed where it happened.
            let _ = thread.join();
        }
    }
}

#[async_trait]
impl Driver for Database {
    async fn transact(&self, batch: Vec<Statement>) -> Result<Vec<Answer>, BoxError> {
        self.run(move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let answers = batch.iter().map(|statement| run(&transaction, statement)).collect::<Result<_, _>>()?;
            transaction.commit()?;
            Ok(answers)
        })
        .await
    }
}

fn run(connection: &Connection, statement: &Statement) -> rusqlite::Result<Answer> {
    let mut prepared = connection.prepare_cached(statement.sql)?;
    let columns = prepared.column_count();
    let values = rusqlite::params_from_iter(&statement.values);
    if columns == 0 {
        let changed = prepared.execute(values)? as u64;
        return Ok(Answer { rows: Vec::new(), changed });
    }
    let rows = prepared.query_map(values, |row| (0..columns).map(|column| row.get(column)).collect())?;
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    let changed = if prepared.readonly() { 0 } else { connection.changes() };
    Ok(Answer { rows, changed })
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Integer(number) => ValueRef::Integer(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl rusqlite::types::FromSql for Value {
    fn column_result(value: ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
        match value {
            ValueRef::Null => Ok(Value::Null),
            ValueRef::Integer(number) => Ok(Value::Integer(number)),
            ValueRef::Real(_) => Err(rusqlite::types::FromSqlError::InvalidType),
            ValueRef::Text(_) => value.as_str().map(Value::from),
            ValueRef::Blob(bytes) => Ok(Value::from(bytes)),
        }
    }
}
