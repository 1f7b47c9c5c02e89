//! What changed in the tables of a database: a feed in which every row that is inserted, updated or deleted stands exactly when
//! its change is committed.
//!
//! It is for the platform, which starts functions for it; functions themselves get a [`crate::Database`] and never see it.

use std::sync::Arc;

use async_trait::async_trait;
use domain::Namespace;

use super::SqlError;

/// The longest JSON text of a row in a [`Change`]; of a longer one there is the key alone.
pub const CHANGE_ROW_BYTES_MAX: usize = 256 << 10;
/// The changes that a database keeps until they are read; what would make more is refused with [`SqlError::Unread`].
pub const CHANGES_KEPT_MAX: i64 = 1_000_000;
/// The tables of one database that can be watched.
pub const WATCHES_MAX: usize = 100;

/// What is done to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RowOperation {
    Insert,
    Update,
    Delete,
}

impl RowOperation {
    pub const ALL: [RowOperation; 3] = [RowOperation::Insert, RowOperation::Update, RowOperation::Delete];

    /// `insert`, `update` or `delete`.
    pub fn as_str(self) -> &'static str {
        match self {
            RowOperation::Insert => "insert",
            RowOperation::Update => "update",
            RowOperation::Delete => "delete",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.as_str() == text)
    }
}

/// Which changes of a table are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableWatch {
    /// As SQL compares names: without regard to the case of A to Z.
    pub table: String,
    pub insert: bool,
    pub update: bool,
    pub delete: bool,
}

impl TableWatch {
    /// Watches `table` for `operations`.
    pub fn new(table: impl Into<String>, operations: &[RowOperation]) -> Self {
        let wants = |operation| operations.contains(&operation);
        let (insert, update) = (wants(RowOperation::Insert), wants(RowOperation::Update));
        Self { table: table.into(), insert, update, delete: wants(RowOperation::Delete) }
    }

    pub fn wants(&self, operation: RowOperation) -> bool {
        match operation {
            RowOperation::Insert => self.insert,
            RowOperation::Update => self.update,
            RowOperation::Delete => self.delete,
        }
    }
}

/// One row that was changed.
///
/// Rows are JSON objects of their columns, those that are generated too: integers with all their digits, blobs (and texts that
/// are not UTF-8) as `{"base64": "…"}`, infinities as the texts `Infinity` and `-Infinity`. Of a row whose text would be longer
/// than [`CHANGE_ROW_BYTES_MAX`] there is its primary key, or its `rowid` when the table declares none, with
/// `"truncated": true`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Counts the changes of the database from 1, in the order in which they happened, without gaps and never twice, until the
    /// database is removed.
    pub seq: i64,
    /// The table, as it is written in the schema.
    pub table: String,
    pub operation: RowOperation,
    /// The row as it is now; of one that was deleted, as it was.
    pub row: String,
    /// The row as it was, if it was updated or deleted.
    pub old_row: Option<String>,
    /// When it happened, in milliseconds since 1970.
    pub at_ms: i64,
    /// How deep the call that made it stood below what triggered it; 0 when nothing did.
    pub depth: u8,
}

/// Told the namespace when there may be new changes, on a thread that must not be held up.
pub type ChangeListener = Arc<dyn Fn(&Namespace) + Send + Sync>;

/// The changes of one namespace's database.
///
/// A change is there from the moment in which its transaction is on disk, and only then; undone ones never are. A row that
/// `INSERT OR REPLACE` puts in the place of another is an insert alone: the other is not told as deleted. What a copy of the
/// database as SQL or as a file shows is without all this; a backup of the node has it.
#[async_trait]
pub trait Changes: Send + Sync {
    /// From now on exactly these are watched; on disk on return. A table that is not there yet is watched as soon as it is,
    /// also after it was dropped and made again, or another was given its name. Several watches of one table add up. Views and
    /// virtual tables are refused as [`SqlError::Invalid`], names that are SQLite's or ours as [`SqlError::NotAllowed`]; then
    /// what was watched before still is.
    async fn watch(&self, watches: Vec<TableWatch>) -> Result<(), SqlError>;

    /// The changes behind `after`, oldest first: at most `limit`, and fewer when they are large, but none only when there is
    /// none.
    async fn changes(&self, after: i64, limit: usize) -> Result<Vec<Change>, SqlError>;

    /// Removes the changes up to `up_to`, that one too.
    async fn forget_changes(&self, up_to: i64) -> Result<(), SqlError>;
}
