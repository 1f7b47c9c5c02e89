//! Topics: messages in order to everybody who listens, and a window of the past.
//!
//! One product now: the memory of this process ([`local`]). A message server outside of it becomes a variant of [`Config`].

mod local;

use std::sync::Arc;

use ports::{Clock, PubSub, SystemClock};

pub use local::{History, LocalConfig};

/// Which topics a node has.
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

/// Opens the topics. Must be called within a runtime, where they forget what has expired.
pub fn open(config: Config) -> Arc<dyn PubSub> {
    open_by(config, Arc::new(SystemClock))
}

/// The same by another clock than the machine's.
pub fn open_by(config: Config, clock: Arc<dyn Clock>) -> Arc<dyn PubSub> {
    match config {
        Config::Local(config) => Arc::new(local::LocalPubSub::open(config, clock)),
    }
}
