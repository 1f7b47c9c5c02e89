//! Receipts of signed exchanges, and the keys that sign them.

use std::sync::Arc;

use domain::{FunctionName, KeyUse, Receipt, RequestId};
use http::{HeaderValue, header};
use serde_json::{Value, json};

use super::SMALL_BODY_BYTES_MAX;
use crate::Gateway;
use crate::document::Document;
use crate::error::{Answer, Refusal};
use crate::exchange::Exchange;
use crate::reply;

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1000;

pub(crate) async fn get(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let (namespace, id) = (exchange.managed_namespace()?, exchange.capture(0)?.into_owned());
    let receipt = gateway.platform.receipt(&exchange.caller, &namespace, &RequestId::new(id)).await?;
    Ok(reply::ok(&shown(&receipt)))
}

pub(crate) async fn list(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let namespace = exchange.managed_namespace()?;
    let function = exchange.query("function").filter(|text| !text.is_empty());
    let function = function.map(|text| FunctionName::parse(&text)).transpose();
    let function = function.map_err(|invalid| Refusal::invalid(format!("`function` is refused: {invalid}")))?;
    let after = exchange.query("after").map(|text| text.parse::<u64>()).transpose();
    let after = after.map_err(|_| Refusal::invalid("`after` must be the `next` of an earlier reply"))?.unwrap_or(0);
    let limit = exchange.limit(LIMIT_DEFAULT, LIMIT_MAX)?;
    let found = gateway.platform.receipts(&exchange.caller, &namespace, function.as_ref(), after, limit).await?;
    let next = found.last().map_or(after, |last| last.link.sequence);
    let receipts: Vec<Value> = found.iter().map(shown).collect();
    Ok(reply::ok(&json!({ "count": receipts.len(), "receipts": receipts, "next": next })))
}

/// The receipt, and the two fields by which any library for HTTP message signatures checks it.
fn shown(receipt: &Receipt) -> Value {
    let label = domain::RECEIPT_LABEL;
    let mut document = json!(receipt);
    document["signature_input"] = format!("{label}={}", receipt.signature_parameters()).into();
    document
}

pub(crate) async fn keys(gateway: Arc<Gateway>, _exchange: Exchange) -> Answer {
    let mut reply = reply::ok(&gateway.platform.published_keys());
    reply.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
    Ok(reply)
}

pub(crate) async fn rotate(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let body = exchange.receive(&gateway, SMALL_BODY_BYTES_MAX).await?;
    let purpose = Document::parse(&body)?.only(&["use"])?.text("use")?;
    let purpose = purpose.map_or(Some(KeyUse::Receipts), |text| KeyUse::parse(&text));
    let purpose = purpose.ok_or_else(|| Refusal::invalid("`use` must be `receipts` or `oyster`"))?;
    drop(body);
    let key = gateway.platform.rotate_signer(&exchange.caller, purpose).await?;
    exchange.concerns(&key.kid);
    Ok(reply::ok(&key))
}
