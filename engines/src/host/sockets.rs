//! The WebSockets of the namespace's functions.

use bytes::Bytes;
use domain::Error;

use super::pubsub::topic_of;
use super::{DATA_BYTES_MAX, Host, InTime, TEXT_BYTES_MAX, check_size, text};

impl Host {
    /// The id of the WebSocket that the call came from; empty for other calls.
    pub(crate) fn ws_client_id(&self) -> &str {
        self.context.socket.as_deref().unwrap_or_default()
    }

    /// Sends a frame to a socket; the empty name is the one that the call came from.
    pub(crate) async fn ws_send(&mut self, client: &[u8], data: &[u8]) -> InTime<bool> {
        let sent = match client_of(client).and_then(|client| Ok((client, frame_of(data)?))) {
            Ok((client, frame)) => self.in_time(self.services.sockets.send(&self.context, client, frame)).await?,
            Err(refused) => Err(refused),
        };
        Ok(self.succeeded("ws_send", sent).is_some())
    }

    /// Sends a frame to every socket that is bridged to the topic; true also when there is none.
    pub(crate) async fn ws_broadcast(&mut self, topic: &[u8], data: &[u8]) -> InTime<bool> {
        let sent = match topic_of(topic).and_then(|topic| Ok((topic, frame_of(data)?))) {
            Ok((topic, frame)) => self.in_time(self.services.sockets.broadcast(&self.context, topic, frame)).await?,
            Err(refused) => Err(refused),
        };
        Ok(self.succeeded("ws_broadcast", sent).is_some())
    }

    /// Forwards the messages of a topic to a socket from now on.
    pub(crate) async fn ws_pubsub_bridge(&mut self, client: &[u8], topic: &[u8]) -> InTime<bool> {
        let bridged = match client_of(client).and_then(|client| Ok((client, topic_of(topic)?))) {
            Ok((client, topic)) => self.in_time(self.services.sockets.bridge(&self.context, client, topic)).await?,
            Err(refused) => Err(refused),
        };
        Ok(self.succeeded("ws_pubsub_bridge", bridged).is_some())
    }

    /// Ends what [`Host::ws_pubsub_bridge`] began.
    pub(crate) async fn ws_pubsub_unbridge(&mut self, client: &[u8], topic: &[u8]) -> InTime<bool> {
        let ended = match client_of(client).and_then(|client| Ok((client, topic_of(topic)?))) {
            Ok((client, topic)) => self.in_time(self.services.sockets.unbridge(&self.context, client, topic)).await?,
            Err(refused) => Err(refused),
        };
        Ok(self.succeeded("ws_pubsub_unbridge", ended).is_some())
    }
}

fn client_of(bytes: &[u8]) -> Result<&str, Error> {
    text("id of a client", bytes, TEXT_BYTES_MAX)
}

fn frame_of(bytes: &[u8]) -> Result<Bytes, Error> {
    check_size("frame", bytes, DATA_BYTES_MAX)?;
    Ok(Bytes::copy_from_slice(bytes))
}
