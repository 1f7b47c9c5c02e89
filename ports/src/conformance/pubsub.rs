use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::{Namespace, Position, Timestamp, Topic};
use futures_util::{FutureExt, StreamExt};
use tokio::task::JoinSet;

use crate::{
    MESSAGE_BYTES_MAX, NewMessage, Origin, PubSub, PubSubError, SUBSCRIBER_BURST_MAX, SUBSCRIBER_BYTES_MAX,
    SUBSCRIBER_LAG_MAX, SUBSCRIBER_MESSAGES_MAX, Since, Subscription, SubscriptionEnd, TopicView,
};

const PUBLISHERS: usize = 8;
const MESSAGES_EACH: usize = 100;
/// Long enough for a machine that is busy; nothing waits for it when all is well.
const SOON: Duration = Duration::from_secs(30);

/// Panics when what `open` makes, which must keep at least 1,000 messages of a topic, does not behave as topics; `pass` lets time
/// pass for all of them.
pub async fn pubsub(open: impl Fn() -> Arc<dyn PubSub>, pass: impl AsyncFn(Duration)) {
    messages_keep_their_order(&*open()).await;
    topics_and_namespaces_are_apart(&*open()).await;
    what_waits_is_woken(open()).await;
    history_and_live_meet(&*open()).await;
    what_is_not_kept_cannot_be_resumed(&open).await;
    a_stuck_subscriber_costs_the_others_nothing(&*open(), &pass).await;
    a_burst_waits_for_who_reads(&*open()).await;
    large_messages_are_bounded_by_their_bytes(&*open()).await;
    who_catches_up_has_the_same_bounds(&*open(), &pass).await;
    whoever_is_dropped_has_unsubscribed(&*open()).await;
    a_namespace_ends_alone(&*open()).await;
    a_node_that_stops_ends_every_subscription(&*open()).await;
    many_publish_and_each_sees_each_message_once(open()).await;
    whoever_joins_meanwhile_misses_nothing(open()).await;
}

fn home() -> Namespace {
    Namespace::parse("home").expect("a valid namespace")
}

fn abroad() -> Namespace {
    Namespace::parse("abroad").expect("a valid namespace")
}

fn topic(text: &str) -> Topic {
    Topic::parse(text).expect("a valid topic")
}

fn message(data: impl Into<Bytes>) -> NewMessage {
    NewMessage { data: data.into(), origin: Origin::User, at: Timestamp::UNIX_EPOCH }
}

async fn publish(pubsub: &dyn PubSub, on: &str, data: impl Into<Bytes>) -> Position {
    pubsub.publish(&home(), &topic(on), message(data)).await.expect("published")
}

async fn subscribe(pubsub: &dyn PubSub, on: &str, since: Since) -> Subscription {
    pubsub.subscribe(&home(), &topic(on), since).await.expect("subscribed")
}

/// What is there now, each message as its number and its text; an end as its text.
fn ready(subscription: &mut Subscription) -> Vec<String> {
    std::iter::from_fn(|| subscription.next().now_or_never().flatten())
        .map(|item| match item {
            Ok(message) => format!("{} {}", message.position.seq, String::from_utf8_lossy(&message.data)),
            Err(end) => end.to_string(),
        })
        .collect()
}

/// The numbers of the next messages.
async fn take(subscription: &mut Subscription, count: usize) -> Vec<u64> {
    let mut taken = Vec::with_capacity(count);
    while taken.len() < count {
        let next = tokio::time::timeout(SOON, subscription.next()).await.expect("a message comes soon");
        taken.push(next.expect("there is more").expect("it keeps up").position.seq);
    }
    taken
}

fn views(pubsub: &dyn PubSub, namespace: &Namespace) -> Vec<(String, usize, u64, usize)> {
    let view = |view: TopicView| (view.topic.to_string(), view.subscribers, view.last.seq, view.history);
    pubsub.topics(namespace).into_iter().map(view).collect()
}

async fn messages_keep_their_order(pubsub: &dyn PubSub) {
    let (mut first, mut second) = (subscribe(pubsub, "t", Since::Now).await, subscribe(pubsub, "t", Since::Now).await);
    let begins = first.begins();
    for (number, text) in ["a", "", "c"].into_iter().enumerate() {
        let position = publish(pubsub, "t", text).await;
        assert_eq!(position, Position { epoch: begins.epoch, seq: begins.seq + number as u64 + 1 });
    }
    assert_eq!(ready(&mut first), ["1 a", "2 ", "3 c"]);
    assert_eq!(ready(&mut second), ["1 a", "2 ", "3 c"]);
    let mut late = subscribe(pubsub, "t", Since::Now).await;
    assert_eq!(late.begins(), Position { epoch: begins.epoch, seq: 3 });
    assert_eq!(ready(&mut late), Vec::<String>::new());

    let sent = NewMessage { data: Bytes::from_static(b"{}"), origin: Origin::Ephemeral, at: Timestamp::MAX };
    let position = pubsub.publish(&home(), &topic("t"), sent).await.expect("published");
    let got = late.next().await.expect("there is one").expect("it keeps up");
    assert_eq!((got.topic.as_str(), got.position, &got.data[..]), ("t", position, &b"{}"[..]));
    assert_eq!((got.origin, got.at), (Origin::Ephemeral, Timestamp::MAX));
    let counts = pubsub.counts();
    assert_eq!((counts.published, counts.delivered, counts.subscriptions, counts.dropped_slow), (4, 7, 3, 0));
}

async fn topics_and_namespaces_are_apart(pubsub: &dyn PubSub) {
    let mut here = subscribe(pubsub, "same", Since::Now).await;
    let mut there = pubsub.subscribe(&abroad(), &topic("same"), Since::Now).await.expect("subscribed");
    pubsub.publish(&abroad(), &topic("same"), message("theirs")).await.expect("published");
    publish(pubsub, "other", "elsewhere").await;
    publish(pubsub, "same", "ours").await;
    assert_eq!(ready(&mut here), ["1 ours"]);
    assert_eq!(ready(&mut there), ["1 theirs"]);
    assert_eq!(views(pubsub, &home()), [("other".to_owned(), 0, 1, 1), ("same".to_owned(), 1, 1, 1)]);
    assert_eq!(views(pubsub, &abroad()), [("same".to_owned(), 1, 1, 1)]);
}

async fn what_waits_is_woken(pubsub: Arc<dyn PubSub>) {
    let mut subscription = subscribe(&*pubsub, "t", Since::Now).await;
    let (waits, begun) = tokio::sync::oneshot::channel();
    let waiting = tokio::spawn(async move {
        let mut next = subscription.next();
        assert!((&mut next).now_or_never().is_none(), "nothing was sent");
        waits.send(()).expect("somebody waits for it");
        next.await.expect("there is one").expect("it keeps up").position.seq
    });
    begun.await.expect("the task runs");
    publish(&*pubsub, "t", "x").await;
    let woken = tokio::time::timeout(SOON, waiting).await.expect("it is woken");
    assert_eq!(woken.expect("the task runs"), 1);
}

async fn history_and_live_meet(pubsub: &dyn PubSub) {
    let empty = subscribe(pubsub, "t", Since::Now).await.begins();
    for text in ["a", "b", "c"] {
        publish(pubsub, "t", text).await;
    }
    let after = |seq| Since::After(Position { epoch: empty.epoch, seq });
    let mut all = subscribe(pubsub, "t", Since::After(empty)).await;
    let mut some = subscribe(pubsub, "t", after(2)).await;
    let mut none = subscribe(pubsub, "t", after(3)).await;
    assert_eq!((all.begins(), some.begins().seq), (empty, 2));
    publish(pubsub, "t", "d").await;
    assert_eq!(ready(&mut all), ["1 a", "2 b", "3 c", "4 d"]);
    assert_eq!(ready(&mut some), ["3 c", "4 d"]);
    assert_eq!(ready(&mut none), ["4 d"]);
}

async fn what_is_not_kept_cannot_be_resumed(open: impl Fn() -> Arc<dyn PubSub>) {
    let pubsub = open();
    let last = publish(&*pubsub, "t", "x").await;
    let (epoch, seq) = (last.epoch, last.seq);
    for unknown in
        [Position { epoch, seq: seq + 1 }, Position { epoch, seq: u64::MAX }, Position { epoch: epoch ^ 1, seq }]
    {
        let resumed = pubsub.subscribe(&home(), &topic("t"), Since::After(unknown)).await;
        assert!(matches!(resumed, Err(PubSubError::CannotResume(at)) if at == unknown), "{unknown}");
    }
    let elsewhere = pubsub.subscribe(&home(), &topic("new"), Since::After(last)).await;
    assert!(matches!(elsewhere, Err(PubSubError::CannotResume(_))));
    let restarted = open();
    publish(&*restarted, "t", "x").await;
    let resumed = restarted.subscribe(&home(), &topic("t"), Since::After(last)).await;
    assert!(matches!(resumed, Err(PubSubError::CannotResume(_))), "an epoch ends with its node");
    assert_eq!(pubsub.counts().subscriptions, 0, "who cannot resume is no subscriber");
}

async fn a_stuck_subscriber_costs_the_others_nothing(pubsub: &dyn PubSub, pass: &impl AsyncFn(Duration)) {
    let (mut stuck, mut reads) = (subscribe(pubsub, "t", Since::Now).await, subscribe(pubsub, "t", Since::Now).await);
    let mut seen = Vec::new();
    for _ in 0..SUBSCRIBER_MESSAGES_MAX {
        publish(pubsub, "t", "x").await;
        seen.extend(take(&mut reads, 1).await);
    }
    pass(2 * SUBSCRIBER_LAG_MAX).await;
    assert_eq!(pubsub.counts().dropped_slow, 0, "so many may wait for ever");
    for _ in 0..SUBSCRIBER_MESSAGES_MAX {
        publish(pubsub, "t", "x").await;
        seen.extend(take(&mut reads, 1).await);
    }
    let counts = pubsub.counts();
    assert_eq!((counts.dropped_slow, counts.subscriptions), (1, 1), "it is dropped before it asks");
    assert_eq!(views(pubsub, &home())[0].1, 1);
    assert_eq!(ready(&mut stuck), [SubscriptionEnd::TooSlow.to_string()]);
    assert_eq!(seen, (1..=2 * SUBSCRIBER_MESSAGES_MAX as u64).collect::<Vec<_>>());
    let mut again = subscribe(pubsub, "t", Since::After(stuck.begins())).await;
    assert_eq!(take(&mut again, seen.len()).await, seen, "nothing is lost to who resumes");
    drop(stuck);
    assert_eq!(pubsub.counts().subscriptions, 2);
}

async fn a_burst_waits_for_who_reads(pubsub: &dyn PubSub) {
    let (stuck, mut reads) = (subscribe(pubsub, "t", Since::Now).await, subscribe(pubsub, "t", Since::Now).await);
    for _ in 0..SUBSCRIBER_BURST_MAX {
        publish(pubsub, "t", "x").await;
    }
    assert_eq!(pubsub.counts().dropped_slow, 0, "no time has passed");
    assert_eq!(ready(&mut reads).len(), SUBSCRIBER_BURST_MAX);
    publish(pubsub, "t", "x").await;
    assert_eq!(pubsub.counts().dropped_slow, 1, "no queue is endless");
    assert_eq!(ready(&mut reads).len(), 1);
    drop(stuck);
}

async fn large_messages_are_bounded_by_their_bytes(pubsub: &dyn PubSub) {
    let mut stuck = subscribe(pubsub, "t", Since::Now).await;
    let mut reads = subscribe(pubsub, "t", Since::Now).await;
    let large = Bytes::from(vec![7; MESSAGE_BYTES_MAX]);
    for number in 1..=(SUBSCRIBER_BYTES_MAX / MESSAGE_BYTES_MAX) as u64 {
        publish(pubsub, "t", large.clone()).await;
        assert_eq!(take(&mut reads, 1).await, [number]);
    }
    assert_eq!(pubsub.counts().dropped_slow, 0, "so much may wait");
    publish(pubsub, "t", "x").await;
    assert_eq!(pubsub.counts().dropped_slow, 1);
    assert_eq!(ready(&mut stuck), [SubscriptionEnd::TooSlow.to_string()]);
    assert_eq!(ready(&mut reads).len(), 1);
}

/// What was there before it came counts towards nothing; what comes while it reads that does.
async fn who_catches_up_has_the_same_bounds(pubsub: &dyn PubSub, pass: &impl AsyncFn(Duration)) {
    let begins = subscribe(pubsub, "t", Since::Now).await.begins();
    for _ in 0..2 * SUBSCRIBER_MESSAGES_MAX {
        publish(pubsub, "t", "old").await;
    }
    let mut reads = subscribe(pubsub, "t", Since::After(begins)).await;
    let mut stuck = subscribe(pubsub, "t", Since::After(begins)).await;
    for _ in 0..SUBSCRIBER_MESSAGES_MAX {
        publish(pubsub, "t", "new").await;
    }
    pass(SUBSCRIBER_LAG_MAX).await;
    assert_eq!(take(&mut reads, 3 * SUBSCRIBER_MESSAGES_MAX).await.len(), 3 * SUBSCRIBER_MESSAGES_MAX);
    publish(pubsub, "t", "one more").await;
    assert_eq!(ready(&mut stuck), [SubscriptionEnd::TooSlow.to_string()]);
    assert_eq!(ready(&mut reads).len(), 1);
}

async fn whoever_is_dropped_has_unsubscribed(pubsub: &dyn PubSub) {
    let subscriptions = [subscribe(pubsub, "t", Since::Now).await, subscribe(pubsub, "t", Since::Now).await];
    publish(pubsub, "t", "x").await;
    assert_eq!(views(pubsub, &home()), [("t".to_owned(), 2, 1, 1)]);
    drop(subscriptions);
    assert_eq!(views(pubsub, &home()), [("t".to_owned(), 0, 1, 1)]);
    assert_eq!(pubsub.counts().subscriptions, 0);
    for _ in 0..2 * SUBSCRIBER_MESSAGES_MAX {
        publish(pubsub, "t", "x").await;
    }
    assert_eq!(pubsub.counts().dropped_slow, 0);
}

async fn a_namespace_ends_alone(pubsub: &dyn PubSub) {
    let mut here = subscribe(pubsub, "t", Since::Now).await;
    let mut there = pubsub.subscribe(&abroad(), &topic("t"), Since::Now).await.expect("subscribed");
    let last = publish(pubsub, "t", "x").await;
    pubsub.close(&home()).await;
    pubsub.publish(&abroad(), &topic("t"), message("y")).await.expect("published");
    assert_eq!(ready(&mut here), [SubscriptionEnd::Closed.to_string()]);
    assert_eq!(ready(&mut there), ["1 y"]);
    assert!(views(pubsub, &home()).is_empty(), "it is forgotten");
    let again = publish(pubsub, "t", "z").await;
    assert_ne!(again.epoch, last.epoch);
    assert!(here.next().now_or_never().flatten().is_none(), "what comes later is another's");
    drop(here);
    assert_eq!(pubsub.counts().subscriptions, 1);
}

async fn a_node_that_stops_ends_every_subscription(pubsub: &dyn PubSub) {
    let mut before = subscribe(pubsub, "t", Since::Now).await;
    pubsub.shut_down().await;
    publish(pubsub, "t", "x").await;
    let mut later = subscribe(pubsub, "t", Since::Now).await;
    for ended in [&mut before, &mut later] {
        assert_eq!(ready(ended), [SubscriptionEnd::Closed.to_string()]);
    }
    drop((before, later));
    assert_eq!(pubsub.counts().subscriptions, 0);
}

/// Publishers that take turns with the subscribers.
async fn publish_by_many(pubsub: &Arc<dyn PubSub>) -> JoinSet<Vec<u64>> {
    let mut publishers = JoinSet::new();
    for _ in 0..PUBLISHERS {
        let pubsub = pubsub.clone();
        publishers.spawn(async move {
            let mut positions = Vec::new();
            for _ in 0..MESSAGES_EACH {
                positions.push(publish(&*pubsub, "t", "x").await.seq);
                tokio::task::yield_now().await;
            }
            positions
        });
    }
    publishers
}

async fn many_publish_and_each_sees_each_message_once(pubsub: Arc<dyn PubSub>) {
    let all = PUBLISHERS * MESSAGES_EACH;
    // Resumed each time that they were too slow: that may happen on a busy machine, and nothing may be missing then either.
    let begins = subscribe(&*pubsub, "t", Since::Now).await.begins();
    let mut readers = JoinSet::new();
    for _ in 0..4 {
        let pubsub = pubsub.clone();
        readers.spawn(async move { read_resuming(&*pubsub, begins, all).await });
    }
    let mut published = HashSet::new();
    let mut publishers = publish_by_many(&pubsub).await;
    while let Some(positions) = publishers.join_next().await {
        let positions = positions.expect("a publisher does not panic");
        assert!(positions.is_sorted(), "each sees its own in order");
        published.extend(positions);
    }
    assert_eq!(published.len(), all, "no number is given twice");
    while let Some(seen) = readers.join_next().await {
        assert_eq!(seen.expect("a reader does not panic"), (1..=all as u64).collect::<Vec<_>>());
    }
}

async fn read_resuming(pubsub: &dyn PubSub, begins: Position, all: usize) -> Vec<u64> {
    let (mut at, mut seen) = (begins, Vec::new());
    while seen.len() < all {
        let mut subscription = subscribe(pubsub, "t", Since::After(at)).await;
        while seen.len() < all {
            match tokio::time::timeout(SOON, subscription.next()).await.expect("soon").expect("there is more") {
                Ok(message) => {
                    at = message.position;
                    seen.push(at.seq);
                }
                Err(end) => {
                    assert_eq!(end, SubscriptionEnd::TooSlow);
                    break;
                }
            }
        }
    }
    seen
}

async fn whoever_joins_meanwhile_misses_nothing(pubsub: Arc<dyn PubSub>) {
    let begins = subscribe(&*pubsub, "t", Since::Now).await.begins();
    let mut publishers = publish_by_many(&pubsub).await;
    let all = PUBLISHERS * MESSAGES_EACH;
    let mut seen = 0;
    while seen < all {
        let mut subscription = subscribe(&*pubsub, "t", Since::After(begins)).await;
        let there: Vec<u64> = std::iter::from_fn(|| subscription.next().now_or_never().flatten())
            .map(|item| item.expect("it keeps up").position.seq)
            .collect();
        assert_eq!(there, (1..=there.len() as u64).collect::<Vec<_>>());
        assert!(there.len() >= seen, "what was there stays");
        seen = there.len();
        tokio::task::yield_now().await;
    }
    while publishers.join_next().await.is_some() {}
}
