//! The triggers that write the outbox: what they say, and how they are kept fitting the tables.

use ports::{RowOperation, TableWatch};
use rusqlite::{Connection, OptionalExtension, Row};

use super::OUTBOX_TABLE;
use super::row::{DEPTH_FUNCTION, PART_FUNCTION, ROW_FUNCTION};
use crate::database::copy::{quoted_name, quoted_text};
use crate::database::guard;

/// Pairs of a name and a value in one call; a function has at most 100 arguments.
const PAIRS_MAX: usize = 45;

/// What a name stands for in the schema.
pub(super) enum Found {
    Nothing,
    /// With its name as it is written there.
    Table(String),
    View,
    Virtual,
}

/// Looks for a table.
pub(super) fn find(connection: &Connection, name: &str) -> rusqlite::Result<Found> {
    let sql = "SELECT name, type FROM pragma_table_list(?1) WHERE schema = 'main'";
    let read = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?));
    let found = connection.prepare(sql)?.query_row([name], read).optional()?;
    Ok(match found.as_ref().map(|(name, kind)| (name, kind.as_str())) {
        None => Found::Nothing,
        Some((name, "table")) => Found::Table(name.clone()),
        Some((_, "view")) => Found::View,
        Some(_) => Found::Virtual,
    })
}

/// Makes the triggers those of `watches` and no others.
pub(super) fn rebuild(connection: &Connection, watches: &[TableWatch]) -> rusqlite::Result<()> {
    let mut wanted = Vec::new();
    for watch in watches {
        if let Found::Table(name) = find(connection, &watch.table)? {
            wanted.extend(of_table(connection, &name, watch)?);
        }
    }
    let found = existing(connection)?;
    for trigger in found.iter().filter(|trigger| !wanted.contains(trigger)) {
        drop_one(connection, &trigger.name)?;
    }
    wanted
        .iter()
        .filter(|trigger| !found.contains(trigger))
        .try_for_each(|trigger| connection.execute_batch(&trigger.sql))
}

/// Drops all triggers of ours.
pub(super) fn drop_all(connection: &Connection) -> rusqlite::Result<()> {
    existing(connection)?.iter().try_for_each(|trigger| drop_one(connection, &trigger.name))
}

fn drop_one(connection: &Connection, name: &str) -> rusqlite::Result<()> {
    connection.execute_batch(&format!("DROP TRIGGER {}", quoted_name(name)))
}

#[derive(Debug, PartialEq, Eq)]
struct Trigger {
    name: String,
    /// As SQLite keeps it.
    sql: String,
}

fn existing(connection: &Connection) -> rusqlite::Result<Vec<Trigger>> {
    if !connection.table_exists(Some("main"), OUTBOX_TABLE)? {
        return Ok(Vec::new());
    }
    let read = |row: &Row<'_>| Ok(Trigger { name: row.get(0)?, sql: row.get(1)? });
    let mut select = connection.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")?;
    let all: Vec<Trigger> = select.query_map([], read)?.collect::<Result<_, _>>()?;
    Ok(all.into_iter().filter(|trigger| guard::is_reserved(&trigger.name)).collect())
}

fn of_table(connection: &Connection, table: &str, watch: &TableWatch) -> rusqlite::Result<Vec<Trigger>> {
    let columns = Columns::read(connection, table)?;
    let operations = RowOperation::ALL.into_iter().filter(|operation| watch.wants(*operation));
    Ok(operations.map(|operation| trigger(table, &columns, operation)).collect())
}

fn trigger(table: &str, columns: &Columns, operation: RowOperation) -> Trigger {
    let (new, old) = match operation {
        RowOperation::Insert => (columns.row("new"), "NULL".to_owned()),
        RowOperation::Update => (columns.row("new"), columns.row("old")),
        RowOperation::Delete => ("NULL".to_owned(), columns.row("old")),
    };
    let verb = operation.as_str();
    let name = format!("_orama_{verb}_{table}");
    let sql = format!(
        "CREATE TRIGGER {} AFTER {} ON {} BEGIN INSERT INTO {OUTBOX_TABLE}(table_name, operation, new_row, old_row, at_ms, depth) \
         VALUES ({}, '{verb}', {new}, {old}, CAST(unixepoch('subsec') * 1000 AS INTEGER), {DEPTH_FUNCTION}()); END",
        quoted_name(&name),
        verb.to_ascii_uppercase(),
        quoted_name(table),
        quoted_text(table),
    );
    Trigger { name, sql }
}

/// The columns of a table.
struct Columns {
    all: Vec<String>,
    /// Those of the primary key, in its order.
    key: Vec<String>,
}

impl Columns {
    fn read(connection: &Connection, table: &str) -> rusqlite::Result<Self> {
        let sql = "SELECT name, pk FROM pragma_table_xinfo(?1, 'main') WHERE hidden <> 1 ORDER BY cid";
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let all: Vec<(String, i64)> = connection.prepare(sql)?.query_map([table], read)?.collect::<Result<_, _>>()?;
        let mut key: Vec<(i64, String)> =
            all.iter().filter(|(_, at)| *at > 0).map(|(name, at)| (*at, name.clone())).collect();
        key.sort();
        let key = key.into_iter().map(|(_, name)| name).collect();
        Ok(Self { all: all.into_iter().map(|(name, _)| name).collect(), key })
    }

    /// The SQL expression for the row `side`, which is `new` or `old`.
    fn row(&self, side: &str) -> String {
        let mut parts = vec![self.key_part(side)];
        let pairs: Vec<String> = self.all.iter().map(|column| pair(column, side, column)).collect();
        parts.extend(pairs.chunks(PAIRS_MAX).map(part));
        format!("{ROW_FUNCTION}({})", parts.join(", "))
    }

    fn key_part(&self, side: &str) -> String {
        if !self.key.is_empty() {
            let pairs: Vec<String> = self.key.iter().take(PAIRS_MAX).map(|column| pair(column, side, column)).collect();
            return part(&pairs);
        }
        let taken = |name: &str| self.all.iter().any(|column| column.eq_ignore_ascii_case(name));
        match ["rowid", "_rowid_", "oid"].into_iter().find(|name| !taken(name)) {
            Some(name) => part(&[pair("rowid", side, name)]),
            None => "NULL".to_owned(),
        }
    }
}

/// The name in JSON, and the value of `column`.
fn pair(name: &str, side: &str, column: &str) -> String {
    let name = serde_json::Value::from(name).to_string();
    format!("{}, {side}.{}", quoted_text(&format!("{name}:")), quoted_name(column))
}

fn part(pairs: &[String]) -> String {
    format!("{PART_FUNCTION}({})", pairs.join(", "))
}
