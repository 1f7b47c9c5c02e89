//! What becomes of the changes of watched tables with the files, and in them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use backends::database::SqliteDatabases;
use ports::{CHANGES_KEPT_MAX, Changes, Databases, RowOperation, SqlError, TableWatch};
use rusqlite::Connection;

use crate::{execute, in_time, named, number, of, open, scratch, statement};

fn changes_of(databases: &SqliteDatabases, namespace: &str) -> Arc<dyn Changes> {
    databases.changes(&named(namespace))
}

async fn watch(changes: &dyn Changes, table: &str) {
    changes.watch(vec![TableWatch::new(table, &RowOperation::ALL)]).await.expect("watch");
}

async fn rows(changes: &dyn Changes, after: i64) -> Vec<(i64, String)> {
    let found = changes.changes(after, usize::MAX).await.expect("changes");
    found.into_iter().map(|change| (change.seq, change.row)).collect()
}

#[tokio::test]
async fn watches_and_changes_survive_opening_again() {
    let folder = scratch();
    {
        let databases = open(folder.path());
        let (database, changes) = (of(&databases, "one"), changes_of(&databases, "one"));
        watch(&*changes, "t").await;
        execute(&*database, "CREATE TABLE t (a)").await;
        execute(&*database, "INSERT INTO t VALUES (1), (2)").await;
        changes.forget_changes(1).await.expect("forget");
    }
    let databases = open(folder.path());
    let (database, changes) = (of(&databases, "one"), changes_of(&databases, "one"));
    execute(&*database, "INSERT INTO t VALUES (3)").await;
    assert_eq!(rows(&*changes, 0).await, [(2, "{\"a\":2}".to_owned()), (3, "{\"a\":3}".to_owned())]);
    changes.forget_changes(3).await.expect("forget");
    drop((database, changes, databases));
    let databases = open(folder.path());
    execute(&*of(&databases, "one"), "INSERT INTO t VALUES (4)").await;
    assert_eq!(rows(&*changes_of(&databases, "one"), 0).await, [(4, "{\"a\":4}".to_owned())]);
}

/// The files as they lie on the disk while the process lives are what a killed process leaves.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_leaves_each_row_with_its_change() {
    let (folder, crashed) = (scratch(), scratch());
    let databases = open(folder.path());
    let (database, changes) = (of(&databases, "one"), changes_of(&databases, "one"));
    execute(&*database, "CREATE TABLE t (a)").await;
    watch(&*changes, "t").await;
    let acknowledged = Arc::new(AtomicU64::new(0));
    let counted = acknowledged.clone();
    let writing = tokio::spawn(async move {
        for _ in 0..200 {
            execute(&*database, "INSERT INTO t VALUES (1)").await;
            counted.fetch_add(1, Ordering::AcqRel);
        }
    });
    while !writing.is_finished() {
        let before = acknowledged.load(Ordering::Acquire);
        // The log first: the file alone changes only by what the log has had.
        for file in ["one.db-wal", "one.db"] {
            std::fs::copy(folder.path().join(file), crashed.path().join(file)).expect("copy");
        }
        let after = open(crashed.path());
        let written = number(&*of(&after, "one"), "SELECT count(*) FROM t").await;
        assert!(written >= before as i64, "what was acknowledged is there");
        let told = rows(&*changes_of(&after, "one"), 0).await;
        assert_eq!(told.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), (1..=written).collect::<Vec<_>>());
        drop(after);
        for file in std::fs::read_dir(crashed.path()).expect("list") {
            std::fs::remove_file(file.expect("entry").path()).expect("remove");
        }
    }
    writing.await.expect("no panic");
}

#[tokio::test]
async fn nothing_is_made_for_a_question() {
    let folder = scratch();
    let databases = open(folder.path());
    let changes = changes_of(&databases, "one");
    assert_eq!(rows(&*changes, 0).await, []);
    changes.forget_changes(5).await.expect("forget");
    changes.watch(Vec::new()).await.expect("watch nothing");
    assert_eq!(std::fs::read_dir(folder.path()).expect("list").count(), 0);
}

#[tokio::test]
async fn virtual_tables_are_refused() {
    let folder = scratch();
    {
        let databases = open(folder.path());
        execute(&*of(&databases, "one"), "CREATE TABLE t (a)").await;
    }
    let made = Connection::open(folder.path().join("one.db")).expect("open");
    made.execute_batch("CREATE VIRTUAL TABLE words USING fts5(a)").expect("create");
    drop(made);
    let databases = open(folder.path());
    let changes = changes_of(&databases, "one");
    for table in ["words", "words_data"] {
        let refused = changes.watch(vec![TableWatch::new(table, &RowOperation::ALL)]).await;
        assert!(matches!(refused, Err(SqlError::Invalid(_))), "{table}: {refused:?}");
    }
    watch(&*changes, "t").await;
}

#[tokio::test]
async fn a_change_is_refused_before_one_that_nobody_has_read_is_lost() {
    let folder = scratch();
    let databases = open(folder.path());
    let (database, changes) = (of(&databases, "one"), changes_of(&databases, "one"));
    execute(&*database, "CREATE TABLE t (a)").await;
    watch(&*changes, "t").await;
    let fill = |rows: i64| {
        format!(
            "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT {rows}) INSERT INTO t SELECT i FROM n"
        )
    };
    let refused = |answer: Result<_, SqlError>| {
        assert!(matches!(answer, Err(SqlError::Unread { limit: CHANGES_KEPT_MAX })), "{answer:?}");
    };
    execute(&*database, &fill(3)).await;
    refused(database.execute(statement(&fill(CHANGES_KEPT_MAX)), in_time()).await);
    assert_eq!(number(&*database, "SELECT count(*) FROM t").await, 3, "what was refused was undone");
    execute(&*database, &fill(CHANGES_KEPT_MAX - 2)).await;
    refused(database.execute(statement("INSERT INTO t VALUES (0)"), in_time()).await);
    assert_eq!(changes.changes(0, 1).await.expect("changes")[0].seq, 1, "nothing is lost");
    // What has been read makes room, and other tables never needed any.
    execute(&*database, "CREATE TABLE other (a)").await;
    execute(&*database, "INSERT INTO other VALUES (0)").await;
    changes.forget_changes(1000).await.expect("forget");
    execute(&*database, "INSERT INTO t VALUES (0)").await;
}

#[tokio::test]
async fn a_removed_database_leaves_no_watch() {
    let folder = scratch();
    let databases = open(folder.path());
    watch(&*changes_of(&databases, "one"), "t").await;
    databases.remove(&named("one")).await.expect("remove");
    let (database, changes) = (of(&databases, "one"), changes_of(&databases, "one"));
    execute(&*database, "CREATE TABLE t (a)").await;
    execute(&*database, "INSERT INTO t VALUES (1)").await;
    assert_eq!(rows(&*changes, 0).await, []);
    watch(&*changes, "t").await;
    execute(&*database, "INSERT INTO t VALUES (2)").await;
    assert_eq!(rows(&*changes, 0).await, [(1, "{\"a\":2}".to_owned())], "it counts from the beginning");
}

/// A copy is for any program that knows SQLite, so nothing in it may need ours.
#[tokio::test]
async fn a_snapshot_knows_nothing_of_watches() {
    let folder = scratch();
    let databases = open(folder.path());
    let (database, changes) = (of(&databases, "one"), changes_of(&databases, "one"));
    execute(&*database, "CREATE TABLE t (id INTEGER PRIMARY KEY)").await;
    execute(&*database, "CREATE TRIGGER mine AFTER INSERT ON t BEGIN SELECT 1; END").await;
    watch(&*changes, "t").await;
    execute(&*database, "INSERT INTO t VALUES (1)").await;
    database.transaction_with_sequence(Vec::new(), in_time()).await.expect("a number");
    let snapshot = database.snapshot().await.expect("snapshot");
    let copy = folder.path().join("copy");
    std::fs::write(&copy, snapshot.read(0, usize::MAX).await.expect("read")).expect("write");
    let copy = Connection::open(copy).expect("open");
    let count = |sql: &str| copy.query_row(sql, [], |row| row.get::<_, i64>(0)).expect(sql);
    assert_eq!(count("SELECT count(*) FROM sqlite_schema WHERE name LIKE '%orama%'"), 0);
    assert_eq!(count("SELECT count(*) FROM sqlite_schema"), 2);
    copy.execute_batch("INSERT INTO t VALUES (2); PRAGMA integrity_check;").expect("a plain database");
    assert_eq!(rows(&*changes, 0).await.len(), 1, "the original has lost nothing");
}

/// One who has no room for a change has none for the row.
#[tokio::test]
async fn a_full_database_takes_neither_the_row_nor_its_change() {
    let folder = scratch();
    let databases = open(folder.path());
    let (database, changes) = (of(&databases, "one"), changes_of(&databases, "one"));
    execute(&*database, "CREATE TABLE t (a)").await;
    watch(&*changes, "t").await;
    databases.set_limit(&named("one"), Some(400_000));
    let mut stored = 0;
    let refused = loop {
        match database.execute(statement("INSERT INTO t VALUES (hex(zeroblob(20000)))"), in_time()).await {
            Ok(_) => stored += 1,
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, SqlError::Full { limit: 400_000 }), "{refused:?}");
    assert_eq!(number(&*database, "SELECT count(*) FROM t").await, stored);
    let found = changes.changes(0, 100).await.expect("changes");
    assert_eq!(found.len() as i64, stored);
    changes.forget_changes(stored).await.expect("forgetting needs no room");
    execute(&*database, "INSERT INTO t VALUES (1)").await;
}
