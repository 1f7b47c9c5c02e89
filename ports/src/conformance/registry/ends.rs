//! A namespace ends with everything in it, and whoever takes its name finds nothing.

use domain::{NamespaceSettings, PushKind, Scope, TriggerSpec};

use super::audit::{event, everything};
use super::contents::content;
use super::deliveries::delivery;
use super::functions::{claim, new_version};
use super::jobs::{all_of, job};
use super::namespaces::owner;
use super::push::{ROOM, device, message};
use super::secrets::{data_key, secret};
use super::triggers::{self, trigger};
use super::{at, create, domains, key, name, namespace, new_namespace, refused};
use crate::RegistryError::{Conflict, NotFound};
use crate::{App, Claim, RefreshToken, Registry, Rotated, StoredKey, StoredOutcome};

const MORTAL: &str = "mortal";
const NEIGHBOUR: &str = "mortal2";

pub(super) async fn ends(registry: &dyn Registry) {
    for (ns, tag) in [(MORTAL, 1), (NEIGHBOUR, 2)] {
        create(registry, ns).await;
        fill(registry, ns, tag).await.expect("a namespace that lives takes everything");
    }
    let neighbour = rows(registry, NEIGHBOUR).await;
    assert_eq!(neighbour, rows(registry, MORTAL).await, "both have one of each kind");

    registry.begin_end_of_namespace(&namespace(MORTAL)).await.expect("begin");
    nothing_is_left(registry).await;
    nothing_new_comes(registry).await;
    refused!(registry.create_namespace(new_namespace(MORTAL), None), Conflict(_));
    registry.begin_end_of_namespace(&namespace(MORTAL)).await.expect("begin again, as after a crash");

    registry.finish_end_of_namespace(&namespace(MORTAL)).await.expect("finish");
    refused!(registry.finish_end_of_namespace(&namespace(MORTAL)), NotFound);
    create(registry, MORTAL).await;
    nothing_is_left(registry).await;
    let published = registry.publish_version(new_version(MORTAL, "hello", 77)).await.expect("publish");
    assert_eq!(published.version.get(), 1, "numbers begin anew");
    assert_eq!(rows(registry, NEIGHBOUR).await, neighbour, "the neighbour lost nothing");
    let log = registry.audit(&everything()).await.expect("audit");
    assert!(log.contains(&event(Some(MORTAL), "namespace.delete", 90)), "the audit log outlives all");
}

/// One row of every kind. `tag` keeps what must be unique in the whole node apart.
async fn fill(registry: &dyn Registry, ns: &str, tag: u8) -> Result<(), crate::RegistryError> {
    let (id, home) = (format!("{ns}-id"), namespace(ns));
    registry.put_owner(owner(ns, "0xa", Scope::Admin)).await?;
    registry.publish_version(new_version(ns, "gone", 1)).await?;
    registry.delete_function(&home, &name("gone"), at(2)).await?;
    registry.publish_version(new_version(ns, "hello", 1)).await?;
    registry.publish_version(new_version(ns, "hello", 2)).await?;
    registry.claim_reply(reply_of(ns)).await?;
    registry.create_key(StoredKey { wallet: Some(("0xa".to_owned(), 0)), ..key(&id, ns, 1) }).await?;
    registry.create_refresh(token(ns, tag)).await?;
    registry.set_claim(&home, "0xa", "role", "admin").await?;
    registry.create_app(app(ns)).await?;
    registry.create_data_key(data_key(&id, ns, 1)).await?;
    registry.put_secret(secret(ns, "TOKEN", &id, 1)).await?;
    registry.own_content(&home, content("shared", 10, 1), None).await?;
    registry.add_trigger(trigger(&id, ns, "hello", TriggerSpec::topic("a"))).await?;
    registry.write_deliveries(vec![delivery(&id, ns, "hello", 1)], vec![]).await?;
    registry.create_job(job(&format!("{ns}-job"), ns, "hello", 1), 9).await?;
    registry.put_device(device(ns, "0xa", "phone", PushKind::Fcm, "token"), ROOM).await?;
    registry.put_in_inbox(message(ns, "0xa", "m", 100), ROOM).await?;
    registry.put_domain(claim_of(ns)).await?;
    registry.append_audit(event(Some(ns), "namespace.delete", 90)).await
}

fn claim_of(ns: &str) -> crate::StoredDomain {
    domains::claim(ns, "shop.example.com", ns)
}

fn reply_of(ns: &str) -> Claim {
    Claim { namespace: namespace(ns), ..claim("a", 1, 1) }
}

fn app(ns: &str) -> App {
    let (id, wallet) = (format!("{ns}-id"), "0xa".to_owned());
    App { id, namespace: namespace(ns), name: "app".to_owned(), wallet, created_at: at(1) }
}

fn token(ns: &str, tag: u8) -> RefreshToken {
    RefreshToken {
        hash: [200 + tag; 32],
        family: format!("{ns}-family"),
        namespace: namespace(ns),
        subject: "0xa".to_owned(),
        created_at: at(0),
        expires_at: at(1000),
    }
}

/// How much of each kind a namespace has.
async fn rows(registry: &dyn Registry, ns: &str) -> Vec<usize> {
    let home = namespace(ns);
    let functions = registry.load_functions().await.expect("load functions");
    let owners = registry.load_owners().await.expect("load owners");
    let keys = registry.load_keys().await.expect("load keys");
    let data_keys = registry.load_data_keys().await.expect("load data keys");
    let secrets = registry.load_secrets().await.expect("load secrets");
    vec![
        functions.iter().filter(|function| function.state.namespace == home).map(|f| f.versions.len()).sum(),
        owners.iter().filter(|owner| owner.namespace == home).count(),
        keys.iter().filter(|key| key.namespace == home).count(),
        data_keys.iter().filter(|key| key.namespace == home).count(),
        secrets.iter().filter(|secret| secret.namespace == home).count(),
        registry.claims(&home, "0xa").await.expect("claims").len(),
        registry.list_contents(&home, None, 10).await.expect("list").len(),
        registry.owned_bytes(&home).await.expect("owned bytes") as usize,
        triggers::ids(registry, ns).await.len(),
        registry.lanes(Some(&home)).await.expect("lanes").len(),
        registry.jobs(&all_of(ns)).await.expect("jobs").len(),
        registry.devices(&home, "0xa").await.expect("devices").len(),
        registry.inbox(&home, "0xa", None, at(0), 10).await.expect("inbox").len(),
        registry.load_domains().await.expect("load domains").iter().filter(|claim| claim.namespace == home).count(),
    ]
}

async fn nothing_is_left(registry: &dyn Registry) {
    assert!(rows(registry, MORTAL).await.into_iter().all(|count| count == 0));
    assert_eq!(registry.revoke_subject(&namespace(MORTAL), "0xa", at(5)).await.expect("revoke"), []);
    let rotated = registry.rotate_refresh([201; 32], None, [199; 32], at(5), at(9)).await.expect("rotate");
    assert_eq!(rotated, Rotated::Refused);
}

async fn nothing_new_comes(registry: &dyn Registry) {
    let home = namespace(MORTAL);
    refused!(registry.put_owner(owner(MORTAL, "0xa", Scope::Admin)), NotFound);
    refused!(registry.set_namespace_settings(&home, &NamespaceSettings::default()), NotFound);
    refused!(registry.publish_version(new_version(MORTAL, "hello", 50)), NotFound);
    refused!(registry.claim_reply(reply_of(MORTAL)), NotFound);
    refused!(registry.store_reply(&reply_of(MORTAL), &outcome()), NotFound);
    refused!(registry.create_key(key("late", MORTAL, 1)), NotFound);
    refused!(registry.create_refresh(token(MORTAL, 9)), NotFound);
    refused!(registry.set_claim(&home, "0xa", "role", "admin"), NotFound);
    refused!(registry.create_app(app(MORTAL)), NotFound);
    refused!(registry.create_data_key(data_key("late", MORTAL, 1)), NotFound);
    refused!(registry.put_secret(secret(MORTAL, "TOKEN", "late", 1)), NotFound);
    refused!(registry.own_content(&home, content("late", 1, 1), None), NotFound);
    refused!(registry.add_trigger(trigger("late", MORTAL, "hello", TriggerSpec::topic("a"))), NotFound);
    let late = vec![delivery("late", MORTAL, "hello", 1)];
    assert_eq!(registry.write_deliveries(late, vec![]).await.expect("write"), ["late"]);
    refused!(registry.create_job(job("late", MORTAL, "hello", 1), 9), NotFound);
    refused!(registry.put_device(device(MORTAL, "0xa", "late", PushKind::Fcm, "t"), ROOM), NotFound);
    refused!(registry.put_in_inbox(message(MORTAL, "0xa", "late", 100), ROOM), NotFound);
    refused!(registry.put_domain(claim_of(MORTAL)), NotFound);
}

fn outcome() -> StoredOutcome {
    StoredOutcome {
        request_id: domain::RequestId::new("r"),
        head: None,
        body: "late".into(),
        error: None,
        duration_ms: 1,
    }
}
