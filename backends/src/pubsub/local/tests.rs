use std::time::Duration;

use domain::Timestamp;
use ports::Origin;
use ports::memory::ManualClock;

use super::*;

fn home() -> Namespace {
    Namespace::parse("home").expect("a valid namespace")
}

fn topic(text: &str) -> Topic {
    Topic::parse(text).expect("a valid topic")
}

fn message() -> NewMessage {
    NewMessage { data: Bytes::from_static(b"x"), origin: Origin::User, at: Timestamp::UNIX_EPOCH }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_uses_is_forgotten_without_being_asked_for() {
    let clock = Arc::new(ManualClock::new());
    let pubsub = LocalPubSub::open(LocalConfig::default(), clock.clone());
    let listener = pubsub.subscribe(&home(), &topic("heard"), Since::Now).await.expect("subscribed");
    for name in ["heard", "unheard"] {
        pubsub.publish(&home(), &topic(name), message()).await.expect("published");
    }
    let age = LocalConfig::default().history.age_max;
    clock.advance(age - Duration::from_secs(1));
    // On the paused clock: until housekeeping has had its turn.
    tokio::time::sleep(2 * SWEEP_EVERY).await;
    assert_eq!(pubsub.topics(&home()).len(), 2);
    clock.advance(Duration::from_secs(1));
    // On the paused clock: until housekeeping has had its turn.
    tokio::time::sleep(2 * SWEEP_EVERY).await;
    let topics = pubsub.topics(&home());
    // What it has not read yet is not history: that stays.
    assert_eq!((topics.len(), topics[0].topic.as_str(), topics[0].history), (1, "heard", 1));
    drop(listener);
    assert!(pubsub.topics(&home()).is_empty(), "a topic that nobody uses is not shown");
    assert_eq!(pubsub.node.all().len(), 1, "who comes back soon finds it");
    clock.advance(age);
    // On the paused clock: until housekeeping has had its turn.
    tokio::time::sleep(2 * SWEEP_EVERY).await;
    assert!(pubsub.node.all().is_empty());
}

#[tokio::test]
async fn a_subscription_outlives_those_it_came_from_and_nothing_outlives_it() {
    let pubsub = LocalPubSub::open(LocalConfig::default(), Arc::new(ManualClock::new()));
    let node = Arc::downgrade(&pubsub.node);
    let listener = pubsub.subscribe(&home(), &topic("t"), Since::Now).await.expect("subscribed");
    drop(pubsub);
    drop(listener);
    assert!(node.upgrade().is_none());
}

#[tokio::test]
async fn a_subscriber_that_waits_is_small() {
    let pubsub = LocalPubSub::open(LocalConfig::default(), Arc::new(ManualClock::new()));
    let listener = pubsub.subscribe(&home(), &topic("t"), Since::Now).await.expect("subscribed");
    assert!(size_of::<Listener>() + size_of_val(&listener) + size_of::<Option<std::task::Waker>>() <= 256);
}
