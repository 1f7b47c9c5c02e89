//! The content of a namespace, as its functions have it.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use bytes::Bytes;
use domain::{Cid, Error, ErrorCode, Namespace};
use ports::{ContentInfo, OwnedStorage};

use super::ContentUpload;
use crate::Platform;
use crate::lease::Lease;

/// The most bytes that a function stores at once: it has them in its memory.
const PUT_BYTES_MAX: usize = 16 << 20;

/// Holds the platform weakly, as everything does that functions have.
pub(crate) struct NamespaceStorage {
    platform: Weak<Platform>,
    namespace: Namespace,
    lease: Arc<Lease>,
}

impl NamespaceStorage {
    pub(crate) fn new(platform: Weak<Platform>, namespace: Namespace, lease: Arc<Lease>) -> Self {
        Self { platform, namespace, lease }
    }

    fn platform(&self) -> Result<Arc<Platform>, Error> {
        let gone = || Error::new(ErrorCode::ServiceUnavailable, "the server is shutting down");
        self.platform.upgrade().ok_or_else(gone)
    }
}

#[async_trait]
impl OwnedStorage for NamespaceStorage {
    async fn put(&self, name: &str, bytes: Bytes) -> Result<ContentInfo, Error> {
        if bytes.len() > PUT_BYTES_MAX {
            let message = format!("the content is {} bytes, a function may store {PUT_BYTES_MAX} at once", bytes.len());
            return Err(Error::new(ErrorCode::PayloadTooLarge, message));
        }
        let platform = self.platform()?;
        let mut upload = ContentUpload::begin(&platform, &self.namespace, self.lease.clone()).await?;
        upload.write(bytes).await?;
        upload.finish(name, true).await
    }

    async fn get(&self, cid: &Cid, bytes_max: usize) -> Result<Bytes, Error> {
        let _held = self.lease.hold()?;
        self.platform()?.read_content(&self.namespace, cid, bytes_max).await
    }

    async fn head(&self, cid: &Cid) -> Result<ContentInfo, Error> {
        let _held = self.lease.hold()?;
        self.platform()?.content_of(&self.namespace, cid).await
    }
}
