//! The one writer of the queue: whoever has something to write waits together with all others for one transaction.
//!
//! Publishers are answered behind the commit that holds what they owe, and so are the calls that have ended. What waits is bounded
//! in number and in bytes; whoever comes then waits before it is accepted.

use std::collections::HashSet;
use std::sync::Arc;

use domain::{Error, ErrorCode, Namespace};
use ports::{Delivery, DeliveryEnd, Lane, Registry, RegistryError};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::backlog::{Backlog, Charge};
use crate::internal;
use crate::lease::Lease;

/// Requests that may wait, and how many become one transaction.
const REQUESTS_MAX: usize = 1024;
/// Deliveries after which a transaction takes no further request: the control plane waits for it.
const DELIVERIES_MAX: usize = 4096;
/// Bytes of events that may wait or be written.
const BYTES_MAX: usize = 64 << 20;

type Answer = oneshot::Sender<Result<(), Error>>;

enum Request {
    New {
        deliveries: Vec<Delivery>,
        lease: Arc<Lease>,
        charge: Charge,
        _room: OwnedSemaphorePermit,
        answer: Answer,
    },
    Ended {
        delivery: Box<Delivery>,
        end: DeliveryEnd,
        answer: Answer,
    },
    /// Counts anew what a namespace is owed: something was changed that did not come this way.
    Count {
        namespace: Namespace,
        answer: oneshot::Sender<Vec<Lane>>,
    },
    Close,
}

/// The way to the writer.
pub(super) struct Queue {
    requests: mpsc::Sender<Request>,
    room: Arc<Semaphore>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// Told what is in the queue from now on, after every commit.
pub(super) type Listener = Arc<dyn Fn(&[Delivery]) + Send + Sync>;

impl Queue {
    /// `written` hears of the new deliveries of each transaction, and of those that became due later.
    pub(super) fn start(registry: Arc<dyn Registry>, backlog: Arc<Backlog>, written: Listener) -> Self {
        let (requests, incoming) = mpsc::channel(REQUESTS_MAX);
        let writer = Writer { registry, backlog, written };
        let task = Mutex::new(Some(tokio::spawn(writer.run(incoming))));
        Self { requests, room: Arc::new(Semaphore::new(BYTES_MAX)), task }
    }

    /// Puts deliveries into the queue; on disk when this returns. The caller holds the lease.
    pub(super) async fn write(
        &self,
        deliveries: Vec<Delivery>,
        lease: Arc<Lease>,
        charge: Charge,
    ) -> Result<(), Error> {
        let bytes = deliveries.chunk_by(|one, next| one.event == next.event).map(|of_event| of_event[0].input.len());
        let bytes = bytes.sum::<usize>().clamp(1, BYTES_MAX) as u32;
        let room = self.room.clone().acquire_many_owned(bytes).await.map_err(|_| stopping())?;
        self.ask(|answer| Request::New { deliveries, lease, charge, _room: room, answer }).await?
    }

    /// Notes what became of a delivery; on disk when this returns.
    pub(super) async fn end(&self, delivery: Delivery, end: DeliveryEnd) -> Result<(), Error> {
        self.ask(|answer| Request::Ended { delivery: Box::new(delivery), end, answer }).await?
    }

    /// Counts anew what a namespace is owed, in step with everything that is written.
    pub(super) async fn count(&self, namespace: &Namespace) -> Result<Vec<Lane>, Error> {
        self.ask(|answer| Request::Count { namespace: namespace.clone(), answer }).await
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, Error> {
        let (answer, wait) = oneshot::channel();
        self.requests.send(request(answer)).await.map_err(|_| stopping())?;
        wait.await.map_err(|_| stopping())
    }

    /// Writes what waits, and ends.
    pub(super) async fn close(&self) {
        self.requests.send(Request::Close).await.ok();
        if let Some(task) = self.task.lock().await.take() {
            task.await.ok();
        }
    }
}

fn stopping() -> Error {
    Error::new(ErrorCode::ServiceUnavailable, "the server is shutting down")
}

struct Writer {
    registry: Arc<dyn Registry>,
    backlog: Arc<Backlog>,
    written: Listener,
}

impl Writer {
    async fn run(self, mut incoming: mpsc::Receiver<Request>) {
        let mut requests = Vec::new();
        while incoming.recv_many(&mut requests, REQUESTS_MAX).await > 0 {
            let mut batch = Batch::default();
            let (mut counts, mut close) = (Vec::new(), false);
            for request in requests.drain(..) {
                if batch.deliveries() >= DELIVERIES_MAX {
                    self.write(std::mem::take(&mut batch)).await;
                }
                match request {
                    Request::New { deliveries, lease, charge, _room, answer } => {
                        batch.new.push(New { deliveries, lease, charge, _room, answer });
                    }
                    Request::Ended { delivery, end, answer } => batch.ended.push((*delivery, end, answer)),
                    Request::Count { namespace, answer } => counts.push((namespace, answer)),
                    Request::Close => close = true,
                }
            }
            self.write(batch).await;
            for (namespace, answer) in counts {
                self.count(namespace, answer).await;
            }
            if close {
                return;
            }
        }
    }

    async fn write(&self, batch: Batch) {
        if batch.new.is_empty() && batch.ended.is_empty() {
            return;
        }
        let Batch { new, ended } = batch;
        // A publisher that went away holds its lease no longer: nothing may get into a later namespace of the same name.
        let leases: Vec<Arc<Lease>> = new.iter().map(|new| new.lease.clone()).collect();
        let holds: Vec<_> = leases.iter().map(|lease| lease.hold()).collect();
        let (living, gone): (Vec<_>, Vec<_>) = new.into_iter().zip(&holds).partition(|(_, hold)| hold.is_ok());
        let deliveries: Vec<Delivery> = living.iter().flat_map(|(new, _)| new.deliveries.iter().cloned()).collect();
        let ends = ended.iter().map(|(delivery, end, _)| (delivery.id.clone(), end.clone())).collect();
        let written = self.registry.write_deliveries(deliveries, ends).await;
        match written.map(HashSet::from_iter).map_err(not_written) {
            Ok(left_out) => {
                let told = living.into_iter().flat_map(|(new, _)| new.accept(&left_out)).collect();
                self.tell(told, ended);
            }
            Err(error) => {
                let waiting =
                    living.into_iter().map(|(new, _)| new.answer).chain(ended.into_iter().map(|ended| ended.2));
                // Whoever waited may have gone.
                waiting.for_each(|answer| drop(answer.send(Err(error.clone()))));
            }
        }
        gone.into_iter().for_each(|(new, _)| drop(new.answer.send(Err(deleted()))));
    }

    /// After a commit: who is due now, and what is owed no longer.
    fn tell(&self, mut told: Vec<Delivery>, ended: Vec<(Delivery, DeliveryEnd, Answer)>) {
        for (delivery, end, answer) in ended {
            match end {
                DeliveryEnd::Done | DeliveryEnd::Dead(_) => self.backlog.forget(&delivery),
                DeliveryEnd::Later(at) | DeliveryEnd::Retry(at) => told.push(Delivery { due_at: at, ..delivery }),
            }
            answer.send(Ok(())).ok();
        }
        (self.written)(&told);
    }

    async fn count(&self, namespace: Namespace, answer: oneshot::Sender<Vec<Lane>>) {
        match self.registry.lanes(Some(&namespace)).await {
            Ok(lanes) => {
                self.backlog.set(&namespace, &lanes);
                answer.send(lanes).ok();
            }
            Err(cause) => {
                tracing::warn!(cause = &cause as &dyn std::error::Error, %namespace, "failed to count deliveries");
            }
        }
    }
}

#[derive(Default)]
struct Batch {
    new: Vec<New>,
    ended: Vec<(Delivery, DeliveryEnd, Answer)>,
}

impl Batch {
    fn deliveries(&self) -> usize {
        self.ended.len() + self.new.iter().map(|new| new.deliveries.len()).sum::<usize>()
    }
}

struct New {
    deliveries: Vec<Delivery>,
    lease: Arc<Lease>,
    charge: Charge,
    _room: OwnedSemaphorePermit,
    answer: Answer,
}

impl New {
    /// The deliveries are written, but for those that were left out; returns those that are.
    fn accept(self, left_out: &HashSet<String>) -> Vec<Delivery> {
        let Self { deliveries, charge, answer, .. } = self;
        let (out, written): (Vec<_>, Vec<_>) = deliveries.into_iter().partition(|new| left_out.contains(&new.id));
        charge.keep_but(&out);
        answer.send(Ok(())).ok();
        written
    }
}

fn deleted() -> Error {
    Error::not_found("the namespace was deleted")
}

fn not_written(error: RegistryError) -> Error {
    match error {
        RegistryError::Full(_) => {
            let _logged = internal("write deliveries", error);
            Error::new(ErrorCode::StorageQuotaExceeded, "the disk of the server is full; nothing was published")
        }
        other => {
            let _logged = internal("write deliveries", other);
            Error::new(ErrorCode::ServiceUnavailable, "the calls that this triggers cannot be kept; try again")
        }
    }
}
