//! Functions and their versions, and the replies kept for `Idempotency-Key`.

use async_trait::async_trait;
use domain::{FunctionName, FunctionState, FunctionVersion, Namespace, Timestamp, Trigger, VersionNumber};

use super::{Kept, MemoryRegistry};
use crate::{Claim, Claimed, Functions, NewVersion, RegistryError, StoredFunction, StoredOutcome};

#[derive(Debug, Default)]
pub(super) struct Entry {
    last_number: u32,
    /// `None` while the function is deleted: its numbers stay used.
    stored: Option<StoredFunction>,
}

/// Namespace, function, caller, key.
pub(super) type ReplyKey = (Namespace, FunctionName, String, String);

fn reply_key(claim: &Claim) -> ReplyKey {
    (claim.namespace.clone(), claim.function.clone(), claim.caller.clone(), claim.key.clone())
}

impl MemoryRegistry {
    fn change<T>(
        &self,
        namespace: &Namespace,
        name: &FunctionName,
        change: impl FnOnce(&mut StoredFunction) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        change(self.kept().function(namespace, name)?)
    }
}

impl Kept {
    fn function(&mut self, namespace: &Namespace, name: &FunctionName) -> Result<&mut StoredFunction, RegistryError> {
        let entry = self.functions.get_mut(&(namespace.clone(), name.clone()));
        entry.and_then(|entry| entry.stored.as_mut()).ok_or(RegistryError::NotFound)
    }

    pub(super) fn has_function(&self, namespace: &Namespace, name: &FunctionName) -> bool {
        self.functions.get(&(namespace.clone(), name.clone())).is_some_and(|entry| entry.stored.is_some())
    }
}

#[async_trait]
impl Functions for MemoryRegistry {
    async fn load_functions(&self) -> Result<Vec<StoredFunction>, RegistryError> {
        Ok(self.kept().functions.values().filter_map(|entry| entry.stored.clone()).collect())
    }

    async fn publish_version(&self, new: NewVersion) -> Result<FunctionVersion, RegistryError> {
        let mut kept = self.kept();
        kept.living(&new.namespace)?;
        let name = new.manifest.name.clone();
        let entry = kept.functions.entry((new.namespace.clone(), name.clone())).or_default();
        entry.last_number += 1;
        let number = VersionNumber::new(entry.last_number).expect("counted from 1");
        let version = FunctionVersion {
            id: new.id,
            namespace: new.namespace.clone(),
            name: name.clone(),
            version: number,
            code: new.code,
            code_bytes: new.code_bytes,
            manifest: new.manifest,
            created_at: new.created_at,
            created_by: new.created_by,
        };
        let stored = entry.stored.get_or_insert_with(|| StoredFunction {
            state: FunctionState {
                namespace: new.namespace,
                name,
                active: number,
                enabled: true,
                updated_at: new.created_at,
            },
            versions: Vec::new(),
        });
        stored.state.active = number;
        stored.state.updated_at = new.created_at;
        stored.versions.push(version.clone());
        kept.replace_triggers(&version.namespace, &version.name, new.triggers);
        Ok(version)
    }

    async fn activate(
        &self,
        namespace: &Namespace,
        name: &FunctionName,
        version: VersionNumber,
        triggers: Vec<Trigger>,
        now: Timestamp,
    ) -> Result<(), RegistryError> {
        let mut kept = self.kept();
        let stored = kept.function(namespace, name)?;
        if !stored.versions.iter().any(|known| known.version == version) {
            return Err(RegistryError::NotFound);
        }
        stored.state.active = version;
        stored.state.updated_at = now;
        kept.replace_triggers(namespace, name, triggers);
        Ok(())
    }

    async fn set_enabled(
        &self,
        namespace: &Namespace,
        name: &FunctionName,
        enabled: bool,
        now: Timestamp,
    ) -> Result<(), RegistryError> {
        self.change(namespace, name, |stored| {
            stored.state.enabled = enabled;
            stored.state.updated_at = now;
            Ok(())
        })
    }

    async fn delete_version(
        &self,
        namespace: &Namespace,
        name: &FunctionName,
        version: VersionNumber,
        now: Timestamp,
    ) -> Result<(), RegistryError> {
        let last = self.change(namespace, name, |stored| {
            if !stored.versions.iter().any(|known| known.version == version) {
                return Err(RegistryError::NotFound);
            }
            if stored.state.active == version && stored.versions.len() > 1 {
                return Err(active_version(version));
            }
            stored.versions.retain(|known| known.version != version);
            stored.state.updated_at = now;
            Ok(stored.versions.is_empty())
        })?;
        if last {
            self.delete_function(namespace, name, now).await?;
        }
        Ok(())
    }

    async fn delete_function(
        &self,
        namespace: &Namespace,
        name: &FunctionName,
        _now: Timestamp,
    ) -> Result<(), RegistryError> {
        let mut kept = self.kept();
        let entry = kept.functions.get_mut(&(namespace.clone(), name.clone()));
        entry.and_then(|entry| entry.stored.take()).map(drop).ok_or(RegistryError::NotFound)?;
        kept.remove_triggers_of(namespace, name);
        kept.remove_jobs(namespace, Some(name));
        Ok(())
    }

    async fn claim_reply(&self, claim: Claim) -> Result<Claimed, RegistryError> {
        let mut kept = self.kept();
        kept.living(&claim.namespace)?;
        let claimed = match kept.replies.get(&reply_key(&claim)) {
            None => Claimed::New,
            Some((earlier, _)) if earlier.fingerprint != claim.fingerprint => Claimed::OtherRequest,
            Some((_, None)) => Claimed::Running,
            Some((_, Some(outcome))) => Claimed::Done(outcome.clone()),
        };
        if claimed == Claimed::New {
            kept.replies.insert(reply_key(&claim), (claim, None));
        }
        Ok(claimed)
    }

    async fn store_reply(&self, claim: &Claim, outcome: &StoredOutcome) -> Result<(), RegistryError> {
        let mut kept = self.kept();
        kept.living(&claim.namespace)?;
        kept.replies.insert(reply_key(claim), (claim.clone(), Some(outcome.clone())));
        Ok(())
    }

    async fn release_reply(&self, claim: &Claim) -> Result<(), RegistryError> {
        self.kept().replies.remove(&reply_key(claim));
        Ok(())
    }

    async fn expire_replies(&self, before: Timestamp) -> Result<u64, RegistryError> {
        let mut kept = self.kept();
        let all = kept.replies.len();
        kept.replies.retain(|_, (claim, _)| claim.at >= before);
        Ok((all - kept.replies.len()) as u64)
    }

    async fn release_unfinished(&self) -> Result<u64, RegistryError> {
        let mut kept = self.kept();
        let all = kept.replies.len();
        kept.replies.retain(|_, (_, outcome)| outcome.is_some());
        Ok((all - kept.replies.len()) as u64)
    }
}

fn active_version(version: VersionNumber) -> RegistryError {
    RegistryError::Conflict(format!(
        "version {version} is the active one; roll back to another version first, or delete the whole function"
    ))
}
