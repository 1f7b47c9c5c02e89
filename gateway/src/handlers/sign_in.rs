//! Wallets that sign in: challenges and their answers. Anybody may come here, and nobody gets a key without a signature.

use std::sync::Arc;

use bytes::Bytes;
use domain::{Error, Namespace};
use http::{HeaderValue, StatusCode, header};
use platform::{ChallengeRequest, Proof};
use serde_json::json;

use super::SMALL_BODY_BYTES_MAX;
use crate::Gateway;
use crate::document::Document;
use crate::error::{Answer, Refusal};
use crate::exchange::{Exchange, parse_namespace};
use crate::reply;

pub(crate) async fn challenge(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let body = exchange.receive(&gateway, SMALL_BODY_BYTES_MAX).await?;
    let document = Document::parse(&body)?;
    let challenge = gateway.platform.challenge(ChallengeRequest {
        wallet: document.needed_text("wallet")?,
        namespace: namespace_of(&exchange, &document)?,
        purpose: document.text_or_empty("purpose")?,
        domain: exchange.host().to_owned(),
    })?;
    Ok(reply::ok(&json!({
        "wallet": challenge.wallet,
        "namespace": challenge.namespace,
        "nonce": challenge.nonce,
        "purpose": challenge.purpose,
        "message": challenge.message,
        "expires_at": challenge.expires_at,
    })))
}

pub(crate) async fn verify(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let body = exchange.receive(&gateway, SMALL_BODY_BYTES_MAX).await?;
    let proof = proof_of(&exchange, &Document::parse(&body)?)?;
    let signed_in = gateway.platform.verify(proof).await?;
    signed_by(&exchange, &signed_in.subject, &signed_in.namespace);
    let mut answer = json!({
        "access_token": signed_in.access_token,
        "token_type": "Bearer",
        "expires_in": signed_in.expires_in_seconds,
        "refresh_token": signed_in.refresh_token,
        "subject": signed_in.subject,
        "namespace": signed_in.namespace,
        "nonce": signed_in.nonce,
        "signature_verified": true,
    });
    if let Some(key) = signed_in.api_key {
        answer["api_key"] = json!(key);
    }
    Ok(private(reply::ok(&answer)))
}

pub(crate) async fn api_key(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let body = exchange.receive(&gateway, SMALL_BODY_BYTES_MAX).await?;
    let proof = proof_of(&exchange, &Document::parse(&body)?)?;
    let key = gateway.platform.wallet_key(proof).await?;
    signed_by(&exchange, &key.wallet, &key.namespace);
    Ok(private(reply::ok(&json!({
        "api_key": key.api_key,
        "namespace": key.namespace,
        "plan": "free",
        // As existing clients compare it.
        "wallet": key.wallet.strip_prefix("0x").unwrap_or(&key.wallet),
    }))))
}

pub(crate) async fn register(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let body = exchange.receive(&gateway, SMALL_BODY_BYTES_MAX).await?;
    let document = Document::parse(&body)?;
    let (proof, name) = (proof_of(&exchange, &document)?, document.text_or_empty("name")?);
    let app = gateway.platform.register_app(proof, &name).await?;
    signed_by(&exchange, &app.wallet, &app.namespace);
    exchange.concerns(&app.id);
    Ok(reply::created(&json!({
        "client_id": app.id,
        "app": { "app_id": app.id, "name": app.name, "namespace": app.namespace, "wallet": app.wallet },
        "signature_verified": true,
    })))
}

/// The reference gives keys away here; a client that asks for one learns how to get it.
pub(crate) async fn simple_key(_gateway: Arc<Gateway>, _exchange: Exchange) -> Answer {
    Err(Error::not_found("there are no keys without a signature")
        .hint("sign the message of `POST /v1/auth/challenge`, then send it to `POST /v1/auth/api-key`")
        .into())
}

/// A page for people. It loads nothing and runs nothing, and repeats nothing of the request.
pub(crate) async fn login(_gateway: Arc<Gateway>, _exchange: Exchange) -> Answer {
    const PAGE: &str = include_str!("sign_in/login.html");
    let content_type = HeaderValue::from_static("text/html; charset=utf-8");
    let mut reply = reply::of(StatusCode::OK, content_type, Bytes::from_static(PAGE.as_bytes()));
    let policy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    reply.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    reply.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(reply)
}

/// A signed challenge; the signature and what was signed must be there, the rest is judged by the platform.
fn proof_of(exchange: &Exchange, document: &Document<'_>) -> Result<Proof, Refusal> {
    let filled = |key: &str| Ok::<_, Refusal>(document.text(key)?.filter(|text| !text.is_empty()));
    let proof = Proof {
        wallet: filled("wallet")?,
        nonce: filled("nonce")?,
        message: filled("message")?,
        signature: document.text_or_empty("signature")?,
        namespace: filled("namespace")?.or_else(|| exchange.home.as_ref().map(Namespace::to_string)),
        chain: filled("chain_type")?,
        purpose: filled("purpose")?,
        domain: exchange.host().to_owned(),
    };
    let signed_something = proof.message.is_some() || (proof.wallet.is_some() && proof.nonce.is_some());
    match signed_something && !proof.signature.is_empty() {
        true => Ok(proof),
        false => Err(Refusal::invalid("wallet, nonce and signature are required, or message and signature")),
    }
}

pub(super) fn namespace_of(exchange: &Exchange, document: &Document<'_>) -> Result<Namespace, Refusal> {
    match document.text("namespace")?.filter(|named| !named.is_empty()) {
        Some(named) => exchange.at_home(parse_namespace(&named)?),
        None => Ok(exchange.home.clone().unwrap_or_else(Namespace::default_namespace)),
    }
}

fn signed_by(exchange: &Exchange, wallet: &str, namespace: &Namespace) {
    if let Some(note) = &exchange.note {
        note.signed_by(wallet, namespace);
    }
}

/// No cache on the way shall keep a credential.
pub(super) fn private(mut reply: reply::Reply) -> reply::Reply {
    reply.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply
}
