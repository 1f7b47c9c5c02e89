//! The cache in the memory of this process: exact counters, entries that expire, and the least recently used ones making room.
//!
//! Each namespace has a budget of its own ([`namespace`]), and all together have another one: when that is passed, the
//! namespace that has the most gives way, so that many small ones do not suffer from a large one.

mod namespace;
mod shard;

use std::collections::HashMap;
use std::hash::RandomState;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use async_trait::async_trait;
use domain::Namespace;
use ports::{Cache, CacheError, Caches, Clock};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use namespace::LocalCache;

/// How much the cache in this process may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalConfig {
    /// What one namespace may hold, in bytes.
    pub bytes_max_per_namespace: u64,
    /// What all namespaces together may hold, in bytes.
    pub bytes_max_total: u64,
}

impl Default for LocalConfig {
    fn default() -> Self {
        Self { bytes_max_per_namespace: 64 << 20, bytes_max_total: 1 << 30 }
    }
}

/// How often entries that nobody asks for any more are looked through for those that have expired.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

pub(super) struct LocalCaches {
    node: Arc<Node>,
    sweeper: JoinHandle<()>,
}

impl LocalCaches {
    pub(super) fn open(config: LocalConfig, clock: Arc<dyn Clock>) -> Self {
        let node = Arc::new(Node::new(config, clock));
        let sweeper = tokio::spawn(sweep(Arc::downgrade(&node)));
        Self { node, sweeper }
    }
}

impl Drop for LocalCaches {
    fn drop(&mut self) {
        self.sweeper.abort();
        // A cache knows its node and the node its caches: nobody else would end that.
        self.node.caches.lock().expect("no holder panics").clear();
    }
}

async fn sweep(node: Weak<Node>) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(node) = node.upgrade() else { return };
        for cache in node.all() {
            cache.sweep().await;
        }
    }
}

#[async_trait]
impl Caches for LocalCaches {
    fn of(&self, namespace: &Namespace) -> Arc<dyn Cache> {
        let mut caches = self.node.caches.lock().expect("no holder panics");
        if let Some(cache) = caches.get(namespace) {
            return cache.clone();
        }
        let cache = Arc::new(LocalCache::new(self.node.clone()));
        caches.insert(namespace.clone(), cache.clone());
        cache
    }

    async fn remove(&self, namespace: &Namespace) -> Result<(), CacheError> {
        // Whoever still has the old cache has nothing: a later namespace of that name gets a new one.
        let removed = self.node.caches.lock().expect("no holder panics").remove(namespace);
        if let Some(cache) = removed {
            cache.remove();
        }
        Ok(())
    }

    async fn check(&self) -> Result<(), CacheError> {
        Ok(())
    }
}

/// What the caches of a node share.
struct Node {
    config: LocalConfig,
    clock: Arc<dyn Clock>,
    /// Keyed at random, so that nobody can choose keys that collide.
    hasher: RandomState,
    /// What all caches hold, those included that were removed and are still in somebody's hands.
    bytes: AtomicU64,
    caches: Mutex<HashMap<Namespace, Arc<LocalCache>>>,
    /// Held by the one who makes room in other caches.
    evicting: Mutex<()>,
}

impl Node {
    fn new(config: LocalConfig, clock: Arc<dyn Clock>) -> Self {
        Self {
            config,
            clock,
            hasher: RandomState::new(),
            bytes: AtomicU64::new(0),
            caches: Mutex::default(),
            evicting: Mutex::default(),
        }
    }

    fn all(&self) -> Vec<Arc<LocalCache>> {
        self.caches.lock().expect("no holder panics").values().cloned().collect()
    }

    fn is_over(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) > self.config.bytes_max_total
    }

    /// Takes from the largest caches until all of them together are within the budget.
    fn make_room(&self) {
        if !self.is_over() {
            return;
        }
        let _turn = self.evicting.lock().expect("no holder panics");
        while self.is_over() {
            let largest = self.all().into_iter().max_by_key(|cache| cache.bytes());
            let Some(largest) = largest.filter(|cache| cache.bytes() > 0) else { return };
            largest.shrink_while(|| self.is_over());
        }
    }
}

#[cfg(test)]
mod tests;
