//! What everybody on a topic is told of ephemeral state.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::Topic;
use serde::Serialize;

/// Why state ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Reason {
    Explicit,
    Disconnect,
    Expired,
}

#[derive(Debug, Serialize)]
pub(super) struct Event {
    _orama: &'static str,
    topic: String,
    key: String,
    client_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
}

impl Event {
    pub(super) fn set(topic: &Topic, key: &str, client: &str, payload: &[u8]) -> Self {
        let payload = (!payload.is_empty()).then(|| STANDARD.encode(payload));
        Self { _orama: "ephemeral.set", payload, reason: None, ..Self::clear(topic, key, client, Reason::Explicit) }
    }

    pub(super) fn clear(topic: &Topic, key: &str, client: &str, reason: Reason) -> Self {
        Self {
            _orama: "ephemeral.clear",
            topic: topic.to_string(),
            key: key.to_owned(),
            client_id: client.to_owned(),
            payload: None,
            reason: Some(reason),
        }
    }

    pub(super) fn json(&self) -> Bytes {
        serde_json::to_vec(self).expect("texts serialize").into()
    }
}
