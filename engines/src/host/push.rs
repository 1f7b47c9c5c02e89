//! Reaching people: push messages, and whatever way there is.

use bytes::Bytes;
use domain::Error;
use ports::{PUSH_MESSAGE_BYTES_MAX, PushResult};
use serde::Serialize;

use super::json::envelope;
use super::{Host, InTime, Refused, TEXT_BYTES_MAX, check_size, text};

/// A message that went to no device.
#[derive(Serialize)]
struct NotPushed<'a> {
    #[serde(flatten)]
    result: PushResult,
    #[serde(flatten)]
    refused: Refused<'a>,
}

impl Host {
    /// Sends a push message to every device of a user; true also when there is none.
    pub(crate) async fn push_send(&mut self, user: &[u8], message: &[u8]) -> InTime<bool> {
        let pushed = self.pushed(user, message).await?.and_then(|result| match result.ok {
            true => Ok(()),
            false => Err(Error::invalid(format!("none of {} devices took the message", result.devices_attempted))),
        });
        Ok(self.succeeded("push_send", pushed).is_some())
    }

    /// The same, with what became of it on each device, or an error, as JSON.
    pub(crate) async fn push_send_v2(&mut self, user: &[u8], message: &[u8]) -> InTime<Bytes> {
        Ok(match self.pushed(user, message).await? {
            Ok(result) => envelope(&result),
            Err(error) => envelope(&NotPushed { result: PushResult::default(), refused: Refused::from(&error) }),
        })
    }

    /// Over a live socket, else push, else the inbox; JSON that says which, or an error.
    pub(crate) async fn notify(&mut self, user: &[u8], message: &[u8]) -> InTime<Bytes> {
        let notified = match user_of(user, message) {
            Ok(user) => self.in_time(self.services.notifier.notify(&self.context, user, message)).await?,
            Err(refused) => Err(refused),
        };
        Ok(match notified {
            Ok(notified) => envelope(&notified),
            Err(error) => envelope(&Refused::from(&error)),
        })
    }

    async fn pushed(&mut self, user: &[u8], message: &[u8]) -> InTime<Result<PushResult, Error>> {
        match user_of(user, message) {
            Ok(user) => self.in_time(self.services.notifier.push(&self.context, user, message)).await,
            Err(refused) => Ok(Err(refused)),
        }
    }
}

/// The user, when the message may be sent at all.
fn user_of<'a>(user: &'a [u8], message: &[u8]) -> Result<&'a str, Error> {
    check_size("message", message, PUSH_MESSAGE_BYTES_MAX)?;
    match text("user", user, TEXT_BYTES_MAX)? {
        "" => Err(Error::invalid("the user is empty")),
        user => Ok(user),
    }
}
