//! The audit log: what was done, by whom, with what outcome.

use domain::{AuditEvent, AuditQuery, Caller, Error, Namespace, Scope, Timestamp};

use crate::{Platform, internal};

/// The most events of one answer.
const EVENTS_MAX: usize = 1000;

/// Which events are wanted; see [`AuditQuery`].
#[derive(Debug, Clone)]
pub struct AuditRequest {
    /// `None` means every namespace, and the node; only an operator may ask so.
    pub namespace: Option<Namespace>,
    pub since: Option<Timestamp>,
    pub action: Option<String>,
    pub limit: usize,
}

impl Platform {
    /// Writes an event down; on disk on return. A failure is logged, because what was done is done.
    pub async fn record_audit(&self, event: AuditEvent) {
        let (action, actor, request_id) = (event.action.clone(), event.actor.clone(), event.request_id.clone());
        if let Err(cause) = self.registry.append_audit(event).await {
            let cause = &cause as &dyn std::error::Error;
            tracing::error!(cause, action, actor, %request_id, "failed to write an audit event");
        }
    }

    /// Events, newest first. Needs the scope `admin`. What was done in an earlier namespace of the same name is for operators.
    pub async fn audit(&self, caller: &Caller, request: AuditRequest) -> Result<Vec<AuditEvent>, Error> {
        let AuditRequest { namespace, since, action, limit } = request;
        match &namespace {
            Some(namespace) => drop(self.manage(caller, Scope::Admin, namespace)?),
            None => self.operate(caller)?,
        }
        let since = match &namespace {
            Some(namespace) if self.operate(caller).is_err() => {
                Some(self.namespace(caller, namespace)?.created_at).max(since)
            }
            _ => since,
        };
        let query = AuditQuery { namespace, since, action, limit: limit.min(EVENTS_MAX) };
        self.registry.audit(&query).await.map_err(|cause| internal("read the audit log", cause))
    }

    /// Deletes events past their age.
    pub(crate) async fn tidy_audit(&self) {
        let Ok(before) = self.clock.now().checked_sub(self.config.audit_age_max) else { return };
        match self.registry.prune_audit(before).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "deleted audit events past their age"),
            Err(cause) => tracing::warn!(cause = &cause as &dyn std::error::Error, "failed to prune the audit log"),
        }
    }
}
