//! How many calls run at once: per function, per namespace, per node; and who waits for a place.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use domain::{Error, ErrorCode};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use crate::api::NodeLimits;

/// The places of one function: as many as the manifest of its active version says.
pub(crate) struct FunctionSlots {
    count: usize,
    places: Arc<Semaphore>,
}

/// The places of one namespace, and how many of its calls wait.
pub(crate) struct Tenant {
    count: usize,
    places: Arc<Semaphore>,
    queued: AtomicUsize,
    /// Room for calls that nobody waits for.
    detached: Arc<Semaphore>,
}

/// Calls that one namespace may have accepted without anybody waiting for them.
const DETACHED_MAX: usize = 1_000;

/// Does a call wait for a place?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// It comes from outside, or nobody waits for it.
    Queue,
    /// Its parent waits: parents that wait for their children's places would wait for ever.
    FailAtOnce,
    /// The platform owes it, and has counted it against the places that its namespace has for such calls: it waits for its function.
    Owed,
}

/// The places of the node.
pub(crate) struct Permits {
    node: Arc<Semaphore>,
    node_places: usize,
    queue_max: usize,
    queue_wait: Duration,
    queued: AtomicUsize,
}

/// A place of each kind, returned when dropped.
pub(crate) struct Permit {
    _function: OwnedSemaphorePermit,
    /// `None` for a call that is owed: those of a namespace must not keep its callers waiting.
    _namespace: Option<OwnedSemaphorePermit>,
    _node: OwnedSemaphorePermit,
}

impl FunctionSlots {
    pub(crate) fn new(count: usize) -> Self {
        Self { count, places: Arc::new(Semaphore::new(count)) }
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }
}

impl Tenant {
    pub(crate) fn new(places: usize) -> Self {
        Self {
            count: places,
            places: Arc::new(Semaphore::new(places)),
            queued: AtomicUsize::new(0),
            detached: Arc::new(Semaphore::new(DETACHED_MAX)),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Room for a call that nobody waits for; kept until it ends.
    pub(crate) fn detach(&self) -> Result<OwnedSemaphorePermit, Error> {
        let full = |_| busy("too many calls without a waiting caller", Duration::from_secs(1));
        self.detached.clone().try_acquire_owned().map_err(full)
    }
}

impl Permits {
    pub(crate) fn new(limits: &NodeLimits) -> Self {
        Self {
            node: Arc::new(Semaphore::new(limits.node_concurrency)),
            node_places: limits.node_concurrency,
            queue_max: limits.queue_max,
            queue_wait: limits.queue_wait,
            queued: AtomicUsize::new(0),
        }
    }

    /// A place for one call.
    pub(crate) async fn acquire(
        &self,
        tenant: &Tenant,
        slots: &FunctionSlots,
        patience: Patience,
    ) -> Result<Permit, Error> {
        // From narrow to wide: whoever waits for its own function holds no place that others could use.
        let (function, namespace, node) = (&slots.places, &tenant.places, &self.node);
        if patience == Patience::Owed {
            let permit = async { Ok((function.clone().acquire_owned().await?, node.clone().acquire_owned().await?)) };
            let (_function, _node) = self.within_patience(permit).await?;
            return Ok(Permit { _function, _namespace: None, _node });
        }
        if let (Ok(_function), Ok(_namespace), Ok(_node)) = (
            function.clone().try_acquire_owned(),
            namespace.clone().try_acquire_owned(),
            node.clone().try_acquire_owned(),
        ) {
            return Ok(Permit { _function, _namespace: Some(_namespace), _node });
        }
        if patience == Patience::FailAtOnce {
            return Err(busy("no place is free for a nested call", Duration::from_secs(1)));
        }
        self.wait(tenant, slots).await
    }

    async fn wait(&self, tenant: &Tenant, slots: &FunctionSlots) -> Result<Permit, Error> {
        let Some(_waiting) = Waiting::enter([&tenant.queued, &self.queued], self.queue_max) else {
            return Err(busy("too many calls are waiting", Duration::from_secs(1)));
        };
        let all = async {
            Ok(Permit {
                _function: slots.places.clone().acquire_owned().await?,
                _namespace: Some(tenant.places.clone().acquire_owned().await?),
                _node: self.node.clone().acquire_owned().await?,
            })
        };
        self.within_patience(all).await
    }

    async fn within_patience<T>(&self, places: impl Future<Output = Result<T, AcquireError>>) -> Result<T, Error> {
        match tokio::time::timeout(self.queue_wait, places).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_closed)) => Err(Error::new(ErrorCode::ServiceUnavailable, "the server is shutting down")),
            Err(_elapsed) => Err(busy("the function was busy for too long", self.queue_wait)),
        }
    }

    pub(crate) fn running(&self) -> usize {
        self.node_places - self.node.available_permits()
    }

    pub(crate) fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }
}

fn busy(what: &str, wait: Duration) -> Error {
    Error::new(ErrorCode::RateLimited, format!("{what}; try again, or raise `concurrency` in function.yaml"))
        .retry_after(wait)
}

/// Counts a waiting call in each counter for as long as it lives.
struct Waiting<'a>([&'a AtomicUsize; 2]);

impl<'a> Waiting<'a> {
    /// `None` when the first counter is at `max` already.
    fn enter(counters: [&'a AtomicUsize; 2], max: usize) -> Option<Self> {
        counters[0]
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |queued| (queued < max).then_some(queued + 1))
            .ok()?;
        counters[1].fetch_add(1, Ordering::Relaxed);
        Some(Self(counters))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        for counter in self.0 {
            counter.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
