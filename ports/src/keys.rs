//! The secrets of the node itself: made at first use, kept for ever, never shown.

use std::fmt;

use crate::BoxError;

/// The size of every node key, in bytes.
pub const KEY_BYTES: usize = 32;

/// A 256-bit secret. Its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct NodeKey([u8; KEY_BYTES]);

impl NodeKey {
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(bytes)
    }

    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NodeKey(…)")
    }
}

#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The key exists, but is not 32 bytes or may be read by others.
    #[error("the key `{purpose}` cannot be used: {reason}")]
    Unusable { purpose: String, reason: String },
    #[error("keys are unavailable")]
    Unavailable(#[source] BoxError),
}

/// Where node keys live.
pub trait Keys: Send + Sync {
    /// The key for `purpose` (lower-case letters and `-`), made when it does not exist yet. Called at start, not per call.
    fn node_key(&self, purpose: &str) -> Result<NodeKey, KeysError>;

    /// The master keys, which protect the keys of secrets: the first seals, all open. At least one.
    fn master_keys(&self) -> Result<Vec<MasterKey>, KeysError>;

    /// The key that signs for `purpose` (lower-case letters and `-`): 32 bytes as they are, made when there is none. An operator
    /// may bring one along, as a file of the same form.
    fn signer(&self, purpose: &str) -> Result<NodeKey, KeysError>;

    /// Puts another key in the place of the one that signs for `purpose`; the one before is gone for ever.
    fn replace_signer(&self, purpose: &str, key: &NodeKey) -> Result<(), KeysError>;

    /// The document about public keys that was published last.
    fn published(&self) -> Result<Option<Vec<u8>>, KeysError>;

    /// Keeps the document about public keys; durable once this returns.
    fn publish(&self, document: &[u8]) -> Result<(), KeysError>;

    /// Where the master keys come from, as an operator calls it: a file, a variable, a command.
    fn master_source(&self) -> String {
        "the node".to_owned()
    }
}

/// A master key with its name; the name is derived from the key, so that a wrong key is noticed before it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterKey {
    pub id: String,
    pub key: NodeKey,
}
