//! The log of a topic: what is kept, who has not read what, who waits. Knows neither namespaces nor locks.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use domain::{Position, Topic};
use ports::{
    Message, NewMessage, SUBSCRIBER_BURST_MAX, SUBSCRIBER_BYTES_MAX, SUBSCRIBER_LAG_MAX, SUBSCRIBER_MESSAGES_MAX,
    Since, SubscriptionEnd, TopicView,
};

use super::History;

/// About what a kept message costs beside its data.
const ENTRY_BYTES: u64 = 192;

/// What a message counts against the budget of its namespace.
pub(super) fn weight_of(message: &Message) -> u64 {
    message.data.len() as u64 + ENTRY_BYTES
}

struct Entry {
    message: Arc<Message>,
    /// How many of those who listened when it came have not read it. Never less than that of the entry before: who has not read
    /// a message has read none behind it.
    unread: u32,
    /// The bytes of all messages before it.
    bytes_before: u64,
    at: Instant,
}

/// A topic's messages, without a gap up to the last one.
pub(super) struct Log {
    last: Position,
    entries: VecDeque<Entry>,
    /// The bytes of all messages there ever were.
    bytes_sent: u64,
    /// The oldest message that a subscriber may still have to read; who has not read an older one was too slow.
    live_from: u64,
    listeners: u32,
    waiting: Waiting,
    used_at: Instant,
    /// Ended, or forgotten: whoever finds it looks again.
    gone: bool,
}

/// A message that was sent, and what that did.
pub(super) struct Sent {
    pub(super) position: Position,
    /// How many subscribers were dropped.
    pub(super) slow: u32,
    /// To be woken outside of the lock.
    pub(super) wakers: Vec<Waker>,
}

/// Where a subscriber stands.
pub(super) struct Place {
    /// The message that it reads next, of those that came since it is there.
    next: u64,
    slot: usize,
}

/// What a subscriber finds at its place.
pub(super) enum Read {
    Message(Arc<Message>),
    Ended(SubscriptionEnd),
    /// It will be woken.
    Nothing,
}

impl Log {
    pub(super) fn new(epoch: u64, now: Instant) -> Self {
        Self {
            last: Position { epoch, seq: 0 },
            entries: VecDeque::new(),
            bytes_sent: 0,
            live_from: 1,
            listeners: 0,
            waiting: Waiting::default(),
            used_at: now,
            gone: false,
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone
    }

    pub(super) fn listeners(&self) -> u32 {
        self.listeners
    }

    pub(super) fn used_at(&self) -> Instant {
        self.used_at
    }

    /// What it counts against the budget of its namespace.
    pub(super) fn weight(&self) -> u64 {
        self.entries.len() as u64 * ENTRY_BYTES + self.bytes_kept()
    }

    fn bytes_kept(&self) -> u64 {
        self.entries.front().map_or(0, |front| self.bytes_sent - front.bytes_before)
    }

    /// The number of the oldest message that is kept; one more than the last when there is none.
    fn first(&self) -> u64 {
        self.last.seq + 1 - self.entries.len() as u64
    }

    /// Where a message lies; `None` when it is not there any more, or not yet.
    fn index(&self, seq: u64) -> Option<usize> {
        usize::try_from(seq.checked_sub(self.first())?).ok().filter(|index| *index < self.entries.len())
    }

    pub(super) fn publish(&mut self, topic: &Topic, new: NewMessage, now: Instant, history: &History) -> Sent {
        let NewMessage { data, origin, at } = new;
        self.last.seq += 1;
        let bytes_before = self.bytes_sent;
        self.bytes_sent += data.len() as u64;
        let message = Arc::new(Message { topic: topic.clone(), position: self.last, data, origin, at });
        self.entries.push_back(Entry { message, unread: self.listeners, bytes_before, at: now });
        self.used_at = now;
        let slow = self.drop_slow(now);
        self.trim(now, history);
        Sent { position: self.last, slow, wakers: self.waiting.take() }
    }

    /// Gives up those for whom too much waits; returns how many.
    pub(super) fn drop_slow(&mut self, now: Instant) -> u32 {
        let mut slow = 0;
        while let Some(index) = self.overfull(now) {
            slow += self.drop_behind(index);
        }
        slow
    }

    /// The oldest message that may be unread, if it and what is behind it are more than may wait.
    fn overfull(&mut self, now: Instant) -> Option<usize> {
        self.live_from = self.live_from.max(self.first());
        let index = self.index(self.live_from)?;
        let (messages, oldest) = (self.entries.len() - index, &self.entries[index]);
        let bytes = self.bytes_sent - oldest.bytes_before;
        let burst = messages > SUBSCRIBER_BURST_MAX || bytes > SUBSCRIBER_BYTES_MAX as u64;
        let lags = || now.saturating_duration_since(oldest.at) >= SUBSCRIBER_LAG_MAX;
        (burst || messages > SUBSCRIBER_MESSAGES_MAX && lags()).then_some(index)
    }

    /// Gives up those who have not read this message; returns how many.
    fn drop_behind(&mut self, index: usize) -> u32 {
        self.live_from = self.first() + index as u64 + 1;
        let unread = self.entries[index].unread;
        if unread > 0 {
            self.entries.range_mut(index..).for_each(|entry| entry.unread -= unread);
            self.listeners -= unread;
        }
        unread
    }

    /// Lets go of what is outside of the history and was read by everybody.
    pub(super) fn trim(&mut self, now: Instant, history: &History) {
        while self.entries.front().is_some_and(|front| front.unread == 0 && self.is_past(front, now, history)) {
            self.entries.pop_front();
        }
    }

    fn is_past(&self, front: &Entry, now: Instant, history: &History) -> bool {
        let kept = self.entries.len();
        let too_many = kept > history.messages_max;
        let too_large = kept > 1 && self.bytes_kept() > history.bytes_max;
        too_many || too_large || now.saturating_duration_since(front.at) >= history.age_max
    }

    /// Lets go of the oldest messages that everybody has read, down to `weight`.
    pub(super) fn shrink_to(&mut self, weight: u64) {
        while self.weight() > weight && self.entries.front().is_some_and(|front| front.unread == 0) {
            self.entries.pop_front();
        }
    }

    /// The same of what somebody has to read still, who is given up; returns how many. The newest `keep` messages stay.
    pub(super) fn force_to(&mut self, weight: u64, keep: usize) -> u32 {
        let mut slow = 0;
        while self.weight() > weight && self.entries.len() > keep {
            slow += self.drop_behind(0);
            self.entries.pop_front();
        }
        slow
    }

    /// Adds a subscriber. Returns where it begins, and the messages of the history that it has to read first; `None` when some
    /// of these are missing.
    pub(super) fn join(&mut self, since: Since) -> Option<(Position, VecDeque<Arc<Message>>, Place)> {
        let (begins, backlog) = match since {
            Since::Now => (self.last, VecDeque::new()),
            Since::After(after) => (after, self.behind(after)?),
        };
        self.listeners += 1;
        Some((begins, backlog, Place { next: self.last.seq + 1, slot: self.waiting.enter() }))
    }

    fn behind(&self, after: Position) -> Option<VecDeque<Arc<Message>>> {
        if after.epoch != self.last.epoch || after.seq > self.last.seq {
            return None;
        }
        let missing = usize::try_from(self.last.seq - after.seq).ok()?;
        let from = self.entries.len().checked_sub(missing)?;
        Some(self.entries.range(from..).map(|entry| entry.message.clone()).collect())
    }

    /// Is a subscriber still one? The error says why not.
    pub(super) fn check(&self, place: &Place) -> Result<(), SubscriptionEnd> {
        match () {
            () if place.next < self.live_from => Err(SubscriptionEnd::TooSlow),
            () if self.gone => Err(SubscriptionEnd::Closed),
            () => Ok(()),
        }
    }

    /// The next message for a subscriber, or else its waker is kept.
    pub(super) fn read(&mut self, place: &mut Place, waker: &Waker, now: Instant, history: &History) -> Read {
        if let Err(end) = self.check(place) {
            return Read::Ended(end);
        }
        let Some(index) = self.index(place.next) else {
            self.waiting.wait(place.slot, waker);
            return Read::Nothing;
        };
        place.next += 1;
        let entry = &mut self.entries[index];
        entry.unread -= 1;
        let (message, read_by_all) = (entry.message.clone(), entry.unread == 0);
        if read_by_all {
            self.trim(now, history);
        }
        Read::Message(message)
    }

    /// Removes a subscriber; true if it was one until now.
    pub(super) fn leave(&mut self, place: &Place, now: Instant, history: &History) -> bool {
        self.waiting.leave(place.slot);
        if self.check(place).is_err() {
            return false;
        }
        self.listeners -= 1;
        if let Some(index) = self.index(place.next) {
            self.entries.range_mut(index..).for_each(|entry| entry.unread -= 1);
        }
        self.used_at = now;
        self.trim(now, history);
        true
    }

    /// Is there nothing left that anybody could miss?
    pub(super) fn is_idle(&self, now: Instant, history: &History) -> bool {
        let rested = now.saturating_duration_since(self.used_at) >= history.age_max;
        self.listeners == 0 && self.entries.is_empty() && (rested || history.messages_max == 0)
    }

    /// Ends it. Returns how many listened, and whom to wake.
    pub(super) fn end(&mut self) -> (u32, Vec<Waker>) {
        self.gone = true;
        self.entries = VecDeque::new();
        (std::mem::take(&mut self.listeners), self.waiting.take())
    }

    pub(super) fn view(&self, topic: &Topic) -> TopicView {
        TopicView {
            topic: topic.clone(),
            subscribers: self.listeners as usize,
            last: self.last,
            history: self.entries.len(),
        }
    }
}

/// The wakers of subscribers that wait, each in a slot of its own.
#[derive(Default)]
struct Waiting {
    slots: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl Waiting {
    fn enter(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        })
    }

    fn leave(&mut self, slot: usize) {
        self.slots[slot] = None;
        self.free.push(slot);
        if self.free.len() == self.slots.len() {
            *self = Self::default();
        }
    }

    fn wait(&mut self, slot: usize, waker: &Waker) {
        match &mut self.slots[slot] {
            Some(known) => known.clone_from(waker),
            empty => *empty = Some(waker.clone()),
        }
    }

    fn take(&mut self) -> Vec<Waker> {
        self.slots.iter_mut().filter_map(Option::take).collect()
    }
}
