//! Gates at which a test holds an operation where it is, to let something else happen meanwhile, and storage that has some.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use domain::Cid;
use ports::memory::MemoryStorage;
use ports::{Content, Storage, StorageError, Upload};
use tokio::sync::{Notify, Semaphore};

/// Where an operation is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Point {
    /// The identifiers were listed.
    Listed,
    /// Bytes are about to be deleted.
    Deleting,
    /// An upload was stored.
    Stored,
    /// Code was found fit to run.
    Prepared,
}

/// A point at which whoever comes by waits.
pub struct Held {
    reached: Notify,
    passes: Semaphore,
}

impl Held {
    /// Returns when somebody waits here.
    pub async fn reached(&self) {
        self.reached.notified().await;
    }

    /// Lets everybody go on, now and later.
    pub fn release(&self) {
        self.passes.add_permits(Semaphore::MAX_PERMITS / 2);
    }
}

/// The gates of a storage; all open at first.
#[derive(Clone, Default)]
pub struct Gates(Arc<Mutex<HashMap<Point, Arc<Held>>>>);

impl Gates {
    /// Holds whoever comes to `point` from now on.
    pub fn hold(&self, point: Point) -> Arc<Held> {
        let held = Arc::new(Held { reached: Notify::new(), passes: Semaphore::new(0) });
        self.0.lock().expect("no holder panics").insert(point, held.clone());
        held
    }

    pub async fn pass(&self, point: Point) {
        let held = self.0.lock().expect("no holder panics").get(&point).cloned();
        if let Some(held) = held {
            held.reached.notify_one();
            held.passes.acquire().await.expect("never closed").forget();
        }
    }
}

/// Content in a map, with gates.
#[derive(Default)]
pub struct GatedStorage {
    inner: MemoryStorage,
    pub gates: Gates,
}

#[async_trait]
impl Storage for GatedStorage {
    async fn put(&self, bytes: Bytes) -> Result<Cid, StorageError> {
        self.inner.put(bytes).await
    }

    async fn get(&self, cid: &Cid) -> Result<Bytes, StorageError> {
        self.inner.get(cid).await
    }

    async fn delete(&self, cid: &Cid) -> Result<(), StorageError> {
        self.gates.pass(Point::Deleting).await;
        self.inner.delete(cid).await
    }

    async fn begin(&self) -> Result<Box<dyn Upload>, StorageError> {
        Ok(Box::new(GatedUpload { inner: self.inner.begin().await?, gates: self.gates.clone() }))
    }

    async fn open(&self, cid: &Cid) -> Result<Box<dyn Content>, StorageError> {
        self.inner.open(cid).await
    }

    async fn list(&self) -> Result<Vec<Cid>, StorageError> {
        let listed = self.inner.list().await;
        self.gates.pass(Point::Listed).await;
        listed
    }
}

struct GatedUpload {
    inner: Box<dyn Upload>,
    gates: Gates,
}

#[async_trait]
impl Upload for GatedUpload {
    async fn write(&mut self, piece: Bytes) -> Result<(), StorageError> {
        self.inner.write(piece).await
    }

    async fn finish(self: Box<Self>) -> Result<(Cid, u64), StorageError> {
        let stored = self.inner.finish().await;
        self.gates.pass(Point::Stored).await;
        stored
    }
}
