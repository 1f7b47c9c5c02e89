//! Functions as clients see them.

use std::collections::BTreeMap;

use domain::{EngineKind, Manifest, Timestamp, TriggerSpec};
use platform::FunctionView;
use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct FunctionJson<'a> {
    id: &'a str,
    name: &'a str,
    namespace: &'a str,
    version: u32,
    wasm_cid: String,
    size_bytes: u64,
    engine: EngineKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<&'a str>,
    memory_limit_mb: u32,
    timeout_seconds: u64,
    is_public: bool,
    is_internal: bool,
    retry_count: u32,
    retry_delay_seconds: u64,
    concurrency: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    dlq_topic: Option<&'a str>,
    http: bool,
    reactor: bool,
    raw_http_response: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    main: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compatibility_date: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    sign: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    by_hash: bool,
    /// Names and values: whoever may read this may also deploy code that reads them.
    env_vars: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    triggers: &'a [TriggerSpec],
    #[serde(flatten)]
    sockets: Sockets<'a>,
    status: &'static str,
    /// Is this the version that the bare name means?
    active: bool,
    created_at: Timestamp,
    updated_at: Timestamp,
    created_by: &'a str,
}

/// Shown when set.
#[derive(Serialize)]
struct Sockets<'a> {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    ws_persistent: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    ws_idle_timeout_sec: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ws_max_frame_bytes: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ws_max_inflight_per_conn: Option<u32>,
    #[serde(skip_serializing_if = "str::is_empty")]
    ws_auth: &'a str,
}

impl<'a> FunctionJson<'a> {
    pub(crate) fn of(view: &'a FunctionView) -> Self {
        let (version, manifest) = (&*view.version, &view.version.manifest);
        Self {
            id: &version.id,
            name: version.name.as_str(),
            namespace: version.namespace.as_str(),
            version: version.version.get(),
            wasm_cid: version.code.to_string(),
            size_bytes: version.code_bytes,
            engine: manifest.engine,
            language: manifest.language.map(|language| language.as_str()),
            memory_limit_mb: manifest.memory_mb,
            timeout_seconds: manifest.timeout.as_secs(),
            is_public: manifest.public,
            is_internal: manifest.internal,
            retry_count: manifest.retry.count,
            retry_delay_seconds: manifest.retry.delay.as_secs(),
            concurrency: manifest.concurrency,
            dlq_topic: manifest.dlq_topic.as_deref(),
            http: manifest.http,
            reactor: manifest.reactor,
            raw_http_response: manifest.raw_http_response,
            main: manifest.main.as_deref(),
            compatibility_date: manifest.compatibility_date.as_deref(),
            sign: manifest.sign,
            by_hash: manifest.by_hash,
            env_vars: &manifest.env,
            triggers: &manifest.triggers,
            sockets: Sockets::of(manifest),
            status: if view.state.enabled { "active" } else { "inactive" },
            active: view.active(),
            created_at: version.created_at,
            updated_at: if view.active() { view.state.updated_at } else { version.created_at },
            created_by: &version.created_by,
        }
    }
}

impl<'a> Sockets<'a> {
    fn of(manifest: &'a Manifest) -> Self {
        let limits = &manifest.websocket;
        let set = |value: u32, range: (u64, u64, u64)| (u64::from(value) != range.2).then_some(value);
        Self {
            ws_persistent: limits.persistent,
            ws_idle_timeout_sec: Some(limits.idle_timeout.as_secs()).filter(|seconds| *seconds != 0),
            ws_max_frame_bytes: set(limits.frame_bytes_max, domain::LIMITS.ws_frame_bytes),
            ws_max_inflight_per_conn: set(limits.inflight_max, domain::LIMITS.ws_inflight),
            ws_auth: &limits.auth,
        }
    }
}
