//! Sealed secrets and data keys.

use super::{at, create, namespace, refused};
use crate::RegistryError::{Conflict, NotFound};
use crate::{Registry, SealedDataKey, SealedSecret};

pub(super) fn data_key(id: &str, ns: &str, second: i64) -> SealedDataKey {
    SealedDataKey {
        id: id.to_owned(),
        namespace: namespace(ns),
        master: "m1".to_owned(),
        sealed: vec![0, 255],
        created_at: at(second),
    }
}

pub(super) fn secret(ns: &str, name: &str, data_key: &str, second: i64) -> SealedSecret {
    SealedSecret {
        namespace: namespace(ns),
        name: name.to_owned(),
        data_key: data_key.to_owned(),
        sealed: vec![second as u8, 0],
        created_at: at(second),
        updated_at: at(second),
    }
}

pub(super) async fn secrets(registry: &dyn Registry) {
    create(registry, "vault").await;
    create(registry, "vault2").await;
    data_keys(registry).await;
    values(registry).await;
    rotation(registry).await;
}

async fn data_keys(registry: &dyn Registry) {
    let (late, early) = (data_key("d1", "vault", 2), data_key("d2", "vault2", 1));
    registry.create_data_key(late.clone()).await.expect("create");
    registry.create_data_key(early.clone()).await.expect("create");
    refused!(registry.create_data_key(data_key("d1", "vault2", 9)), Conflict(_));
    refused!(registry.create_data_key(data_key("d3", "nowhere", 9)), NotFound);
    assert_eq!(registry.load_data_keys().await.expect("load"), [early.clone(), late.clone()], "the oldest first");

    registry.reseal_data_key("d1", "m2", vec![3]).await.expect("reseal");
    refused!(registry.reseal_data_key("gone", "m2", vec![3]), NotFound);
    let resealed = SealedDataKey { master: "m2".to_owned(), sealed: vec![3], ..late };
    assert_eq!(registry.load_data_keys().await.expect("load"), [early, resealed]);
}

async fn values(registry: &dyn Registry) {
    for (ns, name, key, second) in [("vault2", "TOKEN", "d2", 1), ("vault", "TOKEN", "d1", 2), ("vault", "A", "d1", 3)]
    {
        registry.put_secret(secret(ns, name, key, second)).await.expect("put");
    }
    registry.put_secret(secret("vault", "TOKEN", "d1", 7)).await.expect("replace");
    let replaced = SealedSecret { created_at: at(2), ..secret("vault", "TOKEN", "d1", 7) };
    let all = [secret("vault", "A", "d1", 3), replaced, secret("vault2", "TOKEN", "d2", 1)];
    assert_eq!(registry.load_secrets().await.expect("load"), all, "the first creation stays, the namesake too");

    refused!(registry.put_secret(secret("vault", "B", "gone", 1)), NotFound);
    refused!(registry.put_secret(secret("vault", "B", "d2", 1)), NotFound);
    refused!(registry.delete_secret(&namespace("vault2"), "A"), NotFound);
    registry.delete_secret(&namespace("vault"), "A").await.expect("delete");
    refused!(registry.delete_secret(&namespace("vault"), "A"), NotFound);
    assert_eq!(registry.load_secrets().await.expect("load"), all[1..]);
}

async fn rotation(registry: &dyn Registry) {
    registry.create_data_key(data_key("d4", "vault", 9)).await.expect("create");
    refused!(registry.delete_data_key("d1"), Conflict(_));
    registry.put_secret(secret("vault", "TOKEN", "d4", 9)).await.expect("seal anew");
    registry.delete_data_key("d1").await.expect("no secret needs it any more");
    refused!(registry.delete_data_key("d1"), NotFound);
    let left = registry.load_data_keys().await.expect("load");
    assert_eq!(left.iter().map(|key| key.id.as_str()).collect::<Vec<_>>(), ["d2", "d4"]);
}
