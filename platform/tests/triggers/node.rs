//! A platform on in-memory ports that can die and be opened again over the same stores, and functions that do what a test says.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use domain::{
    Caller, Cid, Error, ErrorCode, FunctionName, FunctionRef, Manifest, Namespace, RequestId, Scope, Scopes, Timestamp,
    Trigger, TriggerKind, TriggerSpec,
};
use platform::{Cause, Config, DeliveryCounts, Deploy, Invoke, Platform, Ports};
use ports::decorate::{Failing, Faults};
use ports::memory::{
    ManualClock, MemoryCaches, MemoryEgress, MemoryKeys, MemoryPubSub, MemoryPush, MemoryRecords, MemoryRegistry,
    MemoryStorage, ScriptedDatabases,
};
use ports::{Call, Clock, Code, Delivery, Ended, Engine, Failed, PrepareError, Prepared, Reply, Services};
use tokio::sync::Semaphore;

/// What a function does when it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    Succeed,
    /// So many times, then succeed.
    Fail(usize),
    /// Publish its input on a topic.
    Publish(&'static str),
    /// Call another function.
    Invoke(&'static str),
    /// Wait until it may go on.
    Wait,
}

/// A call as its function saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub function: String,
    pub input: String,
    pub depth: u8,
    pub trigger: TriggerKind,
    pub caller: Arc<Caller>,
}

impl Seen {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.input).expect("the input of a triggered call is JSON")
    }
}

/// Runs functions as they are told.
pub struct Reacting {
    acts: Mutex<HashMap<String, Act>>,
    seen: Mutex<Vec<Seen>>,
    gate: Semaphore,
}

impl Default for Reacting {
    fn default() -> Self {
        Self { acts: Mutex::default(), seen: Mutex::default(), gate: Semaphore::new(0) }
    }
}

impl Reacting {
    fn act(&self, function: &str) -> Act {
        let mut acts = self.acts.lock().expect("no holder panics");
        let act = acts.get(function).cloned().unwrap_or(Act::Succeed);
        if let Act::Fail(left) = act {
            let next = if left <= 1 { Act::Succeed } else { Act::Fail(left - 1) };
            acts.insert(function.to_owned(), next);
        }
        act
    }
}

#[async_trait]
impl Engine for Reacting {
    async fn prepare(&self, _: &Code, _: &Manifest) -> Result<Prepared, PrepareError> {
        Ok(Prepared::default())
    }

    async fn invoke(&self, call: Call, services: Arc<Services>) -> Result<Reply, Failed> {
        let function = services.version.name.to_string();
        let context = &call.context;
        self.seen.lock().expect("no holder panics").push(Seen {
            function: function.clone(),
            input: String::from_utf8_lossy(&call.input).into_owned(),
            depth: context.trigger_depth,
            trigger: context.trigger,
            caller: context.caller.clone(),
        });
        let done = match self.act(&function) {
            Act::Succeed => Ok(()),
            Act::Fail(_) => Err(Error::new(ErrorCode::FunctionExecutionFailed, "exit code 3")),
            Act::Publish(topic) => {
                services.bus.publish(context, vec![(topic.to_owned(), call.input.clone())]).await.map(drop)
            }
            Act::Invoke(other) => {
                services.invoker.invoke(context, &reference(other), call.input.clone()).await.map(drop)
            }
            Act::Wait => {
                self.gate.acquire().await.expect("the gate stays open").forget();
                Ok(())
            }
        };
        match done {
            Ok(()) => Ok(Reply { head: None, body: call.input, ended: Ended::default() }),
            Err(error) => Err(Failed { error, ended: Ended::default(), cause: None }),
        }
    }

    async fn forget(&self, _: &Cid) {}
}

/// A clock that moves when told to, and can be set.
#[derive(Default)]
pub struct SetClock {
    inner: ManualClock,
    set_back: Mutex<Duration>,
}

impl SetClock {
    pub fn advance(&self, by: Duration) {
        self.inner.advance(by);
    }

    pub fn set_back(&self, by: Duration) {
        *self.set_back.lock().expect("no holder panics") = by;
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        self.inner.now() - *self.set_back.lock().expect("no holder panics")
    }

    fn instant(&self) -> Instant {
        self.inner.instant()
    }
}

/// A platform and what outlives it.
pub struct Node {
    pub platform: Arc<Platform>,
    pub registry: Arc<Failing<MemoryRegistry>>,
    pub faults: Arc<Faults>,
    pub databases: ScriptedDatabases,
    pub database_faults: Arc<Faults>,
    failing_databases: Arc<Failing<ScriptedDatabases>>,
    pub clock: Arc<SetClock>,
    pub engine: Arc<Reacting>,
    keys: Arc<MemoryKeys>,
    config: Config,
}

pub async fn node() -> Node {
    node_with(Config::default()).await
}

pub async fn node_with(config: Config) -> Node {
    let (registry, faults) = Failing::new(MemoryRegistry::default());
    let databases = ScriptedDatabases::default();
    let (failing_databases, database_faults) = Failing::new(databases.clone());
    let (registry, failing_databases) = (Arc::new(registry), Arc::new(failing_databases));
    let (clock, engine, keys) = (Arc::<SetClock>::default(), Arc::<Reacting>::default(), Arc::default());
    let platform = open(&config, &registry, &failing_databases, &clock, &engine, &keys).await;
    Node { platform, registry, faults, databases, database_faults, failing_databases, clock, engine, keys, config }
}

async fn open(
    config: &Config,
    registry: &Arc<Failing<MemoryRegistry>>,
    databases: &Arc<Failing<ScriptedDatabases>>,
    clock: &Arc<SetClock>,
    engine: &Arc<Reacting>,
    keys: &Arc<MemoryKeys>,
) -> Arc<Platform> {
    let ports = Ports {
        registry: registry.clone(),
        records: Arc::new(MemoryRecords::default()),
        storage: Arc::new(MemoryStorage::default()),
        content: Arc::new(MemoryStorage::default()),
        databases: databases.clone(),
        caches: Arc::new(MemoryCaches::default()),
        pubsub: Arc::new(MemoryPubSub::default()),
        egress: Arc::new(MemoryEgress::default()),
        push: Arc::new(MemoryPush::default()),
        keys: keys.clone(),
        names: Arc::new(ports::memory::MemoryNames::default()),
        chain: None,
        engine: engine.clone(),
        clock: clock.clone(),
    };
    Platform::open(config.clone(), ports).await.expect("a platform on memory opens")
}

pub fn home() -> Namespace {
    Namespace::default_namespace()
}

pub fn admin() -> Caller {
    Caller::key("key-1", home(), Scopes::of([Scope::Admin]))
}

pub fn operator() -> Caller {
    Caller::key("key-0", home(), Scopes::of([Scope::Operator]))
}

pub fn name(text: &str) -> FunctionName {
    FunctionName::parse(text).expect("a valid name")
}

pub fn reference(text: &str) -> FunctionRef {
    FunctionRef::parse(text).expect("a valid reference")
}

pub fn refusal<T>(result: Result<T, Error>) -> String {
    result.err().map_or("it was not refused".to_owned(), |error| format!("{}: {error}", error.code))
}

impl Node {
    /// The same node after its process was killed: nothing was said to anybody.
    pub async fn killed(mut self) -> Self {
        let acts = self.engine.acts.lock().expect("no holder panics").clone();
        self.engine = Arc::new(Reacting { acts: Mutex::new(acts), ..Reacting::default() });
        self.platform =
            open(&self.config, &self.registry, &self.failing_databases, &self.clock, &self.engine, &self.keys).await;
        self
    }

    /// Deploys a function that does this.
    pub async fn deploy(&self, manifest: &str, act: Act) {
        self.deploy_in(&home(), manifest, act).await;
    }

    pub async fn deploy_in(&self, namespace: &Namespace, manifest: &str, act: Act) {
        let deployed = self.try_deploy(namespace, manifest).await.expect("deployed");
        let view = deployed.expect("it is no dry run");
        self.says(&view, act);
    }

    pub async fn try_deploy(&self, namespace: &Namespace, manifest: &str) -> Result<Option<String>, Error> {
        let manifest = Manifest::parse(manifest).expect("a valid manifest");
        let name = manifest.name.to_string();
        let code = Bytes::from_static(b"code");
        let deploy = Deploy { namespace: namespace.clone(), manifest, code, if_changed: false, dry_run: false };
        self.platform.deploy(&operator(), deploy).await.map(|deployed| deployed.function.map(|_| name))
    }

    /// From now on the function does this.
    pub fn says(&self, function: &str, act: Act) {
        self.engine.acts.lock().expect("no holder panics").insert(function.to_owned(), act);
    }

    /// Lets a call that waits go on.
    pub fn release(&self, calls: usize) {
        self.engine.gate.add_permits(calls);
    }

    pub async fn publish(&self, topic: &str, data: &str) -> Result<(), Error> {
        let message = (topic.to_owned(), Bytes::copy_from_slice(data.as_bytes()));
        self.platform.publish(&admin(), &home(), vec![message]).await.map(drop)
    }

    pub async fn call(&self, function: &str, input: &str) -> Result<(), Error> {
        let invoke = Invoke {
            request_id: RequestId::new(uuid::Uuid::now_v7().to_string()),
            namespace: home(),
            function: reference(function),
            caller: Arc::new(admin()),
            trigger: TriggerKind::Http,
            cause: Cause::default(),
            http: None,
            input: Bytes::copy_from_slice(input.as_bytes()),
            client_request_id: None,
            trace_id: None,
            idempotency_key: None,
        };
        self.platform.invoke(invoke).await.result.map(drop)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.engine.seen.lock().expect("no holder panics").clone()
    }

    /// Every call so far, once there are so many.
    pub async fn calls(&self, count: usize) -> Vec<Seen> {
        until(&format!("{count} calls"), || self.seen().len() >= count).await;
        self.settled().await;
        let seen = self.seen();
        assert_eq!(seen.len(), count, "{seen:#?}");
        seen
    }

    pub fn counts(&self) -> DeliveryCounts {
        self.platform.metrics().deliveries
    }

    /// Returns when whatever is due was done.
    pub async fn settled(&self) {
        // On a paused clock this takes no time, and everything that can run does so first.
        tokio::time::sleep(Duration::from_millis(100)).await; // paused
        until("nothing runs", || self.counts().running == 0).await;
    }

    pub async fn advance(&self, by: Duration) {
        self.clock.advance(by);
        // The dispatcher sleeps by the clock of the runtime, which is paused, until it looks at ours again.
        tokio::time::sleep(Duration::from_secs(60)).await; // paused
    }

    pub async fn add(&self, function: &str, spec: TriggerSpec) -> Arc<Trigger> {
        let added = self.platform.add_trigger(&admin(), &home(), &name(function), spec).await;
        added.expect("the trigger is added")
    }

    pub async fn dead(&self, function: &str) -> Vec<Delivery> {
        let dead = self.platform.dead_deliveries(&admin(), &home(), &name(function), None, 100).await;
        dead.expect("dead deliveries can be read")
    }

    pub fn triggers(&self, function: &str) -> Vec<Arc<Trigger>> {
        self.platform.triggers(&admin(), &home(), Some(&name(function))).expect("triggers can be listed")
    }
}

/// Polls on a paused clock, which costs no time.
pub async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _poll in 0..20_000 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await; // poll
    }
    panic!("waited in vain: {what}");
}
