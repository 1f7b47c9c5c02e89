//! The audit log as a table.

use async_trait::async_trait;
use domain::{AuditEvent, AuditQuery, Namespace, RequestId, Timestamp};
use ports::{Audit, RegistryError};

use super::{SqlRegistry, limit};
use crate::sql::{Columns, DamagedRow, Statement, Value};

#[async_trait]
impl Audit for SqlRegistry {
    async fn append_audit(&self, event: AuditEvent) -> Result<(), RegistryError> {
        self.change(insert(&event)).await
    }

    async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditEvent>, RegistryError> {
        let events = match &query.namespace {
            None => of_all(query),
            Some(namespace) => of_namespace(namespace, query),
        };
        self.all(events, event).await
    }

    async fn prune_audit(&self, before: Timestamp) -> Result<u64, RegistryError> {
        self.count(Statement::new("DELETE FROM audit WHERE at < ?1", [before.into()])).await
    }
}

fn insert(event: &AuditEvent) -> Statement {
    let sql = "INSERT INTO audit (at, namespace, actor, action, resource, ip, request_id, outcome)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    let values = [
        event.at.into(),
        event.namespace.as_ref().map(Namespace::as_str).into(),
        event.actor.as_str().into(),
        event.action.as_str().into(),
        event.resource.as_str().into(),
        event.ip.as_str().into(),
        event.request_id.as_str().into(),
        event.outcome.as_str().into(),
    ];
    Statement::new(sql, values)
}

/// `/` is the character behind `.`: the actions below `function` are those from `function.` up to `function/`.
fn of_all(query: &AuditQuery) -> Statement {
    let sql = "SELECT at, namespace, actor, action, resource, ip, request_id, outcome FROM audit
        WHERE at >= ?1 AND (?2 IS NULL OR action = ?2 OR (action >= ?2 || '.' AND action < ?2 || '/'))
        ORDER BY at DESC, id DESC LIMIT ?3";
    Statement::new(sql, conditions(query))
}

fn of_namespace(namespace: &Namespace, query: &AuditQuery) -> Statement {
    let sql = "SELECT at, namespace, actor, action, resource, ip, request_id, outcome FROM audit
        WHERE namespace = ?4
            AND at >= ?1 AND (?2 IS NULL OR action = ?2 OR (action >= ?2 || '.' AND action < ?2 || '/'))
        ORDER BY at DESC, id DESC LIMIT ?3";
    let [since, action, most] = conditions(query);
    Statement::new(sql, [since, action, most, namespace.as_str().into()])
}

fn conditions(query: &AuditQuery) -> [Value; 3] {
    let since = query.since.map_or(Value::Integer(i64::MIN), Value::from);
    [since, query.action.as_deref().into(), limit(query.limit)]
}

fn event(columns: &mut Columns) -> Result<AuditEvent, DamagedRow> {
    Ok(AuditEvent {
        at: columns.time()?,
        namespace: columns.parsed_or_null("a namespace")?,
        actor: columns.text()?,
        action: columns.text()?,
        resource: columns.text()?,
        ip: columns.text()?,
        request_id: RequestId::new(columns.text()?),
        outcome: columns.text()?,
    })
}
