//! Who is on a topic, and what everybody on it is told when somebody comes and goes.

use std::time::Duration;

use domain::{Caller, Credential, Scope};
use expect_test::{Expect, expect};
use futures_util::{FutureExt, StreamExt};
use platform::PresenceGuard;
use ports::{Since, Subscription};

use crate::node::{Node, abroad, home, key_of, node, refusal};

fn client() -> Caller {
    key_of(&home(), Scope::Pubsub)
}

/// A caller with the token of a wallet.
fn wallet(subject: &str) -> Caller {
    let credential = Credential::Token { session: "s".into() };
    Caller { credential, subject: Some(subject.into()), ..client() }
}

async fn listen(node: &Node) -> Subscription {
    node.platform.subscribe(&client(), &home(), "t", Since::Now).await.expect("subscribed")
}

async fn join(node: &Node, caller: &Caller, member: &str) -> PresenceGuard {
    node.platform.presence_join(caller, &home(), "t", member, None).await.expect("joined")
}

async fn told(events: &mut Subscription) -> Vec<String> {
    // Whatever was begun without anybody waiting for it gets its turn.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let mut told = Vec::new();
    while let Some(Some(Ok(message))) = events.next().now_or_never() {
        told.push(String::from_utf8(message.data.to_vec()).expect("text"));
    }
    told
}

#[tokio::test(start_paused = true)]
async fn a_user_comes_once_and_goes_once_however_many_connections_it_has() {
    let node = node().await;
    let mut events = listen(&node).await;
    let ada = wallet("0xada");
    let phone = join(&node, &ada, "phone").await;
    let desk = join(&node, &ada, "desk").await;
    expect![[r#"
        {"type":"presence.first_join","_orama":"presence.first_join","member_id":"phone","timestamp":1767225600,"user":"0xada"}
        {"type":"presence.join","_orama":"presence.join","member_id":"phone","timestamp":1767225600}
        {"type":"presence.join","_orama":"presence.join","member_id":"desk","timestamp":1767225600}"#]]
    .assert_eq(&told(&mut events).await.join("\n"));
    let here = node.platform.presence_of(&client(), &home(), "t").expect("listed");
    assert_eq!(here.iter().map(|member| member.member_id.as_str()).collect::<Vec<_>>(), ["desk", "phone"]);
    drop((phone, desk));
    expect![[r#"
        {"type":"presence.leave","_orama":"presence.leave","member_id":"phone","timestamp":1767225600}
        {"type":"presence.leave","_orama":"presence.leave","member_id":"desk","timestamp":1767225600}"#]]
    .assert_eq(&told(&mut events).await.join("\n"));
    tokio::time::advance(Duration::from_secs(5)).await;
    expect![[r#"{"type":"presence.last_leave","_orama":"presence.last_leave","member_id":"desk","timestamp":1767225600,"user":"0xada"}"#]]
        .assert_eq(&told(&mut events).await.join("\n"));
    assert_eq!(node.platform.presence_of(&client(), &home(), "t").expect("listed").len(), 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_reconnects_at_once_has_never_left() {
    let node = node().await;
    let mut events = listen(&node).await;
    let first = join(&node, &client(), "ada").await;
    drop(first);
    told(&mut events).await;
    tokio::time::advance(Duration::from_secs(4)).await;
    let _second = join(&node, &client(), "ada").await;
    tokio::time::advance(Duration::from_secs(60)).await;
    let kinds = told(&mut events).await;
    assert_eq!(kinds.len(), 1, "{kinds:?}");
    assert!(kinds[0].contains("presence.join"), "{kinds:?}");
}

#[tokio::test(start_paused = true)]
async fn a_member_may_say_something_about_itself() {
    let node = node().await;
    let meta = Some(r#"{"name": "Ada"}"#);
    let _ada = node.platform.presence_join(&client(), &home(), "t", "ada", meta).await.expect("joined");
    let here = node.platform.presence_of(&client(), &home(), "t").expect("listed");
    assert_eq!(here[0].meta.as_ref().map(|meta| meta.get()), meta);
}

#[tokio::test]
async fn what_may_not_be_is_refused() {
    let node = node().await;
    let check = async |caller: &Caller, topic: &str, member: &str, meta: Option<&str>, want: Expect| {
        let joined = node.platform.presence_join(caller, &home(), topic, member, meta).await;
        want.assert_eq(&refusal(joined.map(drop)));
    };
    let ours = client();
    check(
        &ours,
        "",
        "m",
        None,
        expect!["VALIDATION_FAILED: the topic is empty; use 1 to 256 bytes, such as `orders:new`"],
    )
    .await;
    check(&ours, "t", "", None, expect!["VALIDATION_FAILED: missing 'member_id' for presence"]).await;
    check(&ours, "t", "a\nb", None, expect!["VALIDATION_FAILED: `member_id` has a control character"]).await;
    let long = "x".repeat(257);
    check(&ours, "t", &long, None, expect!["VALIDATION_FAILED: `member_id` is 257 bytes long, the limit is 256"]).await;
    check(&ours, "t", "m", Some("{"), expect!["VALIDATION_FAILED: `member_meta` is not JSON"]).await;
    let large = format!("\"{}\"", "x".repeat(4 << 10));
    check(&ours, "t", "m", Some(&large), expect!["PAYLOAD_TOO_LARGE: `member_meta` is 4098 bytes, the limit is 4096"])
        .await;
    let stranger = key_of(&abroad(), Scope::Pubsub);
    assert!(node.platform.presence_join(&stranger, &home(), "t", "m", None).await.is_err());
    assert_eq!(node.platform.presence_of(&ours, &home(), "t").expect("listed").len(), 0);
}
