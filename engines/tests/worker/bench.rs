//! The engine on real processes in the jail, and a few words to say what a test is about.

use std::ffi::OsString;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::{
    Caller, Cid, FunctionName, FunctionVersion, HttpHead, LogLine, Manifest, Namespace, RequestId, Scope, Scopes,
    Timestamp, TriggerKind, VersionNumber,
};
use engines::jail::{Jail, JailConfig};
use engines::{HelperCommand, WorkerConfig, WorkerEngine, WorkerLimits, Workerd};
use futures_util::StreamExt;
use ports::memory::{MemoryStorage, TestServices};
use ports::{
    Answer, Body, Call, CallContext, Code, Ended, Engine, Exchange, Failed, Observed, PrepareError, Prepared, Reply,
    Services, Storage,
};

/// What tests that look at one function need: few processes, and those that a first call finds ready.
pub const LIMITS: WorkerLimits =
    WorkerLimits { processes_max: 12, spares: 1, requests_max: 5000, idle_max: Duration::from_secs(60), shared: true };

/// The repository's own workerd, which `cargo xtask setup` installs.
pub fn workerd() -> Workerd {
    static FOUND: LazyLock<Workerd> = LazyLock::new(|| {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tools/node_modules/workerd/bin/workerd");
        Workerd::find(Some(&program)).expect("workerd is installed by `cargo xtask setup`")
    });
    FOUND.clone()
}

pub struct Bench {
    pub engine: Arc<WorkerEngine>,
    pub storage: Arc<MemoryStorage>,
    pub services: TestServices,
    pub socket: Option<Arc<str>>,
    pub job: Option<Arc<str>>,
    folder: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Self {
        Self::with(LIMITS)
    }

    pub fn with(limits: WorkerLimits) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let helper = HelperCommand { program: env!("CARGO_BIN_EXE_engine-helper").into(), arguments: Vec::new() };
        let jail = Jail::new(JailConfig::new(helper)).expect("a jail");
        let config = WorkerConfig { workerd: workerd(), jail, folders: folder.path().to_owned(), limits };
        let storage = Arc::new(MemoryStorage::default());
        let engine = WorkerEngine::open(config, storage.clone(), tokio::runtime::Handle::current()).expect("an engine");
        Self { engine: Arc::new(engine), storage, services: TestServices::default(), socket: None, job: None, folder }
    }

    pub async fn prepare(&self, code: &[u8], manifest: &str) -> Result<Prepared, PrepareError> {
        let code = Code { cid: Cid::of(code), bytes: Bytes::copy_from_slice(code) };
        self.engine.prepare(&code, &manifest_of("guest", manifest)).await
    }

    /// What a deploy is refused with.
    pub async fn refusal(&self, code: &[u8], manifest: &str) -> String {
        match self.prepare(code, manifest).await {
            Err(PrepareError::Refused(error)) => format!("{} {}", error.code, error.message),
            other => panic!("not refused: {other:?}"),
        }
    }

    /// A function that can be called.
    pub async fn deploy(&self, name: &str, code: &[u8], manifest: &str) -> Function {
        self.deploy_in(Namespace::default_namespace(), name, code, manifest).await
    }

    pub async fn deploy_in(&self, namespace: Namespace, name: &str, code: &[u8], manifest: &str) -> Function {
        self.prepare(code, manifest).await.expect("the worker is accepted");
        self.store_in(namespace, name, code, manifest).await
    }

    /// A function that was deployed before this engine began.
    pub async fn store(&self, name: &str, code: &[u8], manifest: &str) -> Function {
        self.store_in(Namespace::default_namespace(), name, code, manifest).await
    }

    async fn store_in(&self, namespace: Namespace, name: &str, code: &[u8], manifest: &str) -> Function {
        let cid = self.storage.put(Bytes::copy_from_slice(code)).await.expect("stored");
        let services = self.services.of(version(namespace, cid, manifest_of(name, manifest)));
        let (socket, job) = (self.socket.clone(), self.job.clone());
        Function { engine: self.engine.clone(), services, socket, job }
    }

    /// How many folders of processes there are.
    pub fn processes(&self) -> usize {
        self.folders().len()
    }

    /// The names of their folders.
    pub fn folders(&self) -> Vec<OsString> {
        let entries = std::fs::read_dir(self.folder.path()).expect("the folder");
        entries.map(|entry| entry.expect("an entry").file_name()).collect()
    }

    pub async fn until_processes(&self, count: usize) {
        poll(|| self.processes() == count).await;
    }
}

#[derive(Clone)]
pub struct Function {
    pub engine: Arc<WorkerEngine>,
    pub services: Arc<Services>,
    socket: Option<Arc<str>>,
    job: Option<Arc<str>>,
}

impl Function {
    pub fn context(&self, wallet: &str) -> CallContext {
        let caller = Caller {
            subject: Some(wallet.to_owned()),
            claims: [("tier".to_owned(), "göld".to_owned())].into(),
            ..Caller::key("k", Namespace::default_namespace(), Scopes::of([Scope::Invoke]))
        };
        CallContext {
            request_id: RequestId::new(format!("request-of-{wallet}")),
            caller: Arc::new(caller),
            trigger: TriggerKind::Http,
            depth: 0,
            trigger_depth: 0,
            socket: self.socket.clone(),
            job: self.job.clone(),
            deadline: Instant::now() + self.services.version.manifest.timeout,
        }
    }

    /// Input in, output out, as triggers and other functions call.
    pub async fn invoke(&self, input: &str) -> Result<Reply, Failed> {
        self.invoke_as("ada", input).await
    }

    pub async fn invoke_as(&self, wallet: &str, input: &str) -> Result<Reply, Failed> {
        let input = Bytes::copy_from_slice(input.as_bytes());
        let call = Call { context: self.context(wallet), http: None, input, observed: Observed::default() };
        self.engine.invoke(call, self.services.clone()).await
    }

    pub async fn text(&self, input: &str) -> String {
        let reply = self.invoke(input).await.unwrap_or_else(|failed| panic!("it failed: {failed:?}"));
        String::from_utf8(reply.body.into()).expect("text")
    }

    pub async fn exchange(&self, head: HttpHead, body: Body) -> Result<Answer, Failed> {
        self.exchange_by(false, head, body).await
    }

    /// By `https`, or by `http`.
    pub async fn exchange_by(&self, is_secure: bool, head: HttpHead, body: Body) -> Result<Answer, Failed> {
        let exchange = Exchange {
            context: self.context("ada"),
            head: Arc::new(head),
            is_secure,
            body,
            body_bytes_max: 1 << 20,
            observed: Observed::default(),
        };
        self.engine.exchange(exchange, self.services.clone()).await
    }

    /// `GET` of a target, and the whole reply.
    pub async fn get(&self, target: &str) -> (u16, Vec<(String, String)>, Bytes, Ended) {
        whole(self.exchange(head("GET", target, &[("host", "guest.test")]), Body::empty()).await.expect("an answer"))
            .await
    }
}

/// All of an answer.
pub async fn whole(answer: Answer) -> (u16, Vec<(String, String)>, Bytes, Ended) {
    let text = |bytes: Bytes| String::from_utf8_lossy(&bytes).into_owned();
    let headers = answer.head.headers.into_iter().map(|(name, value)| (text(name), text(value))).collect();
    let body = answer.body.read_whole(64 << 20).await.expect("a body");
    let ended = answer.end.await.expect("the call ends");
    (answer.head.status, headers, body, ended)
}

pub fn head(method: &str, target: &str, headers: &[(&str, &str)]) -> HttpHead {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    HttpHead {
        method: method.into(),
        target: target.into(),
        headers: headers.iter().map(|(name, value)| (bytes(name), bytes(value))).collect(),
    }
}

/// Code and message, and how it failed.
pub fn failure<T: std::fmt::Debug>(outcome: Result<T, Failed>) -> String {
    let failed = outcome.expect_err("it fails");
    format!("{} {:?}: {}", failed.error.code, failed.error.kind, failed.error.message)
}

pub fn lines(logs: &[LogLine]) -> Vec<String> {
    logs.iter().map(|line| format!("{} {}", line.level.as_str(), line.message)).collect()
}

/// Modules packed as the command line packs them.
pub fn packed(modules: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, text) in modules {
        let mut header = tar::Header::new_ustar();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, text.as_bytes()).expect("packed");
    }
    tar.into_inner().expect("packed")
}

/// Polls until it is so, for a minute at most.
pub async fn poll(mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it never came to be");
        tokio::time::sleep(Duration::from_millis(10)).await; // the pause of a poll
    }
}

/// The next piece of a body, as text.
pub async fn next(pieces: &mut ports::BodyStream) -> String {
    match pieces.next().await.expect("a piece").expect("no failure") {
        ports::Piece::Data(bytes) => String::from_utf8(bytes.into()).expect("text"),
        other => panic!("no data: {other:?}"),
    }
}

pub fn manifest_of(name: &str, rest: &str) -> Manifest {
    Manifest::parse(&format!("name: {name}\nengine: worker\n{rest}")).expect("a valid manifest")
}

fn version(namespace: Namespace, code: Cid, manifest: Manifest) -> Arc<FunctionVersion> {
    Arc::new(FunctionVersion {
        id: format!("id-of-{}", manifest.name),
        namespace,
        name: FunctionName::parse(manifest.name.as_str()).expect("a name"),
        version: VersionNumber::new(1).expect("from 1"),
        code,
        code_bytes: 0,
        manifest,
        created_at: Timestamp::UNIX_EPOCH,
        created_by: String::new(),
    })
}
