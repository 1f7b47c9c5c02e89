//! Content on its way in, piece by piece, and the quota on the way.

use std::sync::Arc;

use bytes::Bytes;
use domain::{Error, Namespace};
use ports::{ContentInfo, Upload};

use super::shelves::{Incoming, over_quota};
use super::{check_name, not_stored};
use crate::lease::Lease;
use crate::{Platform, internal};

/// Content on its way in: pieces, then [`ContentUpload::finish`]. Dropping it forgets them.
///
/// It belongs to the namespace in which it began, and ends with it.
pub struct ContentUpload<'a> {
    platform: &'a Platform,
    namespace: Namespace,
    upload: Box<dyn Upload>,
    quota: Option<u64>,
    /// What the namespace owned when the upload began.
    used: u64,
    arriving: Arriving,
}

/// The bytes of an upload, counted among those that arrive for the namespace until it is dropped.
struct Arriving {
    lease: Arc<Lease>,
    bytes: u64,
}

impl Arriving {
    /// Counts a piece; returns all that is arriving for the namespace.
    fn add(&mut self, bytes: u64) -> u64 {
        self.bytes += bytes;
        self.lease.arrive(bytes)
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        self.lease.arrived(self.bytes);
    }
}

impl<'a> ContentUpload<'a> {
    /// For who may: the caller was asked before.
    pub(super) async fn begin(platform: &'a Platform, namespace: &Namespace, lease: Arc<Lease>) -> Result<Self, Error> {
        let held = lease.hold()?;
        let quota = platform.settings_of(namespace).storage_bytes_max;
        let used = platform.registry.owned_bytes(namespace).await;
        let used = used.map_err(|cause| internal("count content", cause))?;
        let upload = platform.content.begin().await.map_err(not_stored)?;
        drop(held);
        let arriving = Arriving { lease, bytes: 0 };
        Ok(Self { platform, namespace: namespace.clone(), upload, quota, used, arriving })
    }

    /// Adds a piece; refused as soon as the quota would be passed, or the namespace is gone.
    pub async fn write(&mut self, piece: Bytes) -> Result<(), Error> {
        self.arriving.lease.check()?;
        let arriving = self.arriving.add(piece.len() as u64);
        match self.quota {
            Some(quota) if self.used.saturating_add(arriving) > quota => Err(over_quota(self.used, quota)),
            _ => self.upload.write(piece).await.map_err(not_stored),
        }
    }

    /// Makes the content durable and the namespace its owner.
    pub async fn finish(self, name: &str, pin: bool) -> Result<ContentInfo, Error> {
        check_name(name)?;
        let Self { platform, namespace, upload, quota, arriving, .. } = self;
        let (shelves, at) = (platform.contents.clone(), platform.clock.now());
        let incoming = Incoming { namespace, upload, name: name.to_owned(), pin, at, quota };
        // In a task, so that it goes to its end when the client goes away: stored bytes have an owner, or are deleted again.
        let store = tokio::spawn(async move {
            let _held = arriving.lease.hold()?;
            shelves.store(incoming).await
        });
        store.await.unwrap_or_else(|cause| Err(internal("store content", cause)))
    }
}
