use domain::SqlValue;

use super::Watched;
use crate::CHANGE_ROW_BYTES_MAX;
use crate::conformance::database::text;

pub(super) async fn check(watched: &Watched) {
    values_are_those_of_the_api(watched).await;
    tables_of_every_kind(watched).await;
    what_sets_off_what(watched).await;
    large_rows_are_cut(watched).await;
}

async fn values_are_those_of_the_api(watched: &Watched) {
    watched.watch(&["kept"]).await;
    watched.execute("CREATE TABLE kept (id INTEGER PRIMARY KEY, v)").await;
    for (value, json) in [
        (SqlValue::Null, "null"),
        (SqlValue::Integer(i64::MAX), "9223372036854775807"),
        (SqlValue::Integer(i64::MIN), "-9223372036854775808"),
        (SqlValue::Real(0.1 + 0.2), "0.30000000000000004"),
        (SqlValue::Real(5e-324), "5e-324"),
        (SqlValue::Real(f64::NEG_INFINITY), "\"-Infinity\""),
        (text("it's \"quoted\" \u{1f600}\n"), "\"it's \\\"quoted\\\" \u{1f600}\\n\""),
        (text("a\0b"), "\"a\\u0000b\""),
        (text("{\"a\":1}"), "\"{\\\"a\\\":1}\""),
        (SqlValue::Blob(vec![0, 255, 7]), "{\"base64\":\"AP8H\"}"),
        (SqlValue::Blob(Vec::new()), "{\"base64\":\"\"}"),
    ] {
        watched.subject.try_execute("REPLACE INTO kept VALUES (1, ?)", &[value]).await.expect("insert");
        assert_eq!(watched.told().await, [format!("insert kept {{\"id\":1,\"v\":{json}}}")]);
    }
    watched.execute("REPLACE INTO kept VALUES (1, CAST(x'ff41' AS TEXT))").await;
    assert_eq!(watched.told().await, ["insert kept {\"id\":1,\"v\":{\"base64\":\"/0E=\"}}"]);
}

async fn tables_of_every_kind(watched: &Watched) {
    let wide: Vec<String> = (0..300).map(|number| format!("c{number}")).collect();
    for (table, columns, values, row) in [
        ("\"a b\"", "\"c d\", \"e\"\"f\", \"g'h\"", "1, 2, 3", "{\"c d\":1,\"e\\\"f\":2,\"g'h\":3}".to_owned()),
        ("\"x\"\";drop\"", "[a;b], `c)d`", "1, 2", "{\"a;b\":1,\"c)d\":2}".to_owned()),
        ("\"x'); DROP TABLE t; --\"", "a", "1", "{\"a\":1}".to_owned()),
        ("größe", "\"été 🙂\"", "1", "{\"été 🙂\":1}".to_owned()),
        ("\"select\"", "\"new\", \"old\", \"rowid\"", "1, 2, 3", "{\"new\":1,\"old\":2,\"rowid\":3}".to_owned()),
        ("_0", "rowid, _rowid_, oid", "1, 2, 3", "{\"rowid\":1,\"_rowid_\":2,\"oid\":3}".to_owned()),
        ("\"_oram\"", "a PRIMARY KEY", "1", "{\"a\":1}".to_owned()),
        ("made", "a, b AS (a * 2), c AS (a || '!') STORED", "1", "{\"a\":1,\"b\":2,\"c\":\"1!\"}".to_owned()),
        ("keyed", "a, b, PRIMARY KEY (b, a)", "1, 2", "{\"a\":1,\"b\":2}".to_owned()),
        ("bare", "a TEXT, b ANY, PRIMARY KEY (b, a)", "'x', 2", "{\"a\":\"x\",\"b\":2}".to_owned()),
        (
            "wide",
            &wide.join(","),
            &vec!["7"; 300].join(","),
            format!("{{{}}}", wide.iter().map(|name| format!("\"{name}\":7")).collect::<Vec<_>>().join(",")),
        ),
    ] {
        let name = table.trim_matches('"').replace("\"\"", "\"");
        watched.watch(&[&name]).await;
        let ending = if table == "bare" { "WITHOUT ROWID, STRICT" } else { "" };
        watched.execute(&format!("CREATE TABLE {table} ({columns}) {ending}")).await;
        watched.execute(&format!("INSERT INTO {table} VALUES ({values})")).await;
        let first = columns.split(',').next().and_then(|column| column.split(" PRIMARY").next()).expect("a column");
        let first = first.strip_suffix(" TEXT").unwrap_or(first);
        watched.execute(&format!("UPDATE {table} SET {first} = {first}")).await;
        watched.execute(&format!("DELETE FROM {table}")).await;
        let want =
            [format!("insert {name} {row}"), format!("update {name} {row} was {row}"), format!("delete {name} {row}")];
        assert_eq!(watched.told().await, want);
    }
}

/// References that delete, triggers of the tenant, and what stands in the place of another.
async fn what_sets_off_what(watched: &Watched) {
    watched.watch(&["t", "child", "copy"]).await;
    for sql in [
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a UNIQUE)",
        "CREATE TABLE child (p REFERENCES t ON DELETE CASCADE ON UPDATE SET NULL)",
        "CREATE TABLE copy (a)",
        "CREATE TRIGGER copies AFTER INSERT ON t BEGIN INSERT INTO copy VALUES (new.a); END",
        "INSERT INTO t VALUES (1, 'x'), (2, 'y')",
        "INSERT INTO child VALUES (1), (2)",
    ] {
        watched.execute(sql).await;
    }
    let found = watched.take().await;
    let tables = |table: &str| found.iter().filter(|change| change.table == table).count();
    assert_eq!((tables("t"), tables("copy"), tables("child")), (2, 2, 2));

    watched.execute("INSERT INTO t VALUES (1, 'z') ON CONFLICT (id) DO UPDATE SET a = excluded.a").await;
    assert_eq!(watched.told().await, ["update t {\"id\":1,\"a\":\"z\"} was {\"id\":1,\"a\":\"x\"}"]);
    watched.execute("INSERT INTO t VALUES (1, 'z') ON CONFLICT DO NOTHING").await;
    watched.execute("INSERT OR IGNORE INTO t VALUES (7, 'z')").await;
    assert_eq!(watched.told().await, [""; 0]);
    watched.execute("UPDATE t SET id = 3 WHERE id = 2").await;
    let mut told = watched.told().await;
    told.sort();
    let want =
        ["update child {\"p\":null} was {\"p\":2}", "update t {\"id\":3,\"a\":\"y\"} was {\"id\":2,\"a\":\"y\"}"];
    assert_eq!(told, want);
    watched.execute("DELETE FROM t WHERE id = 1").await;
    let mut told = watched.told().await;
    told.sort();
    assert_eq!(told, ["delete child {\"p\":1}", "delete t {\"id\":1,\"a\":\"z\"}"]);
    watched.execute("DROP TRIGGER copies").await;
    watched.execute("REPLACE INTO t VALUES (5, 'y')").await;
    assert_eq!(watched.told().await, ["insert t {\"id\":5,\"a\":\"y\"}"], "the one that it replaces is not told");
}

async fn large_rows_are_cut(watched: &Watched) {
    watched.watch(&["large", "keyed_large", "all_key"]).await;
    for sql in [
        "CREATE TABLE large (a, b)",
        "CREATE TABLE keyed_large (a, k TEXT, l INTEGER, PRIMARY KEY (l, k)) WITHOUT ROWID",
        "CREATE TABLE all_key (k TEXT PRIMARY KEY)",
    ] {
        watched.execute(sql).await;
    }
    let fits = CHANGE_ROW_BYTES_MAX - "{\"a\":\"\",\"b\":1}".len();
    for (sql, bytes) in [
        ("INSERT INTO large VALUES (?, 1)", fits),
        ("INSERT INTO large VALUES (?, 1)", fits + 1),
        ("INSERT INTO large VALUES (?1, ?1)", CHANGE_ROW_BYTES_MAX * 2 / 3),
        ("UPDATE large SET a = b || ? WHERE rowid = 1", 1_000_000),
        ("INSERT INTO keyed_large VALUES (?, 'x', 7)", 1_000_000),
        ("INSERT INTO all_key VALUES (?)", 1_000_000),
    ] {
        watched.subject.try_execute(sql, &[text(&"x".repeat(bytes))]).await.expect("large rows are allowed");
    }
    let found = watched.take().await;
    assert!(found.iter().all(|change| change.row.len() <= CHANGE_ROW_BYTES_MAX));
    assert_eq!(found[0].row.len(), CHANGE_ROW_BYTES_MAX);
    let rows: Vec<&str> = found[1..].iter().map(|change| change.row.as_str()).collect();
    let want = [
        "{\"rowid\":2,\"truncated\":true}",
        "{\"rowid\":3,\"truncated\":true}",
        "{\"rowid\":1,\"truncated\":true}",
        "{\"l\":7,\"k\":\"x\",\"truncated\":true}",
        "{\"truncated\":true}",
    ];
    assert_eq!(rows, want);
    assert_eq!(found[3].old_row.as_ref().map(String::len), Some(CHANGE_ROW_BYTES_MAX), "each side on its own");

    for _ in 0..50 {
        let fitting = [text(&"x".repeat(fits))];
        watched.subject.try_execute("INSERT INTO large VALUES (?, 1)", &fitting).await.expect("insert");
    }
    let first = watched.changes.changes(0, 1_000).await.expect("changes").len();
    assert!((1..50).contains(&first), "an answer is bounded: {first} came");
    let mut all = 0;
    while all < 50 {
        let found = watched.changes.changes(0, 1_000).await.expect("changes");
        all += found.len();
        watched.changes.forget_changes(found.last().expect("there are more").seq).await.expect("forget");
    }
}
