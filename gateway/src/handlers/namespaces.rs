//! Namespaces, their owners and what is set for them.

use std::sync::Arc;

use domain::{Namespace, NamespaceSettings, Scope, Scopes, Timestamp};
use platform::NamespaceView;
use ports::Owner;
use serde::Serialize;
use serde_json::{Value, json};

use super::SMALL_BODY_BYTES_MAX;
use super::keys::parse_scopes;
use super::tokens::scope_names;
use crate::Gateway;
use crate::document::Document;
use crate::error::{Answer, Refusal};
use crate::exchange::{Exchange, parse_namespace};
use crate::reply;

pub(crate) async fn list(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let found = gateway.platform.list_namespaces(&exchange.caller)?;
    let namespaces: Vec<NamespaceJson<'_>> = found.iter().map(NamespaceJson::of).collect();
    Ok(reply::ok(&json!({ "count": namespaces.len(), "namespaces": namespaces })))
}

pub(crate) async fn create(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let body = exchange.receive(&gateway, SMALL_BODY_BYTES_MAX).await?;
    let name = parse_namespace(&Document::parse(&body)?.only(&["name"])?.needed_text("name")?)?;
    exchange.concerns(name.as_str());
    let created = gateway.platform.create_namespace(&exchange.caller, &name).await?;
    Ok(reply::created(&NamespaceJson::of(&created)))
}

pub(crate) async fn get(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let found = gateway.platform.namespace(&exchange.caller, &exchange.namespace_capture(0)?)?;
    Ok(reply::ok(&NamespaceJson::of(&found)))
}

pub(crate) async fn delete(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let namespace = exchange.namespace_capture(0)?;
    exchange.concerns(namespace.as_str());
    gateway.platform.delete_namespace(&exchange.caller, &namespace).await?;
    Ok(reply::ok(&json!({ "message": "Namespace deleted" })))
}

pub(crate) async fn settings(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let found = gateway.platform.namespace(&exchange.caller, &exchange.namespace_capture(0)?)?;
    Ok(reply::ok(&found.settings))
}

pub(crate) async fn put_settings(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let namespace = exchange.namespace_capture(0)?;
    let body = exchange.receive(&gateway, SMALL_BODY_BYTES_MAX).await?;
    Document::parse(&body)?.only(NamespaceSettings::FIELDS)?;
    let settings: NamespaceSettings = serde_json::from_slice(&body)
        .map_err(|wrong| Refusal::invalid(format!("the settings are refused: {wrong}")))?;
    gateway.platform.set_namespace_settings(&exchange.caller, &namespace, settings.clone()).await?;
    Ok(reply::ok(&settings))
}

pub(crate) async fn owners(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let found = gateway.platform.owners(&exchange.caller, &exchange.namespace_capture(0)?)?;
    let owners: Vec<Value> = found.iter().map(owner_json).collect();
    Ok(reply::ok(&json!({ "count": owners.len(), "owners": owners })))
}

pub(crate) async fn put_owner(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let (namespace, wallet) = (exchange.namespace_capture(0)?, exchange.capture(1)?.into_owned());
    let body = exchange.receive(&gateway, SMALL_BODY_BYTES_MAX).await?;
    let named = Document::parse(&body)?.only(&["scopes"])?.texts("scopes")?;
    let scopes = if named.is_empty() { Scopes::of([Scope::Admin]) } else { parse_scopes(&named)? };
    let owner = gateway.platform.put_owner(&exchange.caller, &namespace, &wallet, scopes).await?;
    Ok(reply::ok(&owner_json(&owner)))
}

pub(crate) async fn remove_owner(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let (namespace, wallet) = (exchange.namespace_capture(0)?, exchange.capture(1)?.into_owned());
    gateway.platform.remove_owner(&exchange.caller, &namespace, &wallet).await?;
    Ok(reply::ok(&json!({ "message": "Owner removed" })))
}

pub(crate) async fn rate_limit(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let found = gateway.platform.namespace(&exchange.caller, &exchange.managed_namespace()?)?;
    Ok(rates_json(&gateway, &found.settings))
}

pub(crate) async fn put_rate_limit(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let namespace = exchange.managed_namespace()?;
    let body = exchange.receive(&gateway, SMALL_BODY_BYTES_MAX).await?;
    let document = Document::parse(&body)?.only(&["requests_per_minute", "caller_requests_per_minute"])?;
    let (all, each) = (document.whole("requests_per_minute")?, document.whole("caller_requests_per_minute")?);
    if all.is_none() && each.is_none() {
        return Err(Refusal::invalid("requests_per_minute or caller_requests_per_minute is required"));
    }
    change_rates(&gateway, &exchange, &namespace, |settings| {
        settings.requests_per_minute = all.or(settings.requests_per_minute);
        settings.caller_requests_per_minute = each.or(settings.caller_requests_per_minute);
    })
    .await
}

pub(crate) async fn clear_rate_limit(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let namespace = exchange.managed_namespace()?;
    change_rates(&gateway, &exchange, &namespace, |settings| {
        settings.requests_per_minute = None;
        settings.caller_requests_per_minute = None;
    })
    .await
}

async fn change_rates(
    gateway: &Gateway,
    exchange: &Exchange,
    namespace: &Namespace,
    change: impl FnOnce(&mut NamespaceSettings),
) -> Answer {
    let mut settings = gateway.platform.namespace(&exchange.caller, namespace)?.settings;
    change(&mut settings);
    gateway.platform.set_namespace_settings(&exchange.caller, namespace, settings.clone()).await?;
    Ok(rates_json(gateway, &settings))
}

/// What holds in the namespace, whether it is set there or follows the node; 0 means no limit.
fn rates_json(gateway: &Gateway, settings: &NamespaceSettings) -> reply::Reply {
    let node = &gateway.platform.config().namespace_defaults;
    let all = settings.requests_per_minute.or(node.requests_per_minute).unwrap_or(0);
    let each = settings.caller_requests_per_minute.or(node.caller_requests_per_minute).unwrap_or(0);
    reply::ok(&json!({ "requests_per_minute": all, "caller_requests_per_minute": each }))
}

#[derive(Serialize)]
struct NamespaceJson<'a> {
    name: &'a Namespace,
    created_at: Timestamp,
    created_by: &'a str,
    functions: u64,
    settings: &'a NamespaceSettings,
}

impl<'a> NamespaceJson<'a> {
    fn of(view: &'a NamespaceView) -> Self {
        let NamespaceView { name, created_at, created_by, functions, settings } = view;
        Self { name, created_at: *created_at, created_by, functions: *functions, settings }
    }
}

fn owner_json(owner: &Owner) -> Value {
    json!({ "wallet": owner.wallet, "scopes": scope_names(&owner.scopes), "added_at": owner.added_at })
}
