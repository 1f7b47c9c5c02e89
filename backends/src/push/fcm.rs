//! Firebase Cloud Messaging, HTTP v1: a service account signs for an access token (RFC 7523), which sends.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use domain::{PushMessage, PushPriority};
use ports::{Clock, DeviceOutcome, PushProvider};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;
use url::Url;
use zeroize::Zeroizing;

use super::client::{self, Reply, secret_header, temporary};
use super::jose::{self, Rs256};
use crate::egress::Connection;

const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");
/// How long a signed request for a token is valid: as long as is allowed.
const ASSERTION_SECONDS: i64 = 3600;
/// A token with less left than this is replaced.
const TOKEN_REST_SECONDS: i64 = 60;

/// The file that Google gives.
pub(super) struct ServiceAccount {
    project_id: String,
    client_email: String,
    key: Rs256,
    key_id: Option<String>,
    pub(super) token_uri: Url,
}

#[derive(Deserialize)]
struct Written {
    #[serde(rename = "type")]
    kind: Option<String>,
    project_id: Option<String>,
    client_email: Option<String>,
    private_key: Option<String>,
    private_key_id: Option<String>,
    token_uri: Option<String>,
}

impl ServiceAccount {
    /// The error says which part is missing or wrong.
    pub(super) fn parse(json: &str) -> Result<Self, &'static str> {
        let written: Written = serde_json::from_str(json)
            .map_err(|_| "must be the JSON file of a service account, whole, as Google gives it")?;
        if written.kind.as_deref() != Some("service_account") {
            return Err("must have `\"type\": \"service_account\"`; other keys cannot send by HTTP v1");
        }
        let in_a_path = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        let project = |id: &String| !id.is_empty() && id.bytes().all(in_a_path) && !id.starts_with('.');
        let key = written.private_key.map(Zeroizing::new).ok_or("lacks `private_key`")?;
        let token_uri = written.token_uri.ok_or("lacks `token_uri`")?;
        let https = |url: &Url| url.scheme() == "https" && url.username().is_empty() && url.password().is_none();
        Ok(Self {
            project_id: written.project_id.filter(project).ok_or("has no `project_id` that is one")?,
            client_email: written.client_email.filter(|email| !email.is_empty()).ok_or("lacks `client_email`")?,
            key: Rs256::from_pem(&key).ok_or("has a `private_key` that is no RSA key in PEM (PKCS#8)")?,
            key_id: written.private_key_id,
            token_uri: Url::parse(&token_uri).ok().filter(https).ok_or("has a `token_uri` that is no https URL")?,
        })
    }
}

/// An access token, until (in seconds) it should not be used any more.
struct Access {
    authorization: HeaderValue,
    until: i64,
}

pub(super) struct Fcm {
    connection: Connection,
    send: Url,
    tokens: (Connection, Url),
    account: ServiceAccount,
    /// Held while a token is fetched: who comes meanwhile waits for it, and fetches none of its own.
    access: Mutex<Option<Access>>,
    clock: Arc<dyn Clock>,
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'static str,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: i64,
}

impl Fcm {
    pub(super) fn new(
        connection: Connection,
        base: &Url,
        tokens: (Connection, Url),
        account: ServiceAccount,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let path = format!("/v1/projects/{}/messages:send", account.project_id);
        let send = base.join(&path).expect("a path can follow a URL with a host");
        Self { connection, send, tokens, account, access: Mutex::default(), clock }
    }

    /// The token of this hour.
    async fn authorization(&self, deadline: Instant) -> Result<HeaderValue, DeviceOutcome> {
        let mut access = match tokio::time::timeout_at(deadline.into(), self.access.lock()).await {
            Ok(access) => access,
            Err(_) => return Err(temporary("Timeout", "the provider gave no access token in time")),
        };
        let now = self.clock.now().as_second();
        if let Some(known) = access.as_ref().filter(|known| now < known.until) {
            return Ok(known.authorization.clone());
        }
        let new = self.fetch_access(now, deadline).await?;
        Ok(access.insert(new).authorization.clone())
    }

    async fn fetch_access(&self, now: i64, deadline: Instant) -> Result<Access, DeviceOutcome> {
        let (connection, url) = &self.tokens;
        let body = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", GRANT)
            .append_pair("assertion", &self.assertion(now))
            .finish();
        let reply = client::post(connection, url.clone(), FORM, HeaderMap::new(), body, deadline).await?;
        if !reply.succeeded() {
            let json = reply.json();
            let said = json["error_description"].as_str().map(|said| format!("no access token: {said}"));
            return Err(reply.failure(json["error"].as_str(), said.as_deref(), &[]));
        }
        let granted: Granted = serde_json::from_value(reply.json()).map_err(|_| reply.not_understood())?;
        let authorization = secret_header(&format!("Bearer {}", granted.access_token));
        Ok(Access {
            authorization: authorization.ok_or_else(|| reply.not_understood())?,
            until: now.saturating_add(granted.expires_in.clamp(0, ASSERTION_SECONDS) - TOKEN_REST_SECONDS),
        })
    }

    fn assertion(&self, now: i64) -> String {
        let ServiceAccount { client_email, key, key_id, token_uri, .. } = &self.account;
        let header = Header { alg: "RS256", typ: "JWT", kid: key_id.as_deref() };
        let (aud, exp) = (token_uri.as_str(), now + ASSERTION_SECONDS);
        jose::token(&header, &Claims { iss: client_email, scope: SCOPE, aud, iat: now, exp }, key)
    }

    async fn ask(&self, token: &str, message: &PushMessage, deadline: Instant) -> Result<Reply, DeviceOutcome> {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, self.authorization(deadline).await?)]);
        let body = json!({ "message": to_json(token, message) }).to_string();
        client::post(&self.connection, self.send.clone(), client::JSON, headers, body, deadline).await
    }

    async fn send_one(&self, token: &str, message: &PushMessage, deadline: Instant) -> DeviceOutcome {
        let mut reply = self.ask(token, message, deadline).await;
        if reply.as_ref().is_ok_and(|reply| reply.status == 401) {
            *self.access.lock().await = None;
            reply = self.ask(token, message, deadline).await;
        }
        match reply {
            Ok(reply) if reply.succeeded() => DeviceOutcome::sent(reply.status),
            Ok(reply) => failure(&reply, token),
            Err(outcome) => outcome,
        }
    }
}

fn to_json(token: &str, message: &PushMessage) -> Value {
    let object = |fields: &[(&str, Option<&str>)]| -> Map<String, Value> {
        let set = fields.iter().filter_map(|(name, text)| Some(((*name).to_owned(), Value::from((*text)?))));
        set.collect()
    };
    let some = |text: &'_ String| (!text.is_empty()).then(|| text.clone());
    let (title, body) = (some(&message.title), some(&message.body));
    let mut json = json!({ "token": token });
    if message.is_visible() {
        json["notification"] = object(&[("title", title.as_deref()), ("body", body.as_deref())]).into();
    }
    if !message.data.is_empty() {
        json["data"] = message.data.iter().map(|(name, value)| (name.clone(), Value::from(as_text(value)))).collect();
    }
    let priority = message.priority.map(|priority| if priority == PushPriority::High { "HIGH" } else { "NORMAL" });
    let mut android = object(&[("priority", priority), ("collapse_key", message.message_id.as_deref())]);
    let mut notification = object(&[("channel_id", message.channel.as_deref()), ("sound", message.sound.as_deref())]);
    if let Some(badge) = message.badge {
        notification.insert("notification_count".to_owned(), badge.into());
    }
    if message.is_visible() && !notification.is_empty() {
        android.insert("notification".to_owned(), notification.into());
    }
    if !android.is_empty() {
        json["android"] = android.into();
    }
    json
}

/// The data of a message are texts here.
fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn failure(reply: &Reply, token: &str) -> DeviceOutcome {
    let json = reply.json();
    let error = &json["error"];
    let details = error["details"].as_array().into_iter().flatten();
    let code = details.filter_map(|detail| detail["errorCode"].as_str()).next();
    let unregistered = code == Some("UNREGISTERED") || (reply.status == 404 && error["status"] == "NOT_FOUND");
    let outcome = reply.failure(code.or(error["status"].as_str()), error["message"].as_str(), &[token]);
    DeviceOutcome { unregistered, ..outcome }
}

#[async_trait]
impl PushProvider for Fcm {
    async fn send(&self, tokens: &[&str], message: &PushMessage, deadline: Instant) -> Vec<DeviceOutcome> {
        let mut outcomes = Vec::new();
        for token in tokens {
            outcomes.push(self.send_one(token, message, deadline).await);
        }
        outcomes
    }
}
