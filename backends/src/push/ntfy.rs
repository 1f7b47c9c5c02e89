//! ntfy: a message is published on a topic, whose name is the token of the device.

use std::time::Instant;

use async_trait::async_trait;
use domain::{PushMessage, PushPriority};
use ports::{DeviceOutcome, PushProvider};
use reqwest::header::{AUTHORIZATION, HeaderMap};
use serde_json::json;
use url::Url;
use zeroize::Zeroizing;

use super::client::{self, is_bearer, secret_header};
use crate::egress::Connection;

pub(super) struct Ntfy {
    connection: Connection,
    base: Url,
    token: Option<Zeroizing<String>>,
}

/// The address of a server, on a path of its own if need be.
pub(super) fn parse_base(text: &str) -> Result<Url, &'static str> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let url = url.ok_or("must be an http or https URL, such as `https://ntfy.sh`")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must hold no name and no password; set `ntfy_auth_token`");
    }
    match url.query().is_none() && url.fragment().is_none() {
        true => Ok(url),
        false => Err("must end before `?` and `#`"),
    }
}

pub(super) fn check_token(token: Option<&str>) -> Result<(), &'static str> {
    match token.is_none_or(is_bearer) {
        true => Ok(()),
        false => Err("must be visible ASCII characters"),
    }
}

impl Ntfy {
    pub(super) fn new(connection: Connection, base: Url, token: Option<&str>) -> Self {
        Self { connection, base, token: token.map(|token| Zeroizing::new(token.to_owned())) }
    }

    fn headers(&self) -> HeaderMap {
        let bearer = self.token.as_ref().and_then(|token| secret_header(&format!("Bearer {}", token.as_str())));
        bearer.into_iter().map(|bearer| (AUTHORIZATION, bearer)).collect()
    }

    async fn send_one(&self, topic: &str, message: &PushMessage, deadline: Instant) -> DeviceOutcome {
        let (url, headers, body) = (self.base.clone(), self.headers(), publication(topic, message));
        let reply = match client::post(&self.connection, url, client::JSON, headers, body, deadline).await {
            Ok(reply) => reply,
            Err(outcome) => return outcome,
        };
        if reply.succeeded() {
            return DeviceOutcome::sent(reply.status);
        }
        let json = reply.json();
        let hidden = [topic, self.token.as_ref().map_or("", |token| token.as_str())];
        reply.failure(None, json["error"].as_str(), &hidden)
    }
}

/// A message without text shows its data: on a phone that subscribed to a topic nobody else would read them.
fn publication(topic: &str, message: &PushMessage) -> Vec<u8> {
    let text = if message.is_visible() { message.body.clone() } else { json!(message.data).to_string() };
    let mut publication = json!({ "topic": topic, "message": text });
    if !message.title.is_empty() {
        publication["title"] = message.title.as_str().into();
    }
    if let Some(priority) = message.priority {
        publication["priority"] = if priority == PushPriority::High { 4 } else { 3 }.into();
    }
    if let Some(click) = message.data.get("click").and_then(|click| click.as_str()) {
        publication["click"] = click.into();
    }
    publication.to_string().into_bytes()
}

#[async_trait]
impl PushProvider for Ntfy {
    async fn send(&self, tokens: &[&str], message: &PushMessage, deadline: Instant) -> Vec<DeviceOutcome> {
        let mut outcomes = Vec::new();
        for token in tokens {
            outcomes.push(self.send_one(token, message, deadline).await);
        }
        outcomes
    }
}
