//! The database by HTTP: which SQL goes in, which JSON comes out.

use domain::{SqlChanged, SqlRows, SqlValue};
use expect_test::{Expect, expect};
use http::Method;
use ports::{SchemaObject, SqlError};
use serde_json::json;

use crate::support::{House, Seen, home, request, with_key};

fn rows(columns: &[&str], rows: Vec<Vec<SqlValue>>) -> SqlRows {
    SqlRows { columns: columns.iter().map(|name| (*name).to_owned()).collect(), rows }
}

fn users() -> SqlRows {
    rows(
        &["id", "name", "photo"],
        vec![
            vec![
                SqlValue::Integer(9_007_199_254_740_993),
                SqlValue::Text("ada".to_owned()),
                SqlValue::Blob(vec![0, 255]),
            ],
            vec![SqlValue::Integer(2), SqlValue::Null, SqlValue::Real(0.5)],
        ],
    )
}

/// What was asked of the database, statement by statement.
fn asked(house: &House) -> String {
    let asked = house.databases.asked();
    asked.iter().map(|(namespace, asked)| format!("{namespace}: {} {:?}\n", asked.sql, asked.arguments)).collect()
}

/// The text as it was sent: numbers keep every digit.
fn body(seen: &Seen) -> String {
    String::from_utf8_lossy(&seen.body).into_owned()
}

#[track_caller]
fn check(seen: &Seen, status: u16, want: Expect) {
    assert_eq!(seen.status.as_u16(), status, "{seen:?}");
    want.assert_eq(&crate::support::without_ids(&body(seen)));
}

#[tokio::test]
async fn a_query_answers_rows_without_loss() {
    let house = House::open().await;
    house.databases.answer("SELECT * FROM users WHERE id > ?", users());
    let ask = r#"{"sql":"SELECT * FROM users WHERE id > ?","args":[9007199254740992],"unknown":true}"#;
    let seen = house.client(Method::POST, "/v1/rqlite/query", ask).await;
    check(
        &seen,
        200,
        expect![[
            r#"{"items":[{"id":9007199254740993,"name":"ada","photo":{"base64":"AP8="}},{"id":2,"name":null,"photo":0.5}],"count":2}"#
        ]],
    );
    expect![[r#"
        default: SELECT * FROM users WHERE id > ? [Integer(9007199254740992)]
    "#]]
    .assert_eq(&asked(&house));
    for path in ["/v1/rqlite/query?int64=string", "/v1/rqlite/query"] {
        let ask = json!({ "sql": "SELECT * FROM users WHERE id > ?", "args": [1.0], "int64": "string" });
        let seen = house.post(path, ask).await;
        assert_eq!(seen.json()["items"][0]["id"], "9007199254740993");
    }
}

#[tokio::test]
async fn bodies_that_are_none_name_the_field() {
    let house = House::open().await;
    let refusal = async |path: &str, body: &str| {
        let seen = house.client(Method::POST, path, body.to_owned()).await;
        assert_eq!((seen.status.as_u16(), seen.code().as_str()), (400, "VALIDATION_FAILED"), "{body}");
        seen.text("error")
    };
    let query = "/v1/rqlite/query";
    assert_eq!(refusal(query, "").await, "sql is required");
    assert_eq!(refusal(query, "{").await, "the body is not valid JSON: see line 1, column 1");
    assert_eq!(refusal(query, "[]").await, "the body must be a JSON object");
    assert_eq!(refusal(query, r#"{"sql":7}"#).await, "`sql` must be a text");
    assert_eq!(refusal(query, r#"{"sql":"SELECT 1","int64":"hex"}"#).await, "`int64` must be `string` or `number`");
    assert!(refusal(query, r#"{"sql":"SELECT ?","args":{"a":1}}"#).await.starts_with("`args`: "));
    assert!(
        refusal(query, r#"{"sql":"SELECT ?","args":[18446744073709551615]}"#).await.contains("does not fit 64 bits")
    );
    assert_eq!(
        refusal("/v1/rqlite/transaction", r#"{"ops":[{"kind":"both","sql":"x"}]}"#).await,
        "`kind` of each of `ops` must be `exec` or `query`"
    );
    assert_eq!(
        refusal("/v1/rqlite/transaction", "{}").await,
        "`ops` or `statements` is required, with at least one statement"
    );
    let many = json!({ "statements": vec!["SELECT 1"; 101] }).to_string();
    assert_eq!(
        refusal("/v1/rqlite/transaction", &many).await,
        "a transaction has at most 100 statements, this one has 101"
    );
    assert!(house.databases.asked().is_empty());
    let large = house.client(Method::POST, query, vec![b' '; (4 << 20) + 1]).await;
    assert_eq!((large.status.as_u16(), large.code().as_str()), (413, "PAYLOAD_TOO_LARGE"));
    let method = house.client(Method::GET, query, "").await;
    assert_eq!((method.status.as_u16(), method.text("error")), (405, "GET is not allowed here; use POST".to_owned()));
}

#[tokio::test]
async fn exec_tells_what_changed() {
    let house = House::open().await;
    house.databases.answer("INSERT", SqlChanged { rows_affected: 1, last_insert_id: Some(7) });
    house.databases.answer("UPDATE", SqlChanged { rows_affected: 3, last_insert_id: None });
    let exec = async |sql: &str| house.post("/v1/rqlite/exec", json!({ "sql": sql })).await;
    check(&exec("INSERT").await, 200, expect![[r#"{"execution_state":"ok","last_insert_id":7,"rows_affected":1}"#]]);
    check(&exec("UPDATE").await, 200, expect![[r#"{"execution_state":"ok","last_insert_id":null,"rows_affected":3}"#]]);
}

#[tokio::test]
async fn errors_of_sql_are_the_callers_or_ours() {
    let house = House::open().await;
    house.databases.fail("syntax", || SqlError::Invalid("near \"syntax\": syntax error".to_owned()));
    house.databases.fail("attach", || SqlError::NotAllowed("ATTACH is not allowed".to_owned()));
    house.databases.fail("twice", || SqlError::Constraint("UNIQUE constraint failed: users.id".to_owned()));
    house.databases.fail("much", || SqlError::TooLarge { limit: 10_000, unit: "rows" });
    house.databases.fail("slow", || SqlError::Deadline);
    house.databases.fail("full", || SqlError::Full { limit: 5 });
    house.databases.fail("busy", || SqlError::Busy);
    house.databases.fail("gone", || SqlError::Unavailable("/data/secret/path is gone".into()));
    house.databases.fail("broken", || SqlError::Corrupt("page 7 of /data/secret/path".into()));
    let mut table = String::new();
    for sql in ["syntax", "attach", "twice", "much", "slow", "full", "busy", "gone", "broken"] {
        let seen = house.post("/v1/rqlite/query", json!({ "sql": sql })).await;
        assert!(!body(&seen).contains("secret"), "{seen:?}");
        table.push_str(&format!(
            "{} {} {} {}\n",
            seen.status.as_u16(),
            seen.code(),
            seen.json()["retryable"],
            seen.text("error")
        ));
    }
    expect![[r#"
        400 VALIDATION_FAILED false near "syntax": syntax error
        403 SQL_NOT_ALLOWED false ATTACH is not allowed
        409 CONFLICT false UNIQUE constraint failed: users.id
        413 RESULT_TOO_LARGE false the result has more than 10000 rows; ask for less, with LIMIT or fewer columns
        504 TIMEOUT true the statement did not finish in time
        507 STORAGE_QUOTA_EXCEEDED false the database is full: its limit is 5 bytes
        503 SERVICE_UNAVAILABLE true the database is busy; try again
        503 SERVICE_UNAVAILABLE true the database is unavailable
        500 CORRUPT false the database is damaged
    "#]]
    .assert_eq(&table);
}

#[tokio::test]
async fn find_and_find_one_compose_the_query() {
    let house = House::open().await;
    house
        .databases
        .answer(r#"SELECT id, name FROM "users" WHERE "users"."age" = ? ORDER BY id LIMIT ? OFFSET ?"#, users());
    let seen = house
        .post("/v1/rqlite/find", json!({
            "table": "users", "criteria": { "age": 3 }, "options": { "select": ["id", "name"], "order_by": ["id"], "limit": 10 },
        }))
        .await;
    assert_eq!((seen.status.as_u16(), &seen.json()["count"]), (200, &json!(2)));
    let one = r#"SELECT * FROM "users" WHERE "users"."id" = ? LIMIT ? OFFSET ?"#;
    house.databases.answer(one, users());
    let find_one =
        async || house.post("/v1/rqlite/find-one", json!({ "table": "users", "criteria": { "id": 1 } })).await;
    check(&find_one().await, 200, expect![[r#"{"id":9007199254740993,"name":"ada","photo":{"base64":"AP8="}}"#]]);
    house.databases.answer(one, rows(&["id"], vec![]));
    check(
        &find_one().await,
        404,
        expect![[
            r#"{"ok":false,"error":"not found","code":"NOT_FOUND","message":"not found","retryable":false,"request_id":"<id>"}"#
        ]],
    );
    expect![[r#"
        default: SELECT id, name FROM "users" WHERE "users"."age" = ? ORDER BY id LIMIT ? OFFSET ? [Integer(3), Integer(10), Integer(0)]
        default: SELECT * FROM "users" WHERE "users"."id" = ? LIMIT ? OFFSET ? [Integer(1), Integer(1), Integer(0)]
        default: SELECT * FROM "users" WHERE "users"."id" = ? LIMIT ? OFFSET ? [Integer(1), Integer(1), Integer(0)]
    "#]]
    .assert_eq(&asked(&house));
}

#[tokio::test]
async fn one_row_can_be_read_in_both_ways_that_clients_know() {
    let house = House::open().await;
    let sql = r#"SELECT * FROM "t" LIMIT ? OFFSET ?"#;
    let one = async |found: SqlRows| {
        house.databases.answer(sql, found);
        house.post("/v1/rqlite/select", json!({ "table": "t", "one": true })).await
    };
    let integer = |n| vec![vec![SqlValue::Integer(n)]];
    check(
        &one(rows(&["id"], integer(9_007_199_254_740_993))).await,
        200,
        expect![[r#"{"id":9007199254740993,"items":[{"id":9007199254740993}],"count":1}"#]],
    );
    check(&one(rows(&["count"], integer(42))).await, 200, expect![[r#"{"count":42,"items":[{"count":42}]}"#]]);
    check(&one(rows(&["items"], integer(1))).await, 200, expect![[r#"{"items":1,"count":1}"#]]);
    assert_eq!(one(rows(&["id"], vec![])).await.status, 404);
    let all = house.post("/v1/rqlite/select", json!({ "table": "t", "limit": 5, "offset": 0 })).await;
    check(&all, 200, expect![[r#"{"items":[],"count":0}"#]]);
}

#[tokio::test]
async fn a_transaction_happens_whole_or_not() {
    let house = House::open().await;
    house.databases.answer("INSERT", SqlChanged { rows_affected: 1, last_insert_id: Some(1) });
    house.databases.answer("SELECT", rows(&["n"], vec![vec![SqlValue::Integer(1)]]));
    house.databases.fail("WRONG", || SqlError::Constraint("UNIQUE constraint failed: t.id".to_owned()));
    house.databases.fail("LATE", || SqlError::Deadline);
    let ops = |kinds: &[(&str, &str)]| {
        let ops: Vec<_> = kinds.iter().map(|(kind, sql)| json!({ "kind": kind, "sql": sql })).collect();
        json!({ "ops": ops, "return_results": true })
    };
    let path = "/v1/rqlite/transaction";
    let seen = house.post(path, ops(&[("exec", "INSERT"), ("query", "SELECT")])).await;
    check(&seen, 200, expect![[r#"{"results":[{"last_insert_id":1,"rows_affected":1},[{"n":1}]],"status":"ok"}"#]]);
    let plain = house.post(path, json!({ "statements": ["INSERT", "INSERT"] })).await;
    check(&plain, 200, expect![[r#"{"status":"ok"}"#]]);
    let failed = house.post(path, ops(&[("exec", "INSERT"), ("exec", "WRONG")])).await;
    assert_eq!((failed.status.as_u16(), failed.code().as_str()), (409, "CONFLICT"));
    assert_eq!(failed.text("error"), "statement 1 failed, nothing was changed: UNIQUE constraint failed: t.id");
    // What was committed stays, although a question after it has no answer.
    let late = house.post(path, ops(&[("exec", "INSERT"), ("query", "LATE")])).await;
    check(
        &late,
        200,
        expect![[
            r#"{"results":[{"last_insert_id":1,"rows_affected":1},{"code":"TIMEOUT","error":"the statement did not finish in time"}],"status":"ok"}"#
        ]],
    );
}

/// Who asks for no results must learn of it all the same, and must not be told to try again: the changes stand.
#[tokio::test]
async fn a_query_that_fails_unseen_fails_its_request() {
    let house = House::open().await;
    house.databases.answer("INSERT", SqlChanged { rows_affected: 1, last_insert_id: Some(1) });
    house.databases.answer("SELECT", rows(&["n"], vec![vec![SqlValue::Integer(1)]]));
    house.databases.fail("LATE", || SqlError::Deadline);
    let run = async |steps: &[(&str, &str)]| {
        let ops: Vec<_> = steps.iter().map(|(kind, sql)| json!({ "kind": kind, "sql": sql })).collect();
        house.post("/v1/rqlite/transaction", json!({ "ops": ops })).await
    };
    let late = run(&[("exec", "INSERT"), ("query", "SELECT"), ("query", "LATE")]).await;
    assert_eq!((late.status.as_u16(), late.code().as_str()), (400, "VALIDATION_FAILED"));
    assert_eq!(late.json()["retryable"], false);
    assert_eq!(
        late.text("error"),
        "statement 2 failed after all changes were committed: the statement did not finish in time"
    );
    assert_eq!(late.text("hint"), "do not send the changes again; `return_results` shows what each statement gave");
    let nothing_changed = run(&[("query", "LATE")]).await;
    assert_eq!(nothing_changed.text("error"), "statement 0 failed: the statement did not finish in time");
    check(&run(&[("exec", "INSERT"), ("query", "SELECT")]).await, 200, expect![[r#"{"status":"ok"}"#]]);
}

#[tokio::test]
async fn tables_are_made_shown_and_dropped() {
    let house = House::open().await;
    let made = "CREATE TABLE notes (id INTEGER PRIMARY KEY)";
    house.databases.answer(made, SqlChanged::default());
    house.databases.answer(r#"DROP TABLE "notes""#, SqlChanged::default());
    let created = house.post("/v1/rqlite/create-table", json!({ "schema": made })).await;
    check(&created, 201, expect![[r#"{"status":"ok"}"#]]);
    let other = house.post("/v1/rqlite/create-table", json!({ "schema": "DROP TABLE notes" })).await;
    assert_eq!(
        (other.status.as_u16(), other.text("error")),
        (400, "`schema` must be a CREATE TABLE statement; use exec for others".to_owned())
    );
    let drop = async |table: &str| house.post("/v1/rqlite/drop-table", json!({ "table": table })).await;
    assert_eq!(drop("notes").await.status, 404);
    let table = SchemaObject { name: "notes".to_owned(), kind: "table".to_owned(), sql: made.to_owned() };
    house.databases.set_schema(&home(), vec![table]);
    let schema = house.client(Method::GET, "/v1/rqlite/schema", "").await;
    check(
        &schema,
        200,
        expect![[
            r#"{"count":1,"tables":[{"name":"notes","sql":"CREATE TABLE notes (id INTEGER PRIMARY KEY)","type":"table"}]}"#
        ]],
    );
    for wrong in ["", "notes; DROP TABLE x", "a b", "\"notes\"", "sqlite master"] {
        assert_eq!(drop(wrong).await.status, 400, "{wrong:?}");
    }
    check(&drop("notes").await, 200, expect![[r#"{"status":"ok"}"#]]);
}

#[tokio::test]
async fn schemas_migrate_and_whole_databases_travel() {
    let house = House::open().await;
    let migrations = json!({ "migrations": [{ "name": "0001_users", "sql": "CREATE TABLE users(id)" }] });
    let mut dry = migrations.clone();
    dry["dry_run"] = json!(true);
    for (body, applied) in [(dry, 1), (migrations.clone(), 1), (migrations, 0)] {
        let seen = house.post("/v1/rqlite/migrate", body).await;
        assert_eq!((seen.status.as_u16(), &seen.json()["count"]), (200, &json!(applied)), "{seen:?}");
    }
    let seen = house.client(Method::GET, "/v1/rqlite/migrations", "").await;
    check(
        &seen,
        200,
        expect![[
            r#"{"count":1,"migrations":[{"applied_at":"1970-01-01T00:00:00Z","checksum":"0000000000000000000000000000000000000000000000000000000000000016","name":"0001_users"}]}"#
        ]],
    );
    house
        .databases
        .answer("CREATE TABLE a(b); INSERT INTO a VALUES (1);", SqlChanged { rows_affected: 2, last_insert_id: None });
    let import = house.client(Method::POST, "/v1/rqlite/import", "CREATE TABLE a(b); INSERT INTO a VALUES (1);").await;
    check(&import, 200, expect![[r#"{"statements":2,"status":"ok"}"#]]);
    house.databases.fail("WRONG", || SqlError::Constraint("UNIQUE constraint failed: a.b".to_owned()));
    let failed = house.client(Method::POST, "/v1/rqlite/import", "WRONG").await;
    assert_eq!(
        (failed.status.as_u16(), failed.text("error")),
        (400, "line 1: UNIQUE constraint failed: a.b".to_owned())
    );
    assert_eq!(house.client(Method::POST, "/v1/rqlite/import", vec![0xff]).await.status, 400);
    // Larger than one piece, so that more than one is read.
    let bytes: Vec<u8> = (0..700_000_u32).map(|n| n as u8).collect();
    house.databases.set_file(&home(), bytes.clone());
    for (path, content_type, file) in [
        ("/v1/rqlite/export", "application/sql; charset=utf-8", "default.sql"),
        ("/v1/rqlite/backup", "application/vnd.sqlite3", "default.db"),
    ] {
        let seen = house.client(Method::GET, path, "").await;
        assert_eq!((seen.status.as_u16(), seen.header("content-type")), (200, content_type));
        assert_eq!(seen.header("content-disposition"), format!("attachment; filename=\"{file}\""));
        assert!(seen.body == bytes, "{path}");
    }
}

#[tokio::test]
async fn who_may_not_use_data_is_refused_before_the_body_is_read() {
    let house = House::open().await;
    for (key, status) in [(&house.invoker, 403), (&house.deployer, 403), (&house.stranger, 404)] {
        // Were the body read first, its size would be the refusal.
        let large = request(Method::POST, "/v1/rqlite/query?namespace=default", vec![b' '; (4 << 20) + 1]);
        assert_eq!(house.send(with_key(large, key)).await.status, status);
    }
}
