//! A platform on in-memory ports that can be opened again over the same stores, and what its functions are given.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use domain::{
    Caller, Cid, Error, FunctionRef, Manifest, Namespace, NamespaceSettings, RequestId, Scope, Scopes, TriggerKind,
};
use platform::{Config, Deploy, Invoke, OpenError, Platform, Ports};
use ports::decorate::{Failing, Faults};
use ports::memory::{
    ManualClock, MemoryCaches, MemoryEgress, MemoryEngine, MemoryKeys, MemoryPubSub, MemoryPush, MemoryRecords,
    MemoryRegistry, MemoryStorage, Script, ScriptedDatabases,
};
use ports::{Call, Code, Engine, Failed, PrepareError, Prepared, Reply, Services};

use crate::gate::{GatedStorage, Gates, Point};

/// A platform and everything below it that outlives it.
pub struct Node {
    pub platform: Arc<Platform>,
    pub registry: Arc<Failing<MemoryRegistry>>,
    pub faults: Arc<Faults>,
    pub content: Arc<Failing<GatedStorage>>,
    pub content_faults: Arc<Faults>,
    pub gates: Gates,
    pub keys: Arc<MemoryKeys>,
    pub clock: Arc<ManualClock>,
    pub engine: Arc<Seeing>,
    pub push: MemoryPush,
    pub pubsub_faults: Arc<Faults>,
    config: Config,
}

/// An engine that shows what its functions are given.
#[derive(Default)]
pub struct Seeing {
    pub inner: MemoryEngine,
    seen: Mutex<Option<Arc<Services>>>,
    gates: Gates,
}

#[async_trait]
impl Engine for Seeing {
    async fn prepare(&self, code: &Code, manifest: &Manifest) -> Result<Prepared, PrepareError> {
        let prepared = self.inner.prepare(code, manifest).await;
        self.gates.pass(Point::Prepared).await;
        prepared
    }

    async fn invoke(&self, call: Call, services: Arc<Services>) -> Result<Reply, Failed> {
        *self.seen.lock().expect("no holder panics") = Some(services.clone());
        self.inner.invoke(call, services).await
    }

    async fn forget(&self, code: &Cid) {
        self.inner.forget(code).await;
    }
}

pub async fn node() -> Node {
    node_with(Config::default()).await
}

pub async fn node_with(config: Config) -> Node {
    let (registry, faults) = Failing::new(MemoryRegistry::default());
    let stored = GatedStorage::default();
    let gates = stored.gates.clone();
    let (content, content_faults) = Failing::new(stored);
    let (registry, content) = (Arc::new(registry), Arc::new(content));
    let (keys, clock) = (Arc::<MemoryKeys>::default(), Arc::<ManualClock>::default());
    let engine = Arc::new(Seeing { gates: gates.clone(), ..Seeing::default() });
    let (pubsub, pubsub_faults) = Failing::new(MemoryPubSub::default());
    let push = MemoryPush::default();
    let ports = Ports { pubsub: Arc::new(pubsub), ..ports(&registry, &content, &keys, &clock, &engine, &push) };
    let platform = Platform::open(config.clone(), ports).await.expect("a platform on memory opens");
    Node {
        platform,
        registry,
        faults,
        content,
        content_faults,
        gates,
        keys,
        clock,
        engine,
        push,
        pubsub_faults,
        config,
    }
}

fn ports(
    registry: &Arc<Failing<MemoryRegistry>>,
    content: &Arc<Failing<GatedStorage>>,
    keys: &Arc<MemoryKeys>,
    clock: &Arc<ManualClock>,
    engine: &Arc<Seeing>,
    push: &MemoryPush,
) -> Ports {
    Ports {
        registry: registry.clone(),
        records: Arc::new(MemoryRecords::default()),
        storage: Arc::new(MemoryStorage::default()),
        content: content.clone(),
        databases: Arc::new(ScriptedDatabases::default()),
        caches: Arc::new(MemoryCaches::new(clock.clone())),
        pubsub: Arc::new(MemoryPubSub::default()),
        egress: Arc::new(MemoryEgress::default()),
        push: Arc::new(push.clone()),
        keys: keys.clone(),
        names: Arc::new(ports::memory::MemoryNames::default()),
        chain: None,
        engine: engine.clone(),
        clock: clock.clone(),
    }
}

pub fn home() -> Namespace {
    Namespace::default_namespace()
}

pub fn abroad() -> Namespace {
    Namespace::parse("abroad").expect("a valid namespace")
}

pub fn key_of(namespace: &Namespace, scope: Scope) -> Caller {
    Caller::key(format!("key of {namespace} for {}", scope.as_str()), namespace.clone(), Scopes::of([scope]))
}

pub fn admin() -> Caller {
    key_of(&home(), Scope::Admin)
}

pub fn operator() -> Caller {
    key_of(&home(), Scope::Operator)
}

/// What a refusal says, in a line.
pub fn refusal<T>(result: Result<T, Error>) -> String {
    result.err().map_or("it was not refused".to_owned(), |error| format!("{}: {error}", error.code))
}

pub fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

impl Node {
    /// The same node after a restart, if it starts.
    pub async fn reopened(mut self) -> Result<Self, OpenError> {
        self.platform.close(std::time::Duration::from_secs(10)).await;
        let ports = ports(&self.registry, &self.content, &self.keys, &self.clock, &self.engine, &self.push);
        self.platform = Platform::open(self.config.clone(), ports).await?;
        Ok(self)
    }

    /// Does the same node start with another configuration?
    pub async fn opens_with(&mut self, config: Config) -> Result<(), OpenError> {
        let ports = ports(&self.registry, &self.content, &self.keys, &self.clock, &self.engine, &self.push);
        self.platform = Platform::open(config, ports).await?;
        Ok(())
    }

    pub async fn restarted(self) -> Self {
        self.reopened().await.expect("the node starts again")
    }

    pub async fn create_namespace(&self, namespace: &Namespace) {
        self.platform.create_namespace(&operator(), namespace).await.expect("made");
    }

    pub async fn set(&self, namespace: &Namespace, settings: NamespaceSettings) {
        self.platform.set_namespace_settings(&operator(), namespace, settings).await.expect("set");
    }

    pub async fn delete_namespace(&self, namespace: &Namespace) {
        self.platform.delete_namespace(&operator(), namespace).await.expect("deleted");
    }

    /// What a function of the namespace is given.
    pub async fn services(&self, namespace: &Namespace) -> Arc<Services> {
        self.platform.deploy(&operator(), self.upload(namespace, Script::Echo)).await.expect("deployed");
        self.platform.invoke(self.call(namespace)).await.result.expect("it ran");
        self.engine.seen.lock().expect("no holder panics").clone().expect("a call was made")
    }

    /// The function `f` of a namespace.
    pub fn upload(&self, namespace: &Namespace, script: Script) -> Deploy {
        Deploy {
            namespace: namespace.clone(),
            manifest: Manifest::parse("name: f").expect("a valid manifest"),
            code: script.code(),
            if_changed: true,
            dry_run: false,
        }
    }

    /// A call of the function `f` of a namespace.
    pub fn call(&self, namespace: &Namespace) -> Invoke {
        Invoke {
            request_id: RequestId::new(uuid::Uuid::now_v7().to_string()),
            namespace: namespace.clone(),
            function: FunctionRef::parse("f").expect("a valid reference"),
            caller: Arc::new(operator()),
            trigger: TriggerKind::Http,
            cause: platform::Cause::default(),
            http: None,
            input: Bytes::new(),
            client_request_id: None,
            trace_id: None,
            idempotency_key: None,
        }
    }
}
