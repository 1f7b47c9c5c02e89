//! The rotation of keys. Each step is one transaction of the registry that leaves every secret readable, and what an
//! interrupted rotation left is work for the next one: there is nothing to remember in between.

use std::sync::Arc;

use domain::{Error, ErrorCode, Namespace};
use ports::{Clock, Registry, RegistryError, SealedSecret};

use super::shelf::{DataKey, Master};
use super::{Rotation, Vault};
use crate::identity::not_changed;

impl Vault {
    pub(super) async fn rotate(&self, registry: &dyn Registry, clock: &dyn Clock) -> Result<Rotation, Error> {
        let running = |_| Error::new(ErrorCode::Conflict, "a rotation of keys is running already");
        let _one_at_a_time = self.rotating.try_lock().map_err(running)?;
        let mut done = Rotation::default();
        let mut damaged = Vec::new();
        for namespace in self.namespaces() {
            match self.rotate_namespace(registry, clock, &namespace, &mut done, &mut damaged).await {
                // It was deleted meanwhile, and its secrets with it.
                Err(gone) if gone.code == ErrorCode::NotFound => {}
                outcome => outcome?,
            }
        }
        tracing::info!(data_keys = done.data_keys, secrets = done.secrets, "rotated the keys of secrets");
        if damaged.is_empty() { Ok(done) } else { Err(left_over(&damaged)) }
    }

    async fn rotate_namespace(
        &self,
        registry: &dyn Registry,
        clock: &dyn Clock,
        namespace: &Namespace,
        done: &mut Rotation,
        damaged: &mut Vec<String>,
    ) -> Result<(), Error> {
        let Some((old, key)) = self.begin(registry, clock, namespace).await? else { return Ok(()) };
        done.data_keys += 1;
        let names: Vec<String> = self.shelf(namespace).unwrap_or_default().secrets.keys().cloned().collect();
        for name in names {
            match self.reseal(registry, namespace, &name, &key).await {
                Ok(changed) => done.secrets += u64::from(changed),
                Err(error) if error.code == ErrorCode::Corrupt => damaged.push(format!("{namespace}/{name}")),
                Err(error) => return Err(error),
            }
        }
        for key in old {
            done.data_keys += u64::from(self.retire(registry, namespace, &key).await?);
        }
        Ok(())
    }

    /// The keys there were, and the new one, with which every secret is sealed that is set from now on.
    async fn begin(
        &self,
        registry: &dyn Registry,
        clock: &dyn Clock,
        namespace: &Namespace,
    ) -> Result<Option<(Vec<Arc<DataKey>>, Arc<DataKey>)>, Error> {
        let _changing = self.changing.lock().await;
        let Some(shelf) = self.shelf(namespace) else { return Ok(None) };
        let key = self.add_key(registry, clock.now(), namespace).await?;
        Ok(Some((shelf.keys.clone(), key)))
    }

    /// Seals a secret with `key`; false when it is already, or is gone.
    async fn reseal(
        &self,
        registry: &dyn Registry,
        namespace: &Namespace,
        name: &str,
        key: &DataKey,
    ) -> Result<bool, Error> {
        let _changing = self.changing.lock().await;
        let shelf = self.shelf(namespace).unwrap_or_default();
        let Some(row) = shelf.secrets.get(name).filter(|row| row.data_key != key.id) else { return Ok(false) };
        let sealed = key.seal(namespace, name, shelf.reveal(row)?.expose())?;
        let row = SealedSecret { data_key: key.id.clone(), sealed, ..SealedSecret::clone(row) };
        self.put(registry, row).await.map(|()| true)
    }

    /// Deletes a key that seals nothing any more. One that a damaged secret needs stays, sealed with the first master key;
    /// true when it was not before.
    async fn retire(&self, registry: &dyn Registry, namespace: &Namespace, key: &DataKey) -> Result<bool, Error> {
        let _changing = self.changing.lock().await;
        match registry.delete_data_key(&key.id).await {
            Ok(()) | Err(RegistryError::NotFound) => {
                self.change(namespace, |shelf| shelf.keys.retain(|known| known.id != key.id));
                Ok(false)
            }
            Err(RegistryError::Conflict(_)) => self.reseal_key(registry, namespace, key).await,
            Err(error) => Err(not_changed("delete a data key", error)),
        }
    }

    async fn reseal_key(&self, registry: &dyn Registry, namespace: &Namespace, key: &DataKey) -> Result<bool, Error> {
        let master: &Master = &self.masters[0];
        let Some(opened) = key.key.as_ref().filter(|_| key.master != master.id) else { return Ok(false) };
        let sealed = master.seal(namespace, &key.id, opened)?;
        let stored = registry.reseal_data_key(&key.id, &master.id, sealed).await;
        stored.map_err(|error| not_changed("seal a data key", error))?;
        let resealed = DataKey { id: key.id.clone(), master: master.id.clone(), key: key.key.clone() };
        let resealed = Arc::new(resealed);
        self.change(namespace, |shelf| {
            for known in shelf.keys.iter_mut().filter(|known| known.id == resealed.id) {
                *known = resealed.clone();
            }
        });
        Ok(true)
    }
}

/// The rest is done; about these a person must decide.
fn left_over(damaged: &[String]) -> Error {
    let (count, some) = (damaged.len(), damaged[..damaged.len().min(5)].join(", "));
    let message =
        format!("everything else is sealed anew, but {count} secrets are damaged and were left alone: {some}");
    Error::new(ErrorCode::Corrupt, message).hint("set or delete them, then rotate again")
}
