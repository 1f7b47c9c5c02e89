//! The control plane on a real file.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use backends::{OpenError, registry};
use common::{at, create_namespace, name, namespace, new_version, registry_with_one, scratch};
use domain::{Cid, FunctionRef, NamespaceSettings, Scope, Scopes, TriggerKind, VersionNumber};
use ports::{
    Asked, Claim, Claimed, ContentInfo, Contents, Deliveries, Delivery, DeliveryEnd, Functions, Identities, Namespaces,
    Owned, RefreshToken, RegistryError, Rotated, StoredKey, StoredNamespace, Triggers, conformance,
};
use rusqlite::Connection;

#[tokio::test]
async fn behaves_as_a_registry() {
    let folder = scratch();
    let registry = registry::open(&folder.path().join("system.db")).await.expect("open");
    conformance::registry(&registry).await;
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_opening_again() {
    let folder = scratch();
    let path = folder.path().join("system.db");
    let registry = registry_with_one(&path).await;
    let published = registry.publish_version(new_version("hello", "a")).await.expect("publish");
    registry.publish_version(new_version("gone", "b")).await.expect("publish");
    registry.delete_function(&namespace("one"), &name("gone"), at(2)).await.expect("delete");
    let before = registry.load_functions().await.expect("load");
    drop(registry);

    let registry = registry::open(&path).await.expect("open again");
    assert_eq!(registry.load_functions().await.expect("load"), before);
    assert_eq!(before[0].versions, [published]);
    let next = registry.publish_version(new_version("gone", "c")).await.expect("publish");
    assert_eq!(next.version.get(), 2, "the number of a deleted function stays used");
}

/// The files as they lie on the disk while the process lives are what a killed process leaves.
#[tokio::test]
async fn what_was_acknowledged_survives_the_death_of_the_process() {
    let (folder, crashed) = (scratch(), scratch());
    let registry = registry_with_one(&folder.path().join("system.db")).await;
    registry.publish_version(new_version("hello", "a")).await.expect("publish");
    for file in ["system.db", "system.db-wal"] {
        std::fs::copy(folder.path().join(file), crashed.path().join(file)).expect("copy");
    }
    let after = registry::open(&crashed.path().join("system.db")).await.expect("open what is left");
    assert_eq!(after.load_functions().await.expect("load"), registry.load_functions().await.expect("load"));
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_publishers_get_consecutive_numbers() {
    let folder = scratch();
    let registry = registry_with_one(&folder.path().join("system.db")).await;
    let publish = |id: usize| registry.publish_version(new_version("hello", id.to_string()));
    let published = futures_util::future::join_all((0..8).map(publish)).await;
    let mut numbers: Vec<u32> = published.into_iter().map(|new| new.expect("publish").version.get()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[tokio::test]
async fn a_version_that_cannot_be_stored_takes_no_number() {
    let folder = scratch();
    let registry = registry_with_one(&folder.path().join("system.db")).await;
    registry.publish_version(new_version("hello", "same id")).await.expect("publish");
    registry.publish_version(new_version("hello", "same id")).await.expect_err("the id is taken");
    let stored = registry.load_functions().await.expect("load").remove(0);
    assert_eq!((stored.state.active.get(), stored.versions.len()), (1, 1));
    assert_eq!(registry.publish_version(new_version("hello", "b")).await.expect("publish").version.get(), 2);
}

#[tokio::test]
async fn a_disabled_function_stays_disabled_when_a_version_is_published() {
    let folder = scratch();
    let registry = registry_with_one(&folder.path().join("system.db")).await;
    registry.publish_version(new_version("hello", "a")).await.expect("publish");
    registry.set_enabled(&namespace("one"), &name("hello"), false, at(2)).await.expect("disable");
    registry.publish_version(new_version("hello", "b")).await.expect("publish");
    assert!(!registry.load_functions().await.expect("load")[0].state.enabled);
    let version = VersionNumber::new(1).expect("from 1");
    registry.delete_version(&namespace("one"), &name("hello"), version, at(3)).await.expect("delete an old version");
    assert_eq!(registry.load_functions().await.expect("load")[0].state.active.get(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_claims_of_one_key_one_wins() {
    let folder = scratch();
    let registry = registry_with_one(&folder.path().join("system.db")).await;
    let claim = Claim {
        namespace: namespace("one"),
        function: name("hello"),
        caller: "a".into(),
        key: "k".into(),
        fingerprint: [1; 32],
        at: at(1),
    };
    let claimed = futures_util::future::join_all((0..20).map(|_| registry.claim_reply(claim.clone()))).await;
    let new = claimed.into_iter().filter(|claimed| matches!(claimed, Ok(Claimed::New))).count();
    assert_eq!(new, 1);
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let folder = scratch();
    let path = folder.path().join("system.db");
    drop(registry::open(&path).await.expect("open"));
    execute(&path, "INSERT INTO schema_migrations VALUES (99, 0)");
    let refused = registry::open(&path).await.err().expect("a newer schema");
    assert!(matches!(refused, OpenError::TooNew { found: 99, known: 7, .. }), "{refused}");
    assert!(refused.to_string().contains("use a newer `orama`"), "{refused}");
}

#[tokio::test]
async fn a_file_of_the_first_release_becomes_one_of_this() {
    let folder = scratch();
    let path = folder.path().join("system.db");
    execute(&path, include_str!("released/registry_1.sql"));
    let registry = registry::open(&path).await.expect("open what was released");

    let namespaces = registry.load_namespaces().await.expect("load namespaces");
    let seconds = |stored: &StoredNamespace| (stored.name.to_string(), stored.created_at.as_second());
    let found: Vec<_> = namespaces.iter().map(seconds).collect();
    let default = found[0].1;
    assert!(default > 1_700_000_000, "`default` begins now, when nothing of it is older");
    let expected = [("default", default), ("desk", 3), ("gone", 6), ("shop", 4)];
    assert_eq!(found, expected.map(|(name, second)| (name.to_owned(), second)));
    assert!(namespaces.iter().all(|stored| !stored.ending && stored.settings == NamespaceSettings::default()));

    let key = registry.load_keys().await.expect("load keys").remove(0);
    assert_eq!((key.id.as_str(), key.scopes), ("k1", Scopes::of([Scope::Admin])));
    assert_eq!((key.expires_at, key.last_used_at, key.revoked_at, key.wallet), (None, None, None, None));
    assert_eq!(registry.load_functions().await.expect("load functions").len(), 1);
    let new = ports::NewVersion { namespace: namespace("gone"), ..new_version("hello", "v8") };
    assert_eq!(registry.publish_version(new).await.expect("publish").version.get(), 8, "numbers stay used");

    registry.begin_end_of_namespace(&namespace("shop")).await.expect("what was there before can end, too");
    registry.finish_end_of_namespace(&namespace("shop")).await.expect("finish");
    create_namespace(&registry, "shop").await;
    let new = ports::NewVersion { namespace: namespace("shop"), ..new_version("hello", "v1") };
    assert_eq!(registry.publish_version(new).await.expect("publish").version.get(), 1);
}

#[tokio::test]
async fn what_was_deployed_before_triggers_took_effect_has_those_of_its_manifest() {
    let folder = scratch();
    let path = folder.path().join("system.db");
    execute(&path, include_str!("released/registry_1.sql"));
    let triggers = r#"[{"topic":"ü"},{"cron":"0 3 * * *","tz":"UTC"},{"table":"t","on":["insert"]},{"topic":"ü"}]"#;
    execute(
        &path,
        &format!("UPDATE function_versions SET manifest = json_set(manifest, '$.triggers', json('{triggers}'))"),
    );
    let registry = registry::open(&path).await.expect("open what was released");
    let triggers = registry.load_triggers().await.expect("load triggers");
    assert_eq!(triggers.len(), 3, "what stands twice is there once");
    let manifest = registry.load_functions().await.expect("load").remove(0).versions.remove(0).manifest;
    assert!(manifest.triggers.iter().all(|spec| triggers.iter().any(|trigger| trigger.spec == *spec)));
    for trigger in &triggers {
        assert!(trigger.from_manifest && trigger.enabled && trigger.next_run_at.is_none(), "{trigger:?}");
        assert_eq!((trigger.namespace.as_str(), trigger.function.as_str()), ("shop", "hello"));
        assert_eq!((trigger.id.len(), trigger.id.matches('-').count(), &trigger.id[14..15]), (36, 4, "4"));
    }
    let again = ports::NewVersion {
        namespace: namespace("shop"),
        triggers: vec![triggers[0].clone()],
        ..new_version("hello", "v3")
    };
    registry.publish_version(again).await.expect("publish");
    assert_eq!(registry.load_triggers().await.expect("load"), [triggers[0].clone()], "the next deploy replaces them");
}

/// However much waits, what is begun is found at once.
#[tokio::test]
async fn a_long_queue_is_begun_as_fast_as_a_short_one() {
    let folder = scratch();
    let registry = registry_with_one(&folder.path().join("system.db")).await;
    registry.publish_version(new_version("hello", "a")).await.expect("publish");
    let function = FunctionRef::parse("hello").expect("a reference");
    let delivery = || Delivery::new(namespace("one"), function.clone(), TriggerKind::Pubsub, "{}".into(), at(1));
    for _ in 0..10 {
        registry.write_deliveries((0..5000).map(|_| delivery()).collect(), vec![]).await.expect("write");
    }
    let started = std::time::Instant::now();
    for _ in 0..20 {
        let asked = Asked { namespace: namespace("one"), function: name("hello"), limit: 32 };
        let begun = registry.begin_deliveries(vec![asked], at(2)).await.expect("begin").deliveries;
        assert_eq!(begun.len(), 32);
        let ended = begun.into_iter().map(|delivery| (delivery.id, DeliveryEnd::Done)).collect();
        registry.write_deliveries(vec![], ended).await.expect("end");
    }
    assert!(started.elapsed() < std::time::Duration::from_secs(10), "640 took {:?}", started.elapsed());
}

/// Whatever comes while a namespace ends is refused or goes with it: nothing is found under the name afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_slips_into_a_namespace_that_ends() {
    let folder = scratch();
    let registry = registry_with_one(&folder.path().join("system.db")).await;
    let one = namespace("one");
    let publish = async |id: usize| registry.publish_version(new_version("hello", id.to_string())).await.map(drop);
    let create = async |id: usize| registry.create_key(key(&id.to_string())).await;
    let own = async |id: usize| registry.own_content(&one, content(id, 1), None).await.map(drop);
    let work = futures_util::future::join_all((0..30).map(async |id| {
        if id == 10 {
            registry.begin_end_of_namespace(&one).await.expect("begin");
        }
        [publish(id).await, create(id).await, own(id).await]
    }));
    for refused in work.await.into_iter().flatten().filter_map(Result::err) {
        assert!(matches!(refused, RegistryError::NotFound), "{refused:?}");
    }
    registry.finish_end_of_namespace(&one).await.expect("finish");
    create_namespace(&registry, "one").await;
    assert_eq!(registry.load_functions().await.expect("load functions"), []);
    assert_eq!(registry.load_keys().await.expect("load keys"), []);
    assert_eq!(registry.owned_bytes(&one).await.expect("owned bytes"), 0);
}

fn key(id: &str) -> StoredKey {
    StoredKey {
        id: id.to_owned(),
        name: "laptop".to_owned(),
        namespace: namespace("one"),
        scopes: Scopes::of([Scope::Invoke]),
        hash: [1; 32],
        created_at: at(1),
        expires_at: None,
        last_used_at: None,
        revoked_at: None,
        wallet: None,
    }
}

fn content(id: usize, bytes: u64) -> ContentInfo {
    let cid = Cid::of(id.to_string().as_bytes());
    ContentInfo { cid, name: String::new(), bytes, pinned: true, created_at: at(1) }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_uploads_never_pass_the_quota() {
    let folder = scratch();
    let registry = registry_with_one(&folder.path().join("system.db")).await;
    let one = namespace("one");
    let own = |id: usize| registry.own_content(&one, content(id, 30), Some(100));
    let owned = futures_util::future::join_all((0..20).map(own)).await;
    assert_eq!(owned.into_iter().filter(|owned| matches!(owned, Ok(Owned::Yes))).count(), 3);
    assert_eq!(registry.owned_bytes(&one).await.expect("owned bytes"), 90);
}

/// A thief and the owner present the same token at once: one gets the next token, the other ends the family.
#[tokio::test(flavor = "multi_thread")]
async fn of_many_uses_of_a_refresh_token_one_wins_and_ends_with_the_others() {
    let folder = scratch();
    let registry = registry_with_one(&folder.path().join("system.db")).await;
    let token = RefreshToken {
        hash: [0; 32],
        family: "f".to_owned(),
        namespace: namespace("one"),
        subject: "0xa".to_owned(),
        created_at: at(0),
        expires_at: at(100),
    };
    registry.create_refresh(token).await.expect("create");
    let rotate = |next: u8| registry.rotate_refresh([0; 32], None, [next; 32], at(1), at(101));
    let rotated = futures_util::future::join_all((1..=10).map(rotate)).await;
    let rotated: Vec<_> = rotated.into_iter().map(|rotated| rotated.expect("rotate")).collect();
    let count = |wanted: fn(&Rotated) -> bool| rotated.iter().filter(|rotated| wanted(rotated)).count();
    assert_eq!(count(|rotated| matches!(rotated, Rotated::Done(_))), 1);
    assert_eq!(count(|rotated| matches!(rotated, Rotated::Reused(_))), 1, "told once");
    assert_eq!(count(|rotated| matches!(rotated, Rotated::Refused)), 8);
    for next in 1..=10 {
        let used = registry.rotate_refresh([next; 32], None, [99; 32], at(2), at(102)).await.expect("rotate");
        assert_eq!(used, Rotated::Refused);
    }
    assert_eq!(registry.load_revoked_families(at(0)).await.expect("load").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_uses_of_a_nonce_one_counts() {
    let folder = scratch();
    let registry = registry::open(&folder.path().join("system.db")).await.expect("open");
    let consumed = futures_util::future::join_all((0..20).map(|_| registry.consume_nonce([5; 32], at(1)))).await;
    assert_eq!(consumed.into_iter().filter(|first| matches!(first, Ok(true))).count(), 1);
}

#[tokio::test]
async fn a_damaged_or_foreign_file_is_refused() {
    let folder = scratch();
    let garbage = folder.path().join("garbage.db");
    std::fs::write(&garbage, [7; 5000]).expect("write");
    assert!(matches!(registry::open(&garbage).await, Err(OpenError::Damaged { .. })));

    let logs = folder.path().join("logs.db");
    drop(backends::records::open(&logs).await.expect("open the log"));
    assert!(matches!(registry::open(&logs).await, Err(OpenError::Foreign { .. })), "swapped files are noticed");
}

#[tokio::test]
async fn others_cannot_read_the_database() {
    let folder = scratch();
    let path = folder.path().join("system.db");
    let registry = registry_with_one(&path).await;
    registry.publish_version(new_version("hello", "a")).await.expect("publish");
    for file in ["system.db", "system.db-wal"] {
        let mode = std::fs::metadata(folder.path().join(file)).expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

fn execute(path: &Path, sql: &str) {
    Connection::open(path).and_then(|connection| connection.execute_batch(sql)).expect("change the file");
}
