//! Triggers: those that somebody added, those of manifests, and the slots of schedules.

use domain::{Timestamp, Trigger, TriggerSpec};

use super::deliveries::{delivery, waiting};
use super::functions::new_version;
use super::{at, create, name, namespace, refused};
use crate::RegistryError::{Conflict, NotFound};
use crate::{NewVersion, Registry};

pub(super) fn trigger(id: &str, ns: &str, function: &str, spec: TriggerSpec) -> Trigger {
    Trigger {
        id: id.to_owned(),
        namespace: namespace(ns),
        function: name(function),
        spec,
        from_manifest: false,
        enabled: true,
        created_at: at(1),
        next_run_at: None,
        last_run_at: None,
    }
}

fn of_manifest(id: &str, function: &str, topic: &str) -> Trigger {
    Trigger { from_manifest: true, ..trigger(id, "reacts", function, TriggerSpec::topic(topic)) }
}

pub(super) async fn triggers(registry: &dyn Registry) {
    create(registry, "reacts").await;
    registry.publish_version(new_version("reacts", "hello", 1)).await.expect("publish");
    added(registry).await;
    of_manifests(registry).await;
    slots(registry).await;
    deleted_with_their_function(registry).await;
}

/// The ids of a namespace's triggers, in order.
pub(super) async fn ids(registry: &dyn Registry, ns: &str) -> Vec<String> {
    let triggers = registry.load_triggers().await.expect("load triggers");
    let mut ids: Vec<String> =
        triggers.into_iter().filter(|trigger| trigger.namespace == namespace(ns)).map(|trigger| trigger.id).collect();
    ids.sort();
    ids
}

async fn load(registry: &dyn Registry, id: &str) -> Trigger {
    let triggers = registry.load_triggers().await.expect("load triggers");
    triggers.into_iter().find(|trigger| trigger.id == id).expect("the trigger is there")
}

async fn added(registry: &dyn Registry) {
    let reacts = namespace("reacts");
    let table = TriggerSpec::Table { table: "orders".to_owned(), on: vec!["insert".to_owned()] };
    let full = Trigger {
        enabled: false,
        next_run_at: Some(at(60)),
        last_run_at: Some(at(0)),
        ..trigger("t1", "reacts", "hello", TriggerSpec::cron("0 3 * * *", Some("Europe/Paris".to_owned())))
    };
    registry.add_trigger(full.clone()).await.expect("add");
    registry.add_trigger(trigger("t2", "reacts", "hello", table)).await.expect("add");
    assert_eq!(load(registry, "t1").await, full, "what went in comes out");
    refused!(registry.add_trigger(full), Conflict(_));
    refused!(registry.add_trigger(trigger("t3", "reacts", "nobody", TriggerSpec::topic("a"))), NotFound);
    refused!(registry.add_trigger(trigger("t3", "nowhere", "hello", TriggerSpec::topic("a"))), NotFound);

    registry.set_trigger_enabled(&reacts, "t1", true, Some(at(90))).await.expect("resume");
    let resumed = load(registry, "t1").await;
    assert_eq!((resumed.enabled, resumed.next_run_at), (true, Some(at(90))));
    registry.set_next_run(&reacts, "t1", None).await.expect("set");
    assert_eq!(load(registry, "t1").await.next_run_at, None);
    refused!(registry.set_next_run(&namespace("one"), "t1", None), NotFound);
    refused!(registry.set_trigger_enabled(&namespace("one"), "t1", false, None), NotFound);
    refused!(registry.delete_trigger(&namespace("one"), "t1"), NotFound);

    registry.delete_trigger(&reacts, "t2").await.expect("delete");
    refused!(registry.delete_trigger(&reacts, "t2"), NotFound);
    assert_eq!(ids(registry, "reacts").await, ["t1"]);
}

async fn of_manifests(registry: &dyn Registry) {
    let (reacts, hello) = (namespace("reacts"), name("hello"));
    let publish = async |second: i64, triggers: Vec<Trigger>| {
        let new = NewVersion { triggers, ..new_version("reacts", "hello", second) };
        registry.publish_version(new).await.expect("publish").version
    };
    let second = publish(2, vec![of_manifest("m1", "hello", "a"), of_manifest("m2", "hello", "b")]).await;
    assert_eq!(ids(registry, "reacts").await, ["m1", "m2", "t1"]);
    registry.set_trigger_enabled(&reacts, "m1", false, Some(at(7))).await.expect("pause");

    let moved = Trigger { created_at: at(50), ..of_manifest("m1", "hello", "a") };
    publish(3, vec![moved, of_manifest("m3", "hello", "c")]).await;
    assert_eq!(ids(registry, "reacts").await, ["m1", "m3", "t1"], "one went, one came, one was added by hand");
    let kept = load(registry, "m1").await;
    assert_eq!((kept.enabled, kept.next_run_at, kept.created_at), (false, Some(at(7)), at(1)), "it stayed as it was");

    let back = vec![of_manifest("m4", "hello", "b")];
    registry.activate(&reacts, &hello, second, back.clone(), at(9)).await.expect("activate");
    assert_eq!(ids(registry, "reacts").await, ["m4", "t1"]);
    let nothing = domain::VersionNumber::new(99).expect("from 1");
    refused!(registry.activate(&reacts, &hello, nothing, vec![], at(9)), NotFound);
    assert_eq!(ids(registry, "reacts").await, ["m4", "t1"], "what was refused changed nothing");
    registry
        .delete_version(&reacts, &hello, domain::VersionNumber::new(1).expect("from 1"), at(9))
        .await
        .expect("delete");
    assert_eq!(ids(registry, "reacts").await, ["m4", "t1"], "triggers outlive a version");
    publish(10, vec![]).await;
    assert_eq!(ids(registry, "reacts").await, ["t1"]);
}

async fn slots(registry: &dyn Registry) {
    let reacts = namespace("reacts");
    let claim = async |slot: Timestamp, next: Option<Timestamp>, id: &str| {
        let deliveries = vec![delivery(id, "reacts", "hello", 1)];
        registry.claim_slot(&reacts, "t1", slot, next, deliveries).await.expect("claim")
    };
    registry.set_next_run(&reacts, "t1", Some(at(60))).await.expect("set");
    assert!(!claim(at(0), Some(at(60)), "c1").await, "it is not due then");
    assert!(claim(at(60), Some(at(120)), "c2").await);
    assert!(!claim(at(60), Some(at(120)), "c3").await, "each slot fires once");
    let fired = load(registry, "t1").await;
    assert_eq!((fired.next_run_at, fired.last_run_at), (Some(at(120)), Some(at(60))));
    registry.set_trigger_enabled(&reacts, "t1", false, Some(at(120))).await.expect("pause");
    assert!(!claim(at(120), None, "c4").await, "a paused one fires nothing");
    registry.set_trigger_enabled(&reacts, "t1", true, Some(at(120))).await.expect("resume");
    assert!(claim(at(120), None, "c5").await);
    assert_eq!(load(registry, "t1").await.next_run_at, None);
    assert_eq!(waiting(registry, "reacts").await, ["c2", "c5"], "only what was claimed is owed");
    assert!(!registry.claim_slot(&namespace("one"), "t1", at(120), None, vec![]).await.expect("claim"));
}

async fn deleted_with_their_function(registry: &dyn Registry) {
    let (reacts, brief) = (namespace("reacts"), name("brief"));
    registry.publish_version(new_version("reacts", "brief", 1)).await.expect("publish");
    registry.add_trigger(trigger("b1", "reacts", "brief", TriggerSpec::topic("a"))).await.expect("add");
    let owed = vec![delivery("d1", "reacts", "brief", 1)];
    registry.write_deliveries(owed.clone(), vec![]).await.expect("write");
    registry.delete_function(&reacts, &brief, at(5)).await.expect("delete");
    assert_eq!(ids(registry, "reacts").await, ["t1"]);
    assert_eq!(waiting(registry, "reacts").await, ["c2", "c5"]);
    assert_eq!(registry.write_deliveries(owed, vec![]).await.expect("write"), ["d1"], "nobody is there to be called");

    registry.publish_version(new_version("reacts", "brief", 6)).await.expect("publish");
    registry.add_trigger(trigger("b2", "reacts", "brief", TriggerSpec::topic("a"))).await.expect("add");
    let last = domain::VersionNumber::new(2).expect("from 1");
    registry.delete_version(&reacts, &brief, last, at(7)).await.expect("the last version takes the function along");
    assert_eq!(ids(registry, "reacts").await, ["t1"]);
}
