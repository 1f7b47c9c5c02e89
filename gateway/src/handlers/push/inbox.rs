//! The messages that wait for the user who asks.

use std::sync::Arc;

use ports::InboxMessage;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::Gateway;
use crate::error::Answer;
use crate::exchange::Exchange;
use crate::reply;

const PAGE: usize = 100;

pub(crate) async fn inbox(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let after = exchange.after_id()?;
    let found = gateway.platform.inbox(&exchange.caller, after.as_deref(), exchange.limit(PAGE, PAGE)?).await?;
    let messages: Vec<Value> = found.iter().map(message_json).collect();
    let next = found.last().map(|message| message.id.as_str());
    Ok(reply::ok(&json!({ "count": messages.len(), "messages": messages, "next": next })))
}

fn message_json(message: &InboxMessage) -> Value {
    let content: Option<&RawValue> = serde_json::from_str(&message.message).ok();
    json!({
        "id": message.id,
        "message": content,
        "created_at": message.created_at,
        "expires_at": message.expires_at,
    })
}

pub(crate) async fn delete_message(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    gateway.platform.delete_from_inbox(&exchange.caller, &exchange.capture(0)?).await?;
    Ok(reply::ok(&json!({ "status": "ok" })))
}
