//! `orama serve`: every crate put together, from start to drain.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, bail};
use backends::DataFolder;
use backends::cache::LocalConfig;
use backends::database::DatabaseConfig;
use backends::egress::{EgressConfig, HttpEgress};
use backends::keys::MasterKeySource;
use backends::pubsub::History;
use domain::{EngineKind, Namespace, Scope, Scopes};
use engines::jail::Jail;
use engines::{Engines, WasmConfig, WasmEngine};
use gateway::{Bound, EdgeConfig, Gateway, GatewayConfig, HostNames, Scheme};
use platform::{NodeLimits, Platform, Ports, Retention};
use ports::{Keys, SystemClock};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::sync::CancellationToken;

use super::life::StopSignals;
use super::tls::{self, TlsDoor};
use super::user::User;
use super::{helper_command, jail, logging, workers};
use crate::config::{ChainConfig, PubSubConfig, SecretsConfig, ServeConfig};
use crate::{screen, store_credential};

/// Serves until SIGTERM or Ctrl-C, then drains; a second signal ends at once.
pub fn serve(config: ServeConfig) -> anyhow::Result<()> {
    logging::start(&config.log);
    private_files();
    raise_descriptor_limit();
    let folder = DataFolder::open(&config.data)?;
    // Before there are other threads, and with the rights of root if it has them.
    let jail = jail::open(&config.engine)?;
    let user = User::choose(&config, &folder)?;
    if user.is_some() {
        engines::privileges::refuse_new_privileges().context("refuse new privileges")?;
    }
    // For everything that is not the start of a request: records, slow calls, signals.
    let background = Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("background")
        .enable_all()
        .build()
        .context("start a runtime")?;
    let result = background.block_on(serve_in(&config, &folder, (jail, user), background.handle()));
    background.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn serve_in(
    config: &ServeConfig,
    folder: &DataFolder,
    (jail, user): (Arc<Jail>, Option<User>),
    background: &Handle,
) -> anyhow::Result<()> {
    let mut signals = StopSignals::listen()?;
    let egress = Arc::new(backends::egress::open(egress_config(config)).context("start outbound HTTP")?);
    let (platform, engines) = open_platform(config, folder, jail, background, egress.clone()).await?;
    let shards =
        config.engine.shards.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |cores| cores.get()));
    let bound = gateway::bind(config.listen, shards).with_context(|| format!("listen on {}", config.listen))?;
    let mut for_gateway = gateway_config(config);
    let names = Arc::new(HostNames::new(platform.clone(), &for_gateway.base_domain));
    let tls = tls::open(&config.gateway.tls, folder, names, shards).await?;
    for_gateway.tls = tls.as_ref().map(|door| door.tls.clone());
    let tls_address = tls.as_ref().map(|door| door.bound.address);
    // A function must not reach the node through its own door.
    egress.set_own_addresses(std::iter::once(bound.address).chain(tls_address).collect());
    // Only a server that can listen makes its key: the key is told and stored once.
    let first_key = first_key(&platform, folder).await?;
    let gateway = Gateway::new(platform.clone(), for_gateway);
    store_first_key(bound.address, folder, first_key.as_deref());
    // Nothing has been answered yet, and nothing that follows needs root.
    user.map(|user| user.become_now(folder)).transpose()?;
    if platform.has_functions_of(EngineKind::Worker) {
        background.spawn(async move { engines.reserve_workers().await });
    }
    announce(bound.address, tls_address, folder);

    let stop = CancellationToken::new();
    let closed = CancellationToken::new();
    let (secure, keeping) = tls.map(TlsDoor::into_parts).unzip();
    let shards = start_shards(bound, secure, &gateway, &stop, &closed)?;
    // From here on authorities are answered.
    let _keeping = keeping.map(tls::keep).transpose()?;
    signals.next().await;
    tracing::info!("stopping: no new connections; waiting for running calls");
    stop.cancel();
    let finished = tokio::select! {
        finished = platform.close(config.drain) => finished,
        () = signals.next() => false,
    };
    closed.cancel();
    tokio::task::spawn_blocking(move || shards.into_iter().for_each(|shard| drop(shard.join()))).await.ok();
    if !finished {
        tracing::warn!("stopped before every call had finished");
    }
    Ok(())
}

async fn open_platform(
    config: &ServeConfig,
    folder: &DataFolder,
    jail: Arc<Jail>,
    background: &Handle,
    egress: Arc<HttpEgress>,
) -> anyhow::Result<(Arc<Platform>, Arc<Engines>)> {
    let master = master_key_source(config)?;
    let keys = backends::keys::open_with(&folder.keys(), master).context("open the node's keys")?;
    // Made before the registry exists. Made anew beside an old one, it would silently close every API key.
    if folder.system_db().exists() && !keys.has("api-keys") {
        let path = folder.keys().join("api-keys.key");
        bail!("`{}` is missing, and no API key is valid without it; restore it from a backup", path.display());
    }
    keys.node_key("api-keys").context("open the key of API keys")?;
    let storage = Arc::new(backends::storage::open(&folder.code()).context("open the code storage")?);
    let registry = backends::registry::open(&folder.system_db()).await.context("open the registry")?;
    let records = backends::records::open(&folder.logs_db()).await.context("open the log")?;
    let seal = keys.node_key("compiled-modules").context("open the key of compiled modules")?;
    let mut engine = WasmConfig::new(folder.compiled(), helper_command()?, seal);
    engine.instances_max = u32::try_from(config.engine.instances_max).context("`engine.instances_max` is too large")?;
    engine.sockets_max = u32::try_from(config.limits.sockets_max).context("`limits.sockets_max` is too large")?;
    engine.memory_keep_resident_bytes = config.engine.memory_keep_resident_bytes;
    let wasm = WasmEngine::open(engine, storage.clone(), background.clone())?;
    let workers = workers::open(&config.engine, jail, folder, storage.clone(), background)?;
    let engines = Arc::new(Engines::new(wasm, workers));
    let content = backends::storage::open(&folder.content()).context("open the content storage")?;
    let databases = backends::database::open(&folder.databases(), DatabaseConfig::default());
    let databases = databases.context("open the folder of databases")?;
    let ports = Ports {
        registry: Arc::new(registry),
        records: Arc::new(records),
        storage,
        content: Arc::new(content),
        databases: Arc::new(databases),
        caches: backends::cache::open(cache_config(config)),
        pubsub: backends::pubsub::open(pubsub_config(config)),
        push: Arc::new(backends::push::open(egress.clone(), config.push.endpoints.clone(), Arc::new(SystemClock))),
        egress,
        keys: Arc::new(keys),
        chain: chain(config)?,
        names: Arc::new(backends::names::open(names_config(config))),
        engine: engines.clone(),
        clock: Arc::new(SystemClock),
    };
    Ok((Platform::open(platform_config(config), ports).await?, engines))
}

fn platform_config(config: &ServeConfig) -> platform::Config {
    let limits = &config.limits;
    platform::Config {
        limits: NodeLimits {
            node_concurrency: limits.node_concurrency,
            namespace_concurrency: limits.namespace_concurrency,
            queue_max: limits.queue_max,
            queue_wait: limits.queue_wait,
            input_bytes_max: limits.input_bytes_max,
            code_bytes_max: limits.code_bytes_max,
            node_sockets: limits.sockets_max,
            namespace_sockets: limits.sockets_per_namespace_max,
        },
        retention: Retention { age_max: config.retention.age_max, bytes_max: config.retention.bytes_max_per_namespace },
        namespace_defaults: config.namespace_defaults.clone(),
        registration_open: config.registration_open,
        sign_ins_per_minute: limits.sign_ins_per_minute,
        audit_age_max: config.retention.audit_age_max,
        push: config.push.defaults.clone(),
    }
}

/// Who is asked whether a domain is somebody's.
fn names_config(config: &ServeConfig) -> backends::names::Config {
    config.gateway.name_server.map_or(backends::names::Config::System, backends::names::Config::At)
}

/// Where code comes from that nobody deployed here, if anywhere.
fn chain(config: &ServeConfig) -> anyhow::Result<Option<platform::ChainConfig>> {
    let ChainConfig { rpc, contract } = &config.chain;
    let Some(rpc) = rpc.clone() else { return Ok(None) };
    let source = backends::chain::open(rpc).map_err(|cause| anyhow::anyhow!(cause)).context("set up the chain")?;
    Ok(Some(platform::ChainConfig { source: Arc::new(source), contract: contract.clone() }))
}

/// Where the key that protects secrets comes from; `None` means the data folder.
fn master_key_source(config: &ServeConfig) -> anyhow::Result<Option<MasterKeySource>> {
    let SecretsConfig { master_key_file, master_key_env, master_key_command } = &config.secrets;
    let shell = |command: &String| vec!["/bin/sh".to_owned(), "-c".to_owned(), command.clone()];
    let sources = [
        master_key_file.clone().map(MasterKeySource::File),
        master_key_env.clone().map(MasterKeySource::Environment),
        master_key_command.as_ref().map(|command| MasterKeySource::Command(shell(command))),
    ];
    let mut sources = sources.into_iter().flatten();
    match (sources.next(), sources.next()) {
        (_, Some(_)) => bail!("set one of `secrets.master_key_file`, `_env` and `_command`, not several"),
        (source, None) => Ok(source),
    }
}

fn cache_config(config: &ServeConfig) -> backends::cache::Config {
    backends::cache::Config::Local(LocalConfig {
        bytes_max_per_namespace: config.cache_bytes_max_per_namespace,
        ..LocalConfig::default()
    })
}

fn pubsub_config(config: &ServeConfig) -> backends::pubsub::Config {
    let PubSubConfig {
        history_messages_max,
        history_bytes_max,
        history_age_max,
        history_bytes_max_per_namespace,
        waiting_bytes_max_per_namespace,
        topics_max_per_namespace,
        subscriptions_max_per_namespace,
    } = config.pubsub;
    let history =
        History { messages_max: history_messages_max, bytes_max: history_bytes_max, age_max: history_age_max };
    backends::pubsub::Config::Local(backends::pubsub::LocalConfig {
        history,
        history_bytes_max_per_namespace,
        waiting_bytes_max_per_namespace,
        topics_max_per_namespace,
        subscriptions_max_per_namespace,
    })
}

fn egress_config(config: &ServeConfig) -> EgressConfig {
    EgressConfig { permitted_private: config.egress_private.clone(), ..EgressConfig::default() }
}

fn gateway_config(config: &ServeConfig) -> GatewayConfig {
    let edge = EdgeConfig {
        // A little longer than calls have, so that what runs too long is ended as a call, and said to be one.
        drain: config.drain + Duration::from_secs(1),
        connections_max: config.limits.connections_max,
        connections_per_address_max: config.limits.connections_per_address_max,
        ..EdgeConfig::default()
    };
    GatewayConfig {
        edge,
        timeout_as_rate_limited: config.gateway.timeout_as_rate_limited,
        trusted_proxies: config.gateway.trusted_proxies.clone(),
        allowed_origins: config.gateway.allowed_origins.clone(),
        base_domain: config.gateway.base_domain.clone(),
        forward_headers: config.gateway.forward_headers,
        ..GatewayConfig::default()
    }
}

/// At the very first start: the key of the node. It is written down before it is stored, so that a crash in between
/// leaves a key that opens nothing, and the next start makes another.
async fn first_key(platform: &Platform, folder: &DataFolder) -> anyhow::Result<Option<String>> {
    if platform.has_keys() {
        return Ok(None);
    }
    let namespace = Namespace::default_namespace();
    let key = platform.draw_key(&namespace)?;
    backends::write_private(&folder.admin_key(), format!("{key}\n").as_bytes()).context("write the admin key")?;
    platform.store_key(&key, &namespace, "admin", Scopes::of([Scope::Operator])).await?;
    Ok(Some(key))
}

/// For the user who started the server.
fn store_first_key(address: SocketAddr, folder: &DataFolder, first_key: Option<&str>) {
    let Some(key) = first_key else { return };
    screen::talk(&format!("made an admin key: {}", folder.admin_key().display()));
    match store_credential(&client_url(address), key, Namespace::default_namespace().as_str()) {
        Ok(path) => screen::talk(&format!("stored it for `orama` of this user: {}", path.display())),
        Err(failure) => screen::warning(&format!("the key was not stored for this user: {}", failure.message)),
    }
}

/// The first line on standard output is the address; who waits for it finds the key and the credential in place.
fn announce(address: SocketAddr, tls: Option<SocketAddr>, folder: &DataFolder) {
    let (url, key_file) = (client_url(address), folder.admin_key());
    let login = format!("orama login --gateway {url} --api-key \"$(cat {})\"", key_file.display());
    screen::talk(&format!("log in from elsewhere: {login}"));
    screen::line(&format!("listening on http://{address}"));
    if let Some(address) = tls {
        screen::line(&format!("listening on https://{address}"));
    }
}

/// Where a client on this machine reaches the server.
fn client_url(address: SocketAddr) -> String {
    let ip = if address.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { address.ip() };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}

/// A thread with a runtime of its own for each shard: a request stays on the core that accepted it.
fn start_shards(
    plain: Bound,
    secure: Option<Bound>,
    gateway: &Arc<Gateway>,
    stop: &CancellationToken,
    closed: &CancellationToken,
) -> anyhow::Result<Vec<JoinHandle<()>>> {
    let mut secure = secure.map_or(Vec::new(), |bound| bound.listeners).into_iter();
    let start = |(index, plain): (usize, std::net::TcpListener)| {
        let runtime = Builder::new_current_thread().enable_all().build().context("start a runtime")?;
        let (gateway, stop, closed) = (gateway.clone(), stop.clone(), closed.clone());
        let secure = secure.next();
        let run = move || run_shard(&runtime, plain, secure, gateway, stop, closed);
        std::thread::Builder::new().name(format!("shard-{index}")).spawn(run).context("start a thread")
    };
    plain.listeners.into_iter().enumerate().map(start).collect()
}

fn run_shard(
    runtime: &Runtime,
    plain: std::net::TcpListener,
    secure: Option<std::net::TcpListener>,
    gateway: Arc<Gateway>,
    stop: CancellationToken,
    closed: CancellationToken,
) {
    runtime.block_on(async {
        let secure = async {
            if let Some(secure) = secure {
                listen(secure, Scheme::Https, &gateway, &stop).await;
            }
        };
        tokio::join!(listen(plain, Scheme::Http, &gateway, &stop), secure);
        // Calls with an idempotency key outlive their connection.
        closed.cancelled().await;
    });
}

async fn listen(listener: std::net::TcpListener, scheme: Scheme, gateway: &Arc<Gateway>, stop: &CancellationToken) {
    match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => gateway::serve_as(listener, scheme, gateway.clone(), stop.clone()).await,
        Err(cause) => tracing::error!(cause = &cause as &dyn std::error::Error, "failed to use a listener"),
    }
}

/// Files that we make are for us alone.
fn private_files() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
}

/// Sockets are descriptors; the soft limit of most systems is far below what we may have.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(cause) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::info!(%cause, "the limit of open files stays as it is");
    }
}
