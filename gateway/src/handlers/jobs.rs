//! Timers and background jobs: asked for, listed, seen, cancelled.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::{FunctionName, Timestamp};
use http::StatusCode;
use platform::{
    JOB_AGE_MAX, JOB_AHEAD_MAX, JOB_RESULT_BYTES_MAX, JOB_RESULTS_BYTES_MAX, JOBS_ENDED_MAX, JOBS_WAITING_MAX, NewJob,
};
use ports::{JOB_INPUT_BYTES_MAX, JobStatus, JobView, JobsQuery};
use serde_json::{Value, json};

use crate::Gateway;
use crate::document::Document;
use crate::error::{Answer, Refusal};
use crate::exchange::Exchange;
use crate::reply;

/// The largest body of a new job: the largest payload in base64, and room for what stands around it.
const BODY_BYTES_MAX: usize = JOB_INPUT_BYTES_MAX / 3 * 4 + (64 << 10);
const PAGE_DEFAULT: usize = 50;
const PAGE_MAX: usize = 200;

pub(crate) async fn enqueue(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let (namespace, function) = (exchange.managed_namespace()?, exchange.function(0)?);
    gateway.platform.may_enqueue_jobs(&exchange.caller, &namespace)?;
    let body = exchange.receive(&gateway, BODY_BYTES_MAX).await?;
    let document = Document::parse(&body)?.only(&["payload", "payload_base64", "run_at"])?;
    let (input, run_at) = (payload(&document)?, run_at(&document)?);
    let new = NewJob { namespace, function, input, run_at };
    let job = gateway.platform.enqueue_job(&exchange.caller, new).await?;
    exchange.concerns(&job.id);
    Ok(reply::json(StatusCode::ACCEPTED, &job_json(&job)))
}

/// JSON goes to the function as it was sent; anything else is base64.
fn payload(document: &Document<'_>) -> Result<Bytes, Refusal> {
    match (document.raw("payload"), document.text("payload_base64")?) {
        (Some(_), Some(_)) => Err(Refusal::invalid("send `payload` or `payload_base64`, not both")),
        (Some(json), None) => Ok(Bytes::copy_from_slice(json.get().as_bytes())),
        (None, Some(text)) => {
            let bytes = STANDARD.decode(text).map_err(|_| Refusal::invalid("`payload_base64` is not base64"))?;
            Ok(bytes.into())
        }
        (None, None) => Ok(Bytes::new()),
    }
}

fn run_at(document: &Document<'_>) -> Result<Option<Timestamp>, Refusal> {
    let Some(text) = document.text("run_at")?.filter(|text| !text.is_empty()) else { return Ok(None) };
    let wrong = |_| Refusal::invalid("`run_at` must be a moment, such as `2026-03-01T03:00:00Z`");
    text.parse().map(Some).map_err(wrong)
}

pub(crate) async fn list(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let limit = exchange.limit(PAGE_DEFAULT, PAGE_MAX)?;
    let query = JobsQuery {
        namespace: exchange.managed_namespace()?,
        function: function(&exchange)?,
        status: status(&exchange)?,
        after: exchange.after_id()?.map(|after| after.into_owned()),
        limit,
    };
    let found = gateway.platform.jobs(&exchange.caller, &query).await?;
    let next = found.last().filter(|_| found.len() == limit).map(|last| last.id.clone());
    let jobs: Vec<Value> = found.iter().map(job_json).collect();
    Ok(reply::ok(&json!({ "count": jobs.len(), "jobs": jobs, "next": next })))
}

fn function(exchange: &Exchange) -> Result<Option<FunctionName>, Refusal> {
    let Some(name) = exchange.query("function").filter(|name| !name.is_empty()) else { return Ok(None) };
    FunctionName::parse(&name).map(Some).map_err(|refused| Refusal::invalid(format!("`function`: {refused}")))
}

fn status(exchange: &Exchange) -> Result<Option<JobStatus>, Refusal> {
    let Some(word) = exchange.query("status").filter(|word| !word.is_empty()) else { return Ok(None) };
    let known = JobStatus::ALL.map(JobStatus::as_str).join("`, `");
    JobStatus::parse(&word).map(Some).ok_or_else(|| Refusal::invalid(format!("`status` must be one of `{known}`")))
}

pub(crate) async fn get(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let (namespace, id) = (exchange.managed_namespace()?, exchange.capture(0)?);
    Ok(reply::ok(&job_json(&gateway.platform.job(&exchange.caller, &namespace, &id).await?)))
}

pub(crate) async fn cancel(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let (namespace, id) = (exchange.managed_namespace()?, exchange.capture(0)?);
    Ok(reply::ok(&job_json(&gateway.platform.cancel_job(&exchange.caller, &namespace, &id).await?)))
}

/// A result that is text is shown as such, anything else in base64.
fn job_json(job: &JobView) -> Value {
    let mut shown = json!({
        "id": job.id,
        "function": job.function.to_string(),
        "status": job.status,
        "progress": job.progress,
        "run_at": job.run_at,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "completed_at": job.completed_at,
        "error": job.error,
    });
    match job.result.as_deref().map(std::str::from_utf8) {
        None => {}
        Some(Ok(text)) => shown["result"] = json!(text),
        Some(Err(_)) => shown["result_base64"] = json!(STANDARD.encode(job.result.as_deref().unwrap_or_default())),
    }
    shown
}

/// What `GET /v1/limits` says.
pub(super) fn limits() -> Value {
    json!({
        "payload_bytes": JOB_INPUT_BYTES_MAX,
        "result_bytes": JOB_RESULT_BYTES_MAX,
        "waiting": JOBS_WAITING_MAX,
        "run_at_seconds_ahead": JOB_AHEAD_MAX.as_secs(),
        "kept_seconds": JOB_AGE_MAX.as_secs(),
        "kept": JOBS_ENDED_MAX,
        "kept_result_bytes": JOB_RESULTS_BYTES_MAX,
    })
}
