//! Topics in the memory of this process.
//!
//! A topic is one log ([`log`]) that all its subscribers read, each from a place of its own: sending a message is one entry,
//! however many listen, and what a subscriber costs is its place. Each entry counts who has not read it, so that the publisher
//! knows who is too slow without looking for them. The same log is the history, which is why resuming has no seam.
//! [`namespace`] has the topics of one namespace and their limits, [`listener`] is a subscriber.

mod listener;
mod log;
mod namespace;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use domain::{Namespace, Position, Topic};
use ports::{Clock, NewMessage, PubSub, PubSubCounts, PubSubError, Since, Subscription, TopicView};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use listener::Listener;
use namespace::{Found, NamespaceTopics};

/// How much of the past a topic keeps. The newest message stays whatever its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    /// 0 keeps nothing.
    pub messages_max: usize,
    pub bytes_max: u64,
    pub age_max: Duration,
}

/// What the topics in this process may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalConfig {
    /// Of each topic.
    pub history: History,
    /// The history of all topics of a namespace together, each message with a little for its administration. Above it the
    /// topics that have most give way.
    pub history_bytes_max_per_namespace: u64,
    /// What waits for subscribers of a namespace beyond that, and once more what of the history waits for those who catch up. Above it
    /// those are given up who have most to read, or are refused.
    pub waiting_bytes_max_per_namespace: u64,
    /// Above it topics that nobody listens to are forgotten, those that were used least recently first.
    pub topics_max_per_namespace: usize,
    pub subscriptions_max_per_namespace: usize,
}

impl Default for LocalConfig {
    fn default() -> Self {
        Self {
            history: History { messages_max: 1000, bytes_max: 1 << 20, age_max: Duration::from_secs(300) },
            history_bytes_max_per_namespace: 32 << 20,
            waiting_bytes_max_per_namespace: 64 << 20,
            topics_max_per_namespace: 20_000,
            subscriptions_max_per_namespace: 100_000,
        }
    }
}

/// How often topics that nobody uses are looked through for what has expired.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

pub(super) struct LocalPubSub {
    node: Arc<Node>,
    sweeper: JoinHandle<()>,
}

/// What the namespaces of a node share.
struct Node {
    config: LocalConfig,
    clock: Arc<dyn Clock>,
    namespaces: Mutex<Namespaces>,
    /// Of the next topic that is made. From a number drawn at random, so that a node that was restarted has other ones.
    next_epoch: AtomicU64,
    published: AtomicU64,
    delivered: AtomicU64,
    subscriptions: AtomicU64,
    dropped_slow: AtomicU64,
}

#[derive(Default)]
struct Namespaces {
    all: HashMap<Namespace, Arc<NamespaceTopics>>,
    /// Every subscription ends as it begins.
    stopped: bool,
}

impl LocalPubSub {
    pub(super) fn open(config: LocalConfig, clock: Arc<dyn Clock>) -> Self {
        let node = Arc::new(Node::new(config, clock));
        let sweeper = tokio::spawn(sweep(Arc::downgrade(&node)));
        Self { node, sweeper }
    }
}

impl Drop for LocalPubSub {
    fn drop(&mut self) {
        self.sweeper.abort();
        // A namespace knows its node and the node its namespaces: nobody else would end that.
        self.node.take_all().iter().for_each(|namespace| namespace.close());
    }
}

async fn sweep(node: Weak<Node>) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(node) = node.upgrade() else { return };
        for (name, namespace) in node.all() {
            namespace.sweep().await;
            node.forget_if_empty(&name);
        }
    }
}

impl Node {
    fn new(config: LocalConfig, clock: Arc<dyn Clock>) -> Self {
        // A number that every language reads without loss.
        let drawn = getrandom::u64().expect("the system has random numbers") >> 13;
        Self {
            config,
            clock,
            namespaces: Mutex::default(),
            next_epoch: AtomicU64::new(drawn),
            published: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            subscriptions: AtomicU64::new(0),
            dropped_slow: AtomicU64::new(0),
        }
    }

    /// The topics of a namespace, and whether subscriptions still may begin.
    fn namespace(self: &Arc<Self>, name: &Namespace) -> (Arc<NamespaceTopics>, bool) {
        let mut namespaces = self.namespaces.lock().expect("no holder panics");
        let open = !namespaces.stopped;
        if let Some(known) = namespaces.all.get(name) {
            return (known.clone(), open);
        }
        let made = Arc::new(NamespaceTopics::new(self.clone()));
        namespaces.all.insert(name.clone(), made.clone());
        (made, open)
    }

    fn known(&self, name: &Namespace) -> Option<Arc<NamespaceTopics>> {
        self.namespaces.lock().expect("no holder panics").all.get(name).cloned()
    }

    fn all(&self) -> Vec<(Namespace, Arc<NamespaceTopics>)> {
        let namespaces = self.namespaces.lock().expect("no holder panics");
        namespaces.all.iter().map(|(name, namespace)| (name.clone(), namespace.clone())).collect()
    }

    /// Empties the node; from now on every subscription ends as it begins.
    fn take_all(&self) -> Vec<Arc<NamespaceTopics>> {
        let mut namespaces = self.namespaces.lock().expect("no holder panics");
        namespaces.stopped = true;
        namespaces.all.drain().map(|(_, namespace)| namespace).collect()
    }

    fn forget_if_empty(&self, name: &Namespace) {
        let mut namespaces = self.namespaces.lock().expect("no holder panics");
        if namespaces.all.get(name).is_some_and(|namespace| namespace.close_if_empty()) {
            namespaces.all.remove(name);
        }
    }
}

#[async_trait]
impl PubSub for LocalPubSub {
    async fn publish(
        &self,
        namespace: &Namespace,
        topic: &Topic,
        message: NewMessage,
    ) -> Result<Position, PubSubError> {
        // A copy: the message may be a small piece of a large buffer, which would stay alive with it.
        let message = NewMessage { data: Bytes::copy_from_slice(&message.data), ..message };
        loop {
            let (topics, _) = self.node.namespace(namespace);
            // It may be forgotten at this very moment: then there is a new one.
            if let Found::Here(position) = topics.publish(topic, &message)? {
                self.node.published.fetch_add(1, Ordering::Relaxed);
                return Ok(position);
            }
        }
    }

    async fn subscribe(&self, namespace: &Namespace, topic: &Topic, since: Since) -> Result<Subscription, PubSubError> {
        loop {
            let (topics, open) = self.node.namespace(namespace);
            if !open {
                return Ok(listener::ended());
            }
            if let Found::Here((begins, listener)) = Listener::join(&topics, topic, since)? {
                return Ok(Subscription::new(begins, listener));
            }
        }
    }

    fn topics(&self, namespace: &Namespace) -> Vec<TopicView> {
        self.node.known(namespace).map_or_else(Vec::new, |topics| topics.views())
    }

    fn counts(&self) -> PubSubCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        PubSubCounts {
            published: read(&self.node.published),
            delivered: read(&self.node.delivered),
            subscriptions: read(&self.node.subscriptions),
            dropped_slow: read(&self.node.dropped_slow),
        }
    }

    async fn close(&self, namespace: &Namespace) {
        let closed = self.node.namespaces.lock().expect("no holder panics").all.remove(namespace);
        if let Some(closed) = closed {
            closed.close();
        }
    }

    async fn shut_down(&self) {
        self.node.take_all().iter().for_each(|namespace| namespace.close());
    }
}

#[cfg(test)]
mod tests;
