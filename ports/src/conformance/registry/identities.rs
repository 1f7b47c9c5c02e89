//! API keys, nonces, claims, signing keys, applications.

use std::collections::BTreeMap;

use domain::Timestamp;

use super::{at, create, key, namespace, refused};
use crate::RegistryError::{Conflict, NotFound};
use crate::{App, Registry, StoredKey, StoredSigningKey};

pub(super) async fn identities(registry: &dyn Registry) {
    create(registry, "keys").await;
    create(registry, "others").await;
    keys(registry).await;
    keys_of_wallets(registry).await;
    nonces(registry).await;
    claims(registry).await;
    signing_keys(registry).await;
    apps(registry).await;
}

async fn find(registry: &dyn Registry, id: &str) -> StoredKey {
    let all = registry.load_keys().await.expect("load keys");
    all.into_iter().find(|key| key.id == id).expect("the key is there")
}

async fn keys(registry: &dyn Registry) {
    let late = StoredKey { expires_at: Some(at(50)), ..key("k1", "keys", 2) };
    let early = key("k2", "others", 1);
    registry.create_key(late.clone()).await.expect("create a key");
    registry.create_key(early.clone()).await.expect("create a key");
    assert_eq!(registry.load_keys().await.expect("load keys"), [early, late.clone()], "the oldest first");
    refused!(registry.create_key(key("k1", "others", 9)), Conflict(_));
    refused!(registry.create_key(key("k3", "nowhere", 9)), NotFound);

    registry.touch_keys(&[]).await.expect("touch nothing");
    let used = |id: &str, second| (id.to_owned(), at(second));
    let batch = [used("k1", 7), used("gone", 8), used("k1", 9), used("k1", 8)];
    registry.touch_keys(&batch).await.expect("touch");
    registry.touch_keys(&[used("k1", 4)]).await.expect("touch");
    assert_eq!(find(registry, "k1").await.last_used_at, Some(at(9)), "the latest use counts");
    assert_eq!(find(registry, "k2").await.last_used_at, None);

    refused!(registry.revoke_key(&namespace("others"), "k1", at(10)), NotFound);
    refused!(registry.revoke_key(&namespace("keys"), "gone", at(10)), NotFound);
    assert_eq!(find(registry, "k1").await.revoked_at, None);
    registry.revoke_key(&namespace("keys"), "k1", at(11)).await.expect("revoke");
    registry.revoke_key(&namespace("keys"), "k1", at(12)).await.expect("revoke again");
    let revoked = StoredKey { last_used_at: Some(at(9)), revoked_at: Some(at(11)), ..late };
    assert_eq!(find(registry, "k1").await, revoked, "revoked once, and otherwise as it was");
}

async fn keys_of_wallets(registry: &dyn Registry) {
    let of_wallet = |id: &str, ns: &str, generation| {
        let wallet = Some(("0xa".to_owned(), generation));
        StoredKey { wallet, ..key(id, ns, 20) }
    };
    let first = of_wallet("w1", "keys", 0);
    registry.create_key(first.clone()).await.expect("create");
    assert_eq!(find(registry, "w1").await, first);
    refused!(registry.create_key(of_wallet("w2", "keys", 0)), Conflict(_));
    registry.create_key(of_wallet("w2", "keys", 1)).await.expect("the next generation");
    registry.create_key(of_wallet("w3", "others", 0)).await.expect("the same wallet elsewhere");
}

async fn nonces(registry: &dyn Registry) {
    assert!(registry.consume_nonce([1; 32], at(10)).await.expect("consume"));
    assert!(!registry.consume_nonce([1; 32], at(99)).await.expect("consume"), "a nonce works once");
    assert!(registry.consume_nonce([2; 32], at(20)).await.expect("consume"));
    assert_eq!(registry.expire_identities(at(10)).await.expect("expire"), 0, "kept until it expires");
    assert!(!registry.consume_nonce([1; 32], at(10)).await.expect("consume"));
    assert_eq!(registry.expire_identities(at(11)).await.expect("expire"), 1);
    assert!(!registry.consume_nonce([2; 32], at(20)).await.expect("consume"));
    assert_eq!(registry.expire_identities(at(21)).await.expect("expire"), 1);
}

async fn claims(registry: &dyn Registry) {
    let (keys, others) = (namespace("keys"), namespace("others"));
    let claims = async |ns| registry.claims(ns, "0xa").await.expect("claims");
    assert_eq!(claims(&keys).await, BTreeMap::new());
    for (key, value) in [("role", "guest"), ("plan", "ü\0"), ("role", "admin")] {
        registry.set_claim(&keys, "0xa", key, value).await.expect("set a claim");
    }
    let expected = [("plan", "ü\0"), ("role", "admin")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(claims(&keys).await, BTreeMap::from(expected));
    assert_eq!(claims(&others).await, BTreeMap::new(), "claims are of one namespace");
    assert_eq!(registry.claims(&keys, "0xb").await.expect("claims"), BTreeMap::new(), "and of one wallet");

    refused!(registry.set_claim(&namespace("nowhere"), "0xa", "role", "admin"), NotFound);
    refused!(registry.delete_claim(&others, "0xa", "role"), NotFound);
    registry.delete_claim(&keys, "0xa", "role").await.expect("delete a claim");
    refused!(registry.delete_claim(&keys, "0xa", "role"), NotFound);
    assert_eq!(claims(&keys).await.into_keys().collect::<Vec<_>>(), ["plan"]);
}

fn signing_key(id: &str, second: i64) -> StoredSigningKey {
    StoredSigningKey {
        id: id.to_owned(),
        master: "m1".to_owned(),
        sealed: vec![0, 255, 1],
        created_at: at(second),
        retired_at: None,
    }
}

async fn signing_keys(registry: &dyn Registry) {
    let first = signing_key("s1", 1);
    registry.add_signing_key(first.clone()).await.expect("add");
    registry.add_signing_key(signing_key("s2", 5)).await.expect("add");
    refused!(registry.add_signing_key(signing_key("s1", 9)), Conflict(_));
    let retired = |key: StoredSigningKey, second| StoredSigningKey { retired_at: Some(at(second)), ..key };
    let expected = [retired(first.clone(), 5), signing_key("s2", 5)];
    assert_eq!(registry.load_signing_keys().await.expect("load"), expected, "a refused key retires nothing");

    registry.reseal_signing_key("s1", "m2", vec![9]).await.expect("reseal");
    refused!(registry.reseal_signing_key("gone", "m2", vec![9]), NotFound);
    registry.add_signing_key(signing_key("s3", 8)).await.expect("add");
    let resealed = StoredSigningKey { master: "m2".to_owned(), sealed: vec![9], ..retired(first, 5) };
    let expected = [resealed, retired(signing_key("s2", 5), 8), signing_key("s3", 8)];
    assert_eq!(registry.load_signing_keys().await.expect("load"), expected, "a key retires once");

    assert_eq!(registry.forget_signing_keys(at(5)).await.expect("forget"), 0);
    assert_eq!(registry.forget_signing_keys(at(6)).await.expect("forget"), 1);
    assert_eq!(registry.forget_signing_keys(Timestamp::MAX).await.expect("forget"), 1, "the key in use stays");
}

async fn apps(registry: &dyn Registry) {
    let app = |id: &str, ns: &str| App {
        id: id.to_owned(),
        namespace: namespace(ns),
        name: "guestbook".to_owned(),
        wallet: "0xa".to_owned(),
        created_at: at(1),
    };
    registry.create_app(app("a1", "keys")).await.expect("create");
    refused!(registry.create_app(app("a1", "others")), Conflict(_));
    refused!(registry.create_app(app("a2", "nowhere")), NotFound);
}
