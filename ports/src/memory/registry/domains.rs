//! Domains in a map.

use async_trait::async_trait;
use domain::{Namespace, Timestamp};

use super::MemoryRegistry;
use crate::{CustomDomains, RegistryError, StoredDomain};

#[async_trait]
impl CustomDomains for MemoryRegistry {
    async fn load_domains(&self) -> Result<Vec<StoredDomain>, RegistryError> {
        Ok(self.kept().domains.values().cloned().collect())
    }

    async fn put_domain(&self, domain: StoredDomain) -> Result<(), RegistryError> {
        let mut kept = self.kept();
        kept.living(&domain.namespace)?;
        kept.domains.insert((domain.domain.clone(), domain.namespace.clone()), domain);
        Ok(())
    }

    async fn verify_domain(
        &self,
        namespace: &Namespace,
        domain: &str,
        token: &str,
        at: Timestamp,
    ) -> Result<(), RegistryError> {
        let mut kept = self.kept();
        let claim = kept.domains.get_mut(&(domain.to_owned(), namespace.clone()));
        claim.filter(|claim| claim.token == token).ok_or(RegistryError::NotFound)?.verified_at = Some(at);
        kept.domains.retain(|(name, of), _| name != domain || of == namespace);
        Ok(())
    }

    async fn delete_domain(&self, namespace: &Namespace, domain: &str) -> Result<(), RegistryError> {
        let removed = self.kept().domains.remove(&(domain.to_owned(), namespace.clone()));
        removed.map(drop).ok_or(RegistryError::NotFound)
    }
}
