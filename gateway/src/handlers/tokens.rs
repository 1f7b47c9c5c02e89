//! Access tokens and refresh tokens, the keys that verify them, and who a credential says you are.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{Credential, Scope, Scopes};
use http::{HeaderValue, header};
use platform::PublicKey;
use serde_json::{Value, json};

use super::SMALL_BODY_BYTES_MAX;
use super::sign_in::private;
use crate::document::Document;
use crate::error::{Answer, Refusal};
use crate::exchange::{Exchange, parse_namespace};
use crate::reply;
use crate::{Gateway, credential};

pub(crate) async fn exchange(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let access = gateway.platform.exchange_key(&exchange.caller).await?;
    Ok(private(reply::ok(&json!({
        "access_token": access.token,
        "token_type": "Bearer",
        "expires_in": access.expires_in_seconds,
        "namespace": access.namespace,
    }))))
}

pub(crate) async fn refresh(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let body = exchange.receive(&gateway, SMALL_BODY_BYTES_MAX).await?;
    let document = Document::parse(&body)?;
    let presented = document.needed_text("refresh_token")?;
    let namespace = document.text("namespace")?.filter(|named| !named.is_empty());
    let named = namespace.map(|named| exchange.at_home(parse_namespace(&named)?)).transpose()?;
    let namespace = named.or_else(|| exchange.home.clone());
    let next = gateway.platform.refresh(&presented, namespace.as_ref()).await?;
    if let Some(note) = &exchange.note {
        note.signed_by(&next.subject, &next.namespace);
    }
    Ok(private(reply::ok(&json!({
        "access_token": next.access_token,
        // The name under which the published client library looks for it.
        "token": next.access_token,
        "token_type": "Bearer",
        "expires_in": next.expires_in_seconds,
        "refresh_token": next.refresh_token,
        "subject": next.subject,
        "namespace": next.namespace,
    }))))
}

pub(crate) async fn logout(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let body = exchange.receive(&gateway, SMALL_BODY_BYTES_MAX).await?;
    let document = Document::parse(&body)?;
    let token = document.text("refresh_token")?.filter(|token| !token.is_empty());
    let all = document.boolean("all")?.unwrap_or(false);
    gateway.platform.logout(&exchange.caller, token.as_deref(), all).await?;
    Ok(reply::ok(&json!({ "status": "ok" })))
}

pub(crate) async fn whoami(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    Ok(reply::ok(&match &exchange.caller.credential {
        Credential::Token { .. } => by_token(&gateway, &exchange)?,
        Credential::Key { id } => by_key(&exchange, Some(id)),
        Credential::None | Credential::Platform => by_key(&exchange, None),
    }))
}

/// The key itself is never echoed.
fn by_key(exchange: &Exchange, id: Option<&str>) -> Value {
    let caller = &exchange.caller;
    json!({
        "authenticated": true,
        "method": "api_key",
        "key_id": id,
        "namespace": caller.namespace,
        "scopes": scope_names(&caller.scopes),
        "wallet": caller.wallet(),
    })
}

fn by_token(gateway: &Gateway, exchange: &Exchange) -> Result<Value, Refusal> {
    let caller = &exchange.caller;
    let gone = || domain::Error::of(domain::ErrorCode::Unauthorized);
    let facts = credential::token_facts(gateway, &exchange.parts).ok_or_else(gone)?;
    Ok(json!({
        "authenticated": true,
        "method": "jwt",
        "subject": facts.subject,
        "issuer": facts.issuer,
        "audience": facts.audience,
        "issued_at": facts.issued_at,
        "not_before": facts.not_before,
        "expires_at": facts.expires_at,
        "namespace": facts.namespace,
        "scopes": scope_names(&caller.scopes),
        "wallet": caller.wallet(),
    }))
}

pub(super) fn scope_names(scopes: &Scopes) -> Vec<&'static str> {
    scopes.iter().map(Scope::as_str).collect()
}

pub(crate) async fn jwks(gateway: Arc<Gateway>, _exchange: Exchange) -> Answer {
    let keys: Vec<Value> = gateway.platform.public_keys().iter().map(jwk).collect();
    let mut reply = reply::ok(&json!({ "keys": keys }));
    // A rotated key verifies longer than this, so that nobody is without it.
    reply.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    Ok(reply)
}

/// A key as RFC 8037 writes it.
fn jwk(key: &PublicKey) -> Value {
    json!({
        "kty": "OKP",
        "crv": "Ed25519",
        "alg": "EdDSA",
        "use": "sig",
        "kid": key.id,
        "x": URL_SAFE_NO_PAD.encode(key.bytes),
    })
}

pub(crate) async fn rotate(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let key = gateway.platform.rotate_signing_key(&exchange.caller).await?;
    exchange.concerns(&key.id);
    Ok(reply::ok(&json!({ "kid": key.id })))
}
