//! The cache of one namespace, in shards, so that calls on several threads do not wait for each other.

use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use ports::{Cache, CacheEntry, CacheError, CacheKey, CacheUsage, cache_sum};

use super::Node;
use super::shard::{Name, Place, Shard, Stored};

const SHARDS: usize = 16;
/// How many expired entries go in one turn of a shard's lock.
const SWEPT_AT_ONCE: usize = 256;
/// How many expired entries a write clears away on its way.
const SWEPT_BY_A_WRITE: usize = 4;
/// How many entries go in one turn of making room, before it is looked again which namespace has the most.
const EVICTED_AT_ONCE: usize = 64;

pub(super) struct LocalCache {
    node: Arc<Node>,
    shards: [Mutex<Shard>; SHARDS],
    bytes: AtomicU64,
    /// The number of the next use, so that the least recently used entry of all shards can be told.
    uses: AtomicU64,
    /// Held by the one who makes room.
    evicting: Mutex<()>,
    removed: AtomicBool,
}

impl LocalCache {
    pub fn new(node: Arc<Node>) -> Self {
        // From 1: no use is older than that of an entry that has expired.
        let (bytes, uses) = (AtomicU64::new(0), AtomicU64::new(1));
        let shards = std::array::from_fn(|_| Mutex::new(Shard::new(node.hasher.clone())));
        Self { node, shards, bytes, uses, evicting: Mutex::default(), removed: AtomicBool::new(false) }
    }

    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Forgets everything, and takes nothing more. What is being written at this moment may stay until nobody has the cache.
    pub fn remove(&self) {
        self.removed.store(true, Ordering::Release);
        for shard in &self.shards {
            self.change(shard, Shard::clear);
        }
    }

    fn check(&self) -> Result<(), CacheError> {
        match self.removed.load(Ordering::Acquire) {
            true => Err(CacheError::Removed),
            false => Ok(()),
        }
    }

    /// Removes what has expired.
    pub async fn sweep(&self) {
        for shard in &self.shards {
            while self.change(shard, |shard| shard.sweep(self.now(), SWEPT_AT_ONCE)) == SWEPT_AT_ONCE {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Removes a few entries, the least recently used first, as long as `wanted`.
    pub fn shrink_while(&self, wanted: impl Fn() -> bool) {
        for _ in 0..EVICTED_AT_ONCE {
            if !wanted() || !self.evict() {
                return;
            }
        }
    }

    fn now(&self) -> Instant {
        self.node.clock.instant()
    }

    fn next_use(&self) -> u64 {
        self.uses.fetch_add(1, Ordering::Relaxed)
    }

    /// When something that is set now expires. A time that no clock reaches is no time to live.
    fn expires(&self, ttl: Option<Duration>) -> Option<Instant> {
        ttl.and_then(|ttl| self.now().checked_add(ttl))
    }

    fn place<'k>(&self, key: CacheKey<'k>) -> (Place<'k>, &Mutex<Shard>) {
        let hash = self.node.hasher.hash_one(key);
        // Other bits than those by which the tables inside look.
        let shard = &self.shards[(hash >> 32) as usize % SHARDS];
        (Place { key, hash }, shard)
    }

    /// Changes a shard, and what is held with it.
    fn change<T>(&self, shard: &Mutex<Shard>, change: impl FnOnce(&mut Shard) -> T) -> T {
        let mut shard = lock(shard);
        let before = shard.bytes();
        let result = change(&mut shard);
        self.account(before, shard.bytes());
        result
    }

    /// Within the lock of the shard: what is added here before it is taken away keeps the sums from passing below 0.
    fn account(&self, before: u64, after: u64) {
        for sum in [&self.bytes, &self.node.bytes] {
            if after >= before {
                sum.fetch_add(after - before, Ordering::Relaxed);
            } else {
                sum.fetch_sub(before - after, Ordering::Relaxed);
            }
        }
    }

    /// Changes the shard of `key` at some moment, then makes room.
    fn write<T>(&self, key: CacheKey<'_>, write: impl FnOnce(&mut Shard, &Place<'_>, Instant) -> T) -> T {
        let now = self.now();
        let (place, shard) = self.place(key);
        let result = self.change(shard, |shard| {
            shard.sweep(now, SWEPT_BY_A_WRITE);
            write(shard, &place, now)
        });
        self.make_room();
        result
    }

    fn stored(&self, value: &[u8], expires: Option<Instant>) -> Stored {
        // A copy: the value may be a small piece of a large buffer, which would stay alive with it.
        Stored { value: Bytes::copy_from_slice(value), expires, used: self.next_use() }
    }

    fn is_over(&self) -> bool {
        self.bytes() > self.node.config.bytes_max_per_namespace
    }

    fn make_room(&self) {
        if self.is_over() {
            let _turn = self.evicting.lock().expect("no holder panics");
            while self.is_over() && self.evict() {}
        }
        self.node.make_room();
    }

    /// Removes the entry whose last use is the longest ago, or a few that have expired; false when there is none.
    fn evict(&self) -> bool {
        let now = self.now();
        let oldest = self.shards.iter().filter_map(|shard| Some((lock(shard).oldest(now)?, shard))).min_by_key(|o| o.0);
        let Some((_, shard)) = oldest else { return false };
        self.change(shard, |shard| {
            if shard.sweep(now, SWEPT_AT_ONCE) == 0 {
                shard.remove_oldest();
            }
        });
        true
    }
}

impl Drop for LocalCache {
    fn drop(&mut self) {
        self.node.bytes.fetch_sub(self.bytes(), Ordering::Relaxed);
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().expect("no holder panics")
}

#[async_trait]
impl Cache for LocalCache {
    async fn get(&self, key: CacheKey<'_>) -> Result<Option<CacheEntry>, CacheError> {
        self.check()?;
        let (place, shard) = self.place(key);
        let mut shard = lock(shard);
        let Some(stored) = shard.touch(&place, self.next_use()) else { return Ok(None) };
        // The time costs as much as the rest: it is asked for only where it matters.
        let Some(expires) = stored.expires else {
            return Ok(Some(CacheEntry { value: stored.value.clone(), ttl: None }));
        };
        let left = expires.saturating_duration_since(self.now());
        Ok((!left.is_zero()).then(|| CacheEntry { value: stored.value.clone(), ttl: Some(left) }))
    }

    async fn set(&self, key: CacheKey<'_>, value: Bytes, ttl: Option<Duration>) -> Result<(), CacheError> {
        self.check()?;
        key.check(&value)?;
        let stored = self.stored(&value, self.expires(ttl));
        self.write(key, |shard, place, _| shard.insert(place, stored));
        Ok(())
    }

    async fn delete(&self, key: CacheKey<'_>) -> Result<bool, CacheError> {
        self.check()?;
        Ok(self.write(key, |shard, place, now| shard.remove(place, now)))
    }

    async fn add(&self, key: CacheKey<'_>, delta: i64) -> Result<i64, CacheError> {
        self.check()?;
        key.check(b"")?;
        self.write(key, |shard, place, now| {
            let present = shard.get(place, now);
            let sum = cache_sum(present.map(|stored| &*stored.value), delta)?;
            let expires = present.and_then(|stored| stored.expires);
            shard.insert(place, self.stored(sum.to_string().as_bytes(), expires));
            Ok(sum)
        })
    }

    async fn compare_and_swap(
        &self,
        key: CacheKey<'_>,
        expected: Option<&[u8]>,
        value: Bytes,
        ttl: Option<Duration>,
    ) -> Result<bool, CacheError> {
        self.check()?;
        key.check(&value)?;
        let stored = self.stored(&value, self.expires(ttl));
        Ok(self.write(key, |shard, place, now| {
            let same = shard.get(place, now).map(|stored| &*stored.value) == expected;
            if same {
                shard.insert(place, stored);
            }
            same
        }))
    }

    async fn keys(
        &self,
        map: &str,
        wanted: &(dyn for<'k> Fn(&'k str) -> bool + Sync),
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, CacheError> {
        self.check()?;
        let mut first: BTreeSet<Name> = BTreeSet::new();
        for shard in &self.shards {
            // `wanted` may be slow, so it is asked outside of the lock; what is collected there are references.
            let found = lock(shard).names(map, after, self.now());
            for name in found.into_iter().filter(|name| wanted(name.key())) {
                first.insert(name);
                if first.len() > limit {
                    first.pop_last();
                }
            }
            tokio::task::yield_now().await;
        }
        Ok(first.into_iter().map(|name| name.key().to_owned()).collect())
    }

    async fn clear_map(&self, map: &str) -> Result<u64, CacheError> {
        self.check()?;
        let mut removed = 0;
        for shard in &self.shards {
            removed += self.change(shard, |shard| shard.remove_map(map, self.now()));
            tokio::task::yield_now().await;
        }
        Ok(removed)
    }

    async fn usage(&self) -> Result<CacheUsage, CacheError> {
        self.check()?;
        self.sweep().await;
        let entries = self.shards.iter().map(|shard| lock(shard).entries()).sum();
        Ok(CacheUsage { entries, bytes: self.bytes(), bytes_max: self.node.config.bytes_max_per_namespace })
    }
}
