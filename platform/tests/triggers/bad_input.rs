//! Triggers that must not be, and messages that want to be more than they are.

use domain::TriggerSpec;

use crate::node::{Act, admin, home, name, node, refusal};

#[tokio::test(start_paused = true)]
async fn what_is_no_trigger_is_refused_with_the_reason() {
    let node = node().await;
    node.deploy("name: f", Act::Succeed).await;
    for (spec, reason) in [
        (TriggerSpec::topic(""), "`topic` is refused: the topic is empty"),
        (TriggerSpec::topic("x".repeat(257)), "`topic` is refused: the topic is 257 bytes long"),
        (TriggerSpec::topic("*".repeat(257)), "`topic` is refused: the pattern is 257 characters long"),
        (TriggerSpec::topic("a\0b"), "`topic` is refused: the topic contains the control character '\\0'"),
        (TriggerSpec::topic("ab[c"), "`topic` is refused: character 3 of the pattern opens a `[`"),
        (TriggerSpec::cron("", None), "`cron` is empty"),
        (TriggerSpec::Table { table: "t".to_owned(), on: vec!["truncate".to_owned()] }, "`on` names \"truncate\""),
    ] {
        let refused = refusal(node.platform.add_trigger(&admin(), &home(), &name("f"), spec).await);
        assert!(refused.starts_with(&format!("VALIDATION_FAILED: {reason}")), "{refused}");
    }
    assert_eq!(node.counts().triggers, 0);
}

#[tokio::test(start_paused = true)]
async fn a_function_has_a_hundred_triggers_and_no_more() {
    let node = node().await;
    node.deploy("name: f", Act::Succeed).await;
    for n in 0..100 {
        node.add("f", TriggerSpec::topic(format!("t{n}"))).await;
    }
    let one_more = node.platform.add_trigger(&admin(), &home(), &name("f"), TriggerSpec::topic("more")).await;
    assert_eq!(refusal(one_more), "STORAGE_QUOTA_EXCEEDED: function `f` would have 101 triggers, the limit is 100");
    let deployed = node.try_deploy(&home(), "name: f\ntriggers: [{topic: more}]").await;
    assert!(refusal(deployed).starts_with("STORAGE_QUOTA_EXCEEDED"));
}

#[tokio::test(start_paused = true)]
async fn a_namespace_has_a_thousand_patterns_and_two_thousand_triggers() {
    let node = node().await;
    let deploy = async |function: usize, star: &str| {
        let triggers: Vec<String> = (0..100).map(|n| format!("{{topic: '{function}:{n}{star}'}}")).collect();
        node.try_deploy(&home(), &format!("name: f{function}\ntriggers: [{}]", triggers.join(", "))).await
    };
    for function in 0..10 {
        deploy(function, "*").await.expect("deployed");
    }
    assert_eq!(
        refusal(deploy(10, "*").await),
        "STORAGE_QUOTA_EXCEEDED: the namespace would have 1100 triggers with patterns, the limit is 1000"
    );
    for function in 10..20 {
        deploy(function, "").await.expect("deployed");
    }
    assert_eq!(
        refusal(deploy(20, "").await),
        "STORAGE_QUOTA_EXCEEDED: the namespace would have 2100 triggers, the limit is 2000"
    );
}

/// A message that says how deep it stands says so inside its data, where nobody looks for it.
#[tokio::test(start_paused = true)]
async fn a_depth_cannot_be_forged() {
    let node = node().await;
    node.deploy("name: echoes\ntriggers: [{topic: loop}]", Act::Publish("loop")).await;
    node.publish("loop", r#"{"trigger_depth":-100,"depth":0,"namespace":"other"}"#).await.expect("published");
    let calls = node.calls(5).await;
    assert_eq!(calls[0].json()["namespace"], "default");
    assert_eq!(calls.iter().map(|call| call.depth).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    for reserved in [r#"{"_orama":"x"}"#, r#"{"__orama":"x"}"#] {
        assert!(refusal(node.publish("loop", reserved).await).starts_with("VALIDATION_FAILED"));
    }
    node.calls(5).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_no_json_reaches_its_function_too() {
    let node = node().await;
    node.deploy("name: f\ntriggers: [{topic: t}]", Act::Succeed).await;
    node.publish("t", "hello \u{7}").await.expect("published");
    node.platform.publish(&admin(), &home(), vec![("t".to_owned(), vec![0xff, 0].into())]).await.expect("published");
    node.platform
        .publish(&admin(), &home(), vec![("t".to_owned(), vec![b'x'; 1 << 20].into())])
        .await
        .expect("published");
    let calls = node.calls(3).await;
    assert_eq!(calls[0].json()["data"], "hello \u{7}");
    assert_eq!(calls[1].json()["data_base64"], "/wA=");
    assert_eq!(calls[2].json()["data"].as_str().map(str::len), Some(1 << 20), "the largest message passes, too");
}

#[tokio::test(start_paused = true)]
async fn more_ids_than_anybody_means_are_refused() {
    let node = node().await;
    node.deploy("name: f", Act::Succeed).await;
    let ids: Vec<String> = (0..1001).map(|n| n.to_string()).collect();
    let refused = node.platform.redrive(&admin(), &home(), &name("f"), Some(&ids)).await;
    assert_eq!(refusal(refused), "VALIDATION_FAILED: 1001 deliveries are named, the limit is 1000");
}
