//! Replies, and the headers that all of them carry.

mod stream;

use std::time::Duration;

use bytes::Bytes;
use domain::RequestId;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use platform::RateLeft;
use serde::Serialize;

pub use stream::{BrokenOff, ReplyBody};

pub type Reply = Response<ReplyBody>;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(crate) const DURATION_MS: HeaderName = HeaderName::from_static("x-duration-ms");
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(crate) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

pub(crate) fn of(status: StatusCode, content_type: HeaderValue, body: impl Into<ReplyBody>) -> Reply {
    let mut reply = Response::new(body.into());
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, content_type);
    reply
}

pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Reply {
    let body = serde_json::to_vec(value).expect("our own values have text keys and serialize");
    of(status, JSON, Bytes::from(body))
}

pub(crate) fn ok(value: &impl Serialize) -> Reply {
    json(StatusCode::OK, value)
}

pub(crate) fn created(value: &impl Serialize) -> Reply {
    json(StatusCode::CREATED, value)
}

/// A header value of a text that we composed ourselves.
pub(crate) fn text_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("the text is visible ASCII")
}

/// The answer to every `OPTIONS`: any origin may call, with the headers that the API reads.
pub(crate) fn preflight() -> Reply {
    let mut reply = Reply::default();
    *reply.status_mut() = StatusCode::NO_CONTENT;
    let headers = reply.headers_mut();
    let methods = HeaderValue::from_static("GET, PUT, POST, DELETE, OPTIONS");
    let names = HeaderValue::from_static(
        "Content-Type, Authorization, X-API-Key, Idempotency-Key, X-Namespace, X-Request-ID, traceparent, Range, \
         If-Range, If-None-Match, Last-Event-ID",
    );
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    reply
}

/// What scripts of other origins may read, beside the headers that every browser lets them read.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "X-Request-ID, X-Duration-Ms, Retry-After, RateLimit, RateLimit-Policy, RateLimit-Limit, RateLimit-Remaining, \
     RateLimit-Reset, ETag, Content-Range, Accept-Ranges, Content-Disposition",
);

/// What every reply carries. A function that answers with its own origin rule or request id keeps the first, not the second.
pub(crate) fn add_common_headers(reply: &mut Reply, request_id: &RequestId) {
    let headers = reply.headers_mut();
    if !headers.contains_key(REQUEST_ID) {
        headers.insert(REQUEST_ID, text_value(request_id.as_str()));
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
}

/// What the reply to a call carries.
pub(crate) fn add_call_headers(reply: &mut Reply, request_id: &RequestId, duration: Duration) {
    let headers = reply.headers_mut();
    headers.insert(REQUEST_ID, text_value(request_id.as_str()));
    headers.insert(DURATION_MS, HeaderValue::from(duration.as_millis() as u64));
}

/// What is left of a limit: in the three fields that most clients read, and in the two of the present draft
/// (draft-ietf-httpapi-ratelimit-headers).
pub(crate) fn add_rate_headers(headers: &mut HeaderMap, left: &RateLeft) {
    let RateLeft { limit, remaining, reset } = *left;
    let seconds = whole_seconds(reset);
    headers.insert("ratelimit-limit", HeaderValue::from(limit));
    headers.insert("ratelimit-remaining", HeaderValue::from(remaining));
    headers.insert("ratelimit-reset", HeaderValue::from(seconds));
    headers.insert("ratelimit-policy", text_value(&format!("\"minute\";q={limit};w=60")));
    headers.insert("ratelimit", text_value(&format!("\"minute\";r={remaining};t={seconds}")));
}

/// The same when nothing is left, and only the wait is known.
pub(crate) fn add_exhausted_headers(headers: &mut HeaderMap, wait: Duration) {
    let seconds = whole_seconds(wait);
    headers.insert("ratelimit-remaining", HeaderValue::from(0));
    headers.insert("ratelimit-reset", HeaderValue::from(seconds));
    headers.insert("ratelimit", text_value(&format!("\"minute\";r=0;t={seconds}")));
}

/// Rounded up: whoever waits so long has waited long enough.
fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

/// Keeps the head of a reply, and the length that its body had: the reply to `HEAD`.
pub(crate) fn without_body(reply: &mut Reply) {
    use http_body::Body;
    if let Some(length) = reply.body().size_hint().exact() {
        reply.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    *reply.body_mut() = ReplyBody::default();
}
