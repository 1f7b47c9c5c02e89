//! The audit log in a list.

use std::cmp::Reverse;

use async_trait::async_trait;
use domain::{AuditEvent, AuditQuery, Timestamp};

use super::MemoryRegistry;
use crate::{Audit, RegistryError};

#[async_trait]
impl Audit for MemoryRegistry {
    async fn append_audit(&self, event: AuditEvent) -> Result<(), RegistryError> {
        self.kept().audit.push(event);
        Ok(())
    }

    async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditEvent>, RegistryError> {
        let kept = self.kept();
        let mut wanted: Vec<&AuditEvent> = kept.audit.iter().rev().filter(|event| is_wanted(query, event)).collect();
        wanted.sort_by_key(|event| Reverse(event.at));
        Ok(wanted.into_iter().take(query.limit).cloned().collect())
    }

    async fn prune_audit(&self, before: Timestamp) -> Result<u64, RegistryError> {
        let mut kept = self.kept();
        let all = kept.audit.len();
        kept.audit.retain(|event| event.at >= before);
        Ok((all - kept.audit.len()) as u64)
    }
}

fn is_wanted(query: &AuditQuery, event: &AuditEvent) -> bool {
    let is_or_is_below = |action: &String| {
        let rest = event.action.strip_prefix(action.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    query.namespace.as_ref().is_none_or(|namespace| event.namespace.as_ref() == Some(namespace))
        && query.since.is_none_or(|since| event.at >= since)
        && query.action.as_ref().is_none_or(is_or_is_below)
}
