//! The in-memory versions pass the suites that they help to write tests against.

use ports::{Storage, conformance, decorate::Failing, memory};

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
async fn a_healthy_failing_port_is_the_port_itself() {
    conformance::registry(&Failing::new(memory::MemoryRegistry::default()).0).await;
    conformance::records(&Failing::new(memory::MemoryRecords::default()).0).await;
    conformance::storage(&Failing::new(memory::MemoryStorage::default()).0).await;
}

#[tokio::test]
async fn a_planned_fault_happens_as_often_as_planned() {
    let (storage, faults) = Failing::new(memory::MemoryStorage::default());
    faults.fail("put", 1);
    assert!(storage.put("x".into()).await.is_err());
    assert!(storage.put("x".into()).await.is_ok());
}
