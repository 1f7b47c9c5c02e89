//! Reading the audit log.

use std::sync::Arc;

use platform::AuditRequest;
use serde_json::json;

use super::logs::parse_since;
use crate::Gateway;
use crate::error::Answer;
use crate::exchange::Exchange;
use crate::reply;

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1000;

pub(crate) async fn list(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let now = gateway.platform.clock().now();
    let request = AuditRequest {
        namespace: if exchange.switch("all") { None } else { Some(exchange.managed_namespace()?) },
        since: exchange.query("since").map(|text| parse_since(&text, now)).transpose()?,
        action: exchange.query("action").filter(|text| !text.is_empty()).map(|text| text.into_owned()),
        limit: exchange.limit(LIMIT_DEFAULT, LIMIT_MAX)?,
    };
    let events = gateway.platform.audit(&exchange.caller, request).await?;
    Ok(reply::ok(&json!({ "count": events.len(), "events": events })))
}
