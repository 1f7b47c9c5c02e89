use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use domain::Namespace;

use crate::{Cache, CacheEntry, CacheError, CacheKey, CacheUsage, Caches, Clock, SystemClock, cache_sum};

/// Caches in maps; nothing makes room.
pub struct MemoryCaches {
    clock: Arc<dyn Clock>,
    caches: Mutex<HashMap<Namespace, Arc<MemoryCache>>>,
}

impl MemoryCaches {
    /// Values expire by `clock`.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, caches: Mutex::default() }
    }
}

impl Default for MemoryCaches {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock))
    }
}

#[async_trait]
impl Caches for MemoryCaches {
    fn of(&self, namespace: &Namespace) -> Arc<dyn Cache> {
        let mut caches = self.caches.lock().expect("no holder panics");
        let new = || Arc::new(MemoryCache::new(self.clock.clone()));
        caches.entry(namespace.clone()).or_insert_with(new).clone()
    }

    async fn remove(&self, namespace: &Namespace) -> Result<(), CacheError> {
        if let Some(cache) = self.caches.lock().expect("no holder panics").remove(namespace) {
            cache.removed.store(true, Ordering::SeqCst);
            cache.entries.lock().expect("no holder panics").clear();
        }
        Ok(())
    }

    async fn check(&self) -> Result<(), CacheError> {
        Ok(())
    }
}

/// By map and key.
type Entries = BTreeMap<(String, String), Stored>;

struct Stored {
    value: Bytes,
    expires: Option<Instant>,
}

struct MemoryCache {
    clock: Arc<dyn Clock>,
    entries: Mutex<Entries>,
    removed: AtomicBool,
}

impl MemoryCache {
    fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, entries: Mutex::default(), removed: AtomicBool::new(false) }
    }

    /// The entries that have not expired.
    fn present(&self) -> Result<MutexGuard<'_, Entries>, CacheError> {
        let now = self.clock.instant();
        let mut entries = self.entries.lock().expect("no holder panics");
        if self.removed.load(Ordering::SeqCst) {
            return Err(CacheError::Removed);
        }
        entries.retain(|_, stored| stored.expires.is_none_or(|expires| now < expires));
        Ok(entries)
    }

    fn stored(&self, value: Bytes, ttl: Option<Duration>) -> Stored {
        // A time that no clock reaches is no time to live.
        Stored { value, expires: ttl.and_then(|ttl| self.clock.instant().checked_add(ttl)) }
    }
}

fn owned(key: CacheKey<'_>) -> (String, String) {
    (key.map.to_owned(), key.key.to_owned())
}

#[async_trait]
impl Cache for MemoryCache {
    async fn get(&self, key: CacheKey<'_>) -> Result<Option<CacheEntry>, CacheError> {
        let now = self.clock.instant();
        let entry = |stored: &Stored| CacheEntry {
            value: stored.value.clone(),
            ttl: stored.expires.map(|expires| expires.saturating_duration_since(now)),
        };
        Ok(self.present()?.get(&owned(key)).map(entry))
    }

    async fn set(&self, key: CacheKey<'_>, value: Bytes, ttl: Option<Duration>) -> Result<(), CacheError> {
        key.check(&value)?;
        self.present()?.insert(owned(key), self.stored(value, ttl));
        Ok(())
    }

    async fn delete(&self, key: CacheKey<'_>) -> Result<bool, CacheError> {
        Ok(self.present()?.remove(&owned(key)).is_some())
    }

    async fn add(&self, key: CacheKey<'_>, delta: i64) -> Result<i64, CacheError> {
        key.check(b"")?;
        let mut entries = self.present()?;
        let present = entries.get(&owned(key));
        let sum = cache_sum(present.map(|stored| &*stored.value), delta)?;
        let expires = present.and_then(|stored| stored.expires);
        entries.insert(owned(key), Stored { value: sum.to_string().into(), expires });
        Ok(sum)
    }

    async fn compare_and_swap(
        &self,
        key: CacheKey<'_>,
        expected: Option<&[u8]>,
        value: Bytes,
        ttl: Option<Duration>,
    ) -> Result<bool, CacheError> {
        key.check(&value)?;
        let mut entries = self.present()?;
        let same = entries.get(&owned(key)).map(|stored| &*stored.value) == expected;
        if same {
            entries.insert(owned(key), self.stored(value, ttl));
        }
        Ok(same)
    }

    async fn keys(
        &self,
        map: &str,
        wanted: &(dyn for<'k> Fn(&'k str) -> bool + Sync),
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, CacheError> {
        let start = |key: &str| (map.to_owned(), key.to_owned());
        let from = after.map_or(Bound::Included(start("")), |after| Bound::Excluded(start(after)));
        let entries = self.present()?;
        let of_map = entries.range((from, Bound::Unbounded)).take_while(|((found, _), _)| found == map);
        Ok(of_map.map(|((_, key), _)| key.clone()).filter(|key| wanted(key)).take(limit).collect())
    }

    async fn clear_map(&self, map: &str) -> Result<u64, CacheError> {
        let mut entries = self.present()?;
        let before = entries.len();
        entries.retain(|(found, _), _| found != map);
        Ok((before - entries.len()) as u64)
    }

    async fn usage(&self) -> Result<CacheUsage, CacheError> {
        let entries = self.present()?;
        let weight =
            |((map, key), stored): (&(String, String), &Stored)| CacheKey { map, key }.weight(stored.value.len());
        Ok(CacheUsage { entries: entries.len() as u64, bytes: entries.iter().map(weight).sum(), bytes_max: u64::MAX })
    }
}
