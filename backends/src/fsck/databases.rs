//! The databases of namespaces: each is whole, and is that of the namespace whose name it has.

use std::path::Path;

use domain::Namespace;
use rusqlite::Connection;

use super::sqlite::{check_integrity, failed};
use super::{ProblemKind, Report, listed, unreadable};
use crate::backup::namespace_of;
use crate::database::{APPLICATION_ID, FILE_PREFIX, stamp};
use crate::durable;
use crate::folder::DataFolder;
use crate::sql::sqlite::{open_reader, read_stamp};

pub(super) fn check(folder: &DataFolder, namespaces: Option<&[String]>, report: &mut Report) {
    for file in listed(durable::files_in(&folder.databases()), report) {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match namespace_of(name) {
            Some(namespace) => check_database(&file, &namespace, namespaces, report),
            None if durable::is_temporary(name) || name.starts_with(FILE_PREFIX) => leftover(&file, report),
            None if is_log(name) => {}
            None => report.add(ProblemKind::UnknownFile, format!("`{}` is no database of ours", file.display())),
        }
    }
}

fn leftover(file: &Path, report: &mut Report) {
    let message = format!("`{}` was being written when a process died; the next start removes it", file.display());
    report.add(ProblemKind::Leftover, message);
}

/// What SQLite keeps beside a database that is open, or whose process died.
fn is_log(name: &str) -> bool {
    ["-wal", "-shm", "-journal"].iter().any(|ending| name.strip_suffix(ending).and_then(namespace_of).is_some())
}

fn check_database(file: &Path, namespace: &Namespace, namespaces: Option<&[String]>, report: &mut Report) {
    if namespaces.is_some_and(|known| !known.iter().any(|known| known == namespace.as_str())) {
        let message = format!("`{}` belongs to a namespace that does not exist", file.display());
        report.add(ProblemKind::UnknownFile, message);
    }
    let connection = match open_reader(file) {
        Ok(connection) => connection,
        Err(error) => return unreadable(file, &error, report),
    };
    if let Err(error) = examine(&connection, file, namespace, report) {
        failed(file, &error, report);
    }
}

fn examine(connection: &Connection, file: &Path, namespace: &Namespace, report: &mut Report) -> rusqlite::Result<()> {
    let owner: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if (read_stamp(connection)?, owner) != (APPLICATION_ID, stamp(namespace)) {
        let message = format!("`{}` is not the database of the namespace `{namespace}`", file.display());
        report.add(ProblemKind::DatabaseForeign, message);
        return Ok(());
    }
    report.counts.databases += 1;
    // Whether references between the rows hold is for the namespace to decide: it may have switched that off.
    check_integrity(connection, file, report)
}
