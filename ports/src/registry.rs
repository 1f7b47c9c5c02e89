//! The control plane: everything that a node knows about its functions, namespaces and callers.
//!
//! One method is one transaction: after a crash each has happened as a whole or not at all, and what was acknowledged has
//! happened. A namespace that does not exist or is ending takes nothing new: it is not found. Implementations:
//! [`crate::memory::MemoryRegistry`], `backends::registry`. All pass [`crate::conformance::registry`].

mod audit;
mod chain;
mod contents;
mod domains;
mod functions;
mod identities;
mod jobs;
mod namespaces;
mod push;
mod secrets;
mod triggers;

use crate::BoxError;

pub use audit::Audit;
pub use chain::{ChainCodes, StoredChainCode};
pub use contents::{Contents, Owned};
pub use domains::{CustomDomains, StoredDomain};
pub use functions::{Claim, Claimed, Functions, NewVersion, StoredFunction, StoredOutcome};
pub use identities::{App, Identities, RefreshToken, RevokedFamily, Rotated, StoredKey, StoredSigningKey};
pub use jobs::{Cancelled, JobEnd, JobRows, JobsQuery};
pub use namespaces::{Namespaces, Owner, StoredNamespace};
pub use push::{InboxMessage, Push, RowLimits, StoredDevice};
pub use secrets::{SealedDataKey, SealedSecret, SealedSecrets};
pub use triggers::{Asked, Begun, Death, Deliveries, Delivery, DeliveryEnd, Lane, Triggers};

#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("not found")]
    NotFound,
    /// The change would break a rule; the text says which.
    #[error("{0}")]
    Conflict(String),
    /// The disk is full; nothing was changed.
    #[error("the registry is full")]
    Full(#[source] BoxError),
    #[error("the registry is unavailable")]
    Unavailable(#[source] BoxError),
}

/// The control plane as one store.
pub trait Registry:
    Functions
    + Namespaces
    + Identities
    + SealedSecrets
    + Contents
    + ChainCodes
    + CustomDomains
    + Triggers
    + Deliveries
    + JobRows
    + Push
    + Audit
{
}

impl<T> Registry for T where
    T: Functions
        + Namespaces
        + Identities
        + SealedSecrets
        + Contents
        + ChainCodes
        + CustomDomains
        + Triggers
        + Deliveries
        + JobRows
        + Push
        + Audit
{
}
