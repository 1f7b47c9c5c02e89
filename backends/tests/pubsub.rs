//! The topics in this process: what they keep, what they forget, and how many there may be.

use std::sync::Arc;
use std::time::Duration;

use backends::pubsub::{self, Config, History, LocalConfig};
use bytes::Bytes;
use domain::{Namespace, Position, Timestamp, Topic};
use futures_util::{FutureExt, StreamExt};
use ports::memory::ManualClock;
use ports::{NewMessage, Origin, PubSub, PubSubError, Since, Subscription, conformance};
use tokio::task::JoinSet;

const HISTORY: History = History { messages_max: 10, bytes_max: 1000, age_max: Duration::from_secs(60) };

fn open(config: LocalConfig) -> (Arc<dyn PubSub>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new());
    (pubsub::open_by(Config::Local(config), clock.clone()), clock)
}

fn keeping(history: History) -> (Arc<dyn PubSub>, Arc<ManualClock>) {
    open(LocalConfig { history, ..LocalConfig::default() })
}

fn home() -> Namespace {
    Namespace::parse("home").expect("a valid namespace")
}

fn topic(text: &str) -> Topic {
    Topic::parse(text).expect("a valid topic")
}

async fn publish(pubsub: &dyn PubSub, on: &str, bytes: usize) -> Position {
    let message = NewMessage { data: Bytes::from(vec![b'x'; bytes]), origin: Origin::User, at: Timestamp::UNIX_EPOCH };
    pubsub.publish(&home(), &topic(on), message).await.expect("published")
}

async fn subscribe(pubsub: &dyn PubSub, on: &str, since: Since) -> Result<Subscription, PubSubError> {
    pubsub.subscribe(&home(), &topic(on), since).await
}

/// How many messages of a topic are kept.
fn kept(pubsub: &dyn PubSub, on: &str) -> usize {
    pubsub.topics(&home()).into_iter().find(|view| view.topic == topic(on)).map_or(0, |view| view.history)
}

#[tokio::test(flavor = "multi_thread")]
async fn behaves_as_topics() {
    let clock = Arc::new(ManualClock::new());
    let open = || pubsub::open_by(Config::default(), clock.clone());
    conformance::pubsub(open, async |time| clock.advance(time)).await;
}

/// The bounds of subscribers are not those of the history.
#[tokio::test]
async fn without_a_history_everybody_still_gets_everything() {
    let (pubsub, _) = keeping(History { messages_max: 0, ..HISTORY });
    let mut listens = subscribe(&*pubsub, "t", Since::Now).await.expect("subscribed");
    let last = (publish(&*pubsub, "t", 1).await, publish(&*pubsub, "t", 1).await).1;
    assert_eq!(kept(&*pubsub, "t"), 2, "it has read nothing");
    assert!(subscribe(&*pubsub, "t", Since::After(last)).await.is_ok(), "nothing is missing behind the last");
    for seq in [1, 2] {
        assert_eq!(listens.next().await.expect("there is one").expect("it keeps up").position.seq, seq);
    }
    assert_eq!(kept(&*pubsub, "t"), 0, "everybody has read it");
    let first = Position { seq: 1, ..last };
    assert!(
        matches!(subscribe(&*pubsub, "t", Since::After(first)).await, Err(PubSubError::CannotResume(at)) if at == first)
    );
    publish(&*pubsub, "unheard", 1).await;
    assert_eq!(kept(&*pubsub, "unheard"), 0);
}

#[tokio::test]
async fn history_ends_where_its_window_does() {
    let (pubsub, clock) = keeping(HISTORY);
    let mut last = publish(&*pubsub, "t", 1).await;
    for _ in 0..20 {
        last = publish(&*pubsub, "t", 1).await;
    }
    assert_eq!(kept(&*pubsub, "t"), 10);
    let back = |messages| Since::After(Position { seq: last.seq - messages, ..last });
    assert!(subscribe(&*pubsub, "t", back(10)).await.is_ok());
    assert!(matches!(subscribe(&*pubsub, "t", back(11)).await, Err(PubSubError::CannotResume(_))));

    publish(&*pubsub, "t", 600).await;
    publish(&*pubsub, "t", 600).await;
    assert_eq!(kept(&*pubsub, "t"), 1, "bytes count, too");
    publish(&*pubsub, "t", 2000).await;
    assert_eq!(kept(&*pubsub, "t"), 1, "the newest is kept, whatever its size");

    clock.advance(Duration::from_secs(59));
    publish(&*pubsub, "t", 1).await;
    assert_eq!(kept(&*pubsub, "t"), 1);
    clock.advance(Duration::from_secs(59));
    assert_eq!(kept(&*pubsub, "t"), 1);
    clock.advance(Duration::from_secs(1));
    assert_eq!(kept(&*pubsub, "t"), 0);
    let last = Position { seq: last.seq + 4, ..last };
    assert!(subscribe(&*pubsub, "t", Since::After(last)).await.is_ok(), "nothing is missing behind the last");
    assert!(subscribe(&*pubsub, "t", back(0)).await.is_err());
}

#[tokio::test]
async fn what_somebody_has_to_read_outlives_the_history() {
    let (pubsub, clock) = keeping(HISTORY);
    let mut listens = subscribe(&*pubsub, "t", Since::Now).await.expect("subscribed");
    let mut resumes = {
        publish(&*pubsub, "t", 1).await;
        subscribe(&*pubsub, "t", Since::After(listens.begins())).await.expect("subscribed")
    };
    for _ in 0..99 {
        publish(&*pubsub, "t", 100).await;
    }
    clock.advance(Duration::from_secs(600));
    assert_eq!(kept(&*pubsub, "t"), 100);
    for subscription in [&mut listens, &mut resumes] {
        let all = std::iter::from_fn(|| subscription.next().now_or_never().flatten());
        assert_eq!(
            all.map(|item| item.expect("it keeps up").position.seq).collect::<Vec<_>>(),
            (1..=100).collect::<Vec<_>>()
        );
    }
    assert_eq!(kept(&*pubsub, "t"), 0);
}

/// One that leaves takes what only it had to read with it.
#[tokio::test]
async fn who_leaves_owes_nothing() {
    let (pubsub, _) = keeping(History { messages_max: 0, ..HISTORY });
    let mut stays = subscribe(&*pubsub, "t", Since::Now).await.expect("subscribed");
    let leaves = subscribe(&*pubsub, "t", Since::Now).await.expect("subscribed");
    for _ in 0..5 {
        publish(&*pubsub, "t", 1).await;
        assert!(stays.next().await.expect("there is one").is_ok());
    }
    assert_eq!(kept(&*pubsub, "t"), 5);
    drop(leaves);
    assert_eq!(kept(&*pubsub, "t"), 0);
    publish(&*pubsub, "t", 1).await;
    assert_eq!(stays.next().await.expect("there is one").expect("it keeps up").position.seq, 6);
}

/// Places of those who were dropped are not given to others before they are left.
#[tokio::test]
async fn a_dropped_subscriber_never_stands_in_the_place_of_another() {
    let (pubsub, clock) = keeping(HISTORY);
    let slow = subscribe(&*pubsub, "t", Since::Now).await.expect("subscribed");
    for _ in 0..=ports::SUBSCRIBER_MESSAGES_MAX {
        publish(&*pubsub, "t", 1).await;
        clock.advance(ports::SUBSCRIBER_LAG_MAX / 100);
    }
    assert_eq!(pubsub.counts().dropped_slow, 1);
    let mut next = subscribe(&*pubsub, "t", Since::Now).await.expect("subscribed");
    let waiting = tokio::spawn(async move { next.next().await.map(|item| item.is_ok()) });
    tokio::task::yield_now().await;
    drop(slow);
    publish(&*pubsub, "t", 1).await;
    assert_eq!(waiting.await.expect("the task runs"), Some(true));
    assert_eq!(pubsub.counts().subscriptions, 0);
}

#[tokio::test]
async fn a_namespace_has_a_budget_for_all_its_history() {
    let history = History { messages_max: 1000, bytes_max: 1 << 20, age_max: Duration::from_secs(60) };
    let budget = 1_000_000;
    let config = LocalConfig { history, history_bytes_max_per_namespace: budget, ..LocalConfig::default() };
    let (pubsub, _) = open(config);
    for _ in 0..5 {
        publish(&*pubsub, "small", 100).await;
    }
    for number in 0..3000 {
        publish(&*pubsub, ["large", "larger", "larger"][number % 3], 1000).await;
    }
    let bytes = 1000 * (kept(&*pubsub, "large") + kept(&*pubsub, "larger"));
    assert!((500_000..=budget as usize + (budget / 8) as usize).contains(&bytes), "{bytes}");
    assert!(kept(&*pubsub, "larger") < 2 * kept(&*pubsub, "large"), "who has most gives most");
    assert_eq!(kept(&*pubsub, "small"), 5, "who has little keeps it");
    let elsewhere = Namespace::parse("elsewhere").expect("a valid namespace");
    let message = NewMessage { data: Bytes::from_static(b"x"), origin: Origin::User, at: Timestamp::UNIX_EPOCH };
    pubsub.publish(&elsewhere, &topic("t"), message).await.expect("published");
    assert_eq!(pubsub.topics(&elsewhere)[0].history, 1, "another namespace has a budget of its own");
}

#[tokio::test]
async fn of_too_many_topics_those_that_nobody_hears_are_forgotten() {
    let (pubsub, clock) = open(LocalConfig { topics_max_per_namespace: 20, ..LocalConfig::default() });
    let heard = subscribe(&*pubsub, "heard", Since::Now).await.expect("subscribed");
    let mut first = None;
    for number in 0..100 {
        clock.advance(Duration::from_millis(1));
        let position = publish(&*pubsub, &number.to_string(), 1).await;
        first.get_or_insert(position);
    }
    let topics: Vec<String> = pubsub.topics(&home()).iter().map(|view| view.topic.to_string()).collect();
    assert!(topics.len() <= 20 && topics.len() > 15, "{topics:?}");
    assert!(topics.contains(&"heard".to_owned()) && topics.contains(&"99".to_owned()), "{topics:?}");
    let first = first.expect("there was one");
    assert!(matches!(subscribe(&*pubsub, "0", Since::After(first)).await, Err(PubSubError::CannotResume(_))));
    drop(heard);

    let mut all = Vec::new();
    let refused = loop {
        match subscribe(&*pubsub, &format!("listener {}", all.len()), Since::Now).await {
            Ok(subscription) => all.push(subscription),
            Err(refused) => break refused,
        }
    };
    assert_eq!(all.len(), 20);
    assert_eq!(refused.to_string(), "the namespace has 20 topics with subscribers, and may not have more");
    all.pop();
    assert!(subscribe(&*pubsub, "another", Since::Now).await.is_ok());
}

#[tokio::test]
async fn subscriptions_are_counted() {
    let (pubsub, _) = open(LocalConfig { subscriptions_max_per_namespace: 2, ..LocalConfig::default() });
    let first = subscribe(&*pubsub, "a", Since::Now).await.expect("subscribed");
    let _second = subscribe(&*pubsub, "b", Since::Now).await.expect("subscribed");
    let refused = subscribe(&*pubsub, "a", Since::Now).await.expect_err("there are two");
    assert_eq!(refused.to_string(), "the namespace has 2 subscriptions, and may not have more");
    drop(first);
    assert!(subscribe(&*pubsub, "a", Since::Now).await.is_ok());
}

/// Many topics with a message for somebody who never reads hold no more than this either.
#[tokio::test]
async fn what_waits_has_a_budget_for_all_topics_of_a_namespace() {
    let config = LocalConfig {
        history: History { messages_max: 0, ..HISTORY },
        history_bytes_max_per_namespace: 0,
        waiting_bytes_max_per_namespace: 1 << 20,
        ..LocalConfig::default()
    };
    let (pubsub, _) = open(config);
    let (mut stuck, mut reads) = (Vec::new(), Vec::new());
    for on in 0..100 {
        stuck.push(subscribe(&*pubsub, &on.to_string(), Since::Now).await.expect("subscribed"));
        reads.push(subscribe(&*pubsub, &on.to_string(), Since::Now).await.expect("subscribed"));
    }
    for _ in 0..10 {
        for (on, reader) in reads.iter_mut().enumerate() {
            publish(&*pubsub, &on.to_string(), 10_000).await;
            assert!(reader.next().await.expect("there is one").is_ok(), "who reads loses nothing");
        }
    }
    let waiting: usize = pubsub.topics(&home()).iter().map(|view| view.history).sum();
    assert!(waiting * 10_000 <= (1 << 20) + 200_000, "{waiting}");
    let ended =
        stuck.iter_mut().filter_map(|stuck| stuck.next().now_or_never()).filter(|item| matches!(item, Some(Err(_))));
    assert_eq!(ended.count() as u64, pubsub.counts().dropped_slow);
    assert!(pubsub.counts().dropped_slow > 0);
}

#[tokio::test]
async fn what_waits_for_those_who_catch_up_has_a_budget() {
    let history = History { messages_max: 1000, bytes_max: 1 << 20, age_max: Duration::from_secs(60) };
    let config = LocalConfig { history, waiting_bytes_max_per_namespace: 1 << 20, ..LocalConfig::default() };
    let (pubsub, _) = open(config);
    let begins = subscribe(&*pubsub, "t", Since::Now).await.expect("subscribed").begins();
    for _ in 0..50 {
        publish(&*pubsub, "t", 10_000).await;
    }
    let resume = async || subscribe(&*pubsub, "t", Since::After(begins)).await;
    let mut first = resume().await.expect("subscribed");
    let second = resume().await.expect("subscribed");
    let refused = resume().await.expect_err("a third half is too much");
    assert_eq!(refused.to_string(), "too much of the history waits for subscribers of the namespace");
    assert_eq!(pubsub.counts().subscriptions, 2);
    drop(second);
    let third = resume().await.expect("there is room again");
    drop(third);
    for _ in 0..50 {
        assert!(first.next().await.expect("there is one").is_ok());
    }
    let _both = (resume().await.expect("subscribed"), resume().await.expect("what was read does not wait"));
}

const TOPICS: usize = 50;
const SUBSCRIBERS: usize = 500;
const PUBLISHERS: usize = 20;
const MESSAGES: usize = 100_000;

/// What a subscriber saw: how many messages of each publisher, each list without a gap and in order.
async fn read_all(mut subscription: Subscription, expected: usize) -> usize {
    let mut next_of = [0_usize; PUBLISHERS];
    let first = subscription.begins().seq + 1;
    for (read, seq) in (0..expected).zip(first..) {
        let Some(Ok(message)) = subscription.next().await else { return read };
        assert_eq!(message.position.seq, seq, "no message is missing, none comes twice");
        let (publisher, number) = parse(&message.data);
        assert_eq!(number, next_of[publisher], "each publisher's messages keep their order");
        next_of[publisher] += 1;
    }
    expected
}

fn parse(data: &[u8]) -> (usize, usize) {
    let (publisher, number) = std::str::from_utf8(data).expect("text").split_once(' ').expect("two numbers");
    (publisher.parse().expect("a number"), number.parse().expect("a number"))
}

/// Publishes its part on every topic in turn, and waits for the ones it paces with after each round.
async fn publish_part(pubsub: Arc<dyn PubSub>, publisher: usize) {
    let each = MESSAGES / PUBLISHERS / TOPICS;
    for number in 0..each {
        for on in 0..TOPICS {
            let data = Bytes::from(format!("{publisher} {number}"));
            let message = NewMessage { data, origin: Origin::User, at: Timestamp::UNIX_EPOCH };
            pubsub.publish(&home(), &topic(&on.to_string()), message).await.expect("published");
        }
        // A subscriber keeps up who reads whenever it has its turn.
        tokio::task::yield_now().await;
    }
}

/// 500 subscribers on 50 topics, 20 publishers, 100,000 messages; on each topic one more who never reads.
#[tokio::test]
async fn under_stress_whoever_keeps_up_misses_nothing_and_the_stuck_cost_nothing() {
    let (pubsub, clock) = open(LocalConfig::default());
    let expected = MESSAGES / TOPICS;
    let (mut readers, mut stuck) = (JoinSet::new(), Vec::new());
    for number in 0..SUBSCRIBERS {
        let on = (number % TOPICS).to_string();
        let subscription = subscribe(&*pubsub, &on, Since::Now).await.expect("subscribed");
        readers.spawn(read_all(subscription, expected));
    }
    for on in 0..TOPICS {
        stuck.push(subscribe(&*pubsub, &on.to_string(), Since::Now).await.expect("subscribed"));
    }
    let mut publishers = JoinSet::new();
    for publisher in 0..PUBLISHERS {
        publishers.spawn(publish_part(pubsub.clone(), publisher));
    }
    while let Some(published) = publishers.join_next().await {
        published.expect("a publisher does not panic");
    }
    while let Some(read) = readers.join_next().await {
        assert_eq!(read.expect("a reader does not panic"), expected);
    }
    let counts = pubsub.counts();
    assert_eq!(counts.published, MESSAGES as u64);
    assert_eq!(counts.delivered, (SUBSCRIBERS * expected) as u64);
    // Those who have not read anything for a while are given up with the next message.
    clock.advance(ports::SUBSCRIBER_LAG_MAX);
    for on in 0..TOPICS {
        publish(&*pubsub, &on.to_string(), 1).await;
    }
    let counts = pubsub.counts();
    assert_eq!(counts.dropped_slow, TOPICS as u64, "the stuck ones, and nobody else");
    for mut subscription in stuck {
        let end = subscription.next().await.expect("it is told why");
        assert!(end.is_err());
    }
}
