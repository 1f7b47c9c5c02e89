//! Functions and their versions, and the replies kept for `Idempotency-Key`.

mod rows;
mod statements;

use async_trait::async_trait;
use domain::{FunctionName, FunctionVersion, Namespace, Timestamp, Trigger, VersionNumber};
use ports::{Claim, Claimed, Functions, NewVersion, RegistryError, StoredFunction, StoredOutcome};

use super::jobs;
use super::triggers::{follow_deletion, replace_triggers};
use super::{SqlRegistry, found, unavailable};
use crate::sql::Columns;

#[async_trait]
impl Functions for SqlRegistry {
    async fn load_functions(&self) -> Result<Vec<StoredFunction>, RegistryError> {
        let [functions] = self.run([statements::load_functions()]).await?;
        rows::functions(functions.rows).map_err(unavailable)
    }

    async fn publish_version(&self, new: NewVersion) -> Result<FunctionVersion, RegistryError> {
        let mut batch = vec![statements::next_number(&new), statements::insert_version(&new)];
        batch.extend(replace_triggers(&new.namespace, &new.manifest.name, None, &new.triggers));
        let taken = self.run_all(batch).await?.into_iter().next();
        let row = taken.and_then(|taken| taken.rows.into_iter().next()).ok_or(RegistryError::NotFound)?;
        let version = rows::number(&mut Columns::of(row)).map_err(unavailable)?;
        let NewVersion { id, namespace, code, code_bytes, manifest, triggers: _, created_at, created_by } = new;
        let name = manifest.name.clone();
        Ok(FunctionVersion { id, namespace, name, version, code, code_bytes, manifest, created_at, created_by })
    }

    async fn activate(
        &self,
        namespace: &Namespace,
        name: &FunctionName,
        version: VersionNumber,
        triggers: Vec<Trigger>,
        now: Timestamp,
    ) -> Result<(), RegistryError> {
        let mut batch = vec![statements::activate(namespace, name, version, now)];
        batch.extend(replace_triggers(namespace, name, Some(version), &triggers));
        self.run_all(batch).await?.first().map_or(Err(RegistryError::NotFound), found)
    }

    async fn set_enabled(
        &self,
        namespace: &Namespace,
        name: &FunctionName,
        enabled: bool,
        now: Timestamp,
    ) -> Result<(), RegistryError> {
        self.change(statements::set_enabled(namespace, name, enabled, now)).await
    }

    async fn delete_version(
        &self,
        namespace: &Namespace,
        name: &FunctionName,
        version: VersionNumber,
        now: Timestamp,
    ) -> Result<(), RegistryError> {
        let [triggers, deliveries] = follow_deletion(namespace, name);
        let batch = [
            statements::must_stay(namespace, name, version),
            statements::delete_version(namespace, name, version),
            statements::after_delete(namespace, name, now),
            triggers,
            deliveries,
            jobs::follow_deletion(namespace, name),
        ];
        let [must_stay, ..] = self.run(batch).await?;
        let row = must_stay.rows.into_iter().next().ok_or(RegistryError::NotFound)?;
        match Columns::of(row).integer().map_err(unavailable)? {
            0 => Ok(()),
            _ => Err(active_version(version)),
        }
    }

    async fn delete_function(
        &self,
        namespace: &Namespace,
        name: &FunctionName,
        now: Timestamp,
    ) -> Result<(), RegistryError> {
        let [triggers, deliveries] = follow_deletion(namespace, name);
        let batch = [
            statements::mark_deleted(namespace, name, now),
            statements::delete_versions(namespace, name),
            triggers,
            deliveries,
            jobs::follow_deletion(namespace, name),
        ];
        let [marked, ..] = self.run(batch).await?;
        found(&marked)
    }

    async fn claim_reply(&self, claim: Claim) -> Result<Claimed, RegistryError> {
        let [claimed, kept] = self.run([statements::claim(&claim), statements::load_reply(&claim)]).await?;
        if claimed.changed > 0 {
            return Ok(Claimed::New);
        }
        let row = kept.rows.into_iter().next().ok_or(RegistryError::NotFound)?;
        Ok(match rows::reply(row).map_err(unavailable)? {
            (fingerprint, _) if fingerprint != claim.fingerprint => Claimed::OtherRequest,
            (_, None) => Claimed::Running,
            (_, Some(outcome)) => Claimed::Done(outcome),
        })
    }

    async fn store_reply(&self, claim: &Claim, outcome: &StoredOutcome) -> Result<(), RegistryError> {
        self.change(statements::store_reply(claim, outcome)).await
    }

    async fn release_reply(&self, claim: &Claim) -> Result<(), RegistryError> {
        self.run([statements::release_reply(claim)]).await.map(drop)
    }

    async fn expire_replies(&self, before: Timestamp) -> Result<u64, RegistryError> {
        let [expired] = self.run([statements::expire_replies(before)]).await?;
        Ok(expired.changed)
    }

    async fn release_unfinished(&self) -> Result<u64, RegistryError> {
        let [released] = self.run([statements::release_unfinished()]).await?;
        Ok(released.changed)
    }
}

fn active_version(version: VersionNumber) -> RegistryError {
    RegistryError::Conflict(format!(
        "version {version} is the active one; roll back to another version first, or delete the whole function"
    ))
}
