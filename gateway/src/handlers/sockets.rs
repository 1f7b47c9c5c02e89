//! What is said over WebSockets, and the list of those that are open.
//!
//! `pubsub.rs` is one topic, with the messages of `envelope.rs`; `function.rs` is a conversation with a function, in the words of `words.rs`.
//! The protocol itself is in `crate::websocket`.

mod envelope;
mod function;
mod pubsub;
mod words;

use std::sync::Arc;

use platform::SocketView;
use serde_json::{Value, json};

use crate::Gateway;
use crate::error::Answer;
use crate::exchange::Exchange;
use crate::reply;
use crate::websocket::{Ended, Goodbye, Socket, SocketConfig};

pub(crate) use envelope::Envelopes;
pub(crate) use function::open;
pub(crate) use pubsub::{is_heartbeat, listen, presence};

pub(crate) async fn list(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let sockets = gateway.platform.sockets(&exchange.caller, &exchange.managed_namespace()?)?;
    let shown: Vec<Value> = sockets.iter().map(view).collect();
    Ok(reply::ok(&json!({ "connections": shown, "count": shown.len() })))
}

pub(crate) async fn get(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let id = exchange.capture(0)?;
    let socket = gateway.platform.socket(&exchange.caller, &exchange.managed_namespace()?, &id)?;
    Ok(reply::ok(&view(&socket)))
}

pub(crate) async fn close(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let id = exchange.capture(0)?;
    gateway.platform.close_socket(&exchange.caller, &exchange.managed_namespace()?, &id)?;
    Ok(reply::ok(&json!({ "message": "WebSocket closed" })))
}

/// What `GET /v1/limits` tells.
pub(crate) fn limits(sockets: &SocketConfig) -> Value {
    json!({
        "message_bytes": ports::MESSAGE_BYTES_MAX,
        "ping_seconds": sockets.ping.as_secs_f64(),
        "pong_wait_seconds": sockets.pong_wait.as_secs_f64(),
        "message_seconds": sockets.message.as_secs_f64(),
        "write_seconds": sockets.write.as_secs_f64(),
    })
}

fn view(socket: &SocketView) -> Value {
    let mut shown = json!({
        "client_id": &*socket.client_id,
        "function": socket.function.as_str(),
        "persistent": socket.version.is_some(),
        "connected_at": socket.connected_at.to_string(),
        "remote_address": socket.address.to_string(),
        "bridges": socket.bridges,
        "frames_in": socket.frames_in,
        "bytes_in": socket.bytes_in,
        "frames_out": socket.frames_out,
        "bytes_out": socket.bytes_out,
    });
    if let Some(version) = socket.version {
        shown["version"] = json!(version);
    }
    if !socket.wallet.is_empty() {
        shown["wallet"] = json!(socket.wallet);
    }
    shown
}

/// How a conversation is over.
#[derive(Debug)]
enum Over {
    /// The client went, or did what it must not.
    Theirs(Ended),
    Ours(Goodbye),
}

impl Over {
    /// Ends the socket accordingly.
    async fn part(self, socket: Socket) {
        match self {
            Self::Theirs(ended) => socket.end(&ended).await,
            Self::Ours(goodbye) => socket.close(&goodbye).await,
        }
    }
}
