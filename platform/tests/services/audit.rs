//! The audit log: order, scope, age.

use std::time::Duration;

use domain::{AuditEvent, Caller, ErrorCode, Namespace, RequestId, Scope};
use platform::{AuditRequest, Config};
use ports::Clock;

use crate::node::*;

fn event(node: &Node, namespace: Option<&Namespace>, action: &str) -> AuditEvent {
    AuditEvent {
        at: node.clock.now(),
        namespace: namespace.cloned(),
        actor: "key:k1".to_owned(),
        action: action.to_owned(),
        resource: "thing".to_owned(),
        ip: "192.0.2.1".to_owned(),
        request_id: RequestId::new("a request"),
        outcome: "ok".to_owned(),
    }
}

async fn record(node: &Node, namespace: Option<&Namespace>, action: &str) {
    node.platform.record_audit(event(node, namespace, action)).await;
    node.clock.advance(Duration::from_secs(1));
}

fn every(namespace: Option<Namespace>) -> AuditRequest {
    AuditRequest { namespace, since: None, action: None, limit: 100 }
}

async fn actions(node: &Node, caller: &Caller, request: AuditRequest) -> Vec<String> {
    let events = node.platform.audit(caller, request).await.expect("allowed");
    events.into_iter().map(|event| event.action).collect()
}

#[tokio::test]
async fn events_are_newest_first_and_of_one_namespace() {
    let node = node().await;
    node.create_namespace(&abroad()).await;
    record(&node, Some(&home()), "function.deploy").await;
    record(&node, Some(&abroad()), "secret.set").await;
    let since = node.clock.now();
    record(&node, Some(&home()), "secret.set").await;
    record(&node, None, "namespace.create").await;
    let node = node.restarted().await;

    assert_eq!(actions(&node, &admin(), every(Some(home()))).await, ["secret.set", "function.deploy"]);
    assert_eq!(actions(&node, &operator(), every(Some(abroad()))).await, ["secret.set"]);
    let all = ["namespace.create", "secret.set", "secret.set", "function.deploy"];
    assert_eq!(actions(&node, &operator(), every(None)).await, all);
    let late = AuditRequest { since: Some(since), ..every(None) };
    assert_eq!(actions(&node, &operator(), late).await, ["namespace.create", "secret.set"]);
    let functions = AuditRequest { action: Some("function".to_owned()), ..every(Some(home())) };
    assert_eq!(actions(&node, &admin(), functions).await, ["function.deploy"]);
    let two = AuditRequest { limit: 2, ..every(None) };
    assert_eq!(actions(&node, &operator(), two).await, ["namespace.create", "secret.set"]);
}

#[tokio::test]
async fn who_may_read_the_audit_log() {
    let node = node().await;
    node.create_namespace(&abroad()).await;
    for (caller, namespace, code) in [
        (Caller::anonymous(), Some(home()), Some(ErrorCode::Unauthorized)),
        (Caller::anonymous(), None, Some(ErrorCode::Unauthorized)),
        (key_of(&home(), Scope::Deploy), Some(home()), Some(ErrorCode::Forbidden)),
        (admin(), Some(home()), None),
        (admin(), None, Some(ErrorCode::Forbidden)),
        (admin(), Some(abroad()), Some(ErrorCode::NotFound)),
        (operator(), Some(abroad()), None),
        (operator(), None, None),
    ] {
        let asked = node.platform.audit(&caller, every(namespace.clone())).await;
        assert_eq!(asked.err().map(|error| error.code), code, "{caller:?} in {namespace:?}");
    }
}

#[tokio::test]
async fn one_answer_has_at_most_a_thousand_events() {
    let node = node().await;
    for _ in 0..1001 {
        node.platform.record_audit(event(&node, Some(&home()), "secret.set")).await;
    }
    let request = AuditRequest { limit: usize::MAX, ..every(Some(home())) };
    assert_eq!(actions(&node, &admin(), request).await.len(), 1000);
}

#[tokio::test]
async fn what_was_done_is_done_even_if_it_cannot_be_written_down() {
    let node = node().await;
    node.faults.fail("append_audit", 1);
    record(&node, Some(&home()), "lost").await;
    record(&node, Some(&home()), "kept").await;
    assert_eq!(actions(&node, &admin(), every(Some(home()))).await, ["kept"]);
    node.faults.fail("audit", 1);
    assert_eq!(
        refusal(node.platform.audit(&admin(), every(None)).await),
        "FORBIDDEN: the key lacks the scope `operator`"
    );
    let failed = node.platform.audit(&admin(), every(Some(home()))).await;
    assert_eq!(refusal(failed), "INTERNAL: something went wrong on our side");
}

#[tokio::test(start_paused = true)]
async fn old_events_are_deleted() {
    let node = node_with(Config { audit_age_max: Duration::from_secs(3600), ..Config::default() }).await;
    record(&node, Some(&home()), "old").await;
    node.clock.advance(Duration::from_secs(1800));
    record(&node, Some(&home()), "new").await;
    node.clock.advance(Duration::from_secs(1801));
    // Housekeeping comes once a minute.
    // On the paused clock: until housekeeping has had its turn.
    tokio::time::sleep(Duration::from_secs(150)).await;
    assert_eq!(actions(&node, &admin(), every(Some(home()))).await, ["new"]);
}
