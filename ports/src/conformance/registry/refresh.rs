//! Refresh tokens: rotated at every use, and a used one that comes back ends its whole family.

use super::{at, create, namespace, refused};
use crate::RegistryError::{Conflict, NotFound};
use crate::{RefreshToken, Registry, RevokedFamily, Rotated};

const DAY: i64 = 24 * 3600;

pub(super) async fn refresh(registry: &dyn Registry) {
    create(registry, "tokens").await;
    create(registry, "abroad").await;
    rotation(registry).await;
    reuse(registry).await;
    refusals(registry).await;
    revocation(registry).await;
    revocation_of_a_subject(registry).await;
    expiry(registry).await;
}

fn token(hash: u8, family: &str, subject: &str, second: i64) -> RefreshToken {
    RefreshToken {
        hash: [hash; 32],
        family: family.to_owned(),
        namespace: namespace("tokens"),
        subject: subject.to_owned(),
        created_at: at(second),
        expires_at: at(second + 100),
    }
}

async fn rotate(registry: &dyn Registry, presented: u8, next: u8, second: i64) -> Rotated {
    rotate_within(registry, None, presented, next, second).await
}

async fn rotate_within(registry: &dyn Registry, ns: Option<&str>, presented: u8, next: u8, second: i64) -> Rotated {
    let ns = ns.map(namespace);
    let rotated = registry.rotate_refresh([presented; 32], ns.as_ref(), [next; 32], at(second), at(second + 100));
    rotated.await.expect("rotate")
}

async fn revoked_since(registry: &dyn Registry, second: i64) -> Vec<RevokedFamily> {
    registry.load_revoked_families(at(second)).await.expect("load revoked families")
}

fn revoked(family: &str, second: i64) -> RevokedFamily {
    RevokedFamily { family: family.to_owned(), at: at(second) }
}

async fn rotation(registry: &dyn Registry) {
    let first = token(10, "f1", "0xa", 0);
    registry.create_refresh(first.clone()).await.expect("create");
    refused!(registry.create_refresh(token(10, "f0", "0xb", 0)), Conflict(_));
    refused!(registry.create_refresh(token(99, "f1", "0xb", 0)), Conflict(_));
    let homeless = RefreshToken { namespace: namespace("nowhere"), ..token(99, "f0", "0xb", 0) };
    refused!(registry.create_refresh(homeless), NotFound);
    assert_eq!(rotate(registry, 99, 98, 1).await, Rotated::Refused, "a refused token is not there");

    assert_eq!(rotate_within(registry, Some("abroad"), 10, 11, 1).await, Rotated::Refused);
    assert_eq!(rotate_within(registry, Some("tokens"), 10, 11, 1).await, Rotated::Done(first));
    let second = RefreshToken { hash: [11; 32], created_at: at(1), expires_at: at(101), ..token(11, "f1", "0xa", 0) };
    assert_eq!(rotate(registry, 11, 12, 100).await, Rotated::Done(second), "each lives from its own beginning");
}

/// Continues with the family of [`rotation`]: 10 and 11 are used, 12 is the next.
async fn reuse(registry: &dyn Registry) {
    assert_eq!(rotate_within(registry, Some("abroad"), 11, 20, 100).await, Rotated::Refused);
    assert_eq!(revoked_since(registry, 0).await, [], "a token in the wrong place is no reuse");
    let Rotated::Reused(used) = rotate(registry, 11, 20, 100).await else { panic!("11 was used before") };
    assert_eq!((used.family.as_str(), used.subject.as_str()), ("f1", "0xa"));
    assert_eq!(revoked_since(registry, 100).await, [revoked("f1", 100)]);
    assert_eq!(revoked_since(registry, 101).await, []);
    assert_eq!(rotate(registry, 12, 21, 100).await, Rotated::Refused, "the latest token goes with its family");
    assert_eq!(rotate(registry, 11, 22, 100).await, Rotated::Refused, "and reuse is told once");
    for never in [20, 21, 22] {
        assert_eq!(rotate(registry, never, 23, 100).await, Rotated::Refused, "{never} was never given out");
    }
}

async fn refusals(registry: &dyn Registry) {
    assert_eq!(rotate(registry, 77, 78, 0).await, Rotated::Refused, "unknown");
    registry.create_refresh(token(30, "f3", "0xa", 0)).await.expect("create");
    assert_eq!(rotate(registry, 30, 31, 100).await, Rotated::Refused, "expired");
    assert!(matches!(rotate(registry, 30, 31, 99).await, Rotated::Done(_)), "the last second counts");
    assert_eq!(rotate(registry, 30, 32, 100).await, Rotated::Refused, "used and expired");
    assert!(matches!(rotate(registry, 31, 33, 100).await, Rotated::Done(_)), "which does not end its family");
}

async fn revocation(registry: &dyn Registry) {
    registry.create_refresh(token(40, "f4", "0xa", 0)).await.expect("create");
    assert!(matches!(rotate(registry, 40, 41, 1).await, Rotated::Done(_)));
    assert_eq!(registry.revoke_refresh([77; 32], at(2)).await.expect("revoke"), None);
    let ended = registry.revoke_refresh([40; 32], at(2)).await.expect("revoke by a token that was used");
    assert_eq!(ended, Some(revoked("f4", 2)));
    let again = registry.revoke_refresh([41; 32], at(3)).await.expect("revoke");
    assert_eq!(again, Some(revoked("f4", 2)), "once is enough");
    assert_eq!(rotate(registry, 41, 42, 3).await, Rotated::Refused);

    registry.create_refresh(token(50, "f5", "0xa", 0)).await.expect("create");
    registry.create_refresh(token(51, "f6", "0xa", 0)).await.expect("create");
    assert!(!registry.revoke_family("nobody", at(4)).await.expect("revoke"));
    assert!(registry.revoke_family("f5", at(4)).await.expect("revoke"));
    assert!(!registry.revoke_family("f5", at(5)).await.expect("revoke"), "it was not alive any more");
    assert!(!registry.revoke_family("f6", at(100)).await.expect("revoke"), "nor is one that expired");
    assert_eq!(rotate(registry, 50, 52, 5).await, Rotated::Refused);
    assert_eq!(rotate(registry, 51, 53, 5).await, Rotated::Refused);
    let all = [revoked("f4", 2), revoked("f5", 4), revoked("f1", 100), revoked("f6", 100)];
    assert_eq!(revoked_since(registry, 0).await, all);
}

async fn revocation_of_a_subject(registry: &dyn Registry) {
    let abroad = RefreshToken { namespace: namespace("abroad"), ..token(63, "g4", "0xmany", 0) };
    for token in [token(60, "g1", "0xmany", 0), token(61, "g2", "0xmany", 0), token(62, "g3", "0xother", 0), abroad] {
        registry.create_refresh(token).await.expect("create");
    }
    registry.revoke_refresh([60; 32], at(1)).await.expect("revoke");
    registry.create_refresh(token(64, "g5", "0xmany", 0)).await.expect("create");
    let mut ended = registry.revoke_subject(&namespace("tokens"), "0xmany", at(200)).await.expect("revoke");
    ended.sort_by(|a, b| a.family.cmp(&b.family));
    assert_eq!(ended, [revoked("g2", 200), revoked("g5", 200)], "those that were alive");
    assert_eq!(registry.revoke_subject(&namespace("tokens"), "0xmany", at(201)).await.expect("revoke"), []);
    assert!(matches!(rotate(registry, 62, 65, 1).await, Rotated::Done(_)), "another subject");
    assert!(matches!(rotate(registry, 63, 66, 1).await, Rotated::Done(_)), "another namespace");
}

async fn expiry(registry: &dyn Registry) {
    assert!(registry.expire_identities(at(1000)).await.expect("expire") > 0);
    assert_eq!(registry.expire_identities(at(1000)).await.expect("expire"), 0);
    registry.create_refresh(token(70, "h1", "0xa", 1000)).await.expect("create");
    assert_eq!(registry.expire_identities(at(1100)).await.expect("expire"), 0, "kept until it expires");
    registry.revoke_refresh([70; 32], at(1100)).await.expect("revoke");
    assert_eq!(registry.expire_identities(at(1101)).await.expect("expire"), 1);
    assert_eq!(revoked_since(registry, 1100).await, [revoked("h1", 1100)], "access tokens may outlive the family");
    registry.expire_identities(at(1101 + DAY)).await.expect("expire");
    assert_eq!(revoked_since(registry, 0).await, []);
    registry.create_refresh(token(70, "h1", "0xa", 2000)).await.expect("nothing of it is left");
    registry.expire_identities(at(3000)).await.expect("expire");
}
