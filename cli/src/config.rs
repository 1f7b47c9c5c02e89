//! The configuration of a server: a file, then environment variables, then flags; read once, at the start.
//!
//! Every setting has a default, a range and a place in the table of `config/schema.rs`. [`Settings`] holds the values
//! with their origins; [`ServeConfig`] is what the rest of the program sees.

mod file;
#[doc(hidden)]
pub mod fuzzing;
mod schema;
mod settings;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use backends::push::PushEndpoints;
use domain::{AddressRange, NamespaceSettings};
use engines::jail::Level;
use ports::{PushField, PushSettings};
use reqwest::Url;

pub use schema::{Kind, SETTINGS, Setting};
pub use settings::{ConfigFlags, Origin, Settings};

/// Everything a server is told at its start, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeConfig {
    pub listen: SocketAddr,
    pub data: PathBuf,
    /// Whom a server of root becomes; empty means the usual one.
    pub user: String,
    pub log: LogConfig,
    pub limits: LimitsConfig,
    /// What holds in a namespace that does not set it itself.
    pub namespace_defaults: NamespaceSettings,
    /// May any wallet make a namespace of its own?
    pub registration_open: bool,
    pub cache_bytes_max_per_namespace: u64,
    pub pubsub: PubSubConfig,
    pub push: PushConfig,
    /// Private addresses that functions may list, such as `10.0.0.0/8`.
    pub egress_private: Vec<AddressRange>,
    pub secrets: SecretsConfig,
    pub chain: ChainConfig,
    pub retention: RetentionConfig,
    /// How long running calls may take to finish after SIGTERM.
    pub drain: Duration,
    pub gateway: GatewayConfig,
    pub engine: EngineConfig,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    pub format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitsConfig {
    pub node_concurrency: usize,
    pub namespace_concurrency: usize,
    pub queue_max: usize,
    pub queue_wait: Duration,
    pub input_bytes_max: usize,
    pub code_bytes_max: usize,
    /// WebSockets with an instance of their own, on the node and in one namespace.
    pub sockets_max: usize,
    pub sockets_per_namespace_max: usize,
    pub connections_max: usize,
    pub connections_per_address_max: usize,
    pub sign_ins_per_minute: u64,
}

/// What topics keep, and how many of them there may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PubSubConfig {
    /// Of each topic.
    pub history_messages_max: usize,
    pub history_bytes_max: u64,
    pub history_age_max: Duration,
    pub history_bytes_max_per_namespace: u64,
    pub waiting_bytes_max_per_namespace: u64,
    pub topics_max_per_namespace: usize,
    pub subscriptions_max_per_namespace: usize,
}

/// Push messages of namespaces that do not set it themselves, and where the providers are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushConfig {
    pub defaults: PushSettings,
    pub endpoints: PushEndpoints,
}

/// What protects the keys of secrets; at most one is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretsConfig {
    pub master_key_file: Option<PathBuf>,
    pub master_key_env: Option<String>,
    pub master_key_command: Option<String>,
}

/// Where code comes from that nobody deployed here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainConfig {
    /// The JSON-RPC address of a chain; `None` means that there is none.
    pub rpc: Option<Url>,
    /// The address of the contract.
    pub contract: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionConfig {
    pub audit_age_max: Duration,
    pub age_max: Duration,
    pub bytes_max_per_namespace: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayConfig {
    /// Answer 429 RATE_LIMITED instead of 504 TIMEOUT, as the reference does.
    pub timeout_as_rate_limited: bool,
    pub tls: TlsConfig,
    /// Proxies in front of the node.
    pub trusted_proxies: Vec<AddressRange>,
    /// Whose pages may open a WebSocket, beside those of the node's own host.
    pub allowed_origins: Vec<String>,
    /// The name below which functions have host names; empty for none.
    pub base_domain: String,
    pub forward_headers: bool,
    /// Asked for the proofs of domains; `None` means those of the system.
    pub name_server: Option<SocketAddr>,
}

/// TLS as it is written down; whether it makes sense together, who opens it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    pub listen: Option<SocketAddr>,
    pub certificates: Vec<PathBuf>,
    pub keys: Vec<PathBuf>,
    pub redirect: bool,
    pub hsts: Option<Duration>,
    pub acme: AcmeConfig,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcmeConfig {
    /// `None` where nothing is ordered.
    pub directory: Option<String>,
    pub terms_agreed: bool,
    pub contacts: Vec<String>,
    /// Ordered at the start.
    pub names: Vec<String>,
    pub on_demand: bool,
    /// By a certificate, and not by a file.
    pub by_tls: bool,
    pub ca_file: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineConfig {
    /// How many runtimes run guests; `None` means one a core.
    pub shards: Option<usize>,
    pub memory_keep_resident_bytes: usize,
    pub instances_max: usize,
    pub require_isolation: Level,
    pub jail_uid_first: u32,
    /// `None` means that it is looked for.
    pub workerd: Option<PathBuf>,
    pub workers_max: u32,
    pub worker_spares: u32,
}

impl From<&Settings> for ServeConfig {
    fn from(settings: &Settings) -> Self {
        Self {
            listen: settings.address("listen"),
            data: settings.text("data").into(),
            user: settings.text("node.user").to_owned(),
            log: LogConfig { level: settings.text("log.level").to_owned(), format: log_format(settings) },
            limits: LimitsConfig {
                node_concurrency: settings.count("limits.node_concurrency"),
                namespace_concurrency: settings.count("limits.namespace_concurrency"),
                queue_max: settings.count("limits.queue_max"),
                queue_wait: Duration::from_millis(settings.number("limits.queue_wait_ms")),
                input_bytes_max: settings.count("limits.input_bytes_max"),
                code_bytes_max: settings.count("limits.code_bytes_max"),
                sockets_max: settings.count("limits.sockets_max"),
                sockets_per_namespace_max: settings.count("limits.sockets_per_namespace_max"),
                connections_max: settings.count("limits.connections_max"),
                connections_per_address_max: settings.count("limits.connections_per_address_max"),
                sign_ins_per_minute: settings.number("limits.sign_ins_per_minute"),
            },
            namespace_defaults: namespace_defaults(settings),
            registration_open: settings.text("auth.registration") == "open",
            cache_bytes_max_per_namespace: settings.number("cache.bytes_max_per_namespace"),
            pubsub: PubSubConfig {
                history_messages_max: settings.count("pubsub.history_messages_max"),
                history_bytes_max: settings.number("pubsub.history_bytes_max"),
                history_age_max: Duration::from_secs(settings.number("pubsub.history_seconds")),
                history_bytes_max_per_namespace: settings.number("pubsub.history_bytes_max_per_namespace"),
                waiting_bytes_max_per_namespace: settings.number("pubsub.waiting_bytes_max_per_namespace"),
                topics_max_per_namespace: settings.count("pubsub.topics_max_per_namespace"),
                subscriptions_max_per_namespace: settings.count("pubsub.subscriptions_max_per_namespace"),
            },
            push: push(settings),
            egress_private: ranges(settings, "egress.private"),
            secrets: SecretsConfig {
                master_key_file: settings.text_if_any("secrets.master_key_file").map(PathBuf::from),
                master_key_env: settings.text_if_any("secrets.master_key_env"),
                master_key_command: settings.text_if_any("secrets.master_key_command"),
            },
            chain: ChainConfig {
                rpc: Url::parse(settings.text("chain.rpc")).ok(),
                contract: settings.text("chain.contract").to_owned(),
            },
            retention: RetentionConfig {
                audit_age_max: Duration::from_secs(settings.number("retention.audit_days") * 86_400),
                age_max: Duration::from_secs(settings.number("retention.age_days") * 86_400),
                bytes_max_per_namespace: settings.number("retention.bytes_max_per_namespace"),
            },
            drain: Duration::from_secs(settings.number("drain_seconds")),
            gateway: GatewayConfig {
                timeout_as_rate_limited: settings.switch("gateway.timeout_as_rate_limited"),
                tls: tls(settings),
                trusted_proxies: ranges(settings, "gateway.trusted_proxies"),
                allowed_origins: schema::listed(settings.text("gateway.allowed_origins")).map(str::to_owned).collect(),
                base_domain: settings.text("gateway.base_domain").trim_matches('.').to_owned(),
                forward_headers: settings.switch("gateway.forward_headers"),
                name_server: settings.text_if_any("gateway.name_server").and_then(|address| address.parse().ok()),
            },
            engine: EngineConfig {
                shards: Some(settings.count("engine.shards")).filter(|shards| *shards > 0),
                memory_keep_resident_bytes: settings.count("engine.memory_keep_resident_bytes"),
                instances_max: settings.count("engine.instances_max"),
                require_isolation: require_isolation(settings),
                jail_uid_first: u32::try_from(settings.number("engine.jail_uid_first")).unwrap_or(u32::MAX),
                workerd: Some(settings.text("engine.workerd")).filter(|path| !path.is_empty()).map(PathBuf::from),
                workers_max: u32::try_from(settings.number("engine.workers_max")).unwrap_or(u32::MAX),
                worker_spares: u32::try_from(settings.number("engine.worker_spares")).unwrap_or(u32::MAX),
            },
        }
    }
}

fn require_isolation(settings: &Settings) -> Level {
    match settings.text("engine.require_isolation") {
        "full" => Level::Full,
        "user" => Level::User,
        _ => Level::None,
    }
}

fn ranges(settings: &Settings, path: &str) -> Vec<AddressRange> {
    let ranges = schema::listed(settings.text(path));
    ranges.map(|range| AddressRange::parse(range).expect("every value was checked when it was set")).collect()
}

fn tls(settings: &Settings) -> TlsConfig {
    let paths = |path| schema::listed(settings.text(path)).map(PathBuf::from).collect();
    let seconds = settings.number("gateway.tls.hsts_seconds");
    TlsConfig {
        listen: settings.text_if_any("gateway.tls.listen").and_then(|address| address.parse().ok()),
        certificates: paths("gateway.tls.certificate"),
        keys: paths("gateway.tls.key"),
        redirect: settings.switch("gateway.tls.redirect"),
        hsts: Some(Duration::from_secs(seconds)).filter(|life| !life.is_zero()),
        acme: acme(settings),
    }
}

fn acme(settings: &Settings) -> AcmeConfig {
    let texts = |path| schema::listed(settings.text(path)).map(str::to_owned).collect();
    AcmeConfig {
        directory: settings.text_if_any("gateway.tls.acme.directory"),
        terms_agreed: settings.switch("gateway.tls.acme.terms_agreed"),
        contacts: texts("gateway.tls.acme.contact"),
        names: texts("gateway.tls.acme.names"),
        on_demand: settings.switch("gateway.tls.acme.on_demand"),
        by_tls: settings.text("gateway.tls.acme.challenge") == "tls-alpn-01",
        ca_file: settings.text_if_any("gateway.tls.acme.ca_file").map(PathBuf::from),
    }
}

fn push(settings: &Settings) -> PushConfig {
    let mut defaults = PushSettings::default();
    for field in PushField::ALL {
        // A switch that is off is as good as none.
        let text = settings.text(&format!("push.{field}"));
        defaults.set(field, if text == "false" { "" } else { text });
    }
    let url = |name: &str| Url::parse(settings.text(name)).ok();
    let usual = PushEndpoints::default();
    let endpoints = PushEndpoints {
        expo: url("push.expo_url").unwrap_or(usual.expo),
        apns: url("push.apns_url").unwrap_or(usual.apns),
        apns_sandbox: url("push.apns_sandbox_url").unwrap_or(usual.apns_sandbox),
        fcm: url("push.fcm_url").unwrap_or(usual.fcm),
        fcm_token: url("push.fcm_token_url"),
    };
    PushConfig { defaults, endpoints }
}

/// 0 stands for no limit.
fn namespace_defaults(settings: &Settings) -> NamespaceSettings {
    let limit = |path| Some(settings.number(path)).filter(|limit| *limit > 0);
    NamespaceSettings {
        functions_max: limit("limits.functions_max"),
        storage_bytes_max: limit("limits.storage_bytes_max"),
        database_bytes_max: limit("limits.database_bytes_max"),
        requests_per_minute: limit("limits.requests_per_minute"),
        caller_requests_per_minute: limit("limits.caller_requests_per_minute"),
        concurrency: None,
        egress: None,
    }
}

fn log_format(settings: &Settings) -> LogFormat {
    match settings.text("log.format") {
        "json" => LogFormat::Json,
        _ => LogFormat::Text,
    }
}

#[cfg(test)]
mod tests;
