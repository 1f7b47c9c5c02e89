//! `function.yaml`: what the author of a function asks for.
//!
//! [`Draft`] is what somebody wrote, from a YAML file or from the fields of an upload; [`Draft::check`] turns it into a
//! [`Manifest`], in which every value is within its range. The YAML reader lives in `manifest/yaml.rs`.

mod yaml;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{EgressPolicy, FunctionName, Topic, TriggerSpec};

pub use yaml::InvalidManifest;

/// The ranges of a manifest; `GET /v1/limits` publishes them.
pub const LIMITS: ManifestLimits = ManifestLimits {
    memory_mb: (1, 256, 64),
    worker_memory_mb: (128, 1024, 256),
    timeout_seconds: (1, 300, 30),
    retry_count: (0, 5, 0),
    retry_delay_seconds: (0, 300, 5),
    concurrency: (1, 1000, 100),
    ws_idle_timeout_seconds: (0, 86_400, 0),
    ws_frame_bytes: (0, 16 << 20, 262_144),
    ws_inflight: (0, 1024, 64),
    env_vars: 100,
    env_bytes: 64 << 10,
    triggers: 100,
    egress_rules: 100,
};

/// Each range is (least, most, default).
#[derive(Debug, Clone, Copy)]
pub struct ManifestLimits {
    pub memory_mb: (u64, u64, u64),
    /// The same for `engine: worker`.
    pub worker_memory_mb: (u64, u64, u64),
    pub timeout_seconds: (u64, u64, u64),
    pub retry_count: (u64, u64, u64),
    pub retry_delay_seconds: (u64, u64, u64),
    pub concurrency: (u64, u64, u64),
    pub ws_idle_timeout_seconds: (u64, u64, u64),
    pub ws_frame_bytes: (u64, u64, u64),
    pub ws_inflight: (u64, u64, u64),
    /// The most entries of `env`.
    pub env_vars: usize,
    /// The most bytes of `env`, names and values together.
    pub env_bytes: usize,
    /// The most entries of `triggers`.
    pub triggers: usize,
    /// The most entries of `egress.allow`.
    pub egress_rules: usize,
}

/// What runs the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    Wasm,
    /// A JavaScript worker, in a process of its own.
    Worker,
}

impl EngineKind {
    pub fn as_str(self) -> &'static str {
        match self {
            EngineKind::Wasm => "wasm",
            EngineKind::Worker => "worker",
        }
    }
}

/// The module that a worker begins with, unless its manifest names another.
pub const WORKER_MAIN: &str = "index.js";

/// The day whose behaviour of the JavaScript runtime a worker gets, unless its manifest names another.
pub const WORKER_COMPATIBILITY_DATE: &str = "2026-11-01";

/// The longest path of a module of a worker, in bytes.
const MODULE_PATH_BYTES_MAX: usize = 200;

/// Can this be the path of a module in the folder of a worker? A relative one of plain letters, that stays in the folder.
pub fn is_module_path(path: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    path.len() <= MODULE_PATH_BYTES_MAX && path.split('/').all(plain)
}

/// The language of the sources; it decides only how `orama function build` builds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    Go,
    Rust,
    C,
    Zig,
    AssemblyScript,
    #[serde(rename = "js")]
    JavaScript,
}

impl Language {
    pub const ALL: [Language; 6] =
        [Language::Go, Language::Rust, Language::C, Language::Zig, Language::AssemblyScript, Language::JavaScript];

    pub fn as_str(self) -> &'static str {
        match self {
            Language::Go => "go",
            Language::Rust => "rust",
            Language::C => "c",
            Language::Zig => "zig",
            Language::AssemblyScript => "assemblyscript",
            Language::JavaScript => "js",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.as_str() == text)
    }
}

/// Further attempts after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    pub count: u32,
    /// The constant pause between attempts.
    pub delay: Duration,
}

/// How the sockets of a function behave; 0 in the file means the default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebSocketLimits {
    pub persistent: bool,
    /// Zero means no idle limit.
    pub idle_timeout: Duration,
    pub frame_bytes_max: u32,
    pub inflight_max: u32,
    /// `""` or `"capability"`.
    pub auth: String,
}

/// A manifest whose every value is within its range.
///
/// Kept with each version as JSON: a field added later needs `#[serde(default)]`, so that old versions can still be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub name: FunctionName,
    pub public: bool,
    pub internal: bool,
    pub engine: EngineKind,
    pub language: Option<Language>,
    /// Commands that replace the built-in build of `language`.
    pub build: Vec<String>,
    pub memory_mb: u32,
    pub timeout: Duration,
    pub retry: Retry,
    pub dlq_topic: Option<String>,
    pub env: BTreeMap<String, String>,
    pub concurrency: u32,
    /// The function sees the request's method, path, query and headers, in a CGI-like environment.
    pub http: bool,
    pub reactor: bool,
    pub raw_http_response: bool,
    pub websocket: WebSocketLimits,
    pub triggers: Vec<TriggerSpec>,
    /// Where its requests may go; `None` means every public address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<EgressPolicy>,
    /// The module that a worker begins with; [`WORKER_MAIN`] when there is none here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub main: Option<String>,
    /// The day, as `2026-11-01`, whose behaviour of the JavaScript runtime a worker gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compatibility_date: Option<String>,
    /// Every reply carries the node's signature, and leaves a receipt.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sign: bool,
    /// The function answers at the host name of its code's hash, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_hash: bool,
}

impl Manifest {
    /// Reads and checks a `function.yaml`.
    pub fn parse(text: &str) -> Result<Self, InvalidManifest> {
        yaml::parse(text)
    }

    /// The memory limit, in bytes.
    pub fn memory_bytes_max(&self) -> u64 {
        u64::from(self.memory_mb) << 20
    }
}

/// A manifest as somebody wrote it: not checked yet. `None` means that the default holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draft {
    pub name: Option<String>,
    pub public: Option<bool>,
    pub internal: Option<bool>,
    pub engine: Option<String>,
    pub language: Option<String>,
    pub build: Vec<String>,
    pub memory: Option<i64>,
    pub timeout: Option<i64>,
    pub retry_count: Option<i64>,
    pub retry_delay: Option<i64>,
    pub dlq_topic: Option<String>,
    pub env: BTreeMap<String, String>,
    pub concurrency: Option<i64>,
    pub http: Option<bool>,
    pub reactor: Option<bool>,
    pub raw_http_response: Option<bool>,
    pub ws_persistent: Option<bool>,
    pub ws_idle_timeout_sec: Option<i64>,
    pub ws_max_frame_bytes: Option<i64>,
    pub ws_max_inflight_per_conn: Option<i64>,
    pub ws_auth: Option<String>,
    pub triggers: Vec<TriggerSpec>,
    pub egress: Option<EgressPolicy>,
    pub main: Option<String>,
    pub compatibility_date: Option<String>,
    pub sign: Option<bool>,
    pub by_hash: Option<bool>,
}

/// A value outside what its field allows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {reason}")]
pub struct InvalidField {
    pub field: &'static str,
    pub reason: String,
}

impl Draft {
    /// Checks every field; the error names the first that is wrong and what it allows.
    pub fn check(self) -> Result<Manifest, InvalidField> {
        let Draft {
            name,
            public,
            internal,
            engine,
            language,
            build,
            memory,
            timeout,
            retry_count,
            retry_delay,
            dlq_topic,
            env,
            concurrency,
            http,
            reactor,
            raw_http_response,
            ws_persistent,
            ws_idle_timeout_sec,
            ws_max_frame_bytes,
            ws_max_inflight_per_conn,
            ws_auth,
            triggers,
            egress,
            main,
            compatibility_date,
            sign,
            by_hash,
        } = self;
        let language = check_language(language.as_deref())?;
        let engine = check_engine(engine.as_deref(), language)?;
        check_of_wasm(
            engine,
            [("reactor", reactor), ("raw_http_response", raw_http_response), ("ws_persistent", ws_persistent)],
        )?;
        let memory_mb = match engine {
            EngineKind::Wasm => LIMITS.memory_mb,
            EngineKind::Worker => LIMITS.worker_memory_mb,
        };
        check_env(&env)?;
        let triggers = checked_triggers(triggers)?;
        check_egress(egress.as_ref())?;
        let name = name.ok_or_else(|| invalid("name", "is required; write `name: my-function`"))?;
        Ok(Manifest {
            name: FunctionName::parse(&name).map_err(|refused| invalid("name", format!("is refused: {refused}")))?,
            public: public.unwrap_or(false),
            internal: internal.unwrap_or(false),
            engine,
            language,
            build,
            memory_mb: ranged("memory", memory, memory_mb, "MB")?,
            timeout: seconds("timeout", timeout, LIMITS.timeout_seconds)?,
            retry: Retry {
                count: ranged("retry.count", retry_count, LIMITS.retry_count, "attempts")?,
                delay: seconds("retry.delay", retry_delay, LIMITS.retry_delay_seconds)?,
            },
            dlq_topic: checked_topic("dlq_topic", dlq_topic)?,
            env,
            concurrency: ranged("concurrency", concurrency, LIMITS.concurrency, "calls at once")?,
            http: http.unwrap_or(false),
            reactor: reactor.unwrap_or(false),
            raw_http_response: raw_http_response.unwrap_or(false),
            websocket: WebSocketLimits {
                persistent: ws_persistent.unwrap_or(false),
                idle_timeout: seconds("ws_idle_timeout_sec", ws_idle_timeout_sec, LIMITS.ws_idle_timeout_seconds)?,
                frame_bytes_max: or_default("ws_max_frame_bytes", ws_max_frame_bytes, LIMITS.ws_frame_bytes, "bytes")?,
                inflight_max: or_default(
                    "ws_max_inflight_per_conn",
                    ws_max_inflight_per_conn,
                    LIMITS.ws_inflight,
                    "frames",
                )?,
                auth: check_ws_auth(ws_auth)?,
            },
            triggers,
            egress,
            main: checked_main(engine, main)?,
            compatibility_date: checked_date(engine, compatibility_date)?,
            sign: sign.unwrap_or(false),
            by_hash: by_hash.unwrap_or(false),
        })
    }
}

fn invalid(field: &'static str, reason: impl Into<String>) -> InvalidField {
    InvalidField { field, reason: reason.into() }
}

fn ranged(
    field: &'static str,
    value: Option<i64>,
    (least, most, default): (u64, u64, u64),
    unit: &str,
) -> Result<u32, InvalidField> {
    let value = match value {
        None => Some(default),
        Some(value) => u64::try_from(value).ok().filter(|value| (least..=most).contains(value)),
    };
    value
        .and_then(|value| u32::try_from(value).ok())
        .ok_or_else(|| invalid(field, format!("must be {least} to {most} {unit}")))
}

fn seconds(field: &'static str, value: Option<i64>, range: (u64, u64, u64)) -> Result<Duration, InvalidField> {
    ranged(field, value, range, "seconds").map(|seconds| Duration::from_secs(u64::from(seconds)))
}

/// Like [`ranged`], for fields in which 0 stands for the default.
fn or_default(
    field: &'static str,
    value: Option<i64>,
    range: (u64, u64, u64),
    unit: &str,
) -> Result<u32, InvalidField> {
    ranged(field, value.filter(|value| *value != 0), range, unit)
}

/// JavaScript alone runs in a worker, and a worker runs nothing else.
fn check_engine(engine: Option<&str>, language: Option<Language>) -> Result<EngineKind, InvalidField> {
    let of_language = match language {
        Some(Language::JavaScript) => Some(EngineKind::Worker),
        Some(_) => Some(EngineKind::Wasm),
        None => None,
    };
    let named = match engine {
        None | Some("") => None,
        Some("wasm") => Some(EngineKind::Wasm),
        Some("worker") => Some(EngineKind::Worker),
        Some(other) => return Err(invalid("engine", format!("is `{other}`; known are `wasm` and `worker`"))),
    };
    match (named, of_language) {
        (Some(named), Some(of_language)) if named != of_language => {
            let needed = of_language.as_str();
            Err(invalid("engine", format!("is `{}`, but the language needs `{needed}`", named.as_str())))
        }
        (named, of_language) => Ok(named.or(of_language).unwrap_or(EngineKind::Wasm)),
    }
}

/// What has a meaning for WebAssembly alone.
fn check_of_wasm(engine: EngineKind, fields: [(&'static str, Option<bool>); 3]) -> Result<(), InvalidField> {
    match fields.into_iter().find(|(_, given)| *given == Some(true)) {
        Some((field, _)) if engine != EngineKind::Wasm => Err(invalid(field, "has a meaning for `engine: wasm` only")),
        _ => Ok(()),
    }
}

fn checked_main(engine: EngineKind, main: Option<String>) -> Result<Option<String>, InvalidField> {
    let Some(main) = main.filter(|main| !main.is_empty()) else { return Ok(None) };
    if engine != EngineKind::Worker {
        return Err(invalid("main", "has a meaning for `engine: worker` only"));
    }
    match is_module_path(&main) && (main.ends_with(".js") || main.ends_with(".mjs")) {
        true => Ok(Some(main)),
        false => Err(invalid("main", "must be the path of a module below the folder, such as `src/index.js`")),
    }
}

fn checked_date(engine: EngineKind, date: Option<String>) -> Result<Option<String>, InvalidField> {
    let Some(date) = date.filter(|date| !date.is_empty()) else { return Ok(None) };
    if engine != EngineKind::Worker {
        return Err(invalid("compatibility_date", "has a meaning for `engine: worker` only"));
    }
    match is_day(&date) {
        true => Ok(Some(date)),
        false => Err(invalid("compatibility_date", format!("must be a day, such as `{WORKER_COMPATIBILITY_DATE}`"))),
    }
}

/// A day as `2026-11-01`.
fn is_day(text: &str) -> bool {
    text.len() == WORKER_COMPATIBILITY_DATE.len() && text.parse::<jiff::civil::Date>().is_ok()
}

fn check_language(language: Option<&str>) -> Result<Option<Language>, InvalidField> {
    let Some(text) = language.filter(|text| !text.is_empty()) else { return Ok(None) };
    Language::parse(text).map(Some).ok_or_else(|| {
        let known = Language::ALL.map(Language::as_str).join("`, `");
        invalid("language", format!("is `{text}`; known are `{known}`"))
    })
}

fn check_ws_auth(auth: Option<String>) -> Result<String, InvalidField> {
    match auth.as_deref() {
        None | Some("") => Ok(String::new()),
        Some("capability") => Ok("capability".to_owned()),
        Some(other) => Err(invalid("ws_auth", format!("is `{other}`; known are `` and `capability`"))),
    }
}

fn check_env(env: &BTreeMap<String, String>) -> Result<(), InvalidField> {
    let bytes: usize = env.iter().map(|(name, value)| name.len() + value.len()).sum();
    if env.len() > LIMITS.env_vars {
        return Err(invalid("env", format!("has {} entries, the limit is {}", env.len(), LIMITS.env_vars)));
    }
    if bytes > LIMITS.env_bytes {
        return Err(invalid("env", format!("is {bytes} bytes, the limit is {}", LIMITS.env_bytes)));
    }
    match env.keys().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
        Some(name) => Err(invalid("env", format!("has the name {name:?}; a name is not empty and has no `=` or NUL"))),
        None => Ok(()),
    }
}

/// An empty one is none.
fn checked_topic(field: &'static str, topic: Option<String>) -> Result<Option<String>, InvalidField> {
    let Some(topic) = topic.filter(|topic| !topic.is_empty()) else { return Ok(None) };
    Topic::parse(&topic).map_err(|refused| invalid(field, format!("is refused: {refused}")))?;
    Ok(Some(topic))
}

/// Each once: what stands twice would call twice.
fn checked_triggers(triggers: Vec<TriggerSpec>) -> Result<Vec<TriggerSpec>, InvalidField> {
    if triggers.len() > LIMITS.triggers {
        return Err(invalid("triggers", format!("has {} entries, the limit is {}", triggers.len(), LIMITS.triggers)));
    }
    let mut checked = Vec::with_capacity(triggers.len());
    for (number, spec) in (1..).zip(triggers) {
        if let TriggerSpec::Once { .. } = spec {
            let reason = format!("cannot have `once` (entry {number}): a moment is no part of a version");
            return Err(invalid("triggers", reason));
        }
        let spec =
            spec.checked().map_err(|wrong| invalid("triggers", format!("has a wrong entry {number}: {wrong}")))?;
        if !checked.contains(&spec) {
            checked.push(spec);
        }
    }
    Ok(checked)
}

fn check_egress(egress: Option<&EgressPolicy>) -> Result<(), InvalidField> {
    match egress.map_or(0, |policy| policy.allow.len()) {
        rules if rules > LIMITS.egress_rules => {
            Err(invalid("egress", format!("has {rules} rules, the limit is {}", LIMITS.egress_rules)))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
