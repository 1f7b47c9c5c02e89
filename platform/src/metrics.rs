//! What the platform counts. Labels are bounded: no name of a function or a tenant is one.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use domain::Status;
use ports::PubSubCounts;

use crate::permits::Permits;

/// The upper bounds of the duration histogram, in seconds.
pub const DURATION_BOUNDS_SECONDS: [f64; 12] =
    [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 300.0];

#[derive(Default)]
pub(crate) struct Metrics {
    success: AtomicU64,
    error: AtomicU64,
    timeout: AtomicU64,
    refused: AtomicU64,
    duration_us: AtomicU64,
    durations: [AtomicU64; DURATION_BOUNDS_SECONDS.len()],
    records_written: AtomicU64,
    records_lost: AtomicU64,
    records_pending: AtomicU64,
    log_failing: AtomicBool,
}

/// The counters at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MetricsSnapshot {
    pub calls_success: u64,
    pub calls_error: u64,
    pub calls_timeout: u64,
    /// Calls turned away before they ran: unknown, not allowed, no place free.
    pub calls_refused: u64,
    pub calls_running: u64,
    pub calls_queued: u64,
    /// Time of all calls together.
    pub duration_sum: Duration,
    /// How many calls took at most `DURATION_BOUNDS_SECONDS[i]`, and more than the bound before it.
    pub durations: Vec<u64>,
    pub records_written: u64,
    pub records_lost: u64,
    pub records_pending: u64,
    pub functions: u64,
    /// Triggers, and the calls that are owed because of them.
    pub deliveries: crate::triggers::DeliveryCounts,
    /// Slots of schedules that became calls, and those that the overlap policy or a disabled function left out.
    pub slots_fired: u64,
    pub slots_left_out: u64,
    pub jobs: crate::jobs::JobCounts,
    /// Live WebSockets of functions, and how many of them have an instance.
    pub sockets: u64,
    pub socket_instances: u64,
    pub pubsub: PubSubCounts,
}

impl Metrics {
    pub(crate) fn ended(&self, status: Status, duration: Duration) {
        let counter = match status {
            Status::Success => &self.success,
            Status::Error => &self.error,
            Status::Timeout => &self.timeout,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        self.duration_us.fetch_add(duration.as_micros() as u64, Ordering::Relaxed);
        let seconds = duration.as_secs_f64();
        if let Some(bucket) = DURATION_BOUNDS_SECONDS.iter().position(|bound| seconds <= *bound) {
            self.durations[bucket].fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn record_offered(&self) {
        self.records_pending.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn records_written(&self, count: u64) {
        self.records_written.fetch_add(count, Ordering::Relaxed);
        self.records_pending.fetch_sub(count, Ordering::Relaxed);
    }

    pub(crate) fn records_lost(&self, count: u64) {
        self.records_lost.fetch_add(count, Ordering::Relaxed);
        self.records_pending.fetch_sub(count, Ordering::Relaxed);
    }

    pub(crate) fn set_log_failing(&self, failing: bool) {
        self.log_failing.store(failing, Ordering::Relaxed);
    }

    pub(crate) fn log_failing(&self) -> bool {
        self.log_failing.load(Ordering::Relaxed)
    }

    pub(crate) fn snapshot(&self, functions: usize, permits: &Permits, pubsub: PubSubCounts) -> MetricsSnapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        MetricsSnapshot {
            calls_success: read(&self.success),
            calls_error: read(&self.error),
            calls_timeout: read(&self.timeout),
            calls_refused: read(&self.refused),
            calls_running: permits.running() as u64,
            calls_queued: permits.queued() as u64,
            duration_sum: Duration::from_micros(read(&self.duration_us)),
            durations: self.durations.iter().map(read).collect(),
            records_written: read(&self.records_written),
            records_lost: read(&self.records_lost),
            records_pending: read(&self.records_pending),
            functions: functions as u64,
            deliveries: crate::triggers::DeliveryCounts::default(),
            slots_fired: 0,
            slots_left_out: 0,
            jobs: crate::jobs::JobCounts::default(),
            sockets: 0,
            socket_instances: 0,
            pubsub,
        }
    }
}
