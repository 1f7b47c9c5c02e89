//! SQL on the database of the namespace.
//!
//! `db_query` and `db_execute` answer a failure with nothing and a line in the log; the `_v2` calls and those of
//! [`ops`], which take several statements, carry an error and its code.

mod freshness;
mod ops;

use bytes::Bytes;
use domain::{Error, ErrorCode, SqlRows, SqlStatement, SqlValue, arguments_from_json};
use ports::{SqlBounds, SqlError};
use serde::Serialize;

use super::json::{JsonText, TooLarge, envelope};
use super::{DeadlinePassed, Host, InTime, JSON_BYTES_MAX, check_size, text};

/// An error as guests read it: the end of each envelope.
#[derive(Debug, Serialize)]
struct Refusal {
    error: String,
    code: &'static str,
}

impl Refusal {
    fn invalid(error: impl Into<String>) -> Self {
        Self { error: error.into(), code: "INVALID_ARGUMENT" }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        match error.code {
            ErrorCode::PayloadTooLarge => Self { error: error.message, code: "PAYLOAD_TOO_LARGE" },
            ErrorCode::RateLimited => Self { error: error.message, code: "RATE_LIMITED" },
            _ => Self::invalid(error.message),
        }
    }
}

impl From<TooLarge> for Refusal {
    fn from(_: TooLarge) -> Self {
        Self { error: "the result does not fit into the memory of the function".into(), code: "PAYLOAD_TOO_LARGE" }
    }
}

/// Why there is no result: the guest learns of it, or the guest ends.
enum Trouble {
    Refused(Refusal),
    Deadline,
}

impl<R: Into<Refusal>> From<R> for Trouble {
    fn from(refusal: R) -> Self {
        Self::Refused(refusal.into())
    }
}

impl From<DeadlinePassed> for Trouble {
    fn from(_: DeadlinePassed) -> Self {
        Self::Deadline
    }
}

/// What the guest learns.
fn settled<T>(result: Result<T, Trouble>) -> InTime<Result<T, Refusal>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(Trouble::Refused(refusal)) => Ok(Err(refusal)),
        Err(Trouble::Deadline) => Err(DeadlinePassed),
    }
}

impl Host {
    /// Rows as a JSON array of objects; nothing on failure.
    pub(crate) async fn db_query(&mut self, sql: &[u8], arguments: &[u8]) -> InTime<Option<Bytes>> {
        let found = self.query(sql, arguments, "", "").await;
        let found = settled(found)?.map_err(|refusal| self.warn(format!("`db_query`: {}", refusal.error)));
        Ok(found.ok())
    }

    /// `{"rows":[…]}`, or with an error and its code.
    pub(crate) async fn db_query_v2(&mut self, sql: &[u8], arguments: &[u8]) -> InTime<Bytes> {
        #[derive(Serialize)]
        struct NoRows {
            rows: [(); 0],
            #[serde(flatten)]
            refusal: Refusal,
        }
        let found = self.query(sql, arguments, "{\"rows\":", "}").await;
        Ok(settled(found)?.unwrap_or_else(|refusal| envelope(&NoRows { rows: [], refusal })))
    }

    /// The number of rows changed; 0 also on failure.
    pub(crate) async fn db_execute(&mut self, sql: &[u8], arguments: &[u8]) -> InTime<i64> {
        match settled(self.execute(sql, arguments).await)? {
            Ok(changed) => Ok(i64::from(i32::try_from(changed.rows_affected).unwrap_or(i32::MAX))),
            Err(refusal) => {
                self.warn(format!("`db_execute`: {}", refusal.error));
                Ok(0)
            }
        }
    }

    /// `{"rows_affected":n,"last_insert_id"?}`, or with an error and its code.
    pub(crate) async fn db_execute_v2(&mut self, sql: &[u8], arguments: &[u8]) -> InTime<Bytes> {
        #[derive(Serialize)]
        struct Unchanged {
            rows_affected: u64,
            #[serde(flatten)]
            refusal: Refusal,
        }
        let changed = settled(self.execute(sql, arguments).await)?;
        Ok(match changed {
            Ok(changed) => envelope(&Changed::of(&changed)),
            Err(refusal) => envelope(&Unchanged { rows_affected: 0, refusal }),
        })
    }

    /// The rows as JSON between `before` and `after`.
    async fn query(&mut self, sql: &[u8], arguments: &[u8], before: &str, after: &str) -> Result<Bytes, Trouble> {
        let statement = statement_of(sql, arguments)?;
        let found = self.in_time(self.services.database.query(statement, self.bounds())).await?;
        let rows: SqlRows = found.map_err(|error| self.refusal(error))?;
        let mut json = JsonText::new(self.memory_bytes_max());
        json.raw(before);
        json.rows(rows).await?;
        json.raw(after);
        Ok(json.finish())
    }

    async fn execute(&mut self, sql: &[u8], arguments: &[u8]) -> Result<domain::SqlChanged, Trouble> {
        let statement = statement_of(sql, arguments)?;
        let changed = self.in_time(self.services.database.execute(statement, self.bounds())).await?;
        changed.map_err(|error| self.refusal(error))
    }

    fn bounds(&self) -> SqlBounds {
        let bounds = SqlBounds::until(self.context.deadline);
        let bytes_max = bounds.bytes_max.min(self.memory_bytes_max());
        SqlBounds { bytes_max, depth: self.context.trigger_depth, ..bounds }
    }

    /// What becomes of an error of the database; the operator hears of those that are ours.
    fn refusal(&mut self, error: SqlError) -> Trouble {
        match error {
            SqlError::Deadline if self.check_deadline().is_err() => return Trouble::Deadline,
            SqlError::Corrupt(_) | SqlError::Unavailable(_) => self.report("database", &error),
            _ => {}
        }
        Trouble::Refused(Refusal { error: error.to_string(), code: error.envelope_code() })
    }
}

/// What a statement changed, as guests read it.
#[derive(Serialize)]
struct Changed {
    rows_affected: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_insert_id: Option<i64>,
}

impl Changed {
    fn of(changed: &domain::SqlChanged) -> Self {
        Self { rows_affected: changed.rows_affected, last_insert_id: changed.last_insert_id }
    }
}

fn statement_of(sql: &[u8], arguments: &[u8]) -> Result<SqlStatement, Refusal> {
    let sql = text("SQL", sql, JSON_BYTES_MAX)?;
    Ok(SqlStatement::new(sql, arguments_of(arguments)?))
}

fn arguments_of(json: &[u8]) -> Result<Vec<SqlValue>, Refusal> {
    check_size("JSON of the arguments", json, JSON_BYTES_MAX)?;
    arguments_from_json(json).map_err(|refused| Refusal::invalid(refused.to_string()))
}
