//! Push messages: devices of users, messages to them, and notifications that find their own way.

mod inbox;
mod settings;

use std::sync::Arc;
use std::time::Duration;

use domain::{ErrorCode, InvalidPushMessage, PushKind, PushMessage};
use http::StatusCode;
use platform::{DeviceView, INBOX_DEFAULT, INBOX_MAX, NewDevice};
use ports::PushResult;
use serde_json::{Value, json};

use super::SMALL_BODY_BYTES_MAX;
use crate::Gateway;
use crate::document::Document;
use crate::error::{Answer, Refusal};
use crate::exchange::Exchange;
use crate::reply;

pub(crate) use inbox::{delete_message, inbox};
pub(crate) use settings::{
    clear, clear_provider, draw_vapid_key, put, put_provider, show, show_provider, vapid_public_key,
};

/// The largest body with a message or with settings in it.
const BODY_BYTES_MAX: usize = domain::PUSH_MESSAGE_BYTES_MAX;
/// The most failed devices that an error names.
const NAMED_MAX: usize = 5;

pub(crate) async fn register(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let body = exchange.receive(&gateway, SMALL_BODY_BYTES_MAX).await?;
    let document = Document::parse(&body)?;
    let provider: Result<PushKind, _> = document.needed_text("provider")?.parse();
    let new = NewDevice {
        device_id: document.needed_text("device_id")?,
        provider: provider.map_err(|unknown| Refusal::invalid(format!("`provider`: {unknown}")))?,
        token: document.needed_text("token")?,
        platform: document.text("platform")?,
        app_version: document.text("app_version")?,
    };
    let device_id = new.device_id.clone();
    let id = gateway.platform.register_device(&exchange.caller, new).await?;
    Ok(reply::ok(&json!({ "status": "ok", "id": id, "device_id": device_id })))
}

/// One's own devices; with `?user_id=`, those of a user, for who may send to them.
pub(crate) async fn devices(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let (platform, caller) = (&gateway.platform, &exchange.caller);
    let devices = match exchange.query("user_id") {
        Some(user) => platform.devices(caller, &exchange.managed_namespace()?, &user).await?,
        None => platform.own_devices(caller).await?,
    };
    let devices: Vec<Value> = devices.iter().map(device_json).collect();
    Ok(reply::ok(&json!({ "count": devices.len(), "devices": devices })))
}

fn device_json(device: &DeviceView) -> Value {
    let mut json = json!({
        "id": device.id,
        "device_id": device.device_id,
        "provider": device.provider,
        "created_at": device.created_at,
        "updated_at": device.updated_at,
        "last_seen": device.updated_at,
    });
    for (name, text) in [("platform", &device.platform), ("app_version", &device.app_version)] {
        if let Some(text) = text {
            json[name] = text.as_str().into();
        }
    }
    json
}

pub(crate) async fn delete_device(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    gateway.platform.delete_device(&exchange.caller, &exchange.capture(0)?).await?;
    Ok(reply::ok(&json!({ "status": "ok" })))
}

pub(crate) async fn send(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let namespace = exchange.managed_namespace()?;
    let body = exchange.receive(&gateway, BODY_BYTES_MAX).await?;
    let (user, message) = addressed(&Document::parse(&body)?, &body)?;
    let result = gateway.platform.send_push(&exchange.caller, &namespace, &user, &message).await?;
    let mut answer = json!(result);
    if result.ok {
        answer["status"] = "ok".into();
        return Ok(reply::ok(&answer));
    }
    let message = failed(&result);
    answer["error"] = message.as_str().into();
    answer["message"] = message.into();
    answer["code"] = json!(ErrorCode::ServiceUnavailable);
    // Some devices may have it: sent again, it would be there twice.
    answer["retryable"] = false.into();
    answer["request_id"] = exchange.request_id.as_str().into();
    Ok(reply::json(StatusCode::BAD_GATEWAY, &answer))
}

/// Which devices a message did not reach, and why.
fn failed(result: &PushResult) -> String {
    let failed: Vec<_> = result.results.iter().filter(|device| !device.success && !device.unregistered).collect();
    let named = failed.iter().take(NAMED_MAX).map(|device| {
        let reason = device.message.as_deref().or(device.reason.as_deref()).unwrap_or("no reason was given");
        format!("{} ({}): {reason}", device.device_id, device.provider)
    });
    let named = named.collect::<Vec<_>>().join("; ");
    format!("{} of {} devices failed: {named}", failed.len(), result.devices_attempted)
}

pub(crate) async fn notify(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let namespace = exchange.managed_namespace()?;
    let body = exchange.receive(&gateway, BODY_BYTES_MAX).await?;
    let document = Document::parse(&body)?.only(&NOTIFY_FIELDS)?;
    let (user, message) = addressed(&document, &body)?;
    let lifetime = lifetime(document.whole("expires_in_seconds")?)?;
    let notified = gateway.platform.notify(&exchange.caller, &namespace, &user, &message, lifetime).await?;
    Ok(reply::ok(&notified))
}

const NOTIFY_FIELDS: [&str; 12] = [
    "user_id",
    "expires_in_seconds",
    "title",
    "body",
    "channel",
    "priority",
    "badge",
    "sound",
    "data",
    "target_provider",
    "exclude_provider",
    "message_id",
];

fn lifetime(seconds: Option<u64>) -> Result<Duration, Refusal> {
    let Some(seconds) = seconds else { return Ok(INBOX_DEFAULT) };
    match (1..=INBOX_MAX.as_secs()).contains(&seconds) {
        true => Ok(Duration::from_secs(seconds)),
        false => Err(Refusal::invalid(format!("`expires_in_seconds` must be 1 to {}", INBOX_MAX.as_secs()))),
    }
}

/// Who gets a message, and the message, which stand side by side.
fn addressed(document: &Document<'_>, body: &[u8]) -> Result<(String, PushMessage), Refusal> {
    let user = document.needed_text("user_id")?;
    let message = PushMessage::parse(body).map_err(|refused| match refused {
        InvalidPushMessage::TooLarge(_) => Refusal::too_large(refused.to_string()),
        InvalidPushMessage::Wrong(reason) => Refusal::invalid(reason),
    })?;
    Ok((user, message))
}
