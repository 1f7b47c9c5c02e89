//! Which names are being ordered, which rest after a failure, and how many were ordered on demand lately.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use domain::Timestamp;
use tokio::sync::watch;

/// The window in which orders on demand are counted.
const HOUR: Duration = Duration::from_secs(3600);
/// The first pause after an order that failed; each further one is twice as long, up to a longest.
const UNAVAILABLE_PAUSE: Duration = Duration::from_secs(5);
const UNAVAILABLE_PAUSE_MAX: Duration = Duration::from_secs(3600);
/// An authority that refuses counts how often it did.
const REFUSED_PAUSE: Duration = Duration::from_secs(300);
const REFUSED_PAUSE_MAX: Duration = Duration::from_secs(86_400);
/// When nothing was heard of a name for so long after its pause, its failures are forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(2 * 86_400);

/// Why somebody who asked for a name gets no certificate for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoCertificate {
    /// Nothing here has this name, or certificates are not ordered for it.
    #[error("there is no such name here")]
    NoSuchName,
    /// As many as may be in an hour, or this one failed lately.
    #[error("no more orders for now")]
    TooMany,
    #[error("the order failed")]
    Failed,
}

/// Waits for the end of an order, however it ends.
pub(super) struct Waiter(watch::Receiver<()>);

impl Waiter {
    pub(super) async fn ended(mut self) {
        // The other end is dropped, never written to.
        while self.0.changed().await.is_ok() {}
    }
}

#[derive(Debug, Default)]
pub(super) struct Orders {
    under_way: HashMap<String, watch::Sender<()>>,
    resting: HashMap<String, Rest>,
    /// When orders on demand began, oldest first.
    on_demand: VecDeque<Timestamp>,
}

#[derive(Debug)]
struct Rest {
    failures: u32,
    until: Timestamp,
}

impl Orders {
    /// Waits with those who asked before, if the name is being ordered.
    pub(super) fn join(&self, name: &str) -> Option<Waiter> {
        self.under_way.get(name).map(|ended| Waiter(ended.subscribe()))
    }

    pub(super) fn begin_on_demand(
        &mut self,
        name: &str,
        now: Timestamp,
        per_hour: usize,
    ) -> Result<Waiter, NoCertificate> {
        if let Some(waiter) = self.join(name) {
            return Ok(waiter);
        }
        while self.on_demand.front().is_some_and(|began| *began + HOUR <= now) {
            self.on_demand.pop_front();
        }
        if self.is_resting(name, now) || self.on_demand.len() >= per_hour {
            return Err(NoCertificate::TooMany);
        }
        self.on_demand.push_back(now);
        Ok(self.begin(name))
    }

    /// Marks a name as under way, unless it is or rests.
    pub(super) fn begin_due(&mut self, name: &str, now: Timestamp) -> bool {
        let free = !self.under_way.contains_key(name) && !self.is_resting(name, now);
        if free {
            self.begin(name);
        }
        free
    }

    fn begin(&mut self, name: &str) -> Waiter {
        let (ended, waiter) = watch::channel(());
        self.under_way.insert(name.to_owned(), ended);
        Waiter(waiter)
    }

    fn is_resting(&self, name: &str, now: Timestamp) -> bool {
        self.resting.get(name).is_some_and(|rest| rest.until > now)
    }

    pub(super) fn succeeded(&mut self, name: &str) {
        self.resting.remove(name);
    }

    /// Lets the name rest, and says for how long.
    pub(super) fn failed(&mut self, name: &str, refused: bool, now: Timestamp) -> Duration {
        let failures = self.resting.get(name).map_or(0, |rest| rest.failures);
        let (first, most) = match refused {
            true => (REFUSED_PAUSE, REFUSED_PAUSE_MAX),
            false => (UNAVAILABLE_PAUSE, UNAVAILABLE_PAUSE_MAX),
        };
        let wait = first.saturating_mul(1 << failures.min(16)).min(most);
        self.resting.insert(name.to_owned(), Rest { failures: failures + 1, until: now + wait });
        wait
    }

    /// Wakes those who wait.
    pub(super) fn end(&mut self, name: &str) {
        self.under_way.remove(name);
    }

    /// When the loop has to look at a name again that is due at `at`; `None` while it is being ordered.
    pub(super) fn next_moment(&self, name: &str, at: Timestamp) -> Option<Timestamp> {
        if self.under_way.contains_key(name) {
            return None;
        }
        Some(self.resting.get(name).map_or(at, |rest| rest.until.max(at)))
    }

    /// Names come from outside: what is over must not pile up.
    pub(super) fn forget_old(&mut self, now: Timestamp) {
        self.resting.retain(|_, rest| rest.until + FORGET_AFTER > now);
    }
}
