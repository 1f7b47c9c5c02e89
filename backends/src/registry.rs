//! The control plane in SQL: functions, versions, API keys, and replies kept for `Idempotency-Key`.
//!
//! Every method is one batch of statements, and therefore one transaction. Statements and migrations exist once, over a
//! small seam for the database underneath: SQLite in a file now (`system.db`, every transaction synced before it is
//! acknowledged); a clustered product becomes a second driver, and a `Config` that chooses, in this file.

pub(crate) mod migrations;
mod rows;
mod statements;

use std::path::Path;

use async_trait::async_trait;
use domain::{FunctionName, FunctionVersion, Namespace, Timestamp, VersionNumber};
use ports::{BoxError, Claim, Claimed, NewVersion, Registry, RegistryError, StoredFunction, StoredKey, StoredOutcome};

use crate::OpenError;
use crate::sql::sqlite::{self, Database, Kind, Synchronous};
use crate::sql::{Answer, Columns, Driver, Statement, schema};

pub(crate) const KIND: Kind = Kind { application_id: i32::from_be_bytes(*b"OraS"), synchronous: Synchronous::Full };

/// The control plane in a database.
pub struct SqlRegistry {
    driver: Box<dyn Driver>,
}

/// Opens the control plane in the SQLite file at `path`; creates it, or brings it up to date.
pub async fn open(path: &Path) -> Result<SqlRegistry, OpenError> {
    let database = Database::open("registry", path, |path| sqlite::open_writer(path, KIND)).await?;
    schema::migrate(&database, &path.display().to_string(), migrations::MIGRATIONS).await?;
    Ok(SqlRegistry { driver: Box::new(database) })
}

impl SqlRegistry {
    async fn run<const N: usize>(&self, batch: [Statement; N]) -> Result<[Answer; N], RegistryError> {
        let answers = self.driver.transact(batch.into()).await.map_err(RegistryError::Unavailable)?;
        answers.try_into().map_err(|_| unavailable("the database did not answer every statement"))
    }

    /// Runs one statement that must change something.
    async fn change(&self, statement: Statement) -> Result<(), RegistryError> {
        let [answer] = self.run([statement]).await?;
        found(&answer)
    }
}

fn unavailable(cause: impl Into<BoxError>) -> RegistryError {
    RegistryError::Unavailable(cause.into())
}

fn found(answer: &Answer) -> Result<(), RegistryError> {
    if answer.changed == 0 { Err(RegistryError::NotFound) } else { Ok(()) }
}

#[async_trait]
impl Registry for SqlRegistry {
    async fn load(&self) -> Result<Vec<StoredFunction>, RegistryError> {
        let [functions] = self.run([statements::load_functions()]).await?;
        rows::functions(functions.rows).map_err(unavailable)
    }

    async fn publish_version(&self, new: NewVersion) -> Result<FunctionVersion, RegistryError> {
        let [taken, _] = self.run([statements::next_number(&new), statements::insert_version(&new)]).await?;
        let row = taken.rows.into_iter().next().unwrap_or_default();
        let version = rows::number(&mut Columns::of(row)).map_err(unavailable)?;
        let NewVersion { id, namespace, code, code_bytes, manifest, created_at, created_by } = new;
        let name = manifest.name.clone();
        Ok(FunctionVersion { id, namespace, name, version, code, code_bytes, manifest, created_at, created_by })
    }

    async fn activate(
        &self,
        namespace: &Namespace,
        name: &FunctionName,
        version: VersionNumber,
        now: Timestamp,
    ) -> Result<(), RegistryError> {
        self.change(statements::activate(namespace, name, version, now)).await
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
        let batch = [
            statements::must_stay(namespace, name, version),
            statements::delete_version(namespace, name, version),
            statements::after_delete(namespace, name, now),
        ];
        let [must_stay, _, _] = self.run(batch).await?;
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
        let batch = [statements::mark_deleted(namespace, name, now), statements::delete_versions(namespace, name)];
        let [marked, _] = self.run(batch).await?;
        found(&marked)
    }

    async fn create_key(&self, key: StoredKey) -> Result<(), RegistryError> {
        let [inserted] = self.run([statements::insert_key(&key)]).await?;
        match inserted.changed {
            0 => Err(RegistryError::Conflict(format!("a key with the id `{}` exists", key.id))),
            _ => Ok(()),
        }
    }

    async fn load_keys(&self) -> Result<Vec<StoredKey>, RegistryError> {
        let [keys] = self.run([statements::load_keys()]).await?;
        keys.rows.into_iter().map(rows::key).collect::<Result<_, _>>().map_err(unavailable)
    }

    async fn claim_reply(&self, claim: Claim) -> Result<Claimed, RegistryError> {
        let [claimed, kept] = self.run([statements::claim(&claim), statements::load_reply(&claim)]).await?;
        if claimed.changed > 0 {
            return Ok(Claimed::New);
        }
        let row = kept.rows.into_iter().next().unwrap_or_default();
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
