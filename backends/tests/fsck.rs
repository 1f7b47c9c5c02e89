//! Every kind of damage is found, and a healthy folder has none.

mod common;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use backends::fsck::{ProblemKind, Report, fsck};
use backends::{DataFolder, FolderError, keys, records, storage};
use bytes::Bytes;
use common::{at, code, name, namespace, new_version, record, registry_with_one, scratch};
use domain::{CHUNK_BYTES, Cid};
use ports::{ContentInfo, Contents, Databases, Functions, Keys, Records, SqlBounds, Storage};

/// A stopped node with a function of two versions, a deleted function, a key, two records and two contents.
async fn node(path: &Path) {
    let folder = DataFolder::open(path).expect("open the folder");
    let storage = storage::open(&folder.code()).expect("open the code");
    storage.put(code()).await.expect("put");
    let registry = registry_with_one(&folder.system_db()).await;
    for id in ["a", "b"] {
        registry.publish_version(new_version("hello", id)).await.expect("publish");
    }
    registry.publish_version(new_version("gone", "c")).await.expect("publish");
    registry.delete_function(&namespace("one"), &name("gone"), at(2)).await.expect("delete");
    let storage = storage::open(&folder.content()).expect("open the content");
    for bytes in contents() {
        let size = bytes.len() as u64;
        let cid = storage.put(bytes).await.expect("put");
        let content = ContentInfo { cid, name: "photo".to_owned(), bytes: size, pinned: true, created_at: at(1) };
        registry.own_content(&namespace("one"), content, None).await.expect("own");
    }
    let log = records::open(&folder.logs_db()).await.expect("open the log");
    log.append(&[record("r1", "one", 1), record("r2", "two", 2)]).await.expect("append");
    keys::open(&folder.keys()).expect("open the keys").node_key("cache").expect("make a key");
    let databases = backends::database::open(&folder.databases(), Default::default()).expect("open the databases");
    let fill = "CREATE TABLE t (a);
        INSERT INTO t WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT i FROM n;";
    let bounds = SqlBounds::until(std::time::Instant::now() + std::time::Duration::from_secs(60));
    databases.of(&namespace("one")).script(fill.to_owned(), bounds).await.expect("run");
}

/// One of a single chunk, one of two.
fn contents() -> [Bytes; 2] {
    [Bytes::from_static(b"hello"), Bytes::from(vec![7; CHUNK_BYTES + 1])]
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
    file_of(&root.join("code"), &code())
}

fn content_file(root: &Path, content: &Bytes) -> PathBuf {
    file_of(&root.join("content"), content)
}

fn file_of(storage: &Path, bytes: &Bytes) -> PathBuf {
    let cid = Cid::of(bytes).to_string();
    storage.join(&cid[cid.len() - 2..]).join(cid)
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
        "examined: 1 functions, 2 versions, 1 files of code (22 bytes), 2 files of content (262150 bytes), 1 databases, 2 records of calls\nresult: no damage"
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
async fn content_that_is_missing_damaged_or_unowned() {
    for content in contents() {
        let report = report_after(|root| std::fs::remove_file(content_file(root, &content)).expect("remove")).await;
        found(&report, ProblemKind::ContentMissing, false);

        let cut = |root: &Path| std::fs::write(content_file(root, &content), &content[1..]).expect("write");
        found(&report_after(cut).await, ProblemKind::ContentDamaged, false);
    }
    let unowned = |root: &Path| execute(root.join("system.db"), "DELETE FROM contents");
    found(&report_after(unowned).await, ProblemKind::ContentUnowned, true);

    // The leaves beside content are made again when they are needed.
    let leaves = |root: &Path| content_file(root, &contents()[1]).with_added_extension("leaves");
    let without_leaves = report_after(|root| std::fs::remove_file(leaves(root)).expect("remove")).await;
    assert_eq!(without_leaves.problems, []);
    let stray = |root: &Path| std::fs::write(leaves(root).with_file_name("x.leaves"), "").expect("write");
    found(&report_after(stray).await, ProblemKind::UnknownFile, true);
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
        ("UPDATE contents SET cid = name || bytes", ProblemKind::RowDamaged),
        ("DELETE FROM namespaces WHERE name = 'one'", ProblemKind::BrokenReference),
        ("UPDATE namespaces SET owned_bytes = 7 WHERE name = 'one'", ProblemKind::UsageWrong),
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
async fn databases_of_namespaces_that_are_damaged_or_misplaced() {
    let cut = |root: &Path| {
        let path = root.join("databases/one.db");
        let file = std::fs::File::options().write(true).open(&path).expect("open");
        file.set_len(file.metadata().expect("its size").len() - 4096).expect("cut");
    };
    found(&report_after(cut).await, ProblemKind::DatabaseDamaged, false);
    let scrawl = |root: &Path| std::fs::write(root.join("databases/one.db"), "no database at all").expect("write");
    found(&report_after(scrawl).await, ProblemKind::DatabaseDamaged, false);
    let stamp = |root: &Path| execute(root.join("databases/one.db"), "PRAGMA user_version = 7");
    found(&report_after(stamp).await, ProblemKind::DatabaseForeign, false);
    let rename = |root: &Path| {
        let folder = root.join("databases");
        std::fs::rename(folder.join("one.db"), folder.join("two.db")).expect("rename");
    };
    let report = report_after(rename).await;
    found(&report, ProblemKind::DatabaseForeign, false);
    found(&report, ProblemKind::UnknownFile, false);
    for (file, kind) in [(".new-1-1", ProblemKind::Leftover), ("readme", ProblemKind::UnknownFile)] {
        let plant = |root: &Path| std::fs::write(root.join("databases").join(file), "?").expect("write");
        found(&report_after(plant).await, kind, true);
    }
}

#[tokio::test]
async fn keys_leftovers_and_files_of_others() {
    let readable = |root: &Path| {
        std::fs::set_permissions(root.join("keys/cache.key"), Permissions::from_mode(0o644)).expect("change the mode");
    };
    found(&report_after(readable).await, ProblemKind::KeyUnusable, false);
    for file in ["tmp/x", "code/tmp/.new-1-1", "content/tmp/.new-1-1", ".new-1-2", "keys/.new-1-3"] {
        let plant = |root: &Path| std::fs::write(root.join(file), "half").expect("write");
        found(&report_after(plant).await, ProblemKind::Leftover, true);
    }
    for file in ["code/readme", "code/tmpx", "content/readme"] {
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
    let registry = registry_with_one(&running.path().join("system.db")).await;
    registry.publish_version(new_version("hello", "a")).await.expect("publish");
    for file in ["system.db", "system.db-wal"] {
        std::fs::copy(running.path().join(file), killed.path().join(file)).expect("copy");
    }
    let report = fsck(killed.path()).expect("examine");
    assert_eq!(report.counts.versions, 1, "{report}");
    found(&report, ProblemKind::CodeMissing, false);
}
