//! Code from a chain: found by the hash of its transaction, checked once, kept for ever.
//!
//! Such code is public and belongs to nobody: it runs in a tenant of its own, without environment, secrets, data or other functions. What
//! was found is stored like all code, and noted in the registry, so that the chain is asked once; what was not found is remembered for a
//! moment, so that nobody makes us ask again and again. One request asks for a transaction, however many want it.

mod services;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use domain::oyster::{InvalidCalldata, code_of_calldata, label_of_hash};
use domain::{Cid, Error, FunctionVersion, Manifest, Namespace, VersionNumber};
use ports::{Code, CodeSource, CodeSourceError, PrepareError, Registry, StoredChainCode};
use tokio::sync::Semaphore;

use crate::invoke::Found;
use crate::lease::Lease;
use crate::permits::{FunctionSlots, Tenant};
use crate::registry::Live;
use crate::{OpenError, Platform, cannot_read, internal};

/// The largest code that is taken from a chain, in bytes, and what its calldata may have on top.
const CODE_BYTES_MAX: usize = 1 << 20;
const CALLDATA_BYTES_MAX: usize = CODE_BYTES_MAX + 4096;
/// Transactions that are asked for at once, and that may wait to be.
const ASKED_AT_ONCE: usize = 16;
const WAITING_MAX: usize = 64;
/// Pieces of code that are ready to be called.
const READY_MAX: usize = 4096;
/// How long an answer that may change is kept, and how many of them.
const UNKNOWN_LIFETIME: Duration = Duration::from_secs(5);
const UNKNOWN_MAX: usize = 4096;
/// Calls at once of one piece of code.
const CODE_PLACES: usize = 100;

/// Which chain, and which contract on it.
pub struct ChainConfig {
    pub source: Arc<dyn CodeSource>,
    /// The address that transactions with code go to: `0x` and 40 hexadecimal digits, in any case.
    pub contract: String,
}

/// Why a transaction has no code that can run. The texts are those that clients of the original know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// No chain is configured.
    #[error("this node takes no code from a chain")]
    Off,
    #[error("tx not found")]
    NotFound,
    /// The chain did not answer, or not in a way that can be trusted; the cause is in the log.
    #[error("failed to retrieve calldata")]
    Unavailable,
    #[error("too many transactions are asked for at once")]
    Busy,
    /// What the transaction says is not what a transaction with code says.
    #[error("{0}")]
    Malformed(&'static str),
    #[error("to address {to} does not match expected {expected}")]
    WrongContract { to: String, expected: String },
    #[error("{0}")]
    Calldata(InvalidCalldata),
    #[error("the code is larger than {limit} bytes")]
    TooLarge { limit: usize },
    /// The engine can never run it.
    #[error("{0}")]
    Refused(Error),
    /// The fault is ours.
    #[error("failed to keep the code")]
    Internal,
}

/// Code from a chain, ready to be called.
pub struct ChainCode {
    tenant: Arc<Tenant>,
    slots: Arc<FunctionSlots>,
    live: Arc<Live>,
}

impl ChainCode {
    pub fn version(&self) -> &Arc<FunctionVersion> {
        &self.live.version
    }

    pub(crate) fn found(&self) -> Found {
        Found { tenant: self.tenant.clone(), slots: self.slots.clone(), live: self.live.clone() }
    }
}

/// The tenant of all code from a chain. A namespace of this name cannot be made.
pub(crate) fn namespace() -> Namespace {
    Namespace::parse("_chain").expect("letters and a line are a name")
}

/// What is known of the chain.
pub(crate) struct Chain {
    config: Option<ChainConfig>,
    stored: Mutex<HashMap<[u8; 32], StoredChainCode>>,
    ready: quick_cache::sync::Cache<[u8; 32], Arc<ChainCode>>,
    unknown: Mutex<HashMap<[u8; 32], (Instant, ChainError)>>,
    asking: Semaphore,
    waiting: Semaphore,
    tenant: Arc<Tenant>,
    lease: Arc<Lease>,
}

impl Chain {
    pub(crate) async fn load(
        config: Option<ChainConfig>,
        registry: &dyn Registry,
        places: usize,
    ) -> Result<Self, OpenError> {
        let stored = registry.load_chain_codes().await.map_err(cannot_read("code from a chain"))?;
        Ok(Self {
            config,
            stored: Mutex::new(stored.into_iter().map(|code| (code.transaction, code)).collect()),
            ready: quick_cache::sync::Cache::new(READY_MAX),
            unknown: Mutex::default(),
            asking: Semaphore::new(ASKED_AT_ONCE),
            waiting: Semaphore::new(WAITING_MAX),
            tenant: Arc::new(Tenant::new(places)),
            lease: Arc::default(),
        })
    }

    /// The code that must be kept.
    pub(crate) fn referenced_code(&self) -> HashSet<Cid> {
        self.stored.lock().expect("no holder panics").values().map(|stored| stored.code).collect()
    }

    fn stored(&self, hash: &[u8; 32]) -> Option<StoredChainCode> {
        self.stored.lock().expect("no holder panics").get(hash).copied()
    }

    fn recently_refused(&self, hash: &[u8; 32], now: Instant) -> Option<ChainError> {
        let unknown = self.unknown.lock().expect("no holder panics");
        let (at, error) = unknown.get(hash)?;
        (now.saturating_duration_since(*at) < UNKNOWN_LIFETIME).then(|| error.clone())
    }

    fn note_refused(&self, hash: [u8; 32], error: &ChainError, now: Instant) {
        let mut unknown = self.unknown.lock().expect("no holder panics");
        if unknown.len() >= UNKNOWN_MAX {
            unknown.retain(|_, (at, _)| now.saturating_duration_since(*at) < UNKNOWN_LIFETIME);
        }
        if unknown.len() < UNKNOWN_MAX {
            unknown.insert(hash, (now, error.clone()));
        }
    }
}

impl Platform {
    /// The code in the transaction with this hash.
    pub async fn code_of_transaction(self: &Arc<Self>, hash: [u8; 32]) -> Result<Arc<ChainCode>, ChainError> {
        if let Some(ready) = self.chain.ready.get(&hash) {
            return Ok(ready);
        }
        self.chain.ready.get_or_insert_async(&hash, self.make_ready(hash)).await
    }

    async fn make_ready(self: &Arc<Self>, hash: [u8; 32]) -> Result<Arc<ChainCode>, ChainError> {
        let stored = match self.chain.stored(&hash) {
            Some(stored) => stored,
            None => self.take_from_chain(hash).await?,
        };
        let lease = self.chain.lease.clone();
        let version = Arc::new(version_of(&hash, &stored)?);
        let services = services::of_chain_code(Arc::downgrade(self), version.clone(), lease.clone());
        let (tenant, slots) = (self.chain.tenant.clone(), Arc::new(FunctionSlots::new(CODE_PLACES)));
        Ok(Arc::new(ChainCode { tenant, slots, live: Arc::new(Live { version, services, lease }) }))
    }

    async fn take_from_chain(&self, hash: [u8; 32]) -> Result<StoredChainCode, ChainError> {
        let now = self.clock.instant();
        if let Some(refused) = self.chain.recently_refused(&hash, now) {
            return Err(refused);
        }
        let taken = async { self.keep(hash, self.ask_chain(&hash).await?).await };
        let taken = taken.await;
        if let Err(refused) = &taken
            && !matches!(refused, ChainError::Off | ChainError::Busy)
        {
            self.chain.note_refused(hash, refused, now);
        }
        taken
    }

    async fn ask_chain(&self, hash: &[u8; 32]) -> Result<Vec<u8>, ChainError> {
        let config = self.chain.config.as_ref().ok_or(ChainError::Off)?;
        let _waiting = self.chain.waiting.try_acquire().map_err(|_| ChainError::Busy)?;
        let _asking = self.chain.asking.acquire().await.map_err(|_| ChainError::Busy)?;
        let transaction = config.source.transaction(hash, CALLDATA_BYTES_MAX).await.map_err(not_retrieved)?;
        let to = transaction.to.ok_or(ChainError::Malformed("to field of transaction is not an address"))?;
        if !to.eq_ignore_ascii_case(&config.contract) {
            let to = domain::printable_text(to.as_bytes()).chars().take(64).collect();
            return Err(ChainError::WrongContract { to, expected: config.contract.clone() });
        }
        let code = code_of_calldata(&transaction.input).map_err(ChainError::Calldata)?;
        match code.len() > CODE_BYTES_MAX {
            true => Err(ChainError::TooLarge { limit: CODE_BYTES_MAX }),
            false => Ok(code.to_vec()),
        }
    }

    /// Checks that the code can run, and stores it before it is noted.
    async fn keep(&self, hash: [u8; 32], code: Vec<u8>) -> Result<StoredChainCode, ChainError> {
        let code = Code { cid: Cid::of(&code), bytes: code.into() };
        let (cid, code_bytes) = (code.cid, code.bytes.len() as u64);
        let stored = StoredChainCode { transaction: hash, code: cid, code_bytes, added_at: self.clock.now() };
        let manifest = version_of(&hash, &stored)?.manifest;
        self.engine.prepare(&code, &manifest).await.map_err(not_prepared)?;
        // Under the lock: whoever removes code that nobody uses must see that this is used.
        let _one_at_a_time = self.management.lock().await;
        self.storage.put(code.bytes).await.map_err(|cause| not_kept("store code from a chain", cause))?;
        let noted = self.registry.add_chain_code(stored).await;
        noted.map_err(|cause| not_kept("note code from a chain", cause))?;
        self.chain.stored.lock().expect("no holder panics").insert(hash, stored);
        tracing::info!(code = %cid, "took code from the chain");
        Ok(stored)
    }
}

/// The version that such code is: the only one, made of its hash alone.
fn version_of(hash: &[u8; 32], stored: &StoredChainCode) -> Result<FunctionVersion, ChainError> {
    let label = label_of_hash(hash).to_ascii_lowercase();
    let text = format!(
        "name: {label}\nengine: worker\nlanguage: js\ncompatibility_date: '2023-03-07'\npublic: true\nhttp: true\n\
         sign: true\ntimeout: 5\nmemory: 128\n"
    );
    let manifest = Manifest::parse(&text).map_err(|cause| not_kept("describe code from a chain", cause))?;
    Ok(FunctionVersion {
        id: label,
        namespace: namespace(),
        name: manifest.name.clone(),
        version: VersionNumber::new(1).expect("counted from 1"),
        code: stored.code,
        code_bytes: stored.code_bytes,
        manifest,
        created_at: stored.added_at,
        created_by: "chain".to_owned(),
    })
}

fn not_retrieved(error: CodeSourceError) -> ChainError {
    match error {
        CodeSourceError::NotFound => ChainError::NotFound,
        CodeSourceError::Malformed(what) => ChainError::Malformed(what),
        CodeSourceError::TooLarge { .. } => ChainError::TooLarge { limit: CODE_BYTES_MAX },
        CodeSourceError::OtherTransaction | CodeSourceError::Unavailable(_) => {
            tracing::warn!(cause = &error as &dyn std::error::Error, "failed to ask the chain");
            ChainError::Unavailable
        }
    }
}

fn not_prepared(error: PrepareError) -> ChainError {
    match error {
        PrepareError::Refused(error) => ChainError::Refused(error),
        PrepareError::Unavailable(cause) => not_kept("prepare code from a chain", cause),
    }
}

fn not_kept(doing: &str, cause: impl Into<ports::BoxError>) -> ChainError {
    let _logged = internal(doing, cause);
    ChainError::Internal
}

#[cfg(test)]
mod tests;
