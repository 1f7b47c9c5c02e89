//! Statements that are refused, however they are written and wherever they come in.

use serde_json::{Value, json};

use crate::support::{Reply, Server, Tenant, fixture, packed};

/// What no statement may do, in every kind of quoting, with comments and in any case.
const FORBIDDEN: &[&str] = &[
    "ATTACH 'x.db' AS other",
    "attach database \"x.db\" as other",
    "/* c */ ATTACH/**/':memory:'/**/AS [x]",
    "-- c\nAtTaCh `x` AS y",
    ";;ATTACH 'x' AS y",
    "EXPLAIN ATTACH 'x' AS y",
    "DETACH main",
    "DETACH DATABASE \"main\"",
    "PRAGMA writable_schema = 1",
    "pragma main.journal_mode(DELETE)",
    "PRAGMA \"synchronous\" = OFF",
    "PRAGMA [temp_store_directory] = '/tmp'",
    "PRAGMA `database_list`",
    "SELECT * FROM pragma_database_list",
    "SELECT * FROM \"pragma_database_list\"",
    "SELECT load_extension('x')",
    "SELECT \"load_extension\"('x', 'y')",
    "SELECT fts3_tokenizer('simple')",
    "SELECT sqlite_compileoption_get(1)",
    "INSERT INTO sqlite_master VALUES ('table','x','x',0,'CREATE TABLE x(a)')",
    "UPDATE \"sqlite_schema\" SET sql = ''",
    "DELETE FROM [sqlite_master]",
    "DROP TABLE sqlite_sequence",
    "DROP TABLE `sqlite_sequence`",
    "VACUUM",
    "VACUUM INTO '/tmp/x.db'",
    "BEGIN",
    "COMMIT",
    "END",
    "ROLLBACK",
    "SAVEPOINT s",
    "RELEASE s",
    "CREATE TEMP TABLE t2(a)",
    "CREATE TABLE temp.t2(a)",
    "CREATE VIRTUAL TABLE v USING fts5(a)",
    "CREATE VIRTUAL TABLE v USING dbstat",
    "SELECT * FROM dbstat",
];

/// What is not forbidden but cannot be done.
const IMPOSSIBLE: &[&str] = &[
    "SELECT readfile('/etc/passwd')",
    "SELECT writefile('/tmp/x', 'y')",
    "CREATE TABLE sqlite_mine(a)",
    "CREATE TABLE \"sqlite_mine\"(a)",
    "ALTER TABLE t RENAME TO sqlite_t",
    "SELECT length(zeroblob(2000000000))",
    "SELECT length(randomblob(1000000000))",
    "SELECT length(printf('%.*c', 1000000000, 'x'))",
    "SELECT * FROM nowhere",
    "SELEC 1",
    "SELECT '",
];

fn tenant(server: &Server) -> Tenant {
    let tenant = Tenant::found(server, "sql");
    let schema = "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT)";
    tenant.ask("POST", "/v1/rqlite/create-table", &json!({ "schema": schema }));
    tenant.ask("POST", "/v1/rqlite/exec", &json!({ "sql": "INSERT INTO t(a) VALUES ('kept')" }));
    tenant
}

fn post(tenant: &Tenant, route: &str, body: &[u8]) -> Reply {
    tenant.http().post(&format!("/v1/rqlite/{route}"), body)
}

/// The answers of every route that takes SQL.
fn everywhere(tenant: &Tenant, sql: &str) -> Vec<(&'static str, Reply)> {
    let bodies = [
        ("query", json!({ "sql": sql }).to_string()),
        ("exec", json!({ "sql": sql }).to_string()),
        ("transaction", json!({ "statements": ["INSERT INTO t(a) VALUES ('half')", sql] }).to_string()),
        ("import", format!("INSERT INTO t(a) VALUES ('half');\n{sql};")),
        ("migrate", json!({ "migrations": [{ "name": "m", "sql": sql }] }).to_string()),
    ];
    bodies.into_iter().map(|(route, body)| (route, post(tenant, route, body.as_bytes()))).collect()
}

#[test]
fn what_no_statement_may_do_is_refused_everywhere() {
    let server = Server::start();
    let tenant = tenant(&server);
    for name in ["db_query_v2", "db_execute_v2"] {
        tenant.deploy(name, &fixture(name), &[]);
    }
    let before = tenant.reply("GET", "/v1/rqlite/export", &Value::Null).body;
    for sql in FORBIDDEN {
        for (route, reply) in everywhere(&tenant, sql) {
            assert_eq!(
                (reply.status, &reply.json()["code"]),
                (403, &json!("SQL_NOT_ALLOWED")),
                "{route} {sql}: {reply:?}"
            );
        }
        for call in ["db_query_v2", "db_execute_v2"] {
            let answer = tenant.host_call(call, &[sql.as_bytes(), b"[]"]);
            assert!(answer.contains("SQL_NOT_ALLOWED"), "{call} {sql}: {answer}");
        }
    }
    for sql in IMPOSSIBLE {
        for (route, reply) in everywhere(&tenant, sql) {
            assert_eq!(
                (reply.status, &reply.json()["code"]),
                (400, &json!("VALIDATION_FAILED")),
                "{route} {sql}: {reply:?}"
            );
        }
    }
    assert_eq!(tenant.reply("GET", "/v1/rqlite/export", &Value::Null).body, before, "nothing has changed");
    assert_eq!(tenant.ask("GET", "/v1/rqlite/migrations", &Value::Null)["count"], 0);
}

/// The counters of SQLite are its own, except in the script that an export is.
#[test]
fn the_counters_of_sqlite_are_written_by_no_statement() {
    let server = Server::start();
    let tenant = tenant(&server);
    for sql in ["DELETE FROM [sqlite_sequence]", "UPDATE `sqlite_sequence` SET seq = 1"] {
        for route in ["query", "exec"] {
            let reply = post(&tenant, route, json!({ "sql": sql }).to_string().as_bytes());
            assert_eq!(
                (reply.status, &reply.json()["code"]),
                (403, &json!("SQL_NOT_ALLOWED")),
                "{route} {sql}: {reply:?}"
            );
        }
    }
}

#[test]
fn ten_million_rows_are_refused_and_take_no_memory() {
    let server = Server::start();
    let tenant = tenant(&server);
    tenant.deploy("db_query_v2", &fixture("db_query_v2"), &[]);
    let many = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 10000000) SELECT x FROM c";
    let reply = post(&tenant, "query", json!({ "sql": many }).to_string().as_bytes());
    assert_eq!((reply.status, &reply.json()["code"]), (413, &json!("RESULT_TOO_LARGE")), "{reply:?}");
    let wide = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 9000) SELECT hex(zeroblob(5000)) FROM c";
    let reply = post(&tenant, "query", json!({ "sql": wide }).to_string().as_bytes());
    assert_eq!((reply.status, &reply.json()["code"]), (413, &json!("RESULT_TOO_LARGE")), "{reply:?}");
    let answer = tenant.host_call("db_query_v2", &[many.as_bytes(), b"[]"]);
    assert!(answer.contains("PAYLOAD_TOO_LARGE"), "{answer}");
}

/// A query without an end ends with the call that made it.
#[test]
fn an_endless_query_ends_with_its_call() {
    let server = Server::start();
    let tenant = tenant(&server);
    tenant.deploy("db_query", &fixture("db_query"), &[("timeout", "1")]);
    let endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c";
    let reply = tenant.invoke("db_query", &packed(&[endless.as_bytes(), b"[]"]));
    assert_eq!((reply.status, &reply.json()["code"]), (504, &json!("TIMEOUT")), "{reply:?}");
    assert_eq!(
        tenant.ask("POST", "/v1/rqlite/query", &json!({ "sql": "SELECT 1 AS one" }))["items"],
        json!([{ "one": 1 }])
    );
}

#[test]
fn arguments_of_the_wrong_count_or_kind_are_refused() {
    let server = Server::start();
    let tenant = tenant(&server);
    let cases: [(&str, &[u8]); 16] = [
        ("none for one", br#"{"sql":"SELECT ?","args":[]}"#),
        ("two for one", br#"{"sql":"SELECT ?","args":[1,2]}"#),
        ("one for none", br#"{"sql":"SELECT 1","args":[1]}"#),
        ("an object", br#"{"sql":"SELECT ?","args":[{"a":1}]}"#),
        ("a list", br#"{"sql":"SELECT ?","args":[[1]]}"#),
        ("base64 that is none", br#"{"sql":"SELECT ?","args":[{"base64":"!!"}]}"#),
        ("a text for the list", br#"{"sql":"SELECT ?","args":"x"}"#),
        ("an object for the list", br#"{"sql":"SELECT ?","args":{"a":1}}"#),
        ("a number past every float", br#"{"sql":"SELECT ?","args":[1e400]}"#),
        ("bytes that are no text", b"{\"sql\":\"SELECT '\xff'\"}"),
        ("half a surrogate", br#"{"sql":"SELECT '\ud800'"}"#),
        ("a NUL", br#"{"sql":"SELECT '\u0000'"}"#),
        ("two statements", br#"{"sql":"SELECT 1; SELECT 2"}"#),
        ("no statement", br#"{"sql":""}"#),
        ("a number for the statement", br#"{"sql":7}"#),
        ("no object", br#"["SELECT 1"]"#),
    ];
    for (case, body) in cases {
        for route in ["query", "exec"] {
            let reply = post(&tenant, route, body);
            assert_eq!(
                (reply.status, &reply.json()["code"]),
                (400, &json!("VALIDATION_FAILED")),
                "{route}, {case}: {reply:?}"
            );
        }
    }
    let script = post(&tenant, "import", b"SELECT '\xff'");
    assert_eq!(script.status, 400, "{script:?}");
    let many: Vec<&str> = vec!["SELECT 1"; 101];
    let reply = post(&tenant, "transaction", json!({ "statements": many }).to_string().as_bytes());
    assert_eq!(reply.status, 400, "{reply:?}");
}
