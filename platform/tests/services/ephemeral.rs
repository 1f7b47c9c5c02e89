//! State that dies with its socket: who owns it, when it ends, what everybody is told, and what there may not be more of.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::{Namespace, RequestId, Scope, TriggerKind};
use expect_test::{Expect, expect};
use futures_util::{FutureExt, StreamExt};
use platform::{Attached, NewSocket};
use ports::{CallContext, Services, Since, Subscription};

use crate::node::{Node, abroad, address, home, key_of, node, operator, refusal};

/// A node with a socket, the services of its function, and somebody who listens.
struct Stage {
    node: Node,
    services: Arc<Services>,
    events: Subscription,
}

impl Stage {
    async fn set_up() -> Self {
        let node = node().await;
        let services = node.services(&home()).await;
        let events = node.platform.subscribe(&key_of(&home(), Scope::Pubsub), &home(), "t", Since::Now).await;
        Self { node, services, events: events.expect("subscribed") }
    }

    fn attach(&self, namespace: &Namespace) -> Attached {
        self.node.platform.attach_socket(NewSocket {
            namespace: namespace.clone(),
            function: self.services.version.name.clone(),
            version: None,
            caller: Arc::new(operator()),
            address: address("127.0.0.1"),
        })
    }

    async fn set(&self, socket: &Attached, key: &str, ttl_ms: i64) -> Result<(), domain::Error> {
        self.services.ephemeral.set(&call(Some(socket)), "t", key, Bytes::from_static(b"x"), ttl_ms).await
    }

    async fn keys(&self) -> Vec<String> {
        let entries = self.services.ephemeral.list(&call(None), "t").await.expect("listed");
        entries.into_iter().map(|entry| entry.key).collect()
    }

    /// What was told since the last time: the event, the key, and why.
    async fn told(&mut self) -> Vec<String> {
        // Whatever was begun without anybody waiting for it gets its turn.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let mut told = Vec::new();
        while let Some(Some(Ok(message))) = self.events.next().now_or_never() {
            let text = String::from_utf8(message.data.to_vec()).expect("text");
            let part = |name: &str| {
                let (_, rest) = text.split_once(&format!("\"{name}\":\""))?;
                rest.split('"').next().map(str::to_owned)
            };
            let parts = ["_orama", "key", "reason"].into_iter().filter_map(part);
            told.push(parts.collect::<Vec<_>>().join(" "));
        }
        told
    }
}

fn call(socket: Option<&Attached>) -> CallContext {
    CallContext {
        request_id: RequestId::new("r"),
        caller: Arc::new(operator()),
        trigger: TriggerKind::Websocket,
        depth: 0,
        trigger_depth: 0,
        socket: socket.map(|socket| socket.id().clone()),
        job: None,
        deadline: Instant::now() + Duration::from_secs(60),
    }
}

#[track_caller]
fn check<T>(result: Result<T, domain::Error>, want: Expect) {
    want.assert_eq(&refusal(result));
}

#[tokio::test(start_paused = true)]
async fn a_disconnect_clears_at_once_what_the_socket_holds() {
    let mut stage = Stage::set_up().await;
    let (ada, grace) = (stage.attach(&home()), stage.attach(&home()));
    stage.set(&ada, "b", 0).await.expect("set");
    stage.set(&ada, "a", 0).await.expect("set");
    stage.set(&grace, "c", 0).await.expect("set");
    assert_eq!(stage.told().await, ["ephemeral.set b", "ephemeral.set a", "ephemeral.set c"]);
    drop(ada);
    assert_eq!(stage.told().await, ["ephemeral.clear a disconnect", "ephemeral.clear b disconnect"]);
    assert_eq!(stage.keys().await, ["c"]);
}

#[tokio::test(start_paused = true)]
async fn an_entry_expires_to_the_millisecond_and_a_renewed_one_does_not() {
    let mut stage = Stage::set_up().await;
    let ada = stage.attach(&home());
    stage.set(&ada, "short", 1_000).await.expect("set");
    stage.set(&ada, "renewed", 1_000).await.expect("set");
    tokio::time::advance(Duration::from_millis(999)).await;
    stage.set(&ada, "renewed", 1_000).await.expect("set");
    assert_eq!(stage.keys().await, ["renewed", "short"]);
    stage.told().await;
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(stage.keys().await, ["renewed"]);
    assert_eq!(stage.told().await, ["ephemeral.clear short expired"]);
    tokio::time::advance(Duration::from_millis(998)).await;
    assert_eq!(stage.told().await, [""; 0]);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(stage.told().await, ["ephemeral.clear renewed expired"]);
}

#[tokio::test(start_paused = true)]
async fn no_lifetime_means_a_minute_and_a_long_one_half_an_hour() {
    let stage = Stage::set_up().await;
    let ada = stage.attach(&home());
    for (key, ttl_ms) in [("none", 0), ("negative", -1), ("huge", i64::MAX)] {
        stage.set(&ada, key, ttl_ms).await.expect("neither fails");
    }
    let entries = stage.services.ephemeral.list(&call(None), "t").await.expect("listed");
    let left: Vec<(String, u64)> = entries.into_iter().map(|entry| (entry.key, entry.expires_in_ms)).collect();
    let want = [("huge", 1_800_000), ("negative", 60_000), ("none", 60_000)];
    assert_eq!(left, want.map(|(key, ms)| (key.to_owned(), ms)));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_another_socket_sets_is_its_own_from_then_on() {
    let mut stage = Stage::set_up().await;
    let (ada, grace) = (stage.attach(&home()), stage.attach(&home()));
    stage.set(&ada, "k", 0).await.expect("set");
    stage.set(&grace, "k", 0).await.expect("set");
    stage.services.ephemeral.clear(&call(Some(&ada)), "t", "k").await.expect("nothing of ada's to clear");
    drop(ada);
    assert_eq!(stage.told().await, ["ephemeral.set k", "ephemeral.set k"]);
    stage.services.ephemeral.clear(&call(Some(&grace)), "t", "k").await.expect("cleared");
    stage.services.ephemeral.clear(&call(Some(&grace)), "t", "k").await.expect("and again");
    assert_eq!(stage.told().await, ["ephemeral.clear k explicit"]);
    assert_eq!(stage.keys().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_is_refused() {
    let stage = Stage::set_up().await;
    let ada = stage.attach(&home());
    let ephemeral = &stage.services.ephemeral;
    let set = async |socket, topic: &str, key: &str, bytes: usize| {
        ephemeral.set(&call(socket), topic, key, Bytes::from(vec![b'x'; bytes]), 0).await
    };
    check(
        set(None, "t", "k", 1).await,
        expect![
            "VALIDATION_FAILED: the call comes from no WebSocket, or from one that is gone; ephemeral state needs an owner"
        ],
    );
    check(
        set(Some(&ada), "", "k", 1).await,
        expect!["VALIDATION_FAILED: the topic is empty; use 1 to 256 bytes, such as `orders:new`"],
    );
    check(set(Some(&ada), "t", "", 1).await, expect!["VALIDATION_FAILED: the key is empty"]);
    check(
        set(Some(&ada), "t", "k", (16 << 10) + 1).await,
        expect!["PAYLOAD_TOO_LARGE: the payload is 16385 bytes, the limit is 16384"],
    );
    set(Some(&ada), "t", "k", 16 << 10).await.expect("as large as it may be");
    for number in 1..256 {
        stage.set(&ada, &format!("k{number}"), 0).await.expect("one of 256");
    }
    check(
        stage.set(&ada, "one more", 0).await,
        expect!["RATE_LIMITED: the socket holds 256 keys already, and may hold no more"],
    );
    stage.set(&ada, "k1", 0).await.expect("one that it holds may be renewed");
    assert_eq!(stage.keys().await.len(), 256);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_entries_are_listed() {
    let stage = Stage::set_up().await;
    let sockets: Vec<Attached> = (0..40).map(|_| stage.attach(&home())).collect();
    for number in 0..10_000 {
        stage.set(&sockets[number / 250], &format!("{number:05}"), 0).await.expect("set");
    }
    assert_eq!(stage.keys().await.len(), 10_000);
    drop(sockets);
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(stage.keys().await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn no_socket_of_another_namespace_owns_anything_here() {
    let mut stage = Stage::set_up().await;
    let stranger = stage.attach(&abroad());
    assert!(stage.set(&stranger, "k", 0).await.is_err());
    assert_eq!(stage.told().await, [""; 0]);
    // Also not one that has gone: its call may still run.
    let ada = stage.attach(&home());
    let late = call(Some(&ada));
    drop(ada);
    assert!(stage.services.ephemeral.set(&late, "t", "k", Bytes::new(), 0).await.is_err());
    assert_eq!(stage.keys().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn nothing_of_it_outlives_its_namespace() {
    let stage = Stage::set_up().await;
    let there = abroad();
    stage.node.create_namespace(&there).await;
    let services = stage.node.services(&there).await;
    let ada = stage.attach(&there);
    let set = async || services.ephemeral.set(&call(Some(&ada)), "t", "k", Bytes::new(), 0).await;
    set().await.expect("set");
    stage.node.delete_namespace(&there).await;
    stage.node.create_namespace(&there).await;
    let again = stage.node.services(&there).await;
    assert_eq!(again.ephemeral.list(&call(None), "t").await.expect("listed"), []);
    assert!(set().await.is_err(), "its services ended with the namespace");
}
