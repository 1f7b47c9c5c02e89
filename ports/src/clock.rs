//! Time, so that tests can hold it still.

use std::time::Instant;

use domain::Timestamp;

/// The wall clock and the monotonic clock.
pub trait Clock: Send + Sync {
    /// The wall clock: for records and expiry dates. May jump.
    fn now(&self) -> Timestamp;

    /// The monotonic clock: for deadlines and durations.
    fn instant(&self) -> Instant;
}

/// The clocks of the machine.
#[derive(Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }
}
