use super::{at, create, name, namespace, refused};
use crate::RegistryError::NotFound;
use crate::{Registry, StoredDomain};

pub(super) fn claim(ns: &str, domain: &str, token: &str) -> StoredDomain {
    StoredDomain {
        domain: domain.to_owned(),
        namespace: namespace(ns),
        function: name("shop"),
        token: token.to_owned(),
        created_at: at(1),
        verified_at: None,
    }
}

pub(super) async fn domains(registry: &dyn Registry) {
    create(registry, "domains-a").await;
    create(registry, "domains-b").await;
    let (a, b) = (namespace("domains-a"), namespace("domains-b"));
    let (first, second) = (claim("domains-a", "shop.example.com", "t1"), claim("domains-b", "shop.example.com", "t2"));
    let other = claim("domains-b", "other.example.com", "t3");
    for claim in [&first, &second, &other] {
        registry.put_domain(claim.clone()).await.expect("put");
    }
    refused!(registry.put_domain(claim("domains-none", "x.example.com", "t")), NotFound);
    assert_eq!(all(registry).await, [other.clone(), first.clone(), second.clone()]);
    // Only the token of the claim itself proves it.
    refused!(registry.verify_domain(&a, "shop.example.com", "t2", at(2)), NotFound);
    refused!(registry.verify_domain(&a, "other.example.com", "t3", at(2)), NotFound);
    registry.verify_domain(&a, "shop.example.com", "t1", at(2)).await.expect("verify");
    let proved = StoredDomain { verified_at: Some(at(2)), ..first };
    assert_eq!(all(registry).await, [other.clone(), proved.clone()], "the claim of the other is gone");
    refused!(registry.verify_domain(&b, "shop.example.com", "t2", at(3)), NotFound);
    // Another function, and the proof stays.
    let moved = StoredDomain { function: name("till"), ..proved };
    registry.put_domain(moved.clone()).await.expect("put");
    // Whoever proves it later takes it.
    registry.put_domain(second.clone()).await.expect("put");
    assert_eq!(all(registry).await, [other.clone(), moved, second.clone()]);
    registry.verify_domain(&b, "shop.example.com", "t2", at(4)).await.expect("verify");
    assert_eq!(all(registry).await, [other, StoredDomain { verified_at: Some(at(4)), ..second }]);
    refused!(registry.delete_domain(&a, "shop.example.com"), NotFound);
    registry.delete_domain(&b, "shop.example.com").await.expect("delete");
    registry.delete_domain(&b, "other.example.com").await.expect("delete");
    assert_eq!(all(registry).await, []);
}

async fn all(registry: &dyn Registry) -> Vec<StoredDomain> {
    registry.load_domains().await.expect("load")
}
