//! Content of a namespace for its clients: in and out as it arrives, whatever its size.
//!
//! `upload.rs` takes content in, `range.rs` reads what of it a client wants.

pub(crate) mod range;
mod upload;

use std::sync::Arc;

use domain::{Cid, Error, Namespace};
use http::{HeaderValue, Method, StatusCode, header};
use ports::ContentInfo;
use serde_json::{Value, json};

use super::SMALL_BODY_BYTES_MAX;
use crate::Gateway;
use crate::document::Document;
use crate::error::{Answer, Refusal};
use crate::exchange::{Exchange, parse_cid};
use crate::reply::{self, Reply, ReplyBody};
use range::Wanted;

pub(crate) use upload::upload;

const LIST_DEFAULT: usize = 100;
const LIST_MAX: usize = 1000;
/// The longest name of content, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// What `GET /v1/limits` says.
pub(super) fn limits() -> Value {
    json!({ "json_upload_bytes": upload::JSON_CONTENT_BYTES_MAX, "name_bytes": NAME_BYTES_MAX, "list": LIST_MAX })
}

pub(crate) async fn get(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let (namespace, cid) = (exchange.managed_namespace()?, exchange.cid(0)?);
    let (_, content) = gateway.platform.open_content(&exchange.caller, &namespace, &cid).await?;
    let etag = format!("\"{cid}\"");
    if range::is_known(&exchange, &etag) {
        let mut reply = Reply::default();
        *reply.status_mut() = StatusCode::NOT_MODIFIED;
        reply.headers_mut().insert(header::ETAG, reply::text_value(&etag));
        return Ok(reply);
    }
    let size = content.bytes();
    let wanted = match exchange.parts.method {
        Method::GET => range::wanted(&exchange, &etag, size),
        // A range is about the body, and there is none.
        _ => Wanted::Everything,
    };
    let (status, start, end) = match wanted {
        Wanted::Everything => (StatusCode::OK, 0, size),
        Wanted::Part { start, end } => (StatusCode::PARTIAL_CONTENT, start, end),
        Wanted::Nothing => return Err(Refusal::no_such_range(size)),
    };
    let body = ReplyBody::of_content(content, start, end, exchange.request_id.clone());
    let mut reply = reply::of(status, HeaderValue::from_static("application/octet-stream"), body);
    let headers = reply.headers_mut();
    headers.insert(header::ETAG, reply::text_value(&etag));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable"));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_DISPOSITION, reply::text_value(&format!("attachment; filename={cid}")));
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {start}-{}/{size}", end - 1);
        headers.insert(header::CONTENT_RANGE, reply::text_value(&range));
    }
    Ok(reply)
}

pub(crate) async fn status(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let (namespace, cid) = (exchange.managed_namespace()?, exchange.cid(0)?);
    let info = gateway.platform.content(&exchange.caller, &namespace, &cid).await?;
    Ok(reply::ok(&json!({
        "cid": info.cid,
        "name": info.name,
        "status": if info.pinned { "pinned" } else { "unpinned" },
        "size": info.bytes,
        "replication_min": 1,
        "replication_max": 1,
        "replication_factor": 1,
        "peers": [super::network::NODE_ID],
    })))
}

pub(crate) async fn pin(gateway: Arc<Gateway>, mut exchange: Exchange) -> Answer {
    let namespace = exchange.managed_namespace()?;
    let body = exchange.receive(&gateway, SMALL_BODY_BYTES_MAX).await?;
    let document = Document::parse(&body)?;
    let cid = parse_cid(&document.needed_text("cid")?)?;
    let name = document.text("name")?;
    let info = gateway.platform.pin_content(&exchange.caller, &namespace, &cid, true, name.as_deref()).await?;
    Ok(reply::ok(&json!({ "cid": info.cid, "name": info.name })))
}

pub(crate) async fn unpin(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let (namespace, cid) = (exchange.managed_namespace()?, exchange.cid(0)?);
    gateway.platform.pin_content(&exchange.caller, &namespace, &cid, false, None).await?;
    Ok(reply::ok(&json!({ "status": "ok", "cid": cid })))
}

pub(crate) async fn list(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let namespace = exchange.managed_namespace()?;
    let after = exchange.query("after").filter(|text| !text.is_empty()).map(|text| parse_after(&text)).transpose()?;
    let limit = exchange.limit(LIST_DEFAULT, LIST_MAX)?;
    let platform = &gateway.platform;
    let found = platform.list_contents(&exchange.caller, &namespace, after.as_ref(), limit).await?;
    let (used, quota) = platform.storage_usage(&exchange.caller, &namespace).await?;
    let contents: Vec<Value> = found.iter().map(shown).collect();
    let mut answer = json!({ "count": contents.len(), "contents": contents, "used_bytes": used });
    if let Some(quota) = quota {
        answer["quota_bytes"] = json!(quota);
    }
    Ok(reply::ok(&answer))
}

pub(crate) async fn collect(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let namespace: Namespace = exchange.managed_namespace()?;
    let swept = gateway.platform.sweep_contents(&exchange.caller, &namespace).await?;
    Ok(reply::ok(&json!({ "contents": swept.contents, "bytes": swept.bytes })))
}

fn shown(info: &ContentInfo) -> Value {
    json!({
        "cid": info.cid,
        "name": info.name,
        "size": info.bytes,
        "pinned": info.pinned,
        "created_at": info.created_at,
    })
}

fn parse_after(text: &str) -> Result<Cid, Refusal> {
    Cid::parse(text).map_err(|invalid| Refusal::invalid(format!("`after`: {invalid}")))
}

/// Checked before the content arrives, and not only when it is stored.
fn checked_name(name: String) -> Result<String, Refusal> {
    match name.len() <= NAME_BYTES_MAX && !name.chars().any(char::is_control) {
        true => Ok(name),
        false => {
            let message = format!("the name must have at most {NAME_BYTES_MAX} bytes and no control characters");
            Err(Error::invalid(message).into())
        }
    }
}
