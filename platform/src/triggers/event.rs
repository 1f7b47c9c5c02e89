//! What triggered functions get, as JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::{Namespace, Timestamp, Topic};
use ports::{Change, Delivery, RowOperation};
use serde::Serialize;
use serde_json::value::RawValue;

/// A message of a topic.
#[derive(Serialize)]
struct Message<'a> {
    topic: &'a str,
    data: Data<'a>,
    namespace: &'a str,
    trigger_depth: u8,
    timestamp: i64,
    message_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Json(&'a RawValue),
    Text(&'a str),
}

/// The event of a message. What is no JSON is a text, in which bytes that are not UTF-8 are replaced, and base64.
pub(super) fn of_message(
    namespace: &Namespace,
    topic: &Topic,
    data: &[u8],
    depth: u8,
    now: Timestamp,
    id: &str,
) -> Bytes {
    let text = String::from_utf8_lossy(data);
    let json: Option<&RawValue> = std::str::from_utf8(data).ok().and_then(|text| serde_json::from_str(text).ok());
    write(&Message {
        topic: topic.as_str(),
        data: json.map_or(Data::Text(&text), Data::Json),
        namespace: namespace.as_str(),
        trigger_depth: depth,
        timestamp: now.as_second(),
        message_id: id,
        data_base64: json.is_none().then(|| STANDARD.encode(data)),
    })
}

/// A change of a table.
#[derive(Serialize)]
struct Row<'a> {
    table: &'a str,
    operation: &'static str,
    row: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_row: Option<&'a RawValue>,
    namespace: &'a str,
    timestamp: i64,
    trigger_depth: u8,
    change_id: i64,
}

/// The event of a change; `None` when its rows are no JSON, which is a fault of ours.
pub(super) fn of_change(namespace: &Namespace, change: &Change, depth: u8) -> Option<Bytes> {
    Some(write(&Row {
        table: &change.table,
        operation: match change.operation {
            RowOperation::Insert => "INSERT",
            RowOperation::Update => "UPDATE",
            RowOperation::Delete => "DELETE",
        },
        row: serde_json::from_str(&change.row).ok()?,
        old_row: change.old_row.as_deref().map(serde_json::from_str).transpose().ok()?,
        namespace: namespace.as_str(),
        timestamp: change.at_ms.div_euclid(1000),
        trigger_depth: depth,
        change_id: change.seq,
    }))
}

fn write(event: &impl Serialize) -> Bytes {
    serde_json::to_vec(event).expect("our own types have text keys, and serialize").into()
}

/// The input of a call for one delivery, or for several that were collected: each event with the id of its delivery, by which a
/// function can tell that it has seen it before.
pub(super) fn input_of(call: &[Delivery]) -> Bytes {
    match call {
        [one] if one.batch_max == 0 => with_id(one),
        collected => {
            let mut input = b"{\"batched\":true,\"events\":[".to_vec();
            for (place, delivery) in collected.iter().enumerate() {
                if place > 0 {
                    input.push(b',');
                }
                input.extend_from_slice(&with_id(delivery));
            }
            input.extend_from_slice(b"]}");
            input.into()
        }
    }
}

/// Only events of ours have an id written into them; the input of a job is its own.
fn with_id(delivery: &Delivery) -> Bytes {
    use domain::TriggerKind::{Database, Pubsub};
    match (delivery.kind, delivery.input.split_last()) {
        (Pubsub | Database, Some((b'}', fields))) => {
            let id = format!(",\"delivery_id\":\"{}\"}}", delivery.id);
            [fields, id.as_bytes()].concat().into()
        }
        _ => delivery.input.clone(),
    }
}

#[cfg(test)]
mod tests;
