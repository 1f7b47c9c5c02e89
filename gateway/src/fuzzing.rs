//! The parsers of this crate, as the fuzz targets in `fuzz/` call them. Public only because those and the replay of their
//! corpus stand outside of the crate; nothing else may use it.

use domain::Timestamp;
use domain::fuzzing::Target;
use http::{HeaderMap, HeaderValue};

use crate::document::Document;
use crate::edge::framing::{Framing, Position};
use crate::handlers::cache::values::{compact, parse_ttl, same, shown};
use crate::handlers::database::select::{self, Query};
use crate::handlers::logs::parse_since;
use crate::handlers::sockets::is_heartbeat;
use crate::handlers::storage::range::{self, Wanted};
use crate::hosts::{Site, site_of};
use crate::websocket::{Boundary, Control};
use crate::{ids, query, reply};

/// Every target of this crate.
pub const TARGETS: &[Target] = &[
    ("data_requests", data_requests),
    ("host_name", host_name),
    ("http_framing", http_framing),
    ("traceparent_and_since", traceparent_and_since),
    ("websocket_frames", websocket_frames),
];

/// The host of a request, on a node with a base domain: a base, a line feed, a host.
pub fn host_name(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (base, host) = text.split_once('\n').unwrap_or(("apps.test", &text));
    match site_of(host, base) {
        Site::Function { namespace, function } => assert!(!namespace.is_empty() && !function.is_empty(), "{host}"),
        Site::NamespaceApi(namespace) => assert!(host.contains(namespace), "{host}"),
        Site::Hash(hash) => {
            let label = host.split('.').next().unwrap_or_default().to_ascii_uppercase();
            assert_eq!(domain::oyster::label_of_hash(&hash), label, "a hash has one label");
        }
        Site::Api | Site::NoHash(_) | Site::Nothing => {}
    }
}

/// What clients send about their data: a JSON body as a query and as a cached value; a text as a time to live, a range of
/// bytes and a CREATE TABLE statement.
pub fn data_requests(data: &[u8]) {
    if let Ok(document) = Document::parse(data) {
        composed_query(&document);
        cached_value(&document);
        let _ = document.only(&["dmap", "key", "value", "ttl"]);
    }
    let text = String::from_utf8_lossy(data);
    if let Ok(Some(ttl)) = parse_ttl(&text) {
        assert!(!ttl.is_zero(), "{text}");
    }
    byte_range(&text);
    let _ = select::created_table(&text);
    if let Ok(quoted) = select::quoted(&text) {
        assert_eq!(quoted.matches('"').count(), 2, "{quoted}");
    }
}

/// A query of criteria has a place for each of its arguments, whatever the criteria are called.
fn composed_query(document: &Document<'_>) {
    let _ = Query::of_parts(document);
    let fragments = ["select", "group_by", "order_by", "joins", "options"];
    if let Ok(query) = Query::of_criteria(document)
        && fragments.iter().all(|part| document.raw(part).is_none())
    {
        let statement = query.statement();
        assert_eq!(statement.sql.matches('?').count(), statement.arguments.len(), "{}", statement.sql);
    }
}

/// What is kept is JSON again, means the same, and does not change when it is kept once more.
fn cached_value(document: &Document<'_>) {
    let Some(value) = document.raw("value") else { return };
    let kept = compact(value);
    let shown = shown(&kept);
    assert_eq!(compact(&shown), kept);
    assert!(same(&shown, value));
}

fn byte_range(text: &str) {
    for size in [0, 1, 700_000, u64::MAX] {
        if let Wanted::Part { start, end } = range::parse(text, size) {
            assert!(start < end && end <= size, "{start}..{end} of {size}");
        }
    }
}

/// A connection is read the same in whatever pieces it arrives.
pub fn http_framing(data: &[u8]) {
    let whole = follow(data, data.len().max(1));
    for piece in [1, 2, 7] {
        assert_eq!(follow(data, piece), whole, "in pieces of {piece}");
    }
}

fn follow(data: &[u8], piece: usize) -> (Option<u64>, u64, Position) {
    let mut framing = Framing::default();
    let mut ambiguous = None;
    for bytes in data.chunks(piece) {
        ambiguous = ambiguous.or(framing.feed(bytes));
    }
    (ambiguous, framing.heads_seen(), framing.position())
}

/// Frames of a client are told apart the same in whatever pieces they arrive, and every message is looked at for what is meant
/// for us.
pub fn websocket_frames(data: &[u8]) {
    let whole = boundaries(data, data.len().max(1));
    for piece in [1, 2, 7] {
        assert_eq!(boundaries(data, piece), whole, "in pieces of {piece}");
    }
    if Control::of(data).is_some() || is_heartbeat(data) {
        assert!(data.trim_ascii_start().starts_with(b"{"), "only an object is meant for us");
    }
}

fn boundaries(data: &[u8], piece: usize) -> (Vec<(bool, u32, u64)>, bool) {
    let (mut boundary, mut heads) = (Boundary::default(), Vec::new());
    for bytes in data.chunks(piece) {
        boundary.feed(bytes, |head| heads.push((head.control, head.frames, head.bytes)));
    }
    (heads, boundary.at_rest())
}

/// What clients send to name a request or a time, as a header and as a query.
pub fn traceparent_and_since(data: &[u8]) {
    if let Ok(value) = HeaderValue::from_bytes(data) {
        request_headers(&value);
    }
    let text = String::from_utf8_lossy(data);
    query_parts(&text);
    since(&text);
    since(&query::value(Some(&text), "since").unwrap_or_default());
}

fn request_headers(value: &HeaderValue) {
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", value.clone());
    headers.insert("idempotency-key", value.clone());
    headers.insert(reply::REQUEST_ID, value.clone());
    assert!(ids::trace_id(&headers).is_none_or(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())));
    assert!(ids::client_request_id(&headers).is_none_or(|id| (1..=128).contains(&id.len())));
    if let Ok(Some(key)) = ids::idempotency_key(&headers) {
        assert!((1..=255).contains(&key.len()));
    }
}

fn query_parts(text: &str) {
    assert!(query::segment(text).is_none_or(|decoded| decoded.len() <= text.len()));
    query::switch(Some(text), "dry_run");
    let kept = query::without(text, |name, _value| name == "api_key");
    assert!(kept.is_none_or(|kept| query::value(Some(&kept), "api_key").is_none()));
}

/// A time that is accepted can be written down and read again.
fn since(text: &str) {
    let now = Timestamp::from_second(1_800_000_000).expect("a time of this century");
    if let Ok(time) = parse_since(text, now) {
        assert_eq!(time.to_string().parse::<Timestamp>().ok(), Some(time));
    }
}
