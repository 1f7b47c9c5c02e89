//! The devices of users, and the messages that wait for users who are away. The settings of push are sealed secrets.

use async_trait::async_trait;
use domain::{Namespace, PushKind, Timestamp};

use super::RegistryError;

/// A device that a user registered. Its `Debug` leaves the token out.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredDevice {
    /// A UUID of ours.
    pub id: String,
    pub namespace: Namespace,
    pub owner: String,
    /// What the app calls it.
    pub device_id: String,
    pub provider: PushKind,
    pub token: String,
    pub platform: Option<String>,
    pub app_version: Option<String>,
    pub created_at: Timestamp,
    /// When it was registered last.
    pub updated_at: Timestamp,
}

impl std::fmt::Debug for StoredDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { id, namespace, owner, device_id, provider, .. } = self;
        write!(f, "StoredDevice({id} {namespace} {owner} {device_id} {provider})")
    }
}

/// A message that waits for its user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxMessage {
    /// A UUIDv7: messages stand in the order of their ids.
    pub id: String,
    pub namespace: Namespace,
    pub owner: String,
    /// A JSON object.
    pub message: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

/// How many rows there may be.
#[derive(Debug, Clone, Copy)]
pub struct RowLimits {
    pub owner_max: usize,
    pub namespace_max: usize,
}

impl RowLimits {
    /// Why another row is a conflict.
    pub fn no_room_for(&self, what: &str) -> String {
        let Self { owner_max, namespace_max } = self;
        format!("no room for another {what}: a user has at most {owner_max}, a namespace {namespace_max}")
    }
}

#[async_trait]
pub trait Push: Send + Sync {
    /// Registers a device, or replaces what is known of the one with the same owner, `device_id` and provider, whose id and
    /// creation stay. Returns the id. A device above the limits is a conflict.
    ///
    /// A token leads to one device: other registrations of it end. The topics of ntfy may have several readers, so there only those of
    /// the same owner do.
    async fn put_device(&self, device: StoredDevice, limits: RowLimits) -> Result<String, RegistryError>;

    /// The devices of a user, oldest first.
    async fn devices(&self, namespace: &Namespace, owner: &str) -> Result<Vec<StoredDevice>, RegistryError>;

    /// Deletes a device of a user.
    async fn delete_device(&self, namespace: &Namespace, owner: &str, id: &str) -> Result<(), RegistryError>;

    /// Deletes a device whose token is dead; false when it is gone, or has got another token meanwhile.
    async fn forget_device(&self, namespace: &Namespace, id: &str, token: &str) -> Result<bool, RegistryError>;

    /// Puts a message into an inbox. Above the owner's limit the oldest make room, above the namespace's it is a conflict.
    async fn put_in_inbox(&self, message: InboxMessage, limits: RowLimits) -> Result<(), RegistryError>;

    /// The messages of a user that have not expired, oldest first, behind `after` (an id).
    async fn inbox(
        &self,
        namespace: &Namespace,
        owner: &str,
        after: Option<&str>,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<InboxMessage>, RegistryError>;

    async fn delete_from_inbox(&self, namespace: &Namespace, owner: &str, id: &str) -> Result<(), RegistryError>;

    /// Deletes what expired; returns how many.
    async fn expire_inbox(&self, now: Timestamp) -> Result<u64, RegistryError>;
}
