//! The SQL database of the namespace.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::{Error, host};

/// The SQL database of the namespace. Arguments are JSON values: `&[json!(7), json!("text"), json!(Blob(bytes))]`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Db;

/// What a statement changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub struct Changed {
    #[serde(default)]
    pub rows_affected: u64,
    pub last_insert_id: Option<i64>,
}

/// A column or an argument of bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Blob(pub Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json!({ "base64": STANDARD.encode(&self.0) }).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Encoded {
            base64: String,
        }
        let Encoded { base64 } = Encoded::deserialize(deserializer)?;
        STANDARD.decode(base64).map(Self).map_err(serde::de::Error::custom)
    }
}

/// A step of a transaction.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    kind: &'static str,
    sql: String,
    args: Vec<Value>,
}

impl Step {
    /// Changes something. All of these happen first, all or none.
    pub fn execute(sql: impl Into<String>, arguments: &[Value]) -> Self {
        Self { kind: "exec", sql: sql.into(), args: arguments.to_vec() }
    }

    /// Reads after the commit.
    pub fn query(sql: impl Into<String>, arguments: &[Value]) -> Self {
        Self { kind: "query", sql: sql.into(), args: arguments.to_vec() }
    }
}

/// What a step answered.
#[derive(Debug, Deserialize)]
pub struct StepResult {
    #[serde(flatten)]
    failed: Failed,
    #[serde(default)]
    pub rows_affected: u64,
    #[serde(default)]
    pub last_insert_id: Option<i64>,
    #[serde(default)]
    rows: Option<Value>,
}

impl StepResult {
    /// The rows of a query step.
    pub fn rows<T: DeserializeOwned>(self) -> Result<Vec<T>, Error> {
        self.failed.check()?;
        serde_json::from_value(self.rows.unwrap_or_else(|| json!([]))).map_err(Error::unreadable)
    }
}

/// A transaction of which nothing has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionError {
    /// The step that failed, counted from 0.
    pub failed: Option<usize>,
    pub error: Error,
}

impl std::fmt::Display for TransactionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for TransactionError {}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Failed {
    error: Option<String>,
    code: Option<String>,
}

impl Failed {
    pub(crate) fn check(self) -> Result<(), Error> {
        match (self.code, self.error) {
            (None, None) => Ok(()),
            (code, message) => Err(Error::coded(code.unwrap_or_default(), message.unwrap_or_default())),
        }
    }
}

impl Db {
    /// Every row, as a struct with serde names or as a `serde_json::Map`.
    pub fn query<T: DeserializeOwned>(&self, sql: &str, arguments: &[Value]) -> Result<Vec<T>, Error> {
        #[derive(Deserialize)]
        struct Answer<'a> {
            #[serde(borrow)]
            rows: Option<&'a RawValue>,
            #[serde(flatten)]
            failed: Failed,
        }
        let answer = host::db_query(sql, &encode(arguments)?);
        // Rows are read for themselves: a flattened struct would lose the digits of large numbers.
        let Answer { rows, failed } = read::<Answer<'_>>(&answer)?;
        failed.check()?;
        rows.map_or(Ok(Vec::new()), |rows| serde_json::from_str(rows.get()).map_err(Error::unreadable))
    }

    /// The first row, if there is one.
    pub fn query_row<T: DeserializeOwned>(&self, sql: &str, arguments: &[Value]) -> Result<Option<T>, Error> {
        Ok(self.query(sql, arguments)?.into_iter().next())
    }

    /// Runs one statement; what it changed is on disk on return.
    pub fn execute(&self, sql: &str, arguments: &[Value]) -> Result<Changed, Error> {
        let answer = host::db_execute(sql, &encode(arguments)?);
        read::<Failed>(&answer)?.check()?;
        read(&answer)
    }

    /// Runs the steps that change something all or none, then those that read; at most 100.
    pub fn transaction(&self, steps: &[Step]) -> Result<Vec<StepResult>, TransactionError> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            results: Vec<StepResult>,
            committed: bool,
            failed_index: Option<usize>,
        }
        let outside = |error| TransactionError { failed: None, error };
        let request =
            serde_json::to_vec(&json!({ "ops": steps })).map_err(|error| outside(Error::unreadable(error)))?;
        let text = host::db_transaction(&request);
        let answer: Answer = read(&text).map_err(outside)?;
        if answer.committed {
            return Ok(answer.results);
        }
        let error = read::<Failed>(&text).map_err(outside)?.check().err();
        let error = error.unwrap_or_else(|| Error::coded("INTERNAL", "the transaction was not committed"));
        Err(TransactionError { failed: answer.failed_index, error })
    }
}

fn encode(arguments: &[Value]) -> Result<Vec<u8>, Error> {
    match arguments {
        [] => Ok(Vec::new()),
        some => serde_json::to_vec(some).map_err(|error| Error::new(format!("encode the arguments: {error}"))),
    }
}

pub(crate) fn read<'a, T: Deserialize<'a>>(answer: &'a [u8]) -> Result<T, Error> {
    if answer.is_empty() {
        return Err(Error::coded("UNAVAILABLE", "the platform answered nothing"));
    }
    serde_json::from_slice(answer).map_err(Error::unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_travel_as_base64_objects() {
        let blob = Blob(vec![0, 255]);
        let json = serde_json::to_string(&blob).expect("a blob serializes");
        assert_eq!(json, r#"{"base64":"AP8="}"#);
        assert_eq!(serde_json::from_str::<Blob>(&json).expect("and reads back"), blob);
    }

    #[test]
    fn a_failure_has_its_code_and_nothing_is_one() {
        let failed: Failed = read(br#"{"error":"no such table: t","code":"INVALID_ARGUMENT"}"#).expect("an answer");
        assert_eq!(failed.check(), Err(Error::coded("INVALID_ARGUMENT", "no such table: t")));
        assert_eq!(Db.execute("SELECT 1", &[]), Err(Error::coded("UNAVAILABLE", "the platform answered nothing")));
    }
}
