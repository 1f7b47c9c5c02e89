//! Namespaces, who owns them, and how they end.

use async_trait::async_trait;
use domain::{Namespace, NamespaceSettings, Scopes, Timestamp};

use super::RegistryError;

/// A namespace as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredNamespace {
    pub name: Namespace,
    pub created_at: Timestamp,
    /// Who made it, as in [`domain::AuditEvent::actor`]; `node` for one that was there from the start.
    pub created_by: String,
    pub settings: NamespaceSettings,
    /// Its rows are gone, its database, cache and content may not be.
    pub ending: bool,
}

/// A wallet that may do something in a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub namespace: Namespace,
    /// In its canonical form.
    pub wallet: String,
    pub scopes: Scopes,
    pub added_at: Timestamp,
}

#[async_trait]
pub trait Namespaces: Send + Sync {
    /// Every namespace, those that are ending too. `default` is always there.
    async fn load_namespaces(&self) -> Result<Vec<StoredNamespace>, RegistryError>;

    /// A name that is taken, or whose earlier bearer has not ended, is a conflict.
    async fn create_namespace(&self, new: StoredNamespace, owner: Option<Owner>) -> Result<(), RegistryError>;

    async fn set_namespace_settings(
        &self,
        namespace: &Namespace,
        settings: &NamespaceSettings,
    ) -> Result<(), RegistryError>;

    /// Deletes every row that belongs to the namespace, whatever its kind, and marks it as ending. Audit events stay. `default` may
    /// not end: a conflict. Beginning again changes nothing.
    async fn begin_end_of_namespace(&self, namespace: &Namespace) -> Result<(), RegistryError>;

    /// Forgets a namespace that is ending: its name may be taken again, from version 1 on. One that is not ending is a conflict.
    async fn finish_end_of_namespace(&self, namespace: &Namespace) -> Result<(), RegistryError>;

    async fn load_owners(&self) -> Result<Vec<Owner>, RegistryError>;

    /// Adds an owner or replaces its scopes. A namespace that does not exist is not found.
    async fn put_owner(&self, owner: Owner) -> Result<(), RegistryError>;

    async fn delete_owner(&self, namespace: &Namespace, wallet: &str) -> Result<(), RegistryError>;
}
