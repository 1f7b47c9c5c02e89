//! Where code comes from that nobody deployed here: the calldata of transactions on a chain.
//!
//! Implementations: `backends::chain`, [`crate::memory::MemoryChain`].

use async_trait::async_trait;
use bytes::Bytes;

use crate::BoxError;

/// What a transaction says, as far as code needs it. Not checked: a node of the chain may answer anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainTransaction {
    /// The address that it goes to, `0x` and hexadecimal digits of any case; `None` when it makes a contract.
    pub to: Option<String>,
    pub input: Bytes,
}

#[derive(Debug, thiserror::Error)]
pub enum CodeSourceError {
    /// The chain has no such transaction, or not yet.
    #[error("tx not found")]
    NotFound,
    /// The answer is about another transaction than the one asked for.
    #[error("the answer is about another transaction")]
    OtherTransaction,
    /// The answer is not what a transaction looks like; the text says which part.
    #[error("{0}")]
    Malformed(&'static str),
    #[error("the transaction is larger than {limit} bytes")]
    TooLarge { limit: usize },
    /// Asking again may help.
    #[error("the chain is unavailable")]
    Unavailable(#[source] BoxError),
}

/// Transactions of one chain.
#[async_trait]
pub trait CodeSource: Send + Sync {
    /// The transaction with this hash; an error when it has more than `input_bytes_max` of calldata.
    async fn transaction(&self, hash: &[u8; 32], input_bytes_max: usize) -> Result<ChainTransaction, CodeSourceError>;
}
