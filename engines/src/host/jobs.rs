//! Calls that are made later or in the background. What was accepted survives a crash.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::{Error, ErrorCode, FunctionRef, Timestamp};
use ports::{JOB_INPUT_BYTES_MAX, JobStatus, JobView};
use serde::Serialize;

use super::json::{JsonText, envelope};
use super::{Host, InTime, Refused, TEXT_BYTES_MAX, check_size, text};

#[derive(Serialize)]
struct Shown {
    id: String,
    function: String,
    status: JobStatus,
    progress: u8,
    run_at: Timestamp,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl From<JobView> for Shown {
    fn from(job: JobView) -> Self {
        let (result, result_base64) = match job.result.map(|bytes| String::from_utf8(bytes.to_vec())) {
            None => (None, None),
            Some(Ok(text)) => (Some(text), None),
            Some(Err(bytes)) => (None, Some(STANDARD.encode(bytes.as_bytes()))),
        };
        Self {
            id: job.id,
            function: job.function.to_string(),
            status: job.status,
            progress: job.progress,
            run_at: job.run_at,
            created_at: job.created_at,
            started_at: job.started_at,
            completed_at: job.completed_at,
            result,
            result_base64,
            error: job.error,
        }
    }
}

impl Host {
    /// Calls a function once, at a time in milliseconds since 1970 or soon after; the job's id, nothing on failure.
    pub(crate) async fn schedule_once(&mut self, name: &[u8], input: &[u8], at_ms: i64) -> InTime<Option<Bytes>> {
        let at = Timestamp::from_millisecond(at_ms)
            .map_err(|_| Error::invalid(format!("{at_ms} ms since 1970 is no time that can be kept")));
        let accepted = match at.and_then(|at| Ok((at, job_of(name, input)?))) {
            Ok((at, job)) => self.enqueued(job, Some(at)).await?,
            Err(refused) => Err(refused),
        };
        Ok(self.succeeded("schedule_once", accepted).map(Bytes::from))
    }

    /// Calls a function as soon as there is room; the job's id, nothing on failure.
    pub(crate) async fn enqueue_background(&mut self, name: &[u8], input: &[u8]) -> InTime<Option<Bytes>> {
        let accepted = match job_of(name, input) {
            Ok(job) => self.enqueued(job, None).await?,
            Err(refused) => Err(refused),
        };
        Ok(self.succeeded("enqueue_background", accepted).map(Bytes::from))
    }

    /// What is known of a job, or an error, as JSON.
    pub(crate) async fn job_status(&mut self, id: &[u8]) -> InTime<Bytes> {
        let known = match id_of(id) {
            Ok(id) => self.in_time(self.services.jobs.get(&self.context, id)).await?,
            Err(refused) => Err(refused),
        };
        let shown = known.and_then(|job| {
            let mut json = JsonText::new(self.memory_bytes_max());
            let written = json.value(&Shown::from(job)).map(|()| json.finish());
            written.map_err(|_too_large| {
                Error::new(ErrorCode::ResultTooLarge, "the result of the job does not fit into the function's memory")
            })
        });
        Ok(shown.unwrap_or_else(|error| envelope(&Refused::from(&error))))
    }

    /// Ends or forgets a job; false when there is none, or when it has ended.
    pub(crate) async fn job_cancel(&mut self, id: &[u8]) -> InTime<bool> {
        let cancelled = match id_of(id) {
            Ok(id) => self.in_time(self.services.jobs.cancel(&self.context, id)).await?,
            Err(refused) => Err(refused),
        };
        Ok(self.succeeded("job_cancel", cancelled).is_some())
    }

    /// Says how far the job is that this call carries out; false when it carries out none.
    pub(crate) async fn job_progress(&mut self, percent: i64) -> InTime<bool> {
        let reported = match self.percent_of(percent) {
            Ok(percent) => self.in_time(self.services.jobs.report(&self.context, percent)).await?,
            Err(refused) => Err(refused),
        };
        Ok(self.succeeded("job_progress", reported).is_some())
    }

    async fn enqueued(
        &self,
        (function, input): (FunctionRef, Bytes),
        at: Option<Timestamp>,
    ) -> InTime<Result<String, Error>> {
        self.in_time(self.services.jobs.enqueue(&self.context, &function, input, at)).await
    }

    fn percent_of(&self, percent: i64) -> Result<u8, Error> {
        if self.context.job.is_none() {
            return Err(Error::invalid("the call carries out no job"));
        }
        let known = u8::try_from(percent).ok().filter(|percent| *percent <= 100);
        known.ok_or_else(|| Error::invalid(format!("{percent} is no percentage; use 0 to 100")))
    }
}

fn job_of(name: &[u8], input: &[u8]) -> Result<(FunctionRef, Bytes), Error> {
    let name = text("name of the function", name, TEXT_BYTES_MAX)?;
    check_size("input", input, JOB_INPUT_BYTES_MAX)?;
    let function = FunctionRef::parse(name).map_err(|refused| Error::invalid(refused.to_string()))?;
    Ok((function, Bytes::copy_from_slice(input)))
}

fn id_of(bytes: &[u8]) -> Result<&str, Error> {
    text("id of the job", bytes, TEXT_BYTES_MAX)
}
