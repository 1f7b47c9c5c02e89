//! Push and notifications, as the functions of a namespace have them.

use async_trait::async_trait;
use domain::{Error, ErrorCode, InvalidPushMessage, PushMessage};
use ports::{CallContext, Notified, Notifier, PushResult};

use super::dispatch::{Sending, soon};
use super::notify::INBOX_DEFAULT;
use super::user_named;
use crate::services::House;

#[async_trait]
impl Notifier for House {
    async fn push(&self, call: &CallContext, user: &str, message: &[u8]) -> Result<PushResult, Error> {
        let (platform, message) = (self.platform()?, read(message)?);
        let _held = self.lease.hold()?;
        match platform.prepare_push(self.namespace(), &user_named(user)?, &message).await? {
            Sending::Unconfigured(_) => Ok(PushResult { ok: true, ..PushResult::default() }),
            Sending::To(tenant, devices) => {
                let deadline = call.deadline.min(soon());
                let sent = platform.push_to(self.namespace(), &tenant, devices, &message, deadline);
                self.lease.unless_ended(sent).await
            }
        }
    }

    async fn notify(&self, call: &CallContext, user: &str, message: &[u8]) -> Result<Notified, Error> {
        let (platform, message) = (self.platform()?, read(message)?);
        let _held = self.lease.hold()?;
        let deadline = call.deadline.min(soon());
        let notified = platform.notify_in(self.namespace(), user, &message, INBOX_DEFAULT, deadline);
        self.lease.unless_ended(notified).await?
    }
}

fn read(message: &[u8]) -> Result<PushMessage, Error> {
    PushMessage::parse(message).map_err(|refused| {
        let code = match refused {
            InvalidPushMessage::TooLarge(_) => ErrorCode::PayloadTooLarge,
            InvalidPushMessage::Wrong(_) => ErrorCode::ValidationFailed,
        };
        Error::new(code, refused.to_string())
    })
}
