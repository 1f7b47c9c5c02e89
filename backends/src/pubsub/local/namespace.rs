//! The topics of one namespace: made when they are used, forgotten when they are not, within limits.
//!
//! Locks are taken in one order: the node's namespaces, the map of topics, the log of one topic. Nobody holds a log while taking
//! another lock, and who waits is woken when no lock is held.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;
use std::time::Instant;

use domain::{Position, Topic};
use ports::{NewMessage, PubSubError, TopicView};

use super::log::Log;
use super::{History, Node};

/// Topics that are swept before others have their turn.
const SWEPT_AT_ONCE: usize = 256;
/// The least that comes between two attempts to make room.
const ROOM_BYTES_MIN: u64 = 64 << 10;
/// One of so many topics is forgotten when there are too many of them.
const FORGOTTEN_PART: usize = 16;

/// What was looked for, or the news that it is another now.
pub(super) enum Found<T> {
    Here(T),
    Gone,
}

pub(super) struct NamespaceTopics {
    node: Arc<Node>,
    topics: Mutex<Topics>,
    subscriptions: AtomicUsize,
    /// What all logs weigh.
    weight: AtomicU64,
    /// What those weigh together who catch up with the history.
    backlogs: AtomicU64,
    /// The weight at which it is worth making room again.
    crowded_at: AtomicU64,
}

#[derive(Default)]
struct Topics {
    all: HashMap<Topic, Arc<TopicLog>>,
    /// The namespace was closed or forgotten: whoever finds it looks again.
    gone: bool,
}

pub(super) struct TopicLog {
    pub(super) topic: Topic,
    log: Mutex<Log>,
}

impl TopicLog {
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().expect("no holder panics")
    }
}

impl NamespaceTopics {
    pub(super) fn new(node: Arc<Node>) -> Self {
        let budget = node.config.history_bytes_max_per_namespace;
        Self {
            node,
            topics: Mutex::default(),
            subscriptions: AtomicUsize::new(0),
            weight: AtomicU64::new(0),
            backlogs: AtomicU64::new(0),
            crowded_at: AtomicU64::new(budget),
        }
    }

    pub(super) fn node(&self) -> &Node {
        &self.node
    }

    pub(super) fn now(&self) -> Instant {
        self.node.clock.instant()
    }

    pub(super) fn history(&self) -> &History {
        &self.node.config.history
    }

    fn topics(&self) -> MutexGuard<'_, Topics> {
        self.topics.lock().expect("no holder panics")
    }

    fn all(&self) -> Vec<Arc<TopicLog>> {
        self.topics().all.values().cloned().collect()
    }

    pub(super) fn publish(&self, topic: &Topic, message: &NewMessage) -> Result<Found<Position>, PubSubError> {
        let Found::Here(of) = self.topic(topic)? else { return Ok(Found::Gone) };
        let now = self.now();
        let sent = self.change(&of, |log| match log.is_gone() {
            true => None,
            false => Some(log.publish(&of.topic, message.clone(), now, self.history())),
        });
        let Some(sent) = sent else { return Ok(Found::Gone) };
        self.dropped(sent.slow);
        sent.wakers.into_iter().for_each(Waker::wake);
        self.make_room();
        Ok(Found::Here(sent.position))
    }

    /// The topic of that name, made if there is none.
    pub(super) fn topic(&self, name: &Topic) -> Result<Found<Arc<TopicLog>>, PubSubError> {
        let mut topics = self.topics();
        if topics.gone {
            return Ok(Found::Gone);
        }
        if let Some(known) = topics.all.get(name) {
            return Ok(Found::Here(known.clone()));
        }
        if topics.all.len() >= self.node.config.topics_max_per_namespace {
            self.forget_some(&mut topics)?;
        }
        let epoch = self.node.next_epoch.fetch_add(1, Ordering::Relaxed);
        // A name of its own: the caller's may be a piece of something larger.
        let made = Arc::new(TopicLog { topic: name.clone(), log: Mutex::new(Log::new(epoch, self.now())) });
        topics.all.insert(name.clone(), made.clone());
        Ok(Found::Here(made))
    }

    /// Changes a log, and what all of them weigh.
    pub(super) fn change<T>(&self, of: &TopicLog, change: impl FnOnce(&mut Log) -> T) -> T {
        let mut log = of.lock();
        let before = log.weight();
        let result = change(&mut log);
        let after = log.weight();
        // Within the lock: what is added here before it is taken away keeps the sum from passing below 0.
        if after >= before {
            self.weight.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.weight.fetch_sub(before - after, Ordering::Relaxed);
        }
        result
    }

    /// Counts a subscription about to begin.
    pub(super) fn enter(&self) -> Result<(), PubSubError> {
        let most = self.node.config.subscriptions_max_per_namespace;
        if self.subscriptions.fetch_add(1, Ordering::Relaxed) >= most {
            self.subscriptions.fetch_sub(1, Ordering::Relaxed);
            return Err(PubSubError::Full(format!("the namespace has {most} subscriptions, and may not have more")));
        }
        self.node.subscriptions.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Counts subscriptions that have ended.
    pub(super) fn left(&self, count: u32) {
        self.subscriptions.fetch_sub(count as usize, Ordering::Relaxed);
        self.node.subscriptions.fetch_sub(count.into(), Ordering::Relaxed);
    }

    /// Counts subscribers that were too slow.
    fn dropped(&self, slow: u32) {
        if slow > 0 {
            self.node.dropped_slow.fetch_add(slow.into(), Ordering::Relaxed);
            self.left(slow);
        }
    }

    /// Counts what a subscriber has to read of the history, if there is room for it.
    pub(super) fn owe(&self, weight: u64) -> Result<(), PubSubError> {
        let most = self.node.config.waiting_bytes_max_per_namespace;
        if weight > 0 && self.backlogs.fetch_add(weight, Ordering::Relaxed).saturating_add(weight) > most {
            self.owe_less(weight);
            return Err(PubSubError::Full("too much of the history waits for subscribers of the namespace".to_owned()));
        }
        Ok(())
    }

    pub(super) fn owe_less(&self, weight: u64) {
        self.backlogs.fetch_sub(weight, Ordering::Relaxed);
    }

    /// Ends everything here.
    pub(super) fn close(&self) {
        let ended = {
            let mut topics = self.topics();
            topics.gone = true;
            std::mem::take(&mut topics.all)
        };
        ended.values().for_each(|of| self.end(of));
    }

    /// The same if nothing is here; true when it did.
    pub(super) fn close_if_empty(&self) -> bool {
        let mut topics = self.topics();
        topics.gone |= topics.all.is_empty();
        topics.gone
    }

    fn end(&self, of: &TopicLog) {
        let (listeners, wakers) = self.change(of, Log::end);
        self.left(listeners);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Lets go of what has expired, and of topics that nobody uses any more.
    pub(super) async fn sweep(&self) {
        let mut idle = Vec::new();
        for (index, of) in self.all().into_iter().enumerate() {
            if index % SWEPT_AT_ONCE == SWEPT_AT_ONCE - 1 {
                tokio::task::yield_now().await;
            }
            let now = self.now();
            let (slow, unused) = self.change(&of, |log| {
                let slow = log.drop_slow(now);
                log.trim(now, self.history());
                (slow, log.is_idle(now, self.history()))
            });
            self.dropped(slow);
            if unused {
                idle.push(of);
            }
        }
        let mut topics = self.topics();
        for of in idle {
            let now = self.now();
            // Again, now that nobody can find it: it may have been used meanwhile.
            let mut log = of.lock();
            if log.is_idle(now, self.history()) && !log.is_gone() {
                log.end();
                topics.all.remove(&of.topic);
            }
        }
        if topics.all.len() < topics.all.capacity() / 4 {
            topics.all.shrink_to_fit();
        }
    }

    /// Forgets topics that nobody listens to, the least recently used first, to have room for others.
    fn forget_some(&self, topics: &mut Topics) -> Result<(), PubSubError> {
        let unheard = topics.all.values().filter_map(|of| {
            let log = of.lock();
            (log.listeners() == 0).then(|| (log.used_at(), of.clone()))
        });
        let mut unheard: Vec<(Instant, Arc<TopicLog>)> = unheard.collect();
        unheard.sort_by_key(|(used_at, _)| *used_at);
        unheard.truncate(topics.all.len() / FORGOTTEN_PART + 1);
        let before = topics.all.len();
        for (_, of) in unheard {
            let forgotten = self.change(&of, |log| {
                let unheard = log.listeners() == 0;
                if unheard {
                    log.end();
                }
                unheard
            });
            if forgotten {
                topics.all.remove(&of.topic);
            }
        }
        match topics.all.len() < before {
            true => Ok(()),
            false => {
                let most = self.node.config.topics_max_per_namespace;
                Err(PubSubError::Full(format!(
                    "the namespace has {most} topics with subscribers, and may not have more"
                )))
            }
        }
    }

    /// Takes history from the topics that have most, if all together have too much; and if too much is left then, because it is not
    /// read, gives up those who do not read it. Not before a good part more has come: what nobody may let go of yet would be looked
    /// for at each message.
    fn make_room(&self) {
        let (budget, waiting) =
            (self.node.config.history_bytes_max_per_namespace, self.node.config.waiting_bytes_max_per_namespace);
        let weight = || self.weight.load(Ordering::Relaxed);
        if weight() <= self.crowded_at.load(Ordering::Relaxed).max(budget) {
            return;
        }
        // Who comes meanwhile finds that somebody does it.
        self.crowded_at.store(u64::MAX, Ordering::Relaxed);
        let all = self.all();
        let share = |most: u64| fair_share(all.iter().map(|of| of.lock().weight()).collect(), most - most / 4);
        let of_history = share(budget);
        all.iter().for_each(|of| self.change(of, |log| log.shrink_to(of_history)));
        // First those who are a message behind: who keeps up has read all but the newest.
        for keep in [1, 0] {
            if weight() > budget.saturating_add(waiting) {
                let of_all = share(budget.saturating_add(waiting));
                all.iter().for_each(|of| self.dropped(self.change(of, |log| log.force_to(of_all, keep))));
            }
        }
        self.crowded_at.store(weight().saturating_add((budget / 8).max(ROOM_BYTES_MIN)), Ordering::Relaxed);
    }

    pub(super) fn views(&self) -> Vec<TopicView> {
        let now = self.now();
        let view = |of: &Arc<TopicLog>| {
            self.change(of, |log| {
                log.trim(now, self.history());
                log.view(&of.topic)
            })
        };
        let mut views: Vec<TopicView> = self.all().iter().map(view).collect();
        views.retain(|view| view.subscribers + view.history > 0);
        views.sort_by(|a, b| a.topic.cmp(&b.topic));
        views
    }
}

/// What each may keep so that all together keep at most `most`, and nobody less than it must.
fn fair_share(mut weights: Vec<u64>, most: u64) -> u64 {
    weights.sort_unstable();
    let (mut left, mut others) = (most, weights.len() as u64);
    for weight in weights {
        let share = left / others;
        if weight > share {
            return share;
        }
        left -= weight;
        others -= 1;
    }
    u64::MAX
}

#[cfg(test)]
mod tests {
    use super::fair_share;

    #[test]
    fn whoever_has_most_gives_way() {
        assert_eq!(fair_share(vec![], 100), u64::MAX);
        assert_eq!(fair_share(vec![10, 20, 30], 100), u64::MAX);
        assert_eq!(fair_share(vec![500, 10, 20], 100), 70);
        assert_eq!(fair_share(vec![500, 500, 20], 100), 40);
        assert_eq!(fair_share(vec![9, 9], 0), 0);
    }
}
