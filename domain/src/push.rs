//! Push messages: what one says, which providers carry it, and what the token of a device looks like.

mod token;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use token::PushSubscription;

/// The largest push message as JSON, in bytes.
pub const PUSH_MESSAGE_BYTES_MAX: usize = 16 << 10;
/// The longest `message_id`, in bytes: what every provider takes as the name of a message that replaces another.
pub const PUSH_MESSAGE_ID_BYTES_MAX: usize = 64;

/// Who carries messages to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PushKind {
    Ntfy,
    Expo,
    Apns,
    /// Apple's channel for calls: it wakes the app, which must then ring.
    ApnsVoip,
    /// Browsers, by RFC 8030.
    Webpush,
    Fcm,
}

impl PushKind {
    pub const ALL: [Self; 6] = [Self::Ntfy, Self::Expo, Self::Apns, Self::ApnsVoip, Self::Webpush, Self::Fcm];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ntfy => "ntfy",
            Self::Expo => "expo",
            Self::Apns => "apns",
            Self::ApnsVoip => "apns_voip",
            Self::Webpush => "webpush",
            Self::Fcm => "fcm",
        }
    }

    /// Is this the token of a device? The error is the end of a sentence that begins with the token; it never repeats it.
    pub fn check_token(self, token: &str) -> Result<(), String> {
        token::check(self, token)
    }
}

impl fmt::Display for PushKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no provider.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no push provider; known are `ntfy`, `expo`, `apns`, `apns_voip`, `webpush` and `fcm`")]
pub struct UnknownPushKind(String);

impl FromStr for PushKind {
    type Err = UnknownPushKind;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownPushKind(text.chars().take(40).collect());
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(unknown)
    }
}

/// How much of a hurry a message is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PushPriority {
    High,
    Normal,
}

/// A message to the devices of one user. What a provider has no place for is left out there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PushMessage {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub title: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// The channel of notifications on Android.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<PushPriority>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub badge: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sound: Option<String>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub data: Map<String, Value>,
    /// Only devices of this provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_provider: Option<PushKind>,
    /// No devices of this provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude_provider: Option<PushKind>,
    /// A message takes the place of an earlier one with the same id, where the provider can do that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
}

/// Why a text is no push message; the text names the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPushMessage {
    #[error("the message is {0} bytes, the limit is {PUSH_MESSAGE_BYTES_MAX}")]
    TooLarge(usize),
    #[error("{0}")]
    Wrong(String),
}

impl PushMessage {
    /// Reads a message from a JSON object. Fields that are not known are for somebody else, and left alone.
    pub fn parse(json: &[u8]) -> Result<Self, InvalidPushMessage> {
        if json.len() > PUSH_MESSAGE_BYTES_MAX {
            return Err(InvalidPushMessage::TooLarge(json.len()));
        }
        let no_object = |_| wrong("the message must be a JSON object, such as `{\"title\":\"…\",\"body\":\"…\"}`");
        let fields: Map<String, Value> = serde_json::from_slice(json).map_err(no_object)?;
        let mut fields = Fields(fields);
        let message = Self {
            title: fields.text("title")?.unwrap_or_default(),
            body: fields.text("body")?.unwrap_or_default(),
            channel: fields.text("channel")?,
            priority: fields.priority()?,
            badge: fields.badge()?,
            sound: fields.text("sound")?,
            data: fields.data()?,
            target_provider: fields.provider("target_provider")?,
            exclude_provider: fields.provider("exclude_provider")?,
            message_id: fields.message_id()?,
        };
        message.unless_empty()
    }

    fn unless_empty(self) -> Result<Self, InvalidPushMessage> {
        match self.title.is_empty() && self.body.is_empty() && self.data.is_empty() {
            true => Err(wrong("the message is empty; set `title`, `body` or `data`")),
            false => Ok(self),
        }
    }

    /// Is there anything for a person to see?
    pub fn is_visible(&self) -> bool {
        !(self.title.is_empty() && self.body.is_empty())
    }

    /// May a device of this provider get it?
    pub fn is_for(&self, kind: PushKind) -> bool {
        self.target_provider.is_none_or(|target| target == kind) && self.exclude_provider != Some(kind)
    }

    /// The message as it is kept and sent to clients of ours.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts, numbers and JSON serialize")
    }
}

fn wrong(reason: impl Into<String>) -> InvalidPushMessage {
    InvalidPushMessage::Wrong(reason.into())
}

/// The fields of a message that were not read yet. `null`, and an empty text, is as good as nothing.
struct Fields(Map<String, Value>);

impl Fields {
    fn take(&mut self, key: &str) -> Option<Value> {
        self.0.remove(key).filter(|value| !value.is_null() && value.as_str() != Some(""))
    }

    fn text(&mut self, key: &str) -> Result<Option<String>, InvalidPushMessage> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong(format!("`{key}` must be a text"))),
        }
    }

    fn priority(&mut self) -> Result<Option<PushPriority>, InvalidPushMessage> {
        match self.text("priority")?.as_deref() {
            None => Ok(None),
            Some("high") => Ok(Some(PushPriority::High)),
            Some("normal") => Ok(Some(PushPriority::Normal)),
            Some(_) => Err(wrong("`priority` must be `high` or `normal`")),
        }
    }

    fn badge(&mut self) -> Result<Option<u32>, InvalidPushMessage> {
        let refused = || wrong(format!("`badge` must be a whole number from 0 to {}", u32::MAX));
        let number = |value: Value| value.as_u64().and_then(|number| number.try_into().ok()).ok_or_else(refused);
        self.take("badge").map(number).transpose()
    }

    fn data(&mut self) -> Result<Map<String, Value>, InvalidPushMessage> {
        match self.take("data") {
            None => Ok(Map::new()),
            Some(Value::Object(data)) => Ok(data),
            Some(_) => Err(wrong("`data` must be an object")),
        }
    }

    fn provider(&mut self, key: &str) -> Result<Option<PushKind>, InvalidPushMessage> {
        let parse = |text: String| text.parse().map_err(|unknown| wrong(format!("`{key}`: {unknown}")));
        self.text(key)?.map(parse).transpose()
    }

    fn message_id(&mut self) -> Result<Option<String>, InvalidPushMessage> {
        let id = self.text("message_id")?;
        let allowed =
            |id: &String| id.len() <= PUSH_MESSAGE_ID_BYTES_MAX && id.bytes().all(|byte| byte.is_ascii_graphic());
        match id.as_ref().is_none_or(allowed) {
            true => Ok(id),
            false => {
                Err(wrong(format!("`message_id` must be 1 to {PUSH_MESSAGE_ID_BYTES_MAX} visible ASCII characters")))
            }
        }
    }
}

#[cfg(test)]
mod tests;
