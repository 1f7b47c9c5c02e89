//! All engines as one: each function version is run by the one that its manifest names.

use std::sync::Arc;

use async_trait::async_trait;
use domain::{Cid, EngineKind, Error, ErrorCode, Manifest};
use ports::{
    Answer, Call, Code, Ended, Engine, Exchange, Failed, Flow, PrepareError, Prepared, Reply, Services, Session,
    SocketOpening,
};

use crate::{WasmEngine, WorkerEngine};

/// The engines of a node.
pub struct Engines {
    wasm: WasmEngine,
    worker: Worker,
}

/// The engine for workers, or why this node has none.
pub enum Worker {
    Here(WorkerEngine),
    /// A sentence for who deploys or calls one.
    Missing(String),
}

impl Engines {
    pub fn new(wasm: WasmEngine, worker: Worker) -> Self {
        Self { wasm, worker }
    }

    /// Starts what a first call of a worker finds ready. Without this, the reserve begins with the first deploy or call.
    pub async fn reserve_workers(&self) {
        if let Worker::Here(worker) = &self.worker {
            worker.reserve().await;
        }
    }

    fn of(&self, manifest: &Manifest) -> Result<&dyn Engine, Error> {
        match (manifest.engine, &self.worker) {
            (EngineKind::Wasm, _) => Ok(&self.wasm),
            (EngineKind::Worker, Worker::Here(worker)) => Ok(worker),
            (EngineKind::Worker, Worker::Missing(why)) => {
                Err(Error::new(ErrorCode::FunctionUnavailable, format!("this server runs no workers: {why}")))
            }
        }
    }

    fn running(&self, services: &Services) -> Result<&dyn Engine, Failed> {
        let refused = |error| Failed { error, ended: Ended::default(), cause: None };
        self.of(&services.version.manifest).map_err(refused)
    }
}

#[async_trait]
impl Engine for Engines {
    async fn prepare(&self, code: &Code, manifest: &Manifest) -> Result<Prepared, PrepareError> {
        self.of(manifest).map_err(PrepareError::Refused)?.prepare(code, manifest).await
    }

    async fn invoke(&self, call: Call, services: Arc<Services>) -> Result<Reply, Failed> {
        self.running(&services)?.invoke(call, services).await
    }

    async fn exchange(&self, exchange: Exchange, services: Arc<Services>) -> Result<Answer, Failed> {
        self.running(&services)?.exchange(exchange, services).await
    }

    async fn open_socket(
        &self,
        opening: SocketOpening,
        services: Arc<Services>,
    ) -> Result<(Box<dyn Session>, Flow, Ended), Failed> {
        self.running(&services)?.open_socket(opening, services).await
    }

    async fn forget(&self, code: &Cid) {
        self.wasm.forget(code).await;
        if let Worker::Here(worker) = &self.worker {
            worker.forget(code).await;
        }
    }
}
