//! The use-cases: deploy, version, invoke, authorise, record. Knows no protocol and no product.
//!
//! Everything starts at [`Platform`]. A request arrives as one of the types of `api.rs` together with a [`domain::Caller`],
//! and leaves as a value or a [`domain::Error`]; what becomes of either on a wire is the gateway's business.

mod api;
mod audit;
mod authorise;
mod bus;
pub mod certificates;
mod chain;
mod data;
mod deploy;
mod domains;
mod ephemeral;
mod forward;
mod functions;
#[doc(hidden)]
pub mod fuzzing;
mod housekeeping;
mod idempotency;
mod identity;
mod invoke;
mod jobs;
mod lease;
mod logs;
mod metrics;
mod permits;
mod presence;
mod push;
mod rates;
mod receipts;
mod registry;
mod schedule;
mod seal;
mod secrets;
mod services;
mod sockets;
mod storage;
mod triggers;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use domain::{Caller, Namespace, Timestamp};
use ports::{
    BoxError, Caches, Clock, Databases, Egress, Engine, Keys, Names, PubSub, PushProviders, Records, Registry, Storage,
};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use domains::CustomDomains;
use ephemeral::EphemeralStates;
use identity::Identity;
use jobs::RunningJobs;
use metrics::Metrics;
use permits::Permits;
use presence::Presence;
use push::Pushes;
use rates::Rates;
use receipts::{ReceiptWriter, Signers};
use registry::{Functions, PlacesOf};
use schedule::Watched;
use secrets::Vault;
use services::ServiceFactory;
use sockets::{LiveSockets, Shares};
use storage::Shelves;
use triggers::Triggers;
use writer::RecordWriter;

pub use api::{
    Cause, Config, Deploy, Deployed, FunctionView, Invoke, Logs, LogsQuery, NodeLimits, OpenError, Outcome, Success,
};
pub use audit::AuditRequest;
pub use bus::EachPublished;
pub use chain::{ChainCode, ChainConfig, ChainError};
pub use domains::{DOMAINS_MAX, DomainView};
pub use forward::{Forward, Forwarded, Intake, SIGNED_BYTES_MAX, Signing};
pub use identity::{
    AccessToken, Chain, Challenge, ChallengeRequest, CreatedKey, InvalidToken, InvalidWallet, KeyView, NamespaceView,
    NewKey, Proof, PublicKey, Purpose, Refreshed, RegisteredApp, SignedIn, TokenFacts, Wallet, WalletKey,
};
pub use jobs::{
    JOB_AGE_MAX, JOB_AHEAD_MAX, JOB_RESULT_BYTES_MAX, JOB_RESULTS_BYTES_MAX, JOBS_ENDED_MAX, JOBS_WAITING_MAX,
    JobCounts, NewJob,
};
pub use metrics::{DURATION_BOUNDS_SECONDS, MetricsSnapshot};
pub use ports::Retention;
pub use presence::{Member, PresenceGuard};
pub use push::{DeviceView, INBOX_DEFAULT, INBOX_MAX, NewDevice, PushFieldView, PushSettingsView};
pub use rates::RateLeft;
pub use receipts::{Exchanged, OysterPair, ReceiptFault, checksummed_address, oyster_signer, verify_receipt};
pub use schedule::schedule_hints;
pub use secrets::{Rotation, SecretView};
pub use sockets::{
    AdmittedSocket, Attached, Conversation, Delivery, Farewell, NewSocket, SocketEnd, SocketFrame, SocketRules,
    SocketView,
};
pub use storage::{ContentUpload, Swept};
pub use triggers::{DeliveryCounts, Fired, TRIGGER_LIMITS, TriggerLimits};

/// The implementations that a platform stands on.
pub struct Ports {
    pub registry: Arc<dyn Registry>,
    pub records: Arc<dyn Records>,
    pub storage: Arc<dyn Storage>,
    /// Where uploaded content lies; `storage` is for code.
    pub content: Arc<dyn Storage>,
    pub databases: Arc<dyn Databases>,
    pub caches: Arc<dyn Caches>,
    pub pubsub: Arc<dyn PubSub>,
    pub egress: Arc<dyn Egress>,
    pub push: Arc<dyn PushProviders>,
    pub keys: Arc<dyn Keys>,
    /// Where code comes from that nobody deployed here; `None` when it does not.
    pub chain: Option<ChainConfig>,
    /// Asked whether a domain is somebody's.
    pub names: Arc<dyn Names>,
    pub engine: Arc<dyn Engine>,
    pub clock: Arc<dyn Clock>,
}

/// One node of Orama: everything that can be done with functions, for every door.
pub struct Platform {
    config: Config,
    registry: Arc<dyn Registry>,
    records: Arc<dyn Records>,
    storage: Arc<dyn Storage>,
    content: Arc<dyn Storage>,
    contents: Arc<Shelves>,
    databases: Arc<dyn Databases>,
    caches: Arc<dyn Caches>,
    pubsub: Arc<dyn PubSub>,
    ephemeral: Arc<EphemeralStates>,
    presence: Presence,
    sockets: LiveSockets,
    /// Places for sockets with an instance.
    socket_places: Arc<Shares>,
    egress: Arc<dyn Egress>,
    pushes: Pushes,
    engine: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
    /// The control plane as calls read it; replaced as a whole by whoever holds `management`.
    functions: ArcSwap<Functions>,
    /// Held by every change of the control plane, so that snapshots follow the registry in order.
    management: Mutex<()>,
    identity: Arc<Identity>,
    vault: Arc<Vault>,
    rates: Rates,
    nobody: Arc<Caller>,
    permits: Permits,
    triggers: Arc<Triggers>,
    watched: Watched,
    jobs: RunningJobs,
    writer: RecordWriter,
    signers: Arc<Signers>,
    receipts: ReceiptWriter,
    chain: chain::Chain,
    domains: CustomDomains,
    metrics: Arc<Metrics>,
    draining: AtomicBool,
    /// Read by every call from its admission to its record; written by who waits for all of them.
    under_way: Arc<tokio::sync::RwLock<()>>,
    started_at: Timestamp,
    /// Tasks that live as long as the platform; aborted when it closes.
    tasks: std::sync::Mutex<JoinSet<()>>,
}

impl Platform {
    /// Reads the registry, drops what an earlier crash left half done, and starts the record writer.
    ///
    /// Must be called inside a tokio runtime that outlives the platform.
    pub async fn open(config: Config, ports: Ports) -> Result<Arc<Self>, OpenError> {
        let Ports {
            registry,
            records,
            storage,
            content,
            databases,
            caches,
            pubsub,
            egress,
            push,
            keys,
            engine,
            clock,
            chain,
            names,
        } = ports;
        let stored = registry.load_functions().await.map_err(cannot_read("registry"))?;
        registry.release_unfinished().await.map_err(cannot_read("registry"))?;
        // First: it notices a wrong master key, and nothing must be changed then.
        let vault = Arc::new(Vault::load(&*keys, &*registry).await?);
        let identity = Arc::new(Identity::load(&*keys, &*registry, &*clock, &config).await?);
        let signers = Arc::new(Signers::load(keys.clone(), clock.now())?);
        let chain = chain::Chain::load(chain, &*registry, config.limits.namespace_concurrency).await?;
        let domains = CustomDomains::load(names, &*registry, &identity).await?;
        let pushes = Pushes::open(push, config.push.clone())?;
        let triggers = Triggers::load(registry.clone(), clock.clone(), &config).await?;
        let metrics = Arc::new(Metrics::default());
        let writer = RecordWriter::start(records.clone(), clock.clone(), metrics.clone());
        let receipts = ReceiptWriter::start(records.clone(), signers.clone());
        let platform = Arc::new_cyclic(|weak| Self {
            permits: Permits::new(&config.limits),
            socket_places: Shares::new(config.limits.node_sockets, config.limits.namespace_sockets),
            functions: ArcSwap::from_pointee(Functions::of(
                stored,
                places_of(&config, &identity),
                ServiceFactory {
                    databases: databases.clone(),
                    caches: caches.clone(),
                    vault: vault.clone(),
                    identity: identity.clone(),
                    platform: weak.clone(),
                },
            )),
            management: Mutex::new(()),
            draining: AtomicBool::new(false),
            under_way: Arc::default(),
            nobody: Arc::new(Caller::anonymous()),
            rates: Rates::default(),
            contents: Arc::new(Shelves::new(registry.clone(), content.clone())),
            started_at: clock.now(),
            tasks: std::sync::Mutex::default(),
            config,
            registry,
            records,
            storage,
            content,
            databases,
            caches,
            pubsub,
            ephemeral: Arc::default(),
            presence: Presence::default(),
            sockets: LiveSockets::default(),
            egress,
            pushes,
            engine,
            clock,
            identity,
            vault,
            triggers,
            watched: Watched::default(),
            jobs: RunningJobs::default(),
            writer,
            signers,
            receipts,
            chain,
            domains,
            metrics,
        });
        let functions = platform.functions.load();
        housekeeping::sweep_code(&functions, &platform.chain, &*platform.storage)
            .await
            .map_err(cannot_read("code storage"))?;
        platform.limit_databases();
        platform.finish_endings().await;
        platform.contents.note_orphans();
        platform.tidy_orphans().await;
        platform.registry.release_jobs().await.map_err(cannot_read("jobs"))?;
        platform.start_triggers().await;
        let schedules = schedule::run(Arc::downgrade(&platform));
        platform.tasks.lock().expect("no holder panics").spawn(schedules);
        housekeeping::start(&platform);
        let expiry = ephemeral::expire(Arc::downgrade(&platform));
        platform.tasks.lock().expect("no holder panics").spawn(expiry);
        let receipts = push::watch_receipts(Arc::downgrade(&platform));
        platform.tasks.lock().expect("no holder panics").spawn(receipts);
        Ok(platform)
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    pub fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// What was counted since the start.
    pub fn metrics(&self) -> MetricsSnapshot {
        let functions = self.functions.load();
        MetricsSnapshot {
            deliveries: self.triggers.counts(),
            slots_fired: self.watched.fired(),
            slots_left_out: self.watched.left_out(),
            jobs: self.jobs.counts(),
            sockets: self.sockets.count() as u64,
            socket_instances: self.socket_places.all_taken() as u64,
            ..self.metrics.snapshot(functions.count(), &self.permits, self.pubsub.counts())
        }
    }

    /// Has the clean stop begun? Whoever listens to a topic then hears that it is closed.
    pub fn is_stopping(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// May a load balancer send calls here? The error says why not.
    pub fn ready(&self) -> Result<(), String> {
        if self.draining.load(Ordering::Relaxed) {
            return Err("the server is shutting down".to_owned());
        }
        match self.metrics.log_failing() {
            true => Err("records of calls cannot be written".to_owned()),
            false => Ok(()),
        }
    }

    /// Does something that nobody waits for. A clean stop does; once it has begun, nothing more is taken on.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Ok(under_way) = self.under_way.clone().try_read_owned() {
            tokio::spawn(async move {
                work.await;
                drop(under_way);
            });
        }
    }

    /// Takes no new calls, waits up to `limit` for those that run, then writes every record.
    ///
    /// True when all calls finished in time.
    pub async fn close(&self, limit: Duration) -> bool {
        self.draining.store(true, Ordering::SeqCst);
        // Whoever listens would do so for ever.
        self.pubsub.shut_down().await;
        let idle = tokio::time::timeout(limit, self.under_way.write()).await.is_ok();
        self.triggers.close().await;
        self.receipts.close().await;
        self.writer.close().await;
        self.tasks.lock().expect("no holder panics").abort_all();
        idle
    }
}

/// How many calls at once a namespace may have: what was set for it, else what the node allows.
fn places_of(config: &Config, identity: &Arc<Identity>) -> PlacesOf {
    let (identity, default) = (identity.clone(), config.limits.namespace_concurrency);
    Arc::new(move |namespace: &Namespace| {
        let set = identity.settings_of(namespace).concurrency;
        set.map_or(default, |places| usize::try_from(places).unwrap_or(default).max(1))
    })
}

fn cannot_read<E: Into<BoxError>>(what: &'static str) -> impl FnOnce(E) -> OpenError {
    move |source| OpenError::Read { what, source: source.into() }
}

/// An error of ours: the cause goes to the log, the user learns that it was not their fault.
fn internal(doing: &str, cause: impl Into<BoxError>) -> domain::Error {
    let cause = cause.into();
    tracing::error!(cause = &*cause as &dyn std::error::Error, "failed to {doing}");
    domain::Error::of(domain::ErrorCode::Internal)
}
