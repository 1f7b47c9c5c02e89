//! The domains of others that lead to functions of a namespace.
//!
//! Many namespaces may claim a domain, but only the one that proved it last has it: a proof removes every other claim.

use async_trait::async_trait;
use domain::{FunctionName, Namespace, Timestamp};

use super::RegistryError;

/// A claim of a namespace to a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDomain {
    /// In lower case, without a dot at its end.
    pub domain: String,
    pub namespace: Namespace,
    pub function: FunctionName,
    /// What must stand in the DNS of the domain; new with each claim, so that an old proof proves nothing.
    pub token: String,
    pub created_at: Timestamp,
    /// `None` until it was proved.
    pub verified_at: Option<Timestamp>,
}

#[async_trait]
pub trait CustomDomains: Send + Sync {
    /// Every claim, by domain and namespace.
    async fn load_domains(&self) -> Result<Vec<StoredDomain>, RegistryError>;

    /// Adds a claim, or replaces that of the same namespace.
    async fn put_domain(&self, domain: StoredDomain) -> Result<(), RegistryError>;

    /// Notes that the claim with this token was proved, and removes those of others. Not found when there is no such claim.
    async fn verify_domain(
        &self,
        namespace: &Namespace,
        domain: &str,
        token: &str,
        at: Timestamp,
    ) -> Result<(), RegistryError>;

    async fn delete_domain(&self, namespace: &Namespace, domain: &str) -> Result<(), RegistryError>;
}
