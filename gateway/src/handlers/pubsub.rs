//! Topics by HTTP: publishing, what topics there are, and Server-Sent Events (`events.rs`).

mod events;

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::{Error, ErrorCode, Namespace, Position, TOPIC_BYTES_MAX, Topic};
use http::{HeaderName, HeaderValue, StatusCode, header};
use ports::{
    MESSAGE_BYTES_MAX, PUBLISH_BATCH_MAX, SUBSCRIBER_BURST_MAX, SUBSCRIBER_BYTES_MAX, SUBSCRIBER_LAG_MAX,
    SUBSCRIBER_MESSAGES_MAX, Since, TopicView,
};
use serde_json::{Value, json};

use crate::document::Document;
use crate::error::{Answer, Refusal};
use crate::exchange::Exchange;
use crate::reply::{self, ReplyBody};
use crate::{Gateway, credential, query};
use events::{Events, Heard, Reader};

/// The largest body of one message: the largest message in base64, and room for what stands around it.
const PUBLISH_BODY_BYTES_MAX: usize = MESSAGE_BYTES_MAX / 3 * 4 + (64 << 10);
const BATCH_BODY_BYTES_MAX: usize = 16 << 20;
/// The most topics of one stream of events.
const TOPICS_PER_STREAM_MAX: usize = 32;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Proxies that gather replies before they send them on are told not to.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

pub(crate) async fn publish(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let namespace = permitted(&gateway, &exchange)?;
    let body = exchange.receive(&gateway, PUBLISH_BODY_BYTES_MAX).await?;
    let message = message_of(Document::parse(&body)?, "expected {topic,data_base64}")?;
    drop(body);
    let positions = gateway.platform.publish(&exchange.caller, &namespace, vec![message]).await?;
    Ok(reply::ok(&json!({ "status": "ok", "position": positions.first().map(Position::to_string) })))
}

pub(crate) async fn publish_batch(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let namespace = permitted(&gateway, &exchange)?;
    let body = exchange.receive(&gateway, BATCH_BODY_BYTES_MAX).await?;
    let document = Document::parse(&body)?.only(&["messages", "best_effort"])?;
    let best_effort = document.boolean("best_effort")?.unwrap_or(false);
    let documents = document.objects("messages")?;
    if documents.is_empty() || documents.len() > PUBLISH_BATCH_MAX {
        return Err(Refusal::invalid(format!(
            "invalid body: expected {{messages:[{{topic,data_base64}}]}} with 1 to {PUBLISH_BATCH_MAX} messages"
        )));
    }
    let messages: Vec<_> = documents.into_iter().map(|each| message_of(each, "expected {topic,data_base64}")).collect();
    match best_effort {
        true => publish_each(&gateway, &exchange, &namespace, messages).await,
        false => publish_all(&gateway, &exchange, &namespace, messages).await,
    }
}

type Message = (String, Bytes);

/// All of them, or none.
async fn publish_all(
    gateway: &Gateway,
    exchange: &Exchange,
    namespace: &Namespace,
    messages: Vec<Result<Message, Refusal>>,
) -> Answer {
    let numbered = |(index, message): (usize, Result<Message, Refusal>)| {
        message
            .map_err(|refusal| Refusal::invalid(format!("message {} of the batch: {}", index + 1, refusal.message())))
    };
    let messages: Vec<Message> = messages.into_iter().enumerate().map(numbered).collect::<Result<_, _>>()?;
    let positions = gateway.platform.publish(&exchange.caller, namespace, messages).await?;
    let positions: Vec<String> = positions.iter().map(Position::to_string).collect();
    Ok(reply::ok(&json!({ "status": "ok", "positions": positions })))
}

/// Those that can be; the reply says what became of the others.
async fn publish_each(
    gateway: &Gateway,
    exchange: &Exchange,
    namespace: &Namespace,
    messages: Vec<Result<Message, Refusal>>,
) -> Answer {
    let readable = messages.iter().filter_map(|message| message.as_ref().ok().cloned()).collect();
    let mut published = gateway.platform.publish_each(&exchange.caller, namespace, readable).await?.into_iter();
    let (mut positions, mut failed) = (Vec::new(), Vec::new());
    for (index, message) in messages.into_iter().enumerate() {
        let refused = match message.map(|_| published.next()) {
            Ok(Some(Ok(position))) => {
                positions.push(json!(position.to_string()));
                continue;
            }
            Ok(Some(Err(error))) => (error.code, error.message),
            Ok(None) => (ErrorCode::Internal, "it was not published".to_owned()),
            Err(refusal) => (refusal.code(), refusal.message().to_owned()),
        };
        positions.push(Value::Null);
        failed.push(json!({ "index": index, "code": refused.0, "message": refused.1 }));
    }
    let status = if failed.is_empty() { "ok" } else { "partial" };
    Ok(reply::ok(&json!({ "status": status, "positions": positions, "failed": failed })))
}

/// A message as it was sent. One without any bytes can only come over a WebSocket, where it is no slip.
fn message_of(document: Document<'_>, expected: &str) -> Result<Message, Refusal> {
    let document = document.only(&["topic", "data_base64"])?;
    let (topic, data) = (document.text_or_empty("topic")?, document.text_or_empty("data_base64")?);
    if topic.is_empty() || data.is_empty() {
        return Err(Refusal::invalid(format!("invalid body: {expected}")));
    }
    let data = STANDARD.decode(data).map_err(|_| Refusal::invalid("`data_base64` is not base64"))?;
    Ok((topic, data.into()))
}

pub(crate) async fn topics(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let views = gateway.platform.topics(&exchange.caller, &exchange.managed_namespace()?)?;
    let names: Vec<&str> = views.iter().map(|view| view.topic.as_str()).collect();
    let details: Vec<Value> = views.iter().map(detail).collect();
    Ok(reply::ok(&json!({ "topics": names, "details": details, "count": views.len() })))
}

fn detail(view: &TopicView) -> Value {
    let TopicView { topic, subscribers, last, history } = view;
    json!({ "topic": topic, "subscribers": subscribers, "position": last.to_string(), "history": history })
}

/// The messages of topics as they come, from now on or from behind what the client has seen.
pub(crate) async fn sse(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let namespace = permitted(&gateway, &exchange)?;
    let topics = topics_of(&exchange)?;
    let after = seen_by(&exchange, topics.len())?;
    let mut heard = Vec::with_capacity(topics.len());
    for (index, topic) in topics.into_iter().enumerate() {
        let after = after.as_ref().map(|after| after[index]);
        heard.push(listen(&gateway, &exchange, &namespace, topic, after).await?);
    }
    // Asked for again at each ping: a credential may end before the client does.
    let credential = credential::valid_one(&gateway, &exchange.parts)
        .ok_or_else(|| Error::new(ErrorCode::Unauthorized, "the credential has ended"))?;
    let events = Events::of(Reader { gateway, credential, namespace }, heard);
    let mut reply = reply::of(StatusCode::OK, EVENT_STREAM, ReplyBody::of_stream(events));
    reply.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply.headers_mut().insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(reply)
}

async fn listen(
    gateway: &Gateway,
    exchange: &Exchange,
    namespace: &Namespace,
    topic: Topic,
    after: Option<Position>,
) -> Result<Heard, Error> {
    let (platform, caller) = (&gateway.platform, &exchange.caller);
    let subscribe = async |since| platform.subscribe(caller, namespace, topic.as_str(), since).await;
    let resumed = match after {
        None => return Ok(Heard::new(subscribe(Since::Now).await?, topic, None)),
        Some(after) => subscribe(Since::After(after)).await,
    };
    match resumed {
        Ok(subscription) => Ok(Heard::new(subscription, topic, None)),
        // It goes on with what comes, and the client is told what it has missed.
        Err(error) if error.code == ErrorCode::Conflict => Ok(Heard::new(subscribe(Since::Now).await?, topic, after)),
        Err(error) => Err(error),
    }
}

/// Each topic of the query, once.
fn topics_of(exchange: &Exchange) -> Result<Vec<Topic>, Refusal> {
    let mut topics: Vec<Topic> = Vec::new();
    for named in query::values(exchange.parts.uri.query(), "topic") {
        let named = named.ok_or_else(|| Refusal::invalid("`topic` has an escape that is not UTF-8 text"))?;
        let topic = Topic::parse(&named).map_err(|refused| Refusal::invalid(refused.to_string()))?;
        if !topics.contains(&topic) {
            topics.push(topic);
        }
    }
    match topics.len() {
        0 => Err(Refusal::invalid("missing 'topic'")),
        1..=TOPICS_PER_STREAM_MAX => Ok(topics),
        count => Err(Refusal::invalid(format!("{count} topics are too many, the limit is {TOPICS_PER_STREAM_MAX}"))),
    }
}

/// What the client has seen of each topic: the id of the last event that it had. Browsers send the header when they come back, while
/// the query stays as it was.
fn seen_by(exchange: &Exchange, topics: usize) -> Result<Option<Vec<Position>>, Refusal> {
    let header = exchange.header(LAST_EVENT_ID).map(Cow::Borrowed);
    let Some(id) = header.or_else(|| exchange.query("after")).filter(|id| !id.is_empty()) else { return Ok(None) };
    let positions: Result<Vec<Position>, _> = id.split(',').map(str::parse).collect();
    let positions = positions.map_err(|refused| Refusal::invalid(refused.to_string()))?;
    match positions.len() == topics {
        true => Ok(Some(positions)),
        false => {
            Err(Refusal::invalid("`Last-Event-ID` or `after` must have a position for each topic, with commas between"))
        }
    }
}

/// The namespace whose topics the request is about. Asked before the body is read: who may not shall not fill our memory.
fn permitted(gateway: &Gateway, exchange: &Exchange) -> Result<Namespace, Refusal> {
    let namespace = exchange.managed_namespace()?;
    gateway.platform.may_use_topics(&exchange.caller, &namespace)?;
    Ok(namespace)
}

/// What `GET /v1/limits` says.
pub(super) fn limits() -> Value {
    json!({
        "topic_bytes": TOPIC_BYTES_MAX,
        "message_bytes": MESSAGE_BYTES_MAX,
        "batch_messages": PUBLISH_BATCH_MAX,
        "batch_body_bytes": BATCH_BODY_BYTES_MAX,
        "subscriber_messages": SUBSCRIBER_MESSAGES_MAX,
        "subscriber_lag_seconds": SUBSCRIBER_LAG_MAX.as_secs_f64(),
        "subscriber_burst_messages": SUBSCRIBER_BURST_MAX,
        "subscriber_bytes": SUBSCRIBER_BYTES_MAX,
        "topics_per_stream": TOPICS_PER_STREAM_MAX,
    })
}
