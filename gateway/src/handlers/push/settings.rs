//! The settings of a namespace's providers: changed field by field, shown without what is secret.

use std::sync::Arc;

use domain::{Error, PushKind};
use platform::{PushFieldView, PushSettingsView};
use ports::PushField;
use serde_json::{Value, json};

use super::BODY_BYTES_MAX;
use crate::Gateway;
use crate::document::Document;
use crate::error::{Answer, Refusal};
use crate::exchange::Exchange;
use crate::reply;

/// A key that people have from long ago.
const DEAD_KEY: &str = "fcm_server_key";

pub(crate) async fn show(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let view = gateway.platform.push_settings(&exchange.caller, &exchange.managed_namespace()?)?;
    Ok(reply::ok(&to_json(&view, None)))
}

pub(crate) async fn put(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    put_fields(&gateway, exchange, None).await
}

pub(crate) async fn clear(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    gateway.platform.clear_push_settings(&exchange.caller, &exchange.managed_namespace()?, None).await?;
    Ok(reply::ok(&json!({ "status": "cleared" })))
}

pub(crate) async fn show_provider(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let view = gateway.platform.push_settings(&exchange.caller, &exchange.managed_namespace()?)?;
    Ok(reply::ok(&to_json(&view, Some(provider(&exchange)?))))
}

pub(crate) async fn put_provider(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let provider = provider(&exchange)?;
    put_fields(&gateway, exchange, Some(provider)).await
}

pub(crate) async fn clear_provider(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let (namespace, provider) = (exchange.managed_namespace()?, provider(&exchange)?);
    gateway.platform.clear_push_settings(&exchange.caller, &namespace, Some(provider)).await?;
    Ok(reply::ok(&json!({ "status": "cleared" })))
}

pub(crate) async fn draw_vapid_key(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let namespace = exchange.managed_namespace()?;
    let body = exchange.receive(&gateway, BODY_BYTES_MAX).await?;
    let replace = Document::parse(&body)?.only(&["replace"])?.boolean("replace")?.unwrap_or(false);
    let public = gateway.platform.draw_vapid_key(&exchange.caller, &namespace, replace).await?;
    Ok(reply::created(&json!({ "public_key": public })))
}

pub(crate) async fn vapid_public_key(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    Ok(reply::ok(&json!({ "public_key": gateway.platform.vapid_public_key(&exchange.caller)? })))
}

/// A provider as the path names it. Apple's two channels have the same credentials.
fn provider(exchange: &Exchange) -> Result<PushKind, Refusal> {
    let named = exchange.capture(0)?;
    let known = named.parse().ok().filter(|kind| *kind != PushKind::ApnsVoip);
    known.ok_or_else(|| {
        Error::not_found("no such provider; known are `ntfy`, `expo`, `apns`, `webpush` and `fcm`").into()
    })
}

async fn put_fields(gateway: &Arc<Gateway>, mut exchange: Exchange, only: Option<PushKind>) -> Answer {
    let namespace = exchange.managed_namespace()?;
    let body = exchange.receive(gateway, BODY_BYTES_MAX).await?;
    let changes = changes(Document::parse(&body)?, only)?;
    let view = gateway.platform.set_push_settings(&exchange.caller, &namespace, changes).await?;
    let mut answer = to_json(&view, only);
    answer["status"] = "ok".into();
    Ok(reply::ok(&answer))
}

/// What is named and not `null`; an empty text clears.
fn changes(document: Document<'_>, only: Option<PushKind>) -> Result<Vec<(PushField, String)>, Refusal> {
    if document.keys().any(|key| key == DEAD_KEY) {
        return Err(Refusal::invalid(format!(
            "`{DEAD_KEY}` belongs to an API that its provider has switched off: no server key is accepted any more; set \
             `{}` to the JSON file of a service account",
            PushField::FcmServiceAccount
        )));
    }
    let fields: Vec<PushField> = PushField::ALL.into_iter().filter(|field| belongs(*field, only)).collect();
    let names: Vec<&str> = fields.iter().map(|field| field.as_str()).collect();
    let document = document.only(&names)?;
    let change = |field: PushField| Ok(value(&document, field)?.map(|text| (field, text)));
    fields.into_iter().map(change).filter_map(Result::transpose).collect()
}

fn belongs(field: PushField, only: Option<PushKind>) -> bool {
    only.is_none_or(|kind| field.provider() == kind)
}

/// Texts, but for a switch, and for a file that is JSON itself and may stand there as it is.
fn value(document: &Document<'_>, field: PushField) -> Result<Option<String>, Refusal> {
    let Some(raw) = document.raw(field.as_str()).map(|raw| raw.get()) else { return Ok(None) };
    let as_it_is = match field {
        PushField::ApnsSandbox => matches!(raw, "true" | "false"),
        PushField::FcmServiceAccount => raw.starts_with('{'),
        _ => false,
    };
    if as_it_is { Ok(Some(raw.to_owned())) } else { document.text(field.as_str()) }
}

fn to_json(view: &PushSettingsView, only: Option<PushKind>) -> Value {
    let mut json = json!({ "namespace": view.namespace, "updated_at": view.updated_at });
    for (field, value) in view.fields.iter().filter(|(field, _)| belongs(*field, only)) {
        match value {
            PushFieldView::Secret { is_set } => json[format!("has_{field}")] = (*is_set).into(),
            PushFieldView::Plain(text) if *field == PushField::ApnsSandbox => {
                json[field.as_str()] = (text == "true").into();
            }
            PushFieldView::Plain(text) => json[field.as_str()] = text.as_str().into(),
        }
    }
    match only {
        None => json["providers"] = json!(view.providers),
        Some(kind) => json["configured"] = view.providers.contains(&kind).into(),
    }
    if only.is_none_or(|kind| kind == PushKind::Webpush) {
        json["vapid_public_key"] = json!(view.vapid_public_key);
    }
    json
}
