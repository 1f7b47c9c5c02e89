//! Writers that share a commit, and what one of them can do to the others: nothing.

use std::time::{Duration, Instant};

use domain::{SqlStatement, SqlValue};
use futures_util::future::{join, join_all};
use ports::{Database, SqlError, SqlStep};

use crate::{ENDLESS, execute, in_time, number, of, open, scratch, statement, within};

fn insert(id: i64) -> SqlStatement {
    SqlStatement::new("INSERT INTO t VALUES (?)", vec![SqlValue::Integer(id)])
}

/// Good writers beside one bad one, all at once, so that they meet in one transaction; several times, because sometimes they
/// do not.
async fn good_ones_lose_nothing(database: &dyn Database, bad: &str, within_ms: u64, expected: fn(&SqlError) -> bool) {
    for round in 0..10 {
        let good = join_all((1..=63).map(|id| database.execute(insert(round * 100 + id), in_time())));
        let bad = async {
            let ran = database.execute(statement(bad), within(Duration::from_millis(within_ms))).await;
            ran.expect_err("the bad one fails")
        };
        let (good, bad) = join(good, bad).await;
        assert!(expected(&bad), "{bad:?}");
        for result in good {
            assert_eq!(result.expect("a good one").rows_affected, 1);
        }
        assert_eq!(number(database, "SELECT count(*) FROM t WHERE id > 0").await, (round + 1) * 63);
    }
    assert_eq!(number(database, "SELECT count(*) FROM t").await, 631, "of the bad one nothing is there");
}

async fn check(bad: &str, within_ms: u64, expected: fn(&SqlError) -> bool) {
    let folder = scratch();
    let databases = open(folder.path());
    let database = of(&databases, "one");
    execute(&*database, "CREATE TABLE t (id INTEGER PRIMARY KEY)").await;
    execute(&*database, "CREATE TABLE child (id REFERENCES t DEFERRABLE INITIALLY DEFERRED)").await;
    execute(&*database, "INSERT INTO t VALUES (0)").await;
    good_ones_lose_nothing(&*database, bad, within_ms, expected).await;
}

fn is_constraint(error: &SqlError) -> bool {
    matches!(error, SqlError::Constraint(_))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_undoes_itself_alone() {
    check("INSERT INTO t VALUES (-1), (0)", 60_000, is_constraint).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn or_rollback_undoes_itself_alone() {
    check("INSERT OR ROLLBACK INTO t VALUES (-1), (0)", 60_000, is_constraint).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_that_fails_at_the_commit_undoes_itself_alone() {
    check("INSERT INTO child VALUES (-1)", 60_000, is_constraint).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_without_end_undoes_itself_alone() {
    let endless = format!("INSERT INTO t {}", ENDLESS.replace("count(*)", "-i"));
    check(&endless, 150, |error| matches!(error, SqlError::Deadline)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_bad_ones_of_every_kind_undo_themselves_alone() {
    let folder = scratch();
    let databases = open(folder.path());
    let database = of(&databases, "one");
    execute(&*database, "CREATE TABLE t (id INTEGER PRIMARY KEY)").await;
    execute(&*database, "INSERT INTO t VALUES (0)").await;
    let endless = format!("INSERT INTO t {}", ENDLESS.replace("count(*)", "-i"));
    let bad = |id: i64| match id % 4 {
        0 => endless.as_str(),
        1 => "INSERT OR ROLLBACK INTO t VALUES (-1), (0)",
        2 => "INSERT INTO t VALUES (-1), (0)",
        _ => "nonsense",
    };
    let all = join_all((1..=64).map(|id| {
        let database = database.clone();
        async move {
            match id % 8 {
                0 => (false, database.execute(statement(bad(id / 8)), within(Duration::from_millis(300))).await),
                _ => (true, database.execute(insert(id), in_time()).await),
            }
        }
    }));
    for (good, result) in all.await {
        assert_eq!(result.is_ok(), good, "{result:?}");
    }
    assert_eq!(number(&*database, "SELECT count(*) FROM t WHERE id >= 0").await, 57);
    assert_eq!(number(&*database, "SELECT count(*) FROM t WHERE id < 0").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_of_many_callers_do_not_mix() {
    let folder = scratch();
    let databases = open(folder.path());
    let database = of(&databases, "one");
    execute(&*database, "CREATE TABLE account (id INTEGER PRIMARY KEY, amount INTEGER CHECK (amount >= 0))").await;
    execute(&*database, "INSERT INTO account VALUES (1, 100), (2, 0)").await;
    let transfer = |_| {
        let database = database.clone();
        async move {
            let step = |sql| SqlStep::Execute(statement(sql));
            let give = step("UPDATE account SET amount = amount + 1 WHERE id = 2");
            let take = step("UPDATE account SET amount = amount - 1 WHERE id = 1");
            database.transaction(vec![give, take], in_time()).await.is_ok()
        }
    };
    let done = join_all((0..200).map(transfer)).await.into_iter().filter(|done| *done).count();
    assert_eq!(done, 100, "as many as there was money for");
    assert_eq!(number(&*database, "SELECT amount FROM account WHERE id = 2").await, 100);
    assert_eq!(number(&*database, "SELECT amount FROM account WHERE id = 1").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_is_seen_at_once() {
    let folder = scratch();
    let databases = open(folder.path());
    let database = of(&databases, "one");
    execute(&*database, "CREATE TABLE t (id INTEGER PRIMARY KEY)").await;
    let write_and_look = |id: i64| {
        let database = database.clone();
        async move {
            database.execute(insert(id), in_time()).await.expect("insert");
            let mine = SqlStatement::new("SELECT id FROM t WHERE id = ?", vec![SqlValue::Integer(id)]);
            assert_eq!(database.query(mine, in_time()).await.expect("query").rows.len(), 1, "{id}");
        }
    };
    join_all((0..400).map(write_and_look)).await;
}

/// Whoever has no time left is told so at once, and does not come back later.
#[tokio::test]
async fn work_that_waits_too_long_is_not_done() {
    let folder = scratch();
    let databases = open(folder.path());
    let database = of(&databases, "one");
    execute(&*database, "CREATE TABLE t (id INTEGER PRIMARY KEY)").await;
    let endless = format!("INSERT INTO t {}", ENDLESS.replace("count(*)", "-i"));
    let began = Instant::now();
    let slow = database.execute(statement(&endless), within(Duration::from_millis(600)));
    let waits = async {
        tokio::task::yield_now().await;
        // This one may still meet the slow one in one transaction, and then goes before it.
        let met = database.execute(insert(1), within(Duration::from_millis(100))).await.is_ok();
        let late = database.execute(insert(2), within(Duration::from_millis(100))).await;
        (met, late, began.elapsed())
    };
    let (slow, (met, late, took)) = join(slow, waits).await;
    assert!(matches!(slow, Err(SqlError::Deadline)), "{slow:?}");
    assert!(matches!(late, Err(SqlError::Deadline)), "{late:?}");
    assert!(took < Duration::from_millis(500), "it was told after {took:?}");
    assert_eq!(number(&*database, "SELECT count(*) FROM t").await, i64::from(met));
}
