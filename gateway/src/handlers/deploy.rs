//! A deploy: an upload, read within limits, into a manifest and code.

mod definition;
mod form;

use std::sync::Arc;
use std::time::Duration;

use domain::{Error, ErrorCode, InvalidField, Manifest, Scope};
use http::StatusCode;
use platform::{Deploy, Deployed};
use serde_json::{Value, json};
use tokio::sync::SemaphorePermit;

use super::multipart::boundary_of;
use super::view::FunctionJson;
use crate::Gateway;
use crate::error::{Answer, Refusal};
use crate::exchange::{Exchange, parse_namespace};
use crate::reply;
use form::Upload;

/// The longest wait for a place among the uploads.
const UPLOAD_WAIT: Duration = Duration::from_secs(60);
/// The largest JSON body, which is never a valid deploy: it is read only to say what is missing.
const JSON_BYTES_MAX: usize = 1 << 20;

pub(crate) async fn deploy(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    // Before the body is read: who may not deploy shall not fill our memory.
    if !exchange.caller.scopes.allow(Scope::Deploy) {
        return Err(Error::new(ErrorCode::Forbidden, "the key lacks the scope `deploy`").into());
    }
    let Some(boundary) = boundary_of(&exchange)? else { return Err(without_multipart(exchange).await) };
    let code_bytes_max = gateway.platform.config().limits.code_bytes_max;
    let _place = upload_place(&gateway).await?;
    let upload = form::read(&mut exchange.body, boundary, code_bytes_max).await?;
    let (deploy, warnings) = understand(&exchange, upload)?;
    exchange.concerns(deploy.manifest.name.as_str());
    let dry_run = deploy.dry_run;
    let mut deployed = gateway.platform.deploy(&exchange.caller, deploy).await?;
    deployed.warnings.splice(0..0, warnings);
    Ok(answer(&deployed, dry_run))
}

async fn upload_place(gateway: &Gateway) -> Result<SemaphorePermit<'_>, Refusal> {
    match tokio::time::timeout(UPLOAD_WAIT, gateway.uploads.acquire()).await {
        Ok(place) => Ok(place.expect("the semaphore is never closed")),
        Err(_) => Err(Error::new(ErrorCode::RateLimited, "too many uploads at once; try again")
            .retry_after(Duration::from_secs(1))
            .into()),
    }
}

async fn without_multipart(mut exchange: Exchange) -> Refusal {
    let body = match exchange.body.read_all(JSON_BYTES_MAX).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let document: Option<Value> = serde_json::from_slice(&body).ok();
    let in_base64 = document.is_some_and(|document| document.get("wasm_base64").is_some());
    Refusal::invalid(match in_base64 {
        true => "Base64 WASM upload not supported, use multipart/form-data",
        false => "WASM bytecode required: send multipart/form-data with the module as the part `wasm`",
    })
}

/// The deploy that an upload asks for, and what of it was not understood.
fn understand(exchange: &Exchange, upload: Upload) -> Result<(Deploy, Vec<String>), Refusal> {
    let Upload { code, definition } = upload;
    if definition.draft.name.as_deref().is_none_or(str::is_empty) {
        return Err(Refusal::invalid("Function name required: send it as `name`, in `metadata` or as a field"));
    }
    let code = code.ok_or_else(|| Refusal::invalid("WASM file required: send the module as the part `wasm`"))?;
    let manifest: Manifest = definition.draft.check().map_err(on_the_wire)?;
    let namespace = match definition.namespace.as_deref().filter(|named| !named.is_empty()) {
        Some(named) => parse_namespace(named)?,
        None => exchange.managed_namespace()?,
    };
    let dry_run = definition.dry_run || exchange.switch("dry_run");
    let if_changed = definition.if_changed || exchange.switch("if_changed");
    Ok((Deploy { namespace, manifest, code, if_changed, dry_run }, definition.warnings))
}

/// A field's refusal, under the name that the field has in an upload.
fn on_the_wire(invalid: InvalidField) -> Refusal {
    let field = match invalid.field {
        "memory" => "memory_limit_mb",
        "timeout" => "timeout_seconds",
        "retry.count" => "retry_count",
        "retry.delay" => "retry_delay_seconds",
        "env" => "env_vars",
        other => other,
    };
    Refusal::invalid(format!("`{field}` {}", invalid.reason))
}

fn answer(deployed: &Deployed, dry_run: bool) -> reply::Reply {
    let Deployed { function, code, changed, warnings } = deployed;
    let function = function.as_ref().map(FunctionJson::of);
    if dry_run {
        let message = "Function is valid";
        return reply::ok(&json!({ "message": message, "dry_run": true, "wasm_cid": code, "warnings": warnings }));
    }
    let (status, message) = match changed {
        true => (StatusCode::CREATED, "Function deployed successfully"),
        false => (StatusCode::OK, "Function is unchanged"),
    };
    reply::json(status, &json!({ "message": message, "function": function, "changed": changed, "warnings": warnings }))
}
