//! The control plane in SQL.
//!
//! Every method is one batch of statements, and therefore one transaction. Statements and migrations exist once, over a
//! small seam for the database underneath: SQLite in a file now (`system.db`, every transaction synced before it is
//! acknowledged); a clustered product becomes a second driver, and a `Config` that chooses, in this file.
//!
//! Rows belong to a namespace, and a namespace takes new rows only while it lives: the statement that inserts says so itself
//! (`ending = 0`), so that nothing slips in behind the end of a namespace.

mod audit;
mod chain;
mod contents;
mod deliveries;
mod domains;
mod functions;
mod identities;
mod jobs;
pub(crate) mod migrations;
mod namespaces;
mod push;
mod secrets;
mod triggers;

use std::path::Path;

use domain::Namespace;
use ports::{BoxError, RegistryError};
use serde::Serialize;

use crate::OpenError;
use crate::sql::sqlite::{self, Database, Kind, Synchronous};
use crate::sql::{Answer, Columns, DamagedRow, Driver, Statement, Value, schema};

pub(crate) const KIND: Kind = Kind { application_id: i32::from_be_bytes(*b"OraS"), synchronous: Synchronous::Full };

/// The control plane in a database.
pub struct SqlRegistry {
    driver: Box<dyn Driver>,
}

/// Opens the control plane in the SQLite file at `path`; creates it, or brings it up to date.
pub async fn open(path: &Path) -> Result<SqlRegistry, OpenError> {
    let database = Database::open("registry", path, |path| sqlite::open_writer(path, KIND)).await?;
    schema::migrate(&database, &path.display().to_string(), migrations::MIGRATIONS).await?;
    Ok(SqlRegistry { driver: Box::new(database) })
}

impl SqlRegistry {
    async fn run<const N: usize>(&self, batch: [Statement; N]) -> Result<[Answer; N], RegistryError> {
        let answers = self.driver.transact(batch.into()).await.map_err(failed)?;
        answers.try_into().map_err(|_| unavailable("the database did not answer every statement"))
    }

    /// Runs as many statements as it takes.
    async fn run_all(&self, batch: Vec<Statement>) -> Result<Vec<Answer>, RegistryError> {
        let count = batch.len();
        let answers = self.driver.transact(batch).await.map_err(failed)?;
        match answers.len() == count {
            true => Ok(answers),
            false => Err(unavailable("the database did not answer every statement")),
        }
    }

    /// Runs one statement that must change something.
    async fn change(&self, statement: Statement) -> Result<(), RegistryError> {
        let [answer] = self.run([statement]).await?;
        found(&answer)
    }

    /// Runs one statement that may change any number of rows; returns how many.
    async fn count(&self, statement: Statement) -> Result<u64, RegistryError> {
        let [answer] = self.run([statement]).await?;
        Ok(answer.changed)
    }

    /// Inserts a row into a namespace, which must live; a row that is there already is a conflict.
    async fn insert(
        &self,
        namespace: &Namespace,
        insert: Statement,
        taken: impl FnOnce() -> String,
    ) -> Result<(), RegistryError> {
        let [inserted, lives] = self.run([insert, living(namespace)]).await?;
        match (inserted.changed, lives.rows.is_empty()) {
            (0, true) => Err(RegistryError::NotFound),
            (0, false) => Err(RegistryError::Conflict(taken())),
            _ => Ok(()),
        }
    }

    /// Runs one query and reads each of its rows.
    async fn all<T>(
        &self,
        query: Statement,
        read: impl Fn(&mut Columns) -> Result<T, DamagedRow>,
    ) -> Result<Vec<T>, RegistryError> {
        let [answer] = self.run([query]).await?;
        read_all(answer, read)
    }
}

/// One row, with the bytes that the namespace owns, if it lives.
fn living(namespace: &Namespace) -> Statement {
    let sql = "SELECT owned_bytes FROM namespaces WHERE name = ?1 AND ending = 0";
    Statement::new(sql, [namespace.as_str().into()])
}

fn read_all<T>(answer: Answer, read: impl Fn(&mut Columns) -> Result<T, DamagedRow>) -> Result<Vec<T>, RegistryError> {
    let rows = answer.rows.into_iter().map(|row| read(&mut Columns::of(row)));
    rows.collect::<Result<_, _>>().map_err(unavailable)
}

/// The only row of an answer, if there is one.
fn read_one<T>(
    answer: Answer,
    read: impl Fn(&mut Columns) -> Result<T, DamagedRow>,
) -> Result<Option<T>, RegistryError> {
    answer.rows.into_iter().next().map(|row| read(&mut Columns::of(row))).transpose().map_err(unavailable)
}

fn failed(cause: BoxError) -> RegistryError {
    if sqlite::is_full(&*cause) { RegistryError::Full(cause) } else { RegistryError::Unavailable(cause) }
}

fn unavailable(cause: impl Into<BoxError>) -> RegistryError {
    RegistryError::Unavailable(cause.into())
}

fn found(answer: &Answer) -> Result<(), RegistryError> {
    if answer.changed == 0 { Err(RegistryError::NotFound) } else { Ok(()) }
}

fn exists(what: &str, id: &str) -> String {
    format!("a {what} with the id `{id}` exists")
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("our own types have text keys, and serialize")
}

fn limit(most: usize) -> Value {
    Value::Integer(i64::try_from(most).unwrap_or(i64::MAX))
}
