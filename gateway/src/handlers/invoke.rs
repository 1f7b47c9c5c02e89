//! A call by HTTP: the hot path.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::{Error, ErrorCode, FunctionRef, HttpHead, Namespace, ReplyHead, RequestId, TriggerKind};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};
use platform::{Cause, Exchanged, Invoke, Outcome, RateLeft, Success};
use serde::Serialize;

use crate::credential;
use crate::error::{Answer, Refusal};
use crate::exchange::{Exchange, parse_namespace};
use crate::reply::{self, Reply, ReplyBody};
use crate::{Gateway, ids, query};

/// The four paths by which a function is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `/v1/invoke/{namespace}/{function}`
    Namespaced,
    /// `/v1/invoke/{namespace}/{function}/{*path}`
    NamespacedPath,
    /// `/v1/functions/{function}/invoke`
    Plain,
    /// `/v1/functions/{function}/invoke/{*path}`
    PlainPath,
}

impl Form {
    /// Which capture is the path below the function's root.
    fn path_capture(self) -> Option<usize> {
        match self {
            Form::Namespaced | Form::Plain => None,
            Form::NamespacedPath => Some(2),
            Form::PlainPath => Some(1),
        }
    }
}

/// `left` is what is left of the caller's own limit; the namespace that is called may have less.
pub(crate) async fn invoke(
    gateway: &Gateway,
    mut exchange: Exchange,
    form: Form,
    left: &mut Option<RateLeft>,
) -> Answer {
    let (namespace, function) = target(&exchange, form)?;
    let allowed = gateway.platform.may_call(&namespace, &function, &exchange.caller);
    let http = match &allowed {
        Ok(()) if gateway.platform.wants_http(&namespace, &function) => {
            Some(Arc::new(head_of(gateway, &exchange, form)))
        }
        _ if exchange.parts.method == Method::OPTIONS => return Ok(reply::preflight()),
        // To a stranger every function is one that is not there: an ordinary one.
        Err(refused) if refused.code != ErrorCode::NotFound => None,
        _ => plain_call(&exchange, form).map(|()| None)?,
    };
    // Before the body is read: who may not call shall not fill our memory.
    allowed?;
    count_from_elsewhere(gateway, &exchange, &namespace, left)?;
    let limit = gateway.platform.config().limits.input_bytes_max;
    let _room = gateway.body_room(exchange.body.declared(), limit).await?;
    let idempotency_key = ids::idempotency_key(&exchange.parts.headers)?;
    let input = exchange.body.read_all(limit).await?;
    let invoke = Invoke {
        request_id: exchange.request_id,
        namespace,
        function,
        caller: exchange.caller,
        trigger: TriggerKind::Http,
        cause: Cause::default(),
        http,
        client_request_id: ids::client_request_id(&exchange.parts.headers),
        trace_id: ids::trace_id(&exchange.parts.headers),
        idempotency_key,
        input,
    };
    let (timestamp, request_body) = (gateway.platform.signing_time(), invoke.input.clone());
    let outcome = gateway.platform.invoke(invoke).await;
    let signed = outcome.version.clone().filter(|version| version.manifest.sign).map(|version| Exchanged {
        request_id: outcome.request_id.clone(),
        version,
        timestamp,
        method: exchange.parts.method.as_str().to_owned(),
        target: exchange.parts.uri.path_and_query().map_or_else(String::new, |target| target.as_str().to_owned()),
        host: host_of(&exchange.parts),
        kept_query: kept_query(gateway, &exchange.parts),
        request_body,
        status: 0,
        reply_body: Bytes::new(),
    });
    let replayed = outcome.replayed;
    let reply = answer(outcome)?;
    match signed {
        Some(exchanged) => sign(gateway, exchanged, reply, replayed).await,
        None => Ok(reply),
    }
}

/// Puts the node's signature into a reply of the function, in the place of the function's own.
async fn sign(gateway: &Gateway, exchanged: Exchanged, mut reply: Reply, replayed: bool) -> Answer {
    let body = match exchanged.method.as_str() {
        "HEAD" => Bytes::new(),
        _ => reply.body().whole().ok_or_else(|| Error::of(ErrorCode::Internal))?,
    };
    let exchanged = Exchanged { status: reply.status().as_u16(), reply_body: body, ..exchanged };
    let pair = match replayed {
        false => gateway.platform.sign_exchange(exchanged).await?,
        true => gateway.platform.sign_again(exchanged).await?,
    };
    for (name, value) in pair.headers() {
        let value = HeaderValue::try_from(value).map_err(|_| Error::of(ErrorCode::Internal))?;
        reply.headers_mut().insert(name, value);
    }
    Ok(reply)
}

/// The host as received: that of the header, or of the target that names one.
fn host_of(parts: &Parts) -> Bytes {
    let header = parts.headers.get(header::HOST).map(HeaderValue::as_bytes);
    let authority = || parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    Bytes::copy_from_slice(header.or_else(authority).unwrap_or_default())
}

/// The query without a credential of ours, which no receipt may keep; `None` when it holds none.
fn kept_query(gateway: &Gateway, parts: &Parts) -> Option<String> {
    let query = parts.uri.query()?;
    let ours = |name: &str, value: &str| ["api_key", "token"].contains(&name) && credential::is_ours(gateway, value);
    let kept = query::without(query, ours).unwrap_or_default();
    (kept != query).then(|| format!("?{kept}"))
}

/// Whoever comes from elsewhere uses up what the namespace has as well; only what it lets in counts.
fn count_from_elsewhere(
    gateway: &Gateway,
    exchange: &Exchange,
    called: &Namespace,
    left: &mut Option<RateLeft>,
) -> Result<(), Refusal> {
    let own = left.take();
    let there = gateway.platform.count_call_from_elsewhere(&exchange.caller, called);
    let there = there.map_err(Refusal::over_the_limit)?;
    *left = own.into_iter().chain(there).min_by_key(|left| left.remaining);
    Ok(())
}

fn target(exchange: &Exchange, form: Form) -> Result<(Namespace, FunctionRef), Refusal> {
    match form {
        Form::Namespaced | Form::NamespacedPath => Ok((exchange.namespace_capture(0)?, exchange.function(1)?)),
        Form::Plain | Form::PlainPath => Ok((namespace_of(exchange)?, exchange.function(0)?)),
    }
}

/// `?namespace=`, else the credential's, else `X-Namespace`, else `default`.
pub(super) fn namespace_of(exchange: &Exchange) -> Result<Namespace, Refusal> {
    if let Some(named) = exchange.query("namespace").filter(|named| !named.is_empty()) {
        return exchange.at_home(parse_namespace(&named)?);
    }
    if let Some(own) = &exchange.caller.namespace {
        return Ok(own.clone());
    }
    match exchange.parts.headers.get("x-namespace").map(HeaderValue::to_str) {
        Some(Ok(named)) => exchange.at_home(parse_namespace(named)?),
        Some(Err(_)) => Err(Refusal::invalid("`X-Namespace` is not text")),
        None => Ok(exchange.home.clone().unwrap_or_else(Namespace::default_namespace)),
    }
}

/// Refuses what only a function that speaks HTTP could take.
fn plain_call(exchange: &Exchange, form: Form) -> Result<(), Refusal> {
    match &exchange.parts.method {
        _ if form.path_capture().is_some() => {
            let hint = "only a function with `http: true` has paths of its own";
            Err(Error::not_found("Unknown action").hint(hint).into())
        }
        &Method::POST => Ok(()),
        other => Err(Refusal::method_not_allowed(other, &[Method::POST])),
    }
}

/// The request as the function may see it: relative to its own root, and without credentials that are ours to read.
fn head_of(gateway: &Gateway, exchange: &Exchange, form: Form) -> HttpHead {
    let passes =
        |name: &HeaderName, value| !is_for_us(gateway, name, value) && !name.as_str().starts_with("x-internal-");
    let headers = exchange.parts.headers.iter().filter(|(name, value)| passes(name, value));
    let header = |(name, value): (&HeaderName, &HeaderValue)| {
        (Bytes::copy_from_slice(name.as_str().as_bytes()), Bytes::copy_from_slice(value.as_bytes()))
    };
    HttpHead {
        method: exchange.parts.method.as_str().to_owned(),
        target: target_of(gateway, exchange, form),
        headers: headers.map(header).collect(),
    }
}

/// Is this header a credential that opens something here? No function may see it.
pub(crate) fn is_for_us(gateway: &Gateway, name: &HeaderName, value: &HeaderValue) -> bool {
    (*name == credential::API_KEY || *name == header::AUTHORIZATION)
        && value.to_str().is_ok_and(|value| credential::is_ours(gateway, value))
}

fn target_of(gateway: &Gateway, exchange: &Exchange, form: Form) -> String {
    let path = form.path_capture().map_or("", |index| exchange.raw_capture(index));
    let ours = |name: &str, value: &str| ["api_key", "token"].contains(&name) && credential::is_ours(gateway, value);
    match exchange.parts.uri.query().and_then(|all| query::without(all, ours)) {
        Some(query) => format!("/{path}?{query}"),
        None => format!("/{path}"),
    }
}

fn answer(outcome: Outcome) -> Answer {
    let Outcome { request_id, duration, result, replayed, version: _ } = outcome;
    let mut reply = match result {
        Err(error) => return Err(Refusal::from(error).of_call(request_id, duration)),
        Ok(Success { head: Some(head), body }) => replay(head, body),
        Ok(Success { head: None, body }) => sniffed(body, &request_id, duration),
    };
    reply::add_call_headers(&mut reply, &request_id, duration);
    if replayed {
        reply.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
    Ok(reply)
}

/// Output that looks like a JSON document goes out as it is; anything else is wrapped.
fn sniffed(body: Bytes, request_id: &RequestId, duration: Duration) -> Reply {
    match body.first() {
        Some(b'{' | b'[') => reply::of(StatusCode::OK, reply::JSON, body),
        _ => reply::ok(&Wrapped::of(&body, request_id, duration)),
    }
}

#[derive(Serialize)]
struct Wrapped<'a> {
    request_id: &'a RequestId,
    output: &'a str,
    /// Set when the output is not UTF-8. `output` is empty then: a JSON string cannot hold those bytes, and one that looked
    /// nearly right would be worse.
    #[serde(skip_serializing_if = "Option::is_none")]
    output_base64: Option<String>,
    status: &'static str,
    duration_ms: u64,
}

impl<'a> Wrapped<'a> {
    fn of(body: &'a [u8], request_id: &'a RequestId, duration: Duration) -> Self {
        let (output, output_base64) = match std::str::from_utf8(body) {
            Ok(text) => (text, None),
            Err(_) => ("", Some(STANDARD.encode(body))),
        };
        Self { request_id, output, output_base64, status: "success", duration_ms: duration.as_millis() as u64 }
    }
}

/// A reply that the function composed itself, without the headers that are the server's to set.
fn replay(head: ReplyHead, body: Bytes) -> Reply {
    let mut reply = Response::new(ReplyBody::from(body));
    // 1xx is not a final answer; a function that records one gets what HTTP can carry.
    let final_status = StatusCode::from_u16(head.status).ok().filter(|status| !status.is_informational());
    *reply.status_mut() = final_status.unwrap_or(StatusCode::OK);
    for (name, value) in head.headers {
        let (Ok(name), Ok(value)) = (HeaderName::from_bytes(&name), HeaderValue::from_maybe_shared(value)) else {
            continue;
        };
        if !is_reserved(&name) {
            reply.headers_mut().append(name, value);
        }
    }
    if matches!(reply.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        *reply.body_mut() = ReplyBody::default();
    }
    reply
}

fn is_reserved(name: &HeaderName) -> bool {
    let exact = [
        reply::REQUEST_ID,
        reply::DURATION_MS,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
        HeaderName::from_static("keep-alive"),
        header::TE,
        header::TRAILER,
        header::UPGRADE,
    ];
    let text = name.as_str();
    exact.contains(name) || text.starts_with("proxy-") || text.starts_with("x-internal-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply_with(headers: &[(&'static str, &'static str)]) -> Reply {
        let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
        let headers = headers.iter().map(|(name, value)| (bytes(name), bytes(value))).collect();
        replay(ReplyHead { status: 418, headers }, Bytes::from_static(b"tea"))
    }

    #[test]
    fn a_composed_reply_keeps_its_headers_but_not_ours() {
        let kept = reply_with(&[
            ("Content-Type", "text/plain"),
            ("Set-Cookie", "a=1"),
            ("set-cookie", "b=2"),
            ("X-Request-ID", "forged"),
            ("Transfer-Encoding", "chunked"),
            ("Proxy-Authenticate", "Basic"),
            ("X-Internal-Depth", "0"),
            ("bad name", "x"),
            ("x-split", "a\r\nset-cookie: c=3"),
        ]);
        assert_eq!(kept.status().as_u16(), 418);
        let lines: Vec<String> = kept.headers().iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
        assert_eq!(lines, [r#"content-type: "text/plain""#, r#"set-cookie: "a=1""#, r#"set-cookie: "b=2""#]);
    }
}
