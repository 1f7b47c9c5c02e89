//! State that dies with the WebSocket of its owner: typing, presence, ringing, cursors.
//!
//! Everything is in memory and nothing outlives the node. Changes of one topic and their events have one order: whoever changes
//! a topic holds its turn until the event is published. A socket that is gone owns nothing: `set` and `disconnected` agree under
//! the lock of the owners who comes first. Expiry is one task with one timer, for the entry that ends next.

mod event;
mod house;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use domain::{Error, ErrorCode, Namespace, Topic};
use ports::{EphemeralEntry, Origin};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::Platform;
use crate::bus::Outgoing;
use event::{Event, Reason};

/// The largest payload, in bytes.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 16 << 10;
/// The longest key, in bytes.
pub(crate) const KEY_BYTES_MAX: usize = 1 << 10;
/// The most keys of one socket.
pub(crate) const KEYS_PER_CLIENT_MAX: usize = 256;
/// Keys and payloads of one namespace together, in bytes, each entry with a little for its administration.
const NAMESPACE_BYTES_MAX: usize = 64 << 20;
const ENTRY_BYTES: usize = 256;
const TTL_DEFAULT: Duration = Duration::from_secs(60);
const TTL_MAX: Duration = Duration::from_secs(30 * 60);

/// A topic of a namespace.
type Place = (Namespace, Topic);
/// When an entry ends; the number tells entries of one moment apart.
type Expiry = (Instant, u64);

/// All ephemeral state of a node.
#[derive(Default)]
pub(crate) struct EphemeralStates {
    topics: Mutex<HashMap<Place, Arc<TopicState>>>,
    owners: Mutex<Owners>,
    expiries: Mutex<BTreeMap<Expiry, (Place, String)>>,
    /// Told when an entry ends earlier than all others did.
    sooner: Notify,
}

#[derive(Default)]
struct Owners {
    clients: HashMap<Arc<str>, Owner>,
    used: HashMap<Namespace, usize>,
    last_expiry: u64,
}

/// A socket that is connected, and what it holds.
struct Owner {
    namespace: Namespace,
    held: HashSet<(Topic, String)>,
}

#[derive(Default)]
struct TopicState {
    /// Held from a change to the end of its publishing.
    turn: tokio::sync::Mutex<()>,
    entries: Mutex<BTreeMap<String, Entry>>,
}

#[derive(Clone)]
struct Entry {
    client: Arc<str>,
    payload: Bytes,
    expiry: Expiry,
}

impl Entry {
    fn bytes(&self, key: &str) -> usize {
        key.len() + self.payload.len() + ENTRY_BYTES
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change below is whole before anything can panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn lifetime(ttl_ms: i64) -> Duration {
    match u64::try_from(ttl_ms) {
        Err(_) | Ok(0) => TTL_DEFAULT,
        Ok(ttl_ms) => Duration::from_millis(ttl_ms).min(TTL_MAX),
    }
}

impl EphemeralStates {
    /// A socket may own state from now on.
    pub(crate) fn connected(&self, namespace: &Namespace, client: &Arc<str>) {
        let owner = Owner { namespace: namespace.clone(), held: HashSet::new() };
        lock(&self.owners).clients.insert(client.clone(), owner);
    }

    fn state_of(&self, place: &Place) -> Arc<TopicState> {
        lock(&self.topics).entry(place.clone()).or_default().clone()
    }

    /// Forgets a topic that nobody holds anything on. The turn of the topic is held by who asks.
    fn tidy(&self, place: &Place) {
        let mut topics = lock(&self.topics);
        let unused = topics.get(place).is_some_and(|state| {
            // The map and who asks; somebody else who waits for the turn would go on with a state that is in no map.
            Arc::strong_count(state) <= 2 && lock(&state.entries).is_empty()
        });
        if unused {
            topics.remove(place);
        }
    }

    /// Notes who holds the key from now on, if that is allowed; the expiry of the new entry.
    fn take_key(&self, place: &Place, key: &str, new: &NewEntry, old: Option<&Entry>) -> Result<Expiry, Error> {
        let mut owners = lock(&self.owners);
        let held = (place.1.clone(), key.to_owned());
        let owner = owners.clients.get(&new.client).filter(|owner| owner.namespace == place.0).ok_or_else(gone)?;
        if !owner.held.contains(&held) && owner.held.len() >= KEYS_PER_CLIENT_MAX {
            let message = format!("the socket holds {KEYS_PER_CLIENT_MAX} keys already, and may hold no more");
            return Err(Error::new(ErrorCode::RateLimited, message).hint("clear some, or let them expire"));
        }
        let freed = old.map_or(0, |old| old.bytes(key));
        let used = owners.used.get(&place.0).copied().unwrap_or(0).saturating_sub(freed)
            + key.len()
            + new.payload.len()
            + ENTRY_BYTES;
        if used > NAMESPACE_BYTES_MAX {
            let message = format!("the namespace holds more than {} MiB of ephemeral state", NAMESPACE_BYTES_MAX >> 20);
            return Err(Error::new(ErrorCode::RateLimited, message));
        }
        owners.used.insert(place.0.clone(), used);
        if let Some(before) = old.and_then(|old| owners.clients.get_mut(&old.client)) {
            before.held.remove(&held);
        }
        if let Some(owner) = owners.clients.get_mut(&new.client) {
            owner.held.insert(held);
        }
        owners.last_expiry += 1;
        Ok((Instant::now() + new.ttl, owners.last_expiry))
    }

    /// What goes with an entry: its owner's hold, its bytes, its timer. The entry is out of its topic already.
    fn release(&self, place: &Place, key: &str, entry: &Entry) {
        lock(&self.expiries).remove(&entry.expiry);
        let mut owners = lock(&self.owners);
        if let Some(owner) = owners.clients.get_mut(&entry.client) {
            owner.held.remove(&(place.1.clone(), key.to_owned()));
        }
        if let Some(used) = owners.used.get_mut(&place.0) {
            *used = used.saturating_sub(entry.bytes(key));
            if *used == 0 {
                owners.used.remove(&place.0);
            }
        }
    }

    fn expire_at(&self, place: &Place, key: &str, expiry: Expiry) {
        let mut expiries = lock(&self.expiries);
        expiries.insert(expiry, (place.clone(), key.to_owned()));
        if expiries.first_key_value().is_some_and(|(first, _)| *first == expiry) {
            self.sooner.notify_one();
        }
    }

    /// What is alive on a topic, by key.
    fn alive(&self, place: &Place) -> Vec<EphemeralEntry> {
        let Some(state) = lock(&self.topics).get(place).cloned() else { return Vec::new() };
        let now = Instant::now();
        let entries = lock(&state.entries);
        let alive = entries.iter().filter(|(_, entry)| entry.expiry.0 > now);
        let shown = |(key, entry): (&String, &Entry)| EphemeralEntry {
            key: key.clone(),
            client_id: entry.client.clone(),
            payload: entry.payload.clone(),
            expires_in_ms: u64::try_from((entry.expiry.0 - now).as_millis()).unwrap_or(u64::MAX),
        };
        alive.map(shown).collect()
    }

    /// Forgets everything of a namespace, without events: it is deleted, and with it whoever listens.
    pub(crate) fn forget(&self, namespace: &Namespace) {
        lock(&self.topics).retain(|(of, _), _| of != namespace);
        lock(&self.expiries).retain(|_, ((of, _), _)| of != namespace);
        let mut owners = lock(&self.owners);
        owners.clients.retain(|_, owner| owner.namespace != *namespace);
        owners.used.remove(namespace);
    }

    /// Takes what has expired, or says when the next will.
    fn next_expired(&self) -> Result<(Place, String, Expiry), Option<Instant>> {
        let expiries = lock(&self.expiries);
        match expiries.first_key_value() {
            Some((expiry, (place, key))) if expiry.0 <= Instant::now() => Ok((place.clone(), key.clone(), *expiry)),
            first => Err(first.map(|(expiry, _)| expiry.0)),
        }
    }
}

/// An entry about to be set.
struct NewEntry {
    client: Arc<str>,
    payload: Bytes,
    ttl: Duration,
}

fn gone() -> Error {
    Error::invalid("the call comes from no WebSocket, or from one that is gone; ephemeral state needs an owner")
}

impl Platform {
    async fn set_ephemeral(&self, place: Place, key: &str, new: NewEntry, depth: u8) -> Result<(), Error> {
        let state = self.ephemeral.state_of(&place);
        let _turn = state.turn.lock().await;
        let old = lock(&state.entries).get(key).cloned();
        let expiry =
            self.ephemeral.take_key(&place, key, &new, old.as_ref()).inspect_err(|_| self.ephemeral.tidy(&place))?;
        if let Some(old) = old {
            lock(&self.ephemeral.expiries).remove(&old.expiry);
        }
        let event = Event::set(&place.1, key, &new.client, &new.payload);
        let entry = Entry { client: new.client.clone(), payload: new.payload.clone(), expiry };
        lock(&state.entries).insert(key.to_owned(), entry);
        self.ephemeral.expire_at(&place, key, expiry);
        self.tell(&place, vec![event], depth).await
    }

    /// Clears a key if `belongs` says so of its entry.
    async fn clear_ephemeral(
        &self,
        place: &Place,
        key: &str,
        reason: Reason,
        depth: u8,
        belongs: impl Fn(&Entry) -> bool,
    ) -> Result<(), Error> {
        let Some(state) = lock(&self.ephemeral.topics).get(place).cloned() else { return Ok(()) };
        let _turn = state.turn.lock().await;
        let entry = {
            let mut entries = lock(&state.entries);
            match entries.get(key).is_some_and(&belongs) {
                true => entries.remove(key),
                false => None,
            }
        };
        let Some(entry) = entry else { return Ok(()) };
        self.ephemeral.release(place, key, &entry);
        self.ephemeral.tidy(place);
        self.tell(place, vec![Event::clear(&place.1, key, &entry.client, reason)], depth).await
    }

    /// A socket has gone: what it owned goes at once, and everybody is told. One task a topic, so that a topic whose triggers
    /// write to the disk does not hold up the others.
    pub(crate) fn ephemeral_disconnected(self: &Arc<Self>, namespace: &Namespace, client: &Arc<str>) {
        let Some(owner) = lock(&self.ephemeral.owners).clients.remove(client) else { return };
        let mut by_topic: HashMap<Topic, Vec<String>> = HashMap::new();
        for (topic, key) in owner.held {
            by_topic.entry(topic).or_default().push(key);
        }
        for (topic, mut keys) in by_topic {
            keys.sort();
            let (platform, place, client) = (self.clone(), (namespace.clone(), topic), client.clone());
            self.spawn(async move { platform.clear_of(&place, keys, &client).await });
        }
    }

    async fn clear_of(&self, place: &Place, keys: Vec<String>, client: &Arc<str>) {
        let Some(state) = lock(&self.ephemeral.topics).get(place).cloned() else { return };
        let _turn = state.turn.lock().await;
        let mut events = Vec::new();
        for key in keys {
            let mut entries = lock(&state.entries);
            if entries.get(&key).is_none_or(|entry| entry.client != *client) {
                // Another socket took it over meanwhile, or it expired.
                continue;
            }
            let Some(entry) = entries.remove(&key) else { continue };
            drop(entries);
            self.ephemeral.release(place, &key, &entry);
            events.push(Event::clear(&place.1, &key, client, Reason::Disconnect));
        }
        self.ephemeral.tidy(place);
        if let Err(error) = self.tell(place, events, 0).await {
            tracing::warn!(%error, namespace = %place.0, "failed to say that ephemeral state ended with its socket");
        }
    }

    /// Publishes events of one topic in their order; nobody is left to be told in a namespace that ends.
    async fn tell(&self, place: &Place, events: Vec<Event>, depth: u8) -> Result<(), Error> {
        let lease = self.identity.lease_of(&place.0);
        let Ok(_held) = lease.hold() else { return Ok(()) };
        if events.is_empty() {
            return Ok(());
        }
        let outgoing =
            |event: Event| Outgoing { topic: place.1.clone(), data: event.json(), origin: Origin::Ephemeral };
        self.publish_through(&place.0, events.into_iter().map(outgoing).collect(), depth).await.map(drop)
    }

    async fn expire_ephemeral(&self, place: &Place, key: &str, expiry: Expiry) {
        let ended = self.clear_ephemeral(place, key, Reason::Expired, 0, |entry| entry.expiry == expiry).await;
        // Also when the entry was gone: its timer must not come again.
        lock(&self.ephemeral.expiries).remove(&expiry);
        if let Err(error) = ended {
            tracing::warn!(%error, namespace = %place.0, "failed to say that ephemeral state expired");
        }
    }
}

/// Ends entries at their time, until the platform is gone.
pub(crate) async fn expire(weak: Weak<Platform>) {
    loop {
        let Some(platform) = weak.upgrade() else { return };
        let states = platform.ephemeral.clone();
        match states.next_expired() {
            Ok((place, key, expiry)) => {
                // Taken out first, so that a slow topic does not hold up the others.
                lock(&states.expiries).remove(&expiry);
                let ending = platform.clone();
                platform.spawn(async move { ending.expire_ephemeral(&place, &key, expiry).await });
            }
            Err(next) => {
                drop(platform);
                let due = async {
                    match next {
                        Some(at) => tokio::time::sleep_until(at).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = due => {}
                    () = states.sooner.notified() => {}
                }
            }
        }
    }
}
