//! The audit log: what was done, by whom, with what outcome. It outlives what it is about.

use async_trait::async_trait;
use domain::{AuditEvent, AuditQuery, Timestamp};

use super::RegistryError;

#[async_trait]
pub trait Audit: Send + Sync {
    async fn append_audit(&self, event: AuditEvent) -> Result<(), RegistryError>;

    /// Events, newest first.
    async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditEvent>, RegistryError>;

    async fn prune_audit(&self, before: Timestamp) -> Result<u64, RegistryError>;
}
