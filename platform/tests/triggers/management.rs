//! Triggers as people manage them.

use std::sync::Arc;

use domain::{Scope, Scopes, Timestamp, Trigger, TriggerSpec};
use ports::Triggers;

use crate::node::{Act, Node, admin, home, name, node, refusal};

fn topics(triggers: &[Arc<Trigger>]) -> Vec<String> {
    let topic = |trigger: &Arc<Trigger>| match &trigger.spec {
        TriggerSpec::Topic { topic, .. } => topic.clone(),
        other => format!("{other:?}"),
    };
    let mut topics: Vec<String> = triggers.iter().map(topic).collect();
    topics.sort();
    topics
}

#[tokio::test(start_paused = true)]
async fn a_deploy_replaces_the_triggers_of_the_one_before() {
    let node = node().await;
    node.deploy("name: f\ntriggers: [{topic: a}, {topic: b}, {topic: a}]", Act::Succeed).await;
    let before = node.triggers("f");
    assert_eq!(topics(&before), ["a", "b"], "what stands twice is there once");
    let a = before.iter().find(|trigger| trigger.spec == TriggerSpec::topic("a")).expect("it is there").clone();
    node.platform.set_trigger_enabled(&admin(), &home(), &name("f"), &a.id, false).await.expect("paused");
    node.add("f", TriggerSpec::topic("mine")).await;

    node.deploy("name: f\ntriggers: [{topic: a}, {topic: c}, {topic: mine}]", Act::Succeed).await;
    let after = node.triggers("f");
    assert_eq!(topics(&after), ["a", "c", "mine"]);
    let kept = after.iter().find(|trigger| trigger.id == a.id).expect("the same trigger");
    assert!(!kept.enabled, "it stays paused");
    let stored = node.registry.load_triggers().await.expect("load");
    assert_eq!(stored.len(), 3, "{stored:?}");

    node.deploy("name: f", Act::Succeed).await;
    assert_eq!(topics(&node.triggers("f")), ["mine"], "what was added by hand stays");
    node.platform.rollback(&admin(), &home(), &name("f"), None).await.expect("rolled back");
    assert_eq!(topics(&node.triggers("f")), ["a", "c", "mine"], "those of the version that is active");
}

#[tokio::test(start_paused = true)]
async fn triggers_are_added_listed_and_deleted() {
    let node = node().await;
    node.deploy("name: f", Act::Succeed).await;
    node.deploy("name: g", Act::Succeed).await;
    let added = node.add("f", TriggerSpec::topic("a")).await;
    node.add("g", TriggerSpec::topic("a")).await;
    assert_eq!(node.triggers("f"), std::slice::from_ref(&added));
    assert_eq!(node.platform.triggers(&admin(), &home(), None).expect("listed").len(), 2);
    let again = node.platform.add_trigger(&admin(), &home(), &name("f"), TriggerSpec::topic("a")).await;
    assert_eq!(refusal(again), format!("CONFLICT: function `f` has this trigger already, as `{}`", added.id));

    let delete =
        async |function: &str, id: &str| node.platform.delete_trigger(&admin(), &home(), &name(function), id).await;
    assert_eq!(refusal(delete("g", &added.id).await), "NOT_FOUND: Trigger not found");
    assert_eq!(refusal(delete("f", "unknown").await), "NOT_FOUND: Trigger not found");
    assert_eq!(refusal(delete("nobody", &added.id).await), "NOT_FOUND: function `nobody` not found");
    delete("f", &added.id).await.expect("deleted");
    assert_eq!(node.triggers("f"), []);
    node.publish("a", "{}").await.expect("published");
    assert_eq!(node.calls(1).await[0].function, "g");
}

#[tokio::test(start_paused = true)]
async fn a_paused_trigger_sees_nothing_and_stays_paused_over_a_restart() {
    let node = node().await;
    node.deploy("name: f", Act::Succeed).await;
    let added = node.add("f", TriggerSpec::topic("a")).await;
    let set = async |node: &Node, enabled| {
        node.platform.set_trigger_enabled(&admin(), &home(), &name("f"), &added.id, enabled).await.expect("switched")
    };
    assert!(!set(&node, false).await.enabled);
    assert!(!set(&node, false).await.enabled, "twice is once");
    node.publish("a", "1").await.expect("published");
    node.calls(0).await;
    let node = node.killed().await;
    node.publish("a", "2").await.expect("published");
    node.calls(0).await;
    assert!(set(&node, true).await.enabled);
    node.publish("a", "3").await.expect("published");
    assert_eq!(node.calls(1).await[0].json()["data"], 3);
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_fails_changes_nothing() {
    let node = node().await;
    node.deploy("name: f", Act::Succeed).await;
    let added = node.add("f", TriggerSpec::topic("a")).await;
    node.faults.fail("add_trigger", 1);
    let refused = node.platform.add_trigger(&admin(), &home(), &name("f"), TriggerSpec::topic("b")).await;
    assert!(refusal(refused).starts_with("INTERNAL"));
    node.faults.fail("delete_trigger", 1);
    let refused = node.platform.delete_trigger(&admin(), &home(), &name("f"), &added.id).await;
    assert!(refusal(refused).starts_with("INTERNAL"));
    assert_eq!(topics(&node.triggers("f")), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn managing_triggers_needs_the_scope_deploy_at_home() {
    let node = node().await;
    node.deploy("name: f", Act::Succeed).await;
    let invoker = domain::Caller::key("k", home(), Scopes::of([Scope::Invoke, Scope::Data]));
    let spec = || TriggerSpec::topic("a");
    let f = name("f");
    assert_eq!(
        refusal(node.platform.add_trigger(&invoker, &home(), &f, spec()).await),
        "FORBIDDEN: the key lacks the scope `deploy`"
    );
    assert_eq!(refusal(node.platform.triggers(&invoker, &home(), None)), "FORBIDDEN: the key lacks the scope `deploy`");
    let abroad = domain::Namespace::parse("abroad").expect("a valid namespace");
    let stranger = domain::Caller::key("k", abroad, Scopes::of([Scope::Admin]));
    assert!(refusal(node.platform.add_trigger(&stranger, &home(), &f, spec()).await).starts_with("NOT_FOUND"));
    assert!(refusal(node.platform.dead_deliveries(&stranger, &home(), &f, None, 1).await).starts_with("NOT_FOUND"));
}

#[tokio::test(start_paused = true)]
async fn schedules_are_run_as_if_it_were_then() {
    let node = node().await;
    node.deploy("name: f", Act::Succeed).await;
    let at = |text: &str| -> Timestamp { text.parse().expect("a moment") };
    let once = node.add("f", TriggerSpec::Once { once: at("2030-01-01T03:00:00Z") }).await;
    let run = async |moment: &str, id: Option<&str>| {
        node.platform.run_schedules(&admin(), &home(), &name("f"), id, at(moment)).await
    };
    let early = run("2029-12-31T00:00:00Z", None).await.expect_err("it is not due then");
    assert_eq!(early.hint.as_deref(), Some("the first that is due after that is due at 2030-01-01T03:00:00Z"));
    let fired = run("2030-01-01T03:00:00Z", Some(&once.id)).await.expect("run");
    assert_eq!(fired[0].trigger.id, once.id);
    assert_eq!(node.calls(1).await[0].function, "f");
    assert_eq!(node.triggers("f")[0].next_run_at, once.next_run_at, "its own slot stays");
    let topic = node.add("f", TriggerSpec::topic("a")).await;
    assert!(refusal(run("2030-01-01T03:00:00Z", Some(&topic.id)).await).starts_with("CONFLICT"));
}
