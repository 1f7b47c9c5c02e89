//! State that dies with the WebSocket that the call came from. Owner and namespace come from the call, never from the guest.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::Error;
use ports::EphemeralEntry;
use serde::Serialize;

use super::json::JsonText;
use super::pubsub::topic_of;
use super::{Host, InTime, TEXT_BYTES_MAX, check_size, text};

const PAYLOAD_BYTES_MAX: usize = 16 << 10;

#[derive(Serialize)]
struct Entries {
    entries: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    key: String,
    client_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    expires_in_ms: u64,
}

impl From<EphemeralEntry> for Entry {
    fn from(entry: EphemeralEntry) -> Self {
        let EphemeralEntry { key, client_id, payload, expires_in_ms } = entry;
        let payload = (!payload.is_empty()).then(|| STANDARD.encode(&payload));
        Self { key, client_id: client_id.to_string(), payload, expires_in_ms }
    }
}

impl Host {
    /// Sets a key of this socket on a topic; false without a socket, or when an argument is refused.
    pub(crate) async fn ephemeral_state_set(
        &mut self,
        topic: &[u8],
        key: &[u8],
        payload: &[u8],
        ttl_ms: i64,
    ) -> InTime<bool> {
        let accepted = self.owned(topic, key).and_then(|place| {
            check_size("payload", payload, PAYLOAD_BYTES_MAX)?;
            Ok(place)
        });
        let set = match accepted {
            Ok((topic, key)) => {
                let payload = Bytes::copy_from_slice(payload);
                self.in_time(self.services.ephemeral.set(&self.context, topic, key, payload, ttl_ms)).await?
            }
            Err(refused) => Err(refused),
        };
        Ok(self.succeeded("ephemeral_state_set", set).is_some())
    }

    /// Clears a key of this socket; true also when there is none.
    pub(crate) async fn ephemeral_state_clear(&mut self, topic: &[u8], key: &[u8]) -> InTime<bool> {
        let cleared = match self.owned(topic, key) {
            Ok((topic, key)) => self.in_time(self.services.ephemeral.clear(&self.context, topic, key)).await?,
            Err(refused) => Err(refused),
        };
        Ok(self.succeeded("ephemeral_state_clear", cleared).is_some())
    }

    /// What is alive on a topic, as JSON; nothing on failure. Needs no socket.
    pub(crate) async fn ephemeral_state_list(&mut self, topic: &[u8]) -> InTime<Option<Bytes>> {
        let listed = match topic_of(topic) {
            Ok(topic) => self.in_time(self.services.ephemeral.list(&self.context, topic)).await?,
            Err(refused) => Err(refused),
        };
        let shown = listed.and_then(|entries| {
            let entries = Entries { entries: entries.into_iter().map(Entry::from).collect() };
            let mut json = JsonText::new(self.memory_bytes_max());
            let written = json.value(&entries).map(|()| json.finish());
            written.map_err(|_too_large| Error::invalid("the entries do not fit into the memory of the function"))
        });
        Ok(self.succeeded("ephemeral_state_list", shown))
    }

    /// Topic and key of state that the socket of this call may own.
    fn owned<'a>(&self, topic: &'a [u8], key: &'a [u8]) -> Result<(&'a str, &'a str), Error> {
        if self.context.socket.is_none() {
            return Err(Error::invalid("the call came from no WebSocket, so nobody would own the state"));
        }
        let topic = topic_of(topic)?;
        match text("key", key, TEXT_BYTES_MAX)? {
            "" => Err(Error::invalid("the key is empty")),
            key => Ok((topic, key)),
        }
    }
}
