//! Where a call runs: on the thread that took the request while it is short, elsewhere when it is not.
//!
//! The first polls happen in place, which costs nothing. A call that has used up [`LONG_POLLS_IN_PLACE`] turns moves to the
//! runtime for slow calls, so that a guest that spins delays only others of its kind. One that waits for a service uses up
//! no turn, however often it waits.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use ports::{Failed, Observed};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::{run, settings};

const LONG_POLLS_IN_PLACE: u8 = 2;
/// A guest that spins is interrupted at every tick: its first poll lasts half of one on average, the later ones all of it.
const LONG_POLL: Duration = settings::TICK.checked_div(2).expect("two is not zero");

type Run<T> = Pin<Box<dyn Future<Output = Result<T, Failed>> + Send>>;

/// Runs `call`. Dropping the returned future ends it, wherever it runs; a panic in it becomes its failure.
pub(crate) async fn drive<T: Send + 'static>(
    call: impl Future<Output = Result<T, Failed>> + Send + 'static,
    observed: Observed,
    slow: &Handle,
) -> Result<T, Failed> {
    let caught = AssertUnwindSafe(call).catch_unwind();
    let call = Box::pin(async move { caught.await.unwrap_or_else(|panic| Err(panicked(&*panic, &observed))) });
    Driven { place: Place::Here { call, long_polls: 0 }, slow }.await
}

struct Driven<'a, T> {
    place: Place<T>,
    slow: &'a Handle,
}

enum Place<T> {
    Here { call: Run<T>, long_polls: u8 },
    There(AbortOnDrop<T>),
    Moving,
}

struct AbortOnDrop<T>(JoinHandle<Result<T, Failed>>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T: Send + 'static> Future for Driven<'_, T> {
    type Output = Result<T, Failed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Place::Here { call, long_polls } = &mut self.place {
            let started = Instant::now();
            let polled = call.as_mut().poll(context);
            *long_polls += u8::from(started.elapsed() >= LONG_POLL);
            if polled.is_ready() || *long_polls < LONG_POLLS_IN_PLACE {
                return polled;
            }
            if let Place::Here { call, .. } = std::mem::replace(&mut self.place, Place::Moving) {
                self.place = Place::There(AbortOnDrop(self.slow.spawn(call)));
            }
        }
        match &mut self.place {
            Place::There(task) => {
                Pin::new(&mut task.0).poll(context).map(|ended| ended.unwrap_or_else(|cause| Err(run::broken(cause))))
            }
            Place::Here { .. } | Place::Moving => unreachable!("a call that was not finished here has moved"),
        }
    }
}

fn panicked(panic: &(dyn std::any::Any + Send), observed: &Observed) -> Failed {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    Failed { ended: observed.take(), ..run::broken(format!("a host call panicked: {text}")) }
}

#[cfg(test)]
mod tests {
    use domain::ErrorCode;
    use ports::{Ended, Reply};

    use super::*;

    #[tokio::test]
    async fn a_panic_is_the_failure_of_its_call_only() {
        let call = async { panic!("planted") };
        let failed =
            drive::<Reply>(call, Observed::default(), &Handle::current()).await.expect_err("the call panicked");
        assert_eq!(failed.error.code, ErrorCode::Internal);
        assert!(failed.cause.expect("the cause is for the operator").to_string().contains("planted"));
    }

    #[tokio::test]
    async fn a_long_call_moves_and_still_ends() {
        let here = std::thread::current().id();
        let elsewhere = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
        let call = async move {
            for _ in 0..5 {
                spin();
                tokio::task::yield_now().await;
            }
            assert_ne!(std::thread::current().id(), here);
            Ok(Reply { head: None, body: "done".into(), ended: Ended::default() })
        };
        let ended = drive(call, Observed::default(), elsewhere.handle()).await;
        assert_eq!(ended.expect("no failure").body, "done");
        elsewhere.shutdown_background();
    }

    #[tokio::test]
    async fn a_call_that_waits_stays_however_often() {
        let here = std::thread::current().id();
        let elsewhere = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
        let call = async move {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            assert_eq!(std::thread::current().id(), here);
            Ok(Reply { head: None, body: "done".into(), ended: Ended::default() })
        };
        let ended = drive(call, Observed::default(), elsewhere.handle()).await;
        assert_eq!(ended.expect("no failure").body, "done");
        elsewhere.shutdown_background();
    }

    fn spin() {
        let started = Instant::now();
        while started.elapsed() < LONG_POLL {}
    }
}
