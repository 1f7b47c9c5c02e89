//! The API keys of a namespace.

use std::sync::Arc;
use std::time::Duration;

use domain::{Namespace, Scope, Scopes, Timestamp};
use platform::{KeyView, NewKey};
use serde::Serialize;
use serde_json::json;

use super::SMALL_BODY_BYTES_MAX;
use super::sign_in::private;
use crate::Gateway;
use crate::document::Document;
use crate::error::{Answer, Refusal};
use crate::exchange::Exchange;
use crate::reply;

pub(crate) async fn list(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let found = gateway.platform.list_api_keys(&exchange.caller, &exchange.managed_namespace()?)?;
    let keys: Vec<KeyJson<'_>> = found.iter().map(KeyJson::of).collect();
    Ok(reply::ok(&json!({ "count": keys.len(), "keys": keys })))
}

pub(crate) async fn create(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let namespace = exchange.managed_namespace()?;
    let body = exchange.receive(&gateway, SMALL_BODY_BYTES_MAX).await?;
    let document = Document::parse(&body)?.only(&["name", "scopes", "expires_in_seconds"])?;
    let new = NewKey {
        name: document.text_or_empty("name")?,
        scopes: parse_scopes(&document.texts("scopes")?)?,
        lifetime: document.whole("expires_in_seconds")?.map(Duration::from_secs),
    };
    let created = gateway.platform.create_api_key(&exchange.caller, &namespace, new).await?;
    exchange.concerns(&created.view.id);
    let mut answer = json!(KeyJson::of(&created.view));
    answer["key"] = json!(created.key);
    Ok(private(reply::created(&answer)))
}

pub(crate) async fn revoke(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let (namespace, id) = (exchange.managed_namespace()?, exchange.capture(0)?.into_owned());
    gateway.platform.revoke_api_key(&exchange.caller, &namespace, &id).await?;
    Ok(reply::ok(&json!({ "message": "Key revoked" })))
}

#[derive(Serialize)]
struct KeyJson<'a> {
    id: &'a str,
    name: &'a str,
    namespace: &'a Namespace,
    scopes: Vec<&'static str>,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wallet: Option<&'a str>,
}

impl<'a> KeyJson<'a> {
    fn of(view: &'a KeyView) -> Self {
        Self {
            id: &view.id,
            name: &view.name,
            namespace: &view.namespace,
            scopes: super::tokens::scope_names(&view.scopes),
            created_at: view.created_at,
            expires_at: view.expires_at,
            last_used_at: view.last_used_at,
            revoked_at: view.revoked_at,
            wallet: view.wallet.as_deref(),
        }
    }
}

/// The scopes that a request names; each must exist.
pub(super) fn parse_scopes(names: &[String]) -> Result<Scopes, Refusal> {
    let known = || Scope::ALL.map(Scope::as_str).join("`, `");
    let parse =
        |name: &String| Scope::parse(name).ok_or_else(|| Refusal::invalid(format!("`scopes` may hold `{}`", known())));
    let scopes: Result<Vec<Scope>, Refusal> = names.iter().map(parse).collect();
    Ok(Scopes::of(scopes?))
}
