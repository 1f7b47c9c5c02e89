//! Topics, as the platform's bus uses them: messages in order to everybody who listens, and a window of the past.
//!
//! Nothing here knows triggers, callers or depths; the bus of `platform` is the one user. Implementations:
//! [`crate::memory::MemoryPubSub`], `backends::pubsub`. All pass [`crate::conformance::pubsub`].

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use domain::{Error, ErrorCode, Namespace, Position, Timestamp, Topic};
use futures_util::Stream;

use crate::BoxError;

/// The largest message, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// The most messages that may wait for one subscriber for longer than [`SUBSCRIBER_LAG_MAX`].
pub const SUBSCRIBER_MESSAGES_MAX: usize = 128;
/// How long more than that may wait: whoever publishes is always faster than all who listen, for as long as a burst lasts.
pub const SUBSCRIBER_LAG_MAX: Duration = Duration::from_secs(1);
/// The most messages that wait for one subscriber, even for a moment.
pub const SUBSCRIBER_BURST_MAX: usize = 16_384;
/// The most bytes of messages that wait for one subscriber, even for a moment.
pub const SUBSCRIBER_BYTES_MAX: usize = 4 << 20;

/// Who made a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A client or a function.
    User,
    /// The platform: somebody came or went.
    Presence,
    /// The platform: ephemeral state changed.
    Ephemeral,
}

/// A message about to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    pub data: Bytes,
    pub origin: Origin,
    pub at: Timestamp,
}

/// A message as everybody who listens gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub topic: Topic,
    pub position: Position,
    pub data: Bytes,
    pub origin: Origin,
    pub at: Timestamp,
}

/// Why a subscription ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubscriptionEnd {
    /// More messages waited than its queue holds. What it had not read is lost to it; its position says where to resume.
    #[error("the subscriber was too slow")]
    TooSlow,
    /// The namespace was deleted, or the node stops.
    #[error("the topic is closed")]
    Closed,
}

type Messages = Pin<Box<dyn Stream<Item = Result<Arc<Message>, SubscriptionEnd>> + Send>>;

/// The messages of a topic in their order, each once; the last item says why there are no more. Dropping it unsubscribes.
pub struct Subscription {
    begins: Position,
    messages: Messages,
}

impl Subscription {
    /// `messages` are those behind `begins`; for implementations.
    pub fn new(
        begins: Position,
        messages: impl Stream<Item = Result<Arc<Message>, SubscriptionEnd>> + Send + 'static,
    ) -> Self {
        Self { begins, messages: Box::pin(messages) }
    }

    /// The place that the first message is behind: where to resume for who has seen none.
    pub fn begins(&self) -> Position {
        self.begins
    }
}

impl Stream for Subscription {
    type Item = Result<Arc<Message>, SubscriptionEnd>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.messages.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("begins", &self.begins).finish_non_exhaustive()
    }
}

/// Where a subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// With the next message.
    Now,
    /// Behind a message that was seen.
    After(Position),
}

/// A topic that is in use, or whose history is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicView {
    pub topic: Topic,
    pub subscribers: usize,
    /// Of the last message; seq 0 when there was none.
    pub last: Position,
    /// Messages kept for who resumes.
    pub history: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum PubSubError {
    /// The messages behind this position are not all there any more, or it belongs to another epoch.
    #[error("cannot resume behind {0}")]
    CannotResume(Position),
    /// The namespace has as many topics or subscriptions as it may have.
    #[error("{0}")]
    Full(String),
    #[error("pub/sub is unavailable")]
    Unavailable(#[source] BoxError),
}

impl PubSubError {
    /// As a client may read it. `CONFLICT` says that messages are missing, and nothing else does.
    pub fn for_client(&self) -> Error {
        match self {
            Self::CannotResume(_) => Error::new(ErrorCode::Conflict, self.to_string())
                .hint("messages are missing; begin anew, with the next one"),
            Self::Full(_) => Error::new(ErrorCode::RateLimited, self.to_string()),
            Self::Unavailable(_) => Error::new(ErrorCode::ServiceUnavailable, self.to_string()),
        }
    }
}

/// Counted since the start, for the node's metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PubSubCounts {
    pub published: u64,
    /// Messages that subscribers took, each counted once for each of them.
    pub delivered: u64,
    /// Open now.
    pub subscriptions: u64,
    /// Subscriptions that ended with [`SubscriptionEnd::TooSlow`].
    pub dropped_slow: u64,
}

#[async_trait]
pub trait PubSub: Send + Sync {
    /// Sends a message to everybody who listens now, and keeps it in the history. Never waits for a subscriber: one for whom more
    /// than [`SUBSCRIBER_MESSAGES_MAX`] messages wait, the oldest of them for [`SUBSCRIBER_LAG_MAX`], is dropped; so is one for whom
    /// more than [`SUBSCRIBER_BURST_MAX`] messages or [`SUBSCRIBER_BYTES_MAX`] bytes would wait. What was kept when it came counts
    /// towards none of these.
    async fn publish(&self, namespace: &Namespace, topic: &Topic, message: NewMessage)
    -> Result<Position, PubSubError>;

    /// Everything behind `since`, each message once: what is kept and what is sent from now on meet without gap or overlap.
    async fn subscribe(&self, namespace: &Namespace, topic: &Topic, since: Since) -> Result<Subscription, PubSubError>;

    /// The topics of a namespace, by name.
    fn topics(&self, namespace: &Namespace) -> Vec<TopicView>;

    fn counts(&self) -> PubSubCounts;

    /// Ends every subscription of a namespace and forgets its history: the namespace is deleted.
    async fn close(&self, namespace: &Namespace);

    /// Ends every subscription, also those still to come: the node stops. Publishing goes on.
    async fn shut_down(&self);
}
