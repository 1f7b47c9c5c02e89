//! Topics, the WebSockets of the namespace, and state that dies with one.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};
use serde_json::json;

use crate::db::{self, Failed};
use crate::{Db, Error, Step, StepResult, host};

/// The topics of the namespace. A call publishes at most 1,000 messages.
#[derive(Debug, Clone, Copy, Default)]
pub struct PubSub;

impl PubSub {
    /// Sends a message of at most 1 MiB to whoever listens; true also says that the triggers of the topic will run. Why not is in
    /// the log of the call.
    pub fn publish(&self, topic: &str, data: &[u8]) -> bool {
        host::pubsub_publish(topic, data)
    }

    /// Sends up to 100 messages, all or none: topics and data.
    pub fn publish_batch(&self, messages: &[(&str, &[u8])]) -> bool {
        host::pubsub_publish_batch(encode(messages).as_bytes())
    }
}

fn encode(messages: &[(&str, &[u8])]) -> String {
    let message = |(topic, data): &(&str, &[u8])| json!({ "topic": topic, "data_base64": STANDARD.encode(data) });
    json!(messages.iter().map(message).collect::<Vec<_>>()).to_string()
}

/// What a transaction with a message did.
#[derive(Debug, Deserialize)]
pub struct Published {
    pub results: Vec<StepResult>,
    /// The number that stands for `{{seq}}` in the message: 1, 2, 3, … for each namespace.
    pub seq: Option<i64>,
    /// False when the transaction has happened but the message was refused; `publish_error` says why.
    pub published: bool,
    pub publish_error: Option<String>,
}

impl Db {
    /// Runs the steps as [`Db::transaction`] does, and then publishes a message, in which `{{seq}}` stands for a number that the
    /// transaction takes.
    pub fn execute_and_publish(&self, steps: &[Step], topic: &str, data: &[u8]) -> Result<Published, Error> {
        let request = serde_json::to_vec(&json!({ "ops": steps })).map_err(Error::unreadable)?;
        let answer = host::exec_and_publish(&request, topic, data);
        db::read::<Failed>(&answer)?.check()?;
        db::read(&answer)
    }
}

/// The WebSockets of the namespace's functions.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sockets;

impl Sockets {
    /// Sends a frame to a socket by its client id: text if it is UTF-8, else binary. False when there is no such socket, or when it
    /// does not keep up.
    pub fn send(&self, client: &str, data: &[u8]) -> bool {
        host::ws_send(client, data)
    }

    /// Sends a frame to the socket that the call came from.
    pub fn reply(&self, data: &[u8]) -> bool {
        host::ws_send("", data)
    }

    /// Sends a frame to every socket that is bridged to a topic. It is no message: no history keeps it, and no trigger fires.
    pub fn broadcast(&self, topic: &str, data: &[u8]) -> bool {
        host::ws_broadcast(topic, data)
    }

    /// Forwards the messages of a topic to a socket from now on; the empty client is the socket that the call came from.
    pub fn bridge(&self, client: &str, topic: &str) -> bool {
        host::ws_bridge(client, topic)
    }

    /// Ends that.
    pub fn unbridge(&self, client: &str, topic: &str) -> bool {
        host::ws_unbridge(client, topic)
    }
}

/// State that dies with the WebSocket that a call came from: who types, who is in a room.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ephemeral;

/// State that somebody's WebSocket holds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct EphemeralEntry {
    pub key: String,
    pub client_id: String,
    #[serde(default, deserialize_with = "from_base64")]
    pub payload: Vec<u8>,
    pub expires_in_ms: u64,
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    STANDARD.decode(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

impl Ephemeral {
    /// Sets a key of this socket on a topic, and tells the topic. A `ttl` of zero is a minute; more than half an hour is half an hour.
    /// False without a socket, for an empty topic or key, a payload above 16 KiB, or more than 256 keys.
    pub fn set(&self, topic: &str, key: &str, payload: &[u8], ttl: Duration) -> bool {
        let ms = ttl.as_millis() + u128::from(!ttl.subsec_nanos().is_multiple_of(1_000_000));
        host::ephemeral_set(topic, key, payload, i64::try_from(ms).unwrap_or(i64::MAX))
    }

    /// Clears a key of this socket; true also when there is none.
    pub fn clear(&self, topic: &str, key: &str) -> bool {
        host::ephemeral_clear(topic, key)
    }

    /// What is alive on a topic, by key. It needs no socket.
    pub fn list(&self, topic: &str) -> Result<Vec<EphemeralEntry>, Error> {
        #[derive(Deserialize)]
        struct Answer {
            entries: Vec<EphemeralEntry>,
        }
        db::read::<Answer>(&host::ephemeral_list(topic)).map(|answer| answer.entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_travel_as_base64() {
        assert_eq!(
            encode(&[("a", &[0, 255]), ("b", &[])]),
            r#"[{"data_base64":"AP8=","topic":"a"},{"data_base64":"","topic":"b"}]"#
        );
    }

    #[test]
    fn an_entry_may_be_without_a_payload() {
        let read = |text: &str| db::read::<EphemeralEntry>(text.as_bytes()).expect("an entry");
        assert_eq!(read(r#"{"key":"k","client_id":"c","payload":"AP8=","expires_in_ms":7}"#).payload, [0, 255]);
        assert!(read(r#"{"key":"k","client_id":"c","expires_in_ms":7}"#).payload.is_empty());
    }

    #[test]
    fn what_was_published_has_a_number_and_what_was_refused_a_code() {
        let done = r#"{"results":[{"kind":"exec","rows_affected":1}],"committed":true,"seq":7,"published":true}"#;
        let published: Published = db::read(done.as_bytes()).expect("an answer");
        assert_eq!((published.results.len(), published.seq, published.published), (1, Some(7), true));
        let refused = Db.execute_and_publish(&[], "t", b"x").expect_err("nobody is there");
        assert_eq!(refused.code, "UNAVAILABLE");
    }
}
