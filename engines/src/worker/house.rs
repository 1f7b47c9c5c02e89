//! What comes out of a process: host calls of `env.ORAMA`, and requests of `fetch`.
//!
//! Both are HTTP on a socket of the process's own, and say for which call they are by its token; what says none, or one that
//! has ended, is refused. Nothing else leaves a process.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use domain::{Error, ErrorCode};
use http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ports::{EgressError, FetchReply, FetchRequest};
use serde::Deserialize;
use tokio::net::UnixListener;
use tokio::task::JoinSet;

use super::calls::{Calls, LiveCall};
use crate::host::DATA_BYTES_MAX;
use crate::wasm::{HostAnswer, call_by_name};

/// A value, a name and what frames them.
const BODY_BYTES_MAX: usize = DATA_BYTES_MAX + (2 << 20);
/// Arguments of a host call: bytes each.
const ARGUMENTS_MAX: usize = 4;
/// Connections of a process at once; workerd opens one for each request under way.
const CONNECTIONS_MAX: usize = 1000;

/// After a connection that could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

type Reply = Response<Full<Bytes>>;

/// Serves one process until it is dropped, and everything that is under way with it.
pub(super) async fn serve(listener: UnixListener, calls: Arc<Calls>, facts_header: Arc<str>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= CONNECTIONS_MAX {
            connections.join_next().await;
        }
        match listener.accept().await {
            Ok((stream, _)) => {
                let (calls, facts_header) = (calls.clone(), facts_header.clone());
                let answer = service_fn(move |request| answer(calls.clone(), facts_header.clone(), request));
                let connection =
                    http1::Builder::new().auto_date_header(false).serve_connection(TokioIo::new(stream), answer);
                connections.spawn(async move { drop(connection.await) });
            }
            // No descriptor is free: others close theirs.
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

async fn answer(calls: Arc<Calls>, facts_header: Arc<str>, request: Request<Incoming>) -> Result<Reply, Infallible> {
    let answered = match request.uri().authority() {
        _ if request.method() == Method::CONNECT => Err(no_connections()),
        // `fetch` names the whole URL, a host call only its name.
        Some(_) => fetched(&calls, &facts_header, request).await,
        None => called(&calls, request).await,
    };
    Ok(answered.unwrap_or_else(|refused| refusal(&refused)))
}

fn no_connections() -> Error {
    Error::new(ErrorCode::Forbidden, "a worker opens no connections of its own; use fetch")
}

fn no_call() -> Error {
    Error::new(ErrorCode::Forbidden, "the request that this belongs to has ended")
}

/// `POST /name?number`, each argument with its length before it.
async fn called(calls: &Calls, request: Request<Incoming>) -> Result<Reply, Error> {
    let token = request.headers().get("call").and_then(|token| token.to_str().ok());
    let live = token.and_then(|token| calls.find(token)).ok_or_else(no_call)?;
    let name = request.uri().path().trim_start_matches('/').to_owned();
    let number = match request.uri().query() {
        None | Some("") => 0,
        Some(number) => number.parse().map_err(|_| Error::invalid("the number is no whole one of 64 bits"))?,
    };
    let body = read(request.into_body()).await?;
    let arguments = unframed(body).ok_or_else(|| Error::invalid("the arguments are damaged"))?;
    let mut host = live.host().await;
    let answer = call_by_name(&mut host, &name, &arguments, number).await;
    match answer.ok_or_else(|| Error::not_found(format!("there is no host call `{name}`")))? {
        Ok(HostAnswer::Nothing) => Ok(reply(StatusCode::NO_CONTENT, Bytes::new())),
        Ok(HostAnswer::Number(number)) => Ok(reply(StatusCode::OK, number.to_string().into())),
        Ok(HostAnswer::Bytes(bytes)) => Ok(reply(StatusCode::OK, bytes)),
        Err(_deadline_passed) => Err(Error::new(ErrorCode::Timeout, "the call has used up its time")),
    }
}

pub(super) fn unframed(mut body: Bytes) -> Option<Vec<Bytes>> {
    let mut arguments = Vec::new();
    while !body.is_empty() {
        let bytes = usize::try_from(body.try_get_u32_le().ok()?).ok()?;
        if arguments.len() == ARGUMENTS_MAX || body.len() < bytes {
            return None;
        }
        arguments.push(body.split_to(bytes));
    }
    Some(arguments)
}

/// Sends a request into the world, as far as the function may.
async fn fetched(calls: &Calls, facts_header: &str, mut request: Request<Incoming>) -> Result<Reply, Error> {
    /// What our runtime says in `cf`.
    #[derive(Deserialize)]
    struct Facts {
        call: String,
    }
    let facts = request.headers_mut().remove(facts_header);
    let facts = facts.and_then(|facts| serde_json::from_slice(facts.as_bytes()).ok());
    let live = facts.and_then(|Facts { call }| calls.find(&call)).ok_or_else(no_call)?;
    if request.headers().contains_key(http::header::UPGRADE) {
        return Err(Error::new(ErrorCode::Forbidden, "a worker opens no WebSockets to elsewhere"));
    }
    let request = outbound(request).await?;
    match send(&live, request).await {
        Ok(reply) => Ok(inbound(reply)),
        Err(error) => Err(error.for_client()),
    }
}

async fn send(live: &LiveCall, request: FetchRequest) -> Result<FetchReply, EgressError> {
    let context = live.context();
    let fetched = live.services.fetcher.fetch(&context, request);
    tokio::time::timeout_at(context.deadline.into(), fetched).await.map_err(|_| EgressError::Deadline)?
}

async fn outbound(request: Request<Incoming>) -> Result<FetchRequest, Error> {
    let (head, body) = request.into_parts();
    let mut headers = Vec::new();
    for (name, value) in &head.headers {
        if is_for_one_connection(name) || name == HOST || name == CONTENT_LENGTH {
            continue;
        }
        let readable = std::str::from_utf8(value.as_bytes());
        let value = readable.map_err(|_| Error::invalid(format!("the header `{name}` is not UTF-8")))?;
        headers.push((name.to_string(), value.to_owned()));
    }
    Ok(FetchRequest { method: head.method.to_string(), url: head.uri.to_string(), headers, body: read(body).await? })
}

/// The body has been decompressed on the way, and its length is that of what we have.
fn inbound(fetched: FetchReply) -> Reply {
    let mut headers = HeaderMap::new();
    for (name, value) in fetched.headers {
        let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_maybe_shared(value))
        else {
            continue;
        };
        if !is_for_one_connection(&name) && name != CONTENT_LENGTH && name != CONTENT_ENCODING {
            headers.append(name, value);
        }
    }
    let mut reply = reply(StatusCode::from_u16(fetched.status).unwrap_or(StatusCode::BAD_GATEWAY), fetched.body);
    *reply.headers_mut() = headers;
    reply
}

fn is_for_one_connection(name: &HeaderName) -> bool {
    [CONNECTION, TRANSFER_ENCODING].contains(name)
        || ["keep-alive", "te", "trailer", "upgrade"].contains(&name.as_str())
}

async fn read(body: Incoming) -> Result<Bytes, Error> {
    let too_large =
        || Error::new(ErrorCode::PayloadTooLarge, format!("the body is larger than {} MiB", BODY_BYTES_MAX >> 20));
    match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(cause) if cause.is::<LengthLimitError>() => Err(too_large()),
        Err(_) => Err(Error::invalid("the body ended before it was complete")),
    }
}

fn reply(status: StatusCode, body: Bytes) -> Reply {
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = status;
    reply
}

/// The message is the body: `fetch` shows it as a reply, a host call throws it.
fn refusal(error: &Error) -> Reply {
    let status = match error.code {
        ErrorCode::Forbidden => StatusCode::FORBIDDEN,
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::ValidationFailed => StatusCode::BAD_REQUEST,
        ErrorCode::Timeout => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::BAD_GATEWAY,
    };
    let mut reply = reply(status, Bytes::from(error.message.clone()));
    reply.headers_mut().insert("code", HeaderValue::from_static(error.code.as_str()));
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_have_their_lengths_before_them() {
        let framed = |bytes: &[u8]| unframed(Bytes::copy_from_slice(bytes));
        assert_eq!(framed(b""), Some(vec![]));
        assert_eq!(framed(b"\x01\0\0\0a\0\0\0\0"), Some(vec![Bytes::from("a"), Bytes::new()]));
        for damaged in [&b"\x02\0\0\0a"[..], b"\x01\0\0", b"\xff\xff\xff\xffa", b"\0\0\0\0".repeat(5).as_slice()] {
            assert_eq!(framed(damaged), None, "{damaged:?}");
        }
    }
}
