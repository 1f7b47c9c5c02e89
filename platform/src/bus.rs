//! Topics: the one way on which a message gets onto one, whoever sends it.
//!
//! Clients, functions, sockets, ephemeral state and presence all end in [`Platform::publish_through`]: there the triggers of the
//! topics are owed their calls, then the message is sent, once. `reserved.rs` knows what only the platform may say, `house.rs` is
//! what functions see. Order, fan-out and history belong to [`ports::PubSub`].

mod house;
mod reserved;

use bytes::Bytes;
use domain::{Caller, Error, ErrorCode, Namespace, Position, Scope, Topic};
use ports::{MESSAGE_BYTES_MAX, NewMessage, Origin, PUBLISH_BATCH_MAX, PubSubError, Since, Subscription, TopicView};

use crate::{Platform, internal};

pub(crate) use reserved::is_reserved;

/// A message on its way out, checked.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) topic: Topic,
    pub(crate) data: Bytes,
    pub(crate) origin: Origin,
}

impl Outgoing {
    /// A message of a client or a function.
    fn from_user(topic: &str, data: Bytes) -> Result<Self, Error> {
        let topic = Topic::parse(topic).map_err(|refused| Error::invalid(refused.to_string()))?;
        if data.len() > MESSAGE_BYTES_MAX {
            let message = format!("the message is {} bytes, the limit is {MESSAGE_BYTES_MAX}", data.len());
            return Err(Error::new(ErrorCode::PayloadTooLarge, message));
        }
        if is_reserved(&data) {
            let refused = Error::invalid("a message that is a JSON object must not have a field `_orama` or `__orama`");
            return Err(refused.hint("these mark what the platform itself says; use another name"));
        }
        Ok(Self { topic, data, origin: Origin::User })
    }
}

/// What became of each message of a batch, in its order.
pub type EachPublished = Vec<Result<Position, Error>>;

impl Platform {
    /// May the caller use the topics of a namespace? Needs the scope `pubsub`, which `data` contains.
    pub fn may_use_topics(&self, caller: &Caller, namespace: &Namespace) -> Result<(), Error> {
        self.manage(caller, Scope::Pubsub, namespace).map(drop)
    }

    /// Publishes messages, each with its topic: all of them, or none if one is refused. Acknowledged means that what they trigger
    /// will run. The position of each is where it stands in its topic.
    pub async fn publish(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        messages: Vec<(String, Bytes)>,
    ) -> Result<Vec<Position>, Error> {
        let lease = self.manage(caller, Scope::Pubsub, namespace)?;
        let _held = lease.hold()?;
        self.publish_through(namespace, checked(messages)?, 1).await
    }

    /// The same, but a message that is refused does not hold back the others.
    pub async fn publish_each(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        messages: Vec<(String, Bytes)>,
    ) -> Result<EachPublished, Error> {
        let lease = self.manage(caller, Scope::Pubsub, namespace)?;
        let _held = lease.hold()?;
        check_count(messages.len())?;
        let checked = messages.into_iter().map(|(topic, data)| Outgoing::from_user(&topic, data));
        let checked: Vec<Result<Outgoing, Error>> = checked.collect();
        let good = checked.iter().filter_map(|outgoing| outgoing.as_ref().ok().cloned()).collect();
        let mut positions = self.publish_through(namespace, good, 1).await?.into_iter();
        let each = checked.into_iter().map(|outgoing| {
            outgoing.map(|_| positions.next().expect("each message that was published has its position"))
        });
        Ok(each.collect())
    }

    /// The messages of a topic from here or from behind a position. `CONFLICT` says that messages behind the position are missing,
    /// and nothing else does: who wants to go on without them asks again with [`Since::Now`].
    pub async fn subscribe(
        &self,
        caller: &Caller,
        namespace: &Namespace,
        topic: &str,
        since: Since,
    ) -> Result<Subscription, Error> {
        let lease = self.manage(caller, Scope::Pubsub, namespace)?;
        // Until it is there: a deletion ends every subscription that it finds.
        let _held = lease.hold()?;
        let topic = Topic::parse(topic).map_err(|refused| Error::invalid(refused.to_string()))?;
        self.subscribe_through(namespace, &topic, since).await
    }

    /// The topics in use, and those whose history is kept, by name.
    pub fn topics(&self, caller: &Caller, namespace: &Namespace) -> Result<Vec<TopicView>, Error> {
        let lease = self.manage(caller, Scope::Pubsub, namespace)?;
        let _held = lease.hold()?;
        Ok(self.pubsub.topics(namespace))
    }

    /// Listens to a topic. Whoever calls this holds the lease of the namespace.
    pub(crate) async fn subscribe_through(
        &self,
        namespace: &Namespace,
        topic: &Topic,
        since: Since,
    ) -> Result<Subscription, Error> {
        self.pubsub.subscribe(namespace, topic, since).await.map_err(refused)
    }

    /// Owes the calls that messages trigger, on disk, then sends the messages in their order. `depth` is how deep the calls stand:
    /// 1 for what a client or the platform sends (0 is taken for it), one more than the call for what a function sends; beyond the
    /// deepest, nothing is triggered. Whoever has a lease of the namespace holds it.
    pub(crate) async fn publish_through(
        &self,
        namespace: &Namespace,
        messages: Vec<Outgoing>,
        depth: u8,
    ) -> Result<Vec<Position>, Error> {
        let lease = self.identity.lease_of(namespace);
        let _held = lease.hold()?;
        self.triggers.deliver(namespace, &lease, &messages, depth.max(1)).await?;
        let mut positions = Vec::with_capacity(messages.len());
        for Outgoing { topic, data, origin } in messages {
            let message = NewMessage { data, origin, at: self.clock.now() };
            positions.push(self.pubsub.publish(namespace, &topic, message).await.map_err(refused)?);
        }
        Ok(positions)
    }
}

/// Every message checked, or why one of them is refused.
fn checked(messages: Vec<(String, Bytes)>) -> Result<Vec<Outgoing>, Error> {
    check_count(messages.len())?;
    let alone = messages.len() == 1;
    let check = |(index, (topic, data)): (usize, (String, Bytes))| {
        let checked = Outgoing::from_user(&topic, data);
        checked.map_err(|error| if alone { error } else { in_batch(index, error) })
    };
    messages.into_iter().enumerate().map(check).collect()
}

fn check_count(count: usize) -> Result<(), Error> {
    match count > PUBLISH_BATCH_MAX {
        true => Err(Error::invalid(format!("a batch has at most {PUBLISH_BATCH_MAX} messages, this one has {count}"))),
        false => Ok(()),
    }
}

fn in_batch(index: usize, error: Error) -> Error {
    let message = format!("message {} of the batch: {}", index + 1, error.message);
    Error { message, ..error }
}

fn refused(error: PubSubError) -> Error {
    match error {
        PubSubError::Unavailable(_) => {
            let _logged = internal("use a topic", error);
            Error::new(ErrorCode::ServiceUnavailable, "topics are not available")
        }
        error => error.for_client(),
    }
}
