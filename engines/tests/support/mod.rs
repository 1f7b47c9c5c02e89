#![allow(dead_code, reason = "each test program uses a part of it")]
//! An engine on a folder of its own, and a few words to say what a test is about.

pub mod stuck;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use domain::{
    Caller, Cid, Error, FunctionRef, FunctionVersion, HttpHead, Manifest, Namespace, RequestId, Scope, Scopes,
    Timestamp, TriggerKind, VersionNumber,
};
use engines::{HelperCommand, WasmConfig, WasmEngine};
use expect_test::Expect;
use ports::memory::{HouseAnswers, MemoryCaches, MemoryStorage, RecordingHouse, ScriptedDatabases, TestServices};
use ports::{
    Caches, Call, CallContext, Code, Databases, Ended, Engine, Failed, Flow, Invoker, NodeKey, Observed, PrepareError,
    Prepared, Reply, Services, Session, SocketCall, SocketOpening, Storage,
};

pub struct Bench {
    engine: Arc<WasmEngine>,
    storage: Arc<MemoryStorage>,
    folder: Arc<tempfile::TempDir>,
    /// The answers of the database in `services`.
    pub databases: Arc<ScriptedDatabases>,
    /// What every call may use.
    pub services: TestServices,
    /// The WebSocket that every call comes from.
    pub socket: Option<Arc<str>>,
    /// The job that every call carries out.
    pub job: Option<Arc<str>>,
}

impl Bench {
    pub fn new() -> Self {
        let folder = Arc::new(tempfile::tempdir().expect("a temporary folder"));
        Self::open(folder, Arc::default(), helper(), |_config| {})
    }

    /// Compiling may take one second of CPU and no more.
    pub fn with_an_impatient_compiler() -> Self {
        let folder = Arc::new(tempfile::tempdir().expect("a temporary folder"));
        Self::open(folder, Arc::default(), helper(), |config| config.compile_cpu_seconds = 1)
    }

    /// Room for so many WebSockets.
    pub fn with_sockets(change: fn(&mut WasmConfig)) -> Self {
        let folder = Arc::new(tempfile::tempdir().expect("a temporary folder"));
        Self::open(folder, Arc::default(), helper(), change)
    }

    fn open(
        folder: Arc<tempfile::TempDir>,
        storage: Arc<MemoryStorage>,
        program: PathBuf,
        change: fn(&mut WasmConfig),
    ) -> Self {
        let helper = HelperCommand { program, arguments: Vec::new() };
        let mut config = WasmConfig::new(folder.path().to_owned(), helper, NodeKey::new([7; 32]));
        config.instances_max = 220;
        change(&mut config);
        let engine = WasmEngine::open(config, storage.clone(), tokio::runtime::Handle::current()).expect("an engine");
        let (databases, home) = (Arc::new(ScriptedDatabases::new()), Namespace::default_namespace());
        let services = TestServices::new(databases.of(&home), MemoryCaches::default().of(&home));
        Self { engine: Arc::new(engine), storage, folder, databases, services, socket: None, job: None }
    }

    /// The same node after a restart.
    pub fn reopened(&self) -> Self {
        Self::open(self.folder.clone(), self.storage.clone(), helper(), |_config| {})
    }

    pub fn reopened_without_a_compiler(&self) -> Self {
        Self::open(self.folder.clone(), self.storage.clone(), "/nonexistent".into(), |_config| {})
    }

    pub async fn prepare(&self, module: &[u8], manifest: &str) -> Result<Prepared, PrepareError> {
        let code = Code { cid: Cid::of(module), bytes: Bytes::copy_from_slice(module) };
        self.engine.prepare(&code, &manifest_of(manifest)).await
    }

    pub async fn deploy(&self, module: &[u8], manifest: &str) -> Cid {
        self.prepare(module, manifest).await.expect("the module is accepted");
        self.storage.put(Bytes::copy_from_slice(module)).await.expect("stored")
    }

    pub async fn call_code(&self, code: &Cid, manifest: &str, input: &[u8]) -> Result<Reply, Failed> {
        self.call_as(code, manifest, input, "request-1").await
    }

    pub async fn call_as(&self, code: &Cid, manifest: &str, input: &[u8], id: &str) -> Result<Reply, Failed> {
        self.call_observed(code, manifest, input, id, Observed::default()).await
    }

    pub async fn call_observed(
        &self,
        code: &Cid,
        manifest: &str,
        input: &[u8],
        id: &str,
        observed: Observed,
    ) -> Result<Reply, Failed> {
        let manifest = manifest_of(manifest);
        let caller = Caller {
            subject: Some("0xada".into()),
            claims: [("tier".to_owned(), "gold".to_owned())].into(),
            ..Caller::key("k", Namespace::default_namespace(), Scopes::of([Scope::Invoke]))
        };
        let context = CallContext {
            request_id: RequestId::new(id),
            caller: Arc::new(caller),
            trigger: TriggerKind::Http,
            depth: 0,
            trigger_depth: 0,
            socket: self.socket.clone(),
            job: self.job.clone(),
            deadline: Instant::now() + manifest.timeout,
        };
        let http = HttpHead {
            method: "PUT".into(),
            target: "/a/b?c=d".into(),
            headers: vec![(Bytes::from("x-one"), Bytes::from("1"))],
        };
        let call = Call { context, http: Some(Arc::new(http)), input: Bytes::copy_from_slice(input), observed };
        self.engine.invoke(call, self.services.of(version(*code, manifest))).await
    }

    /// Opens a WebSocket of `code`, whose `ws_open` gets `info`.
    pub async fn open_socket(&self, code: &Cid, manifest: &str, info: &[u8]) -> Result<Socket, Failed> {
        let services = self.services.of(version(*code, manifest_of(manifest)));
        self.open_with(services, info, Observed::default()).await
    }

    pub async fn open_with(&self, services: Arc<Services>, info: &[u8], observed: Observed) -> Result<Socket, Failed> {
        let timeout = services.version.manifest.timeout;
        let opening = SocketOpening { info: Bytes::copy_from_slice(info), context: of_socket(timeout), observed };
        let (session, flow, opened) = self.engine.open_socket(opening, services).await?;
        Ok(Socket { session, flow, opened, timeout })
    }

    /// The services of a version, for sockets that are opened by the thousand.
    pub fn services_of(&self, code: &Cid, manifest: &str) -> Arc<Services> {
        self.services.of(version(*code, manifest_of(manifest)))
    }

    /// From now on, a house that writes down what it is asked.
    pub fn record(&mut self, answers: HouseAnswers) -> Arc<RecordingHouse> {
        let house = Arc::new(RecordingHouse::new(answers));
        self.services.bus = house.clone();
        self.services.sockets = house.clone();
        self.services.ephemeral = house.clone();
        self.services.jobs = house.clone();
        self.services.notifier = house.clone();
        house
    }

    /// From now on, other functions are this one: a call of any of them runs `code`.
    pub fn invoke_here(&mut self, code: Cid) {
        let invoker = Arc::new_cyclic(|this: &Weak<Here>| {
            let services = TestServices { invoker: Arc::new(Later(this.clone())), ..self.services.clone() };
            Here { engine: self.engine.clone(), code, services }
        });
        self.services.invoker = invoker;
    }

    pub async fn forget(&self, code: &Cid) {
        self.engine.forget(code).await;
    }

    pub fn compiled_files(&self) -> usize {
        std::fs::read_dir(self.folder.path()).expect("the folder").count()
    }

    pub fn spoil_compiled(&self, spoil: fn(&Path)) {
        let files =
            std::fs::read_dir(self.folder.path()).expect("the folder").map(|entry| entry.expect("an entry").path());
        let compiled: Vec<_> =
            files.filter(|path| path.extension().is_some_and(|extension| extension == "cwasm")).collect();
        assert!(!compiled.is_empty(), "there is something to spoil");
        compiled.iter().for_each(|path| spoil(path));
    }
}

/// An open WebSocket.
pub struct Socket {
    pub session: Box<dyn Session>,
    /// What `ws_open` answered, used and logged.
    pub flow: Flow,
    pub opened: Ended,
    timeout: Duration,
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Socket").field("flow", &self.flow).field("opened", &self.opened).finish_non_exhaustive()
    }
}

impl Socket {
    pub async fn frame(&mut self, data: &[u8]) -> Result<(Flow, Ended), Failed> {
        self.frame_within(data, self.timeout).await
    }

    pub async fn frame_within(&mut self, data: &[u8], timeout: Duration) -> Result<(Flow, Ended), Failed> {
        self.session.frame(self.call(data, of_socket(timeout))).await
    }

    pub async fn frame_by(&mut self, data: &[u8], caller: Caller) -> Result<(Flow, Ended), Failed> {
        let context = CallContext { caller: Arc::new(caller), ..of_socket(self.timeout) };
        self.session.frame(self.call(data, context)).await
    }

    pub async fn close(&mut self, reason: &[u8]) -> Result<Ended, Failed> {
        self.session.close(self.call(reason, of_socket(self.timeout))).await
    }

    fn call(&self, data: &[u8], context: CallContext) -> SocketCall {
        SocketCall { context, data: Bytes::copy_from_slice(data), observed: Observed::default() }
    }
}

/// The context of a call that came from a WebSocket.
fn of_socket(timeout: Duration) -> CallContext {
    CallContext {
        request_id: RequestId::new("request-1"),
        caller: Arc::new(Caller::anonymous()),
        trigger: TriggerKind::Websocket,
        depth: 0,
        trigger_depth: 0,
        socket: Some("ws-1".into()),
        job: None,
        deadline: Instant::now() + timeout,
    }
}

fn helper() -> PathBuf {
    env!("CARGO_BIN_EXE_engine-helper").into()
}

fn manifest_of(rest: &str) -> Manifest {
    Manifest::parse(&format!("name: guest\n{rest}")).expect("a valid manifest")
}

fn version(code: Cid, manifest: Manifest) -> Arc<FunctionVersion> {
    Arc::new(FunctionVersion {
        id: String::new(),
        namespace: Namespace::default_namespace(),
        name: manifest.name.clone(),
        version: VersionNumber::new(1).expect("from 1"),
        code,
        code_bytes: 0,
        manifest,
        created_at: Timestamp::UNIX_EPOCH,
        created_by: String::new(),
    })
}

/// Runs calls of other functions in the same engine.
struct Here {
    engine: Arc<WasmEngine>,
    code: Cid,
    services: TestServices,
}

#[async_trait]
impl Invoker for Here {
    async fn invoke(&self, call: &CallContext, _function: &FunctionRef, input: Bytes) -> Result<Bytes, Error> {
        let context = CallContext { depth: call.depth + 1, ..call.clone() };
        let call = Call { context, http: None, input, observed: Observed::default() };
        let services = self.services.of(version(self.code, manifest_of("")));
        self.engine.invoke(call, services).await.map(|reply| reply.body).map_err(|failed| failed.error)
    }

    async fn invoke_async(&self, _: &CallContext, _: &FunctionRef, _: Bytes) -> Result<RequestId, Error> {
        Err(Error::invalid("not in this test"))
    }
}

/// [`Here`], which keeps its own services alive.
struct Later(Weak<Here>);

#[async_trait]
impl Invoker for Later {
    async fn invoke(&self, call: &CallContext, function: &FunctionRef, input: Bytes) -> Result<Bytes, Error> {
        self.0.upgrade().expect("the test still runs").invoke(call, function, input).await
    }

    async fn invoke_async(&self, _: &CallContext, _: &FunctionRef, _: Bytes) -> Result<RequestId, Error> {
        Err(Error::invalid("not in this test"))
    }
}

/// The module of `guests/fixtures/NAME.wat`.
pub fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/../guests/fixtures/{name}.wat", env!("CARGO_MANIFEST_DIR"));
    wat::parse_file(&path).unwrap_or_else(|wrong| panic!("{wrong}"))
}

/// Deploys a fixture and calls it once.
pub async fn call(bench: &Bench, name: &str, manifest: &str, input: &[u8]) -> Result<Reply, Failed> {
    let code = bench.deploy(&fixture(name), manifest).await;
    bench.call_code(&code, manifest, input).await
}

/// Calls the fixture of a host call with `arguments`, as its input has them.
pub async fn ask(bench: &Bench, name: &str, arguments: &[&[u8]]) -> Result<Reply, Failed> {
    ask_within(bench, name, "", arguments).await
}

pub async fn ask_within(bench: &Bench, name: &str, manifest: &str, arguments: &[&[u8]]) -> Result<Reply, Failed> {
    let mut input = Vec::new();
    for argument in arguments {
        input.extend_from_slice(&u32::try_from(argument.len()).expect("a test's argument").to_le_bytes());
        input.extend_from_slice(argument);
    }
    call(bench, name, manifest, &input).await
}

/// The answer of a host call that returns a number.
pub async fn ask_number(bench: &Bench, name: &str, arguments: &[&[u8]]) -> i64 {
    let body = ask(bench, name, arguments).await.expect("a refused host call is no failure of the function").body;
    i64::from_le_bytes(body[..].try_into().expect("eight bytes"))
}

/// The refusal of a module, as text.
pub async fn refuse(bench: &Bench, module: &[u8], manifest: &str) -> String {
    match bench.prepare(module, manifest).await {
        Err(PrepareError::Refused(error)) => {
            let hint = error.hint.map(|hint| format!(" / {hint}")).unwrap_or_default();
            format!("{} {}{hint}", error.code, error.message)
        }
        other => panic!("not refused: {other:?}"),
    }
}

/// Compares the outcome of a call with its golden text.
#[track_caller]
pub fn show(outcome: Result<Reply, Failed>, want: Expect) {
    let (mut seen, logs) = match outcome {
        Ok(reply) => (format!("{}\n", String::from_utf8_lossy(&reply.body)), reply.ended.logs),
        Err(failed) => {
            (format!("{} {:?}: {}\n", failed.error.code, failed.error.kind, failed.error), failed.ended.logs)
        }
    };
    for line in logs {
        seen += &format!("log {}: {}\n", line.level.as_str(), line.message);
    }
    want.assert_eq(&seen);
}

/// Loops over locals: a few kilobytes that would take minutes to compile.
pub fn compile_bomb(loops: usize, locals: usize) -> Vec<u8> {
    many_bombs(1, loops, locals)
}

pub fn many_bombs(functions: usize, loops: usize, locals: usize) -> Vec<u8> {
    // The innermost loop changes every local, so each loop around it needs a value of its own for each of them.
    let mut body: String = (0..loops).map(|index| format!("(loop $l{index} ")).collect();
    for local in 0..locals {
        body += &format!("(local.set {local} (i32.add (local.get {local}) (local.get {})))", (local + 1) % locals);
    }
    body.extend((0..loops).rev().map(|index| format!("(br_if $l{index} (local.get {})))", index % locals)));
    body.extend((0..locals).map(|local| format!("(i32.store (i32.const 0) (local.get {local}))")));
    let locals = format!("(local {})", "i32 ".repeat(locals));
    let functions = format!("(func {locals} {body})").repeat(functions);
    let text = format!("(module (memory (export \"memory\") 1) {functions} (func (export \"_start\")))");
    wat::parse_str(text).expect("the bomb assembles")
}

pub fn flip_a_byte(path: &Path) {
    let mut bytes = std::fs::read(path).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).expect("write");
}

pub fn cut_in_half(path: &Path) {
    let bytes = std::fs::read(path).expect("read");
    std::fs::write(path, &bytes[..bytes.len() / 2]).expect("write");
}

pub fn empty(path: &Path) {
    std::fs::write(path, b"").expect("write");
}
