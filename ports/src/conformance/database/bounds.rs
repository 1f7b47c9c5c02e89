use std::time::{Duration, Instant};

use domain::{SqlStatement, SqlValue};

use super::{Subject, bounds, namespace, statement};
use crate::{Databases, SqlBounds, SqlError, SqlStep};

/// Numbers without end.
const ENDLESS: &str = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
const MANY: &str = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 10000000) SELECT i FROM n";

pub(super) async fn check(subject: &Subject) {
    subject.execute("CREATE TABLE t (a)").await;
    results_are_capped(subject).await;
    deadlines_hold(subject).await;
    what_is_too_big_is_refused(subject).await;
}

async fn results_are_capped(subject: &Subject) {
    let refused = subject.try_query(MANY, &[]).await;
    assert!(matches!(refused, Err(SqlError::TooLarge { limit: 10_000, unit: "rows" })), "{refused:?}");
    let exactly = |rows_max| SqlBounds { rows_max, ..bounds() };
    let three = || statement("VALUES (1), (2), (3)");
    assert_eq!(subject.database.query(three(), exactly(3)).await.expect("three rows").rows.len(), 3);
    let refused = subject.database.query(three(), exactly(2)).await;
    assert!(matches!(refused, Err(SqlError::TooLarge { limit: 2, unit: "rows" })), "{refused:?}");

    let few = SqlBounds { bytes_max: 1_000_000, ..bounds() };
    let large = SqlStatement::new("SELECT ?1, ?1", vec![SqlValue::Blob(vec![1; 600_000])]);
    let refused = subject.database.query(large, few).await;
    assert!(matches!(refused, Err(SqlError::TooLarge { unit: "bytes", .. })), "{refused:?}");
    let half = || SqlStatement::new("SELECT ?1", vec![SqlValue::Blob(vec![1; 600_000])]);
    let together = subject.database.query_batch(vec![half(), half()], few).await.expect("a batch");
    assert!(together[0].is_ok());
    assert!(matches!(&together[1], Err(SqlError::TooLarge { .. })), "all results count together");
    let steps = vec![SqlStep::Query(half()), SqlStep::Query(half())];
    let together = subject.database.transaction(steps, few).await.expect("a transaction");
    assert!(matches!(&together[1], crate::SqlStepResult::Found(Err(SqlError::TooLarge { .. }))));

    let returning = "INSERT INTO t VALUES (1), (2), (3) RETURNING a";
    let refused = subject.database.query(statement(returning), exactly(2)).await;
    assert!(matches!(refused, Err(SqlError::TooLarge { .. })), "{refused:?}");
    assert_eq!(subject.number("SELECT count(*) FROM t").await, 0, "what was refused has not happened");
}

async fn deadlines_hold(subject: &Subject) {
    let insert = format!("INSERT INTO t {ENDLESS}");
    for sql in [ENDLESS, &insert, "EXPLAIN QUERY PLAN SELECT 1"] {
        let past = SqlBounds::until(Instant::now());
        let refused = subject.database.query(statement(sql), past).await;
        assert!(matches!(refused, Err(SqlError::Deadline)), "`{sql}` too late: {refused:?}");
    }
    for sql in [ENDLESS, &insert] {
        let (began, time) = (Instant::now(), Duration::from_millis(200));
        let refused = subject.database.query(statement(sql), SqlBounds::until(began + time)).await;
        assert!(matches!(refused, Err(SqlError::Deadline)), "`{sql}`: {refused:?}");
        assert!(began.elapsed() >= time, "`{sql}` had its time");
    }
    let began = Instant::now();
    let refused =
        subject.database.execute(statement(&insert), SqlBounds::until(began + Duration::from_millis(50))).await;
    assert!(matches!(refused, Err(SqlError::Deadline)), "{refused:?}");
    assert_eq!(subject.number("SELECT count(*) FROM t").await, 0);
    subject.execute("INSERT INTO t VALUES (1)").await;
    subject.execute("DELETE FROM t").await;
}

async fn what_is_too_big_is_refused(subject: &Subject) {
    let nested = format!("SELECT {}1{}", "(".repeat(200), ")".repeat(200));
    let compound = vec!["SELECT 1"; 60].join(" UNION ALL ");
    let parameters = format!("SELECT {}", vec!["?"; 2_000].join(","));
    let like = format!("SELECT 'a' LIKE '{}'", "%".repeat(5_000));
    let columns: Vec<String> = (0..3_000).map(|n| format!("c{n}")).collect();
    let wide = format!("CREATE TABLE wide ({})", columns.join(","));
    for sql in [
        "SELECT zeroblob(2000000000)",
        "SELECT randomblob(500000000)",
        "SELECT length(hex(zeroblob(1900000)))",
        "SELECT length(replace(hex(zeroblob(500000)), '0', 'abcdefgh'))",
        "SELECT length(group_concat(zeroblob(1000000))) FROM (VALUES (1), (2), (3), (4))",
        "SELECT length(json_group_array(hex(zeroblob(400000)))) FROM (VALUES (1), (2), (3), (4))",
        "SELECT length(json_group_object(column1, hex(zeroblob(400000)))) FROM (VALUES (1), (2), (3), (4))",
        "SELECT length(jsonb_group_array(hex(zeroblob(400000)))) FROM (VALUES (1), (2), (3), (4))",
        "SELECT json_group_array(zeroblob(3))",
        "SELECT printf('%.*c', 2147483647, 'x')",
        "SELECT printf('%2147483647d', 1)",
        "SELECT format('%.99999999999999999999f', 1)",
        "SELECT unhex('00', ' ')",
        &nested,
        &compound,
        &parameters,
        &like,
        &wide,
    ] {
        let began = Instant::now();
        let arguments = vec![SqlValue::Null; if sql == parameters { 2_000 } else { 0 }];
        let refused = subject.try_query(sql, &arguments).await;
        assert!(matches!(refused, Err(SqlError::Invalid(_))), "`{sql:.60}`: {refused:?}");
        assert!(began.elapsed() < Duration::from_secs(2), "`{sql:.60}` took {:?}", began.elapsed());
    }
    for sql in [
        "SELECT instr(zeroblob(2000000), zeroblob(1000000) || x'01')",
        "SELECT length(replace(zeroblob(2000000), zeroblob(1000000) || x'01', 'x'))",
        "SELECT length(trim(hex(zeroblob(1000000)), hex(randomblob(500000)) || '0'))",
    ] {
        let began = Instant::now();
        subject.query(sql, &[]).await;
        assert!(began.elapsed() < Duration::from_secs(2), "`{sql}` took {:?}", began.elapsed());
    }
}

pub(super) async fn check_limit(databases: &dyn Databases) {
    let (subject, limited) = (Subject::of(databases, "limited"), namespace("limited"));
    subject.execute("CREATE TABLE t (a)").await;
    databases.set_limit(&limited, Some(200_000));
    let fill = "INSERT INTO t VALUES (zeroblob(50000))";
    let mut stored = 0;
    let refused = loop {
        match subject.try_execute(fill, &[]).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 10, "the limit does not hold");
    };
    assert!(matches!(refused, SqlError::Full { limit: 200_000 }), "{refused:?}");
    assert_eq!(subject.number("SELECT count(*) FROM t").await, stored);
    assert!(subject.database.bytes().await.expect("size") <= 200_000);

    subject.execute("DELETE FROM t WHERE rowid = 1").await;
    subject.execute(fill).await;
    databases.set_limit(&limited, None);
    for _ in 0..10 {
        subject.execute(fill).await;
    }
    assert!(subject.database.bytes().await.expect("size") > 500_000);
}
