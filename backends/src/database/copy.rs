//! The whole database on its way out: as a SQLite file, or as SQL text.
//!
//! Both are made in a file without a name, which is gone when nobody reads it any more, however this process ends.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use ports::{BoxError, Content, SqlError, StorageError};
use rusqlite::backup::Backup;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use super::error::unavailable;
use super::session::Session;
use super::{changes, guard, text};
use crate::durable;

/// A file that was made for one reader.
#[derive(Debug)]
pub(super) struct Copy {
    file: Arc<File>,
    bytes: u64,
}

impl Copy {
    fn of(file: File) -> io::Result<Self> {
        Ok(Self { bytes: file.metadata()?.len(), file: Arc::new(file) })
    }
}

#[async_trait]
impl Content for Copy {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    async fn read(&self, offset: u64, bytes_max: usize) -> Result<Bytes, StorageError> {
        let left = usize::try_from(self.bytes.saturating_sub(offset)).unwrap_or(usize::MAX);
        let (file, mut piece) = (self.file.clone(), vec![0; bytes_max.min(left)]);
        let read = tokio::task::spawn_blocking(move || file.read_exact_at(&mut piece, offset).map(|()| piece));
        let read = read.await.map_err(|error| StorageError::Unavailable(error.into()))?;
        read.map(Bytes::from).map_err(|error| StorageError::Unavailable(error.into()))
    }
}

/// Why a copy was not made.
#[derive(Debug, thiserror::Error)]
enum CopyError {
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
}

fn failed(session: &Session, error: CopyError) -> SqlError {
    match error {
        CopyError::Sql(error) => session.error(&error),
        CopyError::Io(error) => unavailable(BoxError::from(error)),
    }
}

/// Copies the database as a SQLite file, which is made in `folder`.
pub(super) fn snapshot(session: &Session, folder: &Path) -> Result<Copy, SqlError> {
    let path = folder.join(durable::temporary_name());
    let made = copy_pages(session, &path).and_then(|()| Ok(File::open(&path)?));
    // It has a name only as long as SQLite needs one.
    let _ = std::fs::remove_file(&path);
    made.and_then(|file| Ok(Copy::of(file)?)).map_err(|error| failed(session, error))
}

fn copy_pages(session: &Session, path: &Path) -> Result<(), CopyError> {
    durable::create_private(path)?;
    let mut copy = Connection::open(path)?;
    Backup::new(session.ours(), &mut copy)?.run_to_completion(i32::MAX, Duration::ZERO, None)?;
    // A single file: the write-ahead log belongs to the original.
    copy.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))?;
    changes::strip(&copy)?;
    copy.close().map_err(|(_, error)| error)?;
    Ok(())
}

/// Writes the database as SQL text that a script takes, into a file made in `folder`.
pub(super) fn dump(session: &Session, folder: &Path) -> Result<Copy, SqlError> {
    let dumped = nameless(folder).map_err(CopyError::from).and_then(|file| {
        let mut out = BufWriter::with_capacity(64 << 10, file);
        write_all(session.ours(), &mut out)?;
        Ok(Copy::of(out.into_inner().map_err(io::IntoInnerError::into_error)?)?)
    });
    dumped.map_err(|error| failed(session, error))
}

fn nameless(folder: &Path) -> io::Result<File> {
    let path = folder.join(durable::temporary_name());
    durable::create_private(&path)?;
    let file = File::options().read(true).write(true).open(&path);
    std::fs::remove_file(&path)?;
    file
}

struct Object {
    kind: String,
    name: String,
    sql: String,
}

impl Object {
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let end = if text::takes_semicolon(&self.sql) { ";" } else { "\n;" };
        writeln!(out, "{}{end}", self.sql)
    }
}

/// All tables first, because rows refer to other tables; then the rows, then what refers to them; triggers last, so that the rows do not set them off.
fn write_all(connection: &Connection, out: &mut impl Write) -> Result<(), CopyError> {
    connection.execute_batch("BEGIN")?;
    let objects = objects(connection)?;
    let of_kind = |kind| objects.iter().filter(move |object| object.kind == kind);
    for table in of_kind("table") {
        table.write(out)?;
    }
    for table in of_kind("table") {
        write_rows(connection, &table.name, out)?;
    }
    write_sequences(connection, &objects, out)?;
    for object in ["index", "view", "trigger"].into_iter().flat_map(of_kind) {
        object.write(out)?;
    }
    connection.execute_batch("COMMIT")?;
    Ok(())
}

fn objects(connection: &Connection) -> rusqlite::Result<Vec<Object>> {
    let sql = "SELECT type, name, sql FROM sqlite_schema
        WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid";
    let read = |row: &Row<'_>| Ok(Object { kind: row.get(0)?, name: row.get(1)?, sql: row.get(2)? });
    let all: Vec<Object> = connection.prepare(sql)?.query_map([], read)?.collect::<Result<_, _>>()?;
    Ok(all.into_iter().filter(|object| !guard::is_reserved(&object.name)).collect())
}

fn write_rows(connection: &Connection, table: &str, out: &mut impl Write) -> Result<(), CopyError> {
    // Generated columns are not written: they come by themselves.
    let sql = "SELECT name FROM pragma_table_xinfo(?1) WHERE hidden = 0 ORDER BY cid";
    let read = |row: &Row<'_>| row.get::<_, String>(0);
    let columns: Vec<String> = connection.prepare(sql)?.query_map([table], read)?.collect::<Result<_, _>>()?;
    let columns = columns.iter().map(|name| quoted_name(name)).collect::<Vec<_>>().join(",");
    let (table, mut values) = (quoted_name(table), String::new());
    let mut select = connection.prepare(&format!("SELECT {columns} FROM {table}"))?;
    let count = select.column_count();
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        values.clear();
        for index in 0..count {
            values.push_str(if index == 0 { "" } else { "," });
            push_literal(&mut values, row.get_ref(index)?);
        }
        writeln!(out, "INSERT INTO {table}({columns}) VALUES({values});")?;
    }
    Ok(())
}

/// The counters of `AUTOINCREMENT`, whose table is there as soon as one of those tables is.
fn write_sequences(connection: &Connection, objects: &[Object], out: &mut impl Write) -> Result<(), CopyError> {
    let exists = "SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence'";
    if !connection.prepare(exists)?.exists([])? {
        return Ok(());
    }
    let mut select = connection.prepare("SELECT name, seq FROM sqlite_sequence")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let (name, last): (String, i64) = (row.get(0)?, row.get(1)?);
        if objects.iter().any(|object| object.name == name) {
            let name = quoted_text(&name);
            writeln!(out, "DELETE FROM sqlite_sequence WHERE name={name};")?;
            writeln!(out, "INSERT INTO sqlite_sequence(name,seq) VALUES({name},{last});")?;
        }
    }
    Ok(())
}

pub(super) fn quoted_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub(super) fn quoted_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn push_literal(out: &mut String, value: ValueRef<'_>) {
    match value {
        ValueRef::Null => out.push_str("NULL"),
        ValueRef::Integer(number) => out.push_str(&number.to_string()),
        // SQL has no word for infinity, but numbers that are too large become it.
        ValueRef::Real(number) if number.is_infinite() => out.push_str(if number > 0.0 { "9e999" } else { "-9e999" }),
        ValueRef::Real(number) => out.push_str(&format!("{number:.17e}")),
        ValueRef::Blob(bytes) => push_hex(out, bytes),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => out.push_str(&quoted_text(text)),
            _ => {
                out.push_str("CAST(");
                push_hex(out, bytes);
                out.push_str(" AS TEXT)");
            }
        },
    }
}

fn push_hex(out: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push_str("x'");
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)].into());
        out.push(DIGITS[usize::from(byte & 15)].into());
    }
    out.push('\'');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_from_their_text_to_the_last_bit() {
        let connection = Connection::open_in_memory().expect("open");
        let mut bits = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..20_000 {
            bits = bits.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            let number = f64::from_bits(bits);
            if number.is_nan() {
                continue;
            }
            let mut sql = String::from("SELECT ");
            push_literal(&mut sql, ValueRef::Real(number));
            let back: f64 = connection.query_row(&sql, [], |row| row.get(0)).expect("a number");
            assert_eq!(back.to_bits(), number.to_bits(), "{sql}");
        }
    }
}
