//! The in-memory versions pass the suites that they help to write tests against.

use std::sync::Arc;

use ports::{
    Audit, Contents, Functions, Identities, Namespaces, PubSub, RegistryError, SealedSecrets, Storage, conformance,
    decorate::Failing, memory,
};

#[tokio::test]
async fn registry() {
    conformance::registry(&memory::MemoryRegistry::default()).await;
}

#[tokio::test]
async fn records() {
    conformance::records(&memory::MemoryRecords::default()).await;
}

#[tokio::test]
async fn storage() {
    conformance::storage(&memory::MemoryStorage::default()).await;
}

#[tokio::test]
async fn cache() {
    let clock = Arc::new(memory::ManualClock::new());
    conformance::cache(&memory::MemoryCaches::new(clock.clone()), async |time| clock.advance(time)).await;
}

#[tokio::test]
async fn pubsub() {
    let clock = Arc::new(memory::ManualClock::new());
    let open = || -> Arc<dyn PubSub> { Arc::new(memory::MemoryPubSub::new(clock.clone(), usize::MAX)) };
    conformance::pubsub(open, async |time| clock.advance(time)).await;
}

#[tokio::test]
async fn a_healthy_failing_port_is_the_port_itself() {
    conformance::registry(&Failing::new(memory::MemoryRegistry::default()).0).await;
    conformance::records(&Failing::new(memory::MemoryRecords::default()).0).await;
    conformance::storage(&Failing::new(memory::MemoryStorage::default()).0).await;
    let clock = Arc::new(memory::ManualClock::new());
    let caches = Failing::new(memory::MemoryCaches::new(clock.clone())).0;
    conformance::cache(&caches, async |time| clock.advance(time)).await;
    let topics = || memory::MemoryPubSub::new(clock.clone(), usize::MAX);
    let open = || -> Arc<dyn PubSub> { Arc::new(Failing::new(topics()).0) };
    conformance::pubsub(open, async |time| clock.advance(time)).await;
}

#[tokio::test]
async fn a_planned_fault_happens_as_often_as_planned() {
    let (storage, faults) = Failing::new(memory::MemoryStorage::default());
    faults.fail("put", 1);
    assert!(storage.put("x".into()).await.is_err());
    assert!(storage.put("x".into()).await.is_ok());
}

#[tokio::test]
async fn every_part_of_the_registry_fails_by_the_name_of_the_method() {
    let (registry, faults) = Failing::new(memory::MemoryRegistry::default());
    let namespace = domain::Namespace::default_namespace();
    for method in ["load_functions", "load_namespaces", "load_keys", "load_secrets", "owned_bytes", "prune_audit"] {
        faults.fail(method, 1);
    }
    registry.load_functions().await.expect_err("planned");
    registry.load_namespaces().await.expect_err("planned");
    registry.load_keys().await.expect_err("planned");
    registry.load_secrets().await.expect_err("planned");
    registry.owned_bytes(&namespace).await.expect_err("planned");
    let error = registry.prune_audit(domain::Timestamp::MAX).await.expect_err("planned");
    assert!(matches!(error, RegistryError::Unavailable(_)), "{error:?}");
    assert_eq!(registry.load_namespaces().await.expect("once is over").len(), 1);
}
