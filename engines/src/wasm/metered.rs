//! How much time a call spent on a core: the thread's CPU clock around each poll.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use ports::{Ended, Failed, Observed, Reply};
use rustix::time::{ClockId, clock_gettime};

/// What a call that succeeded ends with.
pub(crate) trait Finished {
    fn ended(&mut self) -> &mut Ended;
}

impl Finished for Reply {
    fn ended(&mut self) -> &mut Ended {
        &mut self.ended
    }
}

/// Runs a call and writes what it cost into its usage. Waiting costs nothing.
pub(crate) struct Metered<F> {
    call: Pin<Box<F>>,
    cpu: Duration,
    observed: Observed,
}

impl<F> Metered<F> {
    /// The cost so far goes to `observed` at each pause, where it is seen also when the call never ends.
    pub(crate) fn new(call: F, observed: Observed) -> Self {
        Self { call: Box::pin(call), cpu: Duration::ZERO, observed }
    }
}

impl<T: Finished, F: Future<Output = Result<T, Failed>>> Future for Metered<F> {
    type Output = Result<T, Failed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let before = thread_cpu();
        let polled = self.call.as_mut().poll(context);
        self.cpu += thread_cpu().saturating_sub(before);
        let Poll::Ready(mut ended) = polled else {
            self.observed.update(|ended| ended.usage.cpu = self.cpu);
            return Poll::Pending;
        };
        match &mut ended {
            Ok(finished) => finished.ended().usage.cpu = self.cpu,
            Err(failed) => failed.ended.usage.cpu = self.cpu,
        }
        Poll::Ready(ended)
    }
}

fn thread_cpu() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32)
}
