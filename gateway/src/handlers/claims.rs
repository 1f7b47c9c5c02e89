//! The claims that the tokens of a wallet carry.

use std::sync::Arc;

use domain::Namespace;
use serde_json::json;

use super::SMALL_BODY_BYTES_MAX;
use crate::Gateway;
use crate::document::Document;
use crate::error::{Answer, Refusal};
use crate::exchange::Exchange;
use crate::reply;

pub(crate) async fn list(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let (namespace, wallet) = (exchange.managed_namespace()?, exchange.capture(0)?.into_owned());
    answer(&gateway, &exchange, &namespace, &wallet).await
}

pub(crate) async fn set(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let (namespace, wallet, claim) = named(&exchange)?;
    let body = exchange.receive(&gateway, SMALL_BODY_BYTES_MAX).await?;
    let value = Document::parse(&body)?.only(&["value"])?.text("value")?;
    let value = value.ok_or_else(|| Refusal::invalid("value is required"))?;
    gateway.platform.set_claim(&exchange.caller, &namespace, &wallet, &claim, &value).await?;
    answer(&gateway, &exchange, &namespace, &wallet).await
}

pub(crate) async fn delete(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let (namespace, wallet, claim) = named(&exchange)?;
    gateway.platform.delete_claim(&exchange.caller, &namespace, &wallet, &claim).await?;
    answer(&gateway, &exchange, &namespace, &wallet).await
}

fn named(exchange: &Exchange) -> Result<(Namespace, String, String), Refusal> {
    let namespace = exchange.managed_namespace()?;
    Ok((namespace, exchange.capture(0)?.into_owned(), exchange.capture(1)?.into_owned()))
}

async fn answer(gateway: &Gateway, exchange: &Exchange, namespace: &Namespace, wallet: &str) -> Answer {
    let claims = gateway.platform.claims(&exchange.caller, namespace, wallet).await?;
    Ok(reply::ok(&json!({ "wallet": wallet, "claims": claims })))
}
