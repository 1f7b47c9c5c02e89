//! Whose long read runs now.
//!
//! A long read has a thread of its own, but of all those threads only a few run at any moment: as many as the machine has
//! processors. A statement that had its slice passes the place on at its next pause, and waits until it is next again; so
//! every database with work gets the same time ([`order`]), and one that comes late does not wait for the others to end.
//! SQLite cannot put a statement aside, but its progress handler may block: that is where a statement waits, and where its
//! deadline finds it.

mod order;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use domain::Namespace;

use self::order::Order;
use super::guard::Stopped;

/// How long a statement runs before others get their turn.
const SLICE: Duration = Duration::from_millis(50);

/// The turns of all databases.
#[derive(Debug)]
pub(super) struct Turns {
    order: Mutex<Order<Namespace, Arc<Condvar>>>,
}

impl Turns {
    pub(super) fn new(running_max: usize) -> Self {
        Self { order: Mutex::new(Order::new(running_max)) }
    }

    fn order(&self) -> Locked<'_> {
        self.order.lock().expect("no holder panics")
    }

    /// Has everybody who waits look again whether the database is being closed.
    pub(super) fn wake(&self) {
        self.order().waiting().for_each(|bell| bell.notify_one());
    }
}

type Locked<'a> = MutexGuard<'a, Order<Namespace, Arc<Condvar>>>;

fn hand_out(order: &mut Locked<'_>) {
    while let Some(bell) = order.next() {
        bell.notify_one();
    }
}

/// The place of one connection among all that take turns; its statements run one at a time.
#[derive(Debug)]
pub(super) struct Place {
    turns: Arc<Turns>,
    namespace: Namespace,
    closing: Arc<AtomicBool>,
    /// Since when it runs; `None` while it does not.
    since: Mutex<Option<Instant>>,
}

impl Place {
    pub(super) fn new(turns: Arc<Turns>, namespace: Namespace, closing: Arc<AtomicBool>) -> Self {
        Self { turns, namespace, closing, since: Mutex::new(None) }
    }

    fn since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.since.lock().expect("no holder panics")
    }

    /// Waits until it is this one's turn.
    pub(super) fn take(&self, deadline: Instant) -> Result<(), Stopped> {
        self.wait(self.turns.order(), deadline)
    }

    /// Once the slice is over, lets those run who are before this one, and waits for the next turn.
    pub(super) fn pass_on(&self, deadline: Instant) -> Result<(), Stopped> {
        let ran = self.since().map(|since| since.elapsed());
        let Some(took) = ran.filter(|took| *took >= SLICE) else {
            return Ok(());
        };
        let mut order = self.turns.order();
        *self.since() = None;
        order.give_back(&self.namespace, took);
        self.wait(order, deadline)
    }

    fn wait(&self, mut order: Locked<'_>, deadline: Instant) -> Result<(), Stopped> {
        let bell = Arc::new(Condvar::new());
        let number = order.line_up(&self.namespace, bell.clone());
        hand_out(&mut order);
        while order.is_waiting(&self.namespace, number) {
            let left = deadline.saturating_duration_since(Instant::now());
            if let Some(stopped) = self.stopped(left) {
                order.step_out(&self.namespace, number);
                return Err(stopped);
            }
            order = bell.wait_timeout(order, left).expect("no holder panics").0;
        }
        *self.since() = Some(Instant::now());
        Ok(())
    }

    fn stopped(&self, left: Duration) -> Option<Stopped> {
        match () {
            () if self.closing.load(Ordering::Acquire) => Some(Stopped::Closing),
            () if left.is_zero() => Some(Stopped::Deadline),
            () => None,
        }
    }

    /// The statement has ended.
    pub(super) fn give_back(&self) {
        let began = self.since().take();
        if let Some(since) = began {
            let mut order = self.turns.order();
            order.give_back(&self.namespace, since.elapsed());
            hand_out(&mut order);
        }
    }
}
