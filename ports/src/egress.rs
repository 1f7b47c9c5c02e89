//! Outbound HTTP: one exchange, to an address that was allowed when the connection was made.
//!
//! Implementations: `backends::egress`, [`crate::memory::MemoryEgress`].

use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use domain::{EgressPolicy, Error, ErrorCode, Namespace};

/// A request to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FetchRequest {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

/// What came back; the body is decompressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchReply {
    pub status: u16,
    /// In the order received; several of one name are several entries.
    pub headers: Vec<(String, Bytes)>,
    pub body: Bytes,
}

#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// The request itself is wrong.
    #[error("{0}")]
    Invalid(String),
    /// The address is not allowed; the text names the line that would allow it.
    #[error("{0}")]
    Refused(String),
    #[error("the reply is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("no reply in time")]
    Deadline,
    /// The other side could not be reached, or broke off; the text names no address of ours.
    #[error("{0}")]
    Failed(String),
}

impl EgressError {
    /// As a client may read it.
    pub fn for_client(&self) -> Error {
        let code = match self {
            Self::Invalid(_) => ErrorCode::ValidationFailed,
            Self::Refused(_) => ErrorCode::Forbidden,
            Self::TooLarge { .. } => ErrorCode::ResultTooLarge,
            Self::Deadline => ErrorCode::Timeout,
            Self::Failed(_) => ErrorCode::ServiceUnavailable,
        };
        Error::new(code, self.to_string())
    }
}

/// Sends requests into the world.
#[async_trait]
pub trait Egress: Send + Sync {
    /// Sends `request` for `namespace`, within 30 s and `deadline`. Every policy must allow the address, and that of each redirect.
    ///
    /// Connections are reused within a namespace, never between two.
    async fn fetch(
        &self,
        namespace: &Namespace,
        policies: &[&EgressPolicy],
        request: FetchRequest,
        deadline: Instant,
    ) -> Result<FetchReply, EgressError>;

    /// Closes the idle connections of `namespace`.
    fn forget(&self, namespace: &Namespace);
}
