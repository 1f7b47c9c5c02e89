use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use domain::Namespace;

use super::{Failing, Faults};
use crate::{Cache, CacheEntry, CacheError, CacheKey, CacheUsage, Caches};

#[async_trait]
impl<P: Caches> Caches for Failing<P> {
    fn of(&self, namespace: &Namespace) -> Arc<dyn Cache> {
        Arc::new(FailingCache { inner: self.inner.of(namespace), faults: self.faults.clone() })
    }

    async fn remove(&self, namespace: &Namespace) -> Result<(), CacheError> {
        self.faults.check("remove").map_err(CacheError::Unavailable)?;
        self.inner.remove(namespace).await
    }

    async fn check(&self) -> Result<(), CacheError> {
        self.faults.check("check").map_err(CacheError::Unavailable)?;
        self.inner.check().await
    }
}

struct FailingCache {
    inner: Arc<dyn Cache>,
    faults: Arc<Faults>,
}

#[async_trait]
impl Cache for FailingCache {
    async fn get(&self, key: CacheKey<'_>) -> Result<Option<CacheEntry>, CacheError> {
        self.faults.check("get").map_err(CacheError::Unavailable)?;
        self.inner.get(key).await
    }

    async fn set(&self, key: CacheKey<'_>, value: Bytes, ttl: Option<Duration>) -> Result<(), CacheError> {
        self.faults.check("set").map_err(CacheError::Unavailable)?;
        self.inner.set(key, value, ttl).await
    }

    async fn delete(&self, key: CacheKey<'_>) -> Result<bool, CacheError> {
        self.faults.check("delete").map_err(CacheError::Unavailable)?;
        self.inner.delete(key).await
    }

    async fn add(&self, key: CacheKey<'_>, delta: i64) -> Result<i64, CacheError> {
        self.faults.check("add").map_err(CacheError::Unavailable)?;
        self.inner.add(key, delta).await
    }

    async fn compare_and_swap(
        &self,
        key: CacheKey<'_>,
        expected: Option<&[u8]>,
        value: Bytes,
        ttl: Option<Duration>,
    ) -> Result<bool, CacheError> {
        self.faults.check("compare_and_swap").map_err(CacheError::Unavailable)?;
        self.inner.compare_and_swap(key, expected, value, ttl).await
    }

    async fn keys(
        &self,
        map: &str,
        wanted: &(dyn for<'k> Fn(&'k str) -> bool + Sync),
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, CacheError> {
        self.faults.check("keys").map_err(CacheError::Unavailable)?;
        self.inner.keys(map, wanted, after, limit).await
    }

    async fn clear_map(&self, map: &str) -> Result<u64, CacheError> {
        self.faults.check("clear_map").map_err(CacheError::Unavailable)?;
        self.inner.clear_map(map).await
    }

    async fn usage(&self) -> Result<CacheUsage, CacheError> {
        self.faults.check("usage").map_err(CacheError::Unavailable)?;
        self.inner.usage().await
    }
}
