use std::sync::Mutex;
use std::time::{Duration, Instant};

use domain::Timestamp;

use crate::Clock;

/// A clock that moves only when told to.
#[derive(Debug)]
pub struct ManualClock {
    started: (Timestamp, Instant),
    passed: Mutex<Duration>,
}

impl ManualClock {
    /// Starts at a fixed moment: 2026-01-01T00:00:00Z.
    pub fn new() -> Self {
        let start = Timestamp::from_second(1_767_225_600).expect("a date within range");
        Self { started: (start, Instant::now()), passed: Mutex::new(Duration::ZERO) }
    }

    pub fn advance(&self, by: Duration) {
        *self.passed.lock().expect("no holder panics") += by;
    }

    fn passed(&self) -> Duration {
        *self.passed.lock().expect("no holder panics")
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.started.0 + self.passed()
    }

    fn instant(&self) -> Instant {
        self.started.1 + self.passed()
    }
}
