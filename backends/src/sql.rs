//! SQL as our own tables are used: batches of statements, each batch one transaction.
//!
//! There is no way to look at a row and then decide inside the same transaction, on purpose: a batch is all that a database
//! across a network can do at once. Conditions stand in `WHERE`, and the rows that changed tell what happened.

pub(crate) mod schema;
pub(crate) mod sqlite;

use std::str::FromStr;

use async_trait::async_trait;
use domain::Timestamp;
use ports::BoxError;

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "`{database}` was written by a newer program (schema {found}, this one knows up to {known}); use a newer `orama`"
    )]
    TooNew { database: String, found: i64, known: i64 },
    #[error("`{database}` is a database of something else; restore the right file from a backup")]
    Foreign { database: String },
    #[error("`{database}` is damaged; run `orama fsck`, then restore it from a backup")]
    Damaged {
        database: String,
        #[source]
        source: BoxError,
    },
    #[error("open `{database}`")]
    Unavailable {
        database: String,
        #[source]
        source: BoxError,
    },
}

/// A database that runs batches.
#[async_trait]
pub(crate) trait Driver: Send + Sync {
    /// Runs the statements in order, in one transaction: all or none, durable on return. One answer for each.
    async fn transact(&self, batch: Vec<Statement>) -> Result<Vec<Answer>, BoxError>;
}

/// One statement, with the values of `?1`, `?2`, …
#[derive(Debug)]
pub(crate) struct Statement {
    pub(crate) sql: &'static str,
    pub(crate) values: Vec<Value>,
}

impl Statement {
    pub(crate) fn new(sql: &'static str, values: impl Into<Vec<Value>>) -> Self {
        Self { sql, values: values.into() }
    }
}

/// What a statement did.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// The rows of a `SELECT` or of `RETURNING`.
    pub(crate) rows: Vec<Vec<Value>>,
    /// How many rows it inserted, updated or deleted.
    pub(crate) changed: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Integer(i64),
    Text(String),
    Blob(Vec<u8>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Value::Blob(bytes.to_vec())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Integer(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Value::Integer(number.into())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Value::Integer(signed(number))
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Value::Integer(yes.into())
    }
}

impl From<Timestamp> for Value {
    fn from(at: Timestamp) -> Self {
        Value::Integer(nanoseconds(at))
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

/// SQL integers are signed; sizes and durations above that range do not happen, and are cut to its end.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// How times are kept: nanoseconds since 1970, so that they compare as numbers and come back exactly.
pub(crate) fn nanoseconds(at: Timestamp) -> i64 {
    at.as_nanosecond().clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

pub(crate) fn timestamp(nanoseconds: i64) -> Timestamp {
    Timestamp::from_nanosecond(nanoseconds.into()).expect("292 years around 1970 are within the range of a timestamp")
}

/// A row does not hold what this program writes.
#[derive(Debug, thiserror::Error)]
#[error("a row is damaged: column {column} is not {wanted}")]
pub(crate) struct DamagedRow {
    column: usize,
    wanted: &'static str,
}

/// Reads the columns of a row from left to right.
pub(crate) struct Columns {
    values: std::vec::IntoIter<Value>,
    column: usize,
}

impl Columns {
    pub(crate) fn of(row: Vec<Value>) -> Self {
        Self { values: row.into_iter(), column: 0 }
    }

    fn next<T>(&mut self, wanted: &'static str, read: impl FnOnce(Value) -> Option<T>) -> Result<T, DamagedRow> {
        self.column += 1;
        let column = self.column;
        self.values.next().and_then(read).ok_or(DamagedRow { column, wanted })
    }

    pub(crate) fn text(&mut self) -> Result<String, DamagedRow> {
        self.next("a text", Value::into_text)
    }

    /// `None` when the column is null.
    pub(crate) fn text_or_null(&mut self) -> Result<Option<String>, DamagedRow> {
        self.next("a text", |value| match value {
            Value::Null => Some(None),
            value => value.into_text().map(Some),
        })
    }

    pub(crate) fn blob(&mut self) -> Result<Vec<u8>, DamagedRow> {
        self.next("bytes", Value::into_blob)
    }

    pub(crate) fn integer(&mut self) -> Result<i64, DamagedRow> {
        self.next("an integer", Value::into_integer)
    }

    pub(crate) fn natural(&mut self) -> Result<u64, DamagedRow> {
        self.converted("a number from 0", |number| number.try_into().ok())
    }

    /// `None` when the column is null.
    pub(crate) fn integer_or_null(&mut self) -> Result<Option<i64>, DamagedRow> {
        self.next("an integer", |value| match value {
            Value::Null => Some(None),
            value => value.into_integer().map(Some),
        })
    }

    pub(crate) fn time(&mut self) -> Result<Timestamp, DamagedRow> {
        self.integer().map(timestamp)
    }

    pub(crate) fn time_or_null(&mut self) -> Result<Option<Timestamp>, DamagedRow> {
        Ok(self.integer_or_null()?.map(timestamp))
    }

    /// `None` when the column is null.
    pub(crate) fn blob_or_null(&mut self) -> Result<Option<Vec<u8>>, DamagedRow> {
        self.next("bytes", |value| match value {
            Value::Null => Some(None),
            value => value.into_blob().map(Some),
        })
    }

    /// An integer that stands for something else.
    pub(crate) fn converted<T>(
        &mut self,
        wanted: &'static str,
        convert: impl FnOnce(i64) -> Option<T>,
    ) -> Result<T, DamagedRow> {
        self.next(wanted, |value| convert(value.into_integer()?))
    }

    pub(crate) fn hash(&mut self) -> Result<[u8; 32], DamagedRow> {
        self.next("32 bytes", |value| value.into_blob()?.try_into().ok())
    }

    pub(crate) fn parsed<T: FromStr>(&mut self, wanted: &'static str) -> Result<T, DamagedRow> {
        self.next(wanted, |value| value.into_text()?.parse().ok())
    }

    /// A text that is one of a few words.
    pub(crate) fn word<T>(
        &mut self,
        wanted: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, DamagedRow> {
        self.next(wanted, |value| parse(&value.into_text()?))
    }

    /// `None` when the column is null.
    pub(crate) fn parsed_or_null<T: FromStr>(&mut self, wanted: &'static str) -> Result<Option<T>, DamagedRow> {
        self.next(wanted, |value| match value {
            Value::Null => Some(None),
            value => value.into_text()?.parse().ok().map(Some),
        })
    }

    pub(crate) fn json<T: serde::de::DeserializeOwned>(&mut self, wanted: &'static str) -> Result<T, DamagedRow> {
        self.next(wanted, |value| serde_json::from_str(&value.into_text()?).ok())
    }

    /// `None` when the column is null.
    pub(crate) fn json_or_null<T: serde::de::DeserializeOwned>(
        &mut self,
        wanted: &'static str,
    ) -> Result<Option<T>, DamagedRow> {
        self.next(wanted, |value| match value {
            Value::Null => Some(None),
            value => serde_json::from_str(&value.into_text()?).ok().map(Some),
        })
    }
}

impl Value {
    fn into_text(self) -> Option<String> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    fn into_integer(self) -> Option<i64> {
        match self {
            Value::Integer(number) => Some(number),
            _ => None,
        }
    }

    fn into_blob(self) -> Option<Vec<u8>> {
        match self {
            Value::Blob(bytes) => Some(bytes),
            _ => None,
        }
    }
}
