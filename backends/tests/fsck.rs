//! Every kind of damage is found, and a healthy folder has none.

mod common;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use backends::fsck::{ProblemKind, Report, fsck};
use backends::{DataFolder, FolderError, keys, records, registry, storage};
use common::{at, code, name, namespace, new_version, record, scratch};
use domain::Cid;
use ports::{Keys, Records, Registry, Storage};

/// A stopped node with a function of two versions, a deleted function, a key and two records.
async fn node(path: &Path) {
    let folder = DataFolder::open(path).expect("open the folder");
    let storage = storage::open(&folder.code()).expect("open the code");
    storage.put(code()).await.expect("put");
    let registry = registry::open(&folder.system_db()).await.expect("open the registry");
    for id in ["a", "b"] {
        registry.publish_version(new_version("hello", id)).await.expect("publish");
    }
    registry.publish_version(new_version("gone", "c")).await.expect("publish");
    registry.delete_function(&namespace("one"), &name("gone"), at(2)).await.expect("delete");
    let log = records::open(&folder.logs_db()).await.expect("open the log");
    log.append(&[record("r1", "one", 1), record("r2", "two", 2)]).await.expect("append");
    keys::open(&folder.keys()).expect("open the keys").node_key("cache").expect("make a key");
}

async fn report_after(damage: impl FnOnce(&Path)) -> Report {
    let scratch = scratch();
    node(scratch.path()).await;
    damage(scratch.path());
    fsck(scratch.path()).expect("examine")
}

#[track_caller]
fn found(report: &Report, wanted: ProblemKind, clean: bool) {
    assert!(report.problems.iter().any(|problem| problem.kind == wanted), "{wanted:?} is not in\n{report}");
    assert_eq!(report.is_clean(), clean, "{report}");
}

fn code_file(root: &Path) -> PathBuf {
    let cid = Cid::of(&code()).to_string();
    root.join("code").join(&cid[cid.len() - 2..]).join(cid)
}

fn execute(database: PathBuf, sql: &str) {
    let connection = rusqlite::Connection::open(database).expect("open");
    connection.execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}")).expect("damage");
}

#[tokio::test]
async fn a_healthy_folder_has_no_problems() {
    let report = report_after(|_| {}).await;
    assert_eq!(report.problems, []);
    let text = report.to_string();
    assert_eq!(
        text,
        "examined: 1 functions, 2 versions, 1 files of code (22 bytes), 2 records of calls\nresult: no damage"
    );
    let json = serde_json::to_value(&report).expect("a report serializes");
    assert_eq!(json["counts"]["versions"], 2);
}

#[tokio::test]
async fn code_that_is_missing_damaged_or_unused() {
    let report = report_after(|root| std::fs::remove_file(code_file(root)).expect("remove")).await;
    found(&report, ProblemKind::CodeMissing, false);
    assert!(report.to_string().ends_with("result: 1 error"), "{report}");

    let flip = |root: &Path| {
        let mut bytes = code().to_vec();
        bytes[3] ^= 1;
        std::fs::write(code_file(root), bytes).expect("write");
    };
    found(&report_after(flip).await, ProblemKind::CodeDamaged, false);

    let unused = |root: &Path| {
        execute(root.join("system.db"), "DELETE FROM function_versions; UPDATE functions SET active = NULL")
    };
    found(&report_after(unused).await, ProblemKind::CodeUnused, true);
}

#[tokio::test]
async fn rows_that_contradict_each_other() {
    for (sql, wanted) in [
        ("DELETE FROM function_versions WHERE number = 2", ProblemKind::ActiveVersionMissing),
        ("DELETE FROM function_versions WHERE number = 2", ProblemKind::BrokenReference),
        ("DELETE FROM functions", ProblemKind::BrokenReference),
        ("UPDATE functions SET active = NULL", ProblemKind::RowDamaged),
        ("UPDATE functions SET last_number = 1", ProblemKind::RowDamaged),
        ("UPDATE function_versions SET manifest = '{}'", ProblemKind::RowDamaged),
        ("UPDATE function_versions SET code = 'x'", ProblemKind::RowDamaged),
        ("INSERT INTO schema_migrations VALUES (99, 0)", ProblemKind::DatabaseTooNew),
        ("PRAGMA application_id = 5", ProblemKind::DatabaseForeign),
    ] {
        found(&report_after(|root| execute(root.join("system.db"), sql)).await, wanted, false);
    }
    let usage = |root: &Path| execute(root.join("logs.db"), "DELETE FROM records WHERE request_id = 'r1'");
    found(&report_after(usage).await, ProblemKind::UsageWrong, false);
}

#[tokio::test]
async fn databases_that_are_damaged_or_missing() {
    for database in ["system.db", "logs.db"] {
        let garbage = |root: &Path| std::fs::write(root.join(database), [7; 9000]).expect("write");
        found(&report_after(garbage).await, ProblemKind::DatabaseDamaged, false);
        let flip_pages = |root: &Path| {
            let path = root.join(database);
            let mut bytes = std::fs::read(&path).expect("read");
            bytes[4096 * 2..].fill(0xA5);
            std::fs::write(path, bytes).expect("write");
        };
        found(&report_after(flip_pages).await, ProblemKind::DatabaseDamaged, false);
    }
    let remove = |root: &Path| std::fs::remove_file(root.join("system.db")).expect("remove");
    found(&report_after(remove).await, ProblemKind::DatabaseMissing, false);
    let swap = |root: &Path| {
        std::fs::rename(root.join("system.db"), root.join("other.db")).expect("rename");
        std::fs::rename(root.join("logs.db"), root.join("system.db")).expect("rename");
    };
    found(&report_after(swap).await, ProblemKind::DatabaseForeign, false);
}

#[tokio::test]
async fn keys_leftovers_and_files_of_others() {
    let readable = |root: &Path| {
        std::fs::set_permissions(root.join("keys/cache.key"), Permissions::from_mode(0o644)).expect("change the mode");
    };
    found(&report_after(readable).await, ProblemKind::KeyUnusable, false);
    for file in ["tmp/x", "code/tmp/.new-1-1", ".new-1-2", "keys/.new-1-3"] {
        let plant = |root: &Path| std::fs::write(root.join(file), "half").expect("write");
        found(&report_after(plant).await, ProblemKind::Leftover, true);
    }
    for file in ["code/readme", "code/tmpx"] {
        let plant = |root: &Path| std::fs::write(root.join(file), "?").expect("write");
        found(&report_after(plant).await, ProblemKind::UnknownFile, true);
    }
}

/// What a start that was killed early leaves is no damage.
#[tokio::test]
async fn a_folder_that_never_got_far_is_no_damage() {
    let scratch = scratch();
    assert!(matches!(fsck(scratch.path()), Err(FolderError::Absent { .. })));
    drop(DataFolder::open(scratch.path()).expect("open"));
    assert_eq!(fsck(scratch.path()).expect("examine").problems, []);
    std::fs::write(scratch.path().join("system.db"), "").expect("write");
    std::fs::write(scratch.path().join("logs.db"), "").expect("write");
    assert_eq!(fsck(scratch.path()).expect("examine").problems, []);
}

/// The write-ahead log of a killed process belongs to the database.
#[tokio::test]
async fn what_a_killed_process_acknowledged_is_seen() {
    let (running, killed) = (scratch(), scratch());
    drop(DataFolder::open(killed.path()).expect("open"));
    let registry = registry::open(&running.path().join("system.db")).await.expect("open");
    registry.publish_version(new_version("hello", "a")).await.expect("publish");
    for file in ["system.db", "system.db-wal"] {
        std::fs::copy(running.path().join(file), killed.path().join(file)).expect("copy");
    }
    let report = fsck(killed.path()).expect("examine");
    assert_eq!(report.counts.versions, 1, "{report}");
    found(&report, ProblemKind::CodeMissing, false);
}
