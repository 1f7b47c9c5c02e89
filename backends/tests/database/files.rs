//! What becomes of the files: who may read them, what damage does, and what is open.

use std::collections::HashSet;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use backends::database::{self, DatabaseConfig};
use futures_util::future::join;
use ports::{Databases, SqlError};

use crate::{ENDLESS, execute, in_time, is_corrupt, named, number, of, open, scratch, statement, within};

#[tokio::test]
async fn what_was_acknowledged_is_there_after_opening_again() {
    let folder = scratch();
    {
        let databases = open(folder.path());
        execute(&*of(&databases, "one"), "CREATE TABLE t (a)").await;
        execute(&*of(&databases, "one"), "INSERT INTO t VALUES (7)").await;
    }
    assert!(!folder.path().join("one.db-wal").exists(), "closing leaves one file");
    let databases = open(folder.path());
    assert_eq!(number(&*of(&databases, "one"), "SELECT a FROM t").await, 7);
}

#[tokio::test]
async fn numbers_of_messages_go_on_after_opening_again_and_belong_to_nobody() {
    let folder = scratch();
    let taken = async |times: usize| {
        let databases = open(folder.path());
        let database = of(&databases, "one");
        let mut numbers = Vec::new();
        for _ in 0..times {
            let taken = database.transaction_with_sequence(Vec::new(), in_time()).await;
            numbers.push(taken.expect("a number").1);
        }
        for touch in [
            "DELETE FROM _orama_publish_seq",
            "UPDATE _orama_publish_seq SET seq = 0",
            "SELECT seq FROM _orama_publish_seq",
        ] {
            let refused = database.execute(statement(touch), in_time()).await;
            assert!(matches!(refused, Err(SqlError::NotAllowed(_))), "{touch}: {refused:?}");
        }
        assert_eq!(database.schema().await.expect("schema"), []);
        numbers
    };
    assert_eq!(taken(2).await, [1, 2]);
    assert_eq!(taken(2).await, [3, 4]);
}

/// The files as they lie on the disk while the process lives are what a killed process leaves.
#[tokio::test]
async fn what_was_acknowledged_survives_the_death_of_the_process() {
    let (folder, crashed) = (scratch(), scratch());
    let databases = open(folder.path());
    let database = of(&databases, "one");
    execute(&*database, "CREATE TABLE t (a)").await;
    for row in 1..=50 {
        execute(&*database, "INSERT INTO t VALUES (1)").await;
        for file in ["one.db", "one.db-wal"] {
            std::fs::copy(folder.path().join(file), crashed.path().join(file)).expect("copy");
        }
        let after = open(crashed.path());
        assert_eq!(number(&*of(&after, "one"), "SELECT count(*) FROM t").await, row);
    }
}

#[tokio::test]
async fn others_cannot_read_the_files() {
    let folder = scratch();
    let inner = folder.path().join("databases");
    let databases = open(&inner);
    execute(&*of(&databases, "one"), "CREATE TABLE t (a)").await;
    for file in ["one.db", "one.db-wal"] {
        let mode = std::fs::metadata(inner.join(file)).expect("metadata").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    assert_eq!(std::fs::metadata(&inner).expect("metadata").permissions().mode() & 0o777, 0o700);
}

/// Two databases with some rows each, closed.
async fn two_databases() -> tempfile::TempDir {
    let folder = scratch();
    let databases = open(folder.path());
    for name in ["one", "two"] {
        let database = of(&databases, name);
        execute(&*database, "CREATE TABLE t (a)").await;
        for _ in 0..20 {
            execute(&*database, "INSERT INTO t VALUES (hex(zeroblob(1000)))").await;
        }
    }
    folder
}

/// The first namespace is damaged, whatever is asked of it; the second goes on.
async fn check_damaged(folder: &Path) {
    let databases = open(folder);
    let damaged = of(&databases, "one");
    let query = damaged.query(statement("SELECT count(a) FROM t"), in_time()).await;
    assert!(is_corrupt(&query), "{query:?}");
    let told = query.expect_err("damaged").for_client();
    assert_eq!(told.to_string(), "the database is damaged", "nothing of the machine in it");
    let execute_ = damaged.execute(statement("UPDATE t SET a = a || 'x'"), in_time()).await;
    assert!(is_corrupt(&execute_), "{execute_:?}");
    assert_eq!(number(&*of(&databases, "two"), "SELECT count(*) FROM t").await, 20);
}

#[tokio::test]
async fn swapped_files_are_noticed() {
    let folder = two_databases().await;
    let path = |name: &str| folder.path().join(name);
    std::fs::copy(path("two.db"), path("one.db")).expect("copy");
    check_damaged(folder.path()).await;
}

#[tokio::test]
async fn a_file_of_something_else_is_noticed() {
    let folder = two_databases().await;
    let path = folder.path().join("one.db");
    std::fs::remove_file(&path).expect("remove");
    let foreign = rusqlite::Connection::open(&path).expect("open");
    foreign.execute_batch("CREATE TABLE t (a)").expect("create");
    drop(foreign);
    check_damaged(folder.path()).await;
}

#[tokio::test]
async fn damage_of_every_kind_is_noticed() {
    type Damage = fn(&std::fs::File, u64) -> std::io::Result<()>;
    let damages: [Damage; 5] = [
        |file, _| file.set_len(0),
        |file, _| file.set_len(100),
        |file, bytes| file.set_len(bytes / 2 / 4096 * 4096),
        |file, _| file.write_all_at(&[0x55; 100], 0),
        |file, bytes| (1..bytes / 4096).try_for_each(|page| file.write_all_at(&[0xff; 64], page * 4096)),
    ];
    for damage in damages {
        let folder = two_databases().await;
        let file = std::fs::File::options().write(true).open(folder.path().join("one.db")).expect("open");
        damage(&file, file.metadata().expect("metadata").len()).expect("damage");
        check_damaged(folder.path()).await;
    }
}

#[tokio::test]
async fn a_removed_database_leaves_no_file() {
    let folder = scratch();
    let databases = open(folder.path());
    let (removed, kept) = (of(&databases, "one"), of(&databases, "two"));
    execute(&*removed, "CREATE TABLE t (a)").await;
    execute(&*kept, "CREATE TABLE t (a)").await;
    databases.remove(&named("one")).await.expect("remove");
    let left: Vec<PathBuf> =
        std::fs::read_dir(folder.path()).expect("list").map(|e| e.expect("entry").path()).collect();
    assert!(left.iter().all(|file| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("two"))));
    assert!(matches!(removed.bytes().await, Err(SqlError::Removed)));
    let heir = of(&databases, "one");
    assert_eq!(number(&*heir, "SELECT count(*) FROM sqlite_schema").await, 0, "the name starts empty");
    assert_eq!(number(&*kept, "SELECT count(*) FROM sqlite_schema").await, 1);
    assert_eq!(of(&databases, "never-used").bytes().await.expect("size"), 0);
    assert!(!folder.path().join("never-used.db").exists(), "a question makes no file");
}

#[tokio::test]
async fn removing_stops_the_work_on_it() {
    let folder = scratch();
    let databases = open(folder.path());
    let database = of(&databases, "one");
    execute(&*database, "CREATE TABLE t (a)").await;
    let insert = format!("INSERT INTO t {ENDLESS}");
    let time = within(Duration::from_secs(120));
    let working = join(database.query(statement(ENDLESS), time), database.execute(statement(&insert), time));
    let removing = async {
        // By then both have begun, or begin on a database that is going away; either way they end.
        tokio::task::yield_now().await;
        databases.remove(&named("one")).await
    };
    let began = Instant::now();
    let ((read, written), removed) = join(working, removing).await;
    removed.expect("remove");
    assert!(matches!(read, Err(SqlError::Unavailable(_) | SqlError::Removed)), "{read:?}");
    assert!(matches!(written, Err(SqlError::Unavailable(_) | SqlError::Removed)), "{written:?}");
    assert!(began.elapsed() < Duration::from_secs(30), "it took {:?}", began.elapsed());
}

/// The databases in `folder` that this process has open.
fn open_files(folder: &Path) -> usize {
    let descriptors = std::fs::read_dir("/proc/self/fd").expect("list descriptors");
    let targets = descriptors.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    let is_database = |path: &PathBuf| path.parent() == Some(folder) && path.extension().is_some_and(|end| end == "db");
    targets.filter(is_database).collect::<HashSet<_>>().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn many_namespaces_are_not_many_open_files() {
    let folder = scratch();
    let config = DatabaseConfig { open_max: 4, ..DatabaseConfig::default() };
    let databases = database::open(folder.path(), config).expect("open");
    let names: Vec<String> = (0..40).map(|n| format!("n{n}")).collect();
    for name in &names {
        execute(&*of(&databases, name), "CREATE TABLE t (a)").await;
        assert!(open_files(folder.path()) <= 4);
    }
    let insert = async |name: &String| execute(&*of(&databases, name), "INSERT INTO t VALUES (1)").await;
    futures_util::future::join_all(names.iter().map(insert)).await;
    for name in &names {
        assert_eq!(number(&*of(&databases, name), "SELECT count(*) FROM t").await, 1);
        assert!(open_files(folder.path()) <= 4);
    }
}

#[tokio::test]
async fn a_database_that_rests_is_closed_and_opened_again() {
    let folder = scratch();
    let config = DatabaseConfig { idle: Duration::from_millis(10), ..DatabaseConfig::default() };
    let databases = database::open(folder.path(), config).expect("open");
    let database = of(&databases, "one");
    execute(&*database, "CREATE TABLE t (a)").await;
    let deadline = Instant::now() + Duration::from_secs(60);
    while open_files(folder.path()) > 0 {
        assert!(Instant::now() < deadline, "it stays open");
        tokio::task::yield_now().await;
    }
    assert_eq!(number(&*database, "SELECT count(*) FROM t").await, 0);
}

#[tokio::test]
async fn what_a_dead_process_left_half_made_is_swept() {
    let folder = scratch();
    for name in [".new-1-0", ".new-1-0-journal"] {
        std::fs::write(folder.path().join(name), "half").expect("write");
    }
    // The log of a database that was removed, by a process that died before it removed the log.
    std::fs::write(folder.path().join("one.db-wal"), [0x37; 5000]).expect("write");
    let databases = open(folder.path());
    assert_eq!(std::fs::read_dir(folder.path()).expect("list").count(), 1);
    execute(&*of(&databases, "one"), "CREATE TABLE t (a)").await;
    assert_eq!(number(&*of(&databases, "one"), "SELECT count(*) FROM sqlite_schema").await, 1);
}
