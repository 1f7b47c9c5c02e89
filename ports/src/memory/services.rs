use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use domain::{Cid, Error, FunctionRef, FunctionVersion, Namespace, RequestId, Timestamp};

use super::{MemoryCaches, ScriptedDatabases};
use crate::{
    Bus, Cache, Caches, CallContext, ContentInfo, Database, Databases, EgressError, Ephemeral, FetchReply,
    FetchRequest, Fetcher, Invoker, Jobs, NoHouse, Notifier, OwnedStorage, Secret, Secrets, Services, Sockets,
};

/// The services of a function in a test; each can be replaced by another.
#[derive(Clone)]
pub struct TestServices {
    pub database: Arc<dyn Database>,
    pub cache: Arc<dyn Cache>,
    pub storage: Arc<dyn OwnedStorage>,
    pub secrets: Arc<dyn Secrets>,
    pub fetcher: Arc<dyn Fetcher>,
    pub invoker: Arc<dyn Invoker>,
    pub bus: Arc<dyn Bus>,
    pub sockets: Arc<dyn Sockets>,
    pub ephemeral: Arc<dyn Ephemeral>,
    pub jobs: Arc<dyn Jobs>,
    pub notifier: Arc<dyn Notifier>,
}

impl Default for TestServices {
    fn default() -> Self {
        let namespace = Namespace::default_namespace();
        Self::new(ScriptedDatabases::default().of(&namespace), MemoryCaches::default().of(&namespace))
    }
}

impl TestServices {
    /// Nothing is stored and nothing is secret; every fetch fails, and no other function exists.
    pub fn new(database: Arc<dyn Database>, cache: Arc<dyn Cache>) -> Self {
        Self {
            database,
            cache,
            storage: Arc::new(MemoryOwnedStorage::default()),
            secrets: Arc::new(MemorySecrets::default()),
            fetcher: Arc::new(ScriptedFetcher::new(|_| {
                Err(EgressError::Failed("nothing answers in this test".into()))
            })),
            invoker: Arc::new(ScriptedInvoker::new(|function, _| {
                Err(Error::not_found(format!("function `{}` does not exist", function.name)))
            })),
            bus: Arc::new(NoHouse),
            sockets: Arc::new(NoHouse),
            ephemeral: Arc::new(NoHouse),
            jobs: Arc::new(NoHouse),
            notifier: Arc::new(NoHouse),
        }
    }

    pub fn of(&self, version: Arc<FunctionVersion>) -> Arc<Services> {
        let Self { database, cache, storage, secrets, fetcher, invoker, bus, sockets, ephemeral, jobs, notifier } =
            self.clone();
        Arc::new(Services {
            version,
            database,
            cache,
            storage,
            secrets,
            fetcher,
            invoker,
            bus,
            sockets,
            ephemeral,
            jobs,
            notifier,
        })
    }
}

/// Secrets that are given when it is made.
#[derive(Debug, Default)]
pub struct MemorySecrets(BTreeMap<String, Secret>);

impl MemorySecrets {
    pub fn of(secrets: &[(&str, &[u8])]) -> Self {
        Self(secrets.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(value.to_vec()))).collect())
    }
}

impl Secrets for MemorySecrets {
    fn get(&self, name: &str) -> Result<Option<Secret>, Error> {
        Ok(self.0.get(name).cloned())
    }

    fn mask(&self, text: &str) -> Option<String> {
        let values = self.0.values().filter_map(|secret| std::str::from_utf8(secret.expose()).ok());
        let masked =
            values.filter(|value| !value.is_empty()).fold(text.to_owned(), |text, value| text.replace(value, "***"));
        (masked != text).then_some(masked)
    }
}

/// Content of one namespace.
#[derive(Debug, Default)]
pub struct MemoryOwnedStorage(Mutex<BTreeMap<Cid, (ContentInfo, Bytes)>>);

impl MemoryOwnedStorage {
    fn find(&self, cid: &Cid) -> Result<(ContentInfo, Bytes), Error> {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(cid).cloned();
        found.ok_or_else(|| Error::not_found("no such content"))
    }
}

#[async_trait]
impl OwnedStorage for MemoryOwnedStorage {
    async fn put(&self, name: &str, bytes: Bytes) -> Result<ContentInfo, Error> {
        let info = ContentInfo {
            cid: Cid::of(&bytes),
            name: name.to_owned(),
            bytes: bytes.len() as u64,
            pinned: true,
            created_at: Timestamp::now(),
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(info.cid, (info.clone(), bytes));
        Ok(info)
    }

    async fn get(&self, cid: &Cid, bytes_max: usize) -> Result<Bytes, Error> {
        let (info, bytes) = self.find(cid)?;
        match bytes.len() > bytes_max {
            true => Err(Error::new(
                domain::ErrorCode::ResultTooLarge,
                format!("the content is {} bytes, the limit is {bytes_max}", info.bytes),
            )),
            false => Ok(bytes),
        }
    }

    async fn head(&self, cid: &Cid) -> Result<ContentInfo, Error> {
        Ok(self.find(cid)?.0)
    }
}

type FetchScript = dyn Fn(FetchRequest) -> Result<FetchReply, EgressError> + Send + Sync;

/// Answers every request by a function.
pub struct ScriptedFetcher(Box<FetchScript>);

impl ScriptedFetcher {
    pub fn new(script: impl Fn(FetchRequest) -> Result<FetchReply, EgressError> + Send + Sync + 'static) -> Self {
        Self(Box::new(script))
    }
}

impl fmt::Debug for ScriptedFetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScriptedFetcher")
    }
}

#[async_trait]
impl Fetcher for ScriptedFetcher {
    async fn fetch(&self, _call: &CallContext, request: FetchRequest) -> Result<FetchReply, EgressError> {
        (self.0)(request)
    }
}

type InvokeScript = dyn Fn(&FunctionRef, Bytes) -> Result<Bytes, Error> + Send + Sync;

/// Answers every call of another function by a function.
pub struct ScriptedInvoker(Box<InvokeScript>);

impl ScriptedInvoker {
    pub fn new(script: impl Fn(&FunctionRef, Bytes) -> Result<Bytes, Error> + Send + Sync + 'static) -> Self {
        Self(Box::new(script))
    }
}

impl fmt::Debug for ScriptedInvoker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScriptedInvoker")
    }
}

#[async_trait]
impl Invoker for ScriptedInvoker {
    async fn invoke(&self, _call: &CallContext, function: &FunctionRef, input: Bytes) -> Result<Bytes, Error> {
        (self.0)(function, input)
    }

    async fn invoke_async(&self, call: &CallContext, function: &FunctionRef, input: Bytes) -> Result<RequestId, Error> {
        (self.0)(function, input)?;
        Ok(RequestId::new(format!("{}-later", call.request_id)))
    }
}
