//! What DNS says of names that are not ours: the proof that a domain is somebody's.

use async_trait::async_trait;

use crate::BoxError;

#[derive(Debug, thiserror::Error)]
pub enum NamesError {
    /// No answer, or one that cannot be trusted; the same question may have an answer later.
    #[error("the name servers do not answer")]
    Unavailable(#[source] BoxError),
}

/// Asks name servers. Implementations: [`crate::memory::MemoryNames`], `backends::names`.
#[async_trait]
pub trait Names: Send + Sync {
    /// The texts at `name`, each as one piece; none when there are none, or no such name. Never an answer from an earlier question.
    async fn texts(&self, name: &str) -> Result<Vec<Vec<u8>>, NamesError>;
}
