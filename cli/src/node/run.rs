//! `orama function run`: one call here, without a server, under the limits of production.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use domain::{Caller, Cid, FunctionVersion, Namespace, RequestId, Timestamp, TriggerKind, VersionNumber};
use engines::{WasmConfig, WasmEngine};
use ports::{Call, CallContext, Code, Engine, Failed, Keys, PrepareError, Reply, Services};

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
        deadline,
    };
    let call = Call { context, http: None, input: request.input.clone() };
    let ended = engine.invoke(call, services(request, code.cid)).await;
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

fn services(request: RunRequest, code: Cid) -> Arc<Services> {
    let version = FunctionVersion {
        id: String::new(),
        namespace: Namespace::default_namespace(),
        name: request.manifest.name.clone(),
        version: VersionNumber::new(1).expect("counted from 1"),
        code,
        code_bytes: request.code.len() as u64,
        manifest: request.manifest,
        created_at: Timestamp::now(),
        created_by: String::new(),
    };
    Arc::new(Services { version: Arc::new(version) })
}
