//! Owners and bytes, kept together: content becomes somebody's in the same breath in which it is stored, and bytes that nobody
//! owns are deleted while nobody stores.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::{Cid, Error, ErrorCode, Namespace};
use ports::{BoxError, ContentInfo, Owned, Registry, RegistryError, Storage, Upload};
use tokio::sync::RwLock;

use super::not_stored;
use crate::identity::{not_changed, unknown_namespace};

/// The content of the node.
pub(crate) struct Shelves {
    registry: Arc<dyn Registry>,
    content: Arc<dyn Storage>,
    /// Read from the moment at which bytes are stored until they have an owner; written by who deletes bytes without one.
    storing: RwLock<()>,
    /// May there be bytes that nobody owns? True at the start: a crash leaves some.
    orphans: AtomicBool,
}

/// Content to be stored for an owner.
pub(super) struct Incoming {
    pub(super) namespace: Namespace,
    pub(super) upload: Box<dyn Upload>,
    pub(super) name: String,
    pub(super) pin: bool,
    pub(super) at: domain::Timestamp,
    pub(super) quota: Option<u64>,
}

impl Shelves {
    pub(crate) fn new(registry: Arc<dyn Registry>, content: Arc<dyn Storage>) -> Self {
        Self { registry, content, storing: RwLock::new(()), orphans: AtomicBool::new(true) }
    }

    /// Makes content durable and the namespace its owner; for who holds the lease of that namespace.
    pub(super) async fn store(&self, incoming: Incoming) -> Result<ContentInfo, Error> {
        let Incoming { namespace, upload, name, pin, at, quota } = incoming;
        let stored = {
            let _storing = self.storing.read().await;
            let (cid, bytes) = upload.finish().await.map_err(not_stored)?;
            let info = ContentInfo { cid, name, bytes, pinned: pin, created_at: at };
            let owned = self.registry.own_content(&namespace, info.clone(), quota).await;
            match checked(owned, &namespace, quota) {
                // What was owned before keeps its pin and its date.
                Ok(()) => return Ok(self.registry.content(&namespace, &cid).await.ok().flatten().unwrap_or(info)),
                Err(error) => Err(error),
            }
        };
        self.note_orphans();
        if let Err(cause) = self.sweep_if_noted().await {
            tracing::warn!(cause = &*cause as &dyn std::error::Error, "failed to delete content that nobody owns");
        }
        stored
    }

    /// There may be bytes that nobody owns.
    pub(crate) fn note_orphans(&self) {
        self.orphans.store(true, Ordering::SeqCst);
    }

    /// Deletes bytes that nobody owns, if there may be any.
    pub(super) async fn sweep_if_noted(&self) -> Result<(), BoxError> {
        if !self.orphans.swap(false, Ordering::SeqCst) {
            return Ok(());
        }
        let swept = self.sweep().await;
        if swept.is_err() {
            self.note_orphans();
        }
        swept
    }

    async fn sweep(&self) -> Result<(), BoxError> {
        // Before the lock, because it is slow: what is stored after it was listed is not looked at.
        let stored = self.content.list().await?;
        let _nobody_stores = self.storing.write().await;
        let owned: HashSet<Cid> = self.registry.owned_contents().await?.into_iter().collect();
        for cid in stored.iter().filter(|cid| !owned.contains(cid)) {
            tracing::info!(%cid, "deleting content that nobody owns");
            self.content.delete(cid).await?;
        }
        Ok(())
    }
}

fn checked(owned: Result<Owned, RegistryError>, namespace: &Namespace, quota: Option<u64>) -> Result<(), Error> {
    match owned {
        Ok(Owned::Yes) => Ok(()),
        Ok(Owned::OverQuota { used }) => Err(over_quota(used, quota.unwrap_or_default())),
        // It was deleted while the content came in.
        Err(RegistryError::NotFound) => Err(unknown_namespace(namespace)),
        Err(error) => Err(not_changed("own content", error)),
    }
}

pub(super) fn over_quota(used: u64, quota: u64) -> Error {
    let message =
        format!("the namespace has {used} of {quota} bytes of content already, and this would pass the limit");
    Error::new(ErrorCode::StorageQuotaExceeded, message).hint("unpin what is not needed and run `orama storage gc`")
}
