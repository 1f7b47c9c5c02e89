//! Secrets: sealed at rest, opened for the functions of their namespace, never told to anybody else.
//!
//! `vault.rs` keeps them, `shelf.rs` is what the vault knows of one namespace, `rotation.rs` changes its keys, `mask.rs` keeps values
//! out of logs. A secret is sealed with the data key of its namespace, which is sealed with a master key ([`ports::Keys`]).

mod mask;
mod rotation;
mod shelf;
mod vault;

use std::future::Future;

use bytes::Bytes;
use domain::{Caller, Error, Namespace, Scope, Timestamp};

use crate::{Platform, internal};

pub(crate) use vault::{NamespaceSecrets, Vault};

/// A secret as lists show it: never its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretView {
    pub name: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What a rotation of keys did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rotation {
    /// Data keys that are now sealed with the first master key, or new.
    pub data_keys: u64,
    /// Secrets that were sealed anew.
    pub secrets: u64,
}

impl Platform {
    /// Sets a secret: 1 byte to 64 KiB. Functions read the new value at once.
    pub async fn set_secret(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        name: &str,
        value: Bytes,
    ) -> Result<(), Error> {
        let lease = self.manage(caller, Scope::Deploy, namespace)?;
        let (vault, registry, now) = (self.vault.clone(), self.registry.clone(), self.clock.now());
        let (namespace, name) = (namespace.clone(), name.to_owned());
        to_its_end(async move {
            let _held = lease.hold()?;
            vault.set(&*registry, now, &namespace, &name, &value).await
        })
        .await
    }

    /// The names of a namespace's secrets, sorted.
    pub fn list_secrets(&self, caller: &Caller, namespace: &Namespace) -> Result<Vec<SecretView>, Error> {
        let lease = self.manage(caller, Scope::Deploy, namespace)?;
        let _held = lease.hold()?;
        Ok(self.vault.list(namespace))
    }

    pub async fn delete_secret(&self, caller: &Caller, namespace: &Namespace, name: &str) -> Result<(), Error> {
        let lease = self.manage(caller, Scope::Deploy, namespace)?;
        let (vault, registry) = (self.vault.clone(), self.registry.clone());
        let (namespace, name) = (namespace.clone(), name.to_owned());
        to_its_end(async move {
            let _held = lease.hold()?;
            vault.delete(&*registry, &namespace, &name).await
        })
        .await
    }

    /// Gives every namespace a new data key, seals every secret anew and every key with the first master key, while everything stays
    /// readable. What was interrupted is finished by the next rotation. Only an operator may.
    pub async fn rotate_secrets(&self, caller: &Caller) -> Result<Rotation, Error> {
        self.operate(caller)?;
        let (vault, registry, clock) = (self.vault.clone(), self.registry.clone(), self.clock.clone());
        to_its_end(async move { vault.rotate(&*registry, &*clock).await }).await
    }
}

/// Runs a change that must not stop between the registry and the memory that follows it, also when the client goes away.
pub(crate) async fn to_its_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    tokio::spawn(change).await.unwrap_or_else(|cause| Err(internal("change secrets", cause)))
}
