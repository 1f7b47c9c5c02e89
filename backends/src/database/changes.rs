//! What changed in the watched tables of a database.
//!
//! Triggers of ours ([`triggers`]) write every change into a hidden table, the outbox, in the transaction that makes it. Which
//! tables are watched stands in the database as well, so that the triggers can be made anew whenever the schema changes. The
//! authorizer ([`super::guard`]) keeps tenants from all of it.

mod row;
mod triggers;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use domain::Namespace;
use ports::{CHANGES_KEPT_MAX, Change, ChangeListener, RowOperation, SqlError, TableWatch, WATCHES_MAX};
use rusqlite::{Connection, Row};

pub(super) use self::row::{DEPTH_FUNCTION, Depth, PART_FUNCTION, ROW_FUNCTION, install};
use self::triggers::Found;
use super::copy::quoted_name;
use super::guard;
use super::session::Session;
use super::text::Verb;

/// What has changed, until somebody has read it.
pub(super) const OUTBOX_TABLE: &str = "_orama_outbox";
const WATCHES_TABLE: &str = "_orama_watches";
/// Once an answer has so many bytes, it ends with the change that it has come to.
const ANSWER_BYTES_MAX: usize = 8 << 20;

/// Who is told that there may be changes; one for all databases.
#[derive(Default)]
pub(super) struct Listening(Mutex<Option<ChangeListener>>);

impl Listening {
    pub(super) fn set(&self, listener: ChangeListener) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(listener);
    }

    fn get(&self) -> Option<ChangeListener> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Listening").field(&self.get().is_some()).finish()
    }
}

/// Tells the changes of one database.
#[derive(Debug, Clone)]
pub(super) struct Bell {
    pub(super) listening: Arc<Listening>,
    pub(super) namespace: Namespace,
}

impl Bell {
    pub(super) fn ring(&self) {
        if let Some(listener) = self.listening.get() {
            listener(&self.namespace);
        }
    }
}

/// Watches exactly these tables from now on.
pub(super) fn watch(session: &Session, watches: &[TableWatch]) -> Result<(), SqlError> {
    let wanted = merged(watches)?;
    let connection = session.ours();
    let known = read_watches(connection).map_err(|error| session.error(&error))?;
    for watch in &wanted {
        check_table(session, &watch.table)?;
    }
    if wanted != known {
        session.note_schema_change();
        write_watches(connection, &wanted).map_err(|error| session.error(&error))?;
    }
    rebuild(session)
}

/// Several watches of one table are one; in the order of the names.
fn merged(watches: &[TableWatch]) -> Result<Vec<TableWatch>, SqlError> {
    let mut tables: BTreeMap<String, TableWatch> = BTreeMap::new();
    for watch in watches.iter().filter(|watch| watch.insert || watch.update || watch.delete) {
        match tables.entry(watch.table.to_ascii_lowercase()) {
            Entry::Vacant(place) => {
                place.insert(watch.clone());
            }
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                known.insert |= watch.insert;
                known.update |= watch.update;
                known.delete |= watch.delete;
            }
        }
    }
    if tables.len() > WATCHES_MAX {
        return Err(SqlError::Invalid(format!("at most {WATCHES_MAX} tables can be watched; watch fewer")));
    }
    Ok(tables.into_values().collect())
}

fn check_table(session: &Session, table: &str) -> Result<(), SqlError> {
    if table.is_empty() || table.contains('\0') {
        return Err(SqlError::Invalid("a table that is watched needs a name without NUL characters".to_owned()));
    }
    if guard::is_reserved(table) || guard::is_system(table) {
        return Err(SqlError::NotAllowed(format!("`{table}` is no table of yours and cannot be watched")));
    }
    let invalid = |what| Err(SqlError::Invalid(format!("`{table}` is {what}; only tables can be watched")));
    match triggers::find(session.ours(), table).map_err(|error| session.error(&error))? {
        Found::View => invalid("a view"),
        Found::Virtual => invalid("a virtual table"),
        Found::Nothing | Found::Table(_) => Ok(()),
    }
}

fn read_watches(connection: &Connection) -> rusqlite::Result<Vec<TableWatch>> {
    if !connection.table_exists(Some("main"), WATCHES_TABLE)? {
        return Ok(Vec::new());
    }
    let sql = format!("SELECT name, on_insert, on_update, on_delete FROM {WATCHES_TABLE} ORDER BY lower(name)");
    let read = |row: &Row<'_>| {
        Ok(TableWatch { table: row.get(0)?, insert: row.get(1)?, update: row.get(2)?, delete: row.get(3)? })
    };
    connection.prepare(&sql)?.query_map([], read)?.collect()
}

fn write_watches(connection: &Connection, watches: &[TableWatch]) -> rusqlite::Result<()> {
    connection.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS {OUTBOX_TABLE} (seq INTEGER PRIMARY KEY, table_name TEXT NOT NULL,
             operation TEXT NOT NULL, new_row TEXT, old_row TEXT, at_ms INTEGER NOT NULL, depth INTEGER NOT NULL) STRICT;
         CREATE TABLE IF NOT EXISTS {WATCHES_TABLE} (name TEXT PRIMARY KEY COLLATE NOCASE, on_insert INTEGER NOT NULL,
             on_update INTEGER NOT NULL, on_delete INTEGER NOT NULL) WITHOUT ROWID, STRICT;
         DELETE FROM {WATCHES_TABLE};"
    ))?;
    let mut insert = connection.prepare(&format!("INSERT INTO {WATCHES_TABLE} VALUES (?1, ?2, ?3, ?4)"))?;
    for watch in watches {
        insert.execute((&watch.table, watch.insert, watch.update, watch.delete))?;
    }
    Ok(())
}

/// Takes the triggers away from a statement that would be refused, or would fail, because of them.
pub(super) fn make_way(session: &Session, verb: Verb) -> Result<(), SqlError> {
    if !matches!(verb, Verb::DropTable | Verb::Alter) {
        return Ok(());
    }
    triggers::drop_all(session.ours()).map_err(|error| session.error(&error))
}

/// Makes the triggers fit the schema again, once a statement of this kind has run.
pub(super) fn follow(session: &Session, verb: Verb) -> Result<(), SqlError> {
    if verb.is_schema() && verb != Verb::Analyze { rebuild(session) } else { Ok(()) }
}

fn rebuild(session: &Session) -> Result<(), SqlError> {
    let connection = session.ours();
    let rebuilt = read_watches(connection).and_then(|watches| triggers::rebuild(connection, &watches));
    rebuilt.map_err(|error| session.error(&error))
}

/// Refuses what the open transaction noted, if too much of it and of what came before is not read yet.
pub(super) fn check_room(session: &Session) -> Result<(), SqlError> {
    // Each has an answer of the index; both in one query would read the whole table.
    let sql = format!("SELECT (SELECT max(seq) FROM {OUTBOX_TABLE}) - (SELECT min(seq) FROM {OUTBOX_TABLE})");
    let unread: Option<i64> =
        session.ours().query_row(&sql, [], |row| row.get(0)).map_err(|error| session.error(&error))?;
    match unread {
        Some(unread) if unread > CHANGES_KEPT_MAX => Err(SqlError::Unread { limit: CHANGES_KEPT_MAX }),
        _ => Ok(()),
    }
}

/// The changes behind `after`, oldest first.
pub(super) fn read(session: &Session, after: i64, limit: usize) -> Result<Vec<Change>, SqlError> {
    read_changes(session.ours(), after, limit).map_err(|error| session.error(&error))
}

fn read_changes(connection: &Connection, after: i64, limit: usize) -> rusqlite::Result<Vec<Change>> {
    let mut found = Vec::new();
    if !connection.table_exists(Some("main"), OUTBOX_TABLE)? {
        return Ok(found);
    }
    let mut select = connection.prepare(&format!(
        "SELECT seq, table_name, operation, new_row, old_row, at_ms, depth FROM {OUTBOX_TABLE} WHERE seq > ?1
        ORDER BY seq"
    ))?;
    let (mut rows, mut bytes) = (select.query([after])?, 0);
    while found.len() < limit
        && bytes < ANSWER_BYTES_MAX
        && let Some(row) = rows.next()?
    {
        if let Some(change) = read_change(row)? {
            bytes += change.row.len() + change.old_row.as_ref().map_or(0, String::len);
            found.push(change);
        }
    }
    Ok(found)
}

/// `None` for the last change once it is forgotten: it stays as the place from which the next is counted.
fn read_change(row: &Row<'_>) -> rusqlite::Result<Option<Change>> {
    let Some(operation) = RowOperation::parse(row.get_ref(2)?.as_str()?) else {
        return Ok(None);
    };
    let (new_row, old_row): (Option<String>, Option<String>) = (row.get(3)?, row.get(4)?);
    let newest = new_row.or_else(|| old_row.clone()).unwrap_or_default();
    let (seq, table, at_ms, depth) = (row.get(0)?, row.get(1)?, row.get(5)?, row.get(6)?);
    Ok(Some(Change { seq, table, operation, row: newest, old_row, at_ms, depth }))
}

/// Removes the changes up to `up_to`.
pub(super) fn forget(session: &Session, up_to: i64) -> Result<(), SqlError> {
    forget_changes(session.ours(), up_to).map_err(|error| session.error(&error))
}

fn forget_changes(connection: &Connection, up_to: i64) -> rusqlite::Result<()> {
    if !connection.table_exists(Some("main"), OUTBOX_TABLE)? {
        return Ok(());
    }
    let last = format!("SELECT max(seq) FROM {OUTBOX_TABLE}");
    connection.execute(&format!("DELETE FROM {OUTBOX_TABLE} WHERE seq <= ?1 AND seq < ({last})"), [up_to])?;
    let empty = format!(
        "UPDATE {OUTBOX_TABLE} SET table_name = '', operation = '', new_row = NULL, old_row = NULL
        WHERE seq <= ?1 AND operation <> ''"
    );
    connection.execute(&empty, [up_to]).map(|_| ())
}

/// Removes from a copy that goes to somebody else what only we can read; migrations are the tenant's.
pub(super) fn strip(copy: &Connection) -> rusqlite::Result<()> {
    // Only with this off is a table dropped without a look at what refers to it.
    copy.execute_batch("PRAGMA foreign_keys = OFF")?;
    triggers::drop_all(copy)?;
    let mut select = copy.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'")?;
    let names: Vec<String> = select.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let ours = names.iter().filter(|name| guard::is_reserved(name) && *name != guard::MIGRATIONS_TABLE);
    ours.map(|name| format!("DROP TABLE {}", quoted_name(name))).try_for_each(|sql| copy.execute_batch(&sql))
}
