//! What is checked of every database.

use std::path::Path;

use rusqlite::{Connection, ErrorCode};

use super::{ProblemKind, Report, unreadable};
use crate::sql::schema::NEWEST;
use crate::sql::sqlite::{Kind, open_reader, read_stamp};

/// Complaints of one check that are reported; a file full of damage has thousands.
const COMPLAINTS_MAX: usize = 20;

/// A database as it should be.
pub(super) struct Wanted<'a> {
    pub(super) path: &'a Path,
    pub(super) kind: Kind,
    pub(super) newest: i64,
}

/// How far a database can be examined.
pub(super) enum Opened {
    /// It has our tables.
    Usable(Connection),
    /// It was not made yet, or made by a start that died before the first table was there.
    Empty,
    /// The report says why.
    Unusable,
}

pub(super) fn open(wanted: &Wanted<'_>, report: &mut Report) -> Opened {
    if !wanted.path.exists() {
        return Opened::Empty;
    }
    let connection = match open_reader(wanted.path) {
        Ok(connection) => connection,
        Err(error) => {
            unreadable(wanted.path, &error, report);
            return Opened::Unusable;
        }
    };
    match examine(&connection, wanted, report) {
        Ok(Examined::Usable) => Opened::Usable(connection),
        Ok(Examined::Empty) => Opened::Empty,
        Ok(Examined::Unusable) => Opened::Unusable,
        Err(error) => {
            failed(wanted.path, &error, report);
            Opened::Unusable
        }
    }
}

enum Examined {
    Usable,
    Empty,
    Unusable,
}

fn examine(connection: &Connection, wanted: &Wanted<'_>, report: &mut Report) -> rusqlite::Result<Examined> {
    let path = wanted.path.display();
    let has_tables = connection.table_exists(None, "schema_migrations")?;
    let stamp = read_stamp(connection)?;
    if stamp != wanted.kind.application_id && (stamp != 0 || has_tables) {
        report.add(ProblemKind::DatabaseForeign, format!("`{path}` is a database of something else"));
        return Ok(Examined::Unusable);
    }
    if !has_tables {
        return Ok(Examined::Empty);
    }
    let found: i64 = connection.query_row(NEWEST, [], |row| row.get(0))?;
    if found > wanted.newest {
        let known = wanted.newest;
        let message = format!("`{path}` has schema {found}, this program knows up to {known}; use a newer `orama`");
        report.add(ProblemKind::DatabaseTooNew, message);
        return Ok(Examined::Unusable);
    }
    if found == 0 {
        return Ok(Examined::Empty);
    }
    check_integrity(connection, wanted.path, report)?;
    check_references(connection, wanted.path, report)?;
    Ok(Examined::Usable)
}

pub(super) fn check_integrity(connection: &Connection, path: &Path, report: &mut Report) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(&format!("PRAGMA integrity_check({COMPLAINTS_MAX})"))?;
    let complaints = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
    for complaint in complaints.iter().filter(|complaint| *complaint != "ok") {
        report.add(ProblemKind::DatabaseDamaged, format!("`{}` is damaged: {complaint}", path.display()));
    }
    Ok(())
}

fn check_references(connection: &Connection, path: &Path, report: &mut Report) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("PRAGMA foreign_key_check")?;
    let broken = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(2)?)))?;
    for pair in broken.take(COMPLAINTS_MAX) {
        let (from, to) = pair?;
        let message = format!("`{}`: a row of `{from}` refers to no row of `{to}`", path.display());
        report.add(ProblemKind::BrokenReference, message);
    }
    Ok(())
}

pub(super) fn failed(path: &Path, error: &rusqlite::Error, report: &mut Report) {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            report.add(ProblemKind::DatabaseDamaged, format!("`{}` is damaged: {error}", path.display()));
        }
        _ => unreadable(path, error, report),
    }
}
