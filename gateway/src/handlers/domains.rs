//! The domains of others that lead to functions of a namespace.

use std::sync::Arc;

use domain::{Error, ErrorCode, FunctionName};
use platform::DomainView;
use serde_json::{Value, json};

use super::SMALL_BODY_BYTES_MAX;
use crate::document::Document;
use crate::error::{Answer, Refusal};
use crate::exchange::Exchange;
use crate::{Gateway, hosts, reply};

pub(crate) async fn add(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let namespace = exchange.managed_namespace()?;
    let body = exchange.receive(&gateway, SMALL_BODY_BYTES_MAX).await?;
    let document = Document::parse(&body)?.only(&["domain", "function"])?;
    let domain = document.needed_text("domain")?;
    exchange.concerns(&domain);
    let function = FunctionName::parse(&document.needed_text("function")?);
    let function = function.map_err(|invalid| Refusal::invalid(format!("`function` is refused: {invalid}")))?;
    if hosts::is_ours(&gateway, &domain) {
        let hint = "its functions have names below it already; see `gateway.base_domain`";
        return Err(Error::new(ErrorCode::Conflict, "the name belongs to this node").hint(hint).into());
    }
    let view = gateway.platform.add_domain(&exchange.caller, &namespace, &domain, &function).await?;
    Ok(reply::created(&shown(&view)))
}

pub(crate) async fn list(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let views = gateway.platform.domains(&exchange.caller, &exchange.managed_namespace()?).await?;
    let domains: Vec<Value> = views.iter().map(shown).collect();
    Ok(reply::ok(&json!({ "count": domains.len(), "domains": domains })))
}

pub(crate) async fn verify(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let (namespace, domain) = (exchange.managed_namespace()?, exchange.capture(0)?);
    let view = gateway.platform.verify_domain(&exchange.caller, &namespace, &domain).await?;
    Ok(reply::ok(&shown(&view)))
}

pub(crate) async fn remove(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let (namespace, domain) = (exchange.managed_namespace()?, exchange.capture(0)?);
    gateway.platform.remove_domain(&exchange.caller, &namespace, &domain).await?;
    Ok(reply::ok(&json!({ "status": "ok" })))
}

fn shown(view: &DomainView) -> Value {
    let claim = &view.claim;
    json!({
        "domain": claim.domain,
        "namespace": claim.namespace,
        "function": claim.function,
        "status": if claim.verified_at.is_some() { "verified" } else { "pending" },
        "record": view.record,
        "token": claim.token,
        "created_at": claim.created_at,
        "verified_at": claim.verified_at,
    })
}
