//! A connection with its guard: runs statements of tenants within bounds, and our own without.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use domain::{SqlChanged, SqlRows, SqlStatement, SqlValue};
use ports::{SqlBounds, SqlError};
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, Statement, ToSql};

use super::changes::{self, Bell};
use super::guard::{self, Kind, Mode, Watch};
use super::text::{self, Verb};
use super::{error, functions, spill};

/// The largest value and the largest row. Small, because one step of a statement takes time in proportion to it.
pub(super) const VALUE_BYTES_MAX: i32 = 2 << 20;
/// The same on the thread of the caller.
const FAST_VALUE_BYTES_MAX: i32 = 64 << 10;
/// The text of one statement; one that inserts the largest row as hexadecimal text must fit.
const SQL_BYTES_MAX: i32 = 5 << 20;
/// Prepared statements that a connection keeps, and the longest text among them.
const STATEMENTS_MAX: usize = 64;
const CACHED_SQL_BYTES_MAX: usize = 8 << 10;

const LIMITS: [(Limit, i32); 15] = [
    (Limit::SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX),
    (Limit::SQLITE_LIMIT_SQL_LENGTH, SQL_BYTES_MAX),
    (Limit::SQLITE_LIMIT_COLUMN, 500),
    (Limit::SQLITE_LIMIT_EXPR_DEPTH, 100),
    (Limit::SQLITE_LIMIT_PARSER_DEPTH, 100),
    (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 50),
    (Limit::SQLITE_LIMIT_VDBE_OP, 2_000_000),
    (Limit::SQLITE_LIMIT_FUNCTION_ARG, 100),
    (Limit::SQLITE_LIMIT_ATTACHED, 0),
    (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 128),
    (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 1_000),
    (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 10),
    (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    (Limit::SQLITE_LIMIT_SCHEMA, 5_000),
    (Limit::SQLITE_LIMIT_TRIGGER_STEPS, 100),
];

/// How far the rest of a piece of work may go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    pub(super) deadline: Instant,
    rows_max: usize,
    bytes_max: usize,
    bytes_left: usize,
    depth: u8,
}

impl Budget {
    pub(super) fn of(bounds: SqlBounds) -> Self {
        let SqlBounds { deadline, rows_max, bytes_max, depth } = bounds;
        Self { deadline, rows_max, bytes_max, bytes_left: bytes_max, depth }
    }

    /// The same with less time, when `deadline` is earlier.
    pub(super) fn until(self, deadline: Instant) -> Self {
        Self { deadline: self.deadline.min(deadline), ..self }
    }

    /// The same with fewer bytes.
    pub(super) fn within(self, bytes_max: usize) -> Self {
        Self { bytes_left: self.bytes_left.min(bytes_max), ..self }
    }

    /// What is left once `rows` have been answered.
    pub(super) fn spend(&mut self, rows: &SqlRows) {
        let bytes: usize = rows.rows.iter().flatten().map(value_bytes).sum();
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
    }

    fn take(&mut self, row: &[SqlValue], rows: usize) -> Result<(), SqlError> {
        if rows >= self.rows_max {
            return Err(SqlError::TooLarge { limit: self.rows_max as u64, unit: "rows" });
        }
        let bytes: usize = row.iter().map(value_bytes).sum();
        let too_large = SqlError::TooLarge { limit: self.bytes_max as u64, unit: "bytes" };
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or(too_large)?;
        Ok(())
    }
}

/// Every value counts as a few bytes at least, because it takes them here.
fn value_bytes(value: &SqlValue) -> usize {
    match value {
        SqlValue::Null | SqlValue::Integer(_) | SqlValue::Real(_) => 8,
        SqlValue::Text(text) => 8 + text.len(),
        SqlValue::Blob(bytes) => 8 + bytes.len(),
    }
}

/// What a statement answered.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) rows: SqlRows,
    pub(super) changed: SqlChanged,
}

/// Are the rows of a statement wanted?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Rows,
    Changes,
}

/// What all connections of one open database share.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    /// Set once the database is to be closed for good: whatever runs is stopped.
    pub(super) closing: Arc<AtomicBool>,
    /// The largest size, in bytes.
    pub(super) limit: Arc<AtomicU64>,
    /// Counts the commits that changed the schema.
    pub(super) schema: Arc<AtomicU64>,
    pub(super) bell: Bell,
}

/// A guarded connection. It may move between threads, and is used by one at a time.
#[derive(Debug)]
pub(super) struct Session {
    connection: Connection,
    watch: Arc<Watch>,
    kind: Kind,
    shared: Shared,
    /// Has the open transaction changed the schema?
    changes_schema: Cell<bool>,
    /// The schema that this connection has read, as its commits are counted.
    schema_read: Cell<u64>,
    /// That of whoever runs a statement, for what the statement changes.
    depth: changes::Depth,
}

impl Session {
    /// Guards `connection`, to which nothing of a tenant has come yet.
    pub(super) fn guard(mut connection: Connection, kind: Kind, shared: Shared) -> rusqlite::Result<Self> {
        configure(&connection)?;
        functions::install(&connection)?;
        let depth = changes::install(&connection)?;
        for (limit, value) in LIMITS {
            connection.set_limit(limit, value)?;
        }
        if kind == Kind::Fast {
            connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, FAST_VALUE_BYTES_MAX)?;
            connection.busy_timeout(Duration::ZERO)?;
        }
        let watch = Watch::install(&mut connection, kind, shared.closing.clone(), shared.limit.clone())?;
        let (changes_schema, schema_read) = (Cell::new(false), Cell::new(u64::MAX));
        Ok(Self { connection, watch, kind, shared, changes_schema, schema_read, depth })
    }

    /// Commits the open transaction, and says so to all who must know before anybody hears of it.
    pub(super) fn commit(&self) -> rusqlite::Result<()> {
        self.transaction_control("COMMIT")?;
        if self.changes_schema.take() {
            self.shared.schema.fetch_add(1, Ordering::Release);
        }
        // What it noted may have been undone; then somebody looks in vain.
        if self.watch.take_noted() {
            self.shared.bell.ring();
        }
        Ok(())
    }

    /// The open transaction changes the schema.
    pub(super) fn note_schema_change(&self) {
        self.changes_schema.set(true);
    }

    /// Would a statement have to read the schema first? That takes time in proportion to it, and nothing stops it.
    pub(super) fn is_behind(&self) -> bool {
        self.schema_read.get() != self.shared.schema.load(Ordering::Acquire)
    }

    /// Reads the schema.
    pub(super) fn catch_up(&self) -> rusqlite::Result<()> {
        let count = self.shared.schema.load(Ordering::Acquire);
        self.connection.query_row("SELECT count(*) FROM (SELECT 1 FROM sqlite_schema LIMIT 1)", [], |_| Ok(()))?;
        self.schema_read.set(count);
        Ok(())
    }

    pub(super) fn watch(&self) -> &Watch {
        &self.watch
    }

    pub(super) fn limit(&self) -> &AtomicU64 {
        &self.shared.limit
    }

    /// The connection for statements of ours. They are never kept: a tenant who sends the same text would get them.
    pub(super) fn ours(&self) -> &Connection {
        &self.connection
    }

    /// `BEGIN` and its kind: kept, because [`check`] refuses tenants every statement that begins so.
    pub(super) fn transaction_control(&self, sql: &'static str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.raw_execute().map(|_| ())
    }

    /// Ends whatever transaction is open; for connections that only read, that cannot fail.
    pub(super) fn roll_back(&self) {
        if !self.connection.is_autocommit() {
            // A connection that cannot roll back is broken, which its next `BEGIN` will say.
            let _ = self.transaction_control("ROLLBACK");
        }
    }

    /// The size of the database, in bytes.
    pub(super) fn bytes(&self) -> rusqlite::Result<u64> {
        let read = |pragma| self.connection.pragma_query_value(None, pragma, |row| row.get::<_, u32>(0));
        Ok(u64::from(read("page_count")?) * u64::from(read("page_size")?))
    }

    pub(super) fn error(&self, error: &rusqlite::Error) -> SqlError {
        error::of_statement(self, error)
    }

    /// Runs a statement that only reads; `None`, with nothing done, when it would write.
    pub(super) fn read(&self, statement: &SqlStatement, budget: &mut Budget) -> Result<Option<SqlRows>, SqlError> {
        let verb = check(&statement.sql)?;
        let _entered = match self.kind {
            Kind::Fast => self.watch.enter_fast(verb, budget.deadline),
            Kind::Full => self.watch.enter(Mode::Tenant, verb, budget.deadline),
        };
        self.watch.await_turn().map_err(error::of_stop)?;
        self.with_prepared(&statement.sql, |prepared| {
            if !prepared.readonly() {
                return Ok(None);
            }
            self.bind(prepared, &statement.arguments)?;
            self.step(prepared, Wanted::Rows, budget).map(Some)
        })
    }

    /// Runs any statement. When it fails, its transaction must be undone as far as a savepoint before it.
    pub(super) fn run(
        &self,
        statement: &SqlStatement,
        wanted: Wanted,
        budget: &mut Budget,
    ) -> Result<Answer, SqlError> {
        let verb = check(&statement.sql)?;
        let reserved = self.before(verb)?;
        self.depth.store(budget.depth, Ordering::Relaxed);
        let answer = {
            let _entered = self.watch.enter(Mode::Tenant, verb, budget.deadline);
            self.with_prepared(&statement.sql, |prepared| {
                self.bind(prepared, &statement.arguments)?;
                let rows = self.step(prepared, wanted, budget)?;
                Ok(Answer { rows, changed: self.changed(verb) })
            })?
        };
        self.after(verb, reserved)?;
        Ok(answer)
    }

    /// Runs one statement of a script and forgets its rows. `Ok(false)`: SQLite finds that the statement goes on.
    pub(super) fn run_of_script(&self, sql: &str, deadline: Instant) -> Result<bool, SqlError> {
        let verb = check(sql)?;
        let reserved = self.before(verb)?;
        self.depth.store(0, Ordering::Relaxed);
        {
            let _entered = self.watch.enter(Mode::Script, verb, deadline);
            let mut prepared = match self.connection.prepare(sql) {
                Err(rusqlite::Error::SqliteFailure(_, Some(text))) if text == "incomplete input" => return Ok(false),
                prepared => prepared.map_err(|error| self.error(&error))?,
            };
            self.bind(&mut prepared, &[])?;
            let mut budget = Budget { deadline, rows_max: usize::MAX, bytes_max: 0, bytes_left: 0, depth: 0 };
            self.step(&mut prepared, Wanted::Changes, &mut budget)?;
        }
        self.after(verb, reserved)?;
        Ok(true)
    }

    /// What comes before a statement that may write; the answer is for [`Self::after`].
    fn before(&self, verb: Verb) -> Result<i64, SqlError> {
        self.changes_schema.set(self.changes_schema.get() || verb.is_schema());
        changes::make_way(self, verb)?;
        self.reserved_names(verb)
    }

    fn after(&self, verb: Verb, reserved: i64) -> Result<(), SqlError> {
        self.check_reserved_names(verb, reserved)?;
        changes::follow(self, verb)
    }

    /// Prepares `sql`, or takes what was kept of it; long texts are not worth keeping.
    fn with_prepared<T>(
        &self,
        sql: &str,
        run: impl FnOnce(&mut Statement<'_>) -> Result<T, SqlError>,
    ) -> Result<T, SqlError> {
        if sql.len() > CACHED_SQL_BYTES_MAX {
            return run(&mut self.connection.prepare(sql).map_err(|error| self.error(&error))?);
        }
        let mut kept = self.connection.prepare_cached(sql).map_err(|error| self.error(&error))?;
        run(&mut kept)
    }

    fn bind(&self, prepared: &mut Statement<'_>, arguments: &[SqlValue]) -> Result<(), SqlError> {
        let (wanted, given) = (prepared.parameter_count(), arguments.len());
        if wanted != given {
            let text = format!("the statement has {}, but {given} came", counted(wanted, "parameter"));
            return Err(SqlError::Invalid(text));
        }
        for (index, argument) in arguments.iter().enumerate() {
            let bound = match argument {
                SqlValue::Null => prepared.raw_bind_parameter(index + 1, rusqlite::types::Null),
                SqlValue::Integer(number) => prepared.raw_bind_parameter(index + 1, number),
                SqlValue::Real(number) => prepared.raw_bind_parameter(index + 1, number),
                SqlValue::Text(text) => prepared.raw_bind_parameter(index + 1, text),
                SqlValue::Blob(bytes) => prepared.raw_bind_parameter(index + 1, Bytes(bytes)),
            };
            bound.map_err(|error| self.error(&error))?;
        }
        Ok(())
    }

    fn step(&self, prepared: &mut Statement<'_>, wanted: Wanted, budget: &mut Budget) -> Result<SqlRows, SqlError> {
        let mut found = Vec::new();
        let mut columns = None;
        let mut rows = prepared.raw_query();
        while let Some(row) = rows.next().map_err(|error| self.error(&error))? {
            if wanted == Wanted::Changes {
                continue;
            }
            // Only now are the columns certain: the schema may have changed since the statement was prepared.
            let columns = columns.get_or_insert_with(|| column_names(row.as_ref()));
            let values = read_row(row, columns.len()).map_err(|error| self.error(&error))?;
            budget.take(&values, found.len())?;
            found.push(values);
        }
        drop(rows);
        let columns = columns.unwrap_or_else(|| column_names(prepared));
        Ok(SqlRows { columns: columns.into(), rows: found })
    }

    fn changed(&self, verb: Verb) -> SqlChanged {
        let changes_rows = !verb.is_schema() && verb != Verb::Read;
        let rows_affected = if changes_rows { self.connection.changes() } else { 0 };
        let inserted = verb == Verb::Insert && rows_affected > 0 && self.watch.inserted();
        SqlChanged { rows_affected, last_insert_id: inserted.then(|| self.connection.last_insert_rowid()) }
    }

    /// `ALTER TABLE … RENAME` does not tell the authorizer the new name, so it is looked for afterwards.
    fn check_reserved_names(&self, verb: Verb, before: i64) -> Result<(), SqlError> {
        if self.reserved_names(verb)? == before {
            return Ok(());
        }
        Err(SqlError::NotAllowed("names that begin with `_orama` are kept for the platform".to_owned()))
    }

    fn reserved_names(&self, verb: Verb) -> Result<i64, SqlError> {
        if verb != Verb::Alter {
            return Ok(0);
        }
        let sql = "SELECT count(*) FROM sqlite_schema WHERE lower(substr(name, 1, 6)) = '_orama'";
        self.connection.query_row(sql, [], |row| row.get(0)).map_err(|error| self.error(&error))
    }
}

struct Bytes<'a>(&'a [u8]);

impl ToSql for Bytes<'_> {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        Ok(rusqlite::types::ToSqlOutput::Borrowed(ValueRef::Blob(self.0)))
    }
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.execute_batch(
        "PRAGMA foreign_keys = ON;
         PRAGMA cell_size_check = ON;
         PRAGMA cache_size = -1000;",
    )?;
    spill::choose_store(connection)
}

/// What can be said of a text before SQLite looks at it.
fn check(sql: &str) -> Result<Verb, SqlError> {
    if sql.contains('\0') {
        return Err(SqlError::Invalid(
            "the statement contains a NUL character; pass such texts as arguments".to_owned(),
        ));
    }
    match text::verb(sql) {
        Verb::Nothing => Err(SqlError::Invalid("there is no statement".to_owned())),
        Verb::Transaction => Err(SqlError::NotAllowed(guard::TRANSACTION_REFUSAL.to_owned())),
        Verb::Attach => Err(SqlError::NotAllowed(guard::ATTACH_REFUSAL.to_owned())),
        Verb::Vacuum => Err(SqlError::NotAllowed(guard::VACUUM_REFUSAL.to_owned())),
        // Of a trigger, SQLite alone knows where it ends; of all others it is said before anything is looked at.
        verb if verb != Verb::Schema && text::is_several(sql) => Err(SqlError::Invalid(error::SEVERAL.to_owned())),
        verb => Ok(verb),
    }
}

fn counted(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

fn column_names(statement: &Statement<'_>) -> Vec<String> {
    statement.column_names().map(str::to_owned).collect()
}

fn read_row(row: &Row<'_>, columns: usize) -> rusqlite::Result<Vec<SqlValue>> {
    (0..columns).map(|index| row.get_ref(index).map(value)).collect()
}

/// A text that is no UTF-8 comes out as the blob that it is.
pub(super) fn value(value: ValueRef<'_>) -> SqlValue {
    match value {
        ValueRef::Null => SqlValue::Null,
        ValueRef::Integer(number) => SqlValue::Integer(number),
        ValueRef::Real(number) => SqlValue::Real(number),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => SqlValue::Text(text.to_owned()),
            Err(_) => SqlValue::Blob(bytes.to_vec()),
        },
        ValueRef::Blob(bytes) => SqlValue::Blob(bytes.to_vec()),
    }
}
