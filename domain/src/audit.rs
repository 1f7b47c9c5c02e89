//! What was done to the node and its namespaces, and by whom.

use serde::{Deserialize, Serialize};

use crate::{Namespace, RequestId, Timestamp};

/// One management action, done or refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEvent {
    pub at: Timestamp,
    /// The namespace that it concerns; `None` for the node.
    pub namespace: Option<Namespace>,
    /// Who: `key:ID`, `wallet:ADDRESS`, or `anonymous`.
    pub actor: String,
    /// What, such as `function.deploy`.
    pub action: String,
    /// On what, such as the name of a function; empty when the action has no object.
    pub resource: String,
    /// The address of the client.
    pub ip: String,
    pub request_id: RequestId,
    /// `ok`, or the code of the refusal.
    pub outcome: String,
}

/// Which events are wanted, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditQuery {
    /// `None` means every namespace, and the node.
    pub namespace: Option<Namespace>,
    pub since: Option<Timestamp>,
    /// Only this action, or those below it: `function` means every `function.…`.
    pub action: Option<String>,
    pub limit: usize,
}
