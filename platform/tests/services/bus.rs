//! Publishing and listening: who may, what is refused, what becomes of both when the namespace or the node ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::{Caller, ErrorCode, Namespace, Position, RequestId, Scope, TOPIC_BYTES_MAX, TriggerKind};
use expect_test::{Expect, expect};
use futures_util::{FutureExt, StreamExt};
use ports::{CallContext, MESSAGE_BYTES_MAX, PUBLISH_BATCH_MAX, Since, Subscription};

use crate::node::{Node, abroad, admin, home, key_of, node, operator, refusal};

fn client() -> Caller {
    key_of(&home(), Scope::Pubsub)
}

fn message(topic: &str, data: impl Into<Bytes>) -> (String, Bytes) {
    (topic.to_owned(), data.into())
}

async fn publish(node: &Node, messages: Vec<(String, Bytes)>) -> Result<Vec<Position>, domain::Error> {
    node.platform.publish(&client(), &home(), messages).await
}

async fn listen(node: &Node, namespace: &Namespace, topic: &str) -> Subscription {
    let caller = key_of(namespace, Scope::Pubsub);
    node.platform.subscribe(&caller, namespace, topic, Since::Now).await.expect("subscribed")
}

/// What is there now, as text; an end as its text.
fn ready(subscription: &mut Subscription) -> Vec<String> {
    let items = std::iter::from_fn(|| subscription.next().now_or_never().flatten());
    items
        .map(|item| match item {
            Ok(message) => String::from_utf8_lossy(&message.data).into_owned(),
            Err(end) => end.to_string(),
        })
        .collect()
}

#[track_caller]
fn check<T>(result: Result<T, domain::Error>, want: Expect) {
    want.assert_eq(&refusal(result));
}

#[tokio::test]
async fn what_one_publishes_all_hear_each_once_and_in_order() {
    let node = node().await;
    let (mut first, mut second) = (listen(&node, &home(), "t").await, listen(&node, &home(), "t").await);
    let positions = publish(&node, vec![message("t", "a"), message("other", "b"), message("t", "c")]).await;
    let positions = positions.expect("published");
    assert_eq!(positions.iter().map(|position| position.seq).collect::<Vec<_>>(), [1, 1, 2]);
    let each = node.platform.publish_each(&client(), &home(), vec![message("t", ""), message("", "x")]).await;
    let each = each.expect("answered");
    assert_eq!(each[0].as_ref().map(|position| position.seq), Ok(3), "a message may be empty");
    assert_eq!(each[1].as_ref().map_err(|error| error.code), Err(ErrorCode::ValidationFailed));
    assert_eq!(ready(&mut first), ["a", "c", ""]);
    assert_eq!(ready(&mut second), ["a", "c", ""]);
    let topics = node.platform.topics(&client(), &home()).expect("listed");
    let topics: Vec<_> = topics.iter().map(|view| (view.topic.as_str(), view.subscribers, view.last.seq)).collect();
    assert_eq!(topics, [("other", 0, 1), ("t", 2, 3)]);
    let counts = node.platform.metrics().pubsub;
    assert_eq!((counts.published, counts.delivered, counts.subscriptions), (4, 6, 2));
}

#[tokio::test]
async fn topics_need_their_scope_in_their_namespace() {
    let node = node().await;
    node.create_namespace(&abroad()).await;
    for scope in [Scope::Pubsub, Scope::Data, Scope::Admin, Scope::Operator] {
        let caller = key_of(&home(), scope);
        node.platform.publish(&caller, &home(), vec![message("t", "x")]).await.expect("it may");
        node.platform.subscribe(&caller, &home(), "t", Since::Now).await.expect("it may");
    }
    for (caller, code) in [
        (key_of(&home(), Scope::Invoke), ErrorCode::Forbidden),
        (key_of(&home(), Scope::Deploy), ErrorCode::Forbidden),
        (key_of(&abroad(), Scope::Admin), ErrorCode::NotFound),
        (Caller::anonymous(), ErrorCode::Unauthorized),
    ] {
        let published = node.platform.publish(&caller, &home(), vec![message("t", "x")]).await;
        let listened = node.platform.subscribe(&caller, &home(), "t", Since::Now).await;
        let listed = node.platform.topics(&caller, &home());
        let codes =
            [published.map(drop), listened.map(drop), listed.map(drop)].map(|refused| refused.map_err(|e| e.code));
        assert_eq!(codes, [Err(code); 3]);
    }
    let mut theirs = listen(&node, &abroad(), "t").await;
    publish(&node, vec![message("t", "ours")]).await.expect("published");
    assert!(ready(&mut theirs).is_empty(), "a topic is that of its namespace");
}

#[tokio::test]
async fn what_is_refused_is_refused_before_anything_is_sent() {
    let node = node().await;
    let mut listener = listen(&node, &home(), "t").await;
    let one = async |topic: &str, data: Bytes| publish(&node, vec![message(topic, data)]).await;
    check(
        one("", "x".into()).await,
        expect!["VALIDATION_FAILED: the topic is empty; use 1 to 256 bytes, such as `orders:new`"],
    );
    let long = "t".repeat(TOPIC_BYTES_MAX + 1);
    check(one(&long, "x".into()).await, expect!["VALIDATION_FAILED: the topic is 257 bytes long, the limit is 256"]);
    check(
        one("a\nb", "x".into()).await,
        expect![[r#"VALIDATION_FAILED: the topic contains the control character '\n'"#]],
    );
    let huge = Bytes::from(vec![b'x'; MESSAGE_BYTES_MAX + 1]);
    check(one("t", huge).await, expect!["PAYLOAD_TOO_LARGE: the message is 1048577 bytes, the limit is 1048576"]);
    for forged in [r#"{"_orama":"ephemeral.set"}"#, r#"{"__orama":"auth.refresh"}"#, r#"{"\u005forama":1}"#] {
        check(
            one("t", forged.into()).await,
            expect!["VALIDATION_FAILED: a message that is a JSON object must not have a field `_orama` or `__orama`"],
        );
    }
    let batch = vec![message("t", "good"), message("t", r#"{"_orama":1}"#)];
    check(
        publish(&node, batch).await,
        expect![
            "VALIDATION_FAILED: message 2 of the batch: a message that is a JSON object must not have a field `_orama` or `__orama`"
        ],
    );
    let many = vec![message("t", "x"); PUBLISH_BATCH_MAX + 1];
    check(
        publish(&node, many.clone()).await,
        expect!["VALIDATION_FAILED: a batch has at most 100 messages, this one has 101"],
    );
    let each = node.platform.publish_each(&client(), &home(), many).await;
    check(each, expect!["VALIDATION_FAILED: a batch has at most 100 messages, this one has 101"]);
    assert!(ready(&mut listener).is_empty());
    assert_eq!(publish(&node, vec![]).await, Ok(vec![]));

    let largest = Bytes::from(vec![b'x'; MESSAGE_BYTES_MAX]);
    one(&"t".repeat(TOPIC_BYTES_MAX), largest).await.expect("as much as may be");
    let subscribed = node.platform.subscribe(&client(), &home(), "", Since::Now).await;
    check(subscribed, expect!["VALIDATION_FAILED: the topic is empty; use 1 to 256 bytes, such as `orders:new`"]);
}

#[tokio::test]
async fn who_resumes_gets_what_it_missed_or_is_told_that_it_cannot() {
    let node = node().await;
    let positions = publish(&node, ["a", "b", "c"].map(|data| message("t", data)).to_vec()).await.expect("published");
    let resume = async |after| node.platform.subscribe(&client(), &home(), "t", Since::After(after)).await;
    let mut resumed = resume(positions[0]).await.expect("it is all there");
    assert_eq!(ready(&mut resumed), ["b", "c"]);
    let Position { epoch, seq } = positions[2];
    for unknown in [Position { epoch, seq: seq + 1 }, Position { epoch: epoch + 1, seq }] {
        let refused = resume(unknown).await.expect_err("it never was");
        assert_eq!((refused.code, refused.message), (ErrorCode::Conflict, format!("cannot resume behind {unknown}")));
    }
}

#[tokio::test]
async fn a_namespace_that_is_deleted_takes_its_topics_with_it() {
    let node = node().await;
    node.create_namespace(&abroad()).await;
    let there = key_of(&abroad(), Scope::Pubsub);
    let last = node.platform.publish(&there, &abroad(), vec![message("t", "secret")]).await.expect("published")[0];
    let (mut theirs, mut ours) = (listen(&node, &abroad(), "t").await, listen(&node, &home(), "t").await);
    let services = node.services(&abroad()).await;
    node.delete_namespace(&abroad()).await;
    assert_eq!(ready(&mut theirs), ["the topic is closed"]);
    node.create_namespace(&abroad()).await;
    let resumed = node.platform.subscribe(&there, &abroad(), "t", Since::After(last)).await;
    check(resumed.map_err(|error| domain::Error { message: String::new(), ..error }), expect!["CONFLICT: "]);
    let mut heirs = listen(&node, &abroad(), "t").await;
    let late = services.bus.publish(&context(0), vec![message("t", "from the grave")]).await;
    check(late, expect!["NOT_FOUND: the namespace was deleted"]);
    assert!(ready(&mut heirs).is_empty());
    publish(&node, vec![message("t", "still here")]).await.expect("published");
    assert_eq!(ready(&mut ours), ["still here"]);
}

#[tokio::test]
async fn a_node_that_stops_lets_go_of_who_listens() {
    let node = node().await;
    let mut listener = listen(&node, &home(), "t").await;
    assert!(node.platform.close(Duration::from_secs(1)).await);
    assert_eq!(ready(&mut listener), ["the topic is closed"]);
    assert_eq!(ready(&mut listen(&node, &home(), "t").await), ["the topic is closed"]);
}

#[tokio::test]
async fn a_fault_of_ours_is_not_the_publishers() {
    let node = node().await;
    node.pubsub_faults.fail("publish", 1);
    node.pubsub_faults.fail("subscribe", 1);
    check(publish(&node, vec![message("t", "x")]).await, expect!["SERVICE_UNAVAILABLE: topics are not available"]);
    let subscribed = node.platform.subscribe(&client(), &home(), "t", Since::Now).await;
    check(subscribed, expect!["SERVICE_UNAVAILABLE: topics are not available"]);
    publish(&node, vec![message("t", "x")]).await.expect("published");
}

fn context(trigger_depth: u8) -> CallContext {
    CallContext {
        request_id: RequestId::new("r"),
        caller: Arc::new(operator()),
        trigger: TriggerKind::Http,
        depth: 0,
        trigger_depth,
        socket: None,
        job: None,
        deadline: Instant::now() + Duration::from_secs(5),
    }
}

#[tokio::test]
async fn a_function_publishes_in_its_own_namespace_under_the_same_rules() {
    let node = node().await;
    let services = node.services(&home()).await;
    let mut listener = listen(&node, &home(), "t").await;
    for depth in [0, 5, u8::MAX] {
        services.bus.publish(&context(depth), vec![message("t", "x")]).await.expect("a message is sent at any depth");
    }
    assert_eq!(ready(&mut listener).len(), 3);
    let forged = services.bus.publish(&context(0), vec![message("t", r#"{"_orama":"ephemeral.clear"}"#)]).await;
    check(
        forged,
        expect!["VALIDATION_FAILED: a message that is a JSON object must not have a field `_orama` or `__orama`"],
    );
    let many = services.bus.publish(&context(0), vec![message("t", "x"); PUBLISH_BATCH_MAX + 1]).await;
    check(many, expect!["VALIDATION_FAILED: a batch has at most 100 messages, this one has 101"]);
    assert!(ready(&mut listener).is_empty());
    assert!(node.platform.topics(&admin(), &home()).is_ok_and(|topics| topics.len() == 1));
}
