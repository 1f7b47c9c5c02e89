//! Reads that take long, beside everybody else.

use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use ports::SqlError;

use crate::{ENDLESS, execute, number, of, open, scratch, statement, within};

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
