//! One live socket as the platform sees it, and the other end of it, which the gateway holds.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::ArcSwap;
use domain::{Caller, FunctionName, Namespace, Timestamp, Topic, VersionNumber};
use futures_util::stream::{AbortHandle, Abortable, SelectAll, StreamExt};
use ports::{Message, Subscription, SubscriptionEnd};

use super::outbox::{Delivery, Farewell, Outbox, SocketFrame};
use crate::Platform;

/// What is known of a socket when it begins.
#[derive(Debug, Clone)]
pub struct NewSocket {
    pub namespace: Namespace,
    pub function: FunctionName,
    /// That of its instance; `None` when every message is a call of its own.
    pub version: Option<VersionNumber>,
    pub caller: Arc<Caller>,
    pub address: IpAddr,
}

/// A live socket.
pub(crate) struct Client {
    pub(super) id: Arc<str>,
    pub(super) namespace: Namespace,
    pub(super) function: FunctionName,
    pub(super) version: Option<VersionNumber>,
    pub(super) address: IpAddr,
    pub(super) connected_at: Timestamp,
    pub(super) outbox: Outbox,
    pub(super) counts: Counts,
    /// Whoever spoke last: a refreshed token may say more than that of the beginning.
    pub(super) caller: ArcSwap<Caller>,
    /// Held while a bridge is made, so that two of one topic are one.
    pub(super) bridging: tokio::sync::Mutex<()>,
    bridges: Mutex<Bridges>,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) frames_in: AtomicU64,
    pub(super) bytes_in: AtomicU64,
    pub(super) frames_out: AtomicU64,
    pub(super) bytes_out: AtomicU64,
}

/// The topics whose messages go to a socket.
#[derive(Default)]
struct Bridges {
    by_topic: HashMap<Topic, AbortHandle>,
    /// Made, and not yet with who reads them.
    new: Vec<Abortable<Subscription>>,
    /// The socket is gone.
    closed: bool,
}

impl Client {
    pub(super) fn new(id: Arc<str>, new: NewSocket, connected_at: Timestamp) -> Self {
        let NewSocket { namespace, function, version, caller, address } = new;
        let caller = as_seen_in(&namespace, caller);
        Self {
            id,
            namespace,
            function,
            version,
            address,
            connected_at,
            outbox: Outbox::default(),
            counts: Counts::default(),
            caller: ArcSwap::new(caller),
            bridging: tokio::sync::Mutex::new(()),
            bridges: Mutex::default(),
        }
    }

    fn bridges(&self) -> MutexGuard<'_, Bridges> {
        // Every change is whole before anything can panic.
        self.bridges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_bridged(&self, topic: &Topic) -> bool {
        self.bridges().by_topic.contains_key(topic)
    }

    pub(super) fn bridge_count(&self) -> usize {
        self.bridges().by_topic.len()
    }

    /// Forwards the messages of a subscription from now on. False when the socket has gone meanwhile.
    pub(super) fn add_bridge(&self, topic: Topic, subscription: Subscription) -> bool {
        let mut bridges = self.bridges();
        if bridges.closed {
            return false;
        }
        let (handle, registration) = AbortHandle::new_pair();
        bridges.by_topic.insert(topic, handle);
        bridges.new.push(Abortable::new(subscription, registration));
        drop(bridges);
        self.outbox.wake();
        true
    }

    /// Messages that wait are not forwarded any more either.
    pub(super) fn remove_bridge(&self, topic: &Topic) {
        if let Some(handle) = self.bridges().by_topic.remove(topic) {
            handle.abort();
        }
    }

    /// Ends all bridges; the topics that were bridged.
    fn close_bridges(&self) -> Vec<Topic> {
        let mut bridges = self.bridges();
        bridges.closed = true;
        bridges.new.clear();
        std::mem::take(&mut bridges.by_topic).into_keys().collect()
    }
}

/// Whoever comes from another namespace is nobody in this one: its claims are another tenant's words, and no messages are for it.
fn as_seen_in(namespace: &Namespace, caller: Arc<Caller>) -> Arc<Caller> {
    if caller.is_foreign_to(namespace) { Arc::new(Caller::anonymous()) } else { caller }
}

/// The end of a socket that the gateway holds. Dropping it is the disconnect: what the socket owned is cleared at once, and its
/// bridges end.
pub struct Attached {
    platform: Weak<Platform>,
    client: Arc<Client>,
    /// Boxed and absent until there is one: most sockets have none.
    bridges: Option<Box<SelectAll<Abortable<Subscription>>>>,
}

impl Attached {
    pub(super) fn new(platform: Weak<Platform>, client: Arc<Client>) -> Self {
        Self { platform, client, bridges: None }
    }

    pub fn id(&self) -> &Arc<str> {
        &self.client.id
    }

    /// Whom the socket belongs to from now on.
    pub fn renew(&self, caller: Arc<Caller>) {
        self.client.caller.store(as_seen_in(&self.client.namespace, caller));
    }

    /// Counts a frame of the client.
    pub fn received(&self, bytes: usize) {
        self.client.counts.frames_in.fetch_add(1, Ordering::Relaxed);
        self.client.counts.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts a frame for the client that did not come from [`Attached::next`].
    pub fn sent(&self, bytes: usize) {
        self.client.counts.frames_out.fetch_add(1, Ordering::Relaxed);
        self.client.counts.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// What goes to the client next; safe to give up. Whoever does not ask for a while lets the queues fill, which ends the
    /// socket when they are full.
    pub async fn next(&mut self) -> Delivery {
        let client = self.client.clone();
        let delivery = loop {
            self.take_new_bridges();
            tokio::select! {
                delivery = client.outbox.next() => break delivery,
                message = next_of(self.bridges.as_deref_mut()) => match message {
                    Some(Ok(message)) => break Delivery::Frame(SocketFrame::of(message.data.clone())),
                    Some(Err(SubscriptionEnd::TooSlow)) => break Delivery::Farewell(Farewell::MessagesLost),
                    Some(Err(SubscriptionEnd::Closed)) => {}
                    None => self.bridges = None,
                },
                () = client.outbox.woken() => {}
            }
        };
        if let Delivery::Frame(frame) = &delivery {
            self.sent(frame.data.len());
        }
        delivery
    }

    /// A frame that waits already, for who ends the socket and wants to say first what was said before.
    pub fn next_waiting(&mut self) -> Option<SocketFrame> {
        self.client.outbox.take_frame().inspect(|frame| self.sent(frame.data.len()))
    }

    fn take_new_bridges(&mut self) {
        let new = std::mem::take(&mut self.client.bridges().new);
        if !new.is_empty() {
            self.bridges.get_or_insert_default().extend(new);
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.client.outbox.close();
        let bridged = self.client.close_bridges();
        if let Some(platform) = self.platform.upgrade() {
            platform.sockets.remove(&self.client, &bridged);
            platform.ephemeral_disconnected(&self.client.namespace, &self.client.id);
        }
    }
}

type Forwarded = Result<Arc<Message>, SubscriptionEnd>;

/// Without bridges nothing ever comes.
async fn next_of(bridges: Option<&mut SelectAll<Abortable<Subscription>>>) -> Option<Forwarded> {
    match bridges {
        Some(bridges) => bridges.next().await,
        None => std::future::pending().await,
    }
}
