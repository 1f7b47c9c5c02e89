//! Several statements in one call: `db_transaction`, `db_query_batch` and `exec_and_publish`.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::{SqlRows, SqlStatement};
use ports::{SqlBounds, SqlError, SqlStep, SqlStepResult, TransactionError};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::freshness::{self, Freshness};
use super::{Changed, Host, InTime, JSON_BYTES_MAX, JsonText, Refusal, Trouble, arguments_of, check_size, envelope};
use crate::host::DeadlinePassed;
use crate::host::pubsub::message_of;

const OPS_MAX: usize = 100;
/// The time that a batch of queries may take.
const BATCH_TIME_MAX: Duration = Duration::from_secs(10);
/// `failed_index` when the fault is in no operation.
const NO_OP: i64 = -1;

#[derive(Deserialize)]
#[serde(expecting = "an object with `ops`")]
struct Transaction<'a> {
    #[serde(borrow)]
    ops: Option<Vec<Op<'a>>>,
}

#[derive(Deserialize)]
#[serde(expecting = "an object with `ops`")]
struct Batch<'a> {
    #[serde(borrow)]
    ops: Option<Vec<Op<'a>>>,
    #[serde(flatten)]
    freshness: Freshness,
}

#[derive(Deserialize)]
#[serde(expecting = "an object with `sql`")]
struct Op<'a> {
    #[serde(borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    sql: Option<Cow<'a, str>>,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
}

/// A call of which nothing has happened.
#[derive(Serialize)]
struct NothingDone {
    results: [(); 0],
    #[serde(skip_serializing_if = "Option::is_none")]
    committed: Option<bool>,
    failed_index: i64,
    #[serde(flatten)]
    refusal: Refusal,
}

/// A refusal, and the operation that is at fault.
struct Failure {
    failed_index: i64,
    trouble: Trouble,
}

impl<T: Into<Trouble>> From<T> for Failure {
    fn from(trouble: T) -> Self {
        Self::at(None, trouble)
    }
}

impl Failure {
    fn at(index: Option<usize>, trouble: impl Into<Trouble>) -> Self {
        let failed_index = index.and_then(|index| i64::try_from(index).ok()).unwrap_or(NO_OP);
        Self { failed_index, trouble: trouble.into() }
    }

    /// What the guest learns.
    fn settled(self, committed: Option<bool>) -> InTime<Bytes> {
        match self.trouble {
            Trouble::Deadline => Err(DeadlinePassed),
            Trouble::Refused(refusal) => {
                Ok(envelope(&NothingDone { results: [], committed, failed_index: self.failed_index, refusal }))
            }
        }
    }
}

impl Host {
    /// Every `exec` in order, all or none; then every `query`, whose failure undoes nothing.
    pub(crate) async fn db_transaction(&mut self, ops: &[u8]) -> InTime<Bytes> {
        match self.transaction(ops).await {
            Ok(results) => Ok(results),
            Err(failure) => failure.settled(Some(false)),
        }
    }

    /// Queries on one and the same state of the database.
    pub(crate) async fn db_query_batch(&mut self, ops: &[u8]) -> InTime<Bytes> {
        match self.batch(ops).await {
            Ok(results) => Ok(results),
            Err(failure) => failure.settled(None),
        }
    }

    /// The same as [`Host::db_transaction`], and then a message, in which `{{seq}}` stands for its number.
    pub(crate) async fn exec_and_publish(&mut self, ops: &[u8], topic: &[u8], data: &[u8]) -> InTime<Bytes> {
        match self.transaction_and_message(ops, topic, data).await {
            Ok(results) => Ok(results),
            Err(failure) => failure.settled(Some(false)),
        }
    }

    async fn transaction(&mut self, ops: &[u8]) -> Result<Bytes, Failure> {
        let done = self.committed(steps_of(ops)?).await?;
        let mut json = self.write_results(done).await?;
        json.raw(",\"committed\":true}");
        Ok(json.finish())
    }

    async fn transaction_and_message(&mut self, ops: &[u8], topic: &[u8], data: &[u8]) -> Result<Bytes, Failure> {
        let steps = steps_of(ops)?;
        let (topic, data) = message_of(topic, data).map_err(Refusal::from)?;
        self.check_publishes(1).map_err(Refusal::from)?;
        let (done, seq) = match holds_sequence(&data) {
            true => self.committed_with_sequence(steps).await.map(|(done, seq)| (done, Some(seq)))?,
            false => (self.committed(steps).await?, None),
        };
        let data = seq.map_or(data.clone(), |seq| with_sequence(&data, seq));
        let published = self.published(vec![(topic, data)]).await?;
        let mut json = self.write_results(done).await?;
        json.raw(",");
        let publish_error = published.as_ref().err().map(|error| error.message.as_str());
        json.fields(&Sent { committed: true, seq, published: published.is_ok(), publish_error });
        json.raw("}");
        Ok(json.finish())
    }

    async fn committed(&mut self, steps: Vec<SqlStep>) -> Result<Vec<SqlStepResult>, Failure> {
        if steps.is_empty() {
            return Ok(Vec::new());
        }
        let done = self.in_time(self.services.database.transaction(steps, self.bounds())).await?;
        done.map_err(|TransactionError { failed, error }| Failure::at(failed, self.refusal(error)))
    }

    async fn committed_with_sequence(&mut self, steps: Vec<SqlStep>) -> Result<(Vec<SqlStepResult>, i64), Failure> {
        let done = self.in_time(self.services.database.transaction_with_sequence(steps, self.bounds())).await?;
        done.map_err(|TransactionError { failed, error }| Failure::at(failed, self.refusal(error)))
    }

    /// `{"results":[…]` of what has happened.
    async fn write_results(&mut self, done: Vec<SqlStepResult>) -> InTime<JsonText> {
        let mut json = JsonText::new(self.memory_bytes_max());
        json.raw("{\"results\":[");
        for (index, result) in done.into_iter().enumerate() {
            json.raw(if index > 0 { "," } else { "" });
            match result {
                SqlStepResult::Changed(changed) => {
                    json.small(&Executed { kind: "exec", changed: Changed::of(&changed) });
                }
                SqlStepResult::Found(found) => self.write_found(&mut json, found).await?,
            }
        }
        json.raw("]");
        Ok(json)
    }

    async fn batch(&mut self, ops: &[u8]) -> Result<Bytes, Failure> {
        let statements = queries_of(ops)?;
        let bounds = self.bounds();
        let bounds = SqlBounds { deadline: bounds.deadline.min(Instant::now() + BATCH_TIME_MAX), ..bounds };
        let found = match statements.is_empty() {
            true => Vec::new(),
            false => {
                let found = self.in_time(self.services.database.query_batch(statements, bounds)).await?;
                found.map_err(|error| self.refusal(error))?
            }
        };
        let mut json = JsonText::new(self.memory_bytes_max());
        json.raw("{\"results\":[");
        for (index, result) in found.into_iter().enumerate() {
            json.raw(if index > 0 { "," } else { "" });
            self.write_found(&mut json, result).await?;
        }
        json.raw("]}");
        Ok(json.finish())
    }

    /// The result of one query among several. Its failure is its own: what stands before it has happened.
    async fn write_found(&mut self, json: &mut JsonText, found: Result<SqlRows, SqlError>) -> InTime<()> {
        let refusal = match found {
            Err(error) => self.refusal(error),
            Ok(rows) => {
                let start = json.bytes();
                json.raw("{\"kind\":\"query\",\"rows\":");
                match json.rows(rows).await {
                    Ok(()) => {
                        json.raw("}");
                        return Ok(());
                    }
                    Err(too_large) => {
                        json.take_back(start);
                        Trouble::from(too_large)
                    }
                }
            }
        };
        match refusal {
            Trouble::Refused(refusal) => json.small(&NoRows { kind: "query", rows: [], refusal }),
            Trouble::Deadline => return Err(DeadlinePassed),
        }
        Ok(())
    }
}

/// The end of what `exec_and_publish` answers when its transaction has happened.
#[derive(Serialize)]
struct Sent<'a> {
    committed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<i64>,
    published: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    publish_error: Option<&'a str>,
}

const SEQUENCE: &[u8] = b"{{seq}}";

fn holds_sequence(data: &[u8]) -> bool {
    data.windows(SEQUENCE.len()).any(|piece| piece == SEQUENCE)
}

/// The data with the number for each `{{seq}}`.
fn with_sequence(data: &[u8], seq: i64) -> Bytes {
    let (mut whole, mut left) = (Vec::with_capacity(data.len()), data);
    while let Some(at) = left.windows(SEQUENCE.len()).position(|piece| piece == SEQUENCE) {
        whole.extend_from_slice(&left[..at]);
        whole.extend_from_slice(seq.to_string().as_bytes());
        left = &left[at + SEQUENCE.len()..];
    }
    whole.extend_from_slice(left);
    Bytes::from(whole)
}

/// A query among several that found nothing.
#[derive(Serialize)]
struct NoRows {
    kind: &'static str,
    rows: [(); 0],
    #[serde(flatten)]
    refusal: Refusal,
}

#[derive(Serialize)]
struct Executed {
    kind: &'static str,
    #[serde(flatten)]
    changed: Changed,
}

fn steps_of(json: &[u8]) -> Result<Vec<SqlStep>, Failure> {
    let Transaction { ops } = parse(json)?;
    let ops = checked(ops)?;
    let step = |(index, op): (usize, Op<'_>)| {
        let statement = statement_of(&op).map_err(|refusal| Failure::at(Some(index), refusal))?;
        match op.kind.as_deref() {
            Some("exec") => Ok(SqlStep::Execute(statement)),
            Some("query") => Ok(SqlStep::Query(statement)),
            _ => Err(Failure::at(Some(index), Refusal::invalid("`kind` must be `exec` or `query`"))),
        }
    };
    ops.into_iter().enumerate().map(step).collect()
}

fn queries_of(json: &[u8]) -> Result<Vec<SqlStatement>, Failure> {
    let Batch { ops, freshness } = parse(json)?;
    freshness::check(&freshness).map_err(Refusal::invalid)?;
    let statement =
        |(index, op): (usize, Op<'_>)| statement_of(&op).map_err(|refusal| Failure::at(Some(index), refusal));
    checked(ops)?.into_iter().enumerate().map(statement).collect()
}

fn parse<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, Refusal> {
    check_size("JSON of the operations", json, JSON_BYTES_MAX)?;
    serde_json::from_slice(json).map_err(|error| Refusal::invalid(format!("the operations are refused: {error}")))
}

fn checked(ops: Option<Vec<Op<'_>>>) -> Result<Vec<Op<'_>>, Refusal> {
    let ops = ops.ok_or_else(|| Refusal::invalid("`ops` is missing: {\"ops\":[…]}"))?;
    match ops.len() > OPS_MAX {
        true => Err(Refusal {
            error: format!("{} operations are too many, the limit is {OPS_MAX}", ops.len()),
            code: "TOO_MANY_STATEMENTS",
        }),
        false => Ok(ops),
    }
}

fn statement_of(op: &Op<'_>) -> Result<SqlStatement, Refusal> {
    let sql = op.sql.as_deref().ok_or_else(|| Refusal::invalid("`sql` is missing"))?;
    let arguments = arguments_of(op.args.map_or(&[], |json| json.get().as_bytes()))?;
    Ok(SqlStatement::new(sql, arguments))
}
