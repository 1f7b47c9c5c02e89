//! What code from a chain may use: outbound HTTP to public addresses, and nothing else. Everything that belongs to a tenant is refused.

use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use domain::{Cid, Error, ErrorCode, FunctionRef, FunctionVersion, RequestId, SqlChanged, SqlRows, SqlStatement};
use ports::{
    AppliedMigration, Cache, CacheEntry, CacheError, CacheKey, CacheUsage, CallContext, Content, ContentInfo, Database,
    Invoker, Migration, MigrationError, NoHouse, OwnedStorage, SchemaObject, ScriptError, Secret, Secrets, Services,
    SqlBounds, SqlError, SqlStep, SqlStepResult, TransactionError,
};

use crate::Platform;
use crate::lease::Lease;
use crate::services::House;

pub(super) fn of_chain_code(
    platform: Weak<Platform>,
    version: Arc<FunctionVersion>,
    lease: Arc<Lease>,
) -> Arc<Services> {
    let nothing = Arc::new(Nothing);
    Arc::new(Services {
        fetcher: Arc::new(House::new(platform, version.clone(), lease)),
        version,
        database: nothing.clone(),
        cache: nothing.clone(),
        storage: nothing.clone(),
        secrets: nothing.clone(),
        invoker: nothing,
        bus: Arc::new(NoHouse),
        sockets: Arc::new(NoHouse),
        ephemeral: Arc::new(NoHouse),
        jobs: Arc::new(NoHouse),
        notifier: Arc::new(NoHouse),
    })
}

/// Refuses everything.
struct Nothing;

const REFUSED: &str = "code from a chain has no services";

fn refused() -> Error {
    Error::new(ErrorCode::Forbidden, REFUSED)
}

fn no_sql() -> SqlError {
    SqlError::NotAllowed(REFUSED.to_owned())
}

fn no_transaction() -> TransactionError {
    TransactionError { failed: None, error: no_sql() }
}

impl Secrets for Nothing {
    fn get(&self, _name: &str) -> Result<Option<Secret>, Error> {
        Ok(None)
    }

    fn mask(&self, _text: &str) -> Option<String> {
        None
    }
}

#[async_trait]
impl OwnedStorage for Nothing {
    async fn put(&self, _name: &str, _bytes: Bytes) -> Result<ContentInfo, Error> {
        Err(refused())
    }

    async fn get(&self, _cid: &Cid, _bytes_max: usize) -> Result<Bytes, Error> {
        Err(refused())
    }

    async fn head(&self, _cid: &Cid) -> Result<ContentInfo, Error> {
        Err(refused())
    }
}

#[async_trait]
impl Invoker for Nothing {
    async fn invoke(&self, _: &CallContext, _: &FunctionRef, _: Bytes) -> Result<Bytes, Error> {
        Err(refused())
    }

    async fn invoke_async(&self, _: &CallContext, _: &FunctionRef, _: Bytes) -> Result<RequestId, Error> {
        Err(refused())
    }
}

#[async_trait]
impl Cache for Nothing {
    async fn get(&self, _: CacheKey<'_>) -> Result<Option<CacheEntry>, CacheError> {
        Err(CacheError::Removed)
    }

    async fn set(&self, _: CacheKey<'_>, _: Bytes, _: Option<Duration>) -> Result<(), CacheError> {
        Err(CacheError::Removed)
    }

    async fn delete(&self, _: CacheKey<'_>) -> Result<bool, CacheError> {
        Err(CacheError::Removed)
    }

    async fn add(&self, _: CacheKey<'_>, _: i64) -> Result<i64, CacheError> {
        Err(CacheError::Removed)
    }

    async fn compare_and_swap(
        &self,
        _: CacheKey<'_>,
        _: Option<&[u8]>,
        _: Bytes,
        _: Option<Duration>,
    ) -> Result<bool, CacheError> {
        Err(CacheError::Removed)
    }

    async fn keys(
        &self,
        _: &str,
        _: &(dyn for<'k> Fn(&'k str) -> bool + Sync),
        _: Option<&str>,
        _: usize,
    ) -> Result<Vec<String>, CacheError> {
        Err(CacheError::Removed)
    }

    async fn clear_map(&self, _: &str) -> Result<u64, CacheError> {
        Err(CacheError::Removed)
    }

    async fn usage(&self) -> Result<CacheUsage, CacheError> {
        Err(CacheError::Removed)
    }
}

#[async_trait]
impl Database for Nothing {
    async fn query(&self, _: SqlStatement, _: SqlBounds) -> Result<SqlRows, SqlError> {
        Err(no_sql())
    }

    async fn execute(&self, _: SqlStatement, _: SqlBounds) -> Result<SqlChanged, SqlError> {
        Err(no_sql())
    }

    async fn transaction(&self, _: Vec<SqlStep>, _: SqlBounds) -> Result<Vec<SqlStepResult>, TransactionError> {
        Err(no_transaction())
    }

    async fn transaction_with_sequence(
        &self,
        _: Vec<SqlStep>,
        _: SqlBounds,
    ) -> Result<(Vec<SqlStepResult>, i64), TransactionError> {
        Err(no_transaction())
    }

    async fn query_batch(
        &self,
        _: Vec<SqlStatement>,
        _: SqlBounds,
    ) -> Result<Vec<Result<SqlRows, SqlError>>, SqlError> {
        Err(no_sql())
    }

    async fn schema(&self) -> Result<Vec<SchemaObject>, SqlError> {
        Err(no_sql())
    }

    async fn migrate(&self, _: Vec<Migration>, _: bool, _: SqlBounds) -> Result<Vec<AppliedMigration>, MigrationError> {
        Err(no_sql().into())
    }

    async fn migrations(&self) -> Result<Vec<AppliedMigration>, SqlError> {
        Err(no_sql())
    }

    async fn script(&self, _: String, _: SqlBounds) -> Result<u64, ScriptError> {
        Err(ScriptError { line: 1, error: no_sql() })
    }

    async fn snapshot(&self) -> Result<Box<dyn Content>, SqlError> {
        Err(no_sql())
    }

    async fn dump(&self) -> Result<Box<dyn Content>, SqlError> {
        Err(no_sql())
    }

    async fn bytes(&self) -> Result<u64, SqlError> {
        Err(no_sql())
    }
}
