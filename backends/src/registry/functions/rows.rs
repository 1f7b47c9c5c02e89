//! Functions, versions and replies as rows.

use std::time::Duration;

use bytes::Bytes;
use domain::{Error, ErrorCode, FailureKind, FunctionState, FunctionVersion, ReplyHead, RequestId, VersionNumber};
use ports::{StoredFunction, StoredOutcome};
use serde::{Deserialize, Serialize};

use crate::registry::json;
use crate::sql::{Columns, DamagedRow, Value};

/// Every function with its versions, from rows that are ordered by function and number.
pub(super) fn functions(rows: Vec<Vec<Value>>) -> Result<Vec<StoredFunction>, DamagedRow> {
    let mut functions: Vec<StoredFunction> = Vec::new();
    for row in rows {
        let (state, version) = function_version(row)?;
        match functions.last_mut() {
            Some(last) if last.state == state => last.versions.push(version),
            _ => functions.push(StoredFunction { state, versions: vec![version] }),
        }
    }
    Ok(functions)
}

fn function_version(row: Vec<Value>) -> Result<(FunctionState, FunctionVersion), DamagedRow> {
    let mut columns = Columns::of(row);
    let state = FunctionState {
        namespace: columns.parsed("a namespace")?,
        name: columns.parsed("a name")?,
        active: number(&mut columns)?,
        enabled: columns.integer()? == 1,
        updated_at: columns.time()?,
    };
    let version = FunctionVersion {
        namespace: state.namespace.clone(),
        name: state.name.clone(),
        id: columns.text()?,
        version: number(&mut columns)?,
        code: columns.parsed("a content identifier")?,
        code_bytes: columns.natural()?,
        manifest: columns.json("a manifest")?,
        created_at: columns.time()?,
        created_by: columns.text()?,
    };
    Ok((state, version))
}

pub(super) fn number(columns: &mut Columns) -> Result<VersionNumber, DamagedRow> {
    columns.converted("a version number", |number| VersionNumber::new(number.try_into().ok()?))
}

/// The fingerprint of the request that claimed first, and the outcome once there is one.
pub(super) fn reply(row: Vec<Value>) -> Result<([u8; 32], Option<StoredOutcome>), DamagedRow> {
    let mut columns = Columns::of(row);
    let fingerprint = columns.hash()?;
    let kept: Option<KeptOutcome> = columns.json_or_null("an outcome")?;
    let body = columns.blob_or_null()?.unwrap_or_default();
    Ok((fingerprint, kept.map(|kept| kept.with_body(body.into()))))
}

pub(super) fn outcome_json(outcome: &StoredOutcome) -> String {
    let head = outcome.head.as_ref().map(|head| KeptHead {
        status: head.status,
        headers: head.headers.iter().map(|(name, value)| (latin1(name), latin1(value))).collect(),
    });
    let error = outcome.error.as_ref().map(|error| KeptError {
        code: error.code,
        message: error.message.clone(),
        kind: error.kind,
        retry_after: error.retry_after,
        hint: error.hint.clone(),
    });
    json(&KeptOutcome { request_id: outcome.request_id.clone(), duration_ms: outcome.duration_ms, head, error })
}

/// A [`StoredOutcome`] without its body.
#[derive(Serialize, Deserialize)]
struct KeptOutcome {
    request_id: RequestId,
    duration_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    head: Option<KeptHead>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<KeptError>,
}

#[derive(Serialize, Deserialize)]
struct KeptHead {
    status: u16,
    /// Any bytes, each as the character with that number.
    headers: Vec<(String, String)>,
}

#[derive(Serialize, Deserialize)]
struct KeptError {
    code: ErrorCode,
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<FailureKind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_after: Option<Duration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl KeptOutcome {
    fn with_body(self, body: Bytes) -> StoredOutcome {
        let Self { request_id, duration_ms, head, error } = self;
        let head = head.map(|KeptHead { status, headers }| ReplyHead {
            status,
            headers: headers.iter().map(|(name, value)| (bytes_of(name), bytes_of(value))).collect(),
        });
        let error = error.map(|KeptError { code, message, kind, retry_after, hint }| Error {
            code,
            message,
            kind,
            retry_after,
            hint,
        });
        StoredOutcome { request_id, head, body, error, duration_ms }
    }
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// The inverse of [`latin1`], whose texts have no character above 255.
fn bytes_of(text: &str) -> Bytes {
    text.chars().map(|character| character as u8).collect()
}
