//! Namespaces, who owns them, and how they end.

use async_trait::async_trait;
use domain::{Namespace, NamespaceSettings};

use super::{Kept, MemoryRegistry};
use crate::{Namespaces, Owner, RegistryError, StoredNamespace};

#[async_trait]
impl Namespaces for MemoryRegistry {
    async fn load_namespaces(&self) -> Result<Vec<StoredNamespace>, RegistryError> {
        Ok(self.kept().namespaces.values().cloned().collect())
    }

    async fn create_namespace(&self, new: StoredNamespace, owner: Option<Owner>) -> Result<(), RegistryError> {
        let mut kept = self.kept();
        if let Some(earlier) = kept.namespaces.get(&new.name) {
            return Err(taken(earlier));
        }
        if let Some(owner) = owner {
            kept.owners.insert((new.name.clone(), owner.wallet.clone()), owner);
        }
        kept.namespaces.insert(new.name.clone(), new);
        Ok(())
    }

    async fn set_namespace_settings(
        &self,
        namespace: &Namespace,
        settings: &NamespaceSettings,
    ) -> Result<(), RegistryError> {
        self.kept().living(namespace)?.settings = settings.clone();
        Ok(())
    }

    async fn begin_end_of_namespace(&self, namespace: &Namespace) -> Result<(), RegistryError> {
        if *namespace == Namespace::default_namespace() {
            return Err(RegistryError::Conflict(format!("the namespace `{namespace}` always stays")));
        }
        let mut kept = self.kept();
        kept.namespaces.get_mut(namespace).ok_or(RegistryError::NotFound)?.ending = true;
        kept.remove_rows_of(namespace);
        Ok(())
    }

    async fn finish_end_of_namespace(&self, namespace: &Namespace) -> Result<(), RegistryError> {
        let mut kept = self.kept();
        if !kept.namespaces.get(namespace).ok_or(RegistryError::NotFound)?.ending {
            return Err(RegistryError::Conflict(format!("the namespace `{namespace}` is not ending")));
        }
        kept.namespaces.remove(namespace);
        Ok(())
    }

    async fn load_owners(&self) -> Result<Vec<Owner>, RegistryError> {
        Ok(self.kept().owners.values().cloned().collect())
    }

    async fn put_owner(&self, owner: Owner) -> Result<(), RegistryError> {
        let mut kept = self.kept();
        kept.living(&owner.namespace)?;
        let key = (owner.namespace.clone(), owner.wallet.clone());
        match kept.owners.get_mut(&key) {
            Some(known) => known.scopes = owner.scopes,
            None => drop(kept.owners.insert(key, owner)),
        }
        Ok(())
    }

    async fn delete_owner(&self, namespace: &Namespace, wallet: &str) -> Result<(), RegistryError> {
        let removed = self.kept().owners.remove(&(namespace.clone(), wallet.to_owned()));
        removed.map(drop).ok_or(RegistryError::NotFound)
    }
}

impl Kept {
    /// Audit events stay, and nonces belong to no namespace.
    fn remove_rows_of(&mut self, namespace: &Namespace) {
        self.owners.retain(|(of, _), _| of != namespace);
        self.functions.retain(|(of, _), _| of != namespace);
        self.replies.retain(|(of, ..), _| of != namespace);
        self.keys.retain(|key| key.namespace != *namespace);
        self.refresh.retain(|_, kept| kept.token.namespace != *namespace);
        self.families.retain(|_, family| family.namespace != *namespace);
        self.claims.retain(|(of, _), _| of != namespace);
        self.apps.retain(|app| app.namespace != *namespace);
        self.secrets.retain(|(of, _), _| of != namespace);
        self.data_keys.retain(|key| key.namespace != *namespace);
        self.contents.retain(|(of, _), _| of != namespace);
        self.devices.retain(|device| device.namespace != *namespace);
        self.inbox.retain(|(of, _), _| of != namespace);
        self.domains.retain(|(_, of), _| of != namespace);
        self.remove_triggers_in(namespace);
        self.remove_jobs(namespace, None);
    }
}

fn taken(earlier: &StoredNamespace) -> RegistryError {
    let name = &earlier.name;
    RegistryError::Conflict(match earlier.ending {
        false => format!("the namespace `{name}` exists"),
        true => format!("an earlier namespace `{name}` is still being deleted; try again in a moment"),
    })
}
