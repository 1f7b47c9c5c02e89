//! The messages of topics as Server-Sent Events (HTML, section 9.2).
//!
//! The id of an event has the position of every topic of the stream, so that whoever comes back with it misses nothing. A message is
//! an object with its `data` in base64, as over the WebSocket; what the platform itself says of state and presence is bare, which
//! nobody else can write. Nothing is read from a topic before the client has taken what was read last.

use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::{Namespace, Position, Topic};
use futures_util::{Stream, StreamExt};
use ports::{Message, Origin, Subscription, SubscriptionEnd};
use serde_json::{Value, json};
use tokio::time::{Instant, Interval, MissedTickBehavior};

use crate::{Gateway, credential};

/// Silence after which proxies and clients might give a connection up; also how often the credential is looked at.
const PING_EVERY: Duration = Duration::from_secs(20);
/// How long a client waits before it comes back.
const RETRY: Duration = Duration::from_secs(3);
/// The size at which what is ready is sent; one message more may be in it.
const PIECE_BYTES: usize = 64 << 10;

/// Who reads.
pub(super) struct Reader {
    pub(super) gateway: Arc<Gateway>,
    pub(super) credential: String,
    pub(super) namespace: Namespace,
}

impl Reader {
    fn may_go_on(&self) -> bool {
        let caller = credential::caller_of(&self.gateway, &self.credential);
        caller.is_ok_and(|caller| self.gateway.platform.may_use_topics(&caller, &self.namespace).is_ok())
    }
}

/// A topic of the stream.
pub(super) struct Heard {
    topic: Topic,
    subscription: Subscription,
    /// Behind the last message that was sent.
    at: Position,
    /// Where the client wanted to go on and could not.
    lost: Option<Position>,
}

impl Heard {
    pub(super) fn new(subscription: Subscription, topic: Topic, lost: Option<Position>) -> Self {
        Self { at: subscription.begins(), topic, subscription, lost }
    }
}

pub(super) struct Events {
    reader: Reader,
    heard: Vec<Heard>,
    /// The topic whose turn it is.
    turn: usize,
    pings: Interval,
    /// What goes out next.
    out: String,
    over: bool,
}

impl Events {
    pub(super) fn of(reader: Reader, heard: Vec<Heard>) -> Self {
        let mut pings = tokio::time::interval_at(Instant::now() + PING_EVERY, PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let out = format!("retry: {}\n", RETRY.as_millis());
        let mut events = Self { reader, heard, turn: 0, pings, out, over: false };
        // An id alone is no event, but where to come back to.
        events.write_id();
        events.out.push('\n');
        let lost = |heard: &Heard| Some(json!({ "topic": heard.topic, "after": heard.lost?.to_string() }));
        for lost in events.heard.iter().filter_map(lost).collect::<Vec<_>>() {
            events.write_event("cannot_resume", &lost);
        }
        events
    }

    fn write_id(&mut self) {
        self.out.push_str("id: ");
        for (index, heard) in self.heard.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(self.out, "{comma}{}", heard.at).expect("writing to a string works");
        }
        self.out.push('\n');
    }

    /// An event of the stream itself.
    fn write_event(&mut self, name: &str, data: &Value) {
        write!(self.out, "event: {name}\ndata: {data}\n\n").expect("writing to a string works");
    }

    fn write_message(&mut self, message: &Message) {
        self.write_id();
        self.out.push_str("data: ");
        match message.origin {
            Origin::User => write_envelope(&mut self.out, message),
            // Ours, and JSON in one line.
            Origin::Presence | Origin::Ephemeral => self.out.push_str(&String::from_utf8_lossy(&message.data)),
        }
        self.out.push_str("\n\n");
    }

    /// The last event. A client comes back by itself, with the id that it had.
    fn end(&mut self, reason: &str) {
        self.write_event("end", &json!({ "reason": reason }));
        self.over = true;
    }

    fn ping(&mut self) {
        match self.reader.may_go_on() {
            true => self.out.push_str(": ping\n\n"),
            false => self.end("unauthorized"),
        }
    }

    /// Writes what is there, a message of each topic in turn, until it is enough for one piece.
    fn gather(&mut self, cx: &mut Context<'_>) {
        let mut silent = 0;
        while !self.over && silent < self.heard.len() && self.out.len() < PIECE_BYTES {
            let index = self.turn % self.heard.len();
            self.turn = index + 1;
            silent += 1;
            match self.heard[index].subscription.poll_next_unpin(cx) {
                Poll::Pending => {}
                Poll::Ready(Some(Ok(message))) => {
                    silent = 0;
                    self.heard[index].at = message.position;
                    self.write_message(&message);
                }
                Poll::Ready(Some(Err(SubscriptionEnd::TooSlow))) => self.end("too_slow"),
                Poll::Ready(Some(Err(SubscriptionEnd::Closed)) | None) => self.end("closed"),
            }
        }
    }
}

impl Stream for Events {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.over {
            return Poll::Ready(None);
        }
        // First: a stream that is never silent is looked at as well.
        if self.pings.poll_tick(cx).is_ready() {
            self.ping();
        }
        self.gather(cx);
        match std::mem::take(&mut self.out) {
            nothing if nothing.is_empty() => Poll::Pending,
            piece => Poll::Ready(Some(piece.into())),
        }
    }
}

/// A message of a client or a function.
fn write_envelope(out: &mut String, message: &Message) {
    out.push_str(r#"{"data":""#);
    STANDARD.encode_string(&message.data, out);
    let topic = Value::from(message.topic.as_str());
    let (at, position) = (message.at.as_millisecond(), message.position);
    write!(out, r#"","timestamp":{at},"topic":{topic},"position":"{position}"}}"#).expect("writing to a string works");
}
