use bytes::Bytes;
use domain::oyster::calldata_of_code;
use ports::memory::{
    ManualClock, MemoryCaches, MemoryChain, MemoryEgress, MemoryEngine, MemoryKeys, MemoryPubSub, MemoryPush,
    MemoryRecords, MemoryRegistry, MemoryStorage, ScriptedDatabases,
};
use ports::{ChainTransaction, Clock, Storage};

use super::*;
use crate::{Config, Ports};

const CONTRACT: &str = "0x44fe06d2940b8782a0a9a9ffd09c65852c0156b1";

/// What outlives a node.
#[derive(Default)]
struct World {
    chain: Arc<MemoryChain>,
    registry: Arc<MemoryRegistry>,
    storage: Arc<MemoryStorage>,
    keys: Arc<MemoryKeys>,
    clock: Arc<ManualClock>,
}

impl World {
    async fn node(&self) -> Arc<Platform> {
        let chain = ChainConfig { source: self.chain.clone(), contract: CONTRACT.to_owned() };
        let ports = Ports { chain: Some(chain), ..self.ports() };
        Platform::open(Config::default(), ports).await.expect("memory opens")
    }

    fn ports(&self) -> Ports {
        Ports {
            registry: self.registry.clone(),
            records: Arc::new(MemoryRecords::default()),
            storage: self.storage.clone(),
            content: Arc::new(MemoryStorage::default()),
            databases: Arc::new(ScriptedDatabases::default()),
            caches: Arc::new(MemoryCaches::new(self.clock.clone())),
            pubsub: Arc::new(MemoryPubSub::default()),
            egress: Arc::new(MemoryEgress::default()),
            push: Arc::new(MemoryPush::default()),
            keys: self.keys.clone(),
            names: Arc::new(ports::memory::MemoryNames::default()),
            chain: None,
            engine: Arc::new(MemoryEngine::default()),
            clock: self.clock.clone(),
        }
    }

    fn add(&self, number: u8, to: Option<&str>, input: Vec<u8>) -> [u8; 32] {
        let to = to.map(str::to_owned);
        self.chain.add([number; 32], ChainTransaction { to, input: Bytes::from(input) });
        [number; 32]
    }
}

#[tokio::test]
async fn code_is_asked_for_once_and_kept_for_ever() {
    let world = World::default();
    let upper = CONTRACT.to_uppercase().replace("0X", "0x");
    let hash = world.add(1, Some(&upper), calldata_of_code(b"echo"));
    let node = world.node().await;
    let several = [node.code_of_transaction(hash), node.code_of_transaction(hash), node.code_of_transaction(hash)];
    for code in futures_util::future::join_all(several).await {
        let version = code.expect("the code is there").version().clone();
        assert_eq!((version.code, version.namespace.as_str()), (Cid::of(b"echo"), "_chain"));
        assert_eq!(version.name.as_str(), label_of_hash(&hash).to_lowercase());
        assert!(version.manifest.sign && version.manifest.public && version.manifest.env.is_empty());
    }
    assert_eq!(world.chain.asked(), 1, "one request asks, however many want it");
    node.close(Duration::ZERO).await;
    // It is there after the next start, which removes code that nobody uses.
    let unused = world.storage.put(Bytes::from_static(b"unused")).await.expect("stored");
    let again = world.node().await;
    again.code_of_transaction(hash).await.expect("it is known");
    assert_eq!(world.chain.asked(), 1);
    assert!(world.storage.get(&Cid::of(b"echo")).await.is_ok());
    assert!(world.storage.get(&unused).await.is_err());
}

#[tokio::test]
async fn code_of_a_chain_is_not_removed_with_a_function_that_has_the_same() {
    let world = World::default();
    let hash = world.add(1, Some(CONTRACT), calldata_of_code(b"echo"));
    let node = world.node().await;
    node.code_of_transaction(hash).await.expect("the code is there");
    node.forget_unless_used(&Cid::of(b"echo")).await;
    assert!(world.storage.get(&Cid::of(b"echo")).await.is_ok());
}

#[tokio::test]
async fn what_is_not_there_is_asked_for_again_after_a_moment() {
    let world = World::default();
    let node = world.node().await;
    for _ in 0..3 {
        assert_eq!(node.code_of_transaction([9; 32]).await.err(), Some(ChainError::NotFound));
    }
    assert_eq!(world.chain.asked(), 1);
    let hash = world.add(9, Some(CONTRACT), calldata_of_code(b"echo"));
    let since = world.clock.instant();
    world.clock.advance(UNKNOWN_LIFETIME);
    assert!(world.clock.instant() > since);
    assert!(node.code_of_transaction(hash).await.is_ok());
}

#[tokio::test]
async fn a_transaction_without_code_for_us_says_why() {
    let world = World::default();
    let node = world.node().await;
    let refused = async |hash| node.code_of_transaction(hash).await.err().map(|error| error.to_string());
    let code = calldata_of_code(b"echo");
    let elsewhere = format!("0x{}", "ab".repeat(20));
    let told = [
        refused(world.add(1, None, code.clone())).await,
        refused(world.add(2, Some(&elsewhere), code.clone())).await,
        refused(world.add(3, Some(CONTRACT), vec![1, 2])).await,
        refused(world.add(4, Some(CONTRACT), vec![])).await,
        refused(world.add(5, Some(CONTRACT), code[..40].to_vec())).await,
        refused(world.add(6, Some(CONTRACT), vec![0xab; 100])).await,
        refused(world.add(7, Some(CONTRACT), calldata_of_code(&vec![b'x'; CODE_BYTES_MAX + 1]))).await,
        refused(world.add(8, Some(CONTRACT), calldata_of_code(&vec![b'x'; 10 << 20]))).await,
        refused(world.add(9, Some(CONTRACT), calldata_of_code(b"refuse"))).await,
    ];
    let told: Vec<String> = told.into_iter().map(|told| told.expect("refused")).collect();
    expect_test::expect![[r#"
        [
            "to field of transaction is not an address",
            "to address 0xabababababababababababababababababababab does not match expected 0x44fe06d2940b8782a0a9a9ffd09c65852c0156b1",
            "the calldata is 2 bytes, too short for a selector",
            "the calldata is 0 bytes, too short for a selector",
            "the calldata is cut short",
            "the calldata calls another function: its selector is abababab",
            "the code is larger than 1048576 bytes",
            "the code is larger than 1048576 bytes",
            "the code says `refuse`",
        ]
    "#]]
    .assert_debug_eq(&told);
    assert!(world.registry_is_empty().await);
}

impl World {
    async fn registry_is_empty(&self) -> bool {
        ports::ChainCodes::load_chain_codes(&*self.registry).await.expect("load").is_empty()
    }
}

#[tokio::test]
async fn a_node_without_a_chain_takes_no_code() {
    let world = World::default();
    let node = Platform::open(Config::default(), world.ports()).await.expect("memory opens");
    assert_eq!(node.code_of_transaction([1; 32]).await.err(), Some(ChainError::Off));
}

#[tokio::test]
async fn code_of_a_chain_has_no_services() {
    let world = World::default();
    let hash = world.add(1, Some(CONTRACT), calldata_of_code(b"echo"));
    let node = world.node().await;
    let code = node.code_of_transaction(hash).await.expect("the code is there");
    let services = &code.found().live.services;
    assert_eq!(services.secrets.get("KEY").expect("nothing").map(|_| ()), None);
    assert!(services.storage.put("a", Bytes::new()).await.is_err());
    assert!(services.cache.usage().await.is_err());
    assert!(services.database.schema().await.is_err());
}
