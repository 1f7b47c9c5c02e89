//! Reaching people who are away.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::db::{self, Failed};
use crate::{Error, host};

/// Reaches people who are away.
#[derive(Debug, Clone, Copy, Default)]
pub struct Push;

/// What a user sees. Fields that are empty are not sent.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PushMessage {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub body: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// `high` or `normal`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub badge: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sound: Option<String>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub data: Map<String, Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_provider: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude_provider: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
}

/// What became of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct PushResult {
    pub ok: bool,
    pub devices_attempted: usize,
    pub devices_succeeded: usize,
    pub results: Vec<DeviceResult>,
}

/// What became of a message on one device.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DeviceResult {
    pub device_id: String,
    pub provider: String,
    pub success: bool,
    pub http_status: Option<u16>,
    pub reason: Option<String>,
    pub message: Option<String>,
    #[serde(default)]
    pub unregistered: bool,
}

/// How a user was reached.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "via", rename_all = "lowercase")]
pub enum Notified {
    /// Over so many live sockets.
    Socket {
        sockets: usize,
    },
    Push {
        push: PushResult,
    },
    /// It waits until then, as RFC 3339 writes it.
    Inbox {
        id: String,
        expires_at: String,
    },
}

impl Push {
    /// Sends a message to every device of a user. A user without devices is no failure.
    pub fn send(&self, user: &str, message: &PushMessage) -> Result<PushResult, Error> {
        let message = serde_json::to_vec(message).map_err(Error::unreadable)?;
        let answer = host::push_send(user, &message);
        db::read::<Failed>(&answer)?.check()?;
        db::read(&answer)
    }

    /// Reaches a user over a live WebSocket if there is one, else by push, else in an inbox.
    pub fn notify(&self, user: &str, message: &PushMessage) -> Result<Notified, Error> {
        let message = serde_json::to_vec(message).map_err(Error::unreadable)?;
        let answer = host::notify(user, &message);
        db::read::<Failed>(&answer)?.check()?;
        db::read(&answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_field_is_not_sent() {
        let message = PushMessage { title: "Hello".into(), badge: Some(0), ..PushMessage::default() };
        assert_eq!(serde_json::to_string(&message).expect("a message serializes"), r#"{"title":"Hello","badge":0}"#);
    }

    #[test]
    fn every_way_is_read() {
        let read = |text: &str| db::read::<Notified>(text.as_bytes()).expect("a way");
        assert_eq!(read(r#"{"via":"socket","sockets":2}"#), Notified::Socket { sockets: 2 });
        let inbox = Notified::Inbox { id: "m".into(), expires_at: "1970-01-02T00:00:00Z".into() };
        assert_eq!(read(r#"{"via":"inbox","id":"m","expires_at":"1970-01-02T00:00:00Z"}"#), inbox);
        let push = r#"{"via":"push","push":{"ok":true,"devices_attempted":0,"devices_succeeded":0,"results":[]}}"#;
        assert!(matches!(read(push), Notified::Push { push } if push.ok));
    }
}
