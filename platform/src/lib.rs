//! The use-cases: deploy, version, invoke, authorise, record. Knows no protocol and no product.
//!
//! Everything starts at [`Platform`]. A request arrives as one of the types of `api.rs` together with a [`domain::Caller`],
//! and leaves as a value or a [`domain::Error`]; what becomes of either on a wire is the gateway's business.

mod api;
mod authorise;
mod deploy;
mod functions;
mod housekeeping;
mod idempotency;
mod invoke;
mod logs;
mod metrics;
mod permits;
mod registry;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use domain::Timestamp;
use ports::{BoxError, Clock, Engine, Keys, Records, Registry, Storage};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use authorise::ApiKeys;
use metrics::Metrics;
use permits::Permits;
use registry::Functions;
use writer::RecordWriter;

pub use api::{
    Config, Deploy, Deployed, FunctionView, Invoke, Logs, LogsQuery, NodeLimits, OpenError, Outcome, Success,
};
pub use metrics::{DURATION_BOUNDS_SECONDS, MetricsSnapshot};
pub use ports::Retention;

/// The implementations that a platform stands on.
pub struct Ports {
    pub registry: Arc<dyn Registry>,
    pub records: Arc<dyn Records>,
    pub storage: Arc<dyn Storage>,
    pub keys: Arc<dyn Keys>,
    pub engine: Arc<dyn Engine>,
    pub clock: Arc<dyn Clock>,
}

/// One node of Orama: everything that can be done with functions, for every door.
pub struct Platform {
    config: Config,
    registry: Arc<dyn Registry>,
    records: Arc<dyn Records>,
    storage: Arc<dyn Storage>,
    engine: Arc<dyn Engine>,
    clock: Arc<dyn Clock>,
    /// The control plane as calls read it; replaced as a whole by whoever holds `management`.
    functions: ArcSwap<Functions>,
    /// Held by every change of the control plane, so that snapshots follow the registry in order.
    management: Mutex<()>,
    api_keys: ApiKeys,
    permits: Permits,
    writer: RecordWriter,
    metrics: Arc<Metrics>,
    draining: AtomicBool,
    /// Read by every call from its admission to its record; written by who waits for all of them.
    under_way: tokio::sync::RwLock<()>,
    started_at: Timestamp,
    /// Tasks that live as long as the platform; aborted when it closes.
    tasks: std::sync::Mutex<JoinSet<()>>,
}

impl Platform {
    /// Reads the registry, drops what an earlier crash left half done, and starts the record writer.
    ///
    /// Must be called inside a tokio runtime that outlives the platform.
    pub async fn open(config: Config, ports: Ports) -> Result<Arc<Self>, OpenError> {
        let Ports { registry, records, storage, keys, engine, clock } = ports;
        let stored = registry.load().await.map_err(cannot_read("registry"))?;
        registry.release_unfinished().await.map_err(cannot_read("registry"))?;
        let functions = Functions::of(stored, config.limits.namespace_concurrency);
        housekeeping::sweep_code(&functions, &*storage).await.map_err(cannot_read("code storage"))?;
        let api_keys = ApiKeys::load(&*keys, &*registry).await?;
        let metrics = Arc::new(Metrics::default());
        let writer = RecordWriter::start(records.clone(), clock.clone(), metrics.clone());
        let platform = Arc::new(Self {
            permits: Permits::new(&config.limits),
            functions: ArcSwap::from_pointee(functions),
            management: Mutex::new(()),
            draining: AtomicBool::new(false),
            under_way: tokio::sync::RwLock::default(),
            started_at: clock.now(),
            tasks: std::sync::Mutex::default(),
            config,
            registry,
            records,
            storage,
            engine,
            clock,
            api_keys,
            writer,
            metrics,
        });
        housekeeping::start(&platform);
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
        self.metrics.snapshot(functions.count(), &self.permits)
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

    /// Takes no new calls, waits up to `limit` for those that run, then writes every record.
    ///
    /// True when all calls finished in time.
    pub async fn close(&self, limit: Duration) -> bool {
        self.draining.store(true, Ordering::SeqCst);
        let idle = tokio::time::timeout(limit, self.under_way.write()).await.is_ok();
        self.writer.close().await;
        self.tasks.lock().expect("no holder panics").abort_all();
        idle
    }
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
