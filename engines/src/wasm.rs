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
mod state;
mod wasi;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use domain::{Cid, Manifest};
use ports::{BoxError, Call, Code, Engine, Failed, NodeKey, PrepareError, Prepared, Reply, Services, Storage};
use tokio::runtime::Handle;

pub use abi::host_api_reference;
pub(crate) use compile::compile_child;

use cache::Cache;
use compile::Compiler;
use metered::Metered;

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

/// The engine. Lives as long as the node.
pub struct WasmEngine {
    cache: Arc<Cache>,
    /// Where calls go that run for long.
    slow: Handle,
    _ticker: Ticker,
}

impl WasmEngine {
    /// Starts the engine. `storage` is where code comes from when its compiled form is missing or damaged; `slow` is the
    /// runtime for calls that run for long.
    pub fn open(config: WasmConfig, storage: Arc<dyn Storage>, slow: Handle) -> Result<Self, OpenError> {
        let engine =
            wasmtime::Engine::new(&settings::for_running(config.instances_max, config.memory_keep_resident_bytes))
                .map_err(|cause| OpenError { doing: "reserve memory for instances", source: cause.into() })?;
        let linker =
            link::linker(&engine).map_err(|cause| OpenError { doing: "link host calls", source: cause.into() })?;
        let compiler = Compiler::new(config.helper, config.compile_cpu_seconds);
        let cache =
            Cache::open(engine.clone(), linker, compiler, storage, config.compiled, config.modules_max, config.seal)
                .map_err(|cause| OpenError { doing: "open the folder of compiled modules", source: cause.into() })?;
        Ok(Self { cache: Arc::new(cache), slow, _ticker: Ticker::start(engine) })
    }
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

    async fn forget(&self, code: &Cid) {
        self.cache.forget(code).await;
    }
}

/// Advances the engine's epoch; ends with the engine.
struct Ticker {
    stop: std::sync::mpsc::Sender<()>,
}

impl Ticker {
    fn start(engine: wasmtime::Engine) -> Self {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let tick = move || {
            while stopped.recv_timeout(settings::TICK) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                engine.increment_epoch();
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
