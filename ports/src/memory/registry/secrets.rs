//! Sealed secrets, and the sealed keys that they are sealed with.

use async_trait::async_trait;
use domain::Namespace;

use super::MemoryRegistry;
use crate::{RegistryError, SealedDataKey, SealedSecret, SealedSecrets};

#[async_trait]
impl SealedSecrets for MemoryRegistry {
    async fn load_data_keys(&self) -> Result<Vec<SealedDataKey>, RegistryError> {
        let mut keys = self.kept().data_keys.clone();
        keys.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
        Ok(keys)
    }

    async fn create_data_key(&self, key: SealedDataKey) -> Result<(), RegistryError> {
        let mut kept = self.kept();
        kept.living(&key.namespace)?;
        if kept.data_keys.iter().any(|known| known.id == key.id) {
            return Err(RegistryError::Conflict(format!("a data key with the id `{}` exists", key.id)));
        }
        kept.data_keys.push(key);
        Ok(())
    }

    async fn reseal_data_key(&self, id: &str, master: &str, sealed: Vec<u8>) -> Result<(), RegistryError> {
        let mut kept = self.kept();
        let key = kept.data_keys.iter_mut().find(|key| key.id == id).ok_or(RegistryError::NotFound)?;
        key.master = master.to_owned();
        key.sealed = sealed;
        Ok(())
    }

    async fn delete_data_key(&self, id: &str) -> Result<(), RegistryError> {
        let mut kept = self.kept();
        let position = kept.data_keys.iter().position(|key| key.id == id).ok_or(RegistryError::NotFound)?;
        if kept.secrets.values().any(|secret| secret.data_key == id) {
            return Err(RegistryError::Conflict(format!("a secret needs the data key `{id}`")));
        }
        kept.data_keys.remove(position);
        Ok(())
    }

    async fn load_secrets(&self) -> Result<Vec<SealedSecret>, RegistryError> {
        Ok(self.kept().secrets.values().cloned().collect())
    }

    async fn put_secret(&self, secret: SealedSecret) -> Result<(), RegistryError> {
        let mut kept = self.kept();
        let is_its_key = |key: &SealedDataKey| key.id == secret.data_key && key.namespace == secret.namespace;
        if !kept.data_keys.iter().any(is_its_key) {
            return Err(RegistryError::NotFound);
        }
        let key = (secret.namespace.clone(), secret.name.clone());
        let created_at = kept.secrets.get(&key).map_or(secret.created_at, |earlier| earlier.created_at);
        kept.secrets.insert(key, SealedSecret { created_at, ..secret });
        Ok(())
    }

    async fn delete_secret(&self, namespace: &Namespace, name: &str) -> Result<(), RegistryError> {
        let removed = self.kept().secrets.remove(&(namespace.clone(), name.to_owned()));
        removed.map(drop).ok_or(RegistryError::NotFound)
    }
}
