//! SQL, one database a namespace.
//!
//! A [`Database`] is already that of one namespace, by opening: nothing here knows tenants. What is acknowledged is on disk.
//! Implementation: `backends::database`. All pass [`crate::conformance::database`]. What changed in it is told by [`Changes`].

mod changes;

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use domain::{Error, ErrorCode, Namespace, SqlChanged, SqlRows, SqlStatement, Timestamp};

pub use self::changes::{
    CHANGE_ROW_BYTES_MAX, CHANGES_KEPT_MAX, Change, ChangeListener, Changes, RowOperation, TableWatch, WATCHES_MAX,
};
use crate::{BoxError, Content};

/// Why SQL was not carried out; nothing of the failed statement has happened.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// The statement is wrong: its syntax, a name, the number or type of its arguments.
    #[error("{0}")]
    Invalid(String),
    /// The statement does what nobody may do here.
    #[error("{0}")]
    NotAllowed(String),
    /// A constraint of the schema was broken.
    #[error("{0}")]
    Constraint(String),
    #[error("the result has more than {limit} {unit}; ask for less, with LIMIT or fewer columns")]
    TooLarge { limit: u64, unit: &'static str },
    #[error("the statement did not finish in time")]
    Deadline,
    /// Too much work waits already.
    #[error("the database is busy; try again")]
    Busy,
    #[error("the database is full: its limit is {limit} bytes")]
    Full { limit: u64 },
    /// Nobody has read yet what changed in watched tables.
    #[error(
        "more than {limit} changes of tables with triggers would wait for their calls; change fewer rows at once, or try again when calls \
         were made"
    )]
    Unread { limit: i64 },
    /// Its namespace was deleted; nothing will ever come of it.
    #[error("the database was removed with its namespace")]
    Removed,
    #[error("the database is damaged")]
    Corrupt(#[source] BoxError),
    #[error("the database is unavailable")]
    Unavailable(#[source] BoxError),
}

impl SqlError {
    /// The `code` of the envelopes that functions get (`orama.md` 2.4).
    pub fn envelope_code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "INVALID_ARGUMENT",
            Self::NotAllowed(_) => "SQL_NOT_ALLOWED",
            Self::Constraint(_) => "CONSTRAINT_VIOLATION",
            Self::TooLarge { .. } => "PAYLOAD_TOO_LARGE",
            Self::Deadline => "DEADLINE_EXCEEDED",
            Self::Busy | Self::Unread { .. } | Self::Removed | Self::Unavailable(_) => "UNAVAILABLE",
            Self::Full { .. } => "STORAGE_QUOTA_EXCEEDED",
            Self::Corrupt(_) => "CORRUPT",
        }
    }

    /// As a client may read it; the cause of ours is for the operator's log.
    pub fn for_client(&self) -> Error {
        let code = match self {
            Self::Invalid(_) => ErrorCode::ValidationFailed,
            Self::NotAllowed(_) => ErrorCode::SqlNotAllowed,
            Self::Constraint(_) => ErrorCode::Conflict,
            Self::TooLarge { .. } => ErrorCode::ResultTooLarge,
            Self::Deadline => ErrorCode::Timeout,
            Self::Busy | Self::Unavailable(_) => ErrorCode::ServiceUnavailable,
            Self::Full { .. } => ErrorCode::StorageQuotaExceeded,
            Self::Unread { .. } => ErrorCode::RateLimited,
            Self::Removed => ErrorCode::NotFound,
            Self::Corrupt(_) => ErrorCode::Corrupt,
        };
        Error::new(code, self.to_string())
    }
}

/// How far a piece of work may go.
#[derive(Debug, Clone, Copy)]
pub struct SqlBounds {
    pub deadline: Instant,
    /// Rows of one result.
    pub rows_max: usize,
    /// Bytes of all results together, as values.
    pub bytes_max: usize,
    /// How deep the call that asks stands below what triggered it: [`Change::depth`] of what it changes.
    pub depth: u8,
}

impl SqlBounds {
    /// The bounds of the reference: 10,000 rows a result and 32 MiB (`orama.md` 2.4).
    pub fn until(deadline: Instant) -> Self {
        Self { deadline, rows_max: 10_000, bytes_max: 32 << 20, depth: 0 }
    }
}

/// A step of a transaction.
#[derive(Debug, Clone, PartialEq)]
pub enum SqlStep {
    /// Changes something. All of these happen first, in order, all or none.
    Execute(SqlStatement),
    /// Runs after the commit; its failure undoes nothing.
    Query(SqlStatement),
}

/// What a step answered, in the order of the steps.
#[derive(Debug)]
pub enum SqlStepResult {
    Changed(SqlChanged),
    Found(Result<SqlRows, SqlError>),
}

/// A transaction of which nothing has happened.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct TransactionError {
    /// The step that failed, counted from 0; `None` when the fault is in no step.
    pub failed: Option<usize>,
    pub error: SqlError,
}

/// A table, view, index or trigger of the schema, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaObject {
    pub name: String,
    /// `table`, `view`, `index` or `trigger`.
    pub kind: String,
    pub sql: String,
}

/// A numbered change of the schema: one file of a migrations folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// The file's name without `.sql`, such as `0001_users`; migrations run in the order of their names.
    pub name: String,
    /// One or more statements.
    pub sql: String,
}

/// A migration that ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedMigration {
    pub name: String,
    /// BLAKE3 of the SQL text, in hexadecimal.
    pub checksum: String,
    pub applied_at: Timestamp,
}

/// Why migrations stopped; those before the named one have been applied, of the named one nothing has happened.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// What was applied and what is offered differ.
    #[error("{0}")]
    Mismatch(String),
    #[error("migration `{name}`, line {line}: {error}")]
    Failed { name: String, line: usize, error: SqlError },
    #[error("{0}")]
    Database(#[from] SqlError),
}

/// A script that was not carried out: nothing of it has happened.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {error}")]
pub struct ScriptError {
    /// The line on which the failed statement begins, counted from 1.
    pub line: usize,
    pub error: SqlError,
}

/// The database of one namespace.
#[async_trait]
pub trait Database: Send + Sync {
    /// Runs one statement and returns its rows. One that writes is acknowledged only when it is on disk.
    async fn query(&self, statement: SqlStatement, bounds: SqlBounds) -> Result<SqlRows, SqlError>;

    /// Runs one statement and returns what it changed; on disk on return.
    async fn execute(&self, statement: SqlStatement, bounds: SqlBounds) -> Result<SqlChanged, SqlError>;

    /// Runs several statements, all or none (see [`SqlStep`]); on disk on return.
    async fn transaction(&self, steps: Vec<SqlStep>, bounds: SqlBounds)
    -> Result<Vec<SqlStepResult>, TransactionError>;

    /// The same, and takes the next number of the namespace's messages in the same transaction: from 1, with no gap and none twice
    /// until the database is removed. There may be no steps.
    async fn transaction_with_sequence(
        &self,
        steps: Vec<SqlStep>,
        bounds: SqlBounds,
    ) -> Result<(Vec<SqlStepResult>, i64), TransactionError>;

    /// Runs queries on one and the same state of the database. Statements that write are refused.
    async fn query_batch(
        &self,
        statements: Vec<SqlStatement>,
        bounds: SqlBounds,
    ) -> Result<Vec<Result<SqlRows, SqlError>>, SqlError>;

    /// Every object of the schema that is not ours, by kind and name.
    async fn schema(&self) -> Result<Vec<SchemaObject>, SqlError>;

    /// Brings the schema up to date; returns what was applied now. `dry_run` only checks.
    async fn migrate(
        &self,
        migrations: Vec<Migration>,
        dry_run: bool,
        bounds: SqlBounds,
    ) -> Result<Vec<AppliedMigration>, MigrationError>;

    /// Every migration that was ever applied, by name.
    async fn migrations(&self) -> Result<Vec<AppliedMigration>, SqlError>;

    /// Runs a script of many statements, all or none; returns how many there were.
    async fn script(&self, sql: String, bounds: SqlBounds) -> Result<u64, ScriptError>;

    /// A consistent copy of the whole database, as a SQLite file.
    async fn snapshot(&self) -> Result<Box<dyn Content>, SqlError>;

    /// The whole database as SQL text that [`Database::script`] takes.
    async fn dump(&self) -> Result<Box<dyn Content>, SqlError>;

    /// The size of the database, in bytes.
    async fn bytes(&self) -> Result<u64, SqlError>;
}

/// The databases of a node.
#[async_trait]
pub trait Databases: Send + Sync {
    /// The database of `namespace`, until it is removed; it is made at its first use.
    fn of(&self, namespace: &Namespace) -> Arc<dyn Database>;

    /// What changes in the database of `namespace`, until it is removed.
    fn changes(&self, namespace: &Namespace) -> Arc<dyn Changes>;

    /// Tells `listener` from now on whenever there may be new changes, instead of the one before. Changes from before a restart
    /// are not told: whoever listens looks once at every namespace that is watched.
    fn on_change(&self, listener: ChangeListener);

    /// The largest size that the database of `namespace` may grow to, in bytes; `None` means no limit but the disk.
    fn set_limit(&self, namespace: &Namespace, bytes_max: Option<u64>);

    /// Deletes the database of `namespace` with everything in it; one that is not there is no error. What [`Databases::of`] gave
    /// before answers [`SqlError::Removed`] from now on: a later namespace of that name gets a database of its own.
    async fn remove(&self, namespace: &Namespace) -> Result<(), SqlError>;
}
