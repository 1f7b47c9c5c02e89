//! Apple: HTTP/2, and a signed token that is renewed now and then.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use async_trait::async_trait;
use domain::{PushMessage, PushPriority};
use ports::{Clock, DeviceOutcome, PushField, PushProvider};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::{Value, json};
use url::Url;

use super::client::{self, Reply, secret_header};
use super::jose::{self, Es256};
use crate::egress::Connection;

/// A token is good for an hour, and Apple refuses who renews it more often than every 20 minutes.
const TOKEN_SECONDS_MAX: i64 = 45 * 60;
const TOKEN_SECONDS_MIN: i64 = 20 * 60;

/// What Apple calls a token of a device that is gone.
const GONE: [&str; 3] = ["Unregistered", "BadDeviceToken", "ExpiredToken"];

pub(super) type Check = fn(&str) -> Result<(), &'static str>;

/// What the fields beside the key look like.
pub(super) const CHECKS: &[(PushField, Check)] = &[
    (PushField::ApnsKeyId, |text| check_id(text, "must be the id of the key: 10 letters and digits")),
    (PushField::ApnsTeamId, |text| check_id(text, "must be the id of the team: 10 letters and digits")),
    (PushField::ApnsTopic, check_topic),
    (
        PushField::ApnsSandbox,
        |text| if matches!(text, "true" | "false") { Ok(()) } else { Err("must be `true` or `false`") },
    ),
];

fn check_id(text: &str, reason: &'static str) -> Result<(), &'static str> {
    match text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        true => Ok(()),
        false => Err(reason),
    }
}

fn check_topic(text: &str) -> Result<(), &'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
    match text.len() <= 255 && text.bytes().all(allowed) {
        true => Ok(()),
        false => Err("must be the bundle id of the app, such as `com.example.app`"),
    }
}

pub(super) fn parse_key(pem: &str) -> Result<Es256, &'static str> {
    Es256::from_pem(pem).ok_or("must be the whole `.p8` file from Apple, with `-----BEGIN PRIVATE KEY-----`")
}

/// What both channels of an app share: the connection, and the token.
pub(super) struct ApnsAccount {
    connection: Connection,
    base: Url,
    key: Es256,
    key_id: String,
    team_id: String,
    topic: String,
    /// The value of `Authorization`, and when it was signed, in seconds.
    signed: Mutex<Option<(HeaderValue, i64)>>,
    clock: Arc<dyn Clock>,
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    kid: &'a str,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    iat: i64,
}

impl ApnsAccount {
    pub(super) fn new(
        connection: Connection,
        base: &Url,
        key: Es256,
        [key_id, team_id, topic]: [String; 3],
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { connection, base: base.clone(), key, key_id, team_id, topic, signed: Mutex::default(), clock }
    }

    /// The token of this hour. One that is older than `seconds_max` is replaced.
    fn authorization(&self, seconds_max: i64) -> HeaderValue {
        let now = self.clock.now().as_second();
        let mut signed = self.signed.lock().expect("no holder panics");
        if let Some((value, _)) = signed.as_ref().filter(|(_, at)| (0..seconds_max).contains(&(now - at))) {
            return value.clone();
        }
        let (header, claims) = (Header { alg: "ES256", kid: &self.key_id }, Claims { iss: &self.team_id, iat: now });
        let value = format!("bearer {}", jose::token(&header, &claims, &self.key));
        let value = secret_header(&value).expect("base64url and dots are visible");
        *signed = Some((value.clone(), now));
        value
    }
}

/// One of the two channels.
pub(super) struct Apns {
    account: Arc<ApnsAccount>,
    voip: bool,
}

impl Apns {
    pub(super) fn new(account: Arc<ApnsAccount>, voip: bool) -> Self {
        Self { account, voip }
    }

    async fn send_one(&self, token: &str, message: &PushMessage, deadline: Instant) -> DeviceOutcome {
        let reply = match self.ask(token, message, TOKEN_SECONDS_MAX, deadline).await {
            // The clocks differ. A token that is too young to be replaced is sent again, in vain.
            Ok(reply) if reason_of(&reply).as_deref() == Some("ExpiredProviderToken") => {
                self.ask(token, message, TOKEN_SECONDS_MIN, deadline).await
            }
            reply => reply,
        };
        match reply {
            Ok(reply) if reply.succeeded() => DeviceOutcome::sent(reply.status),
            Ok(reply) => failure(&reply, token),
            Err(outcome) => outcome,
        }
    }

    async fn ask(
        &self,
        token: &str,
        message: &PushMessage,
        seconds_max: i64,
        deadline: Instant,
    ) -> Result<Reply, DeviceOutcome> {
        let account = &self.account;
        let url = account.base.join(&format!("/3/device/{token}")).expect("hexadecimal digits can be in a path");
        let mut headers = self.headers(message);
        headers.insert(AUTHORIZATION, account.authorization(seconds_max));
        client::post(&account.connection, url, client::JSON, headers, payload(message), deadline).await
    }

    fn headers(&self, message: &PushMessage) -> HeaderMap {
        let topic = &self.account.topic;
        let (kind, topic) = match (self.voip, message.is_visible()) {
            (true, _) if topic.ends_with(".voip") => ("voip", topic.clone()),
            (true, _) => ("voip", format!("{topic}.voip")),
            (false, true) => ("alert", topic.clone()),
            (false, false) => ("background", topic.clone()),
        };
        let urgent = self.voip || (message.is_visible() && message.priority != Some(PushPriority::Normal));
        let mut headers = HeaderMap::new();
        let mut set = |name: &'static str, value: &str| {
            let value = HeaderValue::from_str(value).expect("what goes into headers is visible ASCII");
            headers.insert(HeaderName::from_static(name), value);
        };
        set("apns-push-type", kind);
        set("apns-topic", &topic);
        set("apns-priority", if urgent { "10" } else { "5" });
        if self.voip {
            // A call rings now or not at all.
            set("apns-expiration", "0");
        }
        if let Some(id) = &message.message_id {
            set("apns-collapse-id", id);
        }
        headers
    }
}

/// The data stand beside `aps`, where apps look for them.
fn payload(message: &PushMessage) -> Vec<u8> {
    let mut aps = json!({});
    if message.is_visible() {
        let texts = [("title", &message.title), ("body", &message.body)];
        let texts = texts.into_iter().filter(|(_, text)| !text.is_empty());
        aps["alert"] = texts.map(|(name, text)| (name.to_owned(), Value::from(text.as_str()))).collect();
    } else {
        aps["content-available"] = 1.into();
    }
    if let Some(badge) = message.badge {
        aps["badge"] = badge.into();
    }
    if let Some(sound) = &message.sound {
        aps["sound"] = sound.as_str().into();
    }
    let mut payload = message.data.clone();
    payload.insert("aps".to_owned(), aps);
    Value::Object(payload).to_string().into_bytes()
}

fn reason_of(reply: &Reply) -> Option<String> {
    if reply.succeeded() {
        return None;
    }
    reply.json()["reason"].as_str().map(str::to_owned)
}

fn failure(reply: &Reply, token: &str) -> DeviceOutcome {
    let reason = reason_of(reply);
    let unregistered = reply.status == 410 || reason.as_deref().is_some_and(|reason| GONE.contains(&reason));
    let temporary = reason.as_deref() == Some("TooManyRequests");
    let outcome = reply.failure(reason.as_deref(), None, &[token]);
    DeviceOutcome { unregistered, temporary: outcome.temporary || temporary, ..outcome }
}

#[async_trait]
impl PushProvider for Apns {
    async fn send(&self, tokens: &[&str], message: &PushMessage, deadline: Instant) -> Vec<DeviceOutcome> {
        let mut outcomes = Vec::new();
        for token in tokens {
            outcomes.push(self.send_one(token, message, deadline).await);
        }
        outcomes
    }
}
