//! The table of settings: path, kind, default and meaning of each, and the old names of those that were renamed.

use std::net::SocketAddr;

use domain::AddressRange;

/// What a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Address,
    /// The same, or nothing.
    AddressOrNone,
    Path,
    OneOf(&'static [&'static str]),
    /// A whole number from the first to the second.
    Number(u64, u64),
    Switch,
    /// Any text, also none.
    Text,
    /// The same, never shown.
    Secret,
    /// An http or https URL, or none.
    Url,
    /// An address of Ethereum.
    Contract,
    /// Ranges of addresses, such as `10.0.0.0/8`: a list in a file, with commas between them elsewhere.
    Ranges,
    /// Origins of pages, such as `https://app.example.com`, or `*`: a list in a file, with commas between them elsewhere.
    Origins,
    /// Any texts: a list in a file, with commas between them elsewhere.
    List,
}

#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// `key`, `section.key` or `section.section.key`.
    pub path: &'static str,
    pub kind: Kind,
    pub default: &'static str,
    pub meaning: &'static str,
}

/// A setting that has another name now; the old one is refused with the new one named.
#[derive(Debug, Clone, Copy)]
pub struct Renamed {
    pub old: &'static str,
    pub new: &'static str,
}

#[derive(Debug, Clone, Copy)]
pub struct Schema {
    pub settings: &'static [Setting],
    pub renamed: &'static [Renamed],
}

pub const SCHEMA: Schema = Schema { settings: SETTINGS, renamed: &[] };

const LEVELS: Kind = Kind::OneOf(&["error", "warn", "info", "debug", "trace"]);
const ANY_COUNT: Kind = Kind::Number(0, 1 << 50);
const ANY_BYTES: Kind = Kind::Number(0, 1 << 50);

pub const SETTINGS: &[Setting] = &[
    setting("listen", Kind::Address, "127.0.0.1:6001", "address to accept connections on; port 0 takes a free one"),
    setting("data", Kind::Path, "./orama-data", "folder of everything the node keeps"),
    setting(
        "node.user",
        Kind::Text,
        "",
        "whom a server becomes that root starts: a name or a number, or `root`; empty means user `orama`, else 1999999999, if that user can reach `data`",
    ),
    setting("log.level", LEVELS, "info", "least level that is logged"),
    setting("log.format", Kind::OneOf(&["text", "json"]), "text", "form of a log line"),
    setting("limits.node_concurrency", Kind::Number(1, 100_000), "1000", "calls at once on this node"),
    setting("limits.namespace_concurrency", Kind::Number(1, 100_000), "200", "calls at once in one namespace"),
    setting("limits.queue_max", Kind::Number(0, 1_000_000), "1000", "calls that may wait for a place, per namespace"),
    setting("limits.queue_wait_ms", Kind::Number(0, 300_000), "10000", "longest wait for a place"),
    setting("limits.input_bytes_max", Kind::Number(1, 64 << 20), "1048576", "largest input of a call"),
    setting("limits.code_bytes_max", Kind::Number(8, 1 << 30), "67108864", "largest upload of code"),
    setting(
        "limits.sockets_max",
        Kind::Number(0, 1_000_000),
        "10000",
        "WebSockets with an instance of their own on this node",
    ),
    setting(
        "limits.sockets_per_namespace_max",
        Kind::Number(0, 1_000_000),
        "2000",
        "WebSockets with an instance of their own in one namespace",
    ),
    setting("limits.connections_max", Kind::Number(1, 1_000_000), "10000", "open connections"),
    setting(
        "limits.connections_per_address_max",
        Kind::Number(1, 1_000_000),
        "1000",
        "open connections of one address",
    ),
    setting("limits.functions_max", ANY_COUNT, "0", "functions in one namespace; 0 means no limit"),
    setting("limits.storage_bytes_max", ANY_BYTES, "0", "bytes of stored content in one namespace; 0 means no limit"),
    setting("limits.database_bytes_max", ANY_BYTES, "0", "size of the database of one namespace; 0 means no limit"),
    setting("limits.requests_per_minute", ANY_COUNT, "0", "requests a minute in one namespace; 0 means no limit"),
    setting("limits.caller_requests_per_minute", ANY_COUNT, "0", "requests a minute of one caller; 0 means no limit"),
    setting(
        "limits.sign_ins_per_minute",
        ANY_COUNT,
        "600",
        "challenges and answers to them a minute from one address; 0 means no limit",
    ),
    setting(
        "auth.registration",
        Kind::OneOf(&["closed", "open"]),
        "closed",
        "may any wallet make a namespace of its own",
    ),
    setting(
        "cache.bytes_max_per_namespace",
        Kind::Number(1 << 16, 1 << 40),
        "67108864",
        "bytes that one namespace may cache",
    ),
    setting(
        "pubsub.history_messages_max",
        Kind::Number(0, 1_000_000),
        "1000",
        "messages of a topic that are kept for who comes back; 0 keeps none",
    ),
    setting("pubsub.history_bytes_max", Kind::Number(0, 1 << 30), "1048576", "bytes of messages kept, per topic"),
    setting("pubsub.history_seconds", Kind::Number(0, 86_400), "300", "time that messages are kept"),
    setting(
        "pubsub.history_bytes_max_per_namespace",
        Kind::Number(0, 1 << 40),
        "33554432",
        "bytes of messages kept, per namespace",
    ),
    setting(
        "pubsub.waiting_bytes_max_per_namespace",
        Kind::Number(1 << 20, 1 << 40),
        "67108864",
        "bytes of messages that wait for slow subscribers, per namespace",
    ),
    setting("pubsub.topics_max_per_namespace", Kind::Number(1, 10_000_000), "20000", "topics in one namespace"),
    setting(
        "pubsub.subscriptions_max_per_namespace",
        Kind::Number(1, 10_000_000),
        "100000",
        "subscriptions in one namespace",
    ),
    setting("push.ntfy_base_url", Kind::Url, "", "server of ntfy for namespaces that name none"),
    setting("push.ntfy_auth_token", Kind::Secret, "", "access token of that server"),
    setting("push.expo_access_token", Kind::Secret, "", "access token of Expo"),
    setting("push.apns_key_pem", Kind::Secret, "", "signing key of Apple: the text of the `.p8` file"),
    setting("push.apns_key_id", Kind::Text, "", "id of that key"),
    setting("push.apns_team_id", Kind::Text, "", "id of the team at Apple"),
    setting("push.apns_topic", Kind::Text, "", "bundle id of the app"),
    setting("push.apns_sandbox", Kind::Switch, "false", "use Apple's sandbox, as apps from Xcode do"),
    setting("push.fcm_service_account", Kind::Secret, "", "service account of Firebase: the text of the JSON file"),
    setting("push.vapid_private_key", Kind::Secret, "", "key that browsers know the node by"),
    setting("push.vapid_subject", Kind::Text, "", "where push services reach you: `mailto:` or `https:`"),
    setting("push.expo_url", Kind::Url, "https://exp.host/", "where Expo is"),
    setting("push.apns_url", Kind::Url, "https://api.push.apple.com/", "where Apple is"),
    setting("push.apns_sandbox_url", Kind::Url, "https://api.sandbox.push.apple.com/", "where Apple's sandbox is"),
    setting("push.fcm_url", Kind::Url, "https://fcm.googleapis.com/", "where Firebase is"),
    setting(
        "push.fcm_token_url",
        Kind::Url,
        "",
        "where service accounts get their tokens; nothing means where they say themselves",
    ),
    setting("egress.private", Kind::Ranges, "", "private addresses that functions may list under `egress.allow`"),
    setting(
        "secrets.master_key_file",
        Kind::Text,
        "",
        "file with the key that protects secrets, mode 0600; nothing means `keys/master.key` in the data folder",
    ),
    setting("secrets.master_key_env", Kind::Text, "", "name of an environment variable that holds the key instead"),
    setting("secrets.master_key_command", Kind::Text, "", "command that prints the key instead"),
    setting(
        "chain.rpc",
        Kind::Url,
        "",
        "JSON-RPC address of the chain that code is taken from; nothing means from none",
    ),
    setting(
        "chain.contract",
        Kind::Contract,
        "0x44fe06d2940b8782a0a9a9ffd09c65852c0156b1",
        "contract that transactions with code go to",
    ),
    setting("retention.audit_days", Kind::Number(1, 36_500), "365", "days that audit events are kept"),
    setting("retention.age_days", Kind::Number(1, 3650), "7", "days that records of calls are kept"),
    setting("retention.bytes_max_per_namespace", ANY_BYTES, "1073741824", "bytes of records kept, per namespace"),
    setting("drain_seconds", Kind::Number(0, 3600), "30", "time for running calls to finish after SIGTERM"),
    setting(
        "gateway.trusted_proxies",
        Kind::Ranges,
        "127.0.0.0/8,::1",
        "addresses of the proxies in front, whose `X-Forwarded-For` counts",
    ),
    setting(
        "gateway.allowed_origins",
        Kind::Origins,
        "",
        "origins whose pages may open WebSockets, beside those of the node's own host; `*` for all",
    ),
    setting(
        "gateway.base_domain",
        Kind::Text,
        "localhost",
        "name below which every function, code by its hash and every namespace has a host name; nothing means none",
    ),
    setting(
        "gateway.forward_headers",
        Kind::Switch,
        "false",
        "tell `X-Request-ID` in the replies of functions on their own host names, which are theirs alone otherwise",
    ),
    setting(
        "gateway.name_server",
        Kind::AddressOrNone,
        "",
        "name server that is asked for the proofs of domains; nothing means those of the system",
    ),
    setting("gateway.tls.listen", Kind::AddressOrNone, "", "address for connections with TLS; nothing means none"),
    setting(
        "gateway.tls.certificate",
        Kind::List,
        "",
        "files of PEM, each a certificate and those that lead to its root; read again when they change",
    ),
    setting("gateway.tls.key", Kind::List, "", "files of PEM with their keys, in the same order, mode 0600"),
    setting("gateway.tls.redirect", Kind::Switch, "false", "send plain HTTP on to `https`, but for probes and ACME"),
    setting(
        "gateway.tls.hsts_seconds",
        Kind::Number(0, 100_000_000),
        "0",
        "how long browsers shall use TLS alone (`Strict-Transport-Security`); 0 says nothing",
    ),
    setting("gateway.tls.acme.directory", Kind::Url, "", "ACME server to order certificates from; nothing means none"),
    setting("gateway.tls.acme.terms_agreed", Kind::Switch, "false", "you have read its terms of service, and agree"),
    setting("gateway.tls.acme.contact", Kind::List, "", "where it reaches you, such as `mailto:you@example.com`"),
    setting("gateway.tls.acme.names", Kind::List, "", "host names whose certificates are ordered at the start"),
    setting(
        "gateway.tls.acme.on_demand",
        Kind::Switch,
        "true",
        "order certificates for other names of functions and namespaces when somebody asks, at most 10 an hour",
    ),
    setting(
        "gateway.tls.acme.challenge",
        Kind::OneOf(&["http-01", "tls-alpn-01"]),
        "http-01",
        "how it sees that a name is yours: at port 80, or by TLS at port 443",
    ),
    setting(
        "gateway.tls.acme.ca_file",
        Kind::Text,
        "",
        "file of PEM with a further authority that its own certificate may be of",
    ),
    setting("gateway.timeout_as_rate_limited", Kind::Switch, "false", "answer a timeout with 429 instead of 504"),
    setting("engine.shards", Kind::Number(0, 1024), "0", "runtimes that run guests; 0 means one a core"),
    setting(
        "engine.memory_keep_resident_bytes",
        Kind::Number(0, 256 << 20),
        "4194304",
        "memory of a finished instance that stays mapped for the next one",
    ),
    setting("engine.instances_max", Kind::Number(1, 100_000), "1000", "places for instances"),
    setting(
        "engine.require_isolation",
        Kind::OneOf(&["none", "user", "full"]),
        "none",
        "level below which the server does not start; `user` also lets more than one namespace run programs at that level",
    ),
    setting(
        "engine.jail_uid_first",
        Kind::Number(65_536, 4_000_000_000),
        "2000000000",
        "as root: the first of 65,536 user ids for programs in the jail, one each",
    ),
    setting(
        "engine.workerd",
        Kind::Text,
        "",
        "the program workerd; empty means the one on `PATH`, beside `orama` or in a `node_modules`",
    ),
    setting("engine.workers_max", Kind::Number(2, 10_000), "64", "processes for JavaScript workers at once"),
    setting(
        "engine.worker_spares",
        Kind::Number(0, 100),
        "2",
        "of these, how many wait for a first call once there are workers",
    ),
];

const fn setting(path: &'static str, kind: Kind, default: &'static str, meaning: &'static str) -> Setting {
    Setting { path, kind, default, meaning }
}

impl Setting {
    /// The environment variable of this setting: `limits.queue_max` is `ORAMA_LIMITS_QUEUE_MAX`.
    pub fn variable(&self) -> String {
        variable(self.path)
    }

    /// Is `text` a value of this setting? The error is the end of a sentence that begins with the setting.
    pub fn check(&self, text: &str) -> Result<(), String> {
        match self.kind {
            Kind::AddressOrNone if text.is_empty() => Ok(()),
            Kind::Address | Kind::AddressOrNone => match text.parse::<SocketAddr>() {
                Ok(_) => Ok(()),
                Err(_) => Err(format!("must be an address and a port, such as `127.0.0.1:6001`, not `{text}`")),
            },
            Kind::Path if text.is_empty() => Err("must be a path, not nothing".to_owned()),
            Kind::Path => Ok(()),
            Kind::OneOf(words) if words.contains(&text) => Ok(()),
            Kind::OneOf(words) => Err(format!("is `{text}`; known are `{}`", words.join("`, `"))),
            Kind::Number(least, most) => match text.parse::<u64>() {
                Ok(number) if (least..=most).contains(&number) => Ok(()),
                _ => Err(format!("must be a whole number from {least} to {most}, not `{text}`")),
            },
            Kind::Text | Kind::Secret | Kind::List => Ok(()),
            Kind::Url if text.is_empty() || is_http_url(text) => Ok(()),
            Kind::Url => Err(format!("must be an http or https URL, not `{text}`")),
            Kind::Contract => match platform::checksummed_address(text) {
                Some(_) => Ok(()),
                None => Err(format!("must be an address, `0x` and 40 hexadecimal digits, not `{text}`")),
            },
            Kind::Origins => listed(text).try_for_each(check_origin),
            Kind::Ranges => listed(text).try_for_each(|range| match AddressRange::parse(range) {
                Ok(_) => Ok(()),
                Err(why) => Err(format!("must be ranges of addresses, such as `10.0.0.0/8`, not `{range}`: {why}")),
            }),
            Kind::Switch if matches!(text, "true" | "false") => Ok(()),
            Kind::Switch => Err(format!("must be `true` or `false`, not `{text}`")),
        }
    }
}

fn is_http_url(text: &str) -> bool {
    reqwest::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// The entries of a value of [`Kind::Ranges`], [`Kind::Origins`] or [`Kind::List`].
pub fn listed(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}

/// As browsers write it: scheme and host, a port where it is not that of the scheme, and nothing more.
fn check_origin(text: &str) -> Result<(), String> {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let plain = |host: &str| !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']);
    match text == "*" || host.is_some_and(plain) {
        true => Ok(()),
        false => Err(format!("must be origins, such as `https://app.example.com`, or `*`, not `{text}`")),
    }
}

pub fn variable(path: &str) -> String {
    format!("ORAMA_{}", path.replace('.', "_").to_uppercase())
}

impl Schema {
    pub fn setting(&self, path: &str) -> Option<&'static Setting> {
        self.settings.iter().find(|setting| setting.path == path)
    }

    pub fn renamed(&self, path: &str) -> Option<&'static Renamed> {
        self.renamed.iter().find(|renamed| renamed.old == path)
    }

    /// The keys directly below `section` (`""` is the file itself), each once.
    pub fn keys(&self, section: &str) -> Vec<&'static str> {
        let below = self.settings.iter().filter_map(|setting| {
            let rest = match section {
                "" => setting.path,
                section => setting.path.strip_prefix(section)?.strip_prefix('.')?,
            };
            rest.split('.').next()
        });
        let mut keys: Vec<&str> = below.collect();
        keys.dedup();
        keys
    }
}
