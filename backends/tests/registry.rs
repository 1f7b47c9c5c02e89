//! The control plane on a real file.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use backends::{OpenError, registry};
use common::{at, name, namespace, new_version, scratch};
use domain::VersionNumber;
use ports::{Claim, Claimed, Registry, conformance};
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
    let registry = registry::open(&path).await.expect("open");
    let published = registry.publish_version(new_version("hello", "a")).await.expect("publish");
    registry.publish_version(new_version("gone", "b")).await.expect("publish");
    registry.delete_function(&namespace("one"), &name("gone"), at(2)).await.expect("delete");
    let before = registry.load().await.expect("load");
    drop(registry);

    let registry = registry::open(&path).await.expect("open again");
    assert_eq!(registry.load().await.expect("load"), before);
    assert_eq!(before[0].versions, [published]);
    let next = registry.publish_version(new_version("gone", "c")).await.expect("publish");
    assert_eq!(next.version.get(), 2, "the number of a deleted function stays used");
}

/// The files as they lie on the disk while the process lives are what a killed process leaves.
#[tokio::test]
async fn what_was_acknowledged_survives_the_death_of_the_process() {
    let (folder, crashed) = (scratch(), scratch());
    let registry = registry::open(&folder.path().join("system.db")).await.expect("open");
    registry.publish_version(new_version("hello", "a")).await.expect("publish");
    for file in ["system.db", "system.db-wal"] {
        std::fs::copy(folder.path().join(file), crashed.path().join(file)).expect("copy");
    }
    let after = registry::open(&crashed.path().join("system.db")).await.expect("open what is left");
    assert_eq!(after.load().await.expect("load"), registry.load().await.expect("load"));
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_publishers_get_consecutive_numbers() {
    let folder = scratch();
    let registry = registry::open(&folder.path().join("system.db")).await.expect("open");
    let publish = |id: usize| registry.publish_version(new_version("hello", id.to_string()));
    let published = futures_util::future::join_all((0..8).map(publish)).await;
    let mut numbers: Vec<u32> = published.into_iter().map(|new| new.expect("publish").version.get()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[tokio::test]
async fn a_version_that_cannot_be_stored_takes_no_number() {
    let folder = scratch();
    let registry = registry::open(&folder.path().join("system.db")).await.expect("open");
    registry.publish_version(new_version("hello", "same id")).await.expect("publish");
    registry.publish_version(new_version("hello", "same id")).await.expect_err("the id is taken");
    let stored = registry.load().await.expect("load").remove(0);
    assert_eq!((stored.state.active.get(), stored.versions.len()), (1, 1));
    assert_eq!(registry.publish_version(new_version("hello", "b")).await.expect("publish").version.get(), 2);
}

#[tokio::test]
async fn a_disabled_function_stays_disabled_when_a_version_is_published() {
    let folder = scratch();
    let registry = registry::open(&folder.path().join("system.db")).await.expect("open");
    registry.publish_version(new_version("hello", "a")).await.expect("publish");
    registry.set_enabled(&namespace("one"), &name("hello"), false, at(2)).await.expect("disable");
    registry.publish_version(new_version("hello", "b")).await.expect("publish");
    assert!(!registry.load().await.expect("load")[0].state.enabled);
    let version = VersionNumber::new(1).expect("from 1");
    registry.delete_version(&namespace("one"), &name("hello"), version, at(3)).await.expect("delete an old version");
    assert_eq!(registry.load().await.expect("load")[0].state.active.get(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_claims_of_one_key_one_wins() {
    let folder = scratch();
    let registry = registry::open(&folder.path().join("system.db")).await.expect("open");
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
    assert!(matches!(refused, OpenError::TooNew { found: 99, known: 1, .. }), "{refused}");
    assert!(refused.to_string().contains("use a newer `orama`"), "{refused}");
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
    let registry = registry::open(&path).await.expect("open");
    registry.publish_version(new_version("hello", "a")).await.expect("publish");
    for file in ["system.db", "system.db-wal"] {
        let mode = std::fs::metadata(folder.path().join(file)).expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

fn execute(path: &Path, sql: &str) {
    Connection::open(path).and_then(|connection| connection.execute_batch(sql)).expect("change the file");
}
