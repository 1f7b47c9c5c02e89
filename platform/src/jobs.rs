//! Timers and background jobs: calls that somebody asked for, to be made at a time or as soon as there is room.
//!
//! A job is a row that says what became of it, and a delivery that carries it out; both are written together, see
//! [`ports::JobRows`]. `run.rs` makes the call, `house.rs` is what functions see. In memory is only what concerns jobs that run: how
//! far they are, and how to stop them. The call has no caller but the platform: whoever asked may be gone by then.
//!
//! Jobs that ask for jobs are bounded like messages that trigger messages: each stands one deeper, and too deep is refused. What is
//! asked for at least [`TIMER_MIN`] ahead begins anew, as all that a clock fires: such a chain may go on for ever, one link in that
//! time and with no more jobs waiting than a namespace may have.

mod house;
mod run;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use domain::{Caller, Error, ErrorCode, FunctionRef, Namespace, Scope, TRIGGER_DEPTH_MAX, Timestamp, TriggerKind};
use ports::{Cancelled, Delivery, JOB_INPUT_BYTES_MAX, JobStatus, JobView, JobsQuery, RegistryError};
use tokio::sync::Notify;

use crate::authorise::{self, lacks, unknown_function};
use crate::functions::unknown_version;
use crate::identity::not_changed;
use crate::lease::Lease;
use crate::{Platform, internal};

/// Jobs of a namespace that have not ended.
pub const JOBS_WAITING_MAX: u64 = 10_000;
/// The largest result that is kept.
pub const JOB_RESULT_BYTES_MAX: usize = 1 << 20;
/// How long jobs that ended are kept, and how many and how much of one namespace.
pub const JOB_AGE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
pub const JOBS_ENDED_MAX: u64 = 10_000;
pub const JOB_RESULTS_BYTES_MAX: u64 = 256 << 20;
/// How far ahead a job can be asked for: ten years.
pub const JOB_AHEAD_MAX: Duration = Duration::from_secs(3653 * 24 * 3600);
/// What is asked for no sooner than this is a matter of the clock, and no link of a chain.
const TIMER_MIN: Duration = Duration::from_secs(1);
/// After so many bytes of results what is too much is looked for at once, and not at the next tidying.
const TIDY_BYTES: u64 = 64 << 20;
/// The longest error that is kept, in bytes.
const ERROR_BYTES_MAX: usize = 4096;

/// A job that is asked for.
#[derive(Debug, Clone)]
pub struct NewJob {
    pub namespace: Namespace,
    pub function: FunctionRef,
    pub input: Bytes,
    /// `None`: as soon as there is room. A time that has passed means the same.
    pub run_at: Option<Timestamp>,
}

/// What became of jobs since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JobCounts {
    pub running: u64,
    pub completed: u64,
    pub failed: u64,
    pub cancelled: u64,
}

/// The jobs that run on this node, and what is counted of all.
#[derive(Default)]
pub(crate) struct RunningJobs {
    running: Mutex<HashMap<String, Arc<Running>>>,
    completed: AtomicU64,
    failed: AtomicU64,
    cancelled: AtomicU64,
    /// Of results that were written since the last tidying.
    results_bytes: AtomicU64,
}

/// A job that runs.
#[derive(Default)]
struct Running {
    progress: AtomicU8,
    stop: Notify,
}

/// The entry of a job that runs; dropped, it runs no more.
struct Entry<'a> {
    jobs: &'a RunningJobs,
    id: &'a str,
    running: Arc<Running>,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.jobs.running.lock().expect("no holder panics").remove(self.id);
    }
}

impl RunningJobs {
    fn enter<'a>(&'a self, id: &'a str) -> Entry<'a> {
        let running = Arc::<Running>::default();
        self.running.lock().expect("no holder panics").insert(id.to_owned(), running.clone());
        Entry { jobs: self, id, running }
    }

    fn find(&self, id: &str) -> Option<Arc<Running>> {
        self.running.lock().expect("no holder panics").get(id).cloned()
    }

    /// How far a job is that runs is known here alone.
    fn with_progress(&self, view: JobView) -> JobView {
        match self.find(&view.id).filter(|_| view.status == JobStatus::Running) {
            Some(running) => JobView { progress: running.progress.load(Ordering::Relaxed), ..view },
            None => view,
        }
    }

    pub(crate) fn counts(&self) -> JobCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        JobCounts {
            running: self.running.lock().expect("no holder panics").len() as u64,
            completed: read(&self.completed),
            failed: read(&self.failed),
            cancelled: read(&self.cancelled),
        }
    }
}

/// Does this delivery carry out a job?
pub(crate) fn is_job(delivery: &Delivery) -> bool {
    delivery.trigger.is_none() && matches!(delivery.kind, TriggerKind::Job | TriggerKind::Timer)
}

impl Platform {
    /// May the caller ask for jobs in a namespace? For who must know before reading the payload.
    pub fn may_enqueue_jobs(&self, caller: &Caller, namespace: &Namespace) -> Result<(), Error> {
        self.manage(caller, Scope::Invoke, namespace).map(drop)
    }

    /// Accepts a job; it is on disk when this returns.
    pub async fn enqueue_job(self: &Arc<Self>, caller: &Caller, new: NewJob) -> Result<JobView, Error> {
        let lease = self.manage(caller, Scope::Invoke, &new.namespace)?;
        {
            let functions = self.functions.load();
            let unknown = || unknown_function(new.function.name.as_str());
            let function = functions.find(&new.namespace, &new.function.name).ok_or_else(unknown)?;
            authorise::call(caller, &function.active().version)?;
        }
        self.owe_job(lease, new, 0).await
    }

    /// One job with its result. Whoever may ask for jobs may see what became of them.
    pub async fn job(&self, caller: &Caller, namespace: &Namespace, id: &str) -> Result<JobView, Error> {
        let lease = match self.manage(caller, Scope::Deploy, namespace) {
            Err(refused) if refused.code == ErrorCode::Forbidden => {
                self.manage(caller, Scope::Invoke, namespace).map_err(|_| lacks(Scope::Invoke))?
            }
            decided => decided?,
        };
        let _held = lease.hold()?;
        self.known_job(namespace, id).await
    }

    /// Jobs of a namespace, the last that was asked for first, without their results.
    pub async fn jobs(&self, caller: &Caller, query: &JobsQuery) -> Result<Vec<JobView>, Error> {
        let lease = self.manage(caller, Scope::Deploy, &query.namespace)?;
        let _held = lease.hold()?;
        let found = self.registry.jobs(query).await.map_err(|error| not_changed("list jobs", error))?;
        Ok(found.into_iter().map(|view| self.jobs.with_progress(view)).collect())
    }

    /// Cancels a job: one that waits is forgotten, one that runs is ended. One that has ended is a conflict.
    pub async fn cancel_job(
        self: &Arc<Self>,
        caller: &Caller,
        namespace: &Namespace,
        id: &str,
    ) -> Result<JobView, Error> {
        let lease = self.manage(caller, Scope::Deploy, namespace)?;
        self.stop_job(lease, namespace, id).await?;
        self.known_job(namespace, id).await
    }

    async fn known_job(&self, namespace: &Namespace, id: &str) -> Result<JobView, Error> {
        let found = self.registry.job(namespace, id).await.map_err(|error| not_changed("read a job", error))?;
        found.map(|view| self.jobs.with_progress(view)).ok_or_else(unknown_job)
    }

    /// Writes a job, as deep as `depth` unless a clock begins it.
    async fn owe_job(self: &Arc<Self>, lease: Arc<Lease>, new: NewJob, depth: u8) -> Result<JobView, Error> {
        self.check_job(&new)?;
        let delivery = delivery_of(new, depth, self.clock.now())?;
        let view = view_of(&delivery);
        let platform = self.clone();
        // On a task of its own: who asks may go away, and what is written must be counted and dispatched all the same.
        let writing = tokio::spawn(async move {
            let _held = lease.hold()?;
            let write = platform.registry.create_job(delivery.clone(), JOBS_WAITING_MAX);
            let write = async { write.await.map(|()| true).map_err(|error| not_enqueued(&delivery, error)) };
            platform.triggers.owe(&delivery.namespace, std::slice::from_ref(&delivery), write).await
        });
        writing.await.map_err(|panicked| internal("enqueue a job", panicked))??;
        Ok(view)
    }

    fn check_job(&self, new: &NewJob) -> Result<(), Error> {
        let size = new.input.len();
        if size > JOB_INPUT_BYTES_MAX {
            let message = format!("the payload is {size} bytes, the limit is {JOB_INPUT_BYTES_MAX}");
            return Err(Error::new(ErrorCode::PayloadTooLarge, message).hint("store it, and let the job fetch it"));
        }
        let functions = self.functions.load();
        let unknown = || unknown_function(new.function.name.as_str());
        let function = functions.find(&new.namespace, &new.function.name).ok_or_else(unknown)?;
        match new.function.version.is_none_or(|version| function.versions.contains_key(&version)) {
            true => Ok(()),
            false => Err(unknown_version(&new.function)),
        }
    }

    async fn stop_job(self: &Arc<Self>, lease: Arc<Lease>, namespace: &Namespace, id: &str) -> Result<(), Error> {
        let (platform, namespace, id) = (self.clone(), namespace.clone(), id.to_owned());
        // On a task of its own: between the row and the call that runs nobody may go away.
        let stopping = tokio::spawn(async move {
            let _held = lease.hold()?;
            let cancelled = platform.registry.cancel_job(&namespace, &id, platform.clock.now()).await;
            match cancelled {
                Ok(Cancelled::Withdrawn { bytes }) => platform.triggers.withdrawn(&namespace, bytes),
                Ok(Cancelled::Begun) => platform.jobs.find(&id).iter().for_each(|running| running.stop.notify_one()),
                Ok(Cancelled::Ended(status)) => return Err(has_ended(status)),
                Err(RegistryError::NotFound) => return Err(unknown_job()),
                Err(error) => return Err(not_changed("cancel a job", error)),
            }
            platform.jobs.cancelled.fetch_add(1, Ordering::Relaxed);
            tracing::info!(%namespace, job = id, "job cancelled");
            Ok(())
        });
        stopping.await.map_err(|panicked| internal("cancel a job", panicked))?
    }

    /// Forgets jobs that ended long ago, and of each namespace what is too much.
    pub(crate) async fn tidy_jobs(&self) {
        self.jobs.results_bytes.store(0, Ordering::Relaxed);
        let now = self.clock.now();
        let before = now.checked_sub(JOB_AGE_MAX).unwrap_or(now);
        match self.registry.expire_jobs(before, JOBS_ENDED_MAX, JOB_RESULTS_BYTES_MAX).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "forgot jobs that had ended"),
            Err(cause) => tracing::warn!(cause = &cause as &dyn std::error::Error, "failed to expire jobs"),
        }
    }
}

fn delivery_of(new: NewJob, depth: u8, now: Timestamp) -> Result<Delivery, Error> {
    let NewJob { namespace, function, input, run_at } = new;
    let latest = now.checked_add(JOB_AHEAD_MAX).unwrap_or(Timestamp::MAX);
    if run_at.is_some_and(|at| at > latest) {
        return Err(Error::invalid("`run_at` lies more than ten years ahead").hint("is it in the unit that you meant?"));
    }
    let by_clock = run_at.is_some_and(|at| at >= now + TIMER_MIN);
    if !by_clock && depth > TRIGGER_DEPTH_MAX {
        let message = format!("jobs and triggers follow each other more than {TRIGGER_DEPTH_MAX} deep");
        let hint = "break the circle, or let the job run at a time: a second from now or later is no link of a chain";
        return Err(Error::new(ErrorCode::RateLimited, message).hint(hint));
    }
    let kind = if run_at.is_some() { TriggerKind::Timer } else { TriggerKind::Job };
    Ok(Delivery {
        depth: if by_clock { 0 } else { depth },
        // What should have run long ago passes nobody.
        due_at: run_at.map_or(now, |at| at.max(now)),
        ..Delivery::new(namespace, function, kind, input, now)
    })
}

fn view_of(delivery: &Delivery) -> JobView {
    JobView {
        id: delivery.id.clone(),
        function: delivery.function.clone(),
        status: JobStatus::Pending,
        progress: 0,
        run_at: delivery.due_at,
        created_at: delivery.created_at,
        started_at: None,
        completed_at: None,
        result: None,
        error: None,
    }
}

fn not_enqueued(delivery: &Delivery, error: RegistryError) -> Error {
    match error {
        RegistryError::NotFound => unknown_function(delivery.function.name.as_str()),
        RegistryError::Conflict(_) => {
            let message = format!("{JOBS_WAITING_MAX} jobs of the namespace wait, and no more may");
            Error::new(ErrorCode::RateLimited, message)
                .retry_after(Duration::from_secs(1))
                .hint("wait until some have ended, or cancel some with `orama function jobs cancel ID`")
        }
        error => not_changed("enqueue a job", error),
    }
}

fn has_ended(status: JobStatus) -> Error {
    let what = match status {
        JobStatus::Cancelled => "the job was cancelled before".to_owned(),
        status => format!("the job has ended: it {}", status.as_str()),
    };
    Error::new(ErrorCode::Conflict, what)
}

fn unknown_job() -> Error {
    Error::not_found("no such job").hint("jobs that ended are forgotten after a while; see `orama function jobs list`")
}
