//! One life of a namespace, from the moment it is made to that of its deletion. A name can be taken again, a lease cannot.
//!
//! Whatever is begun in a namespace and goes on for a while (a call, the services of a function, an upload, a change that waits)
//! keeps the lease that it began with, and holds it while it touches anything that is found by the namespace's name. A deletion
//! ends the lease, which cuts the calls that run, waits until nobody holds it any more, and only then removes the stores and gives
//! the name free: between a hold and what is done under it, nothing can change hands. Databases and caches are found once; their
//! own removal ends what was found.
//!
//! Holding is a try, never a wait, so that holds may be nested and nobody waits in a circle.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use domain::Error;
use tokio::sync::{Notify, RwLock, RwLockReadGuard};

/// One life of a namespace.
#[derive(Debug, Default)]
pub(crate) struct Lease {
    ended: AtomicBool,
    ending: Notify,
    /// Read by who holds the lease, written by who waits for all of them.
    holds: RwLock<()>,
    /// The bytes of uploads that are under way: many small steps at once must not pass a quota together.
    arriving_bytes: AtomicU64,
}

/// The proof that a namespace lives, and stays as long as this does.
pub(crate) struct Held<'a> {
    _hold: RwLockReadGuard<'a, ()>,
}

impl Lease {
    /// The lease of a namespace that does not exist.
    pub(crate) fn of_nothing() -> Arc<Self> {
        Arc::new(Self { ended: AtomicBool::new(true), ..Self::default() })
    }

    /// Keeps the namespace until the hold is dropped. An error once its deletion has begun.
    pub(crate) fn hold(&self) -> Result<Held<'_>, Error> {
        let _hold = self.holds.try_read().map_err(|_| gone())?;
        // Behind the lock: from here on a deletion waits.
        self.check()?;
        Ok(Held { _hold })
    }

    /// Does the namespace still live? True for this moment only.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.ended.load(Ordering::SeqCst) {
            true => Err(gone()),
            false => Ok(()),
        }
    }

    /// Does `work`, and drops it where it waits when the lease ends.
    pub(crate) async fn unless_ended<T>(&self, work: impl Future<Output = T>) -> Result<T, Error> {
        tokio::select! {
            // The work first: what never waits pays nothing for this.
            biased;
            done = work => Ok(done),
            () = self.ended() => Err(gone()),
        }
    }

    async fn ended(&self) {
        // Before the flag is read, so that an end between the two is not missed.
        let ending = self.ending.notified();
        if self.check().is_ok() {
            ending.await;
        }
    }

    /// Ends the lease: nobody can hold it any more, and what runs within [`Lease::unless_ended`] is cut.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
        self.ending.notify_waiters();
    }

    /// Waits until nobody holds the ended lease; false when somebody still does after `limit`.
    pub(crate) async fn settled(&self, limit: Duration) -> bool {
        tokio::time::timeout(limit, self.holds.write()).await.is_ok()
    }

    /// Counts bytes that arrive for the namespace; returns all that are arriving for it.
    pub(crate) fn arrive(&self, bytes: u64) -> u64 {
        self.arriving_bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes)
    }

    pub(crate) fn arrived(&self, bytes: u64) {
        self.arriving_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

fn gone() -> Error {
    Error::not_found("the namespace was deleted")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_deletion_waits_for_who_holds_the_lease_and_nobody_comes_after_it() {
        let lease = Lease::default();
        let held = lease.hold().expect("it lives");
        lease.end();
        assert!(lease.hold().is_err());
        assert!(!lease.settled(SOON).await, "it is held");
        drop(held);
        assert!(lease.settled(SOON).await);
        assert!(lease.hold().is_err());
    }

    #[tokio::test]
    async fn work_is_cut_where_it_waits_and_goes_on_where_it_does_not() {
        let lease = Lease::default();
        let (cut, ()) = tokio::join!(lease.unless_ended(std::future::pending::<()>()), async { lease.end() });
        assert_eq!(cut.expect_err("it was cut").message, "the namespace was deleted");
        assert_eq!(lease.unless_ended(async { 7 }).await.ok(), Some(7));
    }

    #[test]
    fn there_is_nothing_to_hold_where_nothing_is() {
        assert!(Lease::of_nothing().hold().is_err());
    }
}
