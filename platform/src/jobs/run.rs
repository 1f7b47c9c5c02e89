//! Carries out jobs.
//!
//! What became of a job is written before its delivery leaves the queue, and a job is begun only if it has not ended. So a crash
//! at any moment makes the call again or finds that it was made, and whoever cancels decides by the row alone.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use domain::{ErrorCode, Timestamp};
use ports::{Delivery, DeliveryEnd, JobEnd};

use super::{ERROR_BYTES_MAX, JOB_RESULT_BYTES_MAX, TIDY_BYTES};
use crate::Platform;
use crate::invoke::Owed;
use crate::lease::Lease;
use crate::triggers::dispatcher::{BEGUN_MAX, invoke_of, verdict};

/// The pause after the registry failed.
const PAUSE: Duration = Duration::from_secs(1);

impl Platform {
    /// Carries out the job of a delivery, once, and says what becomes of the delivery. `None` when the end of the job could not be
    /// written until the node stopped: it is carried out again.
    pub(crate) async fn carry_out(self: &Arc<Self>, delivery: &Delivery, lease: &Lease) -> Option<DeliveryEnd> {
        // Held until the end is written, so that the namespace is the one for which the call was owed.
        let Ok(_held) = lease.hold() else { return Some(DeliveryEnd::Later(self.clock.now())) };
        if delivery.begun > BEGUN_MAX {
            let why = format!("the server stopped {BEGUN_MAX} times while this job ran");
            return self.write_job_end(delivery, self.failed(why, 0), DeliveryEnd::Done).await;
        }
        let entry = self.jobs.enter(&delivery.id);
        let now = self.clock.now();
        match self.registry.start_job(&delivery.namespace, &delivery.id, now).await {
            Ok(true) => {}
            // It was cancelled, or it had ended before a crash.
            Ok(false) => return Some(DeliveryEnd::Done),
            Err(cause) => {
                tracing::warn!(cause = &cause as &dyn std::error::Error, job = delivery.id, "failed to begin a job");
                return Some(DeliveryEnd::Later(now + PAUSE));
            }
        }
        let invoke = invoke_of(std::slice::from_ref(delivery));
        let owed = tokio::select! {
            owed = self.invoke_owed(&invoke) => owed,
            () = entry.running.stop.notified() => return Some(DeliveryEnd::Done),
        };
        let (end, delivery_end) = self.end_of_job(delivery, owed, entry.running.progress.load(Ordering::Relaxed));
        self.write_job_end(delivery, end, delivery_end).await
    }

    fn end_of_job(&self, delivery: &Delivery, owed: Owed, progress: u8) -> (JobEnd, DeliveryEnd) {
        let now = self.clock.now();
        let error = match owed.result {
            Ok(success) => return (completed(success.body, now), DeliveryEnd::Done),
            Err(error) => error,
        };
        let retry = owed.live.map(|live| live.version.manifest.retry);
        let shown = || format!("{}: {}", error.code, error.message);
        // Somebody looks at a job, and hears why: it does not wait for its function to be switched on.
        let waits = error.code != ErrorCode::FunctionUnavailable;
        match verdict(delivery, &error, retry, now).filter(|_| waits) {
            Some(again @ DeliveryEnd::Retry(_)) => (JobEnd::Again { error: Some(cut(shown())) }, again),
            Some(later) => (JobEnd::Again { error: None }, later),
            None => (self.failed(shown(), progress), DeliveryEnd::Done),
        }
    }

    fn failed(&self, why: String, progress: u8) -> JobEnd {
        JobEnd::Failed { error: cut(why), progress, at: self.clock.now() }
    }

    /// However often it takes: the delivery must not leave the queue before.
    async fn write_job_end(&self, delivery: &Delivery, end: JobEnd, delivery_end: DeliveryEnd) -> Option<DeliveryEnd> {
        loop {
            match self.registry.end_job(&delivery.namespace, &delivery.id, end.clone()).await {
                Ok(true) => {
                    self.count_end(&end).await;
                    return Some(delivery_end);
                }
                // It was cancelled meanwhile.
                Ok(false) => return Some(DeliveryEnd::Done),
                Err(cause) => {
                    let job = &delivery.id;
                    tracing::warn!(cause = &cause as &dyn std::error::Error, job, "failed to write the end of a job");
                }
            }
            if self.draining.load(Ordering::SeqCst) {
                return None;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn count_end(&self, end: &JobEnd) {
        match end {
            JobEnd::Again { .. } => {}
            JobEnd::Failed { .. } => {
                self.jobs.failed.fetch_add(1, Ordering::Relaxed);
            }
            JobEnd::Completed { result, .. } => {
                self.jobs.completed.fetch_add(1, Ordering::Relaxed);
                let bytes = result.as_ref().map_or(0, Bytes::len) as u64;
                if self.jobs.results_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes > TIDY_BYTES {
                    self.tidy_jobs().await;
                }
            }
        }
    }
}

/// A result that is too large to be kept is no failure: the job is done.
fn completed(result: Bytes, at: Timestamp) -> JobEnd {
    let size = result.len();
    let too_large = size > JOB_RESULT_BYTES_MAX;
    let error = format!("the result was not kept: it is {size} bytes, the limit is {JOB_RESULT_BYTES_MAX}");
    JobEnd::Completed { result: (!too_large).then_some(result), error: too_large.then_some(error), at }
}

/// No longer than errors are kept.
fn cut(mut error: String) -> String {
    if error.len() > ERROR_BYTES_MAX {
        error.truncate(error.floor_char_boundary(ERROR_BYTES_MAX));
        error.push('…');
    }
    error
}
