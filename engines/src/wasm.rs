//! The engine `wasm`: wasmtime, a fresh instance for every call.
//!
//! Guests run on the async thread itself and yield at epochs; a call that has used up two of them moves to a
//! runtime for slow calls (`handover.rs`). Modules are compiled in a killable child (`compile.rs`), kept on disk and mapped
//! at first use (`cache.rs`). Upload checks are in `check.rs`, the two ABIs in `abi.rs` (ours) and `wasi.rs` (preview 1).

mod abi;
mod cache;
mod check;
mod compile;
pub mod fuzzing;
mod handover;
mod link;
mod memory;
mod metered;
mod run;
pub mod settings;
mod socket;
mod state;
mod wasi;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use domain::{Cid, Manifest};
use ports::{
    BoxError, Call, Code, Ended, Engine, Failed, Flow, NodeKey, PrepareError, Prepared, Reply, Services, Session,
    SocketOpening, Storage,
};
use tokio::runtime::Handle;

pub use abi::host_api_reference;
pub(crate) use abi::{Answer as HostAnswer, call_by_name};
pub(crate) use compile::compile_child;

use cache::Cache;
use compile::Compiler;
use metered::Metered;
use socket::Sockets;
use socket::stacks::Stacks;

/// How to start the helper process: a program and its first arguments, such as `orama __helper`.
#[derive(Debug, Clone)]
pub struct HelperCommand {
    pub program: PathBuf,
    pub arguments: Vec<String>,
}

/// What the engine needs to know.
#[derive(Debug, Clone)]
pub struct WasmConfig {
    /// The folder of compiled modules; made with mode 0700. Everything in it can be rebuilt.
    pub compiled: PathBuf,
    pub helper: HelperCommand,
    /// Instances at once, at least the calls that the node runs at once.
    pub instances_max: u32,
    /// WebSockets with an instance of their own at once; they take no place from calls. Fewer where the kernel allows a process
    /// too few mappings (`vm.max_map_count`): each takes four.
    pub sockets_max: u32,
    /// How much of a used instance's memory stays mapped for the next, in bytes.
    pub memory_keep_resident_bytes: usize,
    /// Modules kept in memory.
    pub modules_max: usize,
    /// CPU seconds that compiling a module may take; each megabyte of it adds one.
    pub compile_cpu_seconds: u64,
    /// The key that seals compiled modules on disk.
    pub seal: NodeKey,
}

impl WasmConfig {
    /// The measured defaults.
    pub fn new(compiled: PathBuf, helper: HelperCommand, seal: NodeKey) -> Self {
        Self {
            compiled,
            helper,
            instances_max: 1000,
            sockets_max: 10_000,
            memory_keep_resident_bytes: settings::MEMORY_KEEP_RESIDENT_BYTES,
            modules_max: 512,
            compile_cpu_seconds: settings::COMPILE_CPU_SECONDS,
            seal,
        }
    }
}

/// Why the engine could not start.
#[derive(Debug, thiserror::Error)]
#[error("start the wasm engine: {doing}")]
pub struct OpenError {
    doing: &'static str,
    #[source]
    source: BoxError,
}

impl OpenError {
    fn new(doing: &'static str, cause: impl Into<BoxError>) -> Self {
        Self { doing, source: cause.into() }
    }
}

/// The engine. Lives as long as the node.
pub struct WasmEngine {
    cache: Arc<Cache>,
    sockets: Sockets,
    /// Where calls go that run for long.
    slow: Handle,
    _ticker: Ticker,
}

impl WasmEngine {
    /// Starts the engine. `storage` is where code comes from when its compiled form is missing or damaged; `slow` is the
    /// runtime for calls that run for long.
    pub fn open(config: WasmConfig, storage: Arc<dyn Storage>, slow: Handle) -> Result<Self, OpenError> {
        let stacks = Arc::new(Stacks::default());
        let running = settings::for_running(config.instances_max, config.memory_keep_resident_bytes);
        let calls = engine(&running)?;
        let sockets = engine(&settings::for_sockets(stacks.clone()))?;
        let sockets_max = sockets_max(&config);
        let compiler = Arc::new(Compiler::new(config.helper, config.compile_cpu_seconds));
        let open = |engine: &wasmtime::Engine, modules_max| {
            let linker = link::linker(engine).map_err(|cause| OpenError::new("link host calls", cause))?;
            let (compiled, seal) = (config.compiled.clone(), config.seal.clone());
            Cache::open(engine.clone(), linker, compiler.clone(), storage.clone(), compiled, modules_max, seal)
                .map_err(|cause| OpenError::new("open the folder of compiled modules", cause))
        };
        let cache = Arc::new(open(&calls, config.modules_max)?);
        let cache_of_sockets = Arc::new(open(&sockets, config.modules_max.min(SOCKET_MODULES_MAX))?);
        let ticker = Ticker::start(vec![calls, sockets]);
        let sockets = Sockets::new(cache_of_sockets, stacks, sockets_max, slow.clone());
        Ok(Self { cache, sockets, slow, _ticker: ticker })
    }
}

/// Modules that sockets keep in memory; those with open sockets stay anyway.
const SOCKET_MODULES_MAX: usize = 64;

fn engine(config: &wasmtime::Config) -> Result<wasmtime::Engine, OpenError> {
    wasmtime::Engine::new(config).map_err(|cause| OpenError::new("reserve memory for instances", cause))
}

fn sockets_max(config: &WasmConfig) -> u32 {
    let wanted = config.sockets_max;
    let fitting = settings::sockets_that_fit(config.instances_max).map_or(wanted, |fitting| fitting.min(wanted));
    if fitting < wanted {
        tracing::info!(
            "at most {fitting} WebSockets with an instance of their own, not {wanted}; raise `vm.max_map_count` for more"
        );
    }
    fitting
}

#[async_trait]
impl Engine for WasmEngine {
    async fn prepare(&self, code: &Code, manifest: &Manifest) -> Result<Prepared, PrepareError> {
        let loaded = self.cache.prepare(code, manifest).await?;
        loaded.entry(manifest).map_err(PrepareError::Refused)?;
        Ok(Prepared { warnings: loaded.warnings(manifest) })
    }

    async fn invoke(&self, call: Call, services: Arc<Services>) -> Result<Reply, Failed> {
        let loaded = self.cache.get(&services.version.code).await.map_err(run::not_loaded)?;
        let observed = call.observed.clone();
        let metered = Metered::new(run::run(loaded, call, services), observed.clone());
        handover::drive(metered, observed, &self.slow).await
    }

    async fn open_socket(
        &self,
        opening: SocketOpening,
        services: Arc<Services>,
    ) -> Result<(Box<dyn Session>, Flow, Ended), Failed> {
        self.sockets.open(opening, services).await
    }

    async fn forget(&self, code: &Cid) {
        self.sockets.forget(code).await;
        self.cache.forget(code).await;
    }
}

/// Advances the engines' epochs; ends with the engine.
struct Ticker {
    stop: std::sync::mpsc::Sender<()>,
}

impl Ticker {
    fn start(engines: Vec<wasmtime::Engine>) -> Self {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let tick = move || {
            while stopped.recv_timeout(settings::TICK) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                engines.iter().for_each(wasmtime::Engine::increment_epoch);
            }
        };
        std::thread::Builder::new().name("epoch".into()).spawn(tick).expect("a thread can be started at start-up");
        Self { stop }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        // The thread may have ended already.
        self.stop.send(()).ok();
    }
}
