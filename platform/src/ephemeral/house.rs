//! Ephemeral state, as the calls of a function reach it. Owner and namespace come from the call, never from an argument.

use async_trait::async_trait;
use bytes::Bytes;
use domain::{Error, ErrorCode, Topic};
use ports::{CallContext, Ephemeral, EphemeralEntry};

use super::event::Reason;
use super::{KEY_BYTES_MAX, NewEntry, PAYLOAD_BYTES_MAX, Place, gone, lifetime};
use crate::services::House;

#[async_trait]
impl Ephemeral for House {
    async fn set(&self, call: &CallContext, topic: &str, key: &str, payload: Bytes, ttl_ms: i64) -> Result<(), Error> {
        let client = call.socket.clone().ok_or_else(gone)?;
        let place = self.place(topic)?;
        check_key(key)?;
        if payload.len() > PAYLOAD_BYTES_MAX {
            let message = format!("the payload is {} bytes, the limit is {PAYLOAD_BYTES_MAX}", payload.len());
            return Err(Error::new(ErrorCode::PayloadTooLarge, message));
        }
        let new = NewEntry { client, payload, ttl: lifetime(ttl_ms) };
        let _held = self.lease.hold()?;
        self.platform()?.set_ephemeral(place, key, new, call.trigger_depth + 1).await
    }

    async fn clear(&self, call: &CallContext, topic: &str, key: &str) -> Result<(), Error> {
        let client = call.socket.clone().ok_or_else(gone)?;
        let place = self.place(topic)?;
        check_key(key)?;
        let _held = self.lease.hold()?;
        let platform = self.platform()?;
        platform
            .clear_ephemeral(&place, key, Reason::Explicit, call.trigger_depth + 1, |entry| entry.client == client)
            .await
    }

    async fn list(&self, _call: &CallContext, topic: &str) -> Result<Vec<EphemeralEntry>, Error> {
        let _held = self.lease.hold()?;
        Ok(self.platform()?.ephemeral.alive(&self.place(topic)?))
    }
}

impl House {
    fn place(&self, topic: &str) -> Result<Place, Error> {
        let topic = Topic::parse(topic).map_err(|refused| Error::invalid(refused.to_string()))?;
        Ok((self.namespace().clone(), topic))
    }
}

fn check_key(key: &str) -> Result<(), Error> {
    match key.len() {
        0 => Err(Error::invalid("the key is empty")),
        bytes if bytes > KEY_BYTES_MAX => {
            Err(Error::invalid(format!("the key is {bytes} bytes long, the limit is {KEY_BYTES_MAX}")))
        }
        _ => Ok(()),
    }
}
