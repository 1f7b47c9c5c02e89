//! SQL, one SQLite database a namespace.
//!
//! Each namespace has a file of its own, so that nothing of another can even be named; an authorizer, limits and a progress
//! handler hold its statements within bounds ([`guard`], [`session`]). One thread a database writes, in group commits
//! ([`batch`]): what is acknowledged is on the disk. Reads run on the thread of the caller as long as they are short
//! ([`readers`]); the longer ones of all databases take turns ([`turns`]). Triggers of ours note what changes ([`changes`]).
//! Databases are opened at their first use and closed when they rest ([`slot`]).

mod batch;
mod changes;
mod copy;
mod error;
mod file;
mod functions;
mod guard;
mod handle;
mod house;
mod readers;
mod script;
mod sequence;
mod session;
mod slot;
mod spill;
mod text;
mod turns;
mod work;
mod writer;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use domain::Namespace;
use ports::{ChangeListener, Changes, Database, Databases, SqlError};
use rusqlite::Connection;

pub(crate) use self::file::{APPLICATION_ID, stamp};
use self::handle::NamespaceDatabase;
use self::house::{House, Room};
pub(crate) use self::spill::FILE_PREFIX;
use crate::durable;

/// What the databases of a node may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseConfig {
    /// Databases that are open at once.
    pub open_max: usize,
    /// After this time without use, a database is closed.
    pub idle: Duration,
    /// Threads for reads that take longer, of one database.
    pub threads_per_database_max: usize,
    /// How many of those of all databases run at any moment; the others wait for their turn.
    pub running_max: usize,
    /// Memory of all of SQLite in this process, in bytes; the statement that asks for more fails.
    pub heap_bytes_max: u64,
}

impl Default for DatabaseConfig {
    fn default() -> Self {
        Self {
            open_max: 64,
            idle: Duration::from_secs(60),
            threads_per_database_max: 2,
            running_max: std::thread::available_parallelism().map_or(2, usize::from),
            heap_bytes_max: 1 << 30,
        }
    }
}

/// The databases of a node in SQLite.
#[derive(Debug)]
pub struct SqliteDatabases {
    house: Arc<House>,
}

/// Opens the databases in `folder`, which is created when it does not exist: `<namespace>.db` each. No other process may
/// use it.
pub fn open(folder: &Path, config: DatabaseConfig) -> io::Result<SqliteDatabases> {
    durable::create_folder(folder)?;
    file::sweep(folder)?;
    set_process(folder, config.heap_bytes_max).map_err(io::Error::other)?;
    Ok(SqliteDatabases { house: Arc::new(House::new(Room::Folder(folder.to_owned()), config)) })
}

/// Databases without files, gone with the value.
pub fn in_memory() -> SqliteDatabases {
    SqliteDatabases { house: Arc::new(House::new(Room::Memory, DatabaseConfig::default())) }
}

/// SQLite has one heap for the process, and one folder for temporary files, with one setting each.
fn set_process(folder: &Path, heap_bytes_max: u64) -> rusqlite::Result<()> {
    let connection = Connection::open_in_memory()?;
    let bytes = i64::try_from(heap_bytes_max).unwrap_or(i64::MAX);
    connection.pragma_update_and_check(None, "hard_heap_limit", bytes, |_| Ok(()))?;
    spill::keep_files_in(&connection, folder)
}

#[async_trait]
impl Databases for SqliteDatabases {
    fn of(&self, namespace: &Namespace) -> Arc<dyn Database> {
        Arc::new(NamespaceDatabase { slot: self.house.slot(namespace), house: self.house.clone() })
    }

    fn changes(&self, namespace: &Namespace) -> Arc<dyn Changes> {
        Arc::new(NamespaceDatabase { slot: self.house.slot(namespace), house: self.house.clone() })
    }

    fn on_change(&self, listener: ChangeListener) {
        self.house.listening.set(listener);
    }

    fn set_limit(&self, namespace: &Namespace, bytes_max: Option<u64>) {
        self.house.slot(namespace).limit.store(bytes_max.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    async fn remove(&self, namespace: &Namespace) -> Result<(), SqlError> {
        let slot = self.house.slot(namespace);
        slot.remove(&self.house).await?;
        // Not before: the file of a later database must not be there while this one is being deleted.
        self.house.forget(&slot);
        Ok(())
    }
}
