use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;

use crate::{ChainTransaction, CodeSource, CodeSourceError};

/// Transactions that a test wrote down, and how often they were asked for.
#[derive(Debug, Default)]
pub struct MemoryChain {
    transactions: Mutex<HashMap<[u8; 32], ChainTransaction>>,
    asked: Mutex<u64>,
}

impl MemoryChain {
    pub fn add(&self, hash: [u8; 32], transaction: ChainTransaction) {
        self.transactions.lock().expect("no holder panics").insert(hash, transaction);
    }

    /// How many times anything was asked for.
    pub fn asked(&self) -> u64 {
        *self.asked.lock().expect("no holder panics")
    }
}

#[async_trait]
impl CodeSource for MemoryChain {
    async fn transaction(&self, hash: &[u8; 32], input_bytes_max: usize) -> Result<ChainTransaction, CodeSourceError> {
        *self.asked.lock().expect("no holder panics") += 1;
        // Whoever asks at the same time comes between.
        tokio::task::yield_now().await;
        let found = self.transactions.lock().expect("no holder panics").get(hash).cloned();
        let found = found.ok_or(CodeSourceError::NotFound)?;
        match found.input.len() > input_bytes_max {
            true => Err(CodeSourceError::TooLarge { limit: input_bytes_max }),
            false => Ok(found),
        }
    }
}
