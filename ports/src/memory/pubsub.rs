use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use domain::{Namespace, Position, Topic};
use futures_util::Stream;

use crate::{
    Clock, Message, NewMessage, PubSub, PubSubCounts, PubSubError, SUBSCRIBER_BURST_MAX, SUBSCRIBER_BYTES_MAX,
    SUBSCRIBER_LAG_MAX, SUBSCRIBER_MESSAGES_MAX, Since, Subscription, SubscriptionEnd, SystemClock, TopicView,
};

/// Topics in maps, with a queue of its own for each subscriber.
pub struct MemoryPubSub {
    clock: Arc<dyn Clock>,
    /// The messages of each topic that are kept.
    history: usize,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    topics: BTreeMap<(Namespace, Topic), State>,
    counts: PubSubCounts,
    stopped: bool,
}

struct State {
    last: Position,
    history: VecDeque<Arc<Message>>,
    /// Of those who are listening still, and perhaps some who are not any more.
    queues: Vec<Weak<Mutex<Queue>>>,
}

#[derive(Default)]
struct Queue {
    messages: VecDeque<(Instant, Arc<Message>)>,
    /// Those of the history that were put there when it began; they count towards no limit.
    old: usize,
    bytes: usize,
    end: Option<SubscriptionEnd>,
    /// The end was told.
    over: bool,
    waker: Option<Waker>,
}

impl MemoryPubSub {
    /// Keeps this many messages of each topic; `clock` says for how long something waits.
    pub fn new(clock: Arc<dyn Clock>, history: usize) -> Self {
        Self { clock, history, shared: Arc::default() }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        lock(&self.shared)
    }
}

impl Default for MemoryPubSub {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock), usize::MAX)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no holder panics")
}

impl State {
    /// Begins a stream of an epoch that no other has.
    fn begin() -> Self {
        // Of a version 7 id the lower half is drawn at random.
        let epoch = (uuid::Uuid::now_v7().as_u128() as u64) >> 12;
        Self { last: Position { epoch, seq: 0 }, history: VecDeque::new(), queues: Vec::new() }
    }

    fn listening(&mut self) -> Vec<Arc<Mutex<Queue>>> {
        self.queues.retain(|queue| queue.strong_count() > 0);
        self.queues.iter().filter_map(Weak::upgrade).filter(|queue| lock(queue).end.is_none()).collect()
    }

    /// What is kept behind `after`, if nothing of it is missing.
    fn behind(&self, after: Position) -> Option<VecDeque<Arc<Message>>> {
        let missing = self.last.seq.checked_sub(after.seq).filter(|_| after.epoch == self.last.epoch)?;
        let first = self.history.len().checked_sub(usize::try_from(missing).ok()?)?;
        Some(self.history.iter().skip(first).cloned().collect())
    }
}

impl Queue {
    /// False when it was too slow.
    fn push(&mut self, message: &Arc<Message>, now: Instant) -> bool {
        self.bytes += message.data.len();
        self.messages.push_back((now, message.clone()));
        if self.is_overfull(now) {
            self.end(SubscriptionEnd::TooSlow);
            return false;
        }
        self.wake();
        true
    }

    fn is_overfull(&self, now: Instant) -> bool {
        let waiting = self.messages.len() - self.old;
        let lag = self.messages.get(self.old).map_or(Duration::ZERO, |(at, _)| now.saturating_duration_since(*at));
        let burst = waiting > SUBSCRIBER_BURST_MAX || self.bytes > SUBSCRIBER_BYTES_MAX;
        burst || (waiting > SUBSCRIBER_MESSAGES_MAX && lag >= SUBSCRIBER_LAG_MAX)
    }

    fn pop(&mut self) -> Option<Arc<Message>> {
        let (_, message) = self.messages.pop_front()?;
        match self.old {
            0 => self.bytes -= message.data.len(),
            _ => self.old -= 1,
        }
        Some(message)
    }

    fn end(&mut self, end: SubscriptionEnd) {
        self.end.get_or_insert(end);
        self.messages.clear();
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

struct Listener {
    queue: Arc<Mutex<Queue>>,
    shared: Arc<Mutex<Shared>>,
}

impl Stream for Listener {
    type Item = Result<Arc<Message>, SubscriptionEnd>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // In this order everywhere: what is shared, then a queue.
        let mut shared = lock(&self.shared);
        let mut queue = lock(&self.queue);
        if let Some(end) = queue.end {
            let told = std::mem::replace(&mut queue.over, true);
            return Poll::Ready((!told).then_some(Err(end)));
        }
        let Some(message) = queue.pop() else {
            queue.waker = Some(cx.waker().clone());
            return Poll::Pending;
        };
        shared.counts.delivered += 1;
        Poll::Ready(Some(Ok(message)))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut shared = lock(&self.shared);
        let mut queue = lock(&self.queue);
        if queue.end.is_none() {
            shared.counts.subscriptions -= 1;
            queue.end(SubscriptionEnd::Closed);
        }
    }
}

#[async_trait]
impl PubSub for MemoryPubSub {
    async fn publish(
        &self,
        namespace: &Namespace,
        topic: &Topic,
        message: NewMessage,
    ) -> Result<Position, PubSubError> {
        let mut shared = self.shared();
        let state = shared.topics.entry((namespace.clone(), topic.clone())).or_insert_with(State::begin);
        state.last.seq += 1;
        let NewMessage { data, origin, at } = message;
        let position = state.last;
        let message = Arc::new(Message { topic: topic.clone(), position, data, origin, at });
        let now = self.clock.instant();
        let slow = state.listening().iter().filter(|queue| !lock(queue).push(&message, now)).count() as u64;
        state.history.push_back(message);
        while state.history.len() > self.history {
            state.history.pop_front();
        }
        shared.counts.published += 1;
        shared.counts.dropped_slow += slow;
        shared.counts.subscriptions -= slow;
        Ok(position)
    }

    async fn subscribe(&self, namespace: &Namespace, topic: &Topic, since: Since) -> Result<Subscription, PubSubError> {
        let mut shared = self.shared();
        let stopped = shared.stopped;
        let state = shared.topics.entry((namespace.clone(), topic.clone())).or_insert_with(State::begin);
        let (begins, messages) = match since {
            Since::Now => (state.last, VecDeque::new()),
            Since::After(after) => (after, state.behind(after).ok_or(PubSubError::CannotResume(after))?),
        };
        let now = self.clock.instant();
        let messages = messages.into_iter().map(|message| (now, message)).collect::<VecDeque<_>>();
        let queue = Queue { old: messages.len(), messages, ..Queue::default() };
        let queue = Arc::new(Mutex::new(queue));
        state.queues.push(Arc::downgrade(&queue));
        match stopped {
            true => lock(&queue).end(SubscriptionEnd::Closed),
            false => shared.counts.subscriptions += 1,
        }
        Ok(Subscription::new(begins, Listener { queue, shared: self.shared.clone() }))
    }

    fn topics(&self, namespace: &Namespace) -> Vec<TopicView> {
        let mut shared = self.shared();
        let of_namespace = shared.topics.iter_mut().filter(|((found, _), _)| found == namespace);
        let view = |((_, topic), state): (&(Namespace, Topic), &mut State)| TopicView {
            topic: topic.clone(),
            subscribers: state.listening().len(),
            last: state.last,
            history: state.history.len(),
        };
        of_namespace.map(view).filter(|view| view.subscribers + view.history > 0).collect()
    }

    fn counts(&self) -> PubSubCounts {
        self.shared().counts
    }

    async fn close(&self, namespace: &Namespace) {
        let mut shared = self.shared();
        let (closed, others) =
            std::mem::take(&mut shared.topics).into_iter().partition(|((found, _), _)| found == namespace);
        shared.topics = others;
        end_all(&mut shared.counts, closed);
    }

    async fn shut_down(&self) {
        let mut shared = self.shared();
        shared.stopped = true;
        let closed = std::mem::take(&mut shared.topics);
        end_all(&mut shared.counts, closed);
    }
}

fn end_all(counts: &mut PubSubCounts, topics: BTreeMap<(Namespace, Topic), State>) {
    for queue in topics.into_values().flat_map(|mut state| state.listening()) {
        counts.subscriptions -= 1;
        lock(&queue).end(SubscriptionEnd::Closed);
    }
}
