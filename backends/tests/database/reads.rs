//! Reads that take long, beside everybody else.

use std::time::{Duration, Instant};

use backends::database::{self, DatabaseConfig, SqliteDatabases};
use futures_util::future::{join, join_all};
use ports::{Databases, SqlError};

use crate::{ENDLESS, execute, named, number, of, open, scratch, statement, within};

/// One thread for all calls: whoever keeps it stops the others.
#[tokio::test]
async fn a_read_without_end_stops_at_its_deadline_and_holds_up_nobody() {
    let folder = scratch();
    let databases = open(folder.path());
    let (database, other) = (of(&databases, "one"), of(&databases, "two"));
    execute(&*database, "CREATE TABLE t (id INTEGER PRIMARY KEY)").await;
    execute(&*other, "CREATE TABLE t (id INTEGER PRIMARY KEY)").await;

    let (began, time) = (Instant::now(), Duration::from_millis(700));
    let endless = join_all((0..4).map(|_| database.query(statement(ENDLESS), within(time))));
    let beside = async {
        let mut done = 0_i64;
        while began.elapsed() < time / 2 {
            execute(&*database, "INSERT INTO t DEFAULT VALUES").await;
            execute(&*other, "INSERT INTO t DEFAULT VALUES").await;
            done += 1;
            assert_eq!(number(&*database, "SELECT max(id) FROM t").await, done);
        }
        done
    };
    let (endless, done) = join(endless, beside).await;
    for result in endless {
        // Two run, two wait for their turn in vain.
        assert!(matches!(result, Err(SqlError::Deadline)), "{result:?}");
    }
    assert!(began.elapsed() < time + Duration::from_secs(1), "stopped after {:?}", began.elapsed());
    assert!(done > 5, "only {done} writes came through");
}

#[tokio::test]
async fn too_many_slow_reads_are_told_to_come_again() {
    let folder = scratch();
    let databases = open(folder.path());
    let database = of(&databases, "one");
    let time = within(Duration::from_millis(300));
    let results = join_all((0..400).map(|_| database.query(statement(ENDLESS), time))).await;
    let busy = results.iter().filter(|result| matches!(result, Err(SqlError::Busy))).count();
    assert!(busy >= 100, "{busy} were told at once");
    assert_eq!(number(&*database, "SELECT 1").await, 1, "and it goes on");
}

/// A schema is read in one go that nothing stops; that must not happen on the thread of a caller.
#[tokio::test]
async fn a_changed_schema_is_seen_by_the_next_read() {
    let folder = scratch();
    let databases = open(folder.path());
    let database = of(&databases, "one");
    for table in 0..50 {
        execute(&*database, &format!("CREATE TABLE t{table} (a)")).await;
        assert_eq!(number(&*database, &format!("SELECT count(*) FROM t{table}")).await, 0);
        execute(&*database, &format!("ALTER TABLE t{table} RENAME TO u{table}")).await;
        let gone =
            database.query(statement(&format!("SELECT count(*) FROM t{table}")), within(Duration::from_secs(60))).await;
        assert!(matches!(gone, Err(SqlError::Invalid(_))), "{gone:?}");
    }
}

/// Takes some slices of time, and ends.
const LONG: &str =
    "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 2000000) SELECT count(*) FROM n";

fn with_one_place(folder: &std::path::Path) -> SqliteDatabases {
    database::open(folder, DatabaseConfig { running_max: 1, ..DatabaseConfig::default() }).expect("open the folder")
}

#[tokio::test(flavor = "multi_thread")]
async fn long_reads_of_others_hold_up_nobody() {
    let folder = scratch();
    let databases = with_one_place(folder.path());
    let hogs: Vec<String> = (0..4).map(|number| format!("hog-{number}")).collect();
    let endless = hogs.iter().chain(&hogs).map(|hog| {
        let database = of(&databases, hog);
        tokio::spawn(async move { database.query(statement(ENDLESS), within(Duration::from_secs(600))).await })
    });
    let endless: Vec<_> = endless.collect();
    let database = of(&databases, "one");
    for _ in 0..5 {
        assert_eq!(number(&*database, LONG).await, 2_000_000);
    }
    assert!(endless.iter().all(|hog| !hog.is_finished()), "all of them are still at it");
    for hog in &hogs {
        databases.remove(&named(hog)).await.expect("remove");
    }
    for hog in endless {
        let ended = hog.await.expect("no panic");
        assert!(
            matches!(ended, Err(SqlError::Unavailable(_))),
            "it ran, or waited, until its database went: {ended:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_finds_those_who_wait_for_their_turn() {
    let folder = scratch();
    let databases = with_one_place(folder.path());
    let names: Vec<String> = (0..4).map(|number| format!("hog-{number}")).collect();
    let endless = names.iter().chain(&names).map(async |name| {
        let database = of(&databases, name);
        database.query(statement(ENDLESS), within(Duration::from_millis(400))).await
    });
    for ended in join_all(endless).await {
        assert!(matches!(ended, Err(SqlError::Deadline)), "{ended:?}");
    }
    assert_eq!(number(&*of(&databases, "one"), LONG).await, 2_000_000, "no place was lost");
}

/// Each keeps without end what it has seen: to sort it, to compare it, to look back at it.
#[tokio::test]
async fn what_a_statement_keeps_is_bounded() {
    let folder = scratch();
    let databases = open(folder.path());
    let database = of(&databases, "one");
    let rows = "WITH RECURSIVE c(n, x) AS (VALUES (1, zeroblob(1000000)) UNION ALL SELECT n + 1, zeroblob(1000000 + n) FROM c)";
    for keeps in [
        "SELECT count(*) FROM (SELECT x FROM c ORDER BY x LIMIT 100000)",
        "SELECT count(DISTINCT x) FROM c",
        ", m AS MATERIALIZED (SELECT * FROM c) SELECT count(*) FROM m AS a, m AS b",
        "SELECT count(*) FROM (SELECT lag(x, 50000) OVER () AS l FROM c) WHERE l > 1",
    ] {
        let refused = database.query(statement(&format!("{rows} {keeps}")), within(Duration::from_secs(120))).await;
        assert!(matches!(refused, Err(SqlError::Invalid(_))), "`{keeps}`: {refused:?}");
    }
    let left = std::fs::read_dir(folder.path()).expect("list").map(|entry| entry.expect("entry").file_name());
    assert!(left.into_iter().all(|name| name.to_string_lossy().starts_with("one.db")), "nothing stays");
    assert_eq!(number(&*database, LONG).await, 2_000_000);
}

#[tokio::test]
async fn what_a_statement_that_writes_keeps_is_bounded_by_its_database() {
    let folder = scratch();
    let databases = open(folder.path());
    let database = of(&databases, "one");
    execute(&*database, "CREATE TABLE t (a)").await;
    databases.set_limit(&named("one"), Some(1 << 20));
    let insert = "INSERT INTO t SELECT x FROM (WITH RECURSIVE c(n, x) AS (VALUES (1, zeroblob(1000000))
        UNION ALL SELECT n + 1, zeroblob(1000000 + n) FROM c) SELECT x FROM c ORDER BY x LIMIT 100000)";
    let refused = database.execute(statement(insert), within(Duration::from_secs(120))).await;
    assert!(matches!(refused, Err(SqlError::Invalid(_))), "{refused:?}");
    assert_eq!(number(&*database, "SELECT count(*) FROM t").await, 0);
    execute(&*database, "INSERT INTO t VALUES (1)").await;
}
