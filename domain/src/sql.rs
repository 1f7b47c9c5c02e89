//! SQL as values: what a statement is given and what it answers.
//!
//! The one JSON form of both, the same for functions and for clients, is in `sql/json.rs`.

mod json;

use std::sync::Arc;

pub use json::{InvalidArguments, JsonRows, arguments_from_json};

/// A value of a column or an argument, with SQLite's five types.
#[derive(Debug, Clone, PartialEq)]
pub enum SqlValue {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

/// One statement with the values of its parameters, by position.
#[derive(Debug, Clone, PartialEq)]
pub struct SqlStatement {
    pub sql: String,
    pub arguments: Vec<SqlValue>,
}

impl SqlStatement {
    pub fn new(sql: impl Into<String>, arguments: Vec<SqlValue>) -> Self {
        Self { sql: sql.into(), arguments }
    }
}

/// What a query found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SqlRows {
    pub columns: Arc<[String]>,
    pub rows: Vec<Vec<SqlValue>>,
}

/// What a statement changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SqlChanged {
    pub rows_affected: u64,
    /// The row id of the last inserted row, when the statement inserted one.
    pub last_insert_id: Option<i64>,
}
