//! Texts of many statements, and the migrations that are made of them.
//!
//! SQLite decides where a statement ends: it is given the text up to the next semicolon, and more as long as it finds the
//! statement incomplete, as it does inside a trigger.

use std::time::Instant;

use domain::Timestamp;
use ports::{AppliedMigration, Migration, SqlError};
use rusqlite::OptionalExtension;

use super::guard::MIGRATIONS_TABLE;
use super::session::Session;
use super::text;
use super::work::Fail;
use crate::sql::{nanoseconds, timestamp};

/// Runs every statement of `sql` inside the open transaction; returns how many there were.
pub(super) fn run(session: &Session, sql: &str, deadline: Instant) -> Result<u64, Fail> {
    // A dump has its rows in the order of the tables, not of their references.
    let deferred = session.ours().execute_batch("PRAGMA defer_foreign_keys = ON");
    deferred.map_err(|error| session.error(&error))?;
    let (mut count, mut lines) = (0, Lines { sql, at: 0, line: 1 });
    while let Some(first) = text::first_token(&sql[lines.at..]) {
        let start = lines.at + first;
        let line = lines.line_at(start);
        let end = run_next(session, sql, start, deadline).map_err(|error| Fail { place: Some(line), error })?;
        lines.line_at(end);
        count += 1;
    }
    Ok(count)
}

/// Runs the statement that begins at `start`, and returns where it ends.
fn run_next(session: &Session, sql: &str, start: usize, deadline: Instant) -> Result<usize, SqlError> {
    let mut end = start;
    loop {
        end = text::next_semicolon(sql, end);
        if session.run_of_script(&sql[start..end], deadline)? {
            return Ok(end);
        }
        if end == sql.len() {
            return Err(SqlError::Invalid("incomplete input".to_owned()));
        }
    }
}

/// Counts lines while it goes through a text.
struct Lines<'a> {
    sql: &'a str,
    at: usize,
    line: usize,
}

impl Lines<'_> {
    fn line_at(&mut self, at: usize) -> usize {
        self.line += self.sql[self.at..at].matches('\n').count();
        self.at = at;
        self.line
    }
}

/// What is to be done about migrations.
#[derive(Debug)]
pub(super) struct Plan {
    /// Those that were not applied yet, by name.
    pub(super) pending: Vec<Migration>,
}

/// Compares what is offered with what was applied; `Err` says how they differ.
pub(super) fn plan(mut offered: Vec<Migration>, applied: &[AppliedMigration]) -> Result<Plan, String> {
    offered.sort_by(|a, b| a.name.cmp(&b.name));
    if let Some(twice) = offered.windows(2).find(|pair| pair[0].name == pair[1].name) {
        return Err(format!("there are two migrations called `{}`; rename one", twice[0].name));
    }
    for known in applied {
        match offered.iter().find(|migration| migration.name == known.name) {
            None => {
                return Err(format!(
                    "migration `{}` was applied, but is not there any more; bring it back",
                    known.name
                ));
            }
            Some(migration) if checksum(&migration.sql) != known.checksum => {
                return Err(format!(
                    "migration `{}` was changed after it was applied; restore it and write a new one",
                    known.name
                ));
            }
            Some(_) => {}
        }
    }
    let last = applied.iter().map(|known| known.name.as_str()).max().unwrap_or_default();
    offered.retain(|migration| applied.iter().all(|known| known.name != migration.name));
    match offered.iter().find(|migration| migration.name.as_str() < last) {
        Some(early) => Err(format!("migration `{}` comes before `{last}`, which was applied; rename it", early.name)),
        None => Ok(Plan { pending: offered }),
    }
}

fn checksum(sql: &str) -> String {
    blake3::hash(sql.as_bytes()).to_hex().to_string()
}

/// Applies one migration inside the open transaction; `None` when somebody else has applied it in between.
pub(super) fn apply(
    session: &Session,
    migration: &Migration,
    deadline: Instant,
) -> Result<Option<AppliedMigration>, Fail> {
    let new = AppliedMigration {
        name: migration.name.clone(),
        checksum: checksum(&migration.sql),
        applied_at: Timestamp::now(),
    };
    let found = note(session, &new).map_err(|error| session.error(&error))?;
    match found {
        None => run(session, &migration.sql, deadline).map(|_| Some(new)),
        Some(checksum) if checksum == new.checksum => Ok(None),
        Some(_) => {
            let text = "another text was applied under this name at the same time".to_owned();
            Err(SqlError::Constraint(text).into())
        }
    }
}

/// Writes that a migration is applied; when that is written already, the checksum that is.
fn note(session: &Session, new: &AppliedMigration) -> rusqlite::Result<Option<String>> {
    let connection = session.ours();
    connection.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS {MIGRATIONS_TABLE}
            (name TEXT PRIMARY KEY, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL) WITHOUT ROWID, STRICT"
    ))?;
    let sql = format!("SELECT checksum FROM {MIGRATIONS_TABLE} WHERE name = ?1");
    let found = connection.query_row(&sql, [&new.name], |row| row.get(0)).optional()?;
    if found.is_none() {
        let sql = format!("INSERT INTO {MIGRATIONS_TABLE} VALUES (?1, ?2, ?3)");
        connection.execute(&sql, (&new.name, &new.checksum, nanoseconds(new.applied_at)))?;
    }
    Ok(found)
}

/// Every migration that was applied, by name.
pub(super) fn applied(session: &Session) -> Result<Vec<AppliedMigration>, SqlError> {
    read_applied(session).map_err(|error| session.error(&error))
}

fn read_applied(session: &Session) -> rusqlite::Result<Vec<AppliedMigration>> {
    let connection = session.ours();
    let exists = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    if !connection.prepare(exists)?.exists([MIGRATIONS_TABLE])? {
        return Ok(Vec::new());
    }
    let sql = format!("SELECT name, checksum, applied_at FROM {MIGRATIONS_TABLE} ORDER BY name");
    let read = |row: &rusqlite::Row<'_>| {
        Ok(AppliedMigration { name: row.get(0)?, checksum: row.get(1)?, applied_at: timestamp(row.get(2)?) })
    };
    connection.prepare(&sql)?.query_map([], read)?.collect()
}
