//! (a) The engine alone: calls a second and their median, beside a bare wasmtime loop with the same settings.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use domain::{Caller, Cid, FunctionVersion, Manifest, Namespace, RequestId, Timestamp, TriggerKind, VersionNumber};
use engines::{HelperCommand, WasmConfig, WasmEngine};
use ports::memory::MemoryStorage;
use ports::{Call, CallContext, Code, Engine, NodeKey, Services, Storage};

use crate::bare::Bare;
use crate::report::{Report, us};
use crate::server;

const INPUT: &str = r#"{"name":"ada","data":{"a":1,"b":[1,2,3],"c":{"d":"e"}}}"#;
const GUESTS: [&str; 3] = ["echo-zig", "echo-rust", "echo-go"];
const ROUND: Duration = Duration::from_secs(2);

pub fn run() -> Result<Report> {
    let mut report = Report::new("Engine: a fresh instance for every call");
    report.say("Input and output in memory. `orama` is the whole engine: context, limits, log, CPU clock; `bare` is wasmtime with the same settings and the least WASI. Figures in microseconds; CPU is that of all threads, a call.");
    let mut rows = Vec::new();
    for guest in GUESTS {
        for threads in [1, 2] {
            rows.push(row(guest, threads)?);
        }
    }
    report.table(
        [
            "guest",
            "threads",
            "orama p50",
            "orama CPU",
            "orama calls/s",
            "bare p50",
            "bare CPU",
            "bare calls/s",
            "CPU ratio",
        ],
        &rows,
    );
    Ok(report)
}

fn row(guest: &str, threads: usize) -> Result<[String; 9]> {
    let module = server::guest(guest)?;
    let bare = Arc::new(Bare::new(&module).map_err(bare_failed)?);
    let ours = Arc::new(Ours::new(&module)?);
    // Both answer the same, else there is nothing to compare.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (one, other) =
        (runtime.block_on(bare.call(INPUT.into())).map_err(bare_failed)?, runtime.block_on(ours.call())?);
    ensure!(one == other, "{guest}: bare and orama answer differently");
    let bare = measure(threads, move || {
        let bare = bare.clone();
        async move { bare.call(INPUT.into()).await.map(drop).map_err(bare_failed) }
    })?;
    let ours = measure(threads, move || {
        let ours = ours.clone();
        async move { ours.call().await.map(drop) }
    })?;
    Ok([
        guest.to_owned(),
        threads.to_string(),
        us(ours.p50),
        us(ours.cpu),
        format!("{:.0}", ours.rate),
        us(bare.p50),
        us(bare.cpu),
        format!("{:.0}", bare.rate),
        us(ours.cpu / bare.cpu),
    ])
}

fn bare_failed(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("bare wasmtime: {error:#}")
}

struct Ours {
    engine: WasmEngine,
    services: Arc<Services>,
    caller: Arc<Caller>,
    _folder: tempfile::TempDir,
    _slow: tokio::runtime::Runtime,
}

impl Ours {
    fn new(module: &[u8]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let slow = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let helper = HelperCommand { program: server::orama()?, arguments: vec!["__helper".to_owned()] };
        let storage = Arc::new(MemoryStorage::default());
        let config = WasmConfig::new(folder.path().to_owned(), helper, NodeKey::new([1; 32]));
        let engine = WasmEngine::open(config, storage.clone(), slow.handle().clone())?;
        let manifest = Manifest::parse("name: bench")?;
        let code = Code { cid: Cid::of(module), bytes: Bytes::copy_from_slice(module) };
        slow.block_on(storage.put(code.bytes.clone()))?;
        slow.block_on(engine.prepare(&code, &manifest))?;
        Ok(Self {
            engine,
            services: services(manifest, code),
            caller: Arc::new(Caller::anonymous()),
            _folder: folder,
            _slow: slow,
        })
    }

    async fn call(&self) -> Result<Bytes> {
        let context = CallContext {
            request_id: RequestId::new("bench"),
            caller: self.caller.clone(),
            trigger: TriggerKind::Http,
            depth: 0,
            trigger_depth: 0,
            socket: None,
            job: None,
            deadline: Instant::now() + Duration::from_secs(30),
        };
        let observed = ports::Observed::default();
        let call = Call { context, http: None, input: Bytes::from_static(INPUT.as_bytes()), observed };
        let reply = self.engine.invoke(call, self.services.clone()).await;
        reply.map(|reply| reply.body).map_err(|failed| failed.error).context("call the guest")
    }
}

fn services(manifest: Manifest, code: Code) -> Arc<Services> {
    let version = FunctionVersion {
        id: String::new(),
        namespace: Namespace::default_namespace(),
        name: manifest.name.clone(),
        version: VersionNumber::new(1).expect("counted from 1"),
        code: code.cid,
        code_bytes: code.bytes.len() as u64,
        manifest,
        created_at: Timestamp::now(),
        created_by: String::new(),
    };
    ports::memory::TestServices::default().of(Arc::new(version))
}

struct Measured {
    p50: f64,
    cpu: f64,
    rate: f64,
}

/// Calls on `threads` threads for one round, after a short warm-up.
fn measure<F, Fut>(threads: usize, call: F) -> Result<Measured>
where
    F: Fn() -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<()>>,
{
    let started = Instant::now();
    let before = server::process_cpu("self")?;
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            let call = call.clone();
            std::thread::spawn(move || work(&call))
        })
        .collect();
    let mut times = Vec::new();
    for worker in workers {
        times.extend(worker.join().expect("a worker ends")?);
    }
    let cpu = (server::process_cpu("self")? - before).as_secs_f64() * 1e6 / times.len() as f64;
    let rate = times.len() as f64 / started.elapsed().as_secs_f64();
    times.sort_by(f64::total_cmp);
    Ok(Measured { p50: times[times.len() / 2], cpu, rate })
}

fn work<F, Fut>(call: &F) -> Result<Vec<f64>>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<()>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut times = Vec::with_capacity(1 << 20);
        let until = Instant::now() + ROUND;
        while Instant::now() < until {
            let started = Instant::now();
            call().await?;
            times.push(started.elapsed().as_secs_f64() * 1e6);
        }
        Ok(times)
    })
}
