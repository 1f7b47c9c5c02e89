use super::{Subject, bounds};
use crate::SqlError;

/// Each is refused as what nobody may do.
const NOT_ALLOWED: &[&str] = &[
    "ATTACH 'other.db' AS other",
    "attach database ':memory:' as m",
    "/* a */ ATTACH '/etc/passwd' AS p",
    "-- a\nDETACH main",
    "VACUUM",
    "VACUUM INTO 'copy.db'",
    "BEGIN",
    "BEGIN IMMEDIATE",
    "COMMIT",
    "END TRANSACTION",
    "ROLLBACK",
    "; SAVEPOINT a",
    "RELEASE a",
    "SAVEPOINT piece",
    "RELEASE piece",
    "ROLLBACK TO piece",
    "PRAGMA journal_mode",
    "PRAGMA journal_mode = OFF",
    "PRAGMA synchronous = OFF",
    "PRAGMA writable_schema = ON",
    "PRAGMA foreign_keys = OFF",
    "PRAGMA query_only = OFF",
    "PRAGMA temp_store_directory = '/'",
    "PRAGMA max_page_count = 1000000",
    "PRAGMA hard_heap_limit = 1",
    "PRAGMA main.cache_size = 1000000",
    "PRAGMA \"journal_mode\"",
    "PRAGMA user_version = 1",
    "PRAGMA wal_checkpoint",
    "PRAGMA database_list",
    "SELECT * FROM pragma_journal_mode",
    "SELECT * FROM \"pragma_database_list\"",
    "SELECT load_extension('x')",
    "SELECT \"load_extension\"('x')",
    "SELECT [load_extension]('x', 'y')",
    "SELECT `fts3_tokenizer`('simple')",
    "SELECT sqlite_compileoption_get(0)",
    "SELECT json_pretty('[]')",
    "SELECT * FROM dbstat",
    "SELECT count(*) FROM \"dbstat\"",
    "SELECT * FROM fts3tokenize('simple')",
    "CREATE VIRTUAL TABLE v USING fts5(a)",
    "CREATE VIRTUAL TABLE v USING rtree(a, b, c)",
    "CREATE VIRTUAL TABLE v USING dbstat",
    "CREATE TEMP TABLE x (a)",
    "CREATE TEMPORARY VIEW x AS SELECT 1",
    "CREATE TABLE temp.x (a)",
    "CREATE TEMP TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END",
    "INSERT INTO sqlite_master VALUES ('table', 'x', 'x', 0, 'CREATE TABLE x (a)')",
    "UPDATE sqlite_schema SET sql = ''",
    "DELETE FROM \"sqlite_master\"",
    "DELETE FROM [main].`sqlite_schema`",
    "DELETE FROM sqlite_sequence",
    "UPDATE \"sqlite_sequence\" SET seq = 0",
    "INSERT INTO sqlite_stat1 VALUES ('t', 'i', '1')",
    "WITH a AS (SELECT 1) DELETE FROM sqlite_sequence",
    "CREATE TABLE _orama_mine (a)",
    "CREATE TABLE \"_ORAMA_mine\" (a)",
    "CREATE TABLE [_Orama_mine] (a)",
    "CREATE TABLE `_orama` (a)",
    "CREATE TABLE '_orama_mine' (a)",
    "CREATE VIEW _orama_v AS SELECT 1",
    "CREATE INDEX _orama_i ON t (a)",
    "CREATE INDEX mine ON _orama_migrations (name)",
    "CREATE TRIGGER _orama_t AFTER INSERT ON t BEGIN SELECT 1; END",
    "CREATE TRIGGER mine AFTER INSERT ON _orama_migrations BEGIN SELECT 1; END",
    "ALTER TABLE t RENAME TO _orama_mine",
    "ALTER TABLE t RENAME TO \"_ORAMA_mine\"",
    "ALTER TABLE _orama_migrations RENAME TO mine",
    "ALTER TABLE _orama_migrations ADD COLUMN mine",
    "DROP TABLE _orama_migrations",
    "DELETE FROM \"_orama_migrations\"",
    "UPDATE main._ORAMA_migrations SET checksum = ''",
    "INSERT INTO _orama_migrations VALUES ('a', 'b', 1)",
    "INSERT INTO trap VALUES (1)",
    "EXPLAIN ATTACH 'x' AS y",
];

/// Each is refused as no statement that can be run.
const INVALID: &[&str] = &[
    "",
    "  \n\t",
    ";",
    "-- only a comment",
    "/* only a comment",
    "SELECT 1; SELECT 2",
    "SELECT 1; -- and\n; DROP TABLE t",
    "SELECT 1;;;/* */ VALUES (2)",
    "SELECT 1 /* ; */ ; x",
    "SELECT 1\0; DROP TABLE t",
    "SELECT '\0'",
    "SELEC 1",
    "SELECT * FROM nowhere",
    "SELECT 'open",
    "SELECT regexp('a', 'b')",
    "CREATE TABLE sqlite_mine (a)",
];

const ALLOWED: &[&str] = &[
    "SELECT 1;",
    "SELECT 1; -- a comment",
    "SELECT 1; /* and */ ;;",
    "\u{feff}SELECT 1",
    "SELECT 'ATTACH; DROP TABLE t'",
    "SELECT * FROM _orama_migrations",
    "SELECT name FROM sqlite_schema",
    "SELECT * FROM sqlite_sequence",
    "PRAGMA table_info(t)",
    "PRAGMA table_list",
    "PRAGMA index_list('t')",
    "PRAGMA foreign_key_check",
    "PRAGMA integrity_check",
    "SELECT * FROM pragma_table_info('t')",
    "SELECT value FROM json_each('[1,2]')",
    "EXPLAIN QUERY PLAN SELECT * FROM t",
    "SELECT a ->> '$.b' FROM t WHERE a LIKE '%x%' OR a GLOB '*' ORDER BY upper(a)",
    "SELECT count(*) OVER (ORDER BY a), group_concat(a) OVER () FROM t",
    "ANALYZE",
    "ANALYZE t",
    "REINDEX t",
    "CREATE TABLE gone (id INTEGER PRIMARY KEY AUTOINCREMENT, a)",
    "INSERT INTO gone (a) VALUES (1)",
    "ALTER TABLE gone ADD COLUMN b",
    "ALTER TABLE gone RENAME COLUMN b TO c",
    "ALTER TABLE gone DROP COLUMN c",
    "ALTER TABLE gone RENAME TO really_gone",
    "DROP TABLE really_gone",
    "CREATE VIEW v AS SELECT a FROM t",
    "DROP VIEW v",
    "CREATE TRIGGER tr AFTER INSERT ON t BEGIN UPDATE t SET a = a; END",
    "DROP TRIGGER tr",
];

pub(super) async fn check(subject: &Subject) {
    subject.execute("CREATE TABLE t (a)").await;
    subject.execute("CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT)").await;
    subject.execute("INSERT INTO counted DEFAULT VALUES").await;
    subject.execute("CREATE TABLE trap (a)").await;
    subject.execute("CREATE TRIGGER sprung AFTER INSERT ON trap BEGIN DELETE FROM sqlite_sequence; END").await;
    subject.execute("ANALYZE").await;
    let migration = crate::Migration { name: "0001_a".to_owned(), sql: "CREATE TABLE m (a)".to_owned() };
    subject.database.migrate(vec![migration], false, bounds()).await.expect("migrate");

    let mut wrong = Vec::new();
    // Twice, because what was prepared once may have been kept.
    for sql in NOT_ALLOWED.iter().chain(NOT_ALLOWED) {
        for (way, error) in every_way(subject, sql).await {
            // A dump sets the counters, and a dump is a script.
            let sets_counters = way == "script" && sql.to_lowercase().contains("sqlite_sequence");
            if !sets_counters && !matches!(error, Some(SqlError::NotAllowed(_))) {
                wrong.push(format!("{way} `{sql}` is to be refused: {error:?}"));
            }
        }
    }
    for sql in INVALID {
        for error in [subject.try_query(sql, &[]).await.err(), subject.try_execute(sql, &[]).await.err()] {
            if !matches!(error, Some(SqlError::Invalid(_))) {
                wrong.push(format!("`{sql}` is to be invalid: {error:?}"));
            }
        }
    }
    for sql in ALLOWED {
        if let Err(error) = subject.try_query(sql, &[]).await {
            wrong.push(format!("`{sql}` is allowed: {error:?}"));
        }
    }
    subject.execute("CREATE VIEW window AS SELECT * FROM dbstat").await;
    let through_view = subject.try_query("SELECT * FROM window", &[]).await.err();
    if !matches!(through_view, Some(SqlError::NotAllowed(_))) {
        wrong.push(format!("through a view: {through_view:?}"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(subject.number("SELECT count(*) FROM counted").await, 1, "nothing that was refused has happened");
    assert_eq!(subject.number("SELECT count(*) FROM _orama_migrations").await, 1);
}

pub(super) async fn every_way(subject: &Subject, sql: &str) -> [(&'static str, Option<SqlError>); 3] {
    let scripted = subject.database.script(sql.to_owned(), bounds()).await;
    [
        ("query", subject.try_query(sql, &[]).await.err()),
        ("execute", subject.try_execute(sql, &[]).await.err()),
        ("script", scripted.err().map(|failed| failed.error)),
    ]
}
