//! Code from a chain in a map.

use async_trait::async_trait;

use super::MemoryRegistry;
use crate::{ChainCodes, RegistryError, StoredChainCode};

#[async_trait]
impl ChainCodes for MemoryRegistry {
    async fn load_chain_codes(&self) -> Result<Vec<StoredChainCode>, RegistryError> {
        Ok(self.kept().chain_codes.values().copied().collect())
    }

    async fn add_chain_code(&self, code: StoredChainCode) -> Result<(), RegistryError> {
        self.kept().chain_codes.entry(code.transaction).or_insert(code);
        Ok(())
    }
}
