//! Messages that call functions.

use std::time::Duration;

use domain::{Credential, TriggerKind, TriggerSpec};

use crate::node::{Act, home, node, refusal};

#[tokio::test(start_paused = true)]
async fn a_message_calls_the_functions_that_wait_for_it() {
    let node = node().await;
    node.deploy("name: greets\ntriggers: [{topic: 'calls:invite'}]", Act::Succeed).await;
    node.deploy("name: counts\ninternal: true\ntriggers: [{topic: 'calls:*'}]", Act::Succeed).await;
    node.deploy("name: sleeps\ntriggers: [{topic: 'calls'}]", Act::Succeed).await;
    node.publish("calls:invite", r#"{"calleeId":7}"#).await.expect("published");

    let mut calls = node.calls(2).await;
    calls.sort_by(|a, b| a.function.cmp(&b.function));
    assert_eq!([calls[0].function.as_str(), &calls[1].function], ["counts", "greets"]);
    for call in &calls {
        assert_eq!((call.trigger, call.depth), (TriggerKind::Pubsub, 1));
        assert_eq!((&call.caller.credential, call.caller.wallet()), (&Credential::Platform, ""), "nobody calls");
    }
    let (greets, counts) = (calls[1].json(), calls[0].json());
    assert!(calls[1].input.starts_with(
        r#"{"topic":"calls:invite","data":{"calleeId":7},"namespace":"default","trigger_depth":1,"timestamp":1767225600,"#
    ));
    assert_eq!(greets["message_id"], counts["message_id"], "one message");
    assert_ne!(greets["delivery_id"], counts["delivery_id"], "two deliveries");
    assert_eq!((node.counts().owed, node.counts().made, node.counts().waiting), (2, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_topic_without_triggers_never_touches_the_disk() {
    let node = node().await;
    node.deploy("name: greets\ntriggers: [{topic: other}]", Act::Succeed).await;
    node.faults.fail("write_deliveries", usize::MAX);
    node.publish("calls:invite", "{}").await.expect("published");
    node.calls(0).await;
}

#[tokio::test(start_paused = true)]
async fn a_publish_whose_calls_cannot_be_kept_is_refused() {
    let node = node().await;
    node.deploy("name: greets\ntriggers: [{topic: calls}]", Act::Succeed).await;
    node.faults.fail("write_deliveries", 1);
    let refused = node.publish("calls", "{}").await;
    assert_eq!(refusal(refused), "SERVICE_UNAVAILABLE: the calls that this triggers cannot be kept; try again");
    node.calls(0).await;
    node.publish("calls", "{}").await.expect("published");
    node.calls(1).await;
    assert_eq!(node.counts().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn a_batch_triggers_each_of_its_messages_once_and_in_order() {
    let node = node().await;
    node.deploy("name: greets\nconcurrency: 1\ntriggers: [{topic: calls}]", Act::Succeed).await;
    let messages = (0..20).map(|n| ("calls".to_owned(), n.to_string().into())).collect();
    node.platform.publish(&crate::node::admin(), &home(), messages).await.expect("published");
    let seen: Vec<i64> =
        node.calls(20).await.iter().map(|call| call.json()["data"].as_i64().expect("a number")).collect();
    assert_eq!(seen, (0..20).collect::<Vec<i64>>());
}

/// The function publishes what it got on the topic that it waits for.
#[tokio::test(start_paused = true)]
async fn a_function_that_publishes_to_itself_ends_at_depth_five() {
    let node = node().await;
    node.deploy("name: echoes\ntriggers: [{topic: loop}]", Act::Publish("loop")).await;
    node.publish("loop", "{}").await.expect("published");
    let depths: Vec<u8> = node.calls(5).await.iter().map(|call| call.depth).collect();
    assert_eq!(depths, [1, 2, 3, 4, 5]);
    assert_eq!(node.counts().cut, 1, "and it is said");
}

#[tokio::test(start_paused = true)]
async fn the_depth_goes_through_calls_of_other_functions() {
    let node = node().await;
    node.deploy("name: asks\ntriggers: [{topic: loop}]", Act::Invoke("publishes")).await;
    node.deploy("name: publishes", Act::Publish("loop")).await;
    node.publish("loop", "{}").await.expect("published");
    let calls = node.calls(10).await;
    assert_eq!(calls.iter().filter(|call| call.function == "asks").count(), 5);
    assert_eq!(calls.iter().map(|call| call.depth).max(), Some(5));

    node.call("publishes", "{}").await.expect("called");
    assert_eq!(node.calls(21).await.last().map(|call| call.depth), Some(5), "a client begins at depth one again");
}

#[tokio::test(start_paused = true)]
async fn messages_of_a_window_become_one_call() {
    let node = node().await;
    let collects =
        "name: collects\ntriggers: [{topic: 'a:*', aggregation_window_ms: 1000, aggregation_max_batch_size: 3}]";
    node.deploy(collects, Act::Succeed).await;
    node.publish("a:1", "1").await.expect("published");
    node.publish("a:2", "2").await.expect("published");
    node.calls(0).await;
    node.advance(Duration::from_millis(1000)).await;
    let calls = node.calls(1).await;
    let batch = calls[0].json();
    assert_eq!((&batch["batched"], batch["events"].as_array().map(Vec::len)), (&true.into(), Some(2)));
    assert_eq!((&batch["events"][0]["topic"], &batch["events"][1]["data"]), (&"a:1".into(), &2.into()));
    assert!(batch["events"][0]["delivery_id"].is_string());

    for n in 0..4 {
        node.publish("a:1", &n.to_string()).await.expect("published");
    }
    let full = node.calls(2).await[1].json();
    assert_eq!(full["events"].as_array().map(Vec::len), Some(3), "a full window does not wait");
    node.advance(Duration::from_millis(1000)).await;
    assert_eq!(node.calls(3).await[2].json()["events"].as_array().map(Vec::len), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_thousand_triggers_wait_for_one_topic() {
    let node = node().await;
    for function in 0..10 {
        // As many as a function may have; their numbers keep them apart.
        let triggers: Vec<String> =
            (0..100).map(|n| format!("{{topic: crowd, aggregation_max_batch_size: {n}}}")).collect();
        node.deploy(&format!("name: f{function}\ntriggers: [{}]", triggers.join(", ")), Act::Succeed).await;
    }
    assert_eq!(node.counts().triggers, 1000);
    node.publish("crowd", r#"{"n":1}"#).await.expect("published");
    let calls = node.calls(1000).await;
    let of = |function: &str| calls.iter().filter(|call| call.function == function).count();
    assert!((0..10).all(|function| of(&format!("f{function}")) == 100));
    assert_eq!(node.counts().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn what_comes_through_another_namespace_is_not_seen() {
    let node = node().await;
    let abroad = domain::Namespace::parse("abroad").expect("a valid namespace");
    node.platform.create_namespace(&crate::node::operator(), &abroad).await.expect("made");
    node.deploy_in(&abroad, "name: spies\ntriggers: [{topic: '**'}]", Act::Succeed).await;
    node.deploy("name: greets", Act::Succeed).await;
    node.add("greets", TriggerSpec::topic("calls")).await;
    node.publish("calls", "{}").await.expect("published");
    assert_eq!(node.calls(1).await[0].function, "greets");
}
