//! From a request to a socket: what a client must say (RFC 6455, section 4.2.1), and how the connection changes hands.
//!
//! A handler answers with [`Offer::accept`], which puts what is to be done with the socket beside the reply. The edge finds it there,
//! waits until the reply is sent, takes the stream back from the HTTP library, and runs it in the place of the connection.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::Error;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use hyper::upgrade::OnUpgrade;
use tokio_util::sync::CancellationToken;
use tungstenite::handshake::derive_accept_key;

use super::counts::{Counted, SocketKind};
use super::origin;
use super::socket::Socket;
use crate::Gateway;
use crate::edge::{Place, Transport};
use crate::error::Refusal;
use crate::exchange::Exchange;
use crate::reply::{self, Reply};

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
/// A key is 16 random bytes.
const KEY_BYTES: usize = 16;

/// A request that asks for a socket as it should, from an origin that may.
pub(crate) struct Offer {
    gateway: Arc<Gateway>,
    on_upgrade: OnUpgrade,
    accept_key: HeaderValue,
}

/// The connection after the reply.
pub(crate) struct Switched {
    pub(crate) transport: Transport,
    /// What the client sent before it had our answer.
    pub(crate) early: Bytes,
    pub(crate) place: Place,
    /// The server stops.
    pub(crate) stopping: CancellationToken,
}

type Run = Box<dyn FnOnce(Switched) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// What is to be done with a connection once the reply is sent.
pub(crate) struct Next {
    pub(crate) on_upgrade: OnUpgrade,
    pub(crate) run: Run,
}

/// Beside a reply; taken out once.
#[derive(Clone)]
struct Slot(Arc<Mutex<Option<Next>>>);

impl Next {
    pub(crate) fn of(reply: &mut Reply) -> Option<Self> {
        let Slot(slot) = reply.extensions_mut().remove()?;
        slot.lock().expect("no holder panics").take()
    }

    /// Puts it beside the reply that accepts.
    pub(crate) fn beside(self, reply: &mut Reply) {
        reply.extensions_mut().insert(Slot(Arc::new(Mutex::new(Some(self)))));
    }
}

impl Offer {
    /// Checks everything that does not depend on what the socket is for. Asked last: a mistake in the request itself says more.
    pub(crate) fn check(gateway: &Arc<Gateway>, exchange: &mut Exchange) -> Result<Self, Refusal> {
        origin::check(&exchange.parts.headers, exchange.peer(), &gateway.config)?;
        let parts = &mut exchange.parts;
        if parts.method != Method::GET {
            return Err(Refusal::method_not_allowed(&parts.method, &[Method::GET]));
        }
        let asks = has_token(&parts.headers, header::UPGRADE, "websocket")
            && has_token(&parts.headers, header::CONNECTION, "upgrade");
        let on_upgrade = parts.extensions.remove::<OnUpgrade>();
        let (true, Version::HTTP_11, Some(on_upgrade)) = (asks, parts.version, on_upgrade) else {
            return Err(upgrade_required("this is a WebSocket; ask for it over HTTP/1.1 with `Upgrade: websocket`"));
        };
        if single(&parts.headers, header::SEC_WEBSOCKET_VERSION) != Some("13") {
            return Err(upgrade_required("`Sec-WebSocket-Version` must be 13"));
        }
        if has_body(&parts.headers) {
            return Err(Refusal::invalid("a request for a WebSocket has no body").close());
        }
        check_protocols(&parts.headers)?;
        let accept_key = accept_key(&parts.headers)?;
        Ok(Self { gateway: gateway.clone(), on_upgrade, accept_key })
    }

    /// Accepts. `run` gets the socket when the reply is sent; if that fails, what it holds is dropped.
    pub(crate) fn accept<F>(
        self,
        kind: SocketKind,
        message_bytes_max: usize,
        run: impl FnOnce(Socket, CancellationToken) -> F + Send + 'static,
    ) -> Reply
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Self { gateway, on_upgrade, accept_key } = self;
        let run: Run = Box::new(move |switched| {
            let Switched { transport, early, place, stopping } = switched;
            let (config, room) = (gateway.config.sockets.clone(), gateway.message_room.clone());
            let counted = Counted::new(gateway.metrics.sockets.clone(), kind);
            let socket = Socket::new((transport, early, place), message_bytes_max, config, room, counted);
            Box::pin(run(socket, stopping))
        });
        let mut reply = Reply::default();
        *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        reply.headers_mut().insert(header::UPGRADE, WEBSOCKET);
        reply.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        reply.headers_mut().insert(header::SEC_WEBSOCKET_ACCEPT, accept_key);
        Next { on_upgrade, run }.beside(&mut reply);
        reply
    }
}

fn upgrade_required(message: &str) -> Refusal {
    Refusal::with_status(StatusCode::UPGRADE_REQUIRED, Error::invalid(message))
}

/// Is `token` among the comma-separated values of a header, in any case?
fn has_token(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|value| value.trim().eq_ignore_ascii_case(token))
}

/// The value of a header that stands there once.
fn single(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next()?.to_str().ok()?;
    lines.next().is_none().then_some(first.trim())
}

fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH);
    headers.contains_key(header::TRANSFER_ENCODING) || length.is_some_and(|length| length.as_bytes() != b"0")
}

/// We speak none, so that none is chosen; a list that is none is refused.
fn check_protocols(headers: &HeaderMap) -> Result<(), Refusal> {
    let is_token = |text: &str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        !text.is_empty() && text.bytes().all(allowed)
    };
    let is_list =
        |line: &HeaderValue| line.to_str().is_ok_and(|line| line.split(',').all(|name| is_token(name.trim())));
    match headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().all(is_list) {
        true => Ok(()),
        false => Err(Refusal::invalid("`Sec-WebSocket-Protocol` is not a list of names")),
    }
}

fn accept_key(headers: &HeaderMap) -> Result<HeaderValue, Refusal> {
    let key = single(headers, header::SEC_WEBSOCKET_KEY);
    let key = key.filter(|key| STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == KEY_BYTES));
    let key = key.ok_or_else(|| Refusal::invalid("`Sec-WebSocket-Key` must be 16 bytes in base64, once"))?;
    Ok(reply::text_value(&derive_accept_key(key.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn the_answer_to_a_key_is_that_of_the_standard() {
        let sample = headers(&[("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")]);
        assert_eq!(accept_key(&sample).expect("a key"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        for wrong in ["", "dGhl", "dGhlIHNhbXBsZSBub25jZQ", "!"] {
            assert!(accept_key(&headers(&[("sec-websocket-key", wrong)])).is_err(), "{wrong}");
        }
        let twice = [("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="); 2];
        assert!(accept_key(&headers(&twice)).is_err());
    }

    #[test]
    fn tokens_are_found_in_lists_and_protocols_must_be_such() {
        let both = headers(&[("connection", "keep-alive, UPGRADE")]);
        assert!(has_token(&both, header::CONNECTION, "upgrade") && !has_token(&both, header::CONNECTION, "up"));
        for (list, good) in [("chat, v2.x", true), ("", false), ("a b", false), ("a,,b", false), ("a;b", false)] {
            let lines = headers(&[("sec-websocket-protocol", list)]);
            assert_eq!(check_protocols(&lines).is_ok(), good, "{list}");
        }
    }
}
