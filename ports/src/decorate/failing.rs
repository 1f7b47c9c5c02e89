//! Faults on demand: a port that fails where a test says so, over any implementation.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use domain::{Cid, FunctionName, FunctionVersion, Namespace, RecordQuery, Timestamp, VersionNumber};

use crate::{
    BoxError, Claim, Claimed, Gap, NewVersion, Records, RecordsError, Registry, RegistryError, Retention, Storage,
    StorageError, StoredFunction, StoredKey, StoredOutcome, StoredRecord,
};

/// Which operations fail, by the name of the method.
#[derive(Debug, Default)]
pub struct Faults {
    planned: Mutex<HashMap<&'static str, usize>>,
}

impl Faults {
    /// The next `times` calls of `operation` fail; `usize::MAX` means until [`Faults::heal`].
    pub fn fail(&self, operation: &'static str, times: usize) {
        self.planned.lock().expect("no holder panics").insert(operation, times);
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        self.planned.lock().expect("no holder panics").clear();
    }

    fn check(&self, operation: &'static str) -> Result<(), BoxError> {
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
impl<P: Storage> Storage for Failing<P> {
    async fn put(&self, bytes: Bytes) -> Result<Cid, StorageError> {
        self.faults.check("put").map_err(StorageError::Full)?;
        self.inner.put(bytes).await
    }

    async fn get(&self, cid: &Cid) -> Result<Bytes, StorageError> {
        self.faults.check("get").map_err(StorageError::Unavailable)?;
        self.inner.get(cid).await
    }

    async fn delete(&self, cid: &Cid) -> Result<(), StorageError> {
        self.faults.check("delete").map_err(StorageError::Unavailable)?;
        self.inner.delete(cid).await
    }

    async fn list(&self) -> Result<Vec<Cid>, StorageError> {
        self.faults.check("list").map_err(StorageError::Unavailable)?;
        self.inner.list().await
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
}

#[async_trait]
impl<P: Registry> Registry for Failing<P> {
    async fn load(&self) -> Result<Vec<StoredFunction>, RegistryError> {
        self.faults.check("load").map_err(RegistryError::Unavailable)?;
        self.inner.load().await
    }

    async fn publish_version(&self, new: NewVersion) -> Result<FunctionVersion, RegistryError> {
        self.faults.check("publish_version").map_err(RegistryError::Unavailable)?;
        self.inner.publish_version(new).await
    }

    async fn activate(
        &self,
        namespace: &Namespace,
        name: &FunctionName,
        version: VersionNumber,
        now: Timestamp,
    ) -> Result<(), RegistryError> {
        self.faults.check("activate").map_err(RegistryError::Unavailable)?;
        self.inner.activate(namespace, name, version, now).await
    }

    async fn set_enabled(
        &self,
        namespace: &Namespace,
        name: &FunctionName,
        enabled: bool,
        now: Timestamp,
    ) -> Result<(), RegistryError> {
        self.faults.check("set_enabled").map_err(RegistryError::Unavailable)?;
        self.inner.set_enabled(namespace, name, enabled, now).await
    }

    async fn delete_version(
        &self,
        namespace: &Namespace,
        name: &FunctionName,
        version: VersionNumber,
        now: Timestamp,
    ) -> Result<(), RegistryError> {
        self.faults.check("delete_version").map_err(RegistryError::Unavailable)?;
        self.inner.delete_version(namespace, name, version, now).await
    }

    async fn delete_function(
        &self,
        namespace: &Namespace,
        name: &FunctionName,
        now: Timestamp,
    ) -> Result<(), RegistryError> {
        self.faults.check("delete_function").map_err(RegistryError::Unavailable)?;
        self.inner.delete_function(namespace, name, now).await
    }

    async fn create_key(&self, key: StoredKey) -> Result<(), RegistryError> {
        self.faults.check("create_key").map_err(RegistryError::Unavailable)?;
        self.inner.create_key(key).await
    }

    async fn load_keys(&self) -> Result<Vec<StoredKey>, RegistryError> {
        self.faults.check("load_keys").map_err(RegistryError::Unavailable)?;
        self.inner.load_keys().await
    }

    async fn claim_reply(&self, claim: Claim) -> Result<Claimed, RegistryError> {
        self.faults.check("claim_reply").map_err(RegistryError::Unavailable)?;
        self.inner.claim_reply(claim).await
    }

    async fn store_reply(&self, claim: &Claim, outcome: &StoredOutcome) -> Result<(), RegistryError> {
        self.faults.check("store_reply").map_err(RegistryError::Unavailable)?;
        self.inner.store_reply(claim, outcome).await
    }

    async fn release_reply(&self, claim: &Claim) -> Result<(), RegistryError> {
        self.faults.check("release_reply").map_err(RegistryError::Unavailable)?;
        self.inner.release_reply(claim).await
    }

    async fn expire_replies(&self, before: Timestamp) -> Result<u64, RegistryError> {
        self.faults.check("expire_replies").map_err(RegistryError::Unavailable)?;
        self.inner.expire_replies(before).await
    }

    async fn release_unfinished(&self) -> Result<u64, RegistryError> {
        self.faults.check("release_unfinished").map_err(RegistryError::Unavailable)?;
        self.inner.release_unfinished().await
    }
}
