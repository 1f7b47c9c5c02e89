//! The secrets of a namespace: set, named, deleted, never told.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::ErrorCode;
use serde_json::{Value, json};

use crate::Gateway;
use crate::document::Document;
use crate::error::{Answer, Refusal};
use crate::exchange::Exchange;
use crate::reply;

/// The largest secret as JSON: every byte of it may be an escape of six characters.
const BODY_BYTES_MAX: usize = 6 * (64 << 10) + 4096;

pub(crate) async fn set(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let namespace = exchange.managed_namespace()?;
    let body = exchange.receive(&gateway, BODY_BYTES_MAX).await?;
    let document = Document::parse(&body)?.only(&["name", "value", "value_base64"])?;
    let name = document.needed_text("name")?;
    let value = value_of(&document)?;
    let set = gateway.platform.set_secret(&exchange.caller, &namespace, &name, value).await;
    // A name that is none may be the value, sent in its place, and that must not be written down.
    if set.as_ref().err().is_none_or(|refused| refused.code != ErrorCode::ValidationFailed) {
        exchange.concerns(&name);
    }
    set?;
    Ok(reply::ok(&json!({ "message": "Secret set", "name": name, "namespace": namespace })))
}

pub(crate) async fn list(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let found = gateway.platform.list_secrets(&exchange.caller, &exchange.managed_namespace()?)?;
    let names: Vec<&str> = found.iter().map(|secret| secret.name.as_str()).collect();
    let details: Vec<Value> = found
        .iter()
        .map(|secret| json!({ "name": secret.name, "created_at": secret.created_at, "updated_at": secret.updated_at }))
        .collect();
    Ok(reply::ok(&json!({ "secrets": names, "details": details, "count": names.len() })))
}

pub(crate) async fn delete(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let (namespace, name) = (exchange.managed_namespace()?, exchange.capture(0)?.into_owned());
    gateway.platform.delete_secret(&exchange.caller, &namespace, &name).await?;
    Ok(reply::ok(&json!({ "message": "Secret deleted" })))
}

pub(crate) async fn rotate(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let done = gateway.platform.rotate_secrets(&exchange.caller).await?;
    Ok(reply::ok(&json!({ "data_keys": done.data_keys, "secrets": done.secrets })))
}

/// `value` for texts, `value_base64` for any bytes; one of them, and not empty.
fn value_of(document: &Document<'_>) -> Result<Bytes, Refusal> {
    let decode = |text: String| STANDARD.decode(text).map_err(|_| Refusal::invalid("`value_base64` must be base64"));
    let value = match (document.text("value")?, document.text("value_base64")?) {
        (Some(_), Some(_)) => return Err(Refusal::invalid("send `value` or `value_base64`, not both")),
        (Some(text), None) => text.into_bytes(),
        (None, Some(text)) => decode(text)?,
        (None, None) => Vec::new(),
    };
    match value.is_empty() {
        true => Err(Refusal::invalid("value is required")),
        false => Ok(value.into()),
    }
}
