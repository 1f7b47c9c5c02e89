//! The engine `worker`: JavaScript, in workerd processes of one tenant each, in the jail.
//!
//! `homes.rs` says which process answers; `process.rs` starts and watches one; `exchange.rs` carries a request there and the
//! reply back. What code asks of us comes out through one socket (`house.rs`) and the standard output (`output.rs`), for the
//! call whose token it knows (`calls.rs`). The JavaScript that stands around an author's code is in `worker/js`.

mod calls;
mod code;
mod config;
mod connections;
mod exchange;
mod folder;
pub mod fuzzing;
mod homes;
mod house;
mod meter;
mod output;
mod prepare;
mod process;
mod workerd;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::{Cid, Manifest};
use ports::{Answer, Call, Code, Engine, Exchange, Failed, PrepareError, Prepared, Reply, Services, Storage};
use tokio::runtime::Handle;

pub use workerd::{NoWorkerd, WORKERD_OLDEST, Workerd};

use crate::jail::{Jail, libraries_of};
use homes::Homes;
use process::Launcher;

/// What the engine needs to know.
pub struct WorkerConfig {
    pub workerd: Workerd,
    pub jail: Arc<Jail>,
    /// Where each process has a folder while it lives.
    pub folders: PathBuf,
    pub limits: WorkerLimits,
}

/// How many processes there are, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerLimits {
    /// Processes at once, those in reserve among them.
    pub processes_max: u32,
    /// Processes that wait for code, so that the first call of a function does not wait for one to start. As many again may stay behind
    /// deploys, for the first call of what they looked at.
    pub spares: u32,
    /// Requests of a process before another takes its place: the runtime keeps garbage.
    pub requests_max: u64,
    /// For how long a process stays that nobody asks anything.
    pub idle_max: Duration,
    /// May functions of several namespaces run? Not where all inmates of the jail have one user id, unless somebody said so.
    pub shared: bool,
}

impl Default for WorkerLimits {
    fn default() -> Self {
        Self { processes_max: 64, spares: 2, requests_max: 100_000, idle_max: Duration::from_secs(60), shared: true }
    }
}

/// The engine. Lives as long as the node; every process ends with it.
pub struct WorkerEngine {
    homes: Arc<Homes>,
    runtime: Handle,
}

impl WorkerEngine {
    /// Starts the engine; its first processes in reserve start when a worker is deployed or called. `storage` is where code comes from; `runtime` is where
    /// processes are watched.
    ///
    /// # Errors
    /// When the libraries of workerd cannot be found.
    pub fn open(config: WorkerConfig, storage: Arc<dyn Storage>, runtime: Handle) -> std::io::Result<Self> {
        let WorkerConfig { workerd: Workerd { program, .. }, jail, folders, limits } = config;
        let program = std::fs::canonicalize(program)?;
        let libraries = libraries_of(&program)?;
        let launcher = Launcher { jail, program, libraries, folders, runtime: runtime.clone() };
        Ok(Self { homes: Homes::open(launcher, storage, limits), runtime })
    }

    /// Starts the processes in reserve, if there is to be one. Returns when they are there.
    pub async fn reserve(&self) {
        self.homes.reserve().await;
    }
}

#[async_trait]
impl Engine for WorkerEngine {
    async fn prepare(&self, code: &Code, manifest: &Manifest) -> Result<Prepared, PrepareError> {
        prepare::check(&self.homes, code, manifest).await
    }

    async fn invoke(&self, call: Call, services: Arc<Services>) -> Result<Reply, Failed> {
        exchange::invoke(&self.homes, call, services).await
    }

    async fn exchange(&self, exchange: Exchange, services: Arc<Services>) -> Result<Answer, Failed> {
        exchange::exchange(&self.homes, &self.runtime, exchange, services).await
    }

    async fn forget(&self, code: &Cid) {
        self.homes.forget(code);
    }
}

/// A name that nobody guesses: 128 bits, in hexadecimal digits.
fn random_name() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A panic between two writes leaves at worst a line less.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
