//! What a call carries and what it may use.

use std::sync::Arc;
use std::time::Instant;

use domain::{Caller, FunctionVersion, RequestId, TriggerKind};

/// Everything a function version may use, already scoped to its namespace: built once per version, shared by its calls.
#[derive(Debug)]
pub struct Services {
    pub version: Arc<FunctionVersion>,
}

/// Who and what one call is. Every attempt of a retried call has its own deadline.
#[derive(Debug, Clone)]
pub struct CallContext {
    pub request_id: RequestId,
    pub caller: Arc<Caller>,
    pub trigger: TriggerKind,
    /// How many calls stand above this one.
    pub depth: u8,
    pub deadline: Instant,
}
