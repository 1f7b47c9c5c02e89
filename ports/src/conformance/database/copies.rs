use domain::SqlValue;

use super::{Subject, bounds, read_all, text};
use crate::{Databases, Migration, MigrationError, SqlError};

pub(super) async fn check_schema(subject: &Subject) {
    assert_eq!(subject.database.schema().await.expect("schema"), []);
    for sql in ["CREATE TABLE b (a)", "CREATE VIEW a AS SELECT 1", "CREATE INDEX c ON b (a)"] {
        subject.execute(sql).await;
    }
    subject.database.migrate(Vec::new(), false, bounds()).await.expect("nothing to migrate");
    let found = subject.database.schema().await.expect("schema");
    let found: Vec<_> = found.iter().map(|o| (o.kind.as_str(), o.name.as_str(), o.sql.as_str())).collect();
    let index = ("index", "c", "CREATE INDEX c ON b (a)");
    assert_eq!(found, [index, ("table", "b", "CREATE TABLE b (a)"), ("view", "a", "CREATE VIEW a AS SELECT 1")]);
}

const SCRIPT: &str = "-- a comment; with a semicolon
CREATE TABLE log (text);
CREATE TABLE t (a TEXT DEFAULT ';');

CREATE TRIGGER noted AFTER INSERT ON t BEGIN
    INSERT INTO log VALUES ('one;');
    INSERT INTO log SELECT CASE WHEN new.a = 'x' THEN 'x' ELSE 'y' END;
END;
INSERT INTO t VALUES ('x'); /* between */ INSERT INTO t (a) VALUES ('it''s;')
";

pub(super) async fn check_scripts(subject: &Subject) {
    assert_eq!(subject.database.script(SCRIPT.to_owned(), bounds()).await.expect("a script"), 5);
    assert_eq!(subject.number("SELECT count(*) FROM log").await, 4);
    assert_eq!(subject.database.script("-- nothing".to_owned(), bounds()).await.expect("nothing"), 0);

    let rows = subject.number("SELECT count(*) FROM t").await;
    for (script, line) in [
        ("DELETE FROM t;\n\n  -- why\n  DELETE\n FROM nowhere;\nSELECT 1;", 4),
        ("DELETE FROM t; nonsense", 1),
        ("DELETE FROM t;\nDELETE FROM t WHERE a = ?;", 2),
        ("DELETE FROM t;\nSELECT 'open", 2),
        ("DELETE FROM t;\nCREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1;", 2),
        ("DELETE FROM t;\n/* a\n b */ COMMIT;", 3),
        ("BEGIN;\nDELETE FROM t;\nCOMMIT;", 1),
    ] {
        let failed = subject.database.script(script.to_owned(), bounds()).await.expect_err(script);
        assert_eq!(failed.line, line, "`{script}`: {failed}");
        assert_eq!(subject.number("SELECT count(*) FROM t").await, rows, "`{script}` left something");
    }
}

fn migration(name: &str, sql: &str) -> Migration {
    Migration { name: name.to_owned(), sql: sql.to_owned() }
}

pub(super) async fn check_migrations(subject: &Subject) {
    let first = migration("0001_users", "CREATE TABLE users (id INTEGER PRIMARY KEY);\nINSERT INTO users VALUES (1);");
    let second = migration("0002_names", "ALTER TABLE users ADD COLUMN name TEXT;");
    let migrate = async |list: &[&Migration], dry_run| {
        let list = list.iter().map(|migration| (*migration).clone()).collect();
        let applied = subject.database.migrate(list, dry_run, bounds()).await?;
        Ok::<_, MigrationError>(applied.into_iter().map(|applied| applied.name).collect::<Vec<_>>())
    };

    assert_eq!(migrate(&[&second, &first], true).await.expect("a rehearsal"), ["0001_users", "0002_names"]);
    assert_eq!(subject.database.migrations().await.expect("list"), [], "a rehearsal changes nothing");
    assert_eq!(subject.database.schema().await.expect("schema"), []);
    assert_eq!(migrate(&[&first], false).await.expect("migrate"), ["0001_users"]);
    assert_eq!(migrate(&[&second, &first], false).await.expect("migrate"), ["0002_names"], "only what is new");
    assert_eq!(migrate(&[&first, &second], false).await.expect("migrate"), [""; 0]);
    let applied = subject.database.migrations().await.expect("list");
    assert_eq!(applied.iter().map(|applied| applied.name.as_str()).collect::<Vec<_>>(), ["0001_users", "0002_names"]);
    assert!(applied.iter().all(|applied| applied.checksum.len() == 64));

    let changed = migration("0001_users", "CREATE TABLE users (id);");
    let early = migration("0000_early", "SELECT 1;");
    for differing in [&[&changed, &second][..], &[&first], &[&early, &first, &second], &[&first, &second, &second]] {
        let refused = migrate(differing, false).await;
        assert!(matches!(refused, Err(MigrationError::Mismatch(_))), "{refused:?}");
    }

    let good = migration("0003_good", "CREATE TABLE good (a);");
    let bad =
        migration("0004_bad", "CREATE TABLE bad (a);\nINSERT INTO bad VALUES (1);\nINSERT INTO nowhere VALUES (1);");
    let rehearsed = migrate(&[&first, &second, &good, &bad], true).await;
    assert!(matches!(rehearsed, Err(MigrationError::Failed { line: 3, .. })), "{rehearsed:?}");
    let failed = migrate(&[&first, &second, &good, &bad], false).await.expect_err("the last one is bad");
    assert!(
        matches!(&failed, MigrationError::Failed { name, line: 3, error: SqlError::Invalid(_) } if name == "0004_bad"),
        "{failed:?}"
    );
    assert_eq!(subject.database.migrations().await.expect("list").len(), 3, "those before it stay");
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name IN ('good', 'bad')";
    assert_eq!(subject.number(tables).await, 1, "of the bad one nothing has happened");

    let control = migration("0004_bad", "SELECT 1;\nCOMMIT;");
    let failed = migrate(&[&first, &second, &good, &control], false).await;
    assert!(
        matches!(failed, Err(MigrationError::Failed { line: 2, error: SqlError::NotAllowed(_), .. })),
        "{failed:?}"
    );
}

const ODD: &[&str] = &[
    "CREATE TABLE \"odd \"\"name\" (\"a b\" TEXT, [c] BLOB, n REAL, g AS (\"a b\" || '!') STORED) -- said; so",
    "CREATE TABLE later (p REFERENCES sooner)",
    "CREATE TABLE sooner (id INTEGER PRIMARY KEY AUTOINCREMENT)",
    "CREATE TABLE keyed (k TEXT PRIMARY KEY, v ANY) WITHOUT ROWID, STRICT",
    "CREATE INDEX by_b ON \"odd \"\"name\" (\"a b\") WHERE \"a b\" IS NOT NULL",
    "CREATE VIEW seen AS SELECT * FROM later",
    "CREATE TRIGGER doubled AFTER INSERT ON sooner BEGIN INSERT INTO later VALUES (new.id); END",
];

pub(super) async fn check_dump(databases: &dyn Databases) {
    let original = Subject::of(databases, "original");
    for sql in ODD {
        original.execute(sql).await;
    }
    let values = [
        [text("it's"), SqlValue::Blob(vec![0, 255]), SqlValue::Real(0.1 + 0.2)],
        [text("a\0b"), SqlValue::Blob(Vec::new()), SqlValue::Real(f64::NEG_INFINITY)],
        [SqlValue::Null, text("in a blob column"), SqlValue::Real(-0.0)],
        [text("line\nbreak"), SqlValue::Integer(i64::MIN), SqlValue::Real(5e-324)],
        [text("é"), SqlValue::Integer(i64::MAX), SqlValue::Real(123_456_789.123_456_79)],
    ];
    for row in &values {
        original.try_execute("INSERT INTO \"odd \"\"name\" VALUES (?, ?, ?)", row).await.expect("insert");
    }
    original.execute("INSERT INTO sooner VALUES (41), (42)").await;
    original.execute("DELETE FROM later WHERE p = 42").await;
    original.execute("DELETE FROM sooner WHERE id = 42").await;

    let dump = original.database.dump().await.expect("dump");
    let dump = String::from_utf8(read_all(&*dump).await).expect("SQL is text");
    let copy = Subject::of(databases, "copied");
    copy.database.script(dump.clone(), bounds()).await.unwrap_or_else(|error| panic!("{error}\n{dump}"));
    let again = copy.database.dump().await.expect("dump of the copy");
    assert_eq!(String::from_utf8(read_all(&*again).await).expect("SQL is text"), dump);
    assert_eq!(copy.database.schema().await.expect("schema"), original.database.schema().await.expect("schema"));
    for sql in ["SELECT * FROM \"odd \"\"name\"", "SELECT * FROM later", "SELECT * FROM sooner"] {
        assert_eq!(copy.query(sql, &[]).await, original.query(sql, &[]).await, "{sql}");
    }
    assert_eq!(copy.execute("INSERT INTO sooner DEFAULT VALUES").await.last_insert_id, Some(43), "counters go on");

    let snapshot = original.database.snapshot().await.expect("snapshot");
    let snapshot = read_all(&*snapshot).await;
    assert!(snapshot.starts_with(b"SQLite format 3\0"), "a SQLite file");
    assert!(snapshot.windows(4).any(|bytes| bytes == b"it's"), "with what is in the database");
}
