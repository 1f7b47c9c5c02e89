//! Faults on demand: a port that fails where a test says so, over any implementation.

mod cache;
mod database;
mod egress;
mod pubsub;
mod receipts;
mod registry;
mod storage;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use domain::{Namespace, RecordQuery, Timestamp};

use crate::{BoxError, Gap, Records, RecordsError, Retention, StoredRecord};

/// Which operations fail, by the name of the method.
#[derive(Debug, Default)]
pub struct Faults {
    planned: Mutex<HashMap<&'static str, usize>>,
    /// How many calls there will be before every one fails.
    lifetime: Mutex<Option<usize>>,
}

impl Faults {
    /// The next `times` calls of `operation` fail; `usize::MAX` means until [`Faults::heal`].
    pub fn fail(&self, operation: &'static str, times: usize) {
        self.planned.lock().expect("no holder panics").insert(operation, times);
    }

    /// After `calls` more, whatever they are, every call fails until [`Faults::heal`]: as if the process were killed there.
    pub fn fail_after(&self, calls: usize) {
        *self.lifetime.lock().expect("no holder panics") = Some(calls);
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        self.planned.lock().expect("no holder panics").clear();
        *self.lifetime.lock().expect("no holder panics") = None;
    }

    fn check(&self, operation: &'static str) -> Result<(), BoxError> {
        match &mut *self.lifetime.lock().expect("no holder panics") {
            None => {}
            Some(0) => return Err(format!("nothing answers any more, nor does `{operation}`").into()),
            Some(left) => *left -= 1,
        }
        let mut planned = self.planned.lock().expect("no holder panics");
        match planned.get_mut(operation) {
            None | Some(0) => Ok(()),
            Some(left) => {
                *left = if *left == usize::MAX { usize::MAX } else { *left - 1 };
                Err(format!("planned fault in `{operation}`").into())
            }
        }
    }
}

/// A port that fails as its [`Faults`] say, and else does what `inner` does.
#[derive(Debug)]
pub struct Failing<P> {
    inner: P,
    faults: Arc<Faults>,
}

impl<P> Failing<P> {
    pub fn new(inner: P) -> (Self, Arc<Faults>) {
        let faults = Arc::new(Faults::default());
        (Self { inner, faults: faults.clone() }, faults)
    }
}

#[async_trait]
impl<P: Records> Records for Failing<P> {
    async fn append(&self, batch: &[domain::Record]) -> Result<(), RecordsError> {
        self.faults.check("append").map_err(RecordsError::Unavailable)?;
        self.inner.append(batch).await
    }

    async fn append_gap(&self, gap: &Gap) -> Result<(), RecordsError> {
        self.faults.check("append_gap").map_err(RecordsError::Unavailable)?;
        self.inner.append_gap(gap).await
    }

    async fn query(&self, query: &RecordQuery) -> Result<Vec<StoredRecord>, RecordsError> {
        self.faults.check("query").map_err(RecordsError::Unavailable)?;
        self.inner.query(query).await
    }

    async fn gaps(&self, namespace: &Namespace, since: Option<Timestamp>) -> Result<Vec<Gap>, RecordsError> {
        self.faults.check("gaps").map_err(RecordsError::Unavailable)?;
        self.inner.gaps(namespace, since).await
    }

    async fn prune(&self, keep: &Retention, now: Timestamp) -> Result<u64, RecordsError> {
        self.faults.check("prune").map_err(RecordsError::Unavailable)?;
        self.inner.prune(keep, now).await
    }

    async fn remove(&self, namespace: &Namespace) -> Result<(), RecordsError> {
        self.faults.check("remove").map_err(RecordsError::Unavailable)?;
        self.inner.remove(namespace).await
    }
}
