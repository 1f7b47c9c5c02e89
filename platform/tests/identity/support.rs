//! A platform that can be closed and opened again on the same ports, and wallets that sign.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use domain::{Caller, Error, ErrorCode, Namespace, Scope, Scopes};
use k256::ecdsa::SigningKey as EthereumKey;
use platform::{Challenge, ChallengeRequest, Config, Platform, Ports, Proof, SignedIn};
use ports::Egress;
use ports::decorate::{Failing, Faults};
use ports::memory::{
    ManualClock, MemoryCaches, MemoryEgress, MemoryEngine, MemoryKeys, MemoryPubSub, MemoryPush, MemoryRecords,
    MemoryRegistry, MemoryStorage, ScriptedDatabases,
};
use sha3::{Digest, Keccak256};

pub const HOST: &str = "orama.example:8443";

/// Everything that outlives a restart.
pub struct World {
    registry: Arc<Failing<MemoryRegistry>>,
    pub faults: Arc<Faults>,
    records: Arc<MemoryRecords>,
    storage: Arc<MemoryStorage>,
    content: Arc<MemoryStorage>,
    pub databases: Arc<ScriptedDatabases>,
    caches: Arc<MemoryCaches>,
    egress: Arc<MemoryEgress>,
    keys: Arc<MemoryKeys>,
    engine: Arc<MemoryEngine>,
    pub clock: Arc<ManualClock>,
}

pub struct Node {
    pub world: World,
    config: Config,
    pub platform: Arc<Platform>,
}

pub async fn node() -> Node {
    node_with(Config::default()).await
}

/// A node on which any wallet may make a namespace.
pub async fn open_node() -> Node {
    node_with(Config { registration_open: true, ..Config::default() }).await
}

pub async fn node_with(config: Config) -> Node {
    let (registry, faults) = Failing::new(MemoryRegistry::default());
    let clock = Arc::new(ManualClock::new());
    let world = World {
        registry: Arc::new(registry),
        faults,
        records: Arc::default(),
        storage: Arc::default(),
        content: Arc::default(),
        databases: Arc::default(),
        caches: Arc::new(MemoryCaches::new(clock.clone())),
        egress: Arc::default(),
        keys: Arc::default(),
        engine: Arc::default(),
        clock,
    };
    let platform = world.open(config.clone()).await;
    Node { world, config, platform }
}

impl World {
    async fn open(&self, config: Config) -> Arc<Platform> {
        let ports = Ports {
            registry: self.registry.clone(),
            records: self.records.clone(),
            storage: self.storage.clone(),
            content: self.content.clone(),
            databases: self.databases.clone(),
            caches: self.caches.clone(),
            pubsub: Arc::new(MemoryPubSub::default()),
            egress: self.egress.clone() as Arc<dyn Egress>,
            push: Arc::new(MemoryPush::default()),
            keys: self.keys.clone(),
            names: Arc::new(ports::memory::MemoryNames::default()),
            chain: None,
            engine: self.engine.clone(),
            clock: self.clock.clone(),
        };
        Platform::open(config, ports).await.expect("a platform on memory opens")
    }
}

impl Node {
    pub async fn reopened(mut self) -> Self {
        self.platform.close(Duration::from_secs(1)).await;
        self.platform = self.world.open(self.config.clone()).await;
        self
    }

    /// The same stores under a clock that begins again.
    pub async fn reopened_in_the_past(mut self) -> Self {
        self.world.clock = Arc::new(ManualClock::new());
        self.reopened().await
    }

    pub fn pass(&self, seconds: u64) {
        self.world.clock.advance(Duration::from_secs(seconds));
    }

    pub async fn make(&self, name: &str) -> Namespace {
        let namespace = namespace(name);
        self.platform.create_namespace(&operator(), &namespace).await.expect("an operator may");
        namespace
    }

    pub async fn own(&self, namespace: &Namespace, wallet: &impl Signer, scope: Scope) {
        let scopes = Scopes::of([scope]);
        self.platform.put_owner(&operator(), namespace, &wallet.address(), scopes).await.expect("an operator may");
    }

    pub fn challenge(&self, wallet: &impl Signer, namespace: &Namespace, purpose: &str) -> Challenge {
        let request = ChallengeRequest {
            wallet: wallet.address(),
            namespace: namespace.clone(),
            purpose: purpose.to_owned(),
            domain: HOST.to_owned(),
        };
        self.platform.challenge(request).expect("anybody gets a challenge")
    }

    /// A challenge, and its answer by nonce.
    pub fn proof(&self, wallet: &impl Signer, namespace: &Namespace, purpose: &str) -> Proof {
        answer(wallet, &self.challenge(wallet, namespace, purpose))
    }

    pub async fn sign_in(&self, wallet: &impl Signer, namespace: &Namespace) -> SignedIn {
        self.platform.verify(self.proof(wallet, namespace, "")).await.expect("a good proof")
    }

    /// An API key's text and the caller behind it.
    pub async fn key(&self, namespace: &Namespace, scope: Scope) -> (String, Arc<Caller>) {
        let key = self.platform.create_key(namespace, "test", Scopes::of([scope])).await.expect("stored");
        let caller = self.platform.caller_of_key(&key).expect("valid");
        (key, caller)
    }
}

/// Runs everything at once, on as many threads as there are.
pub async fn at_once<F>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let tasks: tokio::task::JoinSet<_> = futures.into_iter().collect();
    tasks.join_all().await
}

/// Something that signs as a wallet does.
pub trait Signer {
    fn address(&self) -> String;
    fn sign(&self, text: &str) -> String;
}

pub struct Ethereum(EthereumKey);

/// One of many wallets, always the same for a number.
pub fn ethereum(number: u8) -> Ethereum {
    Ethereum(EthereumKey::from_slice(&[number; 32]).expect("a scalar"))
}

pub fn ethereum_of(secret: &str) -> Ethereum {
    Ethereum(EthereumKey::from_slice(&unhex(secret)).expect("a scalar"))
}

impl Ethereum {
    /// The signature's bytes: r, s, and v of 0 or 1.
    pub fn sign_bytes(&self, text: &[u8]) -> [u8; 65] {
        let prefixed = [format!("\x19Ethereum Signed Message:\n{}", text.len()).as_bytes(), text].concat();
        let (signature, recovery) = self.0.sign_prehash_recoverable(&Keccak256::digest(prefixed));
        let mut bytes = [0; 65];
        bytes[..64].copy_from_slice(&signature.to_bytes());
        bytes[64] = recovery.to_byte();
        bytes
    }
}

impl Signer for Ethereum {
    fn address(&self) -> String {
        let point = self.0.verifying_key().to_sec1_point(false);
        format!("0x{}", hex(&Keccak256::digest(&point.as_bytes()[1..])[12..]))
    }

    fn sign(&self, text: &str) -> String {
        let mut bytes = self.sign_bytes(text.as_bytes());
        bytes[64] += 27;
        format!("0x{}", hex(&bytes))
    }
}

pub struct Solana(ed25519_dalek::SigningKey);

pub fn solana(number: u8) -> Solana {
    Solana(ed25519_dalek::SigningKey::from_bytes(&[number; 32]))
}

impl Signer for Solana {
    fn address(&self) -> String {
        bs58::encode(self.0.verifying_key().to_bytes()).into_string()
    }

    fn sign(&self, text: &str) -> String {
        STANDARD.encode(ed25519_dalek::Signer::sign(&self.0, text.as_bytes()).to_bytes())
    }
}

pub fn answer(wallet: &impl Signer, challenge: &Challenge) -> Proof {
    Proof {
        wallet: Some(wallet.address()),
        nonce: Some(challenge.nonce.clone()),
        signature: wallet.sign(&challenge.nonce),
        namespace: Some(challenge.namespace.to_string()),
        domain: HOST.to_owned(),
        ..Proof::default()
    }
}

/// The answer that signs a message and says nothing beside it.
pub fn answer_message(wallet: &impl Signer, message: &str) -> Proof {
    Proof {
        message: Some(message.to_owned()),
        signature: wallet.sign(message),
        domain: HOST.to_owned(),
        ..Proof::default()
    }
}

pub fn namespace(text: &str) -> Namespace {
    Namespace::parse(text).expect("a valid namespace")
}

pub fn home() -> Namespace {
    Namespace::default_namespace()
}

pub fn operator() -> Caller {
    Caller::key("operator", home(), Scopes::of([Scope::Operator]))
}

pub fn admin_of(namespace: &Namespace) -> Caller {
    Caller::key("admin", namespace.clone(), Scopes::of([Scope::Admin]))
}

#[track_caller]
pub fn refusal<T>(result: Result<T, Error>) -> Error {
    match result {
        Ok(_) => panic!("expected a refusal"),
        Err(error) => error,
    }
}

#[track_caller]
pub fn code<T>(result: Result<T, Error>) -> ErrorCode {
    refusal(result).code
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn unhex(text: &str) -> Vec<u8> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal");
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// The claims of a token, as anybody can read them.
pub fn claims_of(token: &str) -> serde_json::Value {
    part(token, 1)
}

pub fn header_of(token: &str) -> serde_json::Value {
    part(token, 0)
}

fn part(token: &str, index: usize) -> serde_json::Value {
    let part = token.split('.').nth(index).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}
