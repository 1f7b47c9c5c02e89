//! Requests and replies as the function and the client see them: as they were sent (RFC 9110, 7.6).
//!
//! Not passed on is only what concerns one connection alone, and a credential that opens something here. The HTTP library on
//! either side has lower-cased the names already, and adds the framing of its own connection.

use bytes::Bytes;
use domain::{HttpHead, ReplyHead};
use futures_util::StreamExt;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version, header};
use ports::{Body, Piece};

use super::ForwardedBody;
use crate::handlers::invoke::is_for_us;
use crate::reply::{Reply, ReplyBody};
use crate::{Gateway, credential, query};

/// What a body that nobody may read is drained of, in bytes.
const UNREAD_BYTES_MAX: usize = 64 << 10;

/// Does the client ask for another protocol on this connection?
pub(super) fn wants_upgrade(parts: &Parts) -> bool {
    parts.version == Version::HTTP_11
        && parts.headers.contains_key(header::UPGRADE)
        && tokens(&parts.headers).any(|token| token.eq_ignore_ascii_case("upgrade"))
}

/// The request as the function is to see it.
pub(super) fn head_of(gateway: &Gateway, parts: &Parts, upgrades: bool) -> HttpHead {
    let named = named_by_connection(&parts.headers);
    let passes = |name: &HeaderName, value: &HeaderValue| {
        let asks = upgrades && (name == header::UPGRADE || name == header::CONNECTION);
        asks || !(is_hop_by_hop(name) || named.contains(name) || is_for_us(gateway, name, value))
    };
    let headers = parts.headers.iter().filter(|(name, value)| passes(name, value));
    let mut headers: Vec<_> = headers.map(|(name, value)| pair(name.as_str(), value.as_bytes())).collect();
    if let Some(authority) = parts.uri.authority().filter(|_| !parts.headers.contains_key(header::HOST)) {
        // HTTP/2 names the host elsewhere (RFC 9113, 8.3.1).
        headers.insert(0, pair("host", authority.as_str().as_bytes()));
    }
    HttpHead { method: parts.method.as_str().to_owned(), target: target_of(gateway, parts), headers }
}

fn pair(name: &str, value: &[u8]) -> (Bytes, Bytes) {
    (Bytes::copy_from_slice(name.as_bytes()), Bytes::copy_from_slice(value))
}

/// Path and query as received, without a credential that opens something here.
fn target_of(gateway: &Gateway, parts: &Parts) -> String {
    let Some(target) = parts.uri.path_and_query() else { return "/".to_owned() };
    let ours = |name: &str, value: &str| ["api_key", "token"].contains(&name) && credential::is_ours(gateway, value);
    match target.query() {
        Some(all) if query::holds(all, ours) => match query::without(all, ours) {
            Some(rest) => format!("{}?{rest}", target.path()),
            None => target.path().to_owned(),
        },
        _ => target.as_str().to_owned(),
    }
}

/// The comma-separated words of all `Connection` lines.
fn tokens(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(header::CONNECTION).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    tokens(headers).filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok()).collect()
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    [header::CONNECTION, header::TE, header::TRANSFER_ENCODING, header::UPGRADE].contains(name)
        || ["keep-alive", "proxy-connection"].contains(&name.as_str())
}

/// The reply as the function made it. What HTTP cannot carry is left out: a value with a line break must not become a header of ours.
pub(super) async fn reply_of(head: ReplyHead, body: Body, method: &Method) -> Reply {
    let switches = head.status == StatusCode::SWITCHING_PROTOCOLS;
    let mut headers = HeaderMap::with_capacity(head.headers.len());
    for (name, value) in head.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(&name), HeaderValue::from_maybe_shared(value)) {
            headers.append(name, value);
        }
    }
    let named = named_by_connection(&headers);
    for name in named.into_iter().filter(|name| !(switches && name == header::UPGRADE)) {
        headers.remove(name);
    }
    for name in [header::TE, header::TRANSFER_ENCODING] {
        headers.remove(name);
    }
    for name in ["keep-alive", "proxy-connection"] {
        headers.remove(name);
    }
    headers.remove(header::CONNECTION);
    match switches {
        true => drop(headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"))),
        false => drop(headers.remove(header::UPGRADE)),
    }
    let status = StatusCode::from_u16(head.status).unwrap_or(StatusCode::OK);
    let body = match has_no_body(status, method) {
        true => unread(body, &mut headers, method).await,
        false => sent(body, &mut headers),
    };
    let mut reply = Response::new(body);
    (*reply.status_mut(), *reply.headers_mut()) = (status, headers);
    reply
}

fn has_no_body(status: StatusCode, method: &Method) -> bool {
    method == Method::HEAD || status.is_informational() || [204, 205, 304].contains(&status.as_u16())
}

fn sent(body: Body, headers: &mut HeaderMap) -> ReplyBody {
    match body {
        Body::Whole(bytes) => {
            // Counted, not believed: a wrong length would break the connection.
            headers.remove(header::CONTENT_LENGTH);
            bytes.into()
        }
        Body::Stream(pieces) => {
            if !is_one_length(headers) {
                headers.remove(header::CONTENT_LENGTH);
            }
            ForwardedBody::new(pieces).into()
        }
    }
}

fn is_one_length(headers: &HeaderMap) -> bool {
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    let first = lengths.next().and_then(|value| value.to_str().ok()).and_then(|text| text.parse::<u64>().ok());
    first.is_some() && lengths.next().is_none()
}

/// The body of a reply that has none on the wire: taken to its end, so that the call ends as it should, but no further than
/// anybody could mean. The length that the function named stands; without one, that of what it answered.
async fn unread(body: Body, headers: &mut HeaderMap, method: &Method) -> ReplyBody {
    let (mut length, mut pieces) = (0, body.into_stream());
    while let Some(Ok(piece)) = pieces.next().await {
        if let Piece::Data(bytes) = piece {
            length += bytes.len();
        }
        if length > UNREAD_BYTES_MAX {
            break;
        }
    }
    if !is_one_length(headers) {
        headers.remove(header::CONTENT_LENGTH);
        if method == Method::HEAD && (1..=UNREAD_BYTES_MAX).contains(&length) {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
    }
    ReplyBody::default()
}
