//! The topics of a namespace, as its functions have them.

use async_trait::async_trait;
use bytes::Bytes;
use domain::{Error, Position};
use ports::{Bus, CallContext};

use super::checked;
use crate::services::House;

#[async_trait]
impl Bus for House {
    async fn publish(&self, call: &CallContext, messages: Vec<(String, Bytes)>) -> Result<Vec<Position>, Error> {
        let platform = self.platform()?;
        let _held = self.lease.hold()?;
        platform.publish_through(self.namespace(), checked(messages)?, call.trigger_depth.saturating_add(1)).await
    }
}
