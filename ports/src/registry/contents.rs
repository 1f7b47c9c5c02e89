//! Which namespace owns which content. The bytes themselves are in [`crate::Storage`], once for all owners.

use async_trait::async_trait;
use domain::{Cid, Namespace, Timestamp};

use super::RegistryError;
use crate::ContentInfo;

/// What becomes of content that a namespace wants to own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owned {
    Yes,
    /// It would pass the quota; nothing changed.
    OverQuota {
        used: u64,
    },
}

#[async_trait]
pub trait Contents: Send + Sync {
    /// Notes that `namespace` owns this content, within `bytes_max` bytes of all that it owns. Content that it owns already costs
    /// nothing more, gets the new name and the new time, and is pinned if either was.
    async fn own_content(
        &self,
        namespace: &Namespace,
        content: ContentInfo,
        bytes_max: Option<u64>,
    ) -> Result<Owned, RegistryError>;

    async fn content(&self, namespace: &Namespace, cid: &Cid) -> Result<Option<ContentInfo>, RegistryError>;

    /// What a namespace owns, newest first, behind `after`; nothing when it does not own `after`.
    async fn list_contents(
        &self,
        namespace: &Namespace,
        after: Option<&Cid>,
        limit: usize,
    ) -> Result<Vec<ContentInfo>, RegistryError>;

    /// Pins or unpins; `name`, when given, becomes the name.
    async fn pin_content(
        &self,
        namespace: &Namespace,
        cid: &Cid,
        pinned: bool,
        name: Option<&str>,
    ) -> Result<(), RegistryError>;

    /// Disowns what is not pinned and was stored before; `None` means of every namespace. Returns how many, and their bytes.
    async fn disown_unpinned(
        &self,
        namespace: Option<&Namespace>,
        before: Timestamp,
    ) -> Result<(u64, u64), RegistryError>;

    /// The bytes that a namespace owns.
    async fn owned_bytes(&self, namespace: &Namespace) -> Result<u64, RegistryError>;

    /// Every content that anybody owns, each once.
    async fn owned_contents(&self) -> Result<Vec<Cid>, RegistryError>;
}
