//! Who is on a topic: members by connection, and users who come with their first and go with their last.
//!
//! A member is a name that a client gives itself; a user is who its token says, else that name. `presence.join` and
//! `presence.leave` tell of every connection. `presence.first_join` tells of a user who was not there, `presence.last_leave` of one
//! who has been gone for a while, so that whoever reconnects at once has never left. All of them are messages of the topic, with
//! its order and its triggers. Everything is in memory: after a restart nobody is there until they come back.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use domain::{Caller, Error, ErrorCode, Namespace, Scope, Topic};
use ports::Origin;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::Platform;
use crate::bus::Outgoing;

/// The longest name of a member, in bytes.
const MEMBER_BYTES_MAX: usize = 256;
/// The largest `meta`, in bytes.
const META_BYTES_MAX: usize = 4 << 10;
/// The most connections that are present on one topic.
const CONNECTIONS_MAX: usize = 100_000;
/// How long a user may be away without having left.
const AWAY: Duration = Duration::from_secs(5);

type Place = (Namespace, Topic);

/// Everybody who is present on a topic of this node.
#[derive(Default)]
pub(crate) struct Presence {
    topics: Mutex<HashMap<Place, Arc<Room>>>,
}

/// One topic.
#[derive(Default)]
struct Room {
    /// Held from a change to the end of its publishing, so that events come in the order of what they tell.
    turn: tokio::sync::Mutex<()>,
    here: Mutex<Here>,
}

#[derive(Default)]
struct Here {
    connections: BTreeMap<u64, Connection>,
    last: u64,
    /// How often each user has come and gone: one who comes back while somebody waits for the end of `AWAY` is noticed.
    users: HashMap<String, User>,
}

#[derive(Clone)]
struct Connection {
    member: String,
    user: String,
    meta: Option<Arc<RawValue>>,
    joined_at: i64,
}

#[derive(Default)]
struct User {
    connections: usize,
    /// Rises whenever the last connection goes.
    departures: u64,
}

/// Somebody who is present, as lists show it: a name once, however many connections it has.
#[derive(Debug, Clone)]
pub struct Member {
    pub member_id: String,
    /// Unix seconds of the earliest connection.
    pub joined_at: i64,
    /// The JSON that the latest connection gave.
    pub meta: Option<Arc<RawValue>>,
}

/// A connection that is present; dropping it is the leave.
pub struct PresenceGuard {
    platform: Weak<Platform>,
    place: Place,
    /// Where it is present: a namespace that was deleted and made again has other rooms.
    room: Weak<Room>,
    connection: u64,
}

/// An event, as the published clients expect it.
#[derive(Serialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    /// The same once more, where nobody else can write it: what a user publishes has no such field.
    _orama: &'static str,
    member_id: &'a str,
    timestamp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    meta: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change below is whole before anything can panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Connection {
    fn event(&self, kind: &'static str, timestamp: i64) -> Bytes {
        let about_user = kind == FIRST_JOIN || kind == LAST_LEAVE;
        let event = Event {
            kind,
            _orama: kind,
            member_id: &self.member,
            timestamp,
            meta: self.meta.as_deref().filter(|_| !about_user),
            user: about_user.then_some(self.user.as_str()),
        };
        serde_json::to_vec(&event).expect("texts serialize").into()
    }
}

const JOIN: &str = "presence.join";
const LEAVE: &str = "presence.leave";
const FIRST_JOIN: &str = "presence.first_join";
const LAST_LEAVE: &str = "presence.last_leave";

impl Here {
    /// True when the user was not there and is not missed either.
    fn enter(&mut self, connection: Connection) -> (u64, bool) {
        let known = self.users.contains_key(&connection.user);
        self.users.entry(connection.user.clone()).or_default().connections += 1;
        self.last += 1;
        self.connections.insert(self.last, connection);
        (self.last, !known)
    }

    /// The connection that goes, and, when it is the last of its user, the number of this departure.
    fn leave(&mut self, connection: u64) -> Option<(Connection, Option<u64>)> {
        let gone = self.connections.remove(&connection)?;
        let user = self.users.get_mut(&gone.user)?;
        user.connections -= 1;
        if user.connections > 0 {
            return Some((gone, None));
        }
        user.departures += 1;
        let departure = user.departures;
        Some((gone, Some(departure)))
    }

    /// True when the user has not come back since this departure; it is forgotten then.
    fn is_gone(&mut self, user: &str, departure: u64) -> bool {
        let gone = self.users.get(user).is_some_and(|known| known.connections == 0 && known.departures == departure);
        if gone {
            self.users.remove(user);
        }
        gone
    }

    fn members(&self) -> Vec<Member> {
        let mut members: BTreeMap<&str, Member> = BTreeMap::new();
        for connection in self.connections.values() {
            let member = members.entry(&connection.member).or_insert_with(|| Member {
                member_id: connection.member.clone(),
                joined_at: connection.joined_at,
                meta: None,
            });
            member.meta = connection.meta.clone().or(member.meta.take());
        }
        members.into_values().collect()
    }

    fn is_empty(&self) -> bool {
        self.connections.is_empty() && self.users.is_empty()
    }
}

impl Presence {
    fn room(&self, place: &Place) -> Arc<Room> {
        lock(&self.topics).entry(place.clone()).or_default().clone()
    }

    /// This very room, if it is still that of its topic.
    fn same_room(&self, place: &Place, room: &Weak<Room>) -> Option<Arc<Room>> {
        let known = lock(&self.topics).get(place).cloned()?;
        (Arc::as_ptr(&known) == room.as_ptr()).then_some(known)
    }

    /// Forgets a topic on which nobody is. Who asks holds its turn.
    fn tidy(&self, place: &Place) {
        let mut topics = lock(&self.topics);
        // The map and who asks; somebody else who waits for the turn would go on with a room that is in no map.
        if topics.get(place).is_some_and(|room| Arc::strong_count(room) <= 2 && lock(&room.here).is_empty()) {
            topics.remove(place);
        }
    }

    /// Forgets everybody of a namespace, without events: it is deleted, and with it whoever listens.
    pub(crate) fn forget(&self, namespace: &Namespace) {
        lock(&self.topics).retain(|(of, _), _| of != namespace);
    }
}

impl Platform {
    /// Makes a connection present on a topic, and tells everybody on it, itself included if it listens already.
    ///
    /// `member_id` is 1 to 256 bytes; `meta` is any JSON of at most 4 KiB.
    pub async fn presence_join(
        self: &Arc<Self>,
        caller: &Caller,
        namespace: &Namespace,
        topic: &str,
        member_id: &str,
        meta: Option<&str>,
    ) -> Result<PresenceGuard, Error> {
        let lease = self.manage(caller, Scope::Pubsub, namespace)?;
        let _held = lease.hold()?;
        let place = (namespace.clone(), parse_topic(topic)?);
        let connection = Connection {
            member: checked_member(member_id)?,
            user: caller.user().unwrap_or(member_id).to_owned(),
            meta: meta.map(parse_meta).transpose()?,
            joined_at: self.clock.now().as_second(),
        };
        let room = self.presence.room(&place);
        let _turn = room.turn.lock().await;
        if lock(&room.here).connections.len() >= CONNECTIONS_MAX {
            let message = format!("{CONNECTIONS_MAX} connections are present on the topic, and no more may be");
            return Err(Error::new(ErrorCode::RateLimited, message));
        }
        let (number, first) = lock(&room.here).enter(connection.clone());
        // From here on, dropping the guard undoes it, also when telling fails.
        let guard = PresenceGuard {
            platform: Arc::downgrade(self),
            place: place.clone(),
            room: Arc::downgrade(&room),
            connection: number,
        };
        let kinds: &[&'static str] = if first { &[FIRST_JOIN, JOIN] } else { &[JOIN] };
        self.tell_presence(&place, &connection, kinds).await?;
        Ok(guard)
    }

    /// Who is present on a topic, by name.
    pub fn presence_of(&self, caller: &Caller, namespace: &Namespace, topic: &str) -> Result<Vec<Member>, Error> {
        self.manage(caller, Scope::Pubsub, namespace)?;
        let place = (namespace.clone(), parse_topic(topic)?);
        let room = lock(&self.presence.topics).get(&place).cloned();
        Ok(room.map(|room| lock(&room.here).members()).unwrap_or_default())
    }

    async fn leave_presence(self: &Arc<Self>, place: &Place, room: &Weak<Room>, connection: u64) {
        let Some(room) = self.presence.same_room(place, room) else { return };
        let _turn = room.turn.lock().await;
        let Some((gone, departure)) = lock(&room.here).leave(connection) else { return };
        self.tell_or_warn(place, &gone, LEAVE).await;
        if let Some(departure) = departure {
            let (weak, place, room) = (Arc::downgrade(self), place.clone(), Arc::downgrade(&room));
            tokio::spawn(async move {
                tokio::time::sleep(AWAY).await;
                if let Some(platform) = weak.upgrade() {
                    platform.miss(&place, &room, &gone, departure).await;
                }
            });
        }
    }

    /// Tells that a user has left, unless it has come back.
    async fn miss(&self, place: &Place, room: &Weak<Room>, gone: &Connection, departure: u64) {
        let Some(room) = self.presence.same_room(place, room) else { return };
        let _turn = room.turn.lock().await;
        if lock(&room.here).is_gone(&gone.user, departure) {
            self.presence.tidy(place);
            self.tell_or_warn(place, gone, LAST_LEAVE).await;
        }
    }

    async fn tell_or_warn(&self, place: &Place, connection: &Connection, kind: &'static str) {
        if let Err(error) = self.tell_presence(place, connection, &[kind]).await {
            tracing::warn!(%error, namespace = %place.0, "failed to tell of {kind}");
        }
    }

    /// Nobody is left to be told in a namespace that ends.
    async fn tell_presence(&self, place: &Place, connection: &Connection, kinds: &[&'static str]) -> Result<(), Error> {
        let lease = self.identity.lease_of(&place.0);
        let Ok(_held) = lease.hold() else { return Ok(()) };
        let now = self.clock.now().as_second();
        let outgoing = |kind: &&'static str| Outgoing {
            topic: place.1.clone(),
            data: connection.event(kind, now),
            origin: Origin::Presence,
        };
        self.publish_through(&place.0, kinds.iter().map(outgoing).collect(), 0).await.map(drop)
    }
}

impl Drop for PresenceGuard {
    fn drop(&mut self) {
        let Some(platform) = self.platform.upgrade() else { return };
        let (place, room, connection) = (self.place.clone(), self.room.clone(), self.connection);
        let leaving = platform.clone();
        platform.spawn(async move { leaving.leave_presence(&place, &room, connection).await });
    }
}

fn parse_topic(topic: &str) -> Result<Topic, Error> {
    Topic::parse(topic).map_err(|refused| Error::invalid(refused.to_string()))
}

fn checked_member(member: &str) -> Result<String, Error> {
    match member.len() {
        0 => Err(Error::invalid("missing 'member_id' for presence")),
        bytes if bytes > MEMBER_BYTES_MAX => {
            Err(Error::invalid(format!("`member_id` is {bytes} bytes long, the limit is {MEMBER_BYTES_MAX}")))
        }
        _ if member.chars().any(char::is_control) => Err(Error::invalid("`member_id` has a control character")),
        _ => Ok(member.to_owned()),
    }
}

fn parse_meta(meta: &str) -> Result<Arc<RawValue>, Error> {
    if meta.len() > META_BYTES_MAX {
        let message = format!("`member_meta` is {} bytes, the limit is {META_BYTES_MAX}", meta.len());
        return Err(Error::new(ErrorCode::PayloadTooLarge, message));
    }
    let parsed = serde_json::from_str::<Box<RawValue>>(meta);
    parsed.map(Arc::from).map_err(|_| Error::invalid("`member_meta` is not JSON"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(member: &str, user: &str) -> Connection {
        Connection { member: member.into(), user: user.into(), meta: None, joined_at: 1 }
    }

    #[test]
    fn a_user_comes_with_the_first_connection_and_goes_with_the_last() {
        let mut here = Here::default();
        let (one, first) = here.enter(connection("phone", "0xada"));
        let (two, again) = here.enter(connection("desk", "0xada"));
        assert_eq!((first, again), (true, false));
        assert_eq!(
            here.members().iter().map(|member| member.member_id.as_str()).collect::<Vec<_>>(),
            ["desk", "phone"]
        );
        assert_eq!(here.leave(one).expect("it was there").1, None);
        assert_eq!(here.leave(two).expect("it was there").1, Some(1));
        assert!(here.leave(two).is_none(), "nobody leaves twice");
        assert!(here.is_gone("0xada", 1) && here.is_empty());
    }

    #[test]
    fn whoever_comes_back_in_time_has_never_left() {
        let mut here = Here::default();
        let (one, _) = here.enter(connection("phone", "0xada"));
        assert_eq!(here.leave(one).expect("it was there").1, Some(1));
        let (two, first) = here.enter(connection("phone", "0xada"));
        assert!(!first && !here.is_gone("0xada", 1));
        assert_eq!(here.leave(two).expect("it was there").1, Some(2));
        assert!(!here.is_gone("0xada", 1) && here.is_gone("0xada", 2));
    }
}
