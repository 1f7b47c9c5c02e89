//! Secrets as they are kept: sealed with a data key, which is sealed with a master key.

use async_trait::async_trait;
use domain::{Namespace, Timestamp};

use super::RegistryError;

/// A key that seals secrets of one namespace, itself sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedDataKey {
    /// A UUID.
    pub id: String,
    pub namespace: Namespace,
    /// The master key that it is sealed with.
    pub master: String,
    pub sealed: Vec<u8>,
    pub created_at: Timestamp,
}

/// A secret, sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSecret {
    pub namespace: Namespace,
    pub name: String,
    pub data_key: String,
    pub sealed: Vec<u8>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[async_trait]
pub trait SealedSecrets: Send + Sync {
    /// Every data key, oldest first; read once at start.
    async fn load_data_keys(&self) -> Result<Vec<SealedDataKey>, RegistryError>;

    /// Stores a new data key; an id that exists is a conflict.
    async fn create_data_key(&self, key: SealedDataKey) -> Result<(), RegistryError>;

    /// Replaces what a data key is sealed with.
    async fn reseal_data_key(&self, id: &str, master: &str, sealed: Vec<u8>) -> Result<(), RegistryError>;

    /// Forgets a data key; one that a secret still needs is a conflict.
    async fn delete_data_key(&self, id: &str) -> Result<(), RegistryError>;

    /// Every secret; read once at start.
    async fn load_secrets(&self) -> Result<Vec<SealedSecret>, RegistryError>;

    /// Stores a secret or replaces its value; `created_at` stays that of the first. A data key that the namespace does not have is not
    /// found.
    async fn put_secret(&self, secret: SealedSecret) -> Result<(), RegistryError>;

    async fn delete_secret(&self, namespace: &Namespace, name: &str) -> Result<(), RegistryError>;
}
