//! A subscriber: its place in a log, and while it catches up the part of the history that it has to read first.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use domain::{Position, Topic};
use futures_util::Stream;
use ports::{Message, PubSubError, Since, Subscription, SubscriptionEnd};

use super::log::{Place, Read, weight_of};
use super::namespace::{Found, NamespaceTopics, TopicLog};

pub(super) struct Listener {
    topics: Arc<NamespaceTopics>,
    of: Arc<TopicLog>,
    /// Kept apart: the log may let go of these at any time.
    backlog: VecDeque<Arc<Message>>,
    place: Place,
    /// The end was told.
    over: bool,
}

/// The subscription of a node that stops.
pub(super) fn ended() -> Subscription {
    let end = futures_util::stream::once(async { Err(SubscriptionEnd::Closed) });
    Subscription::new(Position { epoch: 0, seq: 0 }, end)
}

impl Listener {
    pub(super) fn join(
        topics: &Arc<NamespaceTopics>,
        topic: &Topic,
        since: Since,
    ) -> Result<Found<(Position, Self)>, PubSubError> {
        let Found::Here(of) = topics.topic(topic)? else { return Ok(Found::Gone) };
        topics.enter()?;
        let now = topics.now();
        let joined = topics.change(&of, |log| {
            log.trim(now, topics.history());
            (!log.is_gone()).then(|| log.join(since))
        });
        match (joined, since) {
            (Some(Some((begins, backlog, place))), _) => {
                let mut listener = Self { topics: topics.clone(), of, backlog: VecDeque::new(), place, over: false };
                topics.owe(backlog.iter().map(|message| weight_of(message)).sum())?;
                listener.backlog = backlog;
                Ok(Found::Here((begins, listener)))
            }
            (Some(None), Since::After(after)) => {
                topics.left(1);
                Err(PubSubError::CannotResume(after))
            }
            _ => {
                topics.left(1);
                Ok(Found::Gone)
            }
        }
    }

    fn read(&mut self, cx: &mut Context<'_>) -> Read {
        let Self { topics, of, backlog, place, .. } = self;
        let now = topics.now();
        topics.change(of, |log| match log.check(place) {
            Err(end) => Read::Ended(end),
            Ok(()) => match backlog.pop_front() {
                Some(old) => {
                    topics.owe_less(weight_of(&old));
                    Read::Message(old)
                }
                None => log.read(place, cx.waker(), now, topics.history()),
            },
        })
    }

    fn forget_backlog(&mut self) {
        self.topics.owe_less(self.backlog.drain(..).map(|message| weight_of(&message)).sum());
    }
}

impl Stream for Listener {
    type Item = Result<Arc<Message>, SubscriptionEnd>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        match self.read(cx) {
            Read::Nothing => Poll::Pending,
            Read::Message(message) => {
                self.topics.node().delivered.fetch_add(1, Ordering::Relaxed);
                Poll::Ready(Some(Ok(message)))
            }
            Read::Ended(end) => {
                self.over = true;
                self.forget_backlog();
                Poll::Ready(Some(Err(end)))
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.forget_backlog();
        let now = self.topics.now();
        let Self { topics, of, place, .. } = self;
        if topics.change(of, |log| log.leave(place, now, topics.history())) {
            topics.left(1);
        }
    }
}
