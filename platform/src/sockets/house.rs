//! The sockets of a namespace, as its functions reach them.

use async_trait::async_trait;
use bytes::Bytes;
use domain::{Error, ErrorCode, Topic};
use ports::{CallContext, Since, Sockets};

use super::{BRIDGES_MAX, SocketFrame, unsent};
use crate::services::House;

#[async_trait]
impl Sockets for House {
    async fn send(&self, call: &CallContext, client: &str, data: Bytes) -> Result<(), Error> {
        let platform = self.platform()?;
        let client = platform.sockets.find(self.namespace(), meant(call, client)?)?;
        let parcel = platform.sockets.parcel(self.namespace(), SocketFrame::of(data))?;
        client.outbox.send(parcel).await.map_err(unsent)
    }

    async fn broadcast(&self, _call: &CallContext, topic: &str, data: Bytes) -> Result<usize, Error> {
        let platform = self.platform()?;
        let clients = platform.sockets.bridged_to(self.namespace(), &parse(topic)?);
        let parcel = platform.sockets.parcel(self.namespace(), SocketFrame::of(data))?;
        Ok(clients.iter().filter(|client| client.outbox.send_now(parcel.clone()).is_ok()).count())
    }

    async fn bridge(&self, call: &CallContext, client: &str, topic: &str) -> Result<(), Error> {
        let platform = self.platform()?;
        let client = platform.sockets.find(self.namespace(), meant(call, client)?)?;
        let topic = parse(topic)?;
        let _one_at_a_time = client.bridging.lock().await;
        if client.is_bridged(&topic) {
            return Ok(());
        }
        if client.bridge_count() >= BRIDGES_MAX {
            let message = format!("the WebSocket is bridged to {BRIDGES_MAX} topics, and may be to no more");
            return Err(Error::new(ErrorCode::RateLimited, message));
        }
        let _held = self.lease.hold()?;
        let subscription = platform.subscribe_through(self.namespace(), &topic, Since::Now).await?;
        if !client.add_bridge(topic.clone(), subscription) {
            return Err(super::unknown_socket());
        }
        platform.sockets.note_bridge(&client, &topic);
        Ok(())
    }

    async fn unbridge(&self, call: &CallContext, client: &str, topic: &str) -> Result<(), Error> {
        let platform = self.platform()?;
        let client = platform.sockets.find(self.namespace(), meant(call, client)?)?;
        let topic = parse(topic)?;
        let _one_at_a_time = client.bridging.lock().await;
        client.remove_bridge(&topic);
        platform.sockets.forget_bridge(&client, &topic);
        Ok(())
    }
}

/// Nothing stands for the socket that the call came from.
fn meant<'a>(call: &'a CallContext, client: &'a str) -> Result<&'a str, Error> {
    match (client, &call.socket) {
        ("", Some(own)) => Ok(own),
        ("", None) => Err(Error::invalid("the call comes from no WebSocket; name the one that is meant")),
        (named, _) => Ok(named),
    }
}

fn parse(topic: &str) -> Result<Topic, Error> {
    Topic::parse(topic).map_err(|refused| Error::invalid(refused.to_string()))
}
