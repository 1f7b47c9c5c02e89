//! Reading and managing functions that exist.

use std::sync::Arc;

use domain::VersionNumber;
use platform::FunctionView;
use serde_json::json;

use super::view::FunctionJson;
use crate::Gateway;
use crate::document::Document;
use crate::error::{Answer, Refusal};
use crate::exchange::Exchange;
use crate::reply;

/// The largest body of a rollback: there is one number to say.
const BODY_BYTES_MAX: usize = 4096;

pub(crate) async fn list(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let found = gateway.platform.list(&exchange.caller, &exchange.managed_namespace()?)?;
    Ok(reply::ok(&json!({ "functions": all(&found), "count": found.len() })))
}

pub(crate) async fn get(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let found = gateway.platform.get(&exchange.caller, &exchange.managed_namespace()?, &exchange.function(0)?)?;
    Ok(reply::ok(&FunctionJson::of(&found)))
}

pub(crate) async fn versions(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let name = exchange.function_name(0)?;
    let found = gateway.platform.versions(&exchange.caller, &exchange.managed_namespace()?, &name)?;
    Ok(reply::ok(&json!({ "versions": all(&found), "count": found.len() })))
}

pub(crate) async fn delete(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let (namespace, function) = (exchange.managed_namespace()?, exchange.function(0)?);
    gateway.platform.delete(&exchange.caller, &namespace, &function).await?;
    Ok(reply::ok(&json!({ "message": "Function deleted successfully" })))
}

pub(crate) async fn rollback(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let (namespace, name) = (exchange.managed_namespace()?, exchange.function_name(0)?);
    let to = wanted_version(&exchange.receive(&gateway, BODY_BYTES_MAX).await?)?;
    let active = gateway.platform.rollback(&exchange.caller, &namespace, &name, to).await?;
    let message = format!("Function rolled back to version {}", active.version.version);
    Ok(reply::ok(&json!({ "message": message, "function": FunctionJson::of(&active) })))
}

pub(crate) async fn enable(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    switch(gateway, exchange, true).await
}

pub(crate) async fn disable(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    switch(gateway, exchange, false).await
}

async fn switch(gateway: Arc<Gateway>, exchange: Exchange, on: bool) -> Answer {
    let (namespace, name) = (exchange.managed_namespace()?, exchange.function_name(0)?);
    let switched = gateway.platform.set_enabled(&exchange.caller, &namespace, &name, on).await?;
    let (function, enabled) = (switched.version.name.as_str(), switched.state.enabled);
    Ok(reply::ok(&json!({ "status": "ok", "function": function, "enabled": enabled })))
}

fn all(views: &[FunctionView]) -> Vec<serde_json::Value> {
    views.iter().map(|view| json!(FunctionJson::of(view))).collect()
}

/// The version that a rollback names; `None` means the one before the active one.
fn wanted_version(body: &[u8]) -> Result<Option<VersionNumber>, Refusal> {
    let refused = || Refusal::invalid("`version` must be a whole number from 1");
    let named = Document::parse(body)?.only(&["version"])?.whole("version").map_err(|_| refused())?;
    let parse = |number: u64| u32::try_from(number).ok().and_then(VersionNumber::new).ok_or_else(refused);
    named.map(parse).transpose()
}
