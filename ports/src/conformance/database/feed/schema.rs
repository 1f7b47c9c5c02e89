use super::Watched;
use crate::SqlError;

/// The watch is on a name: whatever table has it is watched, as it is at the moment.
pub(super) async fn check(watched: &Watched) {
    watched.watch(&["t"]).await;
    assert_eq!(watched.subject.database.schema().await.expect("schema"), []);
    for (sql, told) in [
        ("CREATE TABLE other (a)", ""),
        ("INSERT INTO other VALUES (1)", ""),
        ("CREATE TABLE t (a)", ""),
        ("INSERT INTO t VALUES (1)", "insert t {\"a\":1}"),
        ("ALTER TABLE t ADD COLUMN b DEFAULT 2", ""),
        ("UPDATE t SET a = 3", "update t {\"a\":3,\"b\":2} was {\"a\":1,\"b\":2}"),
        ("ALTER TABLE t RENAME COLUMN b TO \"b 2\"", ""),
        ("UPDATE t SET a = 4", "update t {\"a\":4,\"b 2\":2} was {\"a\":3,\"b 2\":2}"),
        ("ALTER TABLE t DROP COLUMN \"b 2\"", ""),
        ("UPDATE t SET a = 5", "update t {\"a\":5} was {\"a\":4}"),
        ("ALTER TABLE t RENAME TO away", ""),
        ("UPDATE away SET a = 6", ""),
        ("ALTER TABLE other RENAME TO \"T\"", ""),
        ("UPDATE t SET a = 7", "update T {\"a\":7} was {\"a\":1}"),
        ("DROP TABLE t", ""),
        ("CREATE VIEW t AS SELECT 1", ""),
        ("DROP VIEW t", ""),
        ("CREATE TABLE t AS SELECT a AS x FROM away", ""),
        ("DELETE FROM t", "delete t {\"x\":6}"),
        ("CREATE INDEX i ON t (x)", ""),
        ("DROP INDEX i", ""),
        ("REINDEX", ""),
        ("ANALYZE", ""),
        ("DROP TABLE away", ""),
        ("INSERT INTO t VALUES (8)", "insert t {\"x\":8}"),
    ] {
        watched.execute(sql).await;
        assert_eq!(watched.told().await.concat(), told, "`{sql}`");
    }
    failed_changes_of_the_schema(watched).await;
    scripts(watched).await;
}

async fn failed_changes_of_the_schema(watched: &Watched) {
    for bad in [
        "ALTER TABLE t DROP COLUMN nowhere",
        "ALTER TABLE t DROP COLUMN x",
        "ALTER TABLE t RENAME TO _orama_mine",
        "ALTER TABLE t RENAME TO sqlite_mine",
        "DROP TABLE nowhere",
        "DROP TABLE _orama_outbox",
        "CREATE TABLE t (a)",
    ] {
        let refused = watched.subject.try_execute(bad, &[]).await;
        assert!(matches!(refused, Err(SqlError::Invalid(_) | SqlError::NotAllowed(_))), "`{bad}`: {refused:?}");
        watched.execute("INSERT INTO t VALUES (9)").await;
        assert_eq!(watched.told().await, ["insert t {\"x\":9}"], "still watched after `{bad}`");
    }
}

async fn scripts(watched: &Watched) {
    let script = "INSERT INTO t VALUES (10);
        ALTER TABLE t ADD COLUMN y;
        INSERT INTO t VALUES (11, 12);
        DROP TABLE t;
        CREATE TABLE t (z);
        INSERT INTO t VALUES (13);";
    watched.subject.database.script(script.to_owned(), super::bounds()).await.expect("a script");
    let want = ["insert t {\"x\":10}", "insert t {\"x\":11,\"y\":12}", "insert t {\"z\":13}"];
    assert_eq!(watched.told().await, want);
}
