//! What the node tells about itself.

use std::sync::Arc;
use std::time::Duration;

use domain::{Error, ErrorCode, LIMITS, Scope};
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};

use crate::Gateway;
use crate::error::Answer;
use crate::exchange::Exchange;
use crate::metrics::Metrics;
use crate::reply;

pub(crate) async fn health(gateway: Arc<Gateway>, _exchange: Exchange) -> Answer {
    let server = json!({
        "status": "ok",
        "started_at": gateway.platform.started_at(),
        "uptime": uptime(&gateway),
    });
    Ok(reply::ok(&json!({ "status": "ok", "server": server, "client": { "status": "ok" } })))
}

pub(crate) async fn ready(gateway: Arc<Gateway>, _exchange: Exchange) -> Answer {
    let not_ready = |reason| Error::new(ErrorCode::ServiceUnavailable, reason);
    gateway.platform.ready().map_err(not_ready)?;
    Ok(reply::ok(&json!({ "ready": true })))
}

pub(crate) async fn version(gateway: Arc<Gateway>, _exchange: Exchange) -> Answer {
    let build = &gateway.config.build;
    Ok(reply::ok(&json!({
        "version": build.version,
        "commit": build.commit,
        "build_time": build.built_at,
        "started_at": gateway.platform.started_at(),
        "uptime": uptime(&gateway),
    })))
}

pub(crate) async fn limits(gateway: Arc<Gateway>, _exchange: Exchange) -> Answer {
    let (node, edge) = (&gateway.platform.config().limits, &gateway.config.edge);
    Ok(reply::ok(&json!({
        "function": {
            "memory_limit_mb": range(LIMITS.memory_mb),
            "worker_memory_limit_mb": range(LIMITS.worker_memory_mb),
            "timeout_seconds": range(LIMITS.timeout_seconds),
            "retry_count": range(LIMITS.retry_count),
            "retry_delay_seconds": range(LIMITS.retry_delay_seconds),
            "concurrency": range(LIMITS.concurrency),
            "ws_idle_timeout_sec": range(LIMITS.ws_idle_timeout_seconds),
            "ws_max_frame_bytes": range(LIMITS.ws_frame_bytes),
            "ws_max_inflight_per_conn": range(LIMITS.ws_inflight),
            "env_vars": LIMITS.env_vars,
            "env_bytes": LIMITS.env_bytes,
            "triggers": LIMITS.triggers,
        },
        "node": {
            "concurrency": node.node_concurrency,
            "namespace_concurrency": node.namespace_concurrency,
            "queue": node.queue_max,
            "queue_wait_seconds": node.queue_wait.as_secs_f64(),
            "input_bytes": node.input_bytes_max,
            "code_bytes": node.code_bytes_max,
            "sockets": node.node_sockets,
            "namespace_sockets": node.namespace_sockets,
        },
        "data": {
            "body_bytes": super::DATA_BODY_BYTES_MAX,
            "database": super::database::limits(),
            "cache": super::cache::limits(),
            "storage": super::storage::limits(),
            "pubsub": super::pubsub::limits(),
        },
        "jobs": super::jobs::limits(),
        "triggers": super::triggers::limits(),
        "http": {
            "connections": edge.connections_max,
            "connections_per_address": edge.connections_per_address_max,
            "headers": edge.headers_max,
            "header_bytes": edge.header_bytes_max,
            "uri_bytes": edge.uri_bytes_max,
        },
        "websocket": super::sockets::limits(&gateway.config.sockets),
    })))
}

fn range((least, most, default): (u64, u64, u64)) -> Value {
    json!({ "min": least, "max": most, "default": default })
}

pub(crate) async fn openapi(gateway: Arc<Gateway>, _exchange: Exchange) -> Answer {
    Ok(reply::of(StatusCode::OK, reply::JSON, gateway.openapi.clone()))
}

pub(crate) async fn metrics(gateway: Arc<Gateway>, exchange: Exchange) -> Answer {
    let allowed = exchange.is_from_this_machine() || exchange.caller.scopes.allow(Scope::Operator);
    if !allowed {
        let code = if exchange.caller.is_anonymous() { ErrorCode::Unauthorized } else { ErrorCode::Forbidden };
        return Err(Error::new(code, "metrics are for operators, and for this machine itself").into());
    }
    let mut text = gateway.metrics.render(&gateway.connections, &gateway.platform.metrics());
    if let Some(tls) = &gateway.config.tls {
        let certificates = tls.certificates_by_days_left(gateway.platform.clock().now());
        Metrics::render_tls(&mut text, &tls.counts, &certificates);
    }
    let content_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(reply::of(StatusCode::OK, content_type, bytes::Bytes::from(text)))
}

pub(super) fn uptime(gateway: &Gateway) -> String {
    let platform = &gateway.platform;
    let ran = platform.clock().now().duration_since(platform.started_at());
    uptime_text(ran.try_into().unwrap_or_default())
}

/// As `1h2m3s`.
fn uptime_text(ran: Duration) -> String {
    let seconds = ran.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s}s"),
        (h, m, s) => format!("{h}h{m}m{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptime_is_short() {
        let texts = [0, 59, 61, 3600, 90_061].map(|seconds| uptime_text(Duration::from_secs(seconds)));
        assert_eq!(texts, ["0s", "59s", "1m1s", "1h0m0s", "25h1m1s"]);
    }
}
