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

impl NamespaceSettings {
    /// The names of all of them, in order.
    pub const FIELDS: &[&str] = &[
        "functions_max",
        "storage_bytes_max",
        "database_bytes_max",
        "concurrency",
        "requests_per_minute",
        "caller_requests_per_minute",
        "egress",
    ];
}

#[cfg(test)]
mod tests {
    use super::NamespaceSettings;

    #[test]
    fn every_field_is_named() {
        let refused = serde_json::from_str::<NamespaceSettings>(r#"{"colour":1}"#).expect_err("no such field");
        let names = format!("expected one of `{}`", NamespaceSettings::FIELDS.join("`, `"));
        assert!(refused.to_string().contains(&names), "{refused}");
    }
}
