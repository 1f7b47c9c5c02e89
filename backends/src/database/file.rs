//! The files of databases: made whole, stamped with whose they are, opened, and removed so that a crash leaves all or nothing.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use domain::Namespace;
use ports::SqlError;
use rusqlite::{Connection, OpenFlags};

use super::error::{of_opening, unavailable};
use super::guard::Kind;
use super::session::{Session, Shared};
use super::spill::FILE_PREFIX;
use crate::durable;

/// Stamped into every file, so that a database of something else is noticed.
pub(crate) const APPLICATION_ID: i32 = i32::from_be_bytes(*b"OraD");
/// How long a connection waits for a lock that another process holds, such as a backup.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// Where the database of `namespace` is.
pub(super) fn path_of(folder: &Path, namespace: &Namespace) -> PathBuf {
    folder.join(format!("{namespace}.db"))
}

/// The stamp of a namespace: with it, files that were swapped between namespaces are noticed.
pub(crate) fn stamp(namespace: &Namespace) -> i32 {
    let hash = blake3::hash(format!("orama database of {namespace}").as_bytes());
    let [a, b, c, d, ..] = *hash.as_bytes();
    i32::from_be_bytes([a, b, c, d])
}

/// Opens the writer of `namespace`; makes the file when there is none.
pub(super) fn open_writer(folder: &Path, namespace: &Namespace, shared: Shared) -> Result<Session, SqlError> {
    let path = path_of(folder, namespace);
    match std::fs::metadata(&path) {
        // A file is made under another name, so an empty one was cut.
        Ok(file) if file.len() == 0 => return Err(SqlError::Corrupt("the file is empty".into())),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(folder, &path, namespace)?,
        Err(error) => return Err(unavailable(error)),
    }
    let connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|error| of_opening(&error))?;
    check_stamps(&connection, namespace)?;
    let guarded = prepare_writer(&connection).and_then(|()| Session::guard(connection, Kind::Full, shared));
    guarded.map_err(|error| of_opening(&error))
}

/// Opens a connection to the file at `path`, which a writer has open, for reading.
pub(super) fn open_reader(path: &Path, kind: Kind, shared: Shared) -> Result<Session, SqlError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
    let guarded = connection.and_then(|connection| Session::guard(connection, kind, shared));
    guarded.map_err(|error| of_opening(&error))
}

/// Opens a database without a file.
pub(super) fn open_in_memory(shared: Shared) -> Result<Session, SqlError> {
    let connection = Connection::open_in_memory_with_flags(flags(OpenFlags::SQLITE_OPEN_READ_WRITE));
    let guarded = connection.and_then(|connection| Session::guard(connection, Kind::Full, shared));
    guarded.map_err(|error| of_opening(&error))
}

/// `NO_MUTEX`: a connection is used by one thread at a time. No `URI`: a name is never anything but a path.
fn flags(mode: OpenFlags) -> OpenFlags {
    mode | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE
}

fn connect(path: &Path, mode: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags(mode))?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(connection)
}

fn create(folder: &Path, path: &Path, namespace: &Namespace) -> Result<(), SqlError> {
    let temporary = folder.join(durable::temporary_name());
    let made = make(&temporary, namespace).and_then(|()| put_in_place(&temporary, path).map_err(unavailable));
    if made.is_err() {
        // The first error is the one that matters; what is left is swept at the next start.
        let _ = std::fs::remove_file(&temporary);
    }
    made
}

fn make(path: &Path, namespace: &Namespace) -> Result<(), SqlError> {
    durable::create_private(path).map_err(unavailable)?;
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(|error| of_opening(&error))?;
    let stamped = connection
        .pragma_update(None, "application_id", APPLICATION_ID)
        .and_then(|()| connection.pragma_update(None, "user_version", stamp(namespace)))
        .and_then(|()| connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())));
    stamped.map_err(|error| of_opening(&error))?;
    connection.close().map_err(|(_, error)| of_opening(&error))
}

/// A log that a removed database of the same name left behind must never be taken for that of the new one.
fn put_in_place(temporary: &Path, path: &Path) -> io::Result<()> {
    File::open(temporary)?.sync_all()?;
    remove_logs(path)?;
    std::fs::rename(temporary, path)?;
    durable::sync_folder(path.parent().unwrap_or(Path::new(".")))
}

fn check_stamps(connection: &Connection, namespace: &Namespace) -> Result<(), SqlError> {
    let read = |pragma| connection.pragma_query_value(None, pragma, |row| row.get::<_, i32>(0));
    let found = read("application_id").and_then(|application| Ok((application, read("user_version")?)));
    let found = found.map_err(|error| of_opening(&error))?;
    if found == (APPLICATION_ID, stamp(namespace)) {
        return Ok(());
    }
    Err(SqlError::Corrupt(format!("the file is not that of the namespace `{namespace}`").into()))
}

/// What is acknowledged is on the disk.
fn prepare_writer(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 16777216;")
}

/// Removes the database of `namespace`, which nobody has open; after a crash it is there as a whole, or not at all.
pub(super) fn remove(folder: &Path, namespace: &Namespace) -> io::Result<()> {
    let path = path_of(folder, namespace);
    let condemned = folder.join(durable::temporary_name());
    match std::fs::rename(&path, &condemned) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        renamed => {
            renamed?;
            durable::sync_folder(folder)?;
            std::fs::remove_file(&condemned)?;
        }
    }
    remove_logs(&path)?;
    durable::sync_folder(folder)
}

fn remove_logs(path: &Path) -> io::Result<()> {
    for ending in ["-wal", "-shm"] {
        let mut log = path.as_os_str().to_owned();
        log.push(ending);
        match std::fs::remove_file(log) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The size of the database of `namespace` as it lies there while nobody has it open; `None` when its log must be read for it.
pub(super) fn bytes_closed(folder: &Path, namespace: &Namespace) -> Option<u64> {
    let path = path_of(folder, namespace);
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    match std::fs::metadata(&path) {
        Ok(file) if !Path::new(&log).exists() => Some(file.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(0),
        _ => None,
    }
}

/// Removes what an earlier process left half made.
pub(super) fn sweep(folder: &Path) -> io::Result<()> {
    for file in durable::files_in(folder)? {
        let name = file.file_name().and_then(|name| name.to_str());
        if name.is_some_and(|name| durable::is_temporary(name) || name.starts_with(FILE_PREFIX)) {
            std::fs::remove_file(file)?;
        }
    }
    Ok(())
}
