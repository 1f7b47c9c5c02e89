//! Calls that are made later or in the background. What was accepted survives a crash.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::{Error, db, host, text};

/// Calls that are made later or in the background.
#[derive(Debug, Clone, Copy, Default)]
pub struct Jobs;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobStatus {
    Pending,
    Running,
    Completed,
    Failed,
    Cancelled,
}

/// What is known of a job. Times are as RFC 3339 writes them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Job {
    pub id: String,
    pub function: String,
    pub status: JobStatus,
    /// 0 to 100, as the job itself says.
    pub progress: u8,
    pub run_at: String,
    pub created_at: String,
    pub started_at: Option<String>,
    pub completed_at: Option<String>,
    #[serde(skip)]
    pub result: Option<Vec<u8>>,
    /// Why it failed.
    pub error: Option<String>,
}

impl Jobs {
    /// Calls a function of the namespace once, at a time or soon after; returns the job's id. Why it was refused is in the log of the
    /// call.
    pub fn schedule_once(&self, name: &str, input: &[u8], at: SystemTime) -> Result<String, Error> {
        let ms = at.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
        id_of(host::schedule_once(name, input, ms))
    }

    /// Calls a function as soon as there is room; returns the job's id.
    pub fn enqueue(&self, name: &str, input: &[u8]) -> Result<String, Error> {
        id_of(host::enqueue_background(name, input))
    }

    pub fn status(&self, id: &str) -> Result<Job, Error> {
        read(&host::job_status(id))
    }

    /// Ends a job that runs, or forgets one that waits; false when there is none, or when it has ended.
    pub fn cancel(&self, id: &str) -> bool {
        host::job_cancel(id)
    }

    /// Says how far the job is that this call carries out, in percent; false when it carries out none.
    pub fn progress(&self, percent: u8) -> bool {
        host::job_progress(percent.into())
    }
}

fn id_of(answer: Vec<u8>) -> Result<String, Error> {
    match answer.is_empty() {
        true => Err(Error::new("the job was refused; why is in the log")),
        false => Ok(text(answer)),
    }
}

fn read(answer: &[u8]) -> Result<Job, Error> {
    #[derive(Deserialize)]
    struct Rest {
        code: Option<String>,
        error: Option<String>,
        result: Option<String>,
        result_base64: Option<String>,
    }
    let Rest { code, error, result, result_base64 } = db::read(answer)?;
    // A job that failed has an error without a code.
    if let Some(code) = code {
        return Err(Error::coded(code, error.unwrap_or_default()));
    }
    let decoded = result_base64.map(|encoded| STANDARD.decode(encoded).map_err(Error::unreadable)).transpose()?;
    Ok(Job { result: result.map(String::into_bytes).or(decoded), ..db::read(answer)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = r#""id":"j","function":"f","progress":100,"run_at":"a","created_at":"b""#;

    #[test]
    fn a_job_is_read_with_its_result() {
        let job = |rest: &str| read(format!("{{{HEAD},{rest}}}").as_bytes()).expect("a job");
        assert_eq!(job(r#""status":"completed","result":"{}""#).result, Some(b"{}".to_vec()));
        assert_eq!(job(r#""status":"completed","result_base64":"AP8=""#).result, Some(vec![0, 255]));
        let failed = job(r#""status":"failed","error":"it trapped""#);
        assert_eq!((failed.status, failed.error.as_deref()), (JobStatus::Failed, Some("it trapped")));
    }

    #[test]
    fn no_job_is_an_error_with_a_code() {
        let missing = read(br#"{"error":"no such job","code":"NOT_FOUND"}"#).expect_err("there is none");
        assert_eq!(missing, Error::coded("NOT_FOUND", "no such job"));
        assert!(Jobs.enqueue("f", b"").is_err());
    }
}
