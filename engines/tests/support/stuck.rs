//! Services that never answer.

use std::future::pending;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use domain::{Cid, Error, FunctionRef, Position, RequestId, SqlChanged, SqlRows, SqlStatement, Timestamp};
use ports::{
    AppliedMigration, Bus, Cache, CacheEntry, CacheError, CacheKey, CacheUsage, CallContext, Content, ContentInfo,
    Database, EgressError, Ephemeral, EphemeralEntry, FetchReply, FetchRequest, Fetcher, Invoker, JobView, Jobs,
    Migration, MigrationError, Notified, Notifier, OwnedStorage, PushResult, SchemaObject, ScriptError, Sockets,
    SqlBounds, SqlError, SqlStep, SqlStepResult, TransactionError,
};
use tokio::sync::Notify;

#[derive(Default)]
pub struct Stuck {
    /// Notified when something is deleted from the cache.
    pub reached: Notify,
}

#[async_trait]
impl Cache for Stuck {
    async fn get(&self, _: CacheKey<'_>) -> Result<Option<CacheEntry>, CacheError> {
        pending().await
    }
    async fn set(&self, _: CacheKey<'_>, _: Bytes, _: Option<Duration>) -> Result<(), CacheError> {
        pending().await
    }
    async fn delete(&self, _: CacheKey<'_>) -> Result<bool, CacheError> {
        self.reached.notify_one();
        pending().await
    }
    async fn add(&self, _: CacheKey<'_>, _: i64) -> Result<i64, CacheError> {
        pending().await
    }
    async fn compare_and_swap(
        &self,
        _: CacheKey<'_>,
        _: Option<&[u8]>,
        _: Bytes,
        _: Option<Duration>,
    ) -> Result<bool, CacheError> {
        pending().await
    }
    async fn keys(
        &self,
        _: &str,
        _: &(dyn for<'k> Fn(&'k str) -> bool + Sync),
        _: Option<&str>,
        _: usize,
    ) -> Result<Vec<String>, CacheError> {
        pending().await
    }
    async fn clear_map(&self, _: &str) -> Result<u64, CacheError> {
        pending().await
    }
    async fn usage(&self) -> Result<CacheUsage, CacheError> {
        pending().await
    }
}

#[async_trait]
impl Database for Stuck {
    async fn query(&self, _: SqlStatement, _: SqlBounds) -> Result<SqlRows, SqlError> {
        pending().await
    }
    async fn execute(&self, _: SqlStatement, _: SqlBounds) -> Result<SqlChanged, SqlError> {
        pending().await
    }
    async fn transaction(&self, _: Vec<SqlStep>, _: SqlBounds) -> Result<Vec<SqlStepResult>, TransactionError> {
        pending().await
    }
    async fn transaction_with_sequence(
        &self,
        _: Vec<SqlStep>,
        _: SqlBounds,
    ) -> Result<(Vec<SqlStepResult>, i64), TransactionError> {
        pending().await
    }
    async fn query_batch(
        &self,
        _: Vec<SqlStatement>,
        _: SqlBounds,
    ) -> Result<Vec<Result<SqlRows, SqlError>>, SqlError> {
        pending().await
    }
    async fn schema(&self) -> Result<Vec<SchemaObject>, SqlError> {
        pending().await
    }
    async fn migrate(&self, _: Vec<Migration>, _: bool, _: SqlBounds) -> Result<Vec<AppliedMigration>, MigrationError> {
        pending().await
    }
    async fn migrations(&self) -> Result<Vec<AppliedMigration>, SqlError> {
        pending().await
    }
    async fn script(&self, _: String, _: SqlBounds) -> Result<u64, ScriptError> {
        pending().await
    }
    async fn snapshot(&self) -> Result<Box<dyn Content>, SqlError> {
        pending().await
    }
    async fn dump(&self) -> Result<Box<dyn Content>, SqlError> {
        pending().await
    }
    async fn bytes(&self) -> Result<u64, SqlError> {
        pending().await
    }
}

#[async_trait]
impl OwnedStorage for Stuck {
    async fn put(&self, _: &str, _: Bytes) -> Result<ContentInfo, Error> {
        pending().await
    }
    async fn get(&self, _: &Cid, _: usize) -> Result<Bytes, Error> {
        pending().await
    }
    async fn head(&self, _: &Cid) -> Result<ContentInfo, Error> {
        pending().await
    }
}

#[async_trait]
impl Fetcher for Stuck {
    async fn fetch(&self, _: &CallContext, _: FetchRequest) -> Result<FetchReply, EgressError> {
        pending().await
    }
}

#[async_trait]
impl Invoker for Stuck {
    async fn invoke(&self, _: &CallContext, _: &FunctionRef, _: Bytes) -> Result<Bytes, Error> {
        pending().await
    }
    async fn invoke_async(&self, _: &CallContext, _: &FunctionRef, _: Bytes) -> Result<RequestId, Error> {
        pending().await
    }
}

#[async_trait]
impl Bus for Stuck {
    async fn publish(&self, _: &CallContext, _: Vec<(String, Bytes)>) -> Result<Vec<Position>, Error> {
        pending().await
    }
}

#[async_trait]
impl Sockets for Stuck {
    async fn send(&self, _: &CallContext, _: &str, _: Bytes) -> Result<(), Error> {
        pending().await
    }
    async fn broadcast(&self, _: &CallContext, _: &str, _: Bytes) -> Result<usize, Error> {
        pending().await
    }
    async fn bridge(&self, _: &CallContext, _: &str, _: &str) -> Result<(), Error> {
        pending().await
    }
    async fn unbridge(&self, _: &CallContext, _: &str, _: &str) -> Result<(), Error> {
        pending().await
    }
}

#[async_trait]
impl Ephemeral for Stuck {
    async fn set(&self, _: &CallContext, _: &str, _: &str, _: Bytes, _: i64) -> Result<(), Error> {
        pending().await
    }
    async fn clear(&self, _: &CallContext, _: &str, _: &str) -> Result<(), Error> {
        pending().await
    }
    async fn list(&self, _: &CallContext, _: &str) -> Result<Vec<EphemeralEntry>, Error> {
        pending().await
    }
}

#[async_trait]
impl Jobs for Stuck {
    async fn enqueue(&self, _: &CallContext, _: &FunctionRef, _: Bytes, _: Option<Timestamp>) -> Result<String, Error> {
        pending().await
    }
    async fn get(&self, _: &CallContext, _: &str) -> Result<JobView, Error> {
        pending().await
    }
    async fn cancel(&self, _: &CallContext, _: &str) -> Result<(), Error> {
        pending().await
    }
    async fn report(&self, _: &CallContext, _: u8) -> Result<(), Error> {
        pending().await
    }
}

#[async_trait]
impl Notifier for Stuck {
    async fn push(&self, _: &CallContext, _: &str, _: &[u8]) -> Result<PushResult, Error> {
        pending().await
    }
    async fn notify(&self, _: &CallContext, _: &str, _: &[u8]) -> Result<Notified, Error> {
        pending().await
    }
}
