use domain::{SqlChanged, SqlValue};

use super::{Subject, bounds, statement, text};
use crate::{Databases, SqlError, SqlStep, SqlStepResult};

pub(super) async fn check(subject: &Subject) {
    counts_and_row_ids(subject).await;
    failures_change_nothing(subject).await;
    queries_that_write(subject).await;
}

fn changed(rows_affected: u64, last_insert_id: Option<i64>) -> SqlChanged {
    SqlChanged { rows_affected, last_insert_id }
}

async fn counts_and_row_ids(subject: &Subject) {
    assert_eq!(subject.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a UNIQUE)").await, changed(0, None));
    assert_eq!(subject.execute("INSERT INTO t (a) VALUES ('x'), ('y')").await, changed(2, Some(2)));
    assert_eq!(subject.execute("REPLACE INTO t VALUES (9, 'z')").await, changed(1, Some(9)));
    assert_eq!(subject.execute("INSERT OR IGNORE INTO t VALUES (9, 'w')").await, changed(0, None));
    let upsert = "INSERT INTO t VALUES (9, 'v') ON CONFLICT (id) DO UPDATE SET a = excluded.a";
    assert_eq!(subject.execute(upsert).await, changed(1, None), "an upsert that updated has inserted nothing");
    assert_eq!(
        subject.execute("WITH n(i) AS (VALUES (20)) INSERT INTO t SELECT i, i FROM n").await,
        changed(1, Some(20))
    );
    assert_eq!(subject.execute("UPDATE t SET a = a || '!' WHERE id < 10").await, changed(3, None));
    assert_eq!(subject.execute("DELETE FROM t WHERE id = 20").await, changed(1, None));
    assert_eq!(subject.execute("SELECT * FROM t").await, changed(0, None), "a query changes nothing");
    assert_eq!(subject.execute("CREATE INDEX i ON t (a)").await, changed(0, None));
    assert_eq!(subject.execute("CREATE TABLE k (a PRIMARY KEY) WITHOUT ROWID").await, changed(0, None));
    assert_eq!(subject.execute("INSERT INTO k VALUES ('only')").await, changed(1, None), "there is no row id");
    assert_eq!(subject.number("SELECT count(*) FROM t").await, 3);
}

async fn failures_change_nothing(subject: &Subject) {
    let before = subject.number("SELECT count(*) FROM t").await;
    for resolution in ["", "OR ABORT", "OR FAIL", "OR ROLLBACK"] {
        let sql = format!("INSERT {resolution} INTO t VALUES (100, 'n'), (9, 'taken')");
        let refused = subject.try_execute(&sql, &[]).await;
        assert!(matches!(refused, Err(SqlError::Constraint(_))), "`{sql}`: {refused:?}");
        assert_eq!(subject.number("SELECT count(*) FROM t").await, before, "`{sql}` left something");
    }
    subject.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)").await;
    subject.execute("CREATE TABLE child (p REFERENCES parent DEFERRABLE INITIALLY DEFERRED)").await;
    let refused = subject.try_execute("INSERT INTO child VALUES (1)", &[]).await;
    assert!(matches!(refused, Err(SqlError::Constraint(_))), "a deferred reference: {refused:?}");
    assert_eq!(subject.number("SELECT count(*) FROM child").await, 0);
    subject.execute(RAISES).await;
    let refused = subject.try_execute("DELETE FROM parent", &[]).await;
    assert!(refused.is_ok(), "the trigger is for rows, of which there are none: {refused:?}");
    subject.execute("INSERT INTO parent VALUES (7)").await;
    let refused = subject.try_execute("DELETE FROM parent", &[]).await;
    assert!(matches!(&refused, Err(SqlError::Constraint(text)) if text == "never"), "{refused:?}");
    assert_eq!(subject.number("SELECT id FROM parent").await, 7);
}

const RAISES: &str = "CREATE TRIGGER never BEFORE DELETE ON parent BEGIN SELECT RAISE(ROLLBACK, 'never'); END";

async fn queries_that_write(subject: &Subject) {
    let found = subject.query("INSERT INTO t VALUES (50, 'q') RETURNING id, a", &[]).await;
    assert_eq!(found, [[SqlValue::Integer(50), text("q")]]);
    let found = subject.query("WITH n(i) AS (VALUES (51)) INSERT INTO t SELECT i, i FROM n RETURNING id", &[]).await;
    assert_eq!(found, [[SqlValue::Integer(51)]]);
    assert_eq!(subject.number("SELECT count(*) FROM t WHERE id IN (50, 51)").await, 2);
}

pub(super) async fn check_transactions(subject: &Subject) {
    subject.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a)").await;
    subject.execute("CREATE TABLE part (of_id INTEGER NOT NULL)").await;
    let execute = |sql| SqlStep::Execute(statement(sql));
    let query = |sql| SqlStep::Query(statement(sql));

    let steps = vec![
        query("SELECT count(*) FROM t"),
        execute("INSERT INTO t (a) VALUES ('x')"),
        query("SELECT broken"),
        execute("INSERT INTO part VALUES (last_insert_rowid())"),
    ];
    let results = subject.database.transaction(steps, bounds()).await.expect("commit");
    assert_eq!(results.len(), 4);
    assert!(matches!(&results[0], SqlStepResult::Found(Ok(rows)) if rows.rows == [[SqlValue::Integer(1)]]));
    assert!(matches!(&results[1], SqlStepResult::Changed(new) if *new == changed(1, Some(1))), "{:?}", results[1]);
    assert!(matches!(&results[2], SqlStepResult::Found(Err(SqlError::Invalid(_)))), "a failed query undoes nothing");
    assert!(matches!(&results[3], SqlStepResult::Changed(new) if new.rows_affected == 1));
    assert_eq!(subject.number("SELECT of_id FROM part").await, 1);

    let steps = |bad| vec![query("SELECT 1"), execute("DELETE FROM t"), execute(bad), execute("DELETE FROM part")];
    for (bad, wants_constraint) in [
        ("INSERT INTO part VALUES (NULL)", true),
        ("INSERT OR ROLLBACK INTO part VALUES (NULL)", true),
        ("nonsense", false),
    ] {
        let failed = subject.database.transaction(steps(bad), bounds()).await.expect_err("the third step fails");
        assert_eq!(failed.failed, Some(2), "`{bad}`");
        assert_eq!(matches!(failed.error, SqlError::Constraint(_)), wants_constraint, "`{bad}`: {:?}", failed.error);
        assert_eq!(subject.number("SELECT count(*) FROM t").await, 1, "`{bad}` left something");
    }
    for control in ["BEGIN", "COMMIT", "ROLLBACK", "END", "SAVEPOINT a", "RELEASE a"] {
        let failed = subject.database.transaction(steps(control), bounds()).await.expect_err("transactions are ours");
        assert_eq!(failed.failed, Some(2), "`{control}`");
        assert!(matches!(failed.error, SqlError::NotAllowed(_)), "`{control}`: {:?}", failed.error);
    }
    assert_eq!(subject.number("SELECT count(*) FROM t").await, 1);
    assert!(subject.database.transaction(Vec::new(), bounds()).await.expect("nothing to do").is_empty());
}

pub(super) async fn check_sequence(databases: &dyn Databases) {
    let subject = Subject::of(databases, "sequence");
    let next = async |steps| subject.database.transaction_with_sequence(steps, bounds()).await;
    assert_eq!(next(Vec::new()).await.expect("a number without steps").1, 1);
    subject.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)").await;
    let insert = || vec![SqlStep::Execute(statement("INSERT INTO t (id) VALUES (1)"))];
    let (results, number) = next(insert()).await.expect("commit");
    assert!(matches!(&results[..], [SqlStepResult::Changed(_)]) && number == 2, "{results:?} {number}");
    let failed = next(insert()).await.expect_err("the row is there");
    assert_eq!(failed.failed, Some(0));
    let after = next(Vec::new()).await.expect("a number").1;
    assert_eq!(after, 3, "what was undone took no number");
    let all = futures_util::future::join_all((0..40).map(|_| next(Vec::new()))).await;
    let mut numbers: Vec<i64> = all.into_iter().map(|taken| taken.expect("a number").1).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (4..44).collect::<Vec<_>>(), "no gap and none twice");
    assert_eq!(subject.database.schema().await.expect("schema").len(), 1, "nobody sees where they are counted");
    let other = Subject::of(databases, "sequence-of-another");
    let first = other.database.transaction_with_sequence(Vec::new(), bounds()).await.expect("a number").1;
    assert_eq!(first, 1, "each namespace counts for itself");
}

pub(super) async fn check_batches(subject: &Subject) {
    subject.execute("CREATE TABLE t (a)").await;
    subject.execute("INSERT INTO t VALUES (1), (2)").await;
    let queries = ["SELECT count(*) FROM t", "SELECT broken", "DELETE FROM t", "BEGIN", "SELECT max(a) FROM t"];
    let results = subject.database.query_batch(queries.map(statement).into(), bounds()).await.expect("a batch");
    assert_eq!(results.len(), 5);
    assert!(matches!(&results[0], Ok(rows) if rows.rows == [[SqlValue::Integer(2)]]));
    assert!(matches!(&results[1], Err(SqlError::Invalid(_))));
    assert!(matches!(&results[2], Err(SqlError::NotAllowed(_))), "{:?}", results[2]);
    assert!(matches!(&results[3], Err(SqlError::NotAllowed(_))), "{:?}", results[3]);
    assert!(matches!(&results[4], Ok(rows) if rows.rows == [[SqlValue::Integer(2)]]));
    assert_eq!(subject.number("SELECT count(*) FROM t").await, 2);
    subject.execute("INSERT INTO t VALUES (3)").await;
    assert_eq!(subject.number("SELECT count(*) FROM t").await, 3, "the batch holds nothing open");
}
