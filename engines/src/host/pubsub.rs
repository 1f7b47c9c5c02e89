//! Messages on the topics of the namespace.
//!
//! A call publishes so many messages and no more, whatever became of them: one that answers its own messages ends.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::{Error, ErrorCode, Topic};
use ports::{MESSAGE_BYTES_MAX, PUBLISH_BATCH_MAX, PUBLISHES_PER_CALL_MAX};
use serde::Deserialize;

use super::{DATA_BYTES_MAX, Host, InTime, TEXT_BYTES_MAX, check_size, text};

#[derive(Deserialize)]
#[serde(expecting = "an object with `topic` and `data_base64`")]
struct Message {
    topic: String,
    data_base64: String,
}

impl Host {
    /// Publishes one message; false says that it was refused.
    pub(crate) async fn pubsub_publish(&mut self, topic: &[u8], data: &[u8]) -> InTime<bool> {
        let published = match message_of(topic, data) {
            Ok(message) => self.published(vec![message]).await?,
            Err(refused) => Err(refused),
        };
        Ok(self.succeeded("pubsub_publish", published).is_some())
    }

    /// Publishes several messages, all or none.
    pub(crate) async fn pubsub_publish_batch(&mut self, messages: &[u8]) -> InTime<bool> {
        let published = match messages_of(messages) {
            Ok(messages) => self.published(messages).await?,
            Err(refused) => Err(refused),
        };
        Ok(self.succeeded("pubsub_publish_batch", published).is_some())
    }

    pub(super) async fn published(&mut self, messages: Vec<(String, Bytes)>) -> InTime<Result<(), Error>> {
        let sizes = messages.iter().try_for_each(|(_, data)| check_size("message", data, MESSAGE_BYTES_MAX));
        if let Err(refused) = sizes.and_then(|()| self.spend(messages.len())) {
            return Ok(Err(refused));
        }
        if messages.is_empty() {
            return Ok(Ok(()));
        }
        Ok(self.in_time(self.services.bus.publish(&self.context, messages)).await?.map(drop))
    }

    fn spend(&mut self, messages: usize) -> Result<(), Error> {
        self.check_publishes(messages)?;
        self.publishes_left -= messages;
        Ok(())
    }

    /// May the call still publish so many?
    pub(super) fn check_publishes(&self, messages: usize) -> Result<(), Error> {
        match messages <= self.publishes_left {
            true => Ok(()),
            false => {
                let message = format!("a call publishes at most {PUBLISHES_PER_CALL_MAX} messages");
                Err(Error::new(ErrorCode::RateLimited, message))
            }
        }
    }
}

pub(super) fn message_of(topic: &[u8], data: &[u8]) -> Result<(String, Bytes), Error> {
    let topic = topic_of(topic)?;
    check_size("message", data, MESSAGE_BYTES_MAX)?;
    Ok((topic.to_owned(), Bytes::copy_from_slice(data)))
}

/// The name of a topic: text that can be one.
pub(super) fn topic_of(bytes: &[u8]) -> Result<&str, Error> {
    let topic = text("topic", bytes, TEXT_BYTES_MAX)?;
    Topic::parse(topic).map_err(|refused| Error::invalid(refused.to_string()))?;
    Ok(topic)
}

fn messages_of(json: &[u8]) -> Result<Vec<(String, Bytes)>, Error> {
    check_size("JSON of the messages", json, DATA_BYTES_MAX)?;
    let messages: Vec<Message> = serde_json::from_slice(json).map_err(|error| {
        Error::invalid(format!("the messages are no JSON array of {{topic, data_base64}}: {error}"))
    })?;
    if messages.len() > PUBLISH_BATCH_MAX {
        let message =
            format!("{} messages are too many for one batch, the limit is {PUBLISH_BATCH_MAX}", messages.len());
        return Err(Error::invalid(message));
    }
    let decoded = |(index, Message { topic, data_base64 })| {
        let refused = |what: String| Error::invalid(format!("message {index}: {what}"));
        Topic::parse(&topic).map_err(|error| refused(error.to_string()))?;
        let data = STANDARD.decode(data_base64).map_err(|error| refused(format!("`data_base64`: {error}")))?;
        Ok((topic, Bytes::from(data)))
    };
    messages.into_iter().enumerate().map(decoded).collect()
}
