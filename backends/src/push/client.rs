//! One request to a provider: no redirects, little patience, and a reply that is read only as far as anybody looks at it.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use domain::Timestamp;
use jiff::fmt::rfc2822;
use ports::DeviceOutcome;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Request, Response};
use serde_json::Value;
use url::Url;

use crate::egress::{Connection, NotReached};

/// The longest that one request takes. Who has more time tries again.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(10);
/// How much of a reply is read: tickets of a hundred devices are smaller.
const REPLY_BYTES_MAX: usize = 64 << 10;
/// How much of what a provider says is passed on.
const SAID_CHARACTERS_MAX: usize = 200;

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What a provider answered.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    /// The beginning of the body.
    body: Bytes,
}

/// Sends one request; what comes instead of a reply is the outcome for every token that it was for.
pub(super) async fn post(
    connection: &Connection,
    url: Url,
    content_type: HeaderValue,
    mut headers: HeaderMap,
    body: impl Into<Bytes>,
    deadline: Instant,
) -> Result<Reply, DeviceOutcome> {
    headers.insert(CONTENT_TYPE, content_type);
    let mut request = Request::new(Method::POST, url);
    *request.headers_mut() = headers;
    *request.body_mut() = Some(body.into().into());
    let deadline = deadline.min(Instant::now() + REQUEST_TIME_MAX);
    let exchange = async { Ok(read(connection.execute(request).await.map_err(not_reached)?).await) };
    let silent = |_| Err(temporary("Timeout", "the provider did not answer in time"));
    tokio::time::timeout_at(deadline.into(), exchange).await.unwrap_or_else(silent)
}

fn not_reached(why: NotReached) -> DeviceOutcome {
    match why {
        NotReached::Failed(text) => temporary("Unreachable", text),
        NotReached::Refused => DeviceOutcome::failed("Refused", format!("the address {}", super::REFUSED_URL)),
    }
}

pub(super) fn temporary(reason: &str, message: impl Into<String>) -> DeviceOutcome {
    DeviceOutcome { temporary: true, ..DeviceOutcome::failed(reason, message) }
}

/// Whatever follows the part that is read is not waited for.
async fn read(mut response: Response) -> Reply {
    let status = response.status().as_u16();
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| wait_of(value.to_str().ok()?));
    let mut body = BytesMut::new();
    while body.len() < REPLY_BYTES_MAX {
        let Ok(Some(chunk)) = response.chunk().await else { break };
        body.extend_from_slice(&chunk[..chunk.len().min(REPLY_BYTES_MAX - body.len())]);
    }
    Reply { status, retry_after, body: body.freeze() }
}

/// Seconds, or a date.
fn wait_of(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds.min(24 * 3600)));
    }
    let at: Timestamp = rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
    Duration::try_from(at.duration_since(Timestamp::now())).ok()
}

impl Reply {
    pub(super) fn succeeded(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as JSON; `null` when it is none, or longer than anybody reads.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The outcome of a request that did not succeed. `reason` and `message` are the provider's, if it gave any; nothing of `hidden` is
    /// passed on.
    pub(super) fn failure(&self, reason: Option<&str>, message: Option<&str>, hidden: &[&str]) -> DeviceOutcome {
        let status = self.status;
        let redirected = (300..400).contains(&status);
        let otherwise = match redirected {
            true => "the provider answered with a redirect, which is not followed".to_owned(),
            false => format!("the provider answered {status}"),
        };
        DeviceOutcome {
            http_status: Some(status),
            temporary: status == 429 || status >= 500,
            retry_after: self.retry_after,
            ..DeviceOutcome::failed(
                &reason.map_or_else(|| format!("Http{status}"), |reason| said(reason, hidden)),
                message.map_or(otherwise, |message| said(message, hidden)),
            )
        }
    }

    /// The outcome of a reply that is none.
    pub(super) fn not_understood(&self) -> DeviceOutcome {
        let message = "the provider's answer was not understood; it may have sent the message";
        DeviceOutcome { http_status: Some(self.status), ..DeviceOutcome::failed("NotUnderstood", message) }
    }
}

/// What a provider said, on one line, and without what nobody must be told: some repeat the token.
fn said(text: &str, hidden: &[&str]) -> String {
    let hide = |text: String, hidden: &&str| if hidden.is_empty() { text } else { text.replace(*hidden, "…") };
    let text = hidden.iter().fold(text.to_owned(), hide);
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SAID_CHARACTERS_MAX).collect()
}

/// A header with a secret in it, which no log shows.
pub(super) fn secret_header(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Is this a token that a header can carry?
pub(super) fn is_bearer(token: &str) -> bool {
    token.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_says_when_to_come_back_in_two_ways() {
        assert_eq!(wait_of("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait_of("99999999999"), Some(Duration::from_secs(86_400)));
        assert_eq!(wait_of("Wed, 21 Oct 2015 07:28:00 GMT"), None, "long ago");
        let later = wait_of("Sun, 21 Oct 2125 07:28:00 GMT").expect("a date in the future");
        assert!(later > Duration::from_secs(86_400));
        for text in ["", "-1", "soon", "Wed, 99 Foo 2125"] {
            assert_eq!(wait_of(text), None, "{text}");
        }
    }

    #[test]
    fn what_a_provider_says_holds_no_token_and_stays_on_its_line() {
        assert_eq!(said("\"tok\" is\r\nnot tok", &["tok", ""]), "\"…\" is  not …");
        assert_eq!(said(&"x".repeat(500), &[]).len(), 200);
    }
}
