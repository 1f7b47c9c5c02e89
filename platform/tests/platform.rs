//! The use-cases on in-memory ports.

mod support;

use std::sync::Arc;
use std::time::Duration;

use domain::{Caller, ErrorCode, Namespace, Scope, Scopes, Status, VersionNumber};
use platform::{Config, NodeLimits};
use ports::Storage;
use ports::memory::Script;
use support::*;

#[tokio::test]
async fn each_deploy_is_a_version_and_the_newest_is_active() {
    let node = node().await;
    let first = node.deploy("name: f", Script::Echo).await.function.expect("published");
    let second = node.deploy("name: f", Script::Echo).await.function.expect("published");
    assert_eq!((first.version.version.get(), second.version.version.get()), (1, 2));
    assert_eq!(first.version.code, second.version.code);
    assert_eq!(node.answer("f", "hi").await, "hi");
    assert_eq!(node.answer("f@1", "old").await, "old");
    assert_eq!(node.answer("f@9", "").await, "NOT_FOUND: function `f` has no version 9");
}

#[tokio::test]
async fn an_unchanged_deploy_keeps_its_version_when_asked() {
    let node = node().await;
    node.deploy("name: f", Script::Echo).await;
    let unchanged = platform::Deploy { if_changed: true, ..upload("name: f", Script::Echo) };
    let kept = node.platform.deploy(&admin(), unchanged).await.expect("fine");
    assert!(!kept.changed);
    assert_eq!(kept.function.expect("the old one").version.version.get(), 1);
    let other = platform::Deploy { if_changed: true, ..upload("name: f\nmemory: 5", Script::Echo) };
    assert!(node.platform.deploy(&admin(), other).await.expect("fine").changed);
}

#[tokio::test]
async fn a_dry_run_stores_nothing() {
    let node = node().await;
    let dry = platform::Deploy { dry_run: true, ..upload("name: f", Script::Echo) };
    assert!(node.platform.deploy(&admin(), dry).await.expect("fine").function.is_none());
    assert_eq!(node.storage.list().await.expect("list"), []);
    assert!(node.platform.list(&admin(), &home()).expect("allowed").is_empty());
}

#[tokio::test]
async fn what_the_engine_refuses_is_not_stored_and_uses_no_number() {
    let node = node().await;
    let refused = node.platform.deploy(&admin(), upload("name: f", Script::Refuse)).await.expect_err("refused");
    assert_eq!(refused.code, ErrorCode::ValidationFailed);
    assert_eq!(node.storage.list().await.expect("list"), []);
    assert_eq!(node.deploy("name: f", Script::Echo).await.function.expect("published").version.version.get(), 1);
}

#[tokio::test]
async fn a_deploy_that_cannot_be_stored_leaves_the_old_version() {
    let node = node().await;
    node.deploy("name: f", Script::Echo).await;
    for (faults, operation, code) in [
        (&node.storage_faults, "put", ErrorCode::StorageQuotaExceeded),
        (&node.registry_faults, "publish_version", ErrorCode::Internal),
    ] {
        faults.fail(operation, 1);
        let failed = node.platform.deploy(&admin(), upload("name: f", Script::Fail)).await.expect_err("a fault");
        assert_eq!(failed.code, code);
        assert_eq!(node.answer("f", "still").await, "still");
    }
    assert_eq!(node.deploy("name: f", Script::Fail).await.function.expect("published").version.version.get(), 2);
}

#[tokio::test]
async fn rollback_goes_back_and_delete_takes_code_along() {
    let node = node().await;
    node.deploy("name: f", Script::Echo).await;
    node.deploy("name: f", Script::Fail).await;
    let back = node.platform.rollback(&admin(), &home(), &name("f"), None).await.expect("there is an earlier one");
    assert_eq!(back.version.version.get(), 1);
    assert_eq!(node.answer("f", "echoed").await, "echoed");
    let further = node.platform.rollback(&admin(), &home(), &name("f"), None).await.expect_err("nothing before 1");
    assert_eq!(further.code, ErrorCode::Conflict);
    let missing = node.platform.rollback(&admin(), &home(), &name("f"), VersionNumber::new(7)).await;
    assert_eq!(missing.expect_err("no version 7").code, ErrorCode::NotFound);

    let active = node.platform.delete(&admin(), &home(), &reference("f@1")).await.expect_err("it is active");
    assert_eq!(active.code, ErrorCode::Conflict);
    node.platform.delete(&admin(), &home(), &reference("f@2")).await.expect("deleted");
    assert_eq!(node.storage.list().await.expect("list").len(), 1);
    node.platform.delete(&admin(), &home(), &reference("f")).await.expect("deleted");
    assert_eq!(node.storage.list().await.expect("list"), []);
    assert_eq!(node.answer("f", "").await, "NOT_FOUND: function `f` not found");
    assert_eq!(node.deploy("name: f", Script::Echo).await.function.expect("published").version.version.get(), 3);
}

#[tokio::test]
async fn a_disabled_function_says_so() {
    let node = node().await;
    node.deploy("name: f", Script::Echo).await;
    node.platform.set_enabled(&admin(), &home(), &name("f"), false).await.expect("switched");
    assert_eq!(node.answer("f", "").await, "FUNCTION_UNAVAILABLE: function `f` is disabled");
    node.platform.set_enabled(&admin(), &home(), &name("f"), true).await.expect("switched");
    assert_eq!(node.answer("f", "on").await, "on");
}

#[tokio::test]
async fn who_may_call_what() {
    let node = node().await;
    node.deploy("name: private", Script::Echo).await;
    node.deploy("name: public\npublic: true", Script::Echo).await;
    node.deploy("name: internal\npublic: true\ninternal: true", Script::Echo).await;
    let abroad = Namespace::parse("abroad").expect("valid");
    let stranger = Caller::key("key-2", abroad, Scopes::of([Scope::Admin]));
    let operator = Caller { scopes: Scopes::of([Scope::Operator]), ..stranger.clone() };
    let callers = [
        ("nobody", Caller::anonymous()),
        ("invoke", key(Scope::Invoke)),
        ("deploy", key(Scope::Deploy)),
        ("admin", admin()),
        ("stranger", stranger),
        ("operator", operator),
    ];
    let mut table = String::new();
    for (who, caller) in callers {
        table += &format!("{who:9}");
        for function in ["public", "private", "internal", "missing"] {
            let call = platform::Invoke { caller: Arc::new(caller.clone()), ..node.call(function, "ok") };
            let outcome = node.platform.invoke(call).await;
            let answer = outcome.result.map_or_else(|error| error.code.to_string(), |_| "ok".to_owned());
            table += &format!(" {answer:12}");
        }
        table = format!("{}\n", table.trim_end());
    }
    expect_test::expect![[r#"
        nobody    ok           UNAUTHORIZED UNAUTHORIZED NOT_FOUND
        invoke    ok           ok           FORBIDDEN    NOT_FOUND
        deploy    ok           FORBIDDEN    FORBIDDEN    NOT_FOUND
        admin     ok           ok           ok           NOT_FOUND
        stranger  ok           NOT_FOUND    NOT_FOUND    NOT_FOUND
        operator  ok           ok           ok           NOT_FOUND
    "#]]
    .assert_eq(&table);
}

#[tokio::test]
async fn management_needs_the_scope_at_home_and_sees_nothing_abroad() {
    let node = node().await;
    node.deploy("name: f", Script::Echo).await;
    let code = |result: Result<_, domain::Error>| result.map(|_: Vec<_>| ()).expect_err("refused").code;
    assert_eq!(code(node.platform.list(&Caller::anonymous(), &home())), ErrorCode::Unauthorized);
    assert_eq!(code(node.platform.list(&key(Scope::Invoke), &home())), ErrorCode::Forbidden);
    let abroad = Namespace::parse("abroad").expect("valid");
    let stranger = Caller::key("key-2", abroad, Scopes::of([Scope::Admin]));
    let existing = node.platform.get(&stranger, &home(), &reference("f")).expect_err("foreign");
    let missing = node.platform.get(&stranger, &home(), &reference("g")).expect_err("foreign");
    assert_eq!(existing, missing);
    assert_eq!(existing.code, ErrorCode::NotFound);
}

#[tokio::test]
async fn a_key_opens_its_namespace_and_a_wrong_one_nothing() {
    let node = node().await;
    assert!(!node.platform.has_keys());
    let key = node.platform.create_key(&home(), "laptop", Scopes::of([Scope::Invoke])).await.expect("made");
    assert!(key.starts_with("ak_") && key.ends_with(":default") && key.len() == 35, "{key}");
    let caller = node.platform.caller_of_key(&key).expect("valid");
    assert!(caller.may(Scope::Invoke, &home()) && !caller.may(Scope::Deploy, &home()));
    for wrong in ["", "ak_", &key.to_uppercase(), &key[..34], &format!("{key} ")] {
        assert!(node.platform.caller_of_key(wrong).is_none(), "{wrong:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn retries_are_as_many_as_asked_and_each_is_recorded() {
    let node = node().await;
    node.deploy("name: f\nretry: {count: 2, delay: 7}", Script::Fail).await;
    let started = tokio::time::Instant::now();
    assert_eq!(node.answer("f", "").await, "FUNCTION_EXECUTION_FAILED: the code says `fail`");
    assert_eq!(started.elapsed().as_secs(), 14);
    let logs = node.logs("f").await;
    assert_eq!(logs.records[0].record.attempts.len(), 3);
    assert_eq!(logs.records[0].record.status, Status::Error);
}

#[tokio::test]
async fn every_call_is_recorded_before_anybody_can_ask() {
    let node = node().await;
    node.deploy("name: f", Script::Echo).await;
    let call = node.call("f", "12345");
    let id = call.request_id.clone();
    node.platform.invoke(call).await;
    let record = &node.logs("f").await.records[0].record;
    assert_eq!((&record.request_id, record.input_bytes, record.output_bytes), (&id, 5, 5));
    assert_eq!(record.caller_wallet.as_deref(), Some("default"));
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_call_and_leaves_a_record() {
    let node = node().await;
    node.deploy("name: f", Script::Block).await;
    let running = node.platform.invoke(node.call("f", ""));
    assert!(tokio::time::timeout(Duration::from_millis(20), running).await.is_err());
    assert_eq!(node.engine.running(), 0);
    let record = &node.logs("f").await.records[0].record;
    assert_eq!(record.error_message.as_deref(), Some("the client went away before the function finished"));
}

fn narrow() -> Config {
    let limits = NodeLimits { queue_max: 1, queue_wait: Duration::from_secs(3), ..NodeLimits::default() };
    Config { limits, ..Config::default() }
}

#[tokio::test(start_paused = true)]
async fn a_busy_function_queues_then_refuses_and_others_go_on() {
    let node = node_with(narrow()).await;
    node.deploy("name: f\nconcurrency: 1", Script::Block).await;
    node.deploy("name: g", Script::Echo).await;
    let spawn = || {
        let (platform, call) = (node.platform.clone(), node.call("f", "in"));
        tokio::spawn(async move { describe(&platform.invoke(call).await) })
    };
    let (running, waiting) = (spawn(), spawn());
    while node.platform.metrics().calls_queued == 0 {
        tokio::task::yield_now().await;
    }
    let full = node.platform.invoke(node.call("f", "")).await.result.expect_err("the queue holds one");
    assert_eq!(full.code, ErrorCode::RateLimited);
    assert!(full.retry_after.is_some());
    assert_eq!(node.answer("g", "free").await, "free");
    // Nobody releases the first call, so the second waits its three seconds.
    assert!(waiting.await.expect("joined").starts_with("RATE_LIMITED: the function was busy for too long"));
    node.engine.release();
    assert_eq!(running.await.expect("joined"), "in");
    assert_eq!(node.platform.metrics().calls_queued, 0);
}

#[tokio::test]
async fn an_idempotency_key_runs_once_and_answers_alike() {
    let node = node().await;
    node.deploy("name: f", Script::Echo).await;
    let keyed = |input: &str| platform::Invoke { idempotency_key: Some("order-1".into()), ..node.call("f", input) };
    let first = node.platform.invoke(keyed("a")).await;
    let again = node.platform.invoke(keyed("a")).await;
    assert!(!first.replayed && again.replayed);
    assert_eq!((describe(&again), &again.request_id), ("a".to_owned(), &first.request_id));
    assert_eq!(node.logs("f").await.records.len(), 1);
    let other = node.platform.invoke(keyed("b")).await.result.expect_err("another request");
    assert_eq!(other.code, ErrorCode::Conflict);
}

#[tokio::test]
async fn a_keyed_call_ends_although_its_client_went_away() {
    let node = node().await;
    node.deploy("name: f", Script::Block).await;
    let keyed = || platform::Invoke { idempotency_key: Some("k".into()), ..node.call("f", "kept") };
    assert!(tokio::time::timeout(Duration::from_millis(20), node.platform.invoke(keyed())).await.is_err());
    let running = node.platform.invoke(keyed()).await.result.expect_err("still running");
    assert_eq!(running.code, ErrorCode::Conflict);
    node.engine.release();
    let answer = loop {
        match node.platform.invoke(keyed()).await {
            outcome if outcome.replayed => break describe(&outcome),
            _ => tokio::task::yield_now().await,
        }
    };
    assert_eq!(answer, "kept");
}

#[tokio::test]
async fn a_refusal_is_not_kept_for_its_key() {
    let node = node().await;
    let keyed = || platform::Invoke { idempotency_key: Some("k".into()), ..node.call("f", "now") };
    assert!(node.platform.invoke(keyed()).await.result.is_err());
    node.deploy("name: f", Script::Echo).await;
    assert_eq!(describe(&node.platform.invoke(keyed()).await), "now");
}

#[tokio::test(start_paused = true)]
async fn calls_go_on_when_the_log_cannot_be_written_and_a_gap_is_noted() {
    let node = node().await;
    node.deploy("name: f", Script::Echo).await;
    node.records_faults.fail("append", usize::MAX);
    assert_eq!(node.answer("f", "1").await, "1");
    node.logs("f").await;
    assert!(node.platform.ready().is_err());
    assert_eq!(node.platform.metrics().records_lost, 1);
    node.records_faults.heal();
    assert_eq!(node.answer("f", "2").await, "2");
    let logs = node.logs("f").await;
    assert_eq!((logs.records.len(), logs.gaps.len(), logs.gaps[0].calls), (1, 1, 1));
    assert!(node.platform.ready().is_ok());
}

#[tokio::test]
async fn closing_waits_for_calls_writes_records_and_refuses_new_ones() {
    let node = node().await;
    node.deploy("name: f", Script::Block).await;
    let (platform, call) = (node.platform.clone(), node.call("f", "last"));
    let running = tokio::spawn(async move { describe(&platform.invoke(call).await) });
    while node.engine.running() == 0 {
        tokio::task::yield_now().await;
    }
    let platform = node.platform.clone();
    let closing = tokio::spawn(async move { platform.close(Duration::from_secs(60)).await });
    while node.platform.ready().is_ok() {
        tokio::task::yield_now().await;
    }
    assert_eq!(node.answer("f", "").await, "SERVICE_UNAVAILABLE: the server is shutting down");
    node.engine.release();
    assert_eq!(running.await.expect("joined"), "last");
    assert!(closing.await.expect("joined"), "every call finished in time");
    assert_eq!(node.platform.metrics().records_written, 1);
}

#[tokio::test]
async fn an_input_above_the_limit_is_refused() {
    let node = node().await;
    node.deploy("name: f", Script::Echo).await;
    let huge = "x".repeat((1 << 20) + 1);
    assert!(node.answer("f", &huge).await.starts_with("PAYLOAD_TOO_LARGE"));
    assert_eq!(node.answer("f", &huge[1..]).await.len(), 1 << 20);
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_a_call_between_two_attempts() {
    let node = node().await;
    node.deploy("name: f\nretry: {count: 1, delay: 9}", Script::Fail).await;
    let mut running = std::pin::pin!(node.platform.invoke(node.call("f", "")));
    // One second later the first attempt has failed and the second is eight seconds away.
    assert!(tokio::time::timeout(Duration::from_secs(1), &mut running).await.is_err());
    let (outcome, finished) = tokio::join!(running, node.platform.close(Duration::from_secs(60)));
    assert!(finished && outcome.result.is_err());
    assert_eq!(node.platform.metrics().records_written, 1);
}

#[tokio::test]
async fn making_a_function_private_closes_its_older_versions_too() {
    let node = node().await;
    node.deploy("name: f\npublic: true", Script::Echo).await;
    node.deploy("name: f", Script::Echo).await;
    let nobody = |function| platform::Invoke { caller: Arc::new(Caller::anonymous()), ..node.call(function, "") };
    for function in ["f", "f@1"] {
        let refused = node.platform.invoke(nobody(function)).await.result.expect_err("private now");
        assert_eq!(refused.code, ErrorCode::Unauthorized, "{function}");
    }
    node.deploy("name: f\npublic: true", Script::Echo).await;
    let private = node.platform.invoke(nobody("f@2")).await.result.expect_err("version 2 was never public");
    assert_eq!(private.code, ErrorCode::Unauthorized);
    assert!(node.platform.invoke(nobody("f@1")).await.result.is_ok());
}

#[tokio::test]
async fn an_idempotency_key_is_for_those_who_are_known_and_keeps_no_large_reply() {
    let node = node().await;
    node.deploy("name: f\npublic: true", Script::Echo).await;
    let keyed = |input: &str| platform::Invoke { idempotency_key: Some("k".into()), ..node.call("f", input) };
    let nobody = platform::Invoke { caller: Arc::new(Caller::anonymous()), ..keyed("a") };
    assert_eq!(
        node.platform.invoke(nobody).await.result.expect_err("nobody is known").code,
        ErrorCode::ValidationFailed
    );
    assert!(node.platform.invoke(keyed(&"x".repeat(1 << 20))).await.result.is_ok());
    assert!(node.platform.invoke(keyed(&"x".repeat(1 << 20))).await.replayed);
}
