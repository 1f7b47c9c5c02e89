//! The audit log.

use domain::{AuditEvent, AuditQuery, RequestId};

use super::{at, namespace};
use crate::Registry;

pub(super) fn event(ns: Option<&str>, action: &str, second: i64) -> AuditEvent {
    AuditEvent {
        at: at(second),
        namespace: ns.map(namespace),
        actor: "wallet:0xa".to_owned(),
        action: action.to_owned(),
        resource: "hello".to_owned(),
        ip: "192.0.2.1".to_owned(),
        request_id: RequestId::new(format!("r{second}")),
        outcome: "ok".to_owned(),
    }
}

pub(super) fn everything() -> AuditQuery {
    AuditQuery { namespace: None, since: None, action: None, limit: 100 }
}

pub(super) async fn audit(registry: &dyn Registry) {
    let events = [
        event(Some("one"), "function.deploy", 1),
        event(None, "node.backup", 2),
        event(Some("two"), "function.delete", 3),
        event(Some("one"), "functions.odd", 3),
        event(Some("nowhere"), "function", 4),
        event(Some("one"), "secret.set", 5),
    ];
    for event in &events {
        registry.append_audit(event.clone()).await.expect("append");
    }
    let found = registry.audit(&everything()).await.expect("audit");
    assert!(found.iter().eq(events.iter().rev()), "what went in comes out, the newest first: {found:?}");

    let one = AuditQuery { namespace: Some(namespace("one")), ..everything() };
    assert_eq!(seconds(registry, one.clone()).await, [5, 3, 1]);
    assert_eq!(seconds(registry, AuditQuery { since: Some(at(3)), ..one.clone() }).await, [5, 3]);
    assert_eq!(seconds(registry, AuditQuery { limit: 2, ..everything() }).await, [5, 4]);
    let of = |action: &str| Some(action.to_owned());
    assert_eq!(seconds(registry, AuditQuery { action: of("function"), ..everything() }).await, [4, 3, 1]);
    assert_eq!(seconds(registry, AuditQuery { action: of("function"), ..one.clone() }).await, [1]);
    assert_eq!(seconds(registry, AuditQuery { action: of("function.deploy"), ..one }).await, [1]);
    assert_eq!(seconds(registry, AuditQuery { action: of("func"), ..everything() }).await, [0; 0]);
    assert_eq!(seconds(registry, AuditQuery { action: of("%"), ..everything() }).await, [0; 0]);

    assert_eq!(registry.prune_audit(at(3)).await.expect("prune"), 2);
    assert_eq!(seconds(registry, everything()).await, [5, 4, 3, 3], "what is of that time stays");
}

async fn seconds(registry: &dyn Registry, query: AuditQuery) -> Vec<i64> {
    let found = registry.audit(&query).await.expect("audit");
    found.into_iter().map(|event| event.at.as_second() - at(0).as_second()).collect()
}
