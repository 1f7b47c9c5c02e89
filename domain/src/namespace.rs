//! What may be set for one namespace; whatever is not set follows the node.

use serde::{Deserialize, Serialize};

use crate::EgressPolicy;

/// The settings of a namespace. Kept as JSON: a field added later needs `#[serde(default)]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NamespaceSettings {
    /// The most functions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub functions_max: Option<u64>,
    /// The most bytes of stored content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_bytes_max: Option<u64>,
    /// The largest size of the database file, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_bytes_max: Option<u64>,
    /// Calls at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u64>,
    /// Requests a minute, of all callers together; 0 means no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    /// Requests a minute of one caller; 0 means no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller_requests_per_minute: Option<u64>,
    /// Where functions and clients of the namespace may send HTTP requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress: Option<EgressPolicy>,
}
