//! Bytes that may be forgotten, by map and key.
//!
//! One product now: the memory of this process ([`local`]). A cache outside of it becomes a variant of [`Config`].

mod local;

use std::sync::Arc;

use ports::{Caches, Clock, SystemClock};

pub use local::LocalConfig;

/// Which cache a node has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Config {
    /// The memory of this process.
    Local(LocalConfig),
}

impl Default for Config {
    fn default() -> Self {
        Self::Local(LocalConfig::default())
    }
}

/// Opens the cache. Must be called within a runtime, where it removes what has expired.
pub fn open(config: Config) -> Arc<dyn Caches> {
    open_by(config, Arc::new(SystemClock))
}

/// The same by another clock than the machine's.
pub fn open_by(config: Config, clock: Arc<dyn Clock>) -> Arc<dyn Caches> {
    match config {
        Config::Local(config) => Arc::new(local::LocalCaches::open(config, clock)),
    }
}
