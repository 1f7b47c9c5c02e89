//! Requests that are sent without a pause until the server is gone, by number, and which of them were acknowledged.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::{Http, PATIENCE};

/// More than fit one group of a group commit that begins with the first of them.
const WRITERS: usize = 8;

/// Every number that was ever sent, and when it was acknowledged.
#[derive(Clone, Default)]
pub struct Sent {
    numbers: Arc<Mutex<BTreeMap<u64, Option<Instant>>>>,
    next: Arc<AtomicU64>,
}

impl Sent {
    pub fn numbers(&self) -> MutexGuard<'_, BTreeMap<u64, Option<Instant>>> {
        self.numbers.lock().expect("nobody panics with the book")
    }

    /// The first of so many numbers that nobody else gets.
    pub fn take(&self, count: u64) -> u64 {
        self.next.fetch_add(count, Ordering::Relaxed)
    }

    pub fn acknowledged(&self) -> usize {
        self.numbers().values().filter(|acknowledged| acknowledged.is_some()).count()
    }

    /// What was acknowledged since a cut began counts as unanswered: see [`super::cut_power`].
    pub fn doubt_since(&self, cut_at: Instant) {
        self.numbers().values_mut().filter(|at| at.is_some_and(|at| at >= cut_at)).for_each(|at| *at = None);
    }

    /// Sends one request that is about these numbers. When it was sent, if there was no answer; nothing else if it could not even be
    /// sent. The error ends the writer.
    pub fn send(&self, http: &Http, path: &str, body: &str, numbers: &[u64]) -> Result<(), Option<Instant>> {
        self.note(numbers, None);
        let headers = [("content-type", "application/json")];
        let exchange = http.open("POST", path, &headers, body.as_bytes()).map_err(|_| None)?;
        let sent_at = Instant::now();
        match exchange.reply() {
            Ok(reply) if reply.status == 200 => self.note(numbers, Some(Instant::now())),
            // A server whose disk is gone says that it failed.
            Ok(reply) => {
                assert!(reply.status >= 500, "{reply:?}");
                return Err(Some(sent_at));
            }
            Err(_) => return Err(Some(sent_at)),
        }
        Ok(())
    }

    fn note(&self, numbers: &[u64], acknowledged: Option<Instant>) {
        self.numbers().extend(numbers.iter().map(|number| (*number, acknowledged)));
    }

    /// Starts writers; each sends again and again until that fails.
    pub fn write(&self, send: impl Fn() -> Result<(), Option<Instant>> + Clone + Send + 'static) -> Writers {
        let until_gone = |_| {
            let send = send.clone();
            std::thread::spawn(move || {
                loop {
                    if let Err(unanswered) = send() {
                        return unanswered;
                    }
                }
            })
        };
        Writers { sent: self.clone(), before: self.acknowledged(), threads: (0..WRITERS).map(until_gone).collect() }
    }
}

pub struct Writers {
    pub sent: Sent,
    before: usize,
    threads: Vec<JoinHandle<Option<Instant>>>,
}

impl Writers {
    /// Returns some time after a number of requests was acknowledged.
    pub fn wait_for(&self, count: usize, longer: Duration) {
        let deadline = Instant::now() + PATIENCE;
        while self.sent.acknowledged() < self.before + count {
            assert!(Instant::now() < deadline, "requests are acknowledged");
            assert!(self.threads.iter().any(|thread| !thread.is_finished()), "every writer gave up");
            std::thread::yield_now();
        }
        let end = Instant::now() + longer;
        while Instant::now() < end {
            std::thread::yield_now();
        }
    }

    /// After the server has ended: how many requests had been sent and not answered at its end.
    pub fn join(self, end: Instant) -> usize {
        let sent = self.threads.into_iter().map(|thread| thread.join().expect("what writers see is right"));
        sent.flatten().filter(|sent_at| *sent_at < end).count()
    }
}
