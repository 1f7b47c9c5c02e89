//! One topic over a WebSocket: its messages out, the client's messages in.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;

use domain::{Error, ErrorCode, Namespace, Position, Scope};
use futures_util::StreamExt;
use platform::PresenceGuard;
use ports::{MESSAGE_BYTES_MAX, Message, Since, Subscription, SubscriptionEnd};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::Over;
use crate::Gateway;
use crate::error::{Answer, Refusal};
use crate::exchange::Exchange;
use crate::reply;
use crate::websocket::{
    Control, Event, FORBIDDEN, Frame, GONE, Goodbye, Holder, Offer, POLICY, Received, Socket, SocketKind,
};

/// What the request asks for.
struct Asked {
    topic: String,
    member: Option<(String, Option<String>)>,
    after: Option<Position>,
}

impl Asked {
    fn of(exchange: &Exchange) -> Result<Self, Refusal> {
        let text = |name| exchange.query(name).filter(|text| !text.is_empty()).map(|text| text.into_owned());
        let topic = text("topic").ok_or_else(|| Refusal::invalid("missing 'topic'"))?;
        let missing = || Refusal::invalid("missing 'member_id' for presence");
        let member = match exchange.switch("presence") {
            true => Some((text("member_id").ok_or_else(missing)?, text("member_meta"))),
            false => None,
        };
        let after = text("after").map(|position| position.parse()).transpose();
        let after =
            after.map_err(|invalid: domain::InvalidPosition| Refusal::invalid(format!("`after`: {invalid}")))?;
        Ok(Self { topic, member, after })
    }
}

/// Who is on a topic.
pub(crate) async fn presence(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let namespace = exchange.managed_namespace()?;
    gateway.platform.may_use_topics(&exchange.caller, &namespace)?;
    let topic = exchange.query("topic").filter(|topic| !topic.is_empty());
    let topic = topic.ok_or_else(|| Refusal::invalid("missing 'topic'"))?;
    let members = gateway.platform.presence_of(&exchange.caller, &namespace, &topic)?;
    let shown = members.iter().map(|member| {
        // Both spellings: the published library reads the second.
        let (id, joined) = (&member.member_id, member.joined_at);
        let mut shown = json!({ "member_id": id, "joined_at": joined, "memberId": id, "joinedAt": joined });
        if let Some(meta) = &member.meta {
            shown["meta"] = json!(meta);
        }
        shown
    });
    let shown: Vec<Value> = shown.collect();
    Ok(reply::ok(&json!({ "topic": topic, "members": shown, "count": shown.len() })))
}

/// Everything that can be refused is refused before the connection changes hands.
pub(crate) async fn listen(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let namespace = exchange.managed_namespace()?;
    gateway.platform.may_use_topics(&exchange.caller, &namespace)?;
    let Asked { topic, member, after } = Asked::of(&exchange)?;
    let (subscription, resumed) = subscribe(&gateway, &exchange, &namespace, &topic, after).await?;
    let offer = Offer::check(&gateway, &mut exchange)?;
    // Behind the subscription, so that it gets its own event.
    let present = match &member {
        Some((id, meta)) => {
            let joined = gateway.platform.presence_join(&exchange.caller, &namespace, &topic, id, meta.as_deref());
            Some(joined.await?)
        }
        None => None,
    };
    let holder = Holder::of(&gateway, &exchange, namespace.clone());
    let (last, topic) = (after.filter(|_| resumed), Arc::from(topic));
    let listener =
        Listener { gateway, holder, namespace, topic, subscription, last, publishing: None, _present: present };
    Ok(offer.accept(SocketKind::Topic, MESSAGE_BYTES_MAX, move |mut socket, stopping| {
        if !resumed {
            socket.send(Frame::json(&json!({ "type": "cannot_resume", "topic": &*listener.topic })));
        }
        listener.run(socket, stopping)
    }))
}

/// A subscription behind `after`, or, with false, from now on when that cannot be.
async fn subscribe(
    gateway: &Gateway,
    exchange: &Exchange,
    namespace: &Namespace,
    topic: &str,
    after: Option<Position>,
) -> Result<(Subscription, bool), Error> {
    let subscribe = |since| gateway.platform.subscribe(&exchange.caller, namespace, topic, since);
    let Some(after) = after else { return Ok((subscribe(Since::Now).await?, true)) };
    match subscribe(Since::After(after)).await {
        Err(gone) if gone.code == ErrorCode::Conflict => Ok((subscribe(Since::Now).await?, false)),
        decided => Ok((decided?, true)),
    }
}

type Publishing = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

struct Listener {
    gateway: Arc<Gateway>,
    holder: Holder,
    namespace: Namespace,
    topic: Arc<str>,
    subscription: Subscription,
    /// The last message that the client was sent.
    last: Option<Position>,
    /// One at a time, so that the client's messages keep their order.
    publishing: Option<Publishing>,
    /// Until it is dropped, the client is on the topic.
    _present: Option<PresenceGuard>,
}

impl Listener {
    async fn run(mut self, mut socket: Socket, stopping: CancellationToken) {
        let over = self.talk(&mut socket, stopping).await;
        // Gone for the others before the closing handshake, which the client may draw out.
        drop(self);
        Box::pin(over.part(socket)).await;
    }

    async fn talk(&mut self, socket: &mut Socket, stopping: CancellationToken) -> Over {
        let mut stopped = pin!(stopping.cancelled());
        loop {
            let happened = tokio::select! {
                event = socket.next(self.publishing.is_none()) => match event {
                    Err(ended) => return Over::Theirs(ended),
                    Ok(Event::Message(received)) => self.said(socket, received),
                    Ok(Event::Tick) => self.check(),
                    Ok(Event::Room | Event::Due) => Ok(()),
                },
                message = self.subscription.next(), if socket.has_room() => self.came(socket, message),
                published = finished(&mut self.publishing) => {
                    self.publishing = None;
                    answer(socket, published);
                    Ok(())
                }
                () = &mut stopped => Err(Goodbye::restart()),
            };
            if let Err(goodbye) = happened {
                return Over::Ours(goodbye);
            }
        }
    }

    fn came(
        &mut self,
        socket: &mut Socket,
        message: Option<Result<Arc<Message>, SubscriptionEnd>>,
    ) -> Result<(), Goodbye> {
        match message {
            Some(Ok(message)) => {
                self.last = Some(message.position);
                socket.send(self.gateway.envelopes.frame_of(&message));
                Ok(())
            }
            Some(Err(SubscriptionEnd::TooSlow)) => {
                let behind = self.last.map_or_else(String::new, |last| format!(", resume behind {last}"));
                Err(Goodbye::new(POLICY, format!("too slow{behind}")))
            }
            Some(Err(SubscriptionEnd::Closed)) | None if self.gateway.platform.is_stopping() => Err(Goodbye::restart()),
            Some(Err(SubscriptionEnd::Closed)) | None => Err(Goodbye::new(GONE, "the topic is closed")),
        }
    }

    fn said(&mut self, socket: &mut Socket, received: Received) -> Result<(), Goodbye> {
        if received.text
            && let Some(control) = Control::of(&received.data)
        {
            socket.send(self.holder.obey(&control)?);
            return Ok(());
        }
        if is_heartbeat(&received.data) {
            return Ok(());
        }
        self.check()?;
        match self.holder.count() {
            Ok(()) => self.publishing = Some(self.publish(received)?),
            refused => answer(socket, refused),
        }
        Ok(())
    }

    fn publish(&mut self, received: Received) -> Result<Publishing, Goodbye> {
        let (gateway, caller) = (self.gateway.clone(), self.holder.caller()?);
        let (namespace, topic) = (self.namespace.clone(), self.topic.to_string());
        Ok(Box::pin(async move {
            let messages = vec![(topic, received.data.clone())];
            gateway.platform.publish(&caller, &namespace, messages).await.map(drop)
        }))
    }

    /// May the socket still be here?
    fn check(&mut self) -> Result<(), Goodbye> {
        match self.holder.caller()?.may(Scope::Pubsub, &self.namespace) {
            true => Ok(()),
            false => Err(Goodbye::new(FORBIDDEN, "the credential does not allow pub/sub any more")),
        }
    }
}

async fn finished(publishing: &mut Option<Publishing>) -> Result<(), Error> {
    match publishing {
        Some(publishing) => publishing.await,
        None => std::future::pending().await,
    }
}

/// A client hears only of messages that were not published.
fn answer(socket: &mut Socket, published: Result<(), Error>) {
    if let Err(error) = published {
        let refusal = json!({
            "type": "publish_error",
            "error": error.message,
            "code": error.code,
            "retryable": error.code.retryable(),
        });
        socket.send(Frame::json(&refusal));
    }
}

/// A JSON object whose `type` is `ping`: clients send it to keep a connection open.
pub(crate) fn is_heartbeat(data: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Typed<'a> {
        #[serde(rename = "type", borrow)]
        kind: std::borrow::Cow<'a, str>,
    }
    data.trim_ascii_start().starts_with(b"{")
        && memchr::memmem::find(data, b"ping").is_some()
        && serde_json::from_slice::<Typed<'_>>(data).is_ok_and(|typed| typed.kind == "ping")
}

#[cfg(test)]
mod tests {
    use super::is_heartbeat;

    #[test]
    fn only_an_object_of_the_type_ping_is_a_heartbeat() {
        for heartbeat in [r#"{"type":"ping"}"#, r#" { "a": [1], "type": "ping" }"#] {
            assert!(is_heartbeat(heartbeat.as_bytes()), "{heartbeat}");
        }
        for message in
            [r#"{"type":"pong"}"#, r#"{"type":{"type":"ping"}}"#, "ping", "", r#"{"type":"ping""#, r#"["ping"]"#]
        {
            assert!(!is_heartbeat(message.as_bytes()), "{message}");
        }
    }
}
