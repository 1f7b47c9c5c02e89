//! `orama function run`: one call here, without a server, under the limits of production.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use async_trait::async_trait;
use backends::egress::{EgressConfig, HttpEgress};
use bytes::Bytes;
use domain::{
    Caller, Cid, EgressPolicy, Error, ErrorCode, FunctionRef, FunctionVersion, Namespace, RequestId, Timestamp,
    TriggerKind, VersionNumber,
};
use engines::{WasmConfig, WasmEngine};
use ports::memory::MemoryStorage;
use ports::{
    Call, CallContext, Code, ContentInfo, Databases, Egress, EgressError, Engine, Failed, FetchReply, FetchRequest,
    Fetcher, Invoker, Keys, NoHouse, OwnedStorage, PrepareError, Reply, Secret, Secrets, Services, Storage,
};

use super::{RunOutcome, RunReply, RunRequest, helper_command};

/// Runs a module once.
pub fn run(request: RunRequest) -> anyhow::Result<RunOutcome> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("start a runtime")?;
    let result = runtime.block_on(run_in(request));
    runtime.shutdown_background();
    result
}

async fn run_in(request: RunRequest) -> anyhow::Result<RunOutcome> {
    let engine = open_engine()?;
    let request_id = RequestId::new(uuid::Uuid::now_v7().to_string());
    let code = Code { cid: Cid::of(&request.code), bytes: request.code.clone() };
    match engine.prepare(&code, &request.manifest).await {
        Ok(_) => {}
        Err(PrepareError::Refused(error)) => return Ok(refused(request_id, error)),
        Err(PrepareError::Unavailable(cause)) => {
            return Err(anyhow::Error::from_boxed(cause).context("compile the module"));
        }
    }
    let started = Instant::now();
    let deadline = started + request.manifest.timeout;
    let context = CallContext {
        request_id: request_id.clone(),
        caller: Arc::new(Caller::anonymous()),
        trigger: TriggerKind::Http,
        depth: 0,
        trigger_depth: 0,
        socket: None,
        job: None,
        deadline,
    };
    let call = Call { context, http: None, input: request.input.clone(), observed: ports::Observed::default() };
    let ended = engine.invoke(call, services(request, code.cid)?).await;
    let duration = started.elapsed();
    let (result, ended) = match ended {
        Ok(Reply { head, body, ended }) => (Ok(RunReply { head, body }), ended),
        Err(Failed { error, ended, .. }) => (Err(error), ended),
    };
    Ok(RunOutcome { request_id, duration, result, logs: ended.logs, usage: ended.usage })
}

fn refused(request_id: RequestId, error: domain::Error) -> RunOutcome {
    RunOutcome {
        request_id,
        duration: std::time::Duration::ZERO,
        result: Err(error),
        logs: Vec::new(),
        usage: domain::Usage::default(),
    }
}

/// Compiled modules are kept in the user's cache folder, so that the second run of a program starts at once.
fn open_engine() -> anyhow::Result<WasmEngine> {
    let folder = cache_folder();
    std::fs::create_dir_all(&folder).with_context(|| format!("make `{}`", folder.display()))?;
    let keys = backends::keys::open(&folder.join("keys")).with_context(|| format!("open `{}`", folder.display()))?;
    let seal = keys.node_key("compiled-modules").context("open the key of compiled modules")?;
    let mut config = WasmConfig::new(folder.join("compiled"), helper_command()?, seal);
    config.instances_max = 1;
    let nothing_stored = Arc::new(ports::memory::MemoryStorage::default());
    Ok(WasmEngine::open(config, nothing_stored, tokio::runtime::Handle::current())?)
}

fn cache_folder() -> PathBuf {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    cache.unwrap_or_else(std::env::temp_dir).join("orama").join("run")
}

fn services(request: RunRequest, code: Cid) -> anyhow::Result<Arc<Services>> {
    let namespace = Namespace::default_namespace();
    let version = FunctionVersion {
        id: String::new(),
        namespace: namespace.clone(),
        name: request.manifest.name.clone(),
        version: VersionNumber::new(1).expect("counted from 1"),
        code,
        code_bytes: request.code.len() as u64,
        manifest: request.manifest,
        created_at: Timestamp::now(),
        created_by: String::new(),
    };
    let here = Arc::new(Here {
        content: MemoryStorage::default(),
        egress: backends::egress::open(EgressConfig::default()).context("start outbound HTTP")?,
        policy: version.manifest.egress.clone(),
    });
    Ok(Arc::new(Services {
        version: Arc::new(version),
        database: backends::database::in_memory().of(&namespace),
        cache: backends::cache::open(backends::cache::Config::default()).of(&namespace),
        storage: here.clone(),
        secrets: here.clone(),
        fetcher: here.clone(),
        invoker: here,
        bus: Arc::new(NoHouse),
        sockets: Arc::new(NoHouse),
        ephemeral: Arc::new(NoHouse),
        jobs: Arc::new(NoHouse),
        notifier: Arc::new(NoHouse),
    }))
}

/// The rest of a platform, for one call that leaves nothing behind: no secrets, no other functions.
struct Here {
    content: MemoryStorage,
    egress: HttpEgress,
    policy: Option<EgressPolicy>,
}

impl Secrets for Here {
    fn get(&self, _name: &str) -> Result<Option<Secret>, Error> {
        Ok(None)
    }

    fn mask(&self, _text: &str) -> Option<String> {
        None
    }
}

#[async_trait]
impl OwnedStorage for Here {
    async fn put(&self, name: &str, bytes: Bytes) -> Result<ContentInfo, Error> {
        let size = bytes.len() as u64;
        let cid = self.content.put(bytes).await.map_err(|error| Error::new(ErrorCode::Internal, error.to_string()))?;
        Ok(ContentInfo { cid, name: name.to_owned(), bytes: size, pinned: true, created_at: Timestamp::now() })
    }

    async fn get(&self, cid: &Cid, bytes_max: usize) -> Result<Bytes, Error> {
        let found = self.content.get(cid).await.map_err(|error| Error::not_found(error.to_string()))?;
        match found.len() > bytes_max {
            true => Err(Error::of(ErrorCode::ResultTooLarge)),
            false => Ok(found),
        }
    }

    async fn head(&self, cid: &Cid) -> Result<ContentInfo, Error> {
        let bytes = OwnedStorage::get(self, cid, usize::MAX).await?.len() as u64;
        Ok(ContentInfo { cid: *cid, name: String::new(), bytes, pinned: true, created_at: Timestamp::now() })
    }
}

#[async_trait]
impl Fetcher for Here {
    async fn fetch(&self, call: &CallContext, request: FetchRequest) -> Result<FetchReply, EgressError> {
        let policies: Vec<&EgressPolicy> = self.policy.iter().collect();
        self.egress.fetch(&Namespace::default_namespace(), &policies, request, call.deadline).await
    }
}

#[async_trait]
impl Invoker for Here {
    async fn invoke(&self, _call: &CallContext, function: &FunctionRef, _input: Bytes) -> Result<Bytes, Error> {
        Err(alone(function))
    }

    async fn invoke_async(&self, _: &CallContext, function: &FunctionRef, _input: Bytes) -> Result<RequestId, Error> {
        Err(alone(function))
    }
}

fn alone(function: &FunctionRef) -> Error {
    Error::new(ErrorCode::ServiceUnavailable, format!("`{function}` is not here: this call runs without a server"))
}
