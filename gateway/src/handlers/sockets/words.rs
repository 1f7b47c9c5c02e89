//! What clients of functions are told: replies of calls, and why a socket ends.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::{Error, ErrorCode, RequestId};
use platform::{Farewell, Outcome, SocketEnd, SocketFrame};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::websocket::{FORBIDDEN, Frame, GONE, Goodbye, POLICY, TRY_LATER, UNAUTHORIZED};

/// How one message was answered.
#[derive(Serialize)]
struct Answered<'a> {
    request_id: &'a RequestId,
    status: &'static str,
    duration_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Output<'a>>,
    /// Set when the output is not UTF-8, which no JSON string can hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    output_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<ErrorCode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retryable: Option<bool>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Output<'a> {
    /// As the function wrote it, to the last digit.
    Json(&'a RawValue),
    Text(&'a str),
}

impl<'a> Output<'a> {
    fn of(text: &'a str) -> Self {
        serde_json::from_str(text).map_or(Self::Text(text), Self::Json)
    }
}

impl<'a> Answered<'a> {
    fn new(request_id: &'a RequestId, status: &'static str, duration_ms: u64) -> Self {
        let (output, output_base64, error, code, retryable) = (None, None, None, None, None);
        Self { request_id, status, duration_ms, output, output_base64, error, code, retryable }
    }
}

pub(super) fn reply(outcome: &Outcome) -> Frame {
    let duration_ms = u64::try_from(outcome.duration.as_millis()).unwrap_or(u64::MAX);
    match &outcome.result {
        Ok(success) => {
            let mut answered = Answered::new(&outcome.request_id, "success", duration_ms);
            match std::str::from_utf8(&success.body) {
                Ok(text) => answered.output = Some(Output::of(text)),
                Err(_) => answered.output_base64 = Some(STANDARD.encode(&success.body)),
            }
            Frame::json(&answered)
        }
        Err(error) => refusal(&outcome.request_id, duration_ms, error),
    }
}

/// The reply to a message that was not answered, or not well.
pub(super) fn refusal(request_id: &RequestId, duration_ms: u64, error: &Error) -> Frame {
    let mut answered = Answered::new(request_id, "error", duration_ms);
    answered.error = Some(&error.message);
    (answered.code, answered.retryable) = (Some(error.code), Some(error.code.retryable()));
    Frame::json(&answered)
}

pub(super) fn frame(frame: &SocketFrame) -> Frame {
    match std::str::from_utf8(&frame.data) {
        Ok(text) if frame.text => Frame::text(text),
        _ => Frame::binary(&frame.data),
    }
}

/// What the client is told, and what the instance.
pub(super) fn farewell(why: Farewell) -> (Goodbye, SocketEnd) {
    match why {
        Farewell::TooSlow => (Goodbye::new(TRY_LATER, "too slow"), SocketEnd::ClientDisconnect),
        Farewell::MessagesLost => {
            (Goodbye::new(TRY_LATER, "too slow, messages of a topic were lost"), SocketEnd::ClientDisconnect)
        }
        Farewell::FunctionGone | Farewell::NamespaceGone => (gone(), SocketEnd::ServerShutdown),
        Farewell::ClosedByOwner => {
            (Goodbye::new(POLICY, "closed by who manages the namespace"), SocketEnd::ServerShutdown)
        }
    }
}

pub(super) fn gone() -> Goodbye {
    Goodbye::new(GONE, "the function is gone or switched off")
}

/// Who may not call the function any more need not stay. `None` for what may pass.
pub(super) fn no_longer_callable(error: &Error) -> Option<Goodbye> {
    match error.code {
        ErrorCode::Unauthorized => Some(Goodbye::new(UNAUTHORIZED, "the function is private")),
        ErrorCode::Forbidden => Some(Goodbye::new(FORBIDDEN, error.message.clone())),
        ErrorCode::NotFound | ErrorCode::FunctionUnavailable => Some(gone()),
        _ => None,
    }
}
