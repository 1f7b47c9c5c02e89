//! A platform on in-memory ports, and a few words to say what a test is about.

use std::sync::Arc;

use bytes::Bytes;
use domain::{Caller, FunctionName, FunctionRef, Manifest, Namespace, RequestId, Scope, Scopes, TriggerKind};
use platform::{Config, Deploy, Deployed, Invoke, Logs, LogsQuery, Outcome, Platform, Ports};
use ports::decorate::{Failing, Faults};
use ports::memory::{
    ManualClock, MemoryCaches, MemoryEgress, MemoryEngine, MemoryKeys, MemoryPubSub, MemoryPush, MemoryRecords,
    MemoryRegistry, MemoryStorage, Script, ScriptedDatabases,
};

pub struct Node {
    pub platform: Arc<Platform>,
    pub engine: Arc<MemoryEngine>,
    pub storage: Arc<Failing<MemoryStorage>>,
    pub registry_faults: Arc<Faults>,
    pub records_faults: Arc<Faults>,
    pub storage_faults: Arc<Faults>,
}

pub async fn node() -> Node {
    node_with(Config::default()).await
}

pub async fn node_with(config: Config) -> Node {
    let (registry, registry_faults) = Failing::new(MemoryRegistry::default());
    let (records, records_faults) = Failing::new(MemoryRecords::default());
    let (storage, storage_faults) = Failing::new(MemoryStorage::default());
    let (engine, storage) = (Arc::new(MemoryEngine::default()), Arc::new(storage));
    let ports = Ports {
        registry: Arc::new(registry),
        records: Arc::new(records),
        storage: storage.clone(),
        content: Arc::new(MemoryStorage::default()),
        databases: Arc::new(ScriptedDatabases::default()),
        caches: Arc::new(MemoryCaches::default()),
        pubsub: Arc::new(MemoryPubSub::default()),
        egress: Arc::new(MemoryEgress::default()),
        push: Arc::new(MemoryPush::default()),
        keys: Arc::new(MemoryKeys::default()),
        names: Arc::new(ports::memory::MemoryNames::default()),
        chain: None,
        engine: engine.clone(),
        clock: Arc::new(ManualClock::new()),
    };
    let platform = Platform::open(config, ports).await.expect("a platform on memory opens");
    Node { platform, engine, storage, registry_faults, records_faults, storage_faults }
}

pub fn home() -> Namespace {
    Namespace::default_namespace()
}

pub fn key(scope: Scope) -> Caller {
    Caller::key("key-1", home(), Scopes::of([scope]))
}

pub fn admin() -> Caller {
    key(Scope::Admin)
}

pub fn name(text: &str) -> FunctionName {
    FunctionName::parse(text).expect("a valid name")
}

pub fn reference(text: &str) -> FunctionRef {
    FunctionRef::parse(text).expect("a valid reference")
}

pub fn upload(manifest: &str, script: Script) -> Deploy {
    Deploy {
        namespace: home(),
        manifest: Manifest::parse(manifest).expect("a valid manifest"),
        code: script.code(),
        if_changed: false,
        dry_run: false,
    }
}

impl Node {
    pub async fn deploy(&self, manifest: &str, script: Script) -> Deployed {
        self.platform.deploy(&admin(), upload(manifest, script)).await.expect("deployed")
    }

    pub fn call(&self, function: &str, input: &str) -> Invoke {
        Invoke {
            request_id: RequestId::new(uuid::Uuid::now_v7().to_string()),
            namespace: home(),
            function: reference(function),
            caller: Arc::new(admin()),
            trigger: TriggerKind::Http,
            cause: platform::Cause::default(),
            http: None,
            input: Bytes::copy_from_slice(input.as_bytes()),
            client_request_id: None,
            trace_id: None,
            idempotency_key: None,
        }
    }

    /// What a call answered, in a word or two.
    pub async fn answer(&self, function: &str, input: &str) -> String {
        describe(&self.platform.invoke(self.call(function, input)).await)
    }

    pub async fn logs(&self, function: &str) -> Logs {
        let query = LogsQuery {
            namespace: home(),
            function: name(function),
            request_id: None,
            since: None,
            after: None,
            level: None,
            limit: 100,
        };
        self.platform.logs(&admin(), query).await.expect("the logs can be read")
    }
}

pub fn describe(outcome: &Outcome) -> String {
    match &outcome.result {
        Ok(success) => String::from_utf8_lossy(&success.body).into_owned(),
        Err(error) => format!("{}: {error}", error.code),
    }
}
