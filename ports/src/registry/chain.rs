//! Code that came from a chain: which transaction it stood in. It belongs to no namespace, and stays.

use async_trait::async_trait;
use domain::{Cid, Timestamp};

use super::RegistryError;

/// Code that was found in a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredChainCode {
    /// The hash of the transaction.
    pub transaction: [u8; 32],
    pub code: Cid,
    pub code_bytes: u64,
    pub added_at: Timestamp,
}

#[async_trait]
pub trait ChainCodes: Send + Sync {
    async fn load_chain_codes(&self) -> Result<Vec<StoredChainCode>, RegistryError>;

    /// Notes where code was found. A transaction that is known already stays as it is.
    async fn add_chain_code(&self, code: StoredChainCode) -> Result<(), RegistryError>;
}
