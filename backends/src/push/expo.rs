//! Expo: up to a hundred devices a request, a ticket for each, and receipts that tell later what became of them.

use std::collections::BTreeMap;
use std::time::Instant;

use async_trait::async_trait;
use domain::{PushMessage, PushPriority};
use ports::{DeviceOutcome, PushProvider};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde_json::{Value, json};
use url::Url;

use super::client::{self, Reply, is_bearer, secret_header};
use crate::egress::Connection;

const BATCH_MAX: usize = 100;
/// The most receipts of one request: what is known of so many is read whole.
const RECEIPTS_MAX: usize = 300;

pub(super) struct Expo {
    connection: Connection,
    send: Url,
    receipts: Url,
    authorization: HeaderValue,
}

impl Expo {
    pub(super) fn new(connection: Connection, base: &Url, token: &str) -> Result<Self, &'static str> {
        let authorization = secret_header(&format!("Bearer {token}")).filter(|_| is_bearer(token));
        let place = |path: &str| base.join(path).expect("a path can follow a URL with a host");
        Ok(Self {
            connection,
            send: place("/--/api/v2/push/send"),
            receipts: place("/--/api/v2/push/getReceipts"),
            authorization: authorization.ok_or("must be visible ASCII characters")?,
        })
    }

    async fn ask(&self, url: &Url, body: &Value, deadline: Instant) -> Result<Reply, DeviceOutcome> {
        let headers = HeaderMap::from_iter([(AUTHORIZATION, self.authorization.clone())]);
        client::post(&self.connection, url.clone(), client::JSON, headers, body.to_string(), deadline).await
    }

    /// Nothing that Expo says may repeat a token.
    fn hidden<'a>(&'a self, tokens: &[&'a str]) -> Vec<&'a str> {
        let access = self.authorization.to_str().ok().and_then(|value| value.strip_prefix("Bearer "));
        tokens.iter().copied().chain(access).collect()
    }
}

fn to_json(token: &str, message: &PushMessage) -> Value {
    let mut json = json!({ "to": token });
    let texts = [("title", Some(&message.title)), ("body", Some(&message.body))];
    let more = [("sound", message.sound.as_ref()), ("channelId", message.channel.as_ref())];
    for (name, text) in texts.into_iter().chain(more) {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            json[name] = text.as_str().into();
        }
    }
    if let Some(priority) = message.priority {
        json["priority"] = if priority == PushPriority::High { "high" } else { "normal" }.into();
    }
    if let Some(badge) = message.badge {
        json["badge"] = badge.into();
    }
    if !message.data.is_empty() {
        json["data"] = json!(message.data);
    }
    if !message.is_visible() {
        json["_contentAvailable"] = true.into();
    }
    json
}

/// A ticket or a receipt. What Expo calls a device that is gone, and what passes.
fn outcome_of(reply: &Reply, item: &Value, hidden: &[&str]) -> DeviceOutcome {
    if item["status"] == "ok" {
        let receipt = item["id"].as_str().map(str::to_owned);
        return DeviceOutcome { receipt, ..DeviceOutcome::sent(reply.status) };
    }
    let reason = item["details"]["error"].as_str();
    DeviceOutcome {
        unregistered: reason == Some("DeviceNotRegistered"),
        temporary: reason == Some("MessageRateExceeded"),
        ..reply.failure(reason.or(Some("Rejected")), item["message"].as_str(), hidden)
    }
}

#[async_trait]
impl PushProvider for Expo {
    fn batch_max(&self) -> usize {
        BATCH_MAX
    }

    async fn send(&self, tokens: &[&str], message: &PushMessage, deadline: Instant) -> Vec<DeviceOutcome> {
        let every = |outcome: DeviceOutcome| vec![outcome; tokens.len()];
        let messages: Value = tokens.iter().map(|token| to_json(token, message)).collect();
        let reply = match self.ask(&self.send, &messages, deadline).await {
            Ok(reply) => reply,
            Err(outcome) => return every(outcome),
        };
        let (json, hidden) = (reply.json(), self.hidden(tokens));
        let refused = &json["errors"][0];
        if !reply.succeeded() || refused.is_object() {
            return every(reply.failure(refused["code"].as_str(), refused["message"].as_str(), &hidden));
        }
        match json["data"].as_array() {
            Some(tickets) if tickets.len() == tokens.len() => {
                tickets.iter().map(|ticket| outcome_of(&reply, ticket, &hidden)).collect()
            }
            _ => every(reply.not_understood()),
        }
    }

    async fn receipts(&self, receipts: &[String], deadline: Instant) -> BTreeMap<String, DeviceOutcome> {
        let mut known = BTreeMap::new();
        for ids in receipts.chunks(RECEIPTS_MAX) {
            let Ok(reply) = self.ask(&self.receipts, &json!({ "ids": ids }), deadline).await else { break };
            let json = reply.json();
            let found = json["data"].as_object().into_iter().flatten().filter(|(id, _)| ids.contains(*id));
            known.extend(found.map(|(id, item)| (id.clone(), outcome_of(&reply, item, &self.hidden(&[])))));
        }
        known
    }
}
