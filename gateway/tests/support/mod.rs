//! A gateway on a platform in memory, and what the tests say to it.

#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod mirror;
pub mod wallet;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use domain::{Caller, Cid, Level, LogLine, Namespace, ReplyHead, Scope, Scopes};
use gateway::{Gateway, GatewayConfig, Reply, RequestBody};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use platform::{ChainConfig, Config, Platform, Ports};
use ports::memory::{
    ManualClock, MemoryCaches, MemoryEgress, MemoryEngine, MemoryKeys, MemoryNames, MemoryPubSub, MemoryPush,
    MemoryRecords, MemoryRegistry, MemoryStorage, ScriptedDatabases,
};
use ports::{
    Answer, Call, Code, Ended, Engine, Exchange, Failed, Flow, PrepareError, Prepared, Reply as EngineReply, Services,
    Session, SocketOpening,
};

/// The messages of each topic that are kept.
pub const HISTORY: usize = 100;

pub const PEER: &str = "203.0.113.7";

/// What the code of a function says to do, beyond [`ports::memory::Script`].
pub const RAW: &[u8] = b"raw";
pub const PANIC: &[u8] = b"panic";
pub const HEAD: &[u8] = b"head";
pub const LOG: &[u8] = b"log";

/// The memory engine, with a few more words.
#[derive(Default)]
pub struct TestEngine {
    pub plain: MemoryEngine,
    pub mirror: mirror::Mirror,
}

#[async_trait]
impl Engine for TestEngine {
    async fn prepare(&self, code: &Code, manifest: &domain::Manifest) -> Result<Prepared, PrepareError> {
        self.plain.prepare(code, manifest).await
    }

    async fn invoke(&self, call: Call, services: Arc<Services>) -> Result<EngineReply, Failed> {
        let reply = |head, body: Bytes, logs| EngineReply { head, body, ended: Ended { logs, ..Ended::default() } };
        match services.version.code {
            code if code == Cid::of(PANIC) => panic!("planted"),
            code if code == Cid::of(RAW) => {
                let headers = [("content-type", "text/plain"), ("x-request-id", "forged"), ("x-mine", "kept")];
                let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
                let headers = headers.into_iter().map(|(name, value)| (bytes(name), bytes(value))).collect();
                Ok(reply(Some(ReplyHead { status: 201, headers }), call.input, vec![]))
            }
            code if code == Cid::of(HEAD) => {
                let head = call.http.map(|head| format!("{} {} {:?}", head.method, head.target, head.headers));
                Ok(reply(None, head.unwrap_or_default().into(), vec![]))
            }
            code if code == Cid::of(LOG) => {
                let at = "2026-01-01T00:00:00Z".parse().expect("a time");
                let line = |level, message: &str| LogLine { level, message: message.to_owned(), at };
                Ok(reply(None, Bytes::new(), vec![line(Level::Info, "one"), line(Level::Error, "two")]))
            }
            _ => self.plain.invoke(call, services).await,
        }
    }

    async fn exchange(&self, exchange: Exchange, services: Arc<Services>) -> Result<Answer, Failed> {
        let code = services.version.code;
        if mirror::Mirror::knows(&code) {
            return self.mirror.exchange(exchange, &code).await;
        }
        ports::exchange_whole(self, exchange, services).await
    }

    async fn open_socket(
        &self,
        opening: SocketOpening,
        services: Arc<Services>,
    ) -> Result<(Box<dyn Session>, Flow, Ended), Failed> {
        self.plain.open_socket(opening, services).await
    }

    async fn forget(&self, code: &Cid) {
        self.plain.forget(code).await;
    }
}

/// A gateway with keys of every kind.
pub struct House {
    pub gateway: Arc<Gateway>,
    pub engine: Arc<TestEngine>,
    pub clock: Arc<ManualClock>,
    pub databases: Arc<ScriptedDatabases>,
    pub names: Arc<MemoryNames>,
    pub caches: Arc<MemoryCaches>,
    pub content: Arc<MemoryStorage>,
    pub push: MemoryPush,
    pub operator: String,
    pub admin: String,
    pub deployer: String,
    pub invoker: String,
    /// Holds the scope `data`.
    pub client: String,
    /// The admin of another namespace, `abroad`.
    pub stranger: String,
}

impl House {
    pub async fn open() -> Self {
        Self::open_with(GatewayConfig::default()).await
    }

    pub async fn open_with(config: GatewayConfig) -> Self {
        Self::open_as(config, Config::default()).await
    }

    pub async fn open_as(config: GatewayConfig, node: Config) -> Self {
        Self::open_on(config, node, None).await
    }

    /// With code from a chain.
    pub async fn open_on(config: GatewayConfig, node: Config, chain: Option<ChainConfig>) -> Self {
        let (engine, push) = (Arc::new(TestEngine::default()), MemoryPush::default());
        let clock = Arc::new(ManualClock::new());
        let databases = Arc::new(ScriptedDatabases::new());
        let names = Arc::new(MemoryNames::default());
        let (caches, content) = (Arc::new(MemoryCaches::new(clock.clone())), Arc::new(MemoryStorage::default()));
        let ports = Ports {
            registry: Arc::new(MemoryRegistry::default()),
            records: Arc::new(MemoryRecords::default()),
            storage: Arc::new(MemoryStorage::default()),
            content: content.clone(),
            databases: databases.clone(),
            caches: caches.clone(),
            pubsub: Arc::new(MemoryPubSub::new(clock.clone(), HISTORY)),
            egress: Arc::new(MemoryEgress::default()),
            push: Arc::new(push.clone()),
            keys: Arc::new(MemoryKeys::default()),
            names: names.clone(),
            chain,
            engine: engine.clone(),
            clock: clock.clone(),
        };
        let platform = Platform::open(node, ports).await.expect("memory opens");
        let (home, abroad) = (home(), abroad());
        let operator = Caller::key("operator", home.clone(), Scopes::of([Scope::Operator]));
        platform.create_namespace(&operator, &abroad).await.expect("it is new");
        let key = async |namespace: &Namespace, scope| {
            platform.create_key(namespace, "test", Scopes::of([scope])).await.expect("memory stores keys")
        };
        Self {
            operator: key(&home, Scope::Operator).await,
            admin: key(&home, Scope::Admin).await,
            deployer: key(&home, Scope::Deploy).await,
            invoker: key(&home, Scope::Invoke).await,
            client: key(&home, Scope::Data).await,
            stranger: key(&abroad, Scope::Admin).await,
            gateway: Gateway::new(platform, config),
            engine,
            clock,
            databases,
            names,
            caches,
            content,
            push,
        }
    }

    pub async fn send(&self, request: Request<RequestBody>) -> Seen {
        self.send_from(PEER, request).await
    }

    pub async fn send_from(&self, peer: &str, request: Request<RequestBody>) -> Seen {
        Seen::of(self.gateway.handle(request, peer.parse().expect("an address")).await).await
    }

    /// A request with the admin's key.
    pub async fn admin(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Seen {
        self.send(with_key(request(method, path, body), &self.admin)).await
    }

    /// A request with the operator's key.
    pub async fn operator(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Seen {
        self.send(with_key(request(method, path, body), &self.operator)).await
    }

    /// A request of a client that uses data.
    pub async fn client(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Seen {
        self.send(with_key(request(method, path, body), &self.client)).await
    }

    /// A JSON body of a client that uses data.
    pub async fn post(&self, path: &str, body: serde_json::Value) -> Seen {
        self.client(Method::POST, path, body.to_string()).await
    }

    /// A request without any credential.
    pub async fn nobody(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Seen {
        self.send(request(method, path, body)).await
    }

    /// Deploys `code` as `name`, with further fields.
    pub async fn deploy(&self, name: &str, code: &[u8], fields: &[(&str, &str)]) -> Seen {
        let mut form = Form::default().file("wasm", code).text("name", name);
        for (field, value) in fields {
            form = form.text(field, value);
        }
        self.send(with_key(form.post("/v1/functions"), &self.admin)).await
    }
}

pub fn home() -> Namespace {
    Namespace::default_namespace()
}

pub fn abroad() -> Namespace {
    Namespace::parse("abroad").expect("a name")
}

pub fn request(method: Method, path: &str, body: impl Into<Bytes>) -> Request<RequestBody> {
    let request = Request::builder().method(method).uri(path);
    request.body(RequestBody::whole(body)).expect("a valid request")
}

pub fn with_key(request: Request<RequestBody>, key: &str) -> Request<RequestBody> {
    with_header(request, "x-api-key", key)
}

pub fn with_header(mut request: Request<RequestBody>, name: &'static str, value: &str) -> Request<RequestBody> {
    request.headers_mut().append(name, value.parse().expect("a header value"));
    request
}

/// A multipart body.
#[derive(Default)]
pub struct Form(Vec<u8>);

const BOUNDARY: &str = "boundary7MA4YWxk";

impl Form {
    pub fn file(self, name: &str, bytes: &[u8]) -> Self {
        self.file_called("../../function.wasm", name, bytes)
    }

    pub fn file_called(self, file_name: &str, name: &str, bytes: &[u8]) -> Self {
        self.part(&format!("name=\"{name}\"; filename=\"{file_name}\""), bytes)
    }

    pub fn text(self, name: &str, value: &str) -> Self {
        self.part(&format!("name=\"{name}\""), value.as_bytes())
    }

    fn part(mut self, disposition: &str, bytes: &[u8]) -> Self {
        let head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n");
        self.0.extend_from_slice(head.as_bytes());
        self.0.extend_from_slice(bytes);
        self.0.extend_from_slice(b"\r\n");
        self
    }

    pub fn post(self, path: &str) -> Request<RequestBody> {
        let mut bytes = self.0;
        bytes.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        Self::post_bytes(path, bytes)
    }

    /// The form without its end.
    pub fn post_cut(self, path: &str) -> Request<RequestBody> {
        Self::post_bytes(path, self.0)
    }

    fn post_bytes(path: &str, bytes: Vec<u8>) -> Request<RequestBody> {
        let request = request(Method::POST, path, bytes);
        with_header(request, "content-type", &format!("multipart/form-data; boundary={BOUNDARY}"))
    }
}

/// A reply as a client sees it.
#[derive(Debug)]
pub struct Seen {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Seen {
    pub async fn of(reply: Reply) -> Self {
        let (parts, body) = reply.into_parts();
        let body = body.collect().await.expect("a whole body never fails").to_bytes();
        Self { status: parts.status, headers: parts.headers, body }
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// A text of the JSON body.
    pub fn text(&self, key: &str) -> String {
        self.json()[key].as_str().unwrap_or_default().to_owned()
    }

    /// Status and body, with everything that differs from run to run blotted out.
    pub fn snapshot(&self) -> String {
        let body = match serde_json::from_slice::<serde_json::Value>(&self.body) {
            Ok(document) => serde_json::to_string_pretty(&document).expect("it was JSON"),
            Err(_) => String::from_utf8_lossy(&self.body).into_owned(),
        };
        format!("{}\n{}\n", self.status.as_u16(), without_ids(&body))
    }
}

/// Replaces every UUID by `<id>`.
pub fn without_ids(text: &str) -> String {
    let is_uuid = |candidate: &str| {
        candidate.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
    };
    let mut rest = text;
    let mut out = String::new();
    while let Some(first) = rest.chars().next() {
        match rest.get(..36) {
            Some(candidate) if is_uuid(candidate) => {
                out.push_str("<id>");
                rest = &rest[36..];
            }
            _ => {
                out.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    out
}
