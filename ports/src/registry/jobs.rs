//! Timers and background jobs, and what became of them.
//!
//! A job is carried out by a delivery that has its id. Both are written in one transaction, and the delivery leaves the queue only
//! behind the end of its job: after a crash between the two the job is known to have ended, and is not carried out again.

use async_trait::async_trait;
use bytes::Bytes;
use domain::{FunctionName, Namespace, Timestamp};

use super::{Delivery, RegistryError};
use crate::{JobStatus, JobView};

/// Which jobs are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobsQuery {
    pub namespace: Namespace,
    pub function: Option<FunctionName>,
    pub status: Option<JobStatus>,
    /// Only those that are older than this one (an id).
    pub after: Option<String>,
    pub limit: usize,
}

/// How an attempt at a job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobEnd {
    /// It is made again later; the error is that of an attempt that failed.
    Again {
        error: Option<String>,
    },
    /// The result is left out when it is too large to be kept; the error says so then.
    Completed {
        result: Option<Bytes>,
        error: Option<String>,
        at: Timestamp,
    },
    Failed {
        error: String,
        progress: u8,
        at: Timestamp,
    },
}

/// What became of a job that was to be cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// It waited: its delivery, of so many bytes, has left the queue.
    Withdrawn { bytes: u64 },
    /// Its delivery was begun; whoever carries it out is to be stopped.
    Begun,
    /// It had ended before, and stays as it is.
    Ended(JobStatus),
}

#[async_trait]
pub trait JobRows: Send + Sync {
    /// Writes the job of a delivery, pending, together with the delivery. It is a conflict when `waiting_max` jobs of the namespace
    /// have not ended.
    async fn create_job(&self, delivery: Delivery, waiting_max: u64) -> Result<(), RegistryError>;

    /// A job with its result; `None` when the namespace has none of this id.
    async fn job(&self, namespace: &Namespace, id: &str) -> Result<Option<JobView>, RegistryError>;

    /// Jobs without their results, the last that was written first. Behind an id that nobody has there are none.
    async fn jobs(&self, query: &JobsQuery) -> Result<Vec<JobView>, RegistryError>;

    /// Notes that a job is being carried out; false when it has ended, or is not there.
    async fn start_job(&self, namespace: &Namespace, id: &str, now: Timestamp) -> Result<bool, RegistryError>;

    /// Notes how an attempt ended; false when the job had ended before, or is not there.
    async fn end_job(&self, namespace: &Namespace, id: &str, end: JobEnd) -> Result<bool, RegistryError>;

    /// Ends a job that has not ended, and withdraws its delivery unless that has begun.
    async fn cancel_job(&self, namespace: &Namespace, id: &str, now: Timestamp) -> Result<Cancelled, RegistryError>;

    /// What a process that is gone was carrying out waits again. Called once, at start; returns how many there were.
    async fn release_jobs(&self) -> Result<u64, RegistryError>;

    /// Forgets jobs that ended before `before`, and of each namespace what is more than `count_max` or has more than `bytes_max` of
    /// results, those that ended first; returns how many. Those that have not ended stay.
    async fn expire_jobs(&self, before: Timestamp, count_max: u64, bytes_max: u64) -> Result<u64, RegistryError>;
}
