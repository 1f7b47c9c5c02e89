//! Web Push: RFC 8030 carries the message, RFC 8291 encrypts it for the browser, RFC 8292 says who sends it.

mod ece;

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{PushMessage, PushPriority, PushSubscription};
use ports::{Clock, DeviceOutcome, PushProvider};
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use url::Url;

use super::client::{self, Reply, secret_header};
use super::jose::{self, Es256};
use crate::egress::Connection;

/// How long a push service keeps the message for a browser that is away.
const TTL_SECONDS: &str = "604800";
/// At most a day is allowed (RFC 8292, 2).
const SIGNED_SECONDS: i64 = 12 * 3600;
/// The longest `Topic` (RFC 8030, 5.4).
const TOPIC_CHARACTERS_MAX: usize = 32;

/// Who sends: a key, and how the push service can reach the people behind it.
pub(super) struct Vapid {
    key: VapidKey,
    subject: String,
    clock: Arc<dyn Clock>,
}

pub(super) struct VapidKey(Es256);

#[derive(Serialize)]
struct Header {
    typ: &'static str,
    alg: &'static str,
}

#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    exp: i64,
    sub: &'a str,
}

const HEADER: Header = Header { typ: "JWT", alg: "ES256" };

pub(super) fn check_subject(text: &str) -> Result<(), &'static str> {
    let known =
        text.strip_prefix("mailto:").is_some_and(|address| address.contains('@')) || text.starts_with("https://");
    match known && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(()),
        false => Err("must be `mailto:` with an address, or an https URL: where push services reach you"),
    }
}

impl VapidKey {
    /// The public key as browsers take it for `applicationServerKey`.
    pub(super) fn public_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.public())
    }
}

impl Vapid {
    pub(super) fn new(key: VapidKey, subject: &str, clock: Arc<dyn Clock>) -> Self {
        Self { key, subject: subject.to_owned(), clock }
    }

    /// Reads 32 bytes in base64url, the usual form, or PKCS#8 in PEM.
    pub(super) fn parse_key(text: &str) -> Result<VapidKey, &'static str> {
        let bare = |text: &str| Es256::from_scalar(&zeroize::Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?));
        let key = if text.contains("-----") { Es256::from_pem(text) } else { bare(text.trim_end_matches('=')) };
        key.map(VapidKey).ok_or("must be a private key of P-256: 32 bytes in base64url, or PEM (PKCS#8)")
    }

    pub(super) fn draw() -> Result<String, getrandom::Error> {
        Es256::draw_scalar().map(|scalar| URL_SAFE_NO_PAD.encode(*scalar))
    }

    /// The value of `Authorization` for a push service, which is named by its origin.
    fn authorization(&self, endpoint: &Url) -> HeaderValue {
        let claims = Claims {
            aud: &endpoint.origin().ascii_serialization(),
            exp: self.clock.now().as_second() + SIGNED_SECONDS,
            sub: &self.subject,
        };
        let token = jose::token(&HEADER, &claims, &self.key.0);
        let value = format!("vapid t={token}, k={}", self.key.public_text());
        secret_header(&value).expect("base64url and punctuation are visible")
    }
}

pub(super) struct WebPush {
    connection: Connection,
    vapid: Vapid,
}

impl WebPush {
    pub(super) fn new(connection: Connection, vapid: Vapid) -> Self {
        Self { connection, vapid }
    }

    async fn send_one(&self, token: &str, message: &PushMessage, deadline: Instant) -> DeviceOutcome {
        let subscription = PushSubscription::parse(token).ok();
        let endpoint = subscription.as_ref().and_then(|subscription| Url::parse(&subscription.endpoint).ok());
        let (Some(subscription), Some(endpoint)) = (subscription, endpoint) else {
            return DeviceOutcome::failed("BadSubscription", "the token is no subscription; register the device anew");
        };
        let body = match ece::seal(&subscription, payload(message).as_bytes()) {
            Ok(body) => body,
            Err(refused) => return DeviceOutcome::failed(refused.reason(), refused.to_string()),
        };
        let (headers, content) =
            (self.headers(&endpoint, message), HeaderValue::from_static("application/octet-stream"));
        match client::post(&self.connection, endpoint, content, headers, body, deadline).await {
            Ok(reply) if reply.succeeded() => DeviceOutcome::sent(reply.status),
            Ok(reply) => failure(&reply),
            Err(outcome) => outcome,
        }
    }

    fn headers(&self, endpoint: &Url, message: &PushMessage) -> HeaderMap {
        let mut headers = HeaderMap::from_iter([
            (AUTHORIZATION, self.vapid.authorization(endpoint)),
            (CONTENT_ENCODING, HeaderValue::from_static("aes128gcm")),
            (HeaderName::from_static("ttl"), HeaderValue::from_static(TTL_SECONDS)),
        ]);
        let urgency = match message.priority {
            Some(PushPriority::High) => "high",
            Some(PushPriority::Normal) | None => "normal",
        };
        headers.insert("urgency", HeaderValue::from_static(urgency));
        if let Some(id) = &message.message_id {
            headers.insert("topic", topic_of(id));
        }
        headers
    }
}

/// A message takes the place of one with the same topic. Only few characters are allowed there, and an id may be secret.
fn topic_of(id: &str) -> HeaderValue {
    let mut topic = URL_SAFE_NO_PAD.encode(digest(&SHA256, id.as_bytes()));
    topic.truncate(TOPIC_CHARACTERS_MAX);
    HeaderValue::from_str(&topic).expect("base64url is visible")
}

/// What the service worker gets: the message without what is about providers.
fn payload(message: &PushMessage) -> String {
    PushMessage { target_provider: None, exclude_provider: None, ..message.clone() }.to_json()
}

/// The texts of push services are for people who debug them; some repeat what was sent.
fn failure(reply: &Reply) -> DeviceOutcome {
    let unregistered = matches!(reply.status, 404 | 410);
    let reason = unregistered.then_some("Unregistered");
    DeviceOutcome { unregistered, ..reply.failure(reason, None, &[]) }
}

#[async_trait]
impl PushProvider for WebPush {
    async fn send(&self, tokens: &[&str], message: &PushMessage, deadline: Instant) -> Vec<DeviceOutcome> {
        let mut outcomes = Vec::new();
        for token in tokens {
            outcomes.push(self.send_one(token, message, deadline).await);
        }
        outcomes
    }
}

#[cfg(test)]
mod tests;
