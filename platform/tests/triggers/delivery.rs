//! What becomes of calls that are owed: made again, put off, given up, over deaths and stops of the node.

use std::time::Duration;

use domain::{Namespace, TriggerSpec};
use platform::{Config, NodeLimits};
use ports::{Asked, Deliveries};

use crate::node::{Act, admin, home, name, node, node_with, operator, refusal, until};

const FAILS: &str = "name: fails\nretry: {count: 2, delay: 5}\ndlq_topic: dead\ntriggers: [{topic: calls}]";

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_is_made_again_and_then_given_up() {
    let node = node().await;
    node.deploy(FAILS, Act::Fail(usize::MAX)).await;
    node.deploy("name: buries\ntriggers: [{topic: dead}]", Act::Succeed).await;
    node.publish("calls", r#"{"n":1}"#).await.expect("published");
    node.calls(1).await;
    node.advance(Duration::from_secs(4)).await;
    node.calls(1).await;
    node.advance(Duration::from_secs(1)).await;
    node.calls(2).await;
    node.advance(Duration::from_secs(5)).await;

    let calls = node.calls(4).await;
    assert_eq!(calls[0].input, calls[2].input, "the same delivery");
    let letter = calls[3].json();
    assert_eq!((calls[3].function.as_str(), calls[3].depth), ("buries", 2));
    let letter = &letter["data"];
    for (field, want) in [
        ("function_name", "fails"),
        ("namespace", "default"),
        ("error", "FUNCTION_EXECUTION_FAILED: exit code 3"),
        ("failed_at", "2026-01-01T00:00:10Z"),
        ("trigger_type", "pubsub"),
    ] {
        assert_eq!(letter[field], want, "{letter}");
    }
    let input = {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.decode(letter["input"].as_str().expect("text")).expect("base64")
    };
    assert!(input.starts_with(br#"{"topic":"calls","data":{"n":1}"#));

    let dead = node.dead("fails").await;
    assert_eq!(dead.len(), 1);
    assert_eq!(letter["delivery_id"], dead[0].id.as_str());
    assert_eq!((node.counts().failed, node.counts().dead, node.counts().waiting), (2, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn dead_letters_are_driven_again_or_deleted() {
    let node = node().await;
    node.deploy("name: fails\ntriggers: [{topic: calls}]", Act::Fail(2)).await;
    for n in 0..2 {
        node.publish("calls", &n.to_string()).await.expect("published");
    }
    node.calls(2).await;
    let dead = node.dead("fails").await;
    assert_eq!(dead.len(), 2);
    let (admin, fails) = (admin(), name("fails"));
    let one = [dead[0].id.clone()];
    assert_eq!(node.platform.redrive(&admin, &home(), &fails, Some(&one)).await.expect("redrive"), 1);
    let again = node.calls(3).await;
    assert!(again[2].input.contains(&one[0]));
    assert_eq!(node.dead("fails").await.len(), 1);
    assert_eq!(node.platform.delete_dead(&admin, &home(), &fails, None).await.expect("delete"), 1);
    assert_eq!(node.platform.redrive(&admin, &home(), &fails, None).await.expect("redrive"), 0);
    let unknown = node.platform.redrive(&admin, &home(), &name("nobody"), None).await;
    assert_eq!(refusal(unknown), "NOT_FOUND: function `nobody` not found");
}

#[tokio::test(start_paused = true)]
async fn what_is_owed_to_a_function_that_is_switched_off_waits_for_it() {
    let node = node().await;
    node.deploy("name: sleeps\ntriggers: [{topic: calls}]", Act::Succeed).await;
    node.platform.set_enabled(&admin(), &home(), &name("sleeps"), false).await.expect("switched off");
    node.publish("calls", "{}").await.expect("published");
    until("it is put off", || node.counts().put_off >= 1).await;
    node.calls(0).await;
    node.platform.set_enabled(&admin(), &home(), &name("sleeps"), true).await.expect("switched on");
    node.advance(Duration::from_secs(60)).await;
    node.calls(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_function_that_stays_switched_off_is_given_up_after_a_day_and_its_dead_letter_is_sent() {
    let node = node().await;
    node.deploy("name: hears\ntriggers: [{topic: dead}]", Act::Succeed).await;
    node.deploy("name: sleeps\ndlq_topic: dead\ntriggers: [{topic: calls}]", Act::Succeed).await;
    node.platform.set_enabled(&admin(), &home(), &name("sleeps"), false).await.expect("switched off");
    node.publish("calls", "{}").await.expect("published");
    let mut minutes = 0;
    while node.counts().dead == 0 {
        assert!(minutes < 30 * 60, "it is given up");
        minutes += 1;
        node.advance(Duration::from_secs(60)).await;
    }
    assert!(minutes > 12 * 60, "for about a day it waits: {minutes} minutes");
    let why = node.dead("sleeps").await[0].dead.clone().expect("it is dead").why;
    assert_eq!(why, "FUNCTION_UNAVAILABLE: function `sleeps` is disabled");
    let letter = &node.calls(1).await[0].input;
    assert!(letter.contains("\"function_name\":\"sleeps\""), "{letter}");
}

#[tokio::test(start_paused = true)]
async fn deliveries_of_a_deleted_function_go_with_it() {
    let node = node().await;
    let manifest = "name: goes\nconcurrency: 1\ntriggers: [{topic: calls}]";
    node.deploy(manifest, Act::Wait).await;
    for _ in 0..3 {
        node.publish("calls", "{}").await.expect("published");
    }
    node.engine_has(1).await;
    node.platform.delete(&admin(), &home(), &crate::node::reference("goes")).await.expect("deleted");
    assert_eq!(node.counts().triggers, 0);
    node.release(1);
    node.settled().await;
    assert_eq!((node.seen().len(), node.counts().waiting), (1, 0));
    node.publish("calls", "{}").await.expect("published");
    node.calls(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_ends_takes_its_deliveries_along() {
    let node = node().await;
    let mortal = Namespace::parse("mortal").expect("a valid namespace");
    node.platform.create_namespace(&operator(), &mortal).await.expect("made");
    let manifest = "name: goes\nconcurrency: 1\ntriggers: [{topic: calls}]";
    node.deploy_in(&mortal, manifest, Act::Wait).await;
    let messages = vec![("calls".to_owned(), "1".into()), ("calls".to_owned(), "2".into())];
    node.platform.publish(&operator(), &mortal, messages).await.expect("published");
    node.engine_has(1).await;
    node.platform.delete_namespace(&operator(), &mortal).await.expect("deleted");
    assert_eq!((node.counts().triggers, node.counts().waiting), (0, 0));

    node.platform.create_namespace(&operator(), &mortal).await.expect("made again");
    node.deploy_in(&mortal, manifest, Act::Succeed).await;
    node.settled().await;
    assert_eq!(node.seen().len(), 1, "nothing of the one before comes to it");
}

#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_is_called_after_the_death_of_the_node() {
    let node = node().await;
    let manifest = "name: works\nconcurrency: 2\ntriggers: [{topic: calls}]";
    node.deploy(manifest, Act::Wait).await;
    for n in 0..5 {
        node.publish("calls", &n.to_string()).await.expect("published");
    }
    node.engine_has(2).await;
    let node = node.killed().await;
    node.says("works", Act::Succeed);
    node.settled().await;
    until("all are made", || node.counts().waiting == 0).await;
    let mut data: Vec<i64> = node.seen().iter().map(|call| call.json()["data"].as_i64().expect("a number")).collect();
    data.sort_unstable();
    data.dedup();
    assert_eq!(data, [0, 1, 2, 3, 4], "those that ran, and those that waited");
}

#[tokio::test(start_paused = true)]
async fn what_ends_the_node_again_and_again_is_given_up() {
    let node = node().await;
    node.deploy("name: kills\ndlq_topic: dead\ntriggers: [{topic: calls}]", Act::Wait).await;
    node.deploy("name: buries\ntriggers: [{topic: dead}]", Act::Succeed).await;
    node.publish("calls", "{}").await.expect("published");
    node.engine_has(1).await;
    let asked = || vec![Asked { namespace: home(), function: name("kills"), limit: 1 }];
    for _death in 1..10 {
        node.registry.release_deliveries().await.expect("release");
        node.registry.begin_deliveries(asked(), domain::Timestamp::MAX).await.expect("begin");
    }
    let node = node.killed().await;
    until("it is given up", || node.counts().dead == 1).await;
    assert_eq!(node.calls(1).await[0].function, "buries", "it is not run once more");
    let why = node.dead("kills").await[0].dead.clone().expect("it is dead").why;
    assert_eq!(why, "the server stopped 10 times while this call ran");
}

#[tokio::test(start_paused = true)]
async fn a_clean_stop_waits_for_what_runs_and_leaves_the_rest() {
    let node = node().await;
    node.deploy("name: works\nconcurrency: 1\ntriggers: [{topic: calls}]", Act::Wait).await;
    for n in 0..3 {
        node.publish("calls", &n.to_string()).await.expect("published");
    }
    node.engine_has(1).await;
    let (platform, engine) = (node.platform.clone(), node.engine.clone());
    let closing = tokio::spawn(async move { platform.close(Duration::from_secs(10)).await });
    until("it is told to stop", || node.platform.ready().is_err()).await;
    drop(engine);
    node.release(1);
    assert!(closing.await.expect("it closes"), "everything that ran has ended");
    assert_eq!(node.seen().len(), 1);
    let lanes = node.registry.lanes(None).await.expect("lanes");
    assert_eq!((lanes[0].deliveries, lanes[0].due_at.is_some()), (2, true), "the rest waits, and nothing is begun");
    let node = node.killed().await;
    node.says("works", Act::Succeed);
    node.calls(2).await;
}

/// Triggered calls that hang take no place from those that somebody waits for.
#[tokio::test(start_paused = true)]
async fn direct_calls_are_not_kept_waiting_by_triggered_ones() {
    let limits = NodeLimits { namespace_concurrency: 8, queue_wait: Duration::from_secs(1), ..NodeLimits::default() };
    let node = node_with(Config { limits, ..Config::default() }).await;
    node.deploy("name: hangs\ntriggers: [{topic: calls}]", Act::Wait).await;
    node.deploy("name: answers", Act::Succeed).await;
    for _ in 0..50 {
        node.publish("calls", "{}").await.expect("published");
    }
    node.engine_has(2).await;
    // On a paused clock nothing more comes in this time.
    tokio::time::sleep(Duration::from_millis(100)).await; // paused
    assert_eq!(node.seen().len(), 2, "a quarter of the places of the namespace");
    let calls = (0..8).map(|_| node.call("answers", "{}"));
    for answer in futures_util::future::join_all(calls).await {
        answer.expect("it is answered at once");
    }
    node.release(50);
}

#[tokio::test(start_paused = true)]
async fn a_function_that_callers_keep_busy_is_called_later() {
    let limits = NodeLimits { queue_wait: Duration::from_secs(1), ..NodeLimits::default() };
    let node = node_with(Config { limits, ..Config::default() }).await;
    node.deploy("name: busy\nconcurrency: 1\ntriggers: [{topic: calls}]", Act::Wait).await;
    let calling = node.call("busy", "{}");
    let publishing = async {
        node.engine_has(1).await;
        node.publish("calls", "{}").await.expect("published");
        until("it is put off", || node.counts().put_off >= 1).await;
        assert_eq!(node.counts().failed, 0, "that is no failure");
        node.release(1);
    };
    let (called, ()) = tokio::join!(calling, publishing);
    called.expect("called");
    node.says("busy", Act::Succeed);
    node.advance(Duration::from_secs(60)).await;
    node.calls(2).await;
    assert_eq!((node.counts().made, node.counts().dead), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_fails_loses_nothing() {
    let node = node().await;
    node.deploy("name: works\ntriggers: [{topic: calls}]", Act::Succeed).await;
    node.faults.fail("begin_deliveries", 1);
    node.publish("calls", "{}").await.expect("published");
    node.advance(Duration::from_secs(1)).await;
    node.calls(1).await;

    node.says("works", Act::Wait);
    node.publish("calls", "{}").await.expect("published");
    node.engine_has(2).await;
    node.faults.fail("write_deliveries", 3);
    node.release(1);
    until("its end is written", || node.counts().waiting == 0).await;
    node.calls(2).await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_keeps_nothing_waiting() {
    let node = node().await;
    node.deploy("name: works\nconcurrency: 1\ntriggers: [{topic: calls}]", Act::Wait).await;
    for n in 0..2 {
        node.publish("calls", &n.to_string()).await.expect("published");
    }
    node.engine_has(1).await;
    node.clock.set_back(Duration::from_secs(24 * 3600));
    // Longer than the dispatcher sleeps.
    tokio::time::sleep(Duration::from_secs(60)).await; // paused
    node.release(2);
    until("both are made", || node.counts().made == 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_retry_storm_does_not_come_back_with_a_restart() {
    let node = node().await;
    node.deploy("name: fails\nretry: {count: 5, delay: 300}\ntriggers: [{topic: calls}]", Act::Fail(usize::MAX)).await;
    for _ in 0..50 {
        node.publish("calls", "{}").await.expect("published");
    }
    node.calls(50).await;
    let node = node.killed().await;
    node.calls(0).await;
    node.advance(Duration::from_secs(299)).await;
    node.calls(0).await;
    node.advance(Duration::from_secs(1)).await;
    node.calls(50).await;
    for _ in 0..5 {
        node.advance(Duration::from_secs(300)).await;
    }
    until("all are given up", || node.counts().dead == 50).await;
    assert_eq!(node.seen().len(), 50 * 5, "six attempts each, the first before the restart");
}

#[tokio::test(start_paused = true)]
async fn no_namespace_waits_for_the_backlog_of_another() {
    let node = node().await;
    let busy = Namespace::parse("busy").expect("a valid namespace");
    node.platform.create_namespace(&operator(), &busy).await.expect("made");
    node.deploy_in(&busy, "name: hangs\ntriggers: [{topic: calls}]", Act::Wait).await;
    for _ in 0..5 {
        let messages = (0..100).map(|_| ("calls".to_owned(), "{}".into())).collect();
        node.platform.publish(&operator(), &busy, messages).await.expect("published");
    }
    node.deploy("name: works", Act::Succeed).await;
    node.add("works", TriggerSpec::topic("calls")).await;
    node.publish("calls", "{}").await.expect("published");
    until("it is called", || node.seen().iter().any(|call| call.function == "works")).await;
    assert!(node.seen().len() <= 51, "the busy one has a quarter of its own places");
    node.release(500);
}

impl crate::node::Node {
    /// Waits until so many calls have begun.
    async fn engine_has(&self, calls: usize) {
        until(&format!("{calls} calls have begun"), || self.seen().len() >= calls).await;
    }
}
